"""The walk of a regulator's package over HTTP, below ``/v1/exports/requests``.

An auditor asks, sees the own requests alone, fetches and receipts; one of the house, by the session of a desk, asks,
counts, agrees and builds.  What may be asked, and who may agree, is decided in ``regulator``.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.categories import Category
from sos.accesses import tell
from sos.errors import Unavailable, Unknown
from sos.exports.auditors import WHOLE, Auditors, Scope
from sos.exports.regulator import Regulator
from sos.exports.requests import Request
from sos.exports.scope import Wanted
from sos.formats.body import read
from sos.incident.model import SubjectId

SignedIn = Callable[[web.Request], str]
"""Who sits at the desk whose session asks, as the journal names them; ``Forbidden`` where nobody does."""

_Id = Annotated[str, Meta(max_length=128)]
_Moment = Annotated[datetime, Meta(tz=True)]
_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class PackageWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A package for an authority."""

    purpose: Annotated[str, Meta(max_length=1000, extra_json_schema={"minLength": 1})]
    """What for and on whose word; it is sealed."""
    recipient: _Id
    brands: Annotated[tuple[_Id, ...], Meta(max_length=64)]
    since: _Moment
    until: _Moment
    """Not included."""
    subject: Annotated[SubjectId, Meta(max_length=128)] = SubjectId("")
    """A vehicle or a customer of the registry, or an incident."""
    kinds: Annotated[tuple[_Id, ...], Meta(max_length=64)] = ()
    categories: Annotated[tuple[Category, ...], Meta(max_length=32)] = ()
    """Opened in clear; the others stand as commitments."""

    @property
    def asked(self) -> Wanted:
        return Wanted(
            recipient=self.recipient,
            brands=self.brands,
            since=self.since,
            until=self.until,
            subject=self.subject,
            kinds=self.kinds,
            categories=self.categories,
        )


class DryRunWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    """As of so many events of the log; now without."""


class DryRun(Struct, frozen=True, kw_only=True):
    """What the package would hold; nothing was opened."""

    digest: str
    lines: int
    kinds: Mapping[str, int]
    brands: Mapping[str, int]
    categories: Mapping[str, int]
    destroyed: int
    incidents: int
    recordings: int


class Agreement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    digest: _Digest
    """Of the dry run that was looked at."""


class PackageArrived(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    encrypted: _Digest
    """SHA-256 of the file as it arrived."""


class WalkEndpoint:
    def __init__(self, regulator: Regulator, auditors: Auditors, *, signed_in: SignedIn) -> None:
        self._regulator = regulator
        self._auditors = auditors
        self._signed_in = signed_in
        self._busy = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        one = "/v1/exports/requests/{request}"
        return [
            web.post("/v1/exports/requests", self._request),
            web.get("/v1/exports/requests", self._all),
            web.get(one, self._show),
            web.delete(one, self._withdraw),
            web.post(f"{one}/dry-run", self._dry_run),
            web.post(f"{one}/approvals", self._approve),
            web.post(f"{one}/package", self._build),
            web.get(f"{one}/package", self._fetch),
            web.post(f"{one}/receipt", self._receive),
        ]

    async def _request(self, request: web.Request) -> web.Response:
        by, scope = self._asking(request)
        wanted = read(_wanted, await request.read(), expected="say for whom, of what and what for")
        made = await self._regulator.request(wanted.asked, words=wanted.purpose, by=by, scope=scope)
        tell(request, "export_requested", who=by, about=made.request)
        return _json(made, status=201)

    async def _all(self, request: web.Request) -> web.Response:
        by, _ = self._asking(request)
        found = await self._regulator.requests.all()
        return _json([each for each in found if _may_see(each, by)])

    async def _show(self, request: web.Request) -> web.Response:
        by, _ = self._asking(request)
        return _json(await self._seen(request, by))

    async def _dry_run(self, request: web.Request) -> web.Response:
        by, _ = self._asking(request)
        state = await self._seen(request, by)
        wanted = read(_dry_run, await request.read() or b"{}", expected="as of how many events")
        async with self._alone():
            counted = await self._regulator.dry_run(state.request, by=by, size=wanted.size)
        return _json(
            DryRun(
                digest=counted.digest,
                lines=counted.chosen.lines,
                kinds=counted.kinds,
                brands=counted.brands,
                categories=counted.categories,
                destroyed=counted.destroyed,
                incidents=counted.incidents,
                recordings=counted.recordings,
            )
        )

    async def _approve(self, request: web.Request) -> web.Response:
        by = self._signed_in(request)
        agreed = read(_agreement, await request.read(), expected="the digest of the dry run")
        tell(request, "export_approved", who=by, about=request.match_info["request"])
        return _json(await self._regulator.approve(request.match_info["request"], digest=agreed.digest, by=by))

    async def _build(self, request: web.Request) -> web.Response:
        by = self._signed_in(request)
        async with self._alone():
            built = await self._regulator.build(request.match_info["request"], by=by)
        tell(request, "exported", who=by, about=built.request)
        return _json(built)

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        by, _ = self._asking(request)
        state, file = await self._regulator.fetch((await self._seen(request, by)).request, by=by)
        tell(request, "export_fetched", who=by, about=state.request)
        headers = {
            "Sos-Encrypted-Sha256": state.encrypted,
            "Content-Disposition": f'attachment; filename="export-{state.request}.tar.age"',
            "Content-Type": "application/octet-stream",
            "Cache-Control": "no-store",
        }
        return web.FileResponse(file, headers=headers)

    async def _receive(self, request: web.Request) -> web.Response:
        by, _ = self._asking(request)
        state = await self._seen(request, by)
        receipt = read(_receipt, await request.read(), expected="the SHA-256 of what arrived")
        return _json(await self._regulator.receive(state.request, encrypted=receipt.encrypted, by=by))

    async def _withdraw(self, request: web.Request) -> web.Response:
        by, _ = self._asking(request)
        return _json(await self._regulator.withdraw((await self._seen(request, by)).request, by=by))

    def _asking(self, request: web.Request) -> tuple[str, Scope]:
        """An auditor by the token, or one of the house by the desk's session."""
        if "Authorization" in request.headers:
            auditor = self._auditors.of(request)
            return f"auditor:{auditor.id}", auditor.scope
        return self._signed_in(request), WHOLE

    async def _seen(self, request: web.Request, by: str) -> Request:
        state = await self._regulator.requests.load(request.match_info["request"])
        if not _may_see(state, by):
            raise Unknown("there is no such request")
        return state

    def _alone(self) -> asyncio.Lock:
        """One reads the log at a time here, so that no flood costs a call anything."""
        if self._busy.locked():
            raise Unavailable("another package is being counted or built")
        return self._busy


def _may_see(state: Request, by: str) -> bool:
    return not by.startswith("auditor:") or state.by == by


def _json(told: object, *, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=msgspec.json.encode(told), status=status, content_type="application/json", headers=headers)


_wanted = msgspec.json.Decoder(PackageWanted)
_dry_run = msgspec.json.Decoder(DryRunWanted)
_agreement = msgspec.json.Decoder(Agreement)
_receipt = msgspec.json.Decoder(PackageArrived)
