"""The auditor's door: ``POST /v1/exports`` builds a package and answers with it as a tar archive.

Deny by default: only an auditor named in the settings may ask, within the brands and categories given there, and must
say what for, and so many a day.  The key that verifies the package is in the answer's headers for convenience; a
regulator gets it by another way.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.categories import Category
from sos.accesses import tell
from sos.errors import Malformed
from sos.exports.archive import pack
from sos.exports.auditors import Auditors
from sos.exports.daily import Daily
from sos.exports.package import Exporter
from sos.formats.body import read
from sos.incident.model import IncidentId, SubjectId


class ExportWanted(Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Annotated[str, Meta(max_length=1000, extra_json_schema={"minLength": 1})]
    incident: Annotated[IncidentId, Meta(max_length=128)] = IncidentId("")
    subject: Annotated[SubjectId, Meta(max_length=128)] = SubjectId("")
    """A vehicle or a customer of the registry: its opt-outs, deactivations, transfers, consents.  One of the two."""
    categories: Annotated[tuple[Category, ...], Meta(max_length=32)] = ()
    """Opened in clear; the others stand as commitments."""
    accept_lost: bool = False
    """Build it although something asked for is lost or damaged; the package says what."""


class ExportEndpoint:
    def __init__(self, exporter: Exporter, auditors: Auditors, *, daily: Daily) -> None:
        self._exporter = exporter
        self._auditors = auditors
        self._daily = daily

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/exports", self._export)]

    async def _export(self, request: web.Request) -> web.Response:
        auditor = self._auditors.of(request)
        asked = _read(await request.read())
        with (
            self._daily.one(auditor.id),
            tempfile.TemporaryDirectory(prefix="sos-export-") as scratch,
        ):
            exported = await self._exporter.export(
                asked.incident or asked.subject,
                Path(scratch) / "package",
                categories=asked.categories,
                purpose=asked.purpose,
                accept_lost=asked.accept_lost,
                actor=f"auditor:{auditor.id}",
                scope=auditor.scope,
            )
            archive = await asyncio.to_thread(pack, Path(scratch) / "package")
        tell(request, "exported", who=f"auditor:{auditor.id}", about=exported.export)
        headers = {
            "Sos-Export": exported.export,
            "Sos-Tag-Manifest-Sha512": exported.tag_manifest_sha512,
            "Sos-Log-Key": exported.log_vkey,
            "Sos-Seal-Key": exported.seal_vkey,
            "Content-Disposition": f'attachment; filename="export-{exported.export}.tar"',
            "Cache-Control": "no-store",
        }
        return web.Response(body=archive, content_type="application/x-tar", headers=headers)


_wanted = msgspec.json.Decoder(ExportWanted)


def _read(body: bytes) -> ExportWanted:
    asked = read(_wanted, body, expected="say which incident, which categories and what for")
    if not asked.purpose.strip():
        raise Malformed("an export without a purpose is not made", field="$.purpose")
    if bool(asked.incident) is bool(asked.subject):
        raise Malformed("name an incident or a subject of the registry", field="$.incident")
    return asked
