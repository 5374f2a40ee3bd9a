"""Killed at any moment: whatever a vehicle was told is kept, once."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from recording.keys import KeyStore
from sos.clock import SystemClock
from sos.journal.journal import Journal
from sos.journal.spool import Spool
from tests.sos.journal.conftest import SqliteDatabase
from tests.sos.journal.reports import TENANT, check_order, receipt, report

ROOT = Path(__file__).resolve().parents[3]
KILLS = 20


async def _killed(house: asyncio.subprocess.Process, *, first: int, after: int) -> dict[int, tuple[str, str]]:
    """What a house said to have accepted until it was killed, some reports after the first."""
    assert house.stdin is not None
    assert house.stdout is not None
    house.stdin.write(f"{first}\n".encode())
    child = int(await house.stdout.readline())
    said: dict[int, tuple[str, str]] = {}
    killed = False
    while (line := await house.stdout.readline()) != b"dead\n":
        number, incident, durability = line.decode().split()
        said[int(number)] = (incident, durability)
        if len(said) >= after and not killed:
            os.kill(child, signal.SIGKILL)
            killed = True
    return said


async def test_everything_acknowledged_before_a_kill_is_there_afterwards_exactly_once(
    sqlite_database: SqliteDatabase, tmp_path: Path
):
    moments = random.Random(119)
    house = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sos.journal.accepting", str(tmp_path),
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said: dict[int, tuple[str, str]] = {}
    async with asyncio.timeout(60):
        for round_ in range(KILLS):
            said |= await _killed(house, first=round_ * 100_000, after=moments.randint(1, 60))
        assert house.stdin is not None
        house.stdin.close()
        await house.wait()

    keys = KeyStore(tmp_path / "keys")
    spool = Spool(tmp_path / "spool", keys.secret("spool"))
    async with sqlite_database.store() as store, Journal(store, keys, spool, clock=SystemClock()) as journal:
        await journal.drain()
        for number, (incident, _) in said.items():
            again = await journal.open(
                report(number), tenant=TENANT, receipt=receipt(number), received_at=journal.clock.now()
            )
            assert (again.incident, again.repeat) == (incident, True)
            assert (await store.stream(again.incident))[0].n == 1
        total, _ = await store.tree()
        leaves = await store.leaves(0, limit=total + 1)
        assert len(said) >= KILLS
        assert len(leaves) == total >= len(said)
        await check_order_after_restart(journal, total)


async def check_order_after_restart(journal: Journal, total: int) -> None:
    one_more = await journal.open(
        report(9_999_999), tenant=TENANT, receipt=receipt(9_999_999), received_at=journal.clock.now()
    )
    assert not one_more.repeat
    await check_order(journal.store, total + 1)
