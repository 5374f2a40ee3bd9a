"""Many thousand incidents in real processes that are killed, at clocks that jump.

A child process lists, approves and runs what is due at the time it is told, and is killed with SIGKILL at any moment,
or told a time that cannot be.  In the end each incident was destroyed once, not before its second, and is certified.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.progress import track

from recording.disposal import ClockDoubted
from recording.keys import KeyStore
from recording.retention import HOUSE, Period
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import DataDestroyed
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.retention_rows import RetentionRows
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.retention.configured import Retention
from sos.retention.disposals import Stage
from tests.journeys import story as s
from tests.sos.journal.reports import incident

START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
DAYS = 35
AT_ONCE = 64
DOUBTED = 3
"""Exit code of a child that did not believe its clock."""

FOUR_WEEKS = Period.parse("P4W")


@asynccontextmanager
async def house(data: Path, now: datetime) -> AsyncIterator[tuple[Retention, Journal, ManualClock]]:
    clock, keys = ManualClock(now), KeyStore(data / "keys")
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=clock)

        async def database() -> datetime:
            return clock.now()

        yield (
            Retention.of(
                journal, keys, RetentionRows(store.engine), data=data, terms=lambda _: HOUSE, database=database
            ),
            journal,
            clock,
        )


async def fill(data: Path, many: int) -> None:
    """``many`` calls that were none, closed over the first days."""
    async with house(data, START) as (rooms, journal, clock):
        await rooms.clocks.believed()

        async def close(number: int) -> None:
            opened = await incident(journal, number)
            for command in (s.take(), c.CloseIncident(disposition=Disposition.FALSE_ALARM)):
                await journal.execute(opened, command, actor="operator:hanako")

        for start in track(range(0, many, AT_ONCE), description="closing"):
            await asyncio.gather(*(close(number) for number in range(start, min(many, start + AT_ONCE))))
            await clock.advance(timedelta(days=DAYS) * AT_ONCE / many)


async def dispose(data: Path, now: datetime) -> None:
    """As a child: what is due at ``now``, those that were begun first."""
    async with house(data, now) as (rooms, _, _clock):
        begun = [each for each in await rooms.disposals.all() if each.stage is not Stage.DONE]
        if not begun and (listed := await rooms.executor.list_due(actor="system:campaign")) is not None:
            begun = [listed.disposal]
        for each in begun:
            for by in ("operator:hanako", "operator:jiro"):
                if by not in each.approved:
                    await rooms.executor.approve(each.disposal, by=by)
            await rooms.executor.run(each.disposal)
        await rooms.overseer.end_keys()


def child(data: Path, now: datetime, *, killed_after_s: float | None = None) -> int:
    command = [sys.executable, "-m", "tests.sos.retention.campaign", "--child", str(data), now.isoformat()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with suppress(subprocess.TimeoutExpired):
        _, told = process.communicate(timeout=killed_after_s)
        if process.returncode not in (0, DOUBTED):
            sys.stderr.write(told.decode()[-2000:])
        return process.returncode
    process.kill()
    process.communicate()
    return -9


def walk(data: Path, pick: random.Random) -> Counter[str]:
    """Days go by; every few of them a child disposes, is killed, and starts again."""
    seen: Counter[str] = Counter()
    now = START + timedelta(days=DAYS)
    asyncio.run(settle(data, now))
    for _ in range(DAYS + 1):
        now += timedelta(days=1)
        jump = pick.choice((0, 0, 0, -400, 90, 36_500))
        if jump:
            seen["jumps"] += 1
            assert child(data, now + timedelta(days=jump)) == DOUBTED, "a clock that jumped was believed"
            asyncio.run(settle(data, now))
        for _ in range(pick.randrange(3)):
            seen["kills"] += child(data, now, killed_after_s=0.6 + 3 * pick.random()) == -9
        assert child(data, now) == 0
    assert child(data, now + timedelta(hours=2)) == 0
    return seen


async def settle(data: Path, now: datetime) -> None:
    async with house(data, now) as (rooms, _, _clock):
        await rooms.clocks.settle()


async def check(data: Path, many: int) -> Counter[str]:
    """What is so in the end; ``AssertionError`` where it must not be."""
    seen: Counter[str] = Counter()
    async with house(data, START) as (rooms, journal, _clock):
        certified = Counter(
            json.loads(line)["incident"]
            for file in (data / "retention").glob("*.certificate.jsonl")
            for line in file.read_text().splitlines()
        )
        position = 0
        closed: dict[IncidentId, datetime] = {}
        while events := await journal.store.follow(position, limit=1000):
            position += len(events)
            for each in events:
                if type(each.event).__name__ == "IncidentClosed":
                    closed[each.incident] = FOUR_WEEKS.after(each.at)
                if isinstance(each.event, DataDestroyed):
                    seen["destroyed"] += 1
                    seen["early"] += each.at < closed[each.incident]
        seen["left"] = (await rooms.rows.waits(datetime(2027, 1, 1, tzinfo=UTC))).categories
        seen["uncertified"] = len(closed.keys() - certified.keys())
        seen["twice"] = sum(count > 1 for count in certified.values())
        keks = [kek for kek in KeyStore(data / "keys").keks() if kek.startswith("nonincident-4w.2026-0")]
        seen["keys left"] = len([kek for kek in keks if await journal.store.keys_under(kek, limit=1)])
    assert seen["destroyed"] == len(closed) == many, seen
    assert not any(seen[fault] for fault in ("early", "left", "uncertified", "twice", "keys left")), seen
    return seen


def main(many: int, seed: int) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sos-retention-") as directory:
        data = Path(directory)
        asyncio.run(fill(data, many))
        filled = time.monotonic()
        walked = walk(data, random.Random(seed))
        seen = asyncio.run(check(data, many))
    print(
        f"{many} incidents: {seen['destroyed']} destroyed and certified, 0 early, 0 left, {walked['kills']} kills,"
        f" {walked['jumps']} jumps of the clock; filled in {filled - began:.0f} s, all {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        try:
            asyncio.run(dispose(Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])))
        except ClockDoubted:
            sys.exit(DOUBTED)
    else:
        main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
