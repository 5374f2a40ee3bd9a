"""Regulator packages: one incident, or one subject of the registry, out of the journal into a sealed bag.

A stranger can check it (``sos verify``).  Every leaf of the stream goes in with its inclusion proof; of the personal
data only the categories asked for are opened, the rest stands as commitments.  Making a package is itself an event, and
so is the access it implies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct

from recording.anchors import Anchored
from recording.bag import LeafExport, OpenedPart, RecordingExport, build_package
from recording.errors import RecordingError
from recording.note import Signer, read_checkpoint
from recording.tiles import TileStore
from recording.tracks import read_chunks
from routing.categories import Category
from sos.errors import KeyLost, Unavailable, Unknown
from sos.exports.auditors import Scope
from sos.incident.codec import read_header
from sos.incident.commands import RecordExport
from sos.incident.events import Recorded, RecordingSealed, RegistryChanged
from sos.incident.model import IncidentId, StreamId, SubjectId, new_id
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.journal.publisher import Publisher
from sos.journal.sealing import Contents, Part

log = structlog.get_logger()


class Exported(Struct, frozen=True, kw_only=True):
    export: str
    directory: str
    events: int
    parts: int
    recordings: int
    tag_manifest_sha512: str
    log_vkey: str
    """Give it to the recipient by another way than the package."""
    seal_vkey: str


Anchor = Callable[[bytes], Awaitable[Anchored]]
"""A checkpoint with whatever witnesses and an authority say of it now."""


class Subjects(Protocol):
    """The registry, for whoever may see what it holds of a vehicle or a customer."""

    async def shown(self, subject: SubjectId, categories: Sequence[Category], *, reader: str, purpose: str) -> Contents:
        """The parts of ``subject``; the access is in the journal before.  ``Unknown`` when there is none."""
        ...


async def unanchored(checkpoint: bytes) -> Anchored:
    """Where nobody outside vouches for the log."""
    return Anchored(checkpoint)


class Exporter:
    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        tiles: TileStore,
        *,
        recordings: Path,
        log_signer: Signer,
        seal_signer: Signer,
        anchor: Anchor = unanchored,
        subjects: Subjects | None = None,
    ) -> None:
        """``subjects``: whose streams can be exported as incidents are; none: no subject's."""
        self._subjects = subjects
        self._anchor = anchor
        self._journal = journal
        self._publisher = publisher
        self._tiles = tiles
        self._recordings = recordings
        self._log_signer = log_signer
        self._seal_signer = seal_signer

    async def export(
        self,
        stream: StreamId,
        directory: Path,
        *,
        categories: Sequence[Category],
        purpose: str,
        actor: str,
        scope: Scope,
        accept_lost: bool = False,
    ) -> Exported:
        """Write the package of an incident, or of a subject of the registry, at ``directory``, which must not exist.

        ``categories`` are opened.  Outside of ``scope`` nothing is read and nothing written: ``Forbidden`` for a
        category, ``Unknown`` for another brand's incident, as for one that does not exist.  ``KeyLost`` when something
        asked for is lost or damaged: the key may be found.  With ``accept_lost`` the package says so instead.
        """
        scope.check(categories)
        whole = await self._journal.store.whole(stream)
        proved = self._proved(whole)
        if not scope.every_brand and not all(scope.covers(each.tenant) for each in proved):
            raise Unknown("there is no such incident")
        unread = [event.n for event in whole if event.damaged]
        if unread and not accept_lost:
            raise KeyLost(f"events {unread} of it cannot be read: see the runbook «set-aside», or accept the loss")
        export, asked = new_id(), tuple(categories)
        if proved and isinstance(proved[0].event, RegistryChanged):
            label, contents = "Subject", await self._of_subject(SubjectId(stream), asked, purpose, actor, accept_lost)
        else:
            record = RecordExport(export=export, categories=asked, purpose=purpose)
            label, contents = "Incident", await self._of_incident(IncidentId(stream), record, actor, accept_lost)
        anchored = await self._anchor(await self._covering(stream))
        checkpoint = anchored.checkpoint
        recorded, damaged = await self._recorded(stream)
        parts = contents.parts
        unreadable = {f"{each.recorded.id}.{each.category}": str(each.why) for each in contents.unread}
        unreadable |= {f"{e.id}.{each}": "damaged" for e in damaged for each in e.commitments if each in categories}
        recordings = [
            await recording_of(self._journal, self._recordings, part)
            for part in parts
            if isinstance(part.recorded.event, RecordingSealed)
        ]
        unreadable |= {f"recordings/{each.recording}": "damaged" for each in recordings if not each.bodies}
        digest = await asyncio.to_thread(
            build_package,
            directory,
            origin=self._publisher.origin,
            checkpoint=checkpoint,
            leaves=self._leaves(recorded, read_checkpoint(checkpoint).size),
            opened=[opened(part) for part in parts],
            recordings=recordings,
            unreadable=unreadable,
            info={label: stream, "Purpose": purpose, "Export": export},
            seal_signer=self._seal_signer,
            log_vkey=self._log_signer.verifier.vkey,
            witness_vkeys=anchored.witnesses,
            stamp=anchored.stamp,
        )
        return Exported(
            export=export,
            directory=str(directory),
            events=len(recorded),
            parts=len(parts),
            recordings=len(recordings),
            tag_manifest_sha512=digest,
            log_vkey=self._log_signer.verifier.vkey,
            seal_vkey=self._seal_signer.verifier.vkey,
        )

    async def _of_incident(self, incident: IncidentId, record: RecordExport, actor: str, accept_lost: bool) -> Contents:
        if not accept_lost:
            _refuse_loss(await self._journal.missing(incident, record.categories))
        await self._journal.execute(incident, record, actor=actor)
        return await self._journal.read(incident, record.categories, reader=actor, purpose="export")

    async def _of_subject(
        self, subject: SubjectId, categories: Sequence[Category], purpose: str, actor: str, accept_lost: bool
    ) -> Contents:
        if self._subjects is None:
            raise Unknown("there is no such subject")
        contents = await self._subjects.shown(subject, categories, reader=actor, purpose=purpose)
        if not accept_lost:
            _refuse_loss(contents.missing)
        return contents

    async def _recorded(self, stream: StreamId) -> tuple[Sequence[Recorded], Sequence[Recorded]]:
        """All events, and of them those whose row cannot be read."""
        whole = await self._journal.store.whole(stream)
        proved = self._proved(whole)
        return proved, [told for event, told in zip(whole, proved, strict=True) if event.damaged]

    def _proved(self, whole: Sequence[Recorded]) -> Sequence[Recorded]:
        """``whole``, and for each event whose row cannot be read the log's own copy of its header."""
        return [
            read_header(self._tiles.entries(event.position, 1)[0], position=event.position)
            if event.damaged and event.position is not None
            else event
            for event in whole
        ]

    async def _covering(self, stream: StreamId) -> bytes:
        """A checkpoint that covers every event of the stream, the access just made included."""
        for _ in range(50):  # PostgreSQL's sequencer follows within a second
            checkpoint = await self._publisher.checkpoint()
            last = (await self._journal.store.whole(stream))[-1]
            if last.position is not None and last.position < read_checkpoint(checkpoint).size:
                return checkpoint
            await self._journal.store.sequence()
        raise Unavailable("the newest events have no place in the log yet; try again shortly")

    def _leaves(self, recorded: Sequence[Recorded], size: int) -> list[LeafExport]:
        return [
            LeafExport(
                index=event.position,
                entry=self._tiles.entries(event.position, 1)[0],
                proof=self._tiles.inclusion_proof(event.position, size),
            )
            for event in recorded
            if event.position is not None
        ]


async def recording_of(journal: Journal, recordings: Path, part: Part) -> RecordingExport:
    """The sound that the manifest in ``part`` lists, out of ``recordings``; without bodies where it cannot be read."""
    assert isinstance(part.recorded.event, RecordingSealed)
    incident, recording = IncidentId(part.recorded.stream), part.recorded.event.recording
    directory = recordings / incident / recording
    try:
        key = await journal.data_key(incident, Category.AUD, at=part.recorded.n)
        chunks = await asyncio.to_thread(read_chunks, directory, key, manifest=part.payload)
    except (KeyLost, RecordingError, OSError) as damaged:
        log.error("recording_unreadable", incident=incident, recording=recording, error=type(damaged).__name__)
        return RecordingExport(recording=recording, manifest=part.payload)
    names = [entry["file"] for entry in msgspec.json.decode(part.payload)["chunks"]]
    bodies = {name: chunk.body for name, chunk in zip(names, chunks, strict=True)}
    return RecordingExport(recording=recording, manifest=part.payload, bodies=bodies)


def _refuse_loss(missing: Mapping[Category, Shut]) -> None:
    if missing:
        told = ", ".join(f"{category}: {why}" for category, why in sorted(missing.items()))
        raise KeyLost(f"something of it cannot be opened ({told}): see the runbook «keys», or accept the loss")


def opened(part: Part) -> OpenedPart:
    return OpenedPart(event=part.recorded.id, category=part.category, salt=part.salt, payload=part.payload)
