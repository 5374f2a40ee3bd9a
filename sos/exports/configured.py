"""Exports as the settings want them: what makes packages, and the auditors who may ask for one."""

from datetime import timedelta
from pathlib import Path

import structlog
from aiohttp import web
from msgspec import Struct

from recording.anchors import Anchored, AnchorStore
from recording.errors import RecordingError
from recording.note import Signer, Verifier, checkpoint_text, sign
from recording.tiles import TileStore
from sos.clock import Clock
from sos.errors import SosError, Unavailable
from sos.exports.auditors import Auditor, Auditors
from sos.exports.daily import Daily
from sos.exports.http import ExportEndpoint
from sos.exports.log_http import LogEndpoint
from sos.exports.making import Head, Parts
from sos.exports.package import Anchor, Exporter, Subjects
from sos.exports.regulator import Regulator
from sos.exports.requests import Requests
from sos.exports.walk_http import SignedIn, WalkEndpoint
from sos.journal.configured import Kept
from sos.settings import Settings

log = structlog.get_logger()

EVERY = timedelta(hours=1)


class Exporting(Struct, frozen=True, kw_only=True):
    """All of the room: packages of one incident, and the walk of a regulator's."""

    exporter: Exporter
    regulator: Regulator
    clock: Clock

    async def ends(self) -> None:
        """What is over ends, and its file is destroyed, every hour."""
        while True:
            try:
                await self.regulator.expire()
            except (SosError, RecordingError, OSError) as failed:
                log.warning("exports_not_ended", error=type(failed).__name__)
            await self.clock.wait(EVERY)


def exporter(kept: Kept, *, recordings: Path, anchor: Anchor, subjects: Subjects | None) -> Exporter:
    """``subjects`` None: of incidents alone."""
    return Exporter(
        kept.journal,
        kept.publisher,
        kept.tiles,
        recordings=recordings,
        log_signer=kept.log_signer,
        seal_signer=kept.seal_signer,
        anchor=anchor,
        subjects=subjects,
    )


def exporting(settings: Settings, kept: Kept, recordings: Path, anchor: Anchor, *, subjects: Subjects) -> Exporting:
    """The room of a running service, which asks those who vouch for the log when it counts as of now."""
    published = head_of(settings, kept.tiles, kept.log_signer)

    async def head(size: int | None) -> Anchored:
        return await published(size) if size is not None else await anchor(await kept.publisher.checkpoint())

    walk = Parts(
        journal=kept.journal,
        requests=Requests(kept.store, kept.keys, kept.clock),
        tiles=kept.tiles,
        head=head,
        log_signer=kept.log_signer,
        seal_signer=kept.seal_signer,
        directory=settings.data / "exports",
        recordings=recordings,
        subjects=subjects,
        brands=frozenset(each.id for each in settings.tenants),
        recipients=settings.recipients,
        limits=settings.export,
        supervisors=supervisors(settings),
    )
    single = exporter(kept, recordings=recordings, anchor=anchor, subjects=subjects)
    return Exporting(exporter=single, regulator=Regulator(walk), clock=kept.clock)


def routes(settings: Settings, kept: Kept, made: Exporting, *, signed_in: SignedIn) -> list[web.RouteDef]:
    """Where auditors come in, and those of the house who agree to what one asked for."""
    known = auditors(settings)
    log_read = LogEndpoint(kept.tiles, known, public=settings.log_public)
    walk = WalkEndpoint(made.regulator, known, signed_in=signed_in)
    single = ExportEndpoint(made.exporter, known, daily=Daily(settings.export.single_per_day, kept.clock))
    return [*single.routes(), *walk.routes(), *log_read.routes()]


def head_of(settings: Settings, tiles: TileStore, log_signer: Signer) -> Head:
    """Checkpoints of the log as it is published, with what is kept of those who vouch for it; nobody is asked."""
    anchors = AnchorStore(settings.data / "anchors", [Verifier.parse(each.vkey) for each in settings.witnesses])

    async def head(size: int | None) -> Anchored:
        published = tiles.size()
        if not published or (size is not None and not 0 < size <= published):
            raise Unavailable(f"the published log has {published} events")
        whole = size or published
        text = checkpoint_text(log_signer.verifier.name, whole, tiles.root(whole))
        return anchors.of(sign(text, [log_signer]))

    return head


def supervisors(settings: Settings) -> frozenset[str]:
    """As the journal names them."""
    return frozenset(f"operator:{each.id}" for each in settings.operators if each.supervisor)


def auditors(settings: Settings) -> Auditors:
    """Who may audit."""
    return Auditors([Auditor.of(each) for each in settings.auditors])
