"""A registrar's sheet, read in a process of its own that has an end: nobody's call waits for a file.

The door hands the bytes to ``sheet_child`` and gets its lines back one by one.  What takes more time or memory than a
sheet of a size that we take is refused in words, and the process is killed.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from sos.errors import Bug, Malformed
from sos.incident.model import TenantId
from sos.registry.sheet import Finding, Row, Sheet

AT_ONCE = 2
"""Sheets that are read at a time, whoever sends them; the next ones wait."""

_PIECE = 64 * 1024
_TOO_MUCH = "the file takes more time or memory to read than one of 64 MiB may; split it"


class Limits(Struct, frozen=True, kw_only=True):
    """What one reading may take.  64 MiB of good rows take about 15 s and 600 MiB."""

    within: timedelta = timedelta(seconds=60)
    cpu_s: int = 40
    memory_bytes: int = 1536 * 1024 * 1024


class Wanted(Struct, frozen=True, kw_only=True):
    """The first line that the child gets; the file follows."""

    brands: tuple[TenantId, ...]
    now: datetime
    cpu_s: int
    memory_bytes: int


class Took(Struct, frozen=True, kw_only=True, tag="row"):
    row: Row


class Odd(Struct, frozen=True, kw_only=True, tag="finding"):
    finding: Finding


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    encoding: str
    total: int


class Not(Struct, frozen=True, kw_only=True, tag="refused"):
    why: str
    field: str = "$"


Line = Took | Odd | Done | Not
"""What the child says, one a line; the last is ``Done`` or ``Not``."""

_line = msgspec.json.Decoder(Line)


class SheetReading:
    """``AT_ONCE`` at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def read(self, content: bytes, *, brands: Collection[TenantId], now: datetime) -> Sheet:
        """As ``sheet.read``; ``Malformed`` also when it takes too long or too much."""
        limits = self._limits
        wanted = Wanted(brands=tuple(brands), now=now, cpu_s=limits.cpu_s, memory_bytes=limits.memory_bytes)
        try:
            async with self._room, asyncio.timeout(limits.within.total_seconds()), _child() as child:
                await _send(child, msgspec.json.encode(wanted) + b"\n", content)
                return await _heard(child)
        except TimeoutError:
            raise Malformed(_TOO_MUCH) from None


@asynccontextmanager
async def _child() -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, which is gone when the context is left, however that happens."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sos.registry.sheet_child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _send(child: asyncio.subprocess.Process, *contents: bytes) -> None:
    """In pieces, so that no turn of the loop copies a whole file.  A child that has gone says why by itself."""
    stdin = child.stdin
    assert stdin is not None
    with suppress(ConnectionError):
        for content in contents:
            for at in range(0, len(content), _PIECE):
                stdin.write(memoryview(content)[at : at + _PIECE])
                await stdin.drain()
        stdin.close()


async def _heard(child: asyncio.subprocess.Process) -> Sheet:
    rows: list[Row] = []
    findings: list[Finding] = []
    assert child.stdout is not None
    async for text in child.stdout:
        match _line.decode(text):
            case Took(row=row):
                rows.append(row)
            case Odd(finding=finding):
                findings.append(finding)
            case Done(encoding=encoding, total=total):
                return Sheet(encoding=encoding, rows=tuple(rows), findings=tuple(findings), total=total)
            case Not(why=why, field=field):
                raise Malformed(why, field=field)
    if await child.wait() < 0:  # a signal: its limit of time, or the system's of memory
        raise Malformed(_TOO_MUCH)
    raise Bug("the process that reads sheets ended without a word")
