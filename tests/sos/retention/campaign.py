"""Many thousand incidents in real processes that are killed, at clocks that jump.

A child process lists, approves and runs what is due at the time it is told, and is killed with SIGKILL at any moment,
or told a time that cannot be.  Brands and classes take turns; the days are those on which something falls due.  In the
end each category of each incident was destroyed once, not before its second and within a day of it, and is certified.
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
from itertools import product
from pathlib import Path

from rich.progress import track

from recording.disposal import ClockDoubted
from recording.keys import KeyStore
from recording.retention import Period, Trigger
from recording.retention import house as tags
from routing.categories import Category
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import DataDestroyed, IncidentClosed
from sos.incident.model import Disposition, IncidentId, TenantId
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.retention_rows import RetentionRows
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.retention.configured import Retention
from sos.retention.disposals import Stage
from tests.journeys import story as s
from tests.sos.journal.reports import receipt, report
from tests.sos.retention.test_calendar import BRANDS

START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
DAYS, FEW_DAYS = 35, 1
"""Over how many days incidents are closed; the second where there are fewer than ``MANY``."""
MANY = 10_000
AT_ONCE = 64
DOUBTED = 3
"""Exit code of a child that did not believe its clock."""

AT_CLOSING, FOUR_WEEKS, HALF, YEAR, THREE = map(Period.parse, ("PT0S", "P4W", "P6M", "P1Y", "P3Y"))
PERIODS = (AT_CLOSING, FOUR_WEEKS, HALF, YEAR, THREE)
KINDS = tuple(product(BRANDS, (True, False)))
"""Brand, and whether it was a call for help that an agency took over."""
TO_BE_LATE = timedelta(days=1)
OF_INCIDENTS = {name for name, tag in tags().tags.items() if tag.trigger in (Trigger.CLOSE, Trigger.USE)}
"""The default classes that an incident's data falls under; the others are the registry's."""


def promised(brand: str, real: bool, category: Category) -> Period:
    """Read from the promises as people know them, not from the table that the service reads."""
    if brand == "eu":
        return AT_CLOSING
    if not real or (brand == "mini" and category in ("LOC", "SEV", "VEH", "TRK")):
        return FOUR_WEEKS
    if category is Category.AUD:
        return HALF if brand == "gmo" else YEAR
    return YEAR if category is Category.RAW else THREE


def days_of(many: int) -> int:
    return DAYS if many >= MANY else FEW_DAYS


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
                journal, keys, RetentionRows(store.engine), data=data, terms=BRANDS.__getitem__, database=database
            ),
            journal,
            clock,
        )


async def fill(data: Path, many: int) -> None:
    """``many`` calls of every brand, half of them for help, closed over the first days."""
    at_once = min(AT_ONCE, max(1, many // 16))
    async with house(data, START) as (rooms, journal, clock):
        await rooms.clocks.believed()
        for version in filter(None, (terms.version for terms in BRANDS.values())):
            for by in ("operator:hanako", "operator:jiro"):
                await rooms.rows.agree(version, by)

        async def close(number: int) -> None:
            brand, real = KINDS[number % len(KINDS)]
            received = await journal.open(
                report(number), tenant=TenantId(brand), receipt=receipt(number), received_at=clock.now()
            )
            for command in _until_closed(real=real):
                await journal.execute(received.incident, command, actor="operator:hanako")

        for start in track(range(0, many, at_once), description="closing"):
            await asyncio.gather(*(close(number) for number in range(start, min(many, start + at_once))))
            await clock.advance(timedelta(days=days_of(many)) * at_once / many)


def _until_closed(*, real: bool) -> tuple[c.Command, ...]:
    begun = (s.file_report(), s.take(), s.note(), s.start_recording(), s.seal_recording())
    if not real:
        return (*begun, c.CloseIncident(disposition=Disposition.FALSE_ALARM))
    return (*begun, s.disclose(), s.acknowledge(), c.CloseIncident(disposition=Disposition.HANDED_OVER))


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


def walk(data: Path, days: int, pick: random.Random) -> Counter[str]:
    """From one second at which something is due to the next: a child disposes, is killed, and starts again."""
    seen: Counter[str] = Counter()
    first = START + timedelta(days=days)
    closings = [START + timedelta(days=day) for day in range(days + 1)]
    due = {max(first, period.after(closing)) for period in PERIODS for closing in closings}
    for now in sorted(due):
        asyncio.run(settle(data, now - timedelta(seconds=1)))
        assert child(data, now - timedelta(seconds=1)) == 0
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
            (line["incident"], item["category"])
            for file in (data / "retention").glob("*.certificate.jsonl")
            for line in map(json.loads, file.read_text().splitlines())
            for item in line["items"]
        )
        walked = START + timedelta(days=days_of(many))
        position = 0
        closed: dict[IncidentId, datetime] = {}
        real: set[IncidentId] = set()
        sealed: set[tuple[IncidentId, str]] = set()
        while events := await journal.store.follow(position, limit=1000):
            position += len(events)
            for each in events:
                sealed |= {(each.incident, category) for category in each.commitments}
                if isinstance(each.event, IncidentClosed):
                    closed[each.incident] = each.at
                    if each.event.disposition is Disposition.HANDED_OVER:
                        real.add(each.incident)
                for item in each.event.disposed if isinstance(each.event, DataDestroyed) else ():
                    period = promised(each.tenant, each.incident in real, item.category)
                    due_at = period.after(closed[each.incident])
                    seen["destroyed"] += 1
                    seen[f"class {item.tag}"] += 1
                    seen["early"] += each.at < due_at
                    seen["late"] += each.at > max(due_at, walked) + TO_BE_LATE
        seen["left"] = (await rooms.rows.waits(walked + timedelta(days=36_500))).categories
        seen["uncertified"] = len(sealed - certified.keys())
        seen["twice"] = sum(count > 1 for count in certified.values())
        for kek in KeyStore(data / "keys").keks():
            seen["keys left"] += len(await journal.store.keys_under(kek, limit=1))
    assert len(closed) == many, seen
    assert seen["destroyed"] == certified.total() >= len(sealed), seen
    assert {name.removeprefix("class ") for name in seen if name.startswith("class ")} == OF_INCIDENTS, seen
    assert not any(seen[fault] for fault in ("early", "late", "left", "uncertified", "twice", "keys left")), seen
    return seen


def main(many: int, seed: int) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sos-retention-") as directory:
        data = Path(directory)
        asyncio.run(fill(data, many))
        filled = time.monotonic()
        walked = walk(data, days_of(many), random.Random(seed))
        seen = asyncio.run(check(data, many))
    print(
        f"{many} incidents, {len(BRANDS)} brands, {len(OF_INCIDENTS)} classes: {seen['destroyed']} items destroyed and"
        f" certified, {seen['early']} early, {seen['late']} late, {seen['left']} left, {walked['kills']} kills,"
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
