"""Exports as the settings want them: what makes packages, and the auditors who may ask for one."""

from pathlib import Path

from aiohttp import web

from sos.exports.auditors import Auditor, Auditors
from sos.exports.http import ExportEndpoint
from sos.exports.log_http import LogEndpoint
from sos.exports.package import Anchor, Exporter, Subjects
from sos.journal.configured import Kept
from sos.settings import Settings


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


def routes(settings: Settings, kept: Kept, made: Exporter) -> list[web.RouteDef]:
    """Where auditors come in."""
    auditors = Auditors([Auditor.of(each) for each in settings.auditors])
    log = LogEndpoint(kept.tiles, auditors, public=settings.log_public)
    return [*ExportEndpoint(made, auditors).routes(), *log.routes()]
