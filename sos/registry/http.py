"""The registry's door, ``/v1/registry/...``: a brand's registrars see and change their own brand's records.

Deny by default: only a registrar named in the settings comes in, each with a role and a token of their own (no shared
accounts).  What names a vehicle or a person travels in bodies, never in addresses, which end up in logs.  Faults are
RFC 9457 problems by the one table; ``operations`` describes the routes for the OpenAPI document.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.categories import Category
from routing.text import clean, octets
from sos.accesses import known
from sos.clock import Clock, timestamp
from sos.errors import Forbidden, Malformed, Misconfigured, Unknown
from sos.formats.body import read as read_body
from sos.incident.events import Recorded, RegistryChanged, RegistryRead
from sos.incident.model import SubjectId, TenantId
from sos.problems import Unauthenticated
from sos.registry import orders
from sos.registry.importing import import_sheet
from sos.registry.lifecycle import ITEMS, Role
from sos.registry.model import Kind, Subscriber, VehicleKey
from sos.registry.pack import BrandPack
from sos.registry.registry import By, Registry
from sos.registry.sheet import MOST_BYTES
from sos.registry.sheet_reading import SheetReading
from sos.registry.standing import consents_in_force, stale

MOST_BODY_BYTES = 1024 * 1024
ACTING = "Sos-Acting-Subscriber"
"""Header in which a portal names the customer it acts for."""

_PAGE = 100
_SHOWABLE = frozenset({*ITEMS.values(), Category.VEH})


class Registrar(Struct, frozen=True, kw_only=True):
    id: str
    tenant: TenantId
    role: Role
    token_digest: str
    """Hex SHA-256 of the registrar's token (32 random bytes)."""


class StandingWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: Annotated[tuple[VehicleKey, ...], Meta(min_length=1, max_length=4)]
    at: Annotated[datetime, Meta(tz=True)] | None = None


class PartsWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    categories: Annotated[tuple[Category, ...], Meta(min_length=1, max_length=32)]
    purpose: Annotated[str, Meta(min_length=1, max_length=64)]


class RegistryEndpoint:
    def __init__(self, registry: Registry, registrars: Sequence[Registrar], *, clock: Clock) -> None:
        self._registry = registry
        self._registrars = tuple(registrars)
        self._clock = clock
        self._sheets = SheetReading()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/registry/brand", self._brand),
            web.put("/v1/registry/brand", self._set_brand),
            web.post("/v1/registry/standing", self._standing),
            web.post("/v1/registry/import", self._import),
            web.post("/v1/registry/subjects", self._register),
            web.get("/v1/registry/subjects", self._list),
            web.get("/v1/registry/subjects/{subject}", self._show),
            web.post("/v1/registry/subjects/{subject}/orders", self._order),
            web.post("/v1/registry/subjects/{subject}/reading", self._read),
            web.get("/v1/registry/subjects/{subject}/history", self._history),
        ]

    # --- brands ---

    async def _brand(self, request: web.Request) -> web.Response:
        by = self._by(request)
        pack = self._registry.packs.get(by.tenant)
        if pack is None:
            raise Unknown("this brand has no pack yet; PUT one here")
        return _json({"digest": pack.digest, "pack": pack})

    async def _set_brand(self, request: web.Request) -> web.Response:
        by = self._by(request)
        try:
            pack = _decoded(await _body(request), BrandPack)
        except Misconfigured as wrong:  # here it is what somebody sent, not a setting of ours
            raise Malformed(str(wrong)) from wrong
        return _json(await self._registry.set_pack(pack, by=by))

    # --- vehicles and customers ---

    async def _standing(self, request: web.Request) -> web.Response:
        by = self._by(request)
        asked = _decoded(await _body(request), StandingWanted)
        if by.role is Role.PORTAL:
            found = await self._registry.find(asked.keys, tenant=by.tenant)
            if found is not None:
                await self._registry.vehicle(found, by=by)
        standing = await self._registry.standing(asked.keys, tenant=by.tenant, at=asked.at or self._clock.now())
        told = msgspec.structs.asdict(standing)
        told["call_back_window_s"] = round(told.pop("call_back_window").total_seconds())
        return _json(told)

    async def _register(self, request: web.Request) -> web.Response:
        by = self._by(request)
        order = _decoded(await _body(request), orders.NewOrder)
        done = await self._registry.register(order, by=by)
        return _json(done, status=201 if done.changed else 200)

    async def _list(self, request: web.Request) -> web.Response:
        by = self._by(request, people=False)
        try:
            kind = Kind(request.query.get("kind", Kind.VEHICLE))
        except ValueError as wrong:
            raise Malformed("`kind` is vehicle or subscriber", field="?kind") from wrong
        after = request.query.get("after", "")
        subjects = await self._registry.subjects(kind, tenant=by.tenant, after=after, limit=_PAGE)
        return _json({"subjects": subjects, "next": subjects[-1] if len(subjects) == _PAGE else None})

    async def _show(self, request: web.Request) -> web.Response:
        by = self._by(request)
        subject = _subject(request)
        state = await self._registry.subject(subject, by=by)
        told: dict[str, object] = {"kind": type(state).__name__.lower(), "state": state}
        pack = self._registry.packs.get(by.tenant)
        if isinstance(state, Subscriber) and pack is not None:
            now = self._clock.now()
            told["consents_in_force"] = consents_in_force(state, pack, now)
            told["confirm_profile"] = stale(state, pack, now)
        return _json(told)

    async def _order(self, request: web.Request) -> web.Response:
        by = self._by(request)
        subject = _subject(request)
        order = _decoded(await _body(request), orders.AnyOrder)
        return _json(await self._registry.change(subject, order, by=by))

    async def _read(self, request: web.Request) -> web.Response:
        by = self._by(request)
        wanted = _decoded(await _body(request), PartsWanted)
        if hidden := sorted(set(wanted.categories) - _SHOWABLE):
            raise Malformed(f"the registry holds no {hidden[0]}", field="$.categories")
        shown = await self._registry.personal(_subject(request), wanted.categories, by=by, purpose=wanted.purpose)
        return _json(shown)

    async def _history(self, request: web.Request) -> web.Response:
        by = self._by(request)
        recorded = await self._registry.history(_subject(request), by=by)
        return _json({"events": [_told(each) for each in recorded]})

    async def _import(self, request: web.Request) -> web.Response:
        by = self._by(request, people=False)
        content = await _body(request, most=MOST_BYTES)
        sheet = await self._sheets.read(content, brands=(by.tenant,), now=self._clock.now())
        dry_run = request.query.get("dry_run", "false") == "true"
        return _json(await import_sheet(sheet, self._registry, by=lambda _: by, dry_run=dry_run))

    # --- who ---

    def brand_of(self, request: web.Request) -> TenantId:
        """Whose registrar asks, for what is about the brand and about nobody; as for every route here."""
        return self._by(request, people=False).tenant

    def _by(self, request: web.Request, *, people: bool = True) -> By:
        """Who asks; ``Unauthenticated`` for a stranger.  ``people`` False: a portal's customers have no business."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        given = sha256(octets(token)).hexdigest()
        for registrar in self._registrars:
            if hmac.compare_digest(registrar.token_digest, given):
                known(request, f"registrar:{registrar.id}")
                if registrar.role is Role.PORTAL and not people:
                    raise Forbidden("a portal sees its own customer's records only")
                acting = clean(request.headers.get(ACTING, ""))
                return By(
                    tenant=registrar.tenant,
                    role=registrar.role,
                    id=registrar.id,
                    acting=SubjectId(acting) if acting else None,
                )
        raise Unauthenticated("Send the header `Authorization: Bearer <registrar token>`.")


async def _body(request: web.Request, *, most: int = MOST_BODY_BYTES) -> bytes:
    """The body, at most ``most`` bytes of it; ``Malformed`` beyond."""
    content = bytearray()
    async for piece in request.content.iter_any():
        content += piece
        if len(content) > most:
            raise Malformed(f"the body is larger than {most} bytes; send the file in pieces")
    return bytes(content)


def _decoded(body: bytes, shape: Any) -> Any:
    return read_body(msgspec.json.Decoder(shape), body)


def _subject(request: web.Request) -> SubjectId:
    return SubjectId(request.match_info["subject"])


def _told(recorded: Recorded) -> Mapping[str, object]:
    told: dict[str, object] = {
        "n": recorded.n,
        "at": timestamp(recorded.at),
        "actor": recorded.actor,
        "position": recorded.position,
        "commitments": recorded.commitments,
    }
    match recorded.event:
        case RegistryChanged(change=change):
            told["change"] = change
        case RegistryRead(categories=categories, purpose=purpose):
            told["read"] = {"categories": categories, "purpose": purpose}
        case _:
            pass
    return told


def _json(told: object, *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(told),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
