"""A door and the service over their socket: who takes a report, and that it is one incident whoever does."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from sos.clock import SystemClock
from sos.errors import Malformed, Unavailable
from sos.incident.model import IncidentId, TenantId, new_id
from sos.intake import handed
from sos.intake.acceptance import Acceptance, Accepted, Came
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.relay import AGAIN, MOST_UNSENT_BYTES, UNDER_WAY, Relay
from sos.intake.simulated import MemoryReception
from sos.intake.spooling import SpoolReception
from sos.intake.tenants import Tenant
from sos.intake.writer import AT_ONCE, NAME, Writer, local
from sos.journal.spool import Spool
from tests.sos.intake.test_acceptance import ACME, CLOUD, OTHER, event

NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
SECRET = b"a secret for tests, 32 bytes long"
WITHIN = timedelta(milliseconds=300)
CAR = Came(connection="a car")


class Stalled(MemoryReception):
    """A journal that answers only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = asyncio.Event()
        self.turns.set()

    async def open(self, *command: object, **more: object) -> object:  # type: ignore[override]
        await self.turns.wait()
        return await super().open(*command, **more)  # type: ignore[arg-type]


class Doors:
    """A service with its socket in a directory, and a door that knows it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reception = Stalled()
        self.receipts = Receipts(SECRET)
        self.spool = Spool(directory / "1", os.urandom(32))
        own = Acceptance(SpoolReception(self.spool), self.receipts, Recent())
        self.relay = Relay(directory, own, self.spool, clock=SystemClock(), within=WITHIN, door=1)
        self._service = AsyncExitStack()
        self.writer: Writer | None = None

    async def serve(self, *tenants: Tenant) -> None:
        acceptance = Acceptance(self.reception, self.receipts, Recent())
        self.writer = Writer(acceptance, self.reception, tenants={each.id: each for each in tenants or (ACME,)})
        await self._service.enter_async_context(self.writer.listening(self.directory))

    async def end(self) -> None:
        await self._service.aclose()

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not so():
                await SystemClock().wait(timedelta(milliseconds=5))

    async def until_sound(self, sound: bool = True) -> None:
        await self.until(lambda: self.relay.sound is sound)

    async def take(self, body: bytes, *, tenant: Tenant = ACME, by: Came = CAR) -> Accepted:
        return await self.relay.take(body, content_type=CLOUD, tenant=tenant, received_at=NOW, by=by)

    @property
    def incidents(self) -> list[IncidentId]:
        return [opened.incident for opened in self.reception.opened]


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    opened = Doors(tmp_path)
    await opened.spool.open()
    running = asyncio.create_task(opened.relay.run())
    yield opened
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await opened.end()


def nameless(number: int) -> bytes:
    made = json.loads(event())
    del made["id"], made["source"]
    made["data"]["crash"] = {"deltaV": number}
    return json.dumps(made).encode()


async def test_a_report_is_taken_by_the_service_and_the_door_keeps_nothing(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()

    accepted = await doors.take(event())
    again = await doors.take(event())

    assert (accepted.durability, accepted.new, len(doors.spool)) == ("committed", True, 0)
    assert (again.incident, again.repeat) == (accepted.incident, True)
    assert doors.incidents == [accepted.incident]


@pytest.mark.parametrize("body", [event(), nameless(1)], ids=["named", "nameless"])
async def test_without_a_service_the_door_keeps_it_and_the_service_that_comes_has_it_under_the_same_id(
    doors: Doors, body: bytes
) -> None:
    alone = await doors.take(body)
    again = await doors.take(body)
    kept = len(doors.spool)
    await doors.serve()
    await doors.until_sound()
    later = await doors.take(body)

    assert (alone.durability, again.incident, again.repeat, kept) == ("spooled", alone.incident, True, 1)
    assert doors.incidents == [alone.incident]
    assert (later.incident, later.repeat, len(doors.spool)) == (alone.incident, True, 0)


@pytest.mark.parametrize("body", [event(), nameless(1)], ids=["named", "nameless"])
async def test_a_service_that_hangs_and_goes_on_has_taken_the_same_incident(doors: Doors, body: bytes) -> None:
    await doors.serve()
    await doors.until_sound()
    doors.reception.turns.clear()

    alone = await doors.take(body)
    sound = doors.relay.sound
    doors.reception.turns.set()
    await doors.until(lambda: len(doors.spool) == 0)

    assert (alone.durability, sound) == ("spooled", False)
    assert doors.incidents == [alone.incident]


async def test_while_the_service_hangs_nobody_waits_for_it_twice(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()
    doors.reception.turns.clear()
    await doors.take(event(id="1"))
    doors.relay.sound = False  # as it stands until the next look

    async with asyncio.timeout(WITHIN.total_seconds() / 2):
        accepted = await doors.take(event(id="2"))

    assert accepted.durability == "spooled"
    doors.reception.turns.set()


async def test_what_is_no_emergency_is_refused_in_the_words_of_the_service(doors: Doors) -> None:
    with pytest.raises(Malformed) as alone:
        await doors.take(b"[]")
    await doors.serve()
    await doors.until_sound()

    with pytest.raises(Malformed) as handed_over:
        await doors.take(b"[]")

    assert (str(handed_over.value), handed_over.value.field) == (str(alone.value), alone.value.field)
    assert len(doors.spool) == 0


async def test_what_nobody_looks_at_goes_the_same_way(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()

    accepted = await doors.relay.take_unread(b"\xff\x00", tenant=ACME, received_at=NOW, by=CAR)

    assert doors.incidents == [accepted.incident]
    assert doors.reception.last.readable is False


async def test_when_the_service_can_keep_it_nowhere_the_door_does(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()
    doors.reception.failing.append(Unavailable("neither"))

    accepted = await doors.take(event())
    await doors.until(lambda: len(doors.spool) == 0)

    assert accepted.durability == "spooled"
    assert doors.incidents == [accepted.incident]


async def test_a_fault_of_the_service_costs_no_report(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()
    doors.reception.failing += [ValueError("ours"), ValueError("ours, in the second try")]

    accepted = await doors.take(event())
    await doors.until(lambda: len(doors.spool) == 0)

    assert accepted.durability == "spooled"
    assert doors.incidents == [accepted.incident]


async def test_a_tenant_that_the_service_does_not_know_yet_holds_up_no_other(doors: Doors) -> None:
    await doors.take(event(id="1"), tenant=OTHER)
    mine = await doors.take(event(id="2"))
    await doors.serve(ACME)
    await doors.until_sound()

    assert doors.incidents == [mine.incident]
    assert len(doors.spool) == 1
    await doors.end()
    await doors.until_sound(False)
    await doors.serve(ACME, OTHER)
    await doors.until(lambda: len(doors.spool) == 0)
    assert len(doors.incidents) == 2


async def test_a_disk_that_takes_nothing_acknowledges_nothing(doors: Doors, tmp_path: Path) -> None:
    (tmp_path / "1").rmdir()
    (tmp_path / "1").write_bytes(b"no directory")

    with pytest.raises(Unavailable):
        await doors.take(event())


async def test_reports_of_one_moment_share_their_writes(doors: Doors) -> None:
    put, writes = doors.spool.put, []

    async def counted(reports):  # type: ignore[no-untyped-def]
        writes.append(len(reports))
        return await put(reports)

    doors.spool.put = counted  # type: ignore[method-assign]
    accepted = await asyncio.gather(*(doors.take(event(id=str(number))) for number in range(50)))

    assert sum(writes) == 50
    assert len(writes) < 10
    assert len({each.incident for each in accepted}) == len(doors.spool) == 50


async def test_more_under_way_than_there_may_be_are_kept_at_once(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()
    doors.reception.turns.clear()

    many = [asyncio.create_task(doors.take(nameless(number))) for number in range(UNDER_WAY + 20)]
    first, _ = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    assert first <= set(many[UNDER_WAY:])
    accepted = await asyncio.gather(*many)
    doors.reception.turns.set()
    await doors.until(lambda: len(doors.spool) == 0)

    assert {each.durability for each in accepted} == {"spooled"}
    assert sorted(doors.incidents) == sorted(each.incident for each in accepted)


async def test_a_report_that_no_frame_holds_is_kept_and_holds_up_no_other(doors: Doors) -> None:
    await doors.serve()
    await doors.until_sound()
    long = json.loads(nameless(1)) | {"comment": "x" * handed.MOST_BYTES}

    kept = await doors.take(json.dumps(long).encode())
    looks = 0
    while looks < 3:  # it is tried again, and the door stays with the service
        await SystemClock().wait(AGAIN)
        looks += 1
    other = await doors.take(event())

    assert (kept.durability, other.durability) == ("spooled", "committed")
    assert (doors.relay.sound, len(doors.spool)) == (True, 1)


async def test_no_more_is_held_for_a_service_that_reads_nothing_than_there_may_be(doors: Doors) -> None:
    async def reads_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await doors.reception.turns.wait()
        reader.feed_eof()

    doors.reception.turns.clear()
    with local(doors.directory) as path:
        server = await asyncio.start_unix_server(reads_nothing, path)
    await doors.until(lambda: doors.relay._writer is not None)
    doors.relay.sound = True
    large = json.loads(nameless(1)) | {"comment": "x" * 200_000}

    many = [
        asyncio.create_task(doors.take(json.dumps(large | {"number": number}).encode()))
        for number in range(MOST_UNSENT_BYTES // 200_000 + 40)
    ]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    held = doors.relay._unsent_bytes
    accepted = await asyncio.gather(*many)
    doors.reception.turns.set()
    server.close()

    assert held <= MOST_UNSENT_BYTES + handed.MOST_BYTES
    assert {each.durability for each in accepted} == {"spooled"}


@pytest.mark.parametrize(
    "said", [b"\xff\xff\xff\xff", b"\0\0\0\2\xc1\xc1", b"GET / HTTP/1.1\r\n\r\n"], ids=["endless", "foreign", "http"]
)
async def test_a_stranger_at_the_socket_is_sent_away_and_the_door_goes_on(doors: Doors, said: bytes) -> None:
    await doors.serve()
    await doors.until_sound()

    with local(doors.directory) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    writer.write(said)
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()

    assert (await doors.take(event())).durability == "committed"


async def test_a_service_that_speaks_otherwise_is_as_good_as_none(doors: Doors) -> None:
    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\3abc")
        await writer.drain()

    with local(doors.directory) as path:
        server = await asyncio.start_unix_server(nonsense, path)
    await doors.until(lambda: doors.relay._writer is not None)

    assert (await doors.take(event())).durability == "spooled"
    server.close()


async def test_the_socket_is_for_its_user_alone_and_its_directory_may_have_a_long_name(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    opened = Doors(directory)
    before = os.umask(0o077)
    await opened.serve()
    os.umask(before)

    assert (directory / NAME).stat().st_mode & 0o077 == 0
    await opened.end()


async def test_the_figures_say_how_many_doors_there_are_and_what_waits_with_them(doors: Doors) -> None:
    await doors.take(event(id="1"), tenant=OTHER)
    await doors.serve()
    await doors.until_sound()

    def told(name: str) -> float | None:
        assert doors.writer is not None
        return doors.writer.figures.get_sample_value(name)

    await doors.until(lambda: (told("sos_doors"), told("sos_door_spool_reports")) == (1, 1))


async def test_a_door_that_goes_while_it_says_what_waits_leaves_nothing_in_the_figures(doors: Doors) -> None:
    await doors.serve()
    assert doors.writer is not None
    figures = doors.writer.figures
    with local(doors.directory) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    many = range(2 * AT_ONCE)  # more than are under way: the last is begun when the end is here already
    writer.write(b"".join(handed.framed(handed.Standing(number=each, door=9, spooled=7)) for each in many))
    writer.write_eof()
    await reader.read()
    writer.close()

    await doors.until(lambda: figures.get_sample_value("sos_doors") == 1)  # the fixture's own

    assert figures.get_sample_value("sos_door_spool_reports") == 0


def test_a_frame_holds_the_largest_body_with_all_that_is_known_of_it() -> None:
    largest = handed.Report(
        number=2**62,
        body=b"x" * 256 * 1024,
        content_type="c" * 8190,
        tenant=TenantId("t" * 255),
        received_at=NOW,
        incident=IncidentId(new_id()),
        key="k" * 8190,
        findings=("f" * 200,) * 20,
        connection="c" * 8190,
    )

    assert len(handed.framed(largest)) < handed.MOST_BYTES
    assert handed.questions.decode(handed.framed(largest)[4:]) == largest
    assert replace(largest, number=1) != largest
