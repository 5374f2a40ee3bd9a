"""A drill of the whole bridge: answer, consult, fire and police join, the operator leaves, agencies end, call-back.

Everything is real but the rooms people sit in: the journal, the bridge, the console's orders, media workers and sound.
Everybody speaks all the time, each with a voice of its own, so that the recording can be laid beside what was said.
``python -m tests.sos.calls.drill --minutes 12`` takes its time; the suite plays the same script faster.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from recording.keys import KeyStore
from recording.opus import RATE_HZ
from recording.tracks import read_track
from routing.categories import Category
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.agency import CUT_OFF, free_leg
from sos.calls.bridge import Bridge
from sos.clock import SystemClock
from sos.incident.model import (
    AgencyId,
    Disposition,
    Incident,
    IncidentId,
    LegId,
    OperatorId,
    Party,
    TenantId,
    new_id,
)
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.readers import Follower, Reader
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.media.opus import FRAME, Decoder, Pcm
from tests.audio import correlate
from tests.journeys import story as s
from tests.sos.calls.peers import Peer
from tests.sos.console.window import order, room, window

FIRE, POLICE, HANAKO = s.FIRE, s.POLICE, OperatorId("hanako")
PIECE_S = 1.0
LOOK_S = 0.6
"""How far around its expected place a piece of speech is looked for."""

EVERY = 3
"""Of so many pieces one is looked for."""

SURE = 0.8
"""A piece that is found less well says nothing about its time (a pause, a concealed loss)."""

APART_MS = 20.0
STEPS = 9

clock = SystemClock()


class Found(Struct, frozen=True, kw_only=True):
    """Where a piece of somebody's speech stands in the recording."""

    who: str
    said_at: float
    """Seconds of the loop's clock."""
    recorded_at: float
    """Seconds of the recording."""

    @property
    def offset(self) -> float:
        return self.recorded_at - self.said_at


class Result(Struct, frozen=True, kw_only=True):
    found: tuple[Found, ...]
    tracks: tuple[str, ...]
    recordings: int
    cut_off: int
    state: Incident

    @property
    def apart_ms(self) -> float:
        """How far apart two tracks of one recording are, anywhere in it."""
        offsets = [each.offset for each in self.found]
        return (max(offsets) - min(offsets)) * 1000 if offsets else float("inf")


class Speaker(Peer):
    """A party that remembers when it said what."""

    def __init__(self, directory: Path, *, seed: int) -> None:
        super().__init__(directory, seed=seed, seconds=60)
        self.times: list[float] = []
        say = self._mouth.next

        def next_frame() -> Pcm:
            self.times.append(asyncio.get_running_loop().time())
            return say()

        self._mouth.next = next_frame  # type: ignore[method-assign]

    def said_at(self, sample: int) -> float:
        """When it said ``sample``, by its own steady clock: a frame that was sent late was not said late."""
        begun = min(time - frame * FRAME / RATE_HZ for frame, time in enumerate(self.times))
        return begun + sample / RATE_HZ


class Drill:
    """The house, the people, and the script they follow."""

    def __init__(self, directory: Path, journal: Journal, provider: EmbeddedProvider, *, pause: timedelta) -> None:
        self.directory, self.journal, self.provider = directory, journal, provider
        self.bridge = Bridge(journal, provider)
        self.window = window(room(journal, self.bridge), HANAKO)
        self.pause = pause
        self.people: dict[str, Speaker] = {}
        self.spoke: dict[str, Speaker] = {}
        """Everybody who ever spoke, those who left as well."""
        self.incident = IncidentId("")
        self.parties: dict[str, tuple[Party, str]] = {}
        self.cut_off = 0
        """How often somebody was lost whom the script had not sent away, and called again."""

    async def play(self) -> None:
        """The script, a step after the other."""
        script = (
            self.crash_and_call, self.answer, self.fire_is_let_in, self.consult, self.all_together,
            self.police_joins, self.operator_leaves, self.agencies_end, self.call_back,
        )  # fmt: skip
        for step in script:
            await step()
            await self._pass_time()
        await self.bridge.finish(self.incident)
        await self.journal.execute(self.incident, s.close(Disposition.HANDED_OVER), actor="operator:hanako")

    async def _pass_time(self) -> None:
        """The pause after a step; whoever is cut off meanwhile calls again, as telephones and pages do."""
        over = clock.now() + self.pause
        while clock.now() < over:
            await clock.wait(min(timedelta(milliseconds=500), self.pause))
            await self._call_again()

    async def _call_again(self) -> None:
        state = await self.journal.state(self.incident)
        for name, (party, who) in tuple(self.parties.items()):
            known = [leg for leg in state.legs if leg.who == who]
            if name in self.people and known and known[-1].left in CUT_OFF:
                self.cut_off += 1
                await self.people.pop(name).leave()
                await self.join(name, party, who, leg=known[-1].leg)

    async def crash_and_call(self) -> None:
        opened = await self.journal.open(
            s.open_incident(), tenant=TenantId("acme"), receipt=b"d" * 32, received_at=clock.now()
        )
        self.incident = opened.incident
        await self.join("vehicle", Party.VEHICLE, "vehicle")

    async def answer(self) -> None:
        await self.journal.execute(self.incident, s.take(), actor="operator:hanako")
        await self.join("operator", Party.OPERATOR, HANAKO)

    async def fire_is_let_in(self) -> None:
        await self._tell(FIRE, "d1")
        await self._let_in("fire", FIRE)

    async def consult(self) -> None:
        await self._mode("vehicle", held=True)

    async def all_together(self) -> None:
        await self._mode("vehicle", held=False)

    async def police_joins(self) -> None:
        await self._tell(POLICE, "d2")
        await self._let_in("police", POLICE)

    async def operator_leaves(self) -> None:
        for disclosure in ("d1", "d2"):
            await self.journal.execute(
                self.incident, s.acknowledge(disclosure, FIRE if disclosure == "d1" else POLICE), actor="agency:test"
            )
        await self.order("leave_call")
        await self.until(lambda state: not _up(state, Party.OPERATOR))
        await self.people.pop("operator").leave()

    async def agencies_end(self) -> None:
        """The last of them hangs up, and the operator's desk comes back to the vehicle by itself."""
        for name in ("fire", "police"):
            await self.bridge.hang_up((await self.leg(name)).leg)
        await self.until(lambda state: not _up(state, Party.AGENCY))
        for name in ("fire", "police"):
            await self.people.pop(name).leave()
        await self.join("operator", Party.OPERATOR, HANAKO)

    async def call_back(self) -> None:
        """The vehicle is cut off, is asked to call, and calls under the same leg."""
        known = await self.leg("vehicle")
        await self.people.pop("vehicle").leave()
        await self.until(lambda state: not _up(state, Party.VEHICLE))
        await self.order("call_vehicle")
        await self.join("vehicle", Party.VEHICLE, "vehicle", leg=known.leg)

    # --- what the steps are made of ---

    async def join(self, name: str, party: Party, who: str, *, leg: str = "") -> None:
        again = sum(known.startswith(name) for known in self.spoke)
        speaker = Speaker(self.directory, seed=20 + len(self.spoke))
        self.parties[name] = party, who
        self.people[name] = self.spoke[f"{name}{again or ''}"] = speaker
        answer = await self.bridge.connect(
            self.incident, leg=LegId(leg or new_id()), party=party, who=who, offer=await speaker.offer()
        )
        await speaker.take(answer)
        await self.until(lambda state: any(known.up and known.who == who for known in state.legs))

    async def _tell(self, agency: AgencyId, disclosure: str) -> None:
        decided = s.disclose(agency=agency, disclosure=disclosure)
        await self.journal.execute(self.incident, decided, actor="operator:hanako")

    async def _let_in(self, name: str, agency: AgencyId) -> None:
        await self.order("invite", agency=agency)
        invited = free_leg(await self.journal.state(self.incident), agency)
        await self.join(name, Party.AGENCY, agency, leg=invited.leg)

    async def _mode(self, name: str, *, held: bool) -> None:
        leg = (await self.leg(name)).leg
        await self.order("mode", leg=leg, held=held, muted=False)

    async def order(self, do: str, **fields: Any) -> None:
        await order(self.window, do, incident=self.incident, **fields)

    async def leg(self, name: str) -> Any:
        """Somebody's leg, once it is up."""
        _, who = self.parties[name]
        await self._call_again()
        await self.until(lambda state: any(leg.who == who and leg.up for leg in state.legs))
        return next(leg for leg in (await self.journal.state(self.incident)).legs if leg.who == who and leg.up)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition(await self.journal.state(self.incident)):
                await clock.wait(timedelta(milliseconds=20))


def _up(state: Incident, party: Party) -> bool:
    return any(leg.party is party and leg.up for leg in state.legs)


@asynccontextmanager
async def house(directory: Path, *, pause: timedelta) -> AsyncIterator[Drill]:
    keys = KeyStore(directory / "keys")
    spool = Spool(directory / "spool", keys.secret("spool"))
    async with (
        SqliteStore(directory / "journal.db") as store,
        EmbeddedProvider(directory / "recordings", clock=clock, outlive=False) as provider,
    ):
        await upgrade(store.engine)
        async with Journal(store, keys, spool, clock=clock) as journal:
            drill = Drill(directory, journal, provider, pause=pause)
            follower = Follower(Reader(name="bridge", handle=drill.bridge.handle), store, clock=clock)
            work = [
                asyncio.create_task(each) for each in (follower.run(), drill.bridge.run(), Deadlines(journal).watch())
            ]
            yield drill
            for task in work:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def play(directory: Path, *, seconds: float) -> Result:
    """The whole script in about ``seconds``, and what its recording says."""
    async with house(directory, pause=timedelta(seconds=seconds / STEPS)) as drill:
        await drill.play()
        state = await drill.journal.state(drill.incident)
        key = await drill.journal.data_key(drill.incident, Category.AUD)
    for speaker in drill.people.values():
        await speaker.leave()
    found: list[Found] = []
    tracks: list[str] = []
    for recording in state.recordings:
        sealed = drill.directory / "recordings" / drill.incident / recording.recording
        manifest = (sealed / "manifest.json").read_bytes()
        names = sorted({path.name.rsplit("-", 1)[0] for path in sealed.glob("*.chunk")})
        placed = {name: _placed(read_track(sealed, key, name, manifest=manifest)) for name in names}
        tracks += [name for name in names if placed[name].size]
        found += await asyncio.to_thread(laid_beside, placed, drill.spoke)
    return Result(
        found=tuple(found),
        tracks=tuple(tracks),
        recordings=len(state.recordings),
        cut_off=drill.cut_off,
        state=state,
    )


PARTY = {"vehicle": "vehicle", "operator": "operator", "fire": "agency", "police": "agency"}


def laid_beside(tracks: Mapping[str, Pcm], spoke: Mapping[str, Speaker]) -> list[Found]:
    """Where in one recording each piece of everybody's speech is.

    The vehicle was first, so its first words say where the recording begins; everybody else is looked for near there,
    and who is recorded at another time is not found at all.
    """
    epoch = _epoch(tracks["vehicle"], spoke["vehicle"])
    found: list[Found] = []
    for name, speaker in spoke.items():
        party = PARTY[name.rstrip("0123456789")]
        for track, pcm in tracks.items():
            if track.partition("-")[0] == party and speaker.times:
                found += _pieces(name, pcm, speaker, epoch)
    return found


def _epoch(pcm: Pcm, speaker: Speaker) -> float:
    """The recording's time less the loop's, from the first piece that is found for sure."""
    size = round(PIECE_S * RATE_HZ)
    for at in range(2 * size, 12 * size, size):
        score, lag = correlate(speaker.said[at : at + size], pcm[: 30 * RATE_HZ], RATE_HZ)
        if score >= SURE:
            return lag - speaker.said_at(at)
    raise AssertionError("what the vehicle said is not in its track")


def _pieces(name: str, pcm: Pcm, speaker: Speaker, epoch: float) -> list[Found]:
    size, found = round(PIECE_S * RATE_HZ), []
    said = np.tile(speaker.said, 1 + len(speaker.times) * FRAME // speaker.said.size)
    for at in range(0, len(speaker.times) * FRAME - size, EVERY * size):
        when = speaker.said_at(at)
        low = max(0, round((when + epoch - LOOK_S) * RATE_HZ))
        window = pcm[low : low + size + 2 * round(LOOK_S * RATE_HZ)]
        if window.size < size or not np.any(window):
            continue
        score, lag = correlate(said[at : at + size], window, RATE_HZ)
        if score >= SURE:
            found.append(Found(who=name, said_at=when, recorded_at=low / RATE_HZ + lag))
    return found


def _placed(packets: Any) -> Pcm:
    """A track as PCM with every packet in its place."""
    if not packets:
        return np.zeros(0, np.int16)
    decoder, whole = Decoder(), np.zeros(packets[-1][0] + 6 * FRAME, np.int16)
    for timestamp, payload in packets:
        pcm = decoder.decode(payload)
        whole[timestamp : timestamp + pcm.size] = pcm[: max(0, whole.size - timestamp)]
    return whole


async def main(minutes: float) -> int:
    with tempfile.TemporaryDirectory() as directory:
        result = await play(Path(directory), seconds=minutes * 60)
    counts = {who: sum(each.who == who for each in result.found) for who in sorted({f.who for f in result.found})}
    print(f"{result.recordings} recording(s), tracks {', '.join(result.tracks)}; pieces found {counts}")
    print(
        f"tracks lie within {result.apart_ms:.1f} ms of each other; {result.cut_off} calls were cut off and came back"
    )
    return 0 if result.apart_ms <= APART_MS else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12.0)
    sys.exit(asyncio.run(main(parser.parse_args().minutes)))
