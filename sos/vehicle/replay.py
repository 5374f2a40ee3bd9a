"""Replaying recorded crashes against a running service: at a chosen rate or as fast as it answers, each row once.

A second replay sends the same ids, so everything comes back as a repeat.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sos.clock import Clock
from sos.errors import SosError
from sos.vehicle import npa
from sos.vehicle.report import USUAL, NotAccepted, Patience, Sender, Taken

CONCURRENCY = 32
"""Connections at once: enough to fill a group commit, few enough for one client core."""


class Replayed(Struct, frozen=True, kw_only=True):
    """What became of one row."""

    path: str
    line: int
    event: str
    prefecture: str | None
    """Truth as ISO 3166-2; it was not sent."""
    incident: str | None = None
    repeat: bool = False
    durability: str | None = None
    latency_ms: float | None = None
    attempts: int = 1
    findings: tuple[str, ...] = ()
    """JSON paths of what the service found odd."""
    refused: str | None = None
    """Why the service did not take it."""


class ReplayResult(Struct, frozen=True, kw_only=True):
    sent: int
    accepted: int
    repeated: int
    refused: tuple[Replayed, ...]
    seconds: float
    p50_ms: float | None
    p99_ms: float | None
    rows: tuple[Replayed, ...]


Progressed = Callable[[Replayed], None]


async def replay(
    paths: Sequence[Path],
    *,
    base_url: str,
    key: str,
    clock: Clock,
    rate_per_s: float | None = None,
    concurrency: int = CONCURRENCY,
    patience: Patience = USUAL,
    progress: Progressed | None = None,
) -> ReplayResult:
    """Send every row of every file; ``rate_per_s`` None is as fast as answers come.

    A refused row is part of the result, never an error.  ``Malformed`` when a file is of no known layout.
    """
    for path in paths:
        npa.check(path)
    rows = _Pace(_all(paths), clock=clock, rate_per_s=rate_per_s)
    done: list[Replayed] = []
    began = clock.now()
    async with (
        Sender(base_url=base_url, key=key, clock=clock, patience=patience) as sender,
        asyncio.TaskGroup() as group,
    ):
        for number in range(concurrency):
            work = _work(rows, sender, clock=clock, done=done, progress=progress)
            group.create_task(work, name=f"replay {number}")
    return _result(done, seconds=(clock.now() - began).total_seconds())


def _all(paths: Sequence[Path]) -> Iterator[npa.Row]:
    for path in paths:
        yield from npa.read(path)


class _Pace:
    """Hands rows to many workers, each when its time has come: row ``n`` at ``n / rate`` after the first."""

    def __init__(self, rows: Iterable[npa.Row], *, clock: Clock, rate_per_s: float | None) -> None:
        self._rows = iter(rows)
        self._clock = clock
        self._gap = timedelta(seconds=1 / rate_per_s) if rate_per_s else timedelta(0)
        self._began = clock.now()
        self._given = 0

    async def next(self) -> npa.Row | None:
        """The next row, or None after the last."""
        row = next(self._rows, None)
        if row is not None and self._gap:
            due = self._began + self._gap * self._given
            self._given += 1
            ahead = due - self._clock.now()
            if ahead > timedelta(0):
                await self._clock.wait(ahead)
        return row


async def _work(
    rows: _Pace, sender: Sender, *, clock: Clock, done: list[Replayed], progress: Progressed | None
) -> None:
    while (row := await rows.next()) is not None:
        outcome = await _send(row, sender, clock=clock)
        done.append(outcome)
        if progress is not None:
            progress(outcome)


async def _send(row: npa.Row, sender: Sender, *, clock: Clock) -> Replayed:
    began = clock.now()
    outcome = Replayed(path=row.path, line=row.line, event=row.event.id, prefecture=row.prefecture_code)
    try:
        taken = await sender.send(row.event)
    except NotAccepted as error:
        why = error.problem.get("detail") or error.problem.get("title") or str(error)
        return msgspec.structs.replace(outcome, refused=f"{error.status}: {why}")
    return _taken(outcome, taken, latency_ms=(clock.now() - began) / timedelta(milliseconds=1))


def _taken(outcome: Replayed, taken: Taken, *, latency_ms: float) -> Replayed:
    return msgspec.structs.replace(
        outcome,
        incident=taken.incident,
        repeat=taken.repeat,
        durability=taken.durability,
        latency_ms=round(latency_ms, 3),
        attempts=taken.attempts,
        findings=tuple(str(problem.get("field")) for problem in taken.problems),
    )


def _result(done: Sequence[Replayed], *, seconds: float) -> ReplayResult:
    rows = tuple(sorted(done, key=lambda row: (row.path, row.line)))
    latencies = sorted(row.latency_ms for row in rows if row.latency_ms is not None)
    return ReplayResult(
        sent=len(rows),
        accepted=sum(row.incident is not None and not row.repeat for row in rows),
        repeated=sum(row.repeat for row in rows),
        refused=tuple(row for row in rows if row.refused is not None),
        seconds=round(seconds, 3),
        p50_ms=_quantile(latencies, 0.50),
        p99_ms=_quantile(latencies, 0.99),
        rows=rows,
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


# The command


def run_replay(
    paths: Sequence[Path],
    *,
    base_url: str,
    key: str,
    clock: Clock,
    rate_per_s: float | None = None,
    concurrency: int = CONCURRENCY,
    as_json: bool = False,
) -> int:
    """``sos vehicle replay``: progress on standard error, the result on standard output; 0 when nothing was refused."""
    console = Console(stderr=True, quiet=as_json)
    console.print(npa.ATTRIBUTION)
    try:
        total = sum(npa.count(path) for path in paths)
    except (SosError, OSError) as error:
        sys.stderr.write(f"sos vehicle replay: {error}\n")
        return 2
    with _bar(console) as bar:
        task = bar.add_task("replay", total=total)
        result = asyncio.run(
            replay(
                paths,
                base_url=base_url,
                key=key,
                clock=clock,
                rate_per_s=rate_per_s,
                concurrency=concurrency,
                progress=lambda _: bar.advance(task),
            )
        )
    _show(result, as_json=as_json)
    return 1 if result.refused else 0


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _show(result: ReplayResult, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(result), ensure_ascii=False) + "\n")
        return
    table = Table(title="Replay", show_header=False)
    rate = result.sent / result.seconds if result.seconds else 0.0
    odd = sum(bool(row.findings) for row in result.rows)
    for name, value in (
        ("sent", result.sent),
        ("accepted", result.accepted),
        ("repeats", result.repeated),
        ("with findings", odd),
        ("refused", len(result.refused)),
        ("seconds", f"{result.seconds:.1f} ({rate:.0f}/s)"),
        ("answer p50 / p99", f"{result.p50_ms} / {result.p99_ms} ms"),
    ):
        table.add_row(name, str(value))
    console = Console()
    console.print(table)
    for row in result.refused[:20]:
        console.print(f"{row.path}:{row.line} {row.refused}", markup=False)
