"""A house that accepts reports until it is killed: what ``test_sigkill`` starts, kills and starts again.

``python -m tests.sos.journal.accepting DIRECTORY``: for every line ``FIRST`` on standard input a child process accepts
reports numbered from ``FIRST`` on, several at once, and writes ``NUMBER INCIDENT DURABILITY`` once it may be believed.
Its first line is its process id.
"""

import asyncio
import os
import sys
from pathlib import Path

from recording.keys import KeyStore
from sos.clock import SystemClock
from sos.errors import Unavailable
from sos.journal.journal import Journal
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from tests.sos.journal.reports import TENANT, receipt, report

AT_ONCE = 8


async def accept(directory: Path, first: int) -> None:
    keys = KeyStore(directory / "keys")
    spool = Spool(directory / "spool", keys.secret("spool"))
    async with (
        SqliteStore(directory / "journal.db") as store,
        Journal(store, keys, spool, clock=SystemClock()) as journal,
    ):
        await journal.drain()
        await asyncio.gather(*(_accept_every(journal, first + k) for k in range(AT_ONCE)))


async def _accept_every(journal: Journal, number: int) -> None:
    while True:
        try:
            received = await journal.open(
                report(number), tenant=TENANT, receipt=receipt(number), received_at=journal.clock.now()
            )
        except Unavailable:
            continue
        os.write(1, f"{number} {received.incident} {received.durability}\n".encode())
        number += AT_ONCE


def main(directory: Path) -> None:
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            os.write(1, f"{os.getpid()}\n".encode())
            asyncio.run(accept(directory, int(line)))
            os._exit(1)
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
