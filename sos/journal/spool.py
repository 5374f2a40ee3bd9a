"""The disk spool: where reports become durable while the database is slow or away.

A file of sealed frames, fsync'ed before anybody is told.  It is drained in order once the database is back; draining
twice does no harm, since every frame carries its receipt.  A torn frame at the end is the one write that was never
acknowledged, and is dropped.  A whole frame that does not open was acknowledged once: it is set aside in
``spool.damaged``, for a person with the right key, and those after it are drained all the same.
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from recording.errors import RecordingError
from recording.vault import seal, unseal
from sos.errors import Unavailable
from sos.incident.commands import OpenIncident
from sos.incident.model import IncidentId, Mode, TenantId

log = structlog.get_logger()

_LENGTH_BYTES = 4
_CONTEXT = b"sos-spool/1"


class Spooled(Struct, frozen=True, kw_only=True):
    """A report as it will be opened: the incident id was told to the vehicle already."""

    incident: IncidentId
    tenant: TenantId
    receipt: bytes
    received_at: datetime
    command: OpenIncident
    sender: str = ""
    """The vehicle, as a keyed digest."""


class Held(Struct, frozen=True, gc=False):
    """What is remembered of a report that waits: no personal data."""

    incident: IncidentId
    digest: str
    """Of its bytes."""
    tenant: TenantId
    received_at: datetime
    mode: Mode


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Spooled)


class Spool:
    """Frames in ``directory/spool``.  One process owns a directory."""

    def __init__(self, directory: Path, key: bytes) -> None:
        self._path = directory / "spool"
        self._aside = directory / "spool.aside"
        self._key = key
        self._lock = asyncio.Lock()
        self._held: dict[bytes, Held] = {}
        self._by_incident: dict[IncidentId, Held] = {}
        self.oldest: datetime | None = None
        """When the oldest waiting report came in: its age is an alarm."""

    async def open(self) -> None:
        """Cut off what a killed process left half written, so that later frames can be read."""
        async with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            data = await asyncio.to_thread(_read, self._path)
            frames = _frames(data)
            whole = sum(_LENGTH_BYTES + len(frame) for frame in frames)
            reports = self._open_all(frames)
            if len(reports) < len(frames):
                log.error("spool_damaged", frames=len(frames) - len(reports))
                await asyncio.to_thread(_append, self._path.with_suffix(".damaged"), data[:whole])
                await asyncio.to_thread(_replace, self._path, b"".join(self._frame(report) for report in reports))
            elif whole < len(data):
                await asyncio.to_thread(_cut, self._path, whole)
        self._hold(reports)

    def __len__(self) -> int:
        """How many reports wait."""
        return len(self._held)

    def holds(self, receipt: bytes) -> IncidentId | None:
        """The incident that a waiting report with this receipt will open."""
        held = self._held.get(receipt)
        return None if held is None else held.incident

    def digest(self, receipt: bytes) -> str:
        """Of the bytes of the waiting report with this receipt; empty when none waits."""
        held = self._held.get(receipt)
        return "" if held is None else held.digest

    def waits(self, incident: IncidentId) -> Held | None:
        """The report that will open ``incident``; None when none waits."""
        return self._by_incident.get(incident)

    async def put(self, reports: Sequence[Spooled]) -> Sequence[Spooled]:
        """Keep ``reports`` on disk and return those that did not wait here before; ``Unavailable`` when it is full."""
        async with self._lock:
            first = {report.receipt: report for report in reversed(reports) if report.receipt not in self._held}
            new = [report for report in reports if first.get(report.receipt) is report]
            try:
                await asyncio.to_thread(_append, self._path, b"".join(self._frame(report) for report in new))
            except OSError as failed:
                raise Unavailable(f"neither the database nor the spool can keep it ({failed.strerror})") from failed
            self._remember(new)
        if new and self.oldest is None:
            self.oldest = new[0].received_at
        return new

    async def waiting(self) -> Sequence[Spooled]:
        """Everything not drained yet, oldest first."""
        async with self._lock:
            reports = self._open_all(_frames(await asyncio.to_thread(_read, self._path)))
        self.oldest = reports[0].received_at if reports else None
        return reports

    async def drop(self, receipts: Collection[bytes]) -> None:
        """Forget those with ``receipts``: the database has them."""
        async with self._lock:
            rest = await self._without(self._path, receipts)
            self._hold(rest)

    async def put_aside(self, report: Spooled) -> None:
        """Keep ``report`` beside the spool, in ``spool.aside``: the database answers and cannot take it."""
        async with self._lock:
            await asyncio.to_thread(_append, self._aside, self._frame(report))

    async def aside(self) -> Sequence[Spooled]:
        """What lies beside the spool."""
        async with self._lock:
            return self._open_all(_frames(await asyncio.to_thread(_read, self._aside)))

    async def forget_aside(self, receipt: bytes) -> None:
        """The database has it after all."""
        async with self._lock:
            await self._without(self._aside, {receipt})

    async def _without(self, path: Path, receipts: Collection[bytes]) -> Sequence[Spooled]:
        """What is left in the file when those with ``receipts`` have been taken out."""
        found = self._open_all(_frames(await asyncio.to_thread(_read, path)))
        rest = [report for report in found if report.receipt not in receipts]
        await asyncio.to_thread(_replace, path, b"".join(self._frame(report) for report in rest))
        return rest

    def _hold(self, reports: Sequence[Spooled]) -> None:
        self._held, self._by_incident = {}, {}
        self._remember(reports)
        self.oldest = reports[0].received_at if reports else None

    def _remember(self, reports: Sequence[Spooled]) -> None:
        for report in reports:
            command = report.command
            held = Held(report.incident, command.report_digest, report.tenant, report.received_at, command.mode)
            self._held[report.receipt] = self._by_incident[report.incident] = held

    def _frame(self, report: Spooled) -> bytes:
        sealed = seal(self._key, _encoder.encode(report), context=_CONTEXT).ciphertext
        return len(sealed).to_bytes(_LENGTH_BYTES) + sealed

    def _open_all(self, frames: Sequence[bytes]) -> list[Spooled]:
        """What opens of ``frames``, in order."""
        reports: list[Spooled] = []
        for frame in frames:
            with suppress(RecordingError, msgspec.MsgspecError):
                reports.append(_decoder.decode(unseal(self._key, frame, context=_CONTEXT).payload))
        return reports


def _frames(data: bytes) -> list[bytes]:
    """The whole frames in ``data``, without their lengths."""
    frames: list[bytes] = []
    start = 0
    while start + _LENGTH_BYTES <= len(data):
        end = start + _LENGTH_BYTES + int.from_bytes(data[start : start + _LENGTH_BYTES])
        if end > len(data):
            break
        frames.append(data[start + _LENGTH_BYTES : end])
        start = end
    return frames


def _append(path: Path, frames: bytes) -> None:
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            written = os.write(descriptor, frames)
            if written != len(frames):
                raise OSError(28, "the disk is full")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if fresh:
        _sync_directory(path.parent)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _replace(path: Path, frames: bytes) -> None:
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(frames)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync_directory(path.parent)


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
