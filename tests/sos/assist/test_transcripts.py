"""The live transcript with a real child process that misbehaves: calls, desks and journal do not care."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import structlog

from recording.keys import KeyStore
from routing.categories import Category
from sos.assist.child import Child
from sos.assist.listening.transcripts import LISTEN_EVERY, MOST_LINES, MOST_WAITING, Transcripts
from sos.assist.transcriber import Written
from sos.clock import ManualClock, SystemClock
from sos.errors import Unavailable
from sos.incident import commands as c
from sos.incident.model import Disposition, Incident, IncidentId, LegId, Party, TenantId
from sos.incident.report import CallBack, canonical
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.readers import Follower, Reader
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.media.heard import Heard, Line
from tests.journeys import story as s
from tests.sos.assist.test_child import STANDIN
from tests.sos.assist.test_utterances import quiet, spoken

CAR, DESK, FIRE = LegId("leg-car"), LegId("leg-desk"), LegId("leg-fire")
SENTENCE = np.concatenate([quiet(0.6), spoken(1.5, seed=1), quiet(0.9)])


class Ears:
    """What can be heard, as a test has it said."""

    def __init__(self) -> None:
        self.said: dict[IncidentId, list[Heard]] = {}
        self._at: dict[tuple[IncidentId, str], int] = {}
        self.forgotten: list[IncidentId] = []
        self.down = False

    def say(self, incident: IncidentId, party: str = "vehicle", *, leg: str = "") -> None:
        """One sentence."""
        at = self._at.get((incident, party), 0)
        self._at[incident, party] = at + SENTENCE.size
        self.said.setdefault(incident, []).append(Heard(party=party, leg=leg, begin=at, pcm=SENTENCE))

    async def more(self, incident: Incident, parties: Collection[Party]) -> Sequence[Heard]:
        if self.down:
            raise Unavailable("the recording cannot be read just now")
        return [heard for heard in self.said.pop(incident.id, []) if heard.party in parties]

    def forget(self, incident: IncidentId) -> None:
        self.forgotten.append(incident)


class House:
    """A journal, ears, and a transcriber that is a real program."""

    def __init__(self, journal: Journal, clock: ManualClock) -> None:
        self.journal, self.clock, self.ears = journal, clock, Ears()
        self.shown: list[tuple[IncidentId, Sequence[Line]]] = []
        self.desk_is_away = False
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, stack: AsyncExitStack, *, how: str = "", answer_within_s: float = 20.0) -> None:
        self.child = await stack.enter_async_context(
            Child(
                (sys.executable, STANDIN, how), Written, clock=self.clock, ready_within_s=20.0,
                answer_within_s=answer_within_s,
            )
        )  # fmt: skip
        self.transcripts = Transcripts(self.journal, self.ears, self.child, tell=self._tell)
        reader = Reader(name="transcript", handle=self.transcripts.handle, from_now=True)
        follower = Follower(reader, self.journal.store, clock=self.clock)
        self._tasks = [asyncio.create_task(work) for work in (follower.run(), self.transcripts.run())]
        stack.push_async_callback(self.close)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def call(self, language: str = "ja") -> IncidentId:
        """A vehicle in a call whose report names a language; by it the stand-in knows how to behave."""
        self._number += 1
        opened = await self.journal.open(
            s.open_incident(), tenant=TenantId("acme"), receipt=f"{self._number:032}".encode(),
            received_at=self.clock.now(),
        )  # fmt: skip
        parts = {Category.TEL: canonical(CallBack(tel="+81300000001", language=language))}
        filed = c.FileReport(sequence=1, located=False, parts=parts)
        for command in (filed, s.invite(CAR), s.join(CAR)):
            await self.journal.execute(opened.incident, command, actor="system:test")
        return opened.incident

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time go by until it holds; the program and the database answer in real time."""
        async with asyncio.timeout(60):
            while not condition():
                await self.clock.advance(LISTEN_EVERY)
                await SystemClock().wait(timedelta(milliseconds=5))

    def texts(self, incident: IncidentId) -> list[str]:
        return [line.text for line in self.transcripts.lines(incident)]

    async def _tell(self, incident: IncidentId, lines: Sequence[Line]) -> None:
        if self.desk_is_away:
            raise Unavailable("the journal is away")
        self.shown.append((incident, lines))


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    keys = KeyStore(tmp_path / "keys")
    async with SqliteStore(tmp_path / "journal.db") as store:
        await upgrade(store.engine)
        async with Journal(store, keys, Spool(tmp_path / "spool", keys.secret("spool")), clock=clock) as opened:
            yield opened


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def house(journal: Journal, clock: ManualClock) -> House:
    return House(journal, clock)


async def test_what_vehicle_and_agency_say_is_written_down_in_order_and_our_own_people_are_not(
    house: House, stack: AsyncExitStack
) -> None:
    incident = await house.call()
    await house.open(stack)
    house.ears.say(incident)
    await house.until(lambda: len(house.texts(incident)) == 1)
    house.ears.say(incident, "operator", leg=DESK)
    house.ears.say(incident, "agency", leg=FIRE)

    await house.until(lambda: len(house.texts(incident)) == 2)

    first, second = house.transcripts.lines(incident)
    assert (first.n, first.party, first.leg) == (1, "vehicle", "")
    assert (second.n, second.party, second.leg) == (2, "agency", FIRE)
    assert first.text.startswith("ja 2.")
    assert house.shown[-1] == (incident, (first, second))


@pytest.mark.parametrize(("how", "told"), [("die", [""]), ("garbage", [""]), ("fault", [""]), ("nothing", [])])
async def test_a_machine_that_fails_costs_a_line_and_the_next_call_is_written_down(
    house: House, stack: AsyncExitStack, how: str, told: list[str]
) -> None:
    bad, good = await house.call(how), await house.call("en")
    await house.open(stack)
    house.ears.say(bad)
    await house.until(lambda: bad not in house.ears.said)
    house.ears.say(good)

    await house.until(lambda: bool(house.texts(good)))

    assert house.texts(bad) == told
    assert house.texts(good)[0].startswith("en")
    assert house.transcripts.state == "ok"


async def test_a_machine_that_hangs_is_killed_and_no_line_of_it_comes_later(
    house: House, stack: AsyncExitStack
) -> None:
    bad, good = await house.call("hang"), await house.call("ja")
    await house.open(stack, answer_within_s=1.0)
    house.ears.say(bad)
    house.ears.say(good)

    await house.until(lambda: bool(house.texts(good)))

    assert house.texts(bad) == [""]
    assert house.child.starts == 2


async def test_answers_nobody_asked_for_are_given_to_nobody_else(house: House, stack: AsyncExitStack) -> None:
    flooded, other = await house.call("flood"), await house.call("en")
    await house.open(stack)
    for number in (1, 2):
        house.ears.say(flooded)
        await house.until(lambda number=number: len(house.texts(flooded)) == number)
        house.ears.say(other)
        await house.until(lambda number=number: len(house.texts(other)) == number)

    assert set(house.texts(flooded)) <= {"again and again", ""}
    assert "again and again" not in house.texts(other)


async def test_a_machine_that_never_comes_up_costs_nothing_but_the_transcript(
    house: House, stack: AsyncExitStack
) -> None:
    incident = await house.call()
    await house.open(stack, how="dies_at_once")
    for _ in range(5):
        house.ears.say(incident)

    await house.until(lambda: len(house.texts(incident)) == 5)

    assert house.texts(incident) == [""] * 5
    assert house.transcripts.state == "degraded"
    assert house.child.starts <= 4
    await house.journal.execute(incident, s.take(), actor="operator:hanako")  # the house goes on


async def test_when_it_cannot_keep_up_the_oldest_is_left_out_and_told(house: House, stack: AsyncExitStack) -> None:
    incident = await house.call("hang")
    await house.open(stack)
    await house.until(lambda: house.child.greeting is not None)
    house.ears.say(incident)
    await house.until(lambda: not house.transcripts._waiting and incident not in house.ears.said)  # it has the first
    for _ in range(MOST_WAITING + 3):
        house.ears.say(incident)

    await house.until(lambda: len(house.texts(incident)) == 3)

    assert house.texts(incident) == [""] * 3


async def test_no_more_is_kept_than_a_page_shows(house: House, stack: AsyncExitStack) -> None:
    incident = await house.call()
    await house.open(stack)
    for number in range(MOST_LINES + 5):
        house.ears.say(incident)
        await house.until(lambda number=number: bool(house.shown) and house.shown[-1][1][-1].n == number + 1)

    lines = house.transcripts.lines(incident)
    assert [line.n for line in lines] == list(range(6, MOST_LINES + 6))


async def test_a_closed_incident_is_forgotten_with_all_that_was_said(house: House, stack: AsyncExitStack) -> None:
    incident = await house.call()
    await house.open(stack)
    house.ears.say(incident)
    await house.until(lambda: bool(house.texts(incident)))

    await house.journal.execute(incident, s.take(), actor="operator:hanako")
    close = s.close(Disposition.NO_HELP_NEEDED)
    await house.journal.execute(incident, close, actor="operator:hanako")
    await house.until(lambda: incident in house.ears.forgotten)

    assert house.transcripts.lines(incident) == ()


async def test_a_call_that_begins_later_and_one_that_was_up_before_a_restart_are_both_heard(
    house: House, stack: AsyncExitStack
) -> None:
    before = await house.call()
    await house.open(stack)
    later = await house.call()
    house.ears.say(before)
    house.ears.say(later)

    await house.until(lambda: bool(house.texts(before)) and bool(house.texts(later)))


async def test_ears_and_desk_that_are_away_for_a_while_stop_nothing(house: House, stack: AsyncExitStack) -> None:
    incident = await house.call()
    await house.open(stack)
    house.ears.down, house.desk_is_away = True, True
    house.ears.say(incident)
    await house.clock.advance(10 * LISTEN_EVERY)
    house.ears.down = False
    await house.until(lambda: bool(house.texts(incident)))
    assert house.shown == []
    house.desk_is_away = False
    house.ears.say(incident)

    await house.until(lambda: bool(house.shown))

    assert len(house.shown[-1][1]) == 2


async def test_nothing_that_was_said_is_logged_or_journaled(
    house: House, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    incident, bad = await house.call("zz"), await house.call("die")
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
        await house.open(stack)
        before = len(await house.journal.store.stream(incident))
        for each in (incident, bad):
            house.ears.say(each)
        await house.until(lambda: bool(house.texts(incident)) and bool(house.texts(bad)))

    assert "zz 2." not in repr(logged) + caplog.text
    assert len(await house.journal.store.stream(incident)) == before
    parts = await house.journal.unseal(incident, tuple(Category))
    assert not [part for part in parts if b"zz 2." in part.payload]
