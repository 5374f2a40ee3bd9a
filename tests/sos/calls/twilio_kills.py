"""Twilio killed at random moments of calls of three: who is left alone, who is called twice, what is kept.

``python -m tests.sos.calls.twilio_kills --kills 10 --seed 1`` prints a line for each call and ends with 1 when a
promise was broken.  Three calls run at each kill, each at another moment of its life, so that ten kills are thirty
moments.  A kill takes Twilio's edge away (it answers nothing and tells nothing, people go on talking) or everything
(all calls are cut off as well); it comes back by itself.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from uuid import NAMESPACE_URL, uuid5

import structlog
from msgspec import Struct
from msgspec.structs import replace

from sos.app import Service, running
from sos.clock import SystemClock
from sos.errors import SosError
from sos.incident import events as e
from sos.incident.commands import CloseIncident, DialLeg, TakeIncident
from sos.incident.model import DeskId, Disposition, Incident, IncidentId, LegId, OperatorId, Party, State, new_id
from sos.settings import DeskLineSettings, OperatorSettings, Settings
from tests.journeys import story as s
from tests.sos.calls.test_twilio_service import settings
from tests.sos.calls.twilio_rig import VEHICLES
from tests.twilio_emulator.server import Emulator
from tests.twilio_emulator.world import Call

DESKS = ("hanako", "taro", "jiro")
ALONE_AT_MOST_S = 15.0
"""Longest a vehicle may be in a call with nobody, Twilio's own absence not counted."""
LOST_AT_MOST_S = 1.0
"""Sound of a recording that may miss."""
BACK_WITHIN_S = 60.0
FIRST_STEPS_S = 1.5
"""How long a call takes until all three are in it, undisturbed: kills fall before, in and after that."""
LOOK_S = 0.02


class Stuck(Exception):
    """A promise that was not kept within ``BACK_WITHIN_S``."""


class Moment(Struct, frozen=True, kw_only=True):
    """What one kill did to one call."""

    what: str
    after_s: float
    """Since the car called."""
    away_s: float
    alone_s: float
    """Longest time of the vehicle in the conference with nobody else, while Twilio was there and an operator had it."""
    back_s: float
    """From Twilio's return until all three were in the call."""
    twice: int
    """Telephones that rang twice for one order, or with two living calls."""
    lost_s: float

    @property
    def broken(self) -> bool:
        return self.alone_s > ALONE_AT_MOST_S or self.twice > 0 or self.lost_s > LOST_AT_MOST_S

    def __str__(self) -> str:
        return (
            f"{self.what:10} after {self.after_s:4.1f} s for {self.away_s:4.1f} s: alone {self.alone_s:4.1f} s,"
            f" all back in {self.back_s:4.1f} s, called twice {self.twice}, recording lost {self.lost_s:.2f} s"
            + (" BROKEN" if self.broken else "")
        )


class Drill:
    """One call of three, with people who do what people do: answer, ask for the fire brigade, ask again."""

    def __init__(self, service: Service, emulator: Emulator, desk: str, number: int) -> None:
        self._service = service
        self._emulator = emulator
        self._desk = desk
        self._car = f"+81300003{number:03}"
        self.incident = IncidentId("")
        self.began = 0.0
        self.alone_s = 0.0
        self._alone_since: float | None = None

    async def begin(self) -> None:
        self.began = _now()
        call = await self._emulator.call_in(self._car, to=VEHICLES)
        leg = LegId(str(uuid5(NAMESPACE_URL, f"twilio:{call.sid}")))
        while not self.incident:
            _, waiting = await self._service.journal.queue(limit=1_000, states=tuple(State))
            self.incident = next((each.id for each in waiting if each.leg(leg) is not None), self.incident)
            await _pause(LOOK_S)

    async def play(self) -> None:
        """Until all three are in the call."""
        await self._execute(TakeIncident(operator=OperatorId(self._desk), desk=DeskId(f"desk-{self._desk}")))
        until = _now() + BACK_WITHIN_S
        while not await self.complete():
            if _now() > until:
                raise Stuck(f"call of {self.incident}: {(await self._state()).legs}, at Twilio {self.there()}")
            state = await self._service.journal.state(self.incident)
            if not any(leg.party is Party.AGENCY and leg.alive for leg in state.legs):
                line = {"party": Party.AGENCY, "who": "jp-13-fire", "line": "first"}
                await self._execute(DialLeg(leg=LegId(new_id()), **line))  # type: ignore[arg-type]
            await _pause(0.25)

    async def complete(self) -> bool:
        """Whether the journal and Twilio agree that all three are in the call."""
        state = await self._service.journal.state(self.incident)
        return {leg.party for leg in state.legs if leg.up} >= WHOLE and len(self.there()) >= len(WHOLE)

    async def close(self) -> None:
        await self._execute(s.close(Disposition.FALSE_ALARM))

    def there(self) -> list[str]:
        """Numbers of those who are in the incident's conference at Twilio."""
        rooms = [room for room in self._emulator.world.conferences.values() if room.name == self.incident]
        return [each.call.to for room in rooms for each in room.participants.values() if each.joined]

    def look(self, *, away: bool, answered: bool) -> None:
        """Note whether the vehicle is alone right now."""
        alone = not away and answered and len(self.there()) == 1
        if not alone:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = _now()
        else:
            self.alone_s = max(self.alone_s, _now() - self._alone_since)

    async def answered(self) -> bool:
        return bool(self.incident) and (await self._state()).operator is not None

    async def sealed(self) -> float:
        """Seconds of sound that the sealed recordings lack of what Twilio recorded, once all are sealed here."""
        until = _now() + BACK_WITHIN_S
        while (lost := await self._lost()) is None:
            if _now() > until:
                raise Stuck(f"recordings of {self.incident}: {(await self._state()).recordings}")
            await _pause(LOOK_S)
        return lost

    async def _lost(self) -> float | None:
        """None while a recording is not sealed, or its copies are not told of."""
        calls, lost = _calls_by_leg(self._emulator), 0.0
        stream = [each.event for each in await self._service.journal.store.stream(self.incident)]
        for known in (await self._state()).recordings:
            sealed = [x for x in stream if isinstance(x, e.RecordingSealed) and x.recording == known.recording]
            copies = [x for x in stream if isinstance(x, e.RecordingFetched) and x.recording == known.recording]
            taken = [calls[copy.leg] for copy in copies]
            begun = [call.recording.begin for call in taken if call.recording is not None]
            if not sealed or not begun:
                return None
            spoken = max(call.ended or 0.0 for call in taken) - min(begun)
            lost = max(lost, spoken - sealed[0].duration_ms / 1000)
        return lost

    async def _state(self) -> Incident:
        return await self._service.journal.state(self.incident)

    async def _execute(self, command: TakeIncident | DialLeg | CloseIncident) -> None:
        await self._service.journal.execute(self.incident, command, actor=f"operator:{self._desk}")


WHOLE = frozenset({Party.VEHICLE, Party.OPERATOR, Party.AGENCY})


async def kill(service: Service, emulator: Emulator, random: Random, *, first: int) -> list[Moment]:
    """Three calls, one kill, all back, all closed and sealed."""
    what = random.choice(("edge", "everything"))
    drills = [Drill(service, emulator, desk, first + number) for number, desk in enumerate(DESKS)]
    playing = [asyncio.create_task(_later(drill, random.random() * 2 * FIRST_STEPS_S)) for drill in drills]
    looking = asyncio.create_task(_look(emulator, drills))
    await _pause(2 * FIRST_STEPS_S)
    at = _now()
    await emulator.down()
    if what == "everything":
        for call in tuple(emulator.world.calls.values()):
            emulator.world.finish(call, "completed" if call.answered is not None else "failed")
    away_s = 0.2 + random.random() * 4
    await _pause(away_s)
    await emulator.up()
    back = _now()
    await asyncio.gather(*playing)
    times = [await _until_complete(drill, back) for drill in drills]
    await _pause(1.0)
    twice = [_called_twice(emulator, drill) for drill in drills]
    looking.cancel()
    for drill in drills:
        await drill.close()
    return [
        Moment(
            what=what, after_s=at - drill.began, away_s=away_s, alone_s=drill.alone_s, back_s=took, twice=rang,
            lost_s=await drill.sealed(),
        )
        for drill, took, rang in zip(drills, times, twice, strict=True)
    ]  # fmt: skip


async def _later(drill: Drill, seconds: float) -> None:
    await _pause(seconds)
    await drill.begin()
    await drill.play()


async def _until_complete(drill: Drill, since: float) -> float:
    """Play on until all three are there; how long that took."""
    await drill.play()
    return max(0.0, _now() - since)


async def _at_work(service: Service) -> None:
    """The desks' pages are open and heard of."""
    for desk in DESKS:
        service.desks.arrive(DeskId(f"desk-{desk}"), OperatorId(desk))
    while True:
        for desk in DESKS:
            service.desks.beat(DeskId(f"desk-{desk}"))
        await _pause(1.0)


async def _look(emulator: Emulator, drills: Sequence[Drill]) -> None:
    while True:
        for drill in drills:
            drill.look(away=not emulator.answers, answered=await drill.answered())
        await _pause(LOOK_S)


def _called_twice(emulator: Emulator, drill: Drill) -> int:
    orders = Counter(label for label, _ in emulator.world.dialled if label)
    living = Counter(drill.there())
    return sum(times > 1 for times in orders.values()) + sum(times > 1 for number, times in living.items() if number)


def _calls_by_leg(emulator: Emulator) -> dict[LegId, Call]:
    told = [form for _, form in emulator.told if form.get("ParticipantLabel")]
    return {LegId(form["ParticipantLabel"]): emulator.world.calls[form["CallSid"]] for form in told}


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _pause(seconds: float) -> None:
    await SystemClock().wait(timedelta(seconds=seconds))


def house(directory: Path, emulator: Emulator) -> Settings:
    """Three desks with a telephone each."""
    good = settings(directory, emulator)
    assert good.twilio is not None
    lines = tuple(DeskLineSettings(operator=desk, number=f"+8130000500{n}") for n, desk in enumerate(DESKS))
    operators = tuple(
        OperatorSettings(id=desk, name="架空", token_digest=sha256(desk.encode()).hexdigest()) for desk in DESKS
    )
    return replace(good, twilio=replace(good.twilio, desk_lines=lines), operators=operators)


async def moments(kills: int, *, seed: int) -> list[Moment]:
    random, found = Random(seed), []
    with tempfile.TemporaryDirectory() as directory:
        async with Emulator() as emulator, running(house(Path(directory), emulator)) as service:
            working = asyncio.create_task(_at_work(service))
            for number in range(kills):
                made = await kill(service, emulator, random, first=3 * number)
                found += made
                for each in made:
                    print(each, flush=True)
            working.cancel()
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=10, help="Each is three moments.")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        found = asyncio.run(moments(given.kills, seed=given.seed))
    except (SosError, Stuck) as stuck:
        print(f"did not come back: {stuck}")
        return 1
    worst = max(found, key=lambda each: each.alone_s)
    print(
        f"{len(found)} moments: alone at most {worst.alone_s:.1f} s, called twice {sum(m.twice for m in found)},"
        f" recording lost at most {max(m.lost_s for m in found):.2f} s, broken {sum(m.broken for m in found)}"
    )
    return 1 if any(each.broken for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
