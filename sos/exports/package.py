"""Regulator packages: one incident out of the journal into a sealed bag that a stranger can check (``sos verify``).

Every leaf of the incident goes in with its inclusion proof; of the personal data only the categories asked for are
opened, the rest stands as commitments.  Making a package is itself an event, and so is the access it implies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

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
from sos.incident.events import Recorded, RecordingSealed
from sos.incident.model import IncidentId, new_id
from sos.journal.journal import Journal
from sos.journal.publisher import Publisher
from sos.journal.sealing import Part

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
    ) -> None:
        self._anchor = anchor
        self._journal = journal
        self._publisher = publisher
        self._tiles = tiles
        self._recordings = recordings
        self._log_signer = log_signer
        self._seal_signer = seal_signer

    async def export(
        self,
        incident: IncidentId,
        directory: Path,
        *,
        categories: Sequence[Category],
        purpose: str,
        actor: str,
        scope: Scope,
        accept_lost: bool = False,
    ) -> Exported:
        """Write the package of ``incident`` at ``directory``, which must not exist.

        ``categories`` are opened.  Outside of ``scope`` nothing is read and nothing written: ``Forbidden`` for a
        category, ``Unknown`` for another brand's incident, as for one that does not exist.  ``KeyLost`` when something
        asked for is lost or damaged: the key may be found.  With ``accept_lost`` the package says so instead.
        """
        scope.check(categories)
        whole = await self._journal.store.whole(incident)
        if not scope.every_brand and not all(scope.covers(each.tenant) for each in self._proved(whole)):
            raise Unknown("there is no such incident")
        unread = [event.n for event in whole if event.damaged]
        if unread and not accept_lost:
            raise KeyLost(f"events {unread} of it cannot be read: see the runbook «set-aside», or accept the loss")
        missing = await self._journal.missing(incident, categories)
        if missing and not accept_lost:
            told = ", ".join(f"{category}: {why}" for category, why in sorted(missing.items()))
            raise KeyLost(f"something of it cannot be opened ({told}): see the runbook «keys», or accept the loss")
        export = new_id()
        record = RecordExport(export=export, categories=tuple(categories), purpose=purpose)
        await self._journal.execute(incident, record, actor=actor)
        contents = await self._journal.read(incident, categories, reader=actor, purpose="export")
        anchored = await self._anchor(await self._covering(incident))
        checkpoint = anchored.checkpoint
        recorded, damaged = await self._recorded(incident)
        parts = contents.parts
        unreadable = {f"{each.recorded.id}.{each.category}": str(each.why) for each in contents.unread}
        unreadable |= {f"{e.id}.{each}": "damaged" for e in damaged for each in e.commitments if each in categories}
        recordings = [
            await self._recording(incident, part) for part in parts if isinstance(part.recorded.event, RecordingSealed)
        ]
        unreadable |= {f"recordings/{each.recording}": "damaged" for each in recordings if not each.bodies}
        digest = await asyncio.to_thread(
            build_package,
            directory,
            origin=self._publisher.origin,
            checkpoint=checkpoint,
            leaves=self._leaves(recorded, read_checkpoint(checkpoint).size),
            opened=[_opened(part) for part in parts],
            recordings=recordings,
            unreadable=unreadable,
            info={"Incident": incident, "Purpose": purpose, "Export": export},
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

    async def _recorded(self, incident: IncidentId) -> tuple[Sequence[Recorded], Sequence[Recorded]]:
        """All events, and of them those whose row cannot be read."""
        whole = await self._journal.store.whole(incident)
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

    async def _covering(self, incident: IncidentId) -> bytes:
        """A checkpoint that covers every event of the incident, the access just made included."""
        for _ in range(50):  # PostgreSQL's sequencer follows within a second
            checkpoint = await self._publisher.checkpoint()
            last = (await self._journal.store.whole(incident))[-1]
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

    async def _recording(self, incident: IncidentId, part: Part) -> RecordingExport:
        assert isinstance(part.recorded.event, RecordingSealed)
        recording = part.recorded.event.recording
        directory = self._recordings / incident / recording
        try:
            key = await self._journal.data_key(incident, Category.AUD, at=part.recorded.n)
            chunks = await asyncio.to_thread(read_chunks, directory, key, manifest=part.payload)
        except (KeyLost, RecordingError, OSError) as damaged:
            log.error("recording_unreadable", incident=incident, recording=recording, error=type(damaged).__name__)
            return RecordingExport(recording=recording, manifest=part.payload)
        names = [entry["file"] for entry in msgspec.json.decode(part.payload)["chunks"]]
        bodies = {name: chunk.body for name, chunk in zip(names, chunks, strict=True)}
        return RecordingExport(recording=recording, manifest=part.payload, bodies=bodies)


def _opened(part: Part) -> OpenedPart:
    return OpenedPart(event=part.recorded.id, category=part.category, salt=part.salt, payload=part.payload)
