"""Building a regulator's package: written as it is read, encrypted as it is written, never whole in memory or in clear.

The archive goes piece by piece through the encryption into a file that appears when it is complete.  At each incident
the journal says that something of it is opened before it is.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from recording.age import Encrypting
from recording.anchors import Anchored
from recording.bag import Lines, Package
from recording.durable import sync_directory
from recording.note import Signer
from recording.tiles import TileStore
from routing.categories import Category
from sos.errors import KeyLost, Unknown
from sos.exports.archive import Archive
from sos.exports.package import Subjects, opened, recording_of
from sos.exports.requests import Request, Requests
from sos.exports.selection import Counted, Line, Selection, Told
from sos.incident import events as e
from sos.incident.commands import RecordExport
from sos.incident.model import IncidentId, StreamId, SubjectId
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.journal.sealing import Contents
from sos.settings import ExportSettings, RecipientSettings

Head = Callable[[int | None], Awaitable[Anchored]]
"""The newest checkpoint, or that of so many events, with whatever is kept of witnesses and stamps."""


class Parts(Struct, frozen=True, kw_only=True):
    """What the walk stands on."""

    journal: Journal
    requests: Requests
    tiles: TileStore
    head: Head
    log_signer: Signer
    seal_signer: Signer
    directory: Path
    """Where packages lie, encrypted, until they end."""
    recordings: Path
    subjects: Subjects | None
    brands: frozenset[str]
    """Tenants of the settings."""
    recipients: tuple[RecipientSettings, ...]
    limits: ExportSettings
    supervisors: frozenset[str]
    """As the journal names them; one of the two who agree is one."""


class Built(Struct, frozen=True, kw_only=True):
    package: str
    encrypted: str
    bytes: int


class Making:
    """One package being made."""

    def __init__(
        self, parts: Parts, state: Request, selection: Selection, anchored: Anchored, *, by: str, accept_lost: bool
    ) -> None:
        self._of = parts
        self._state = state
        self._selection = selection
        self._anchored = anchored
        self._by = by
        self._accept_lost = accept_lost
        self._unreadable: dict[str, str] = {}

    async def to(self, file: Path, recipient: RecipientSettings, counted: Counted, told: Told) -> Built:
        """The whole of it, encrypted, at ``file``: in one step or not at all."""
        part = file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as writing:
                digest, size = sha256(), 0

                def write(piece: bytes) -> None:
                    nonlocal size
                    digest.update(piece)
                    size += writing.write(piece)

                encrypting = Encrypting(recipient.age_key, write)
                package = await self.into(encrypting.write, counted, told)
                encrypting.close()
                writing.flush()
                await asyncio.to_thread(os.fsync, writing.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.replace(file)
        sync_directory(file.parent)
        return Built(package=package, encrypted=digest.hexdigest(), bytes=size)

    async def into(self, write: Callable[[bytes], object], counted: Counted, told: Told) -> str:
        """The package as an archive in clear; its tag manifest's digest."""
        archive, chosen = Archive(write), counted.chosen
        package = Package(archive, self._anchored.checkpoint)
        lines = Lines(read=lambda: (line.entry for line in self._selection.lines(chosen.streams)), size=chosen.bytes)
        await asyncio.to_thread(package.lines, lines)
        wanted: dict[StreamId, list[Line]] = {}
        async for piece in self._selection.pieces(chosen.streams, told):
            await asyncio.to_thread(self._prove, package, piece)
            for line in piece:
                if self._state.scope.opens(line.recorded):
                    wanted.setdefault(line.recorded.stream, []).append(line)
        for stream, asked_for in wanted.items():
            await self._open(package, stream, asked_for)
        digest = package.close(
            unreadable=self._unreadable,
            info=_info(self._state),
            seal_signer=self._of.seal_signer,
            log_vkey=self._of.log_signer.verifier.vkey,
            witness_vkeys=self._anchored.witnesses,
            stamp=self._anchored.stamp,
        )
        archive.close()
        return digest

    def _prove(self, package: Package, lines: Sequence[Line]) -> None:
        for line in lines:
            package.proof(line.position, self._of.tiles.inclusion_proof(line.position, self._state.size))

    async def _open(self, package: Package, stream: StreamId, lines: Sequence[Line]) -> None:
        """What was asked for of one stream, after the journal has it that it is opened."""
        contents = await self._contents(stream, registry=type(lines[0].recorded.event) in e.OF_THE_REGISTRY)
        asked = {(line.recorded.id, category) for line in lines for category in self._state.scope.opens(line.recorded)}
        unread = {
            f"{u.recorded.id}.{u.category}": u.why for u in contents.unread if (u.recorded.id, u.category) in asked
        }
        self._note(unread)
        for part in contents.parts:
            if (part.recorded.id, part.category) not in asked:
                continue
            package.part(opened(part))
            if self._state.scope.plays(part.recorded) and part.category is Category.AUD:
                recording = await recording_of(self._of.journal, self._of.recordings, part)
                if not recording.bodies:
                    self._note({f"recordings/{recording.recording}": Shut.DAMAGED})
                await asyncio.to_thread(package.recording, recording)

    async def _contents(self, stream: StreamId, *, registry: bool) -> Contents:
        categories = self._state.scope.categories
        words = await self._of.requests.words(self._state)
        if registry:
            if self._of.subjects is None:
                raise Unknown("there is no such subject")
            return await self._of.subjects.shown(SubjectId(stream), categories, reader=self._by, purpose=words)
        incident, journal = IncidentId(stream), self._of.journal
        record = RecordExport(export=self._state.request, categories=categories, purpose=words)
        await journal.execute(incident, record, actor=self._by)
        return await journal.read(incident, categories, reader=self._by, purpose="export", reason=words or "export")

    def _note(self, unread: Mapping[str, Shut]) -> None:
        lost = sorted(name for name, why in unread.items() if why is not Shut.DESTROYED)
        if lost and not self._accept_lost:
            raise KeyLost(f"something of it cannot be opened ({lost[0]}): see the runbook «keys», or accept the loss")
        self._unreadable |= {name: str(why) for name, why in unread.items()}


def _info(state: Request) -> dict[str, str]:
    """What stands on the bag: nothing that differs between two of the same scope and checkpoint."""
    scope = state.scope.told
    name = sha256(scope).hexdigest()[:16]
    return {"External-Identifier": f"sos-{name}-{state.size}", "Scope": scope.decode()}
