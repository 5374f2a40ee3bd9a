"""The LoST answer, as a pure function of the question, our own data and the time (RFC 5222).

- A place inside an area is answered for by the agency of that area; a shape by those of the areas it touches, the
  largest share first.  A caller always gets somewhere: off every boundary the nearest area or the default agency
  answers, with the warning ``defaultMappingReturned``, and the answer is not to be kept.
- A service we do not have is answered by the one above it (``sos.ecall.automatic`` by ``sos``), with the warning
  ``serviceSubstitution``.
- An area that somebody else's server answers for is asked there (``Ask``) when the question is recursive, else its
  server is named.  What is to be said when that server fails stands in ``Ask`` already.

The door (HTTP, limits, asking others) is ``sos.dispatch.lost``.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as MappingOf
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, assert_never
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from routing.boundaries import Layer, Match, Share
from routing.directory import Agency, Directory
from routing.errors import Malformed, Misconfigured
from routing.location import Position
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer, prefecture_of
from routing.lost.codec import MAX_PATH, SOURCE
from routing.lost.messages import (
    Answer,
    Boundary,
    BoundaryReference,
    Errors,
    Fault,
    FindService,
    FindServiceResponse,
    GetServiceBoundary,
    GetServiceBoundaryResponse,
    ListServices,
    ListServicesByLocation,
    ListServicesByLocationResponse,
    ListServicesResponse,
    Location,
    Mapping,
    Notice,
    Redirect,
    Request,
    Unusable,
    Validation,
    Warn,
)
from routing.plan.routes import Crossings
from routing.position.gml import Civic
from routing.position.shapes import Point, Polygon, Shape, circle_of, region
from routing.services import Service

TOP = "urn:service:sos"

MAX_MAPPINGS = 3
"""Agencies named for one shape: beyond the third share nobody would call."""

MAX_COMPARED = 8
"""Areas of which it is asked whether the shape holds them whole."""

MAX_SPREAD_M = 20_000.0
"""A wider shape is answered for its middle: RFC 5222 section 12.2 lets any part of it decide."""

MAX_CORNERS = 64
"""A polygon with more is answered as the circle that holds it: RFC 5491 section 5.2.2 allows a location sixteen, and a
stranger's thousand would cost a quarter of a second."""

CROSSING = "crossing"
"""On a bridge or in a tunnel off the shore: those who answer are known, the first end's first (no default mapping)."""

ELSEWHERE = "*"
"""An area of a ``Peer``: wherever we have no boundary."""


class Offer(Struct, frozen=True):
    """A service URN we answer for."""

    service: Service
    number: str | None
    """What a person dials."""


JAPAN: MappingOf[str, Offer] = MappingProxyType(
    {
        TOP: Offer(Service.FIRE, "119"),
        f"{TOP}.fire": Offer(Service.FIRE, "119"),
        f"{TOP}.ambulance": Offer(Service.FIRE, "119"),
        f"{TOP}.police": Offer(Service.POLICE, "110"),
        f"{TOP}.marine": Offer(Service.COAST_GUARD, "118"),
        "urn:nena:service:responder.fire": Offer(Service.FIRE, "119"),
        "urn:nena:service:responder.ems": Offer(Service.FIRE, "119"),
        "urn:nena:service:responder.police": Offer(Service.POLICE, "110"),
        "urn:nena:service:responder.coast_guard": Offer(Service.COAST_GUARD, "118"),
    }
)
"""消防 answers for fire and ambulance; ``sos`` without more goes there too, because lives come first."""


class Peer(Struct, frozen=True, kw_only=True):
    """Another LoST server, which we believe for its areas."""

    domain: str
    """Its name in ``via`` and ``redirect``."""
    url: str
    areas: tuple[str, ...]
    """ISO 3166-2 and municipality codes, or ``*``."""


class Sources(Struct, frozen=True, kw_only=True):
    """What answers are made of."""

    layer: Layer
    directory: Directory
    gazetteer: Gazetteer
    areas: Areas
    source: str
    """Our domain name, in every answer."""
    updated: datetime
    """When the boundaries or the directory changed last."""
    crossings: Crossings | None = None
    """Bridges and tunnels outside every polygon."""
    offers: MappingOf[str, Offer] = JAPAN
    peers: tuple[Peer, ...] = ()
    lifetime: timedelta = timedelta(days=1)
    """How long a client may keep a mapping: a changed directory is everywhere after that."""
    zone: str = "Asia/Tokyo"
    """Boundaries change at midnight here."""

    def __post_init__(self) -> None:
        for name in (self.source, *(peer.domain for peer in self.peers)):
            if not SOURCE.fullmatch(name):
                raise Misconfigured(f"{name!r} is no domain name with a dot in it, as LoST needs")


class Ask(Struct, frozen=True, kw_only=True):
    """Another server knows better: ask it."""

    peer: Peer
    request: FindService
    """To be sent: with us in its path."""
    instead: FindServiceResponse | None
    """Our own answer, if the peer does not give one.  None where we have no boundary: then its failure is told."""


class _Place(Struct, frozen=True):
    """An area that a location touches."""

    prefecture: str | None
    municipality: str | None
    how: str
    """As ``Match.how``, or CROSSING."""
    latitude: float | None = None
    """Of the middle of the location; None for an address."""
    longitude: float | None = None

    @property
    def code(self) -> str | None:
        return self.municipality or self.prefecture


class _Found(Struct, frozen=True):
    """Where a request's location lies."""

    id: str
    places: tuple[_Place, ...]
    civic: Civic | None = None
    validation: Validation | None = None


def answer(request: Request, sources: Sources, *, now: datetime, partner: bool = False) -> Answer | Ask:
    """What is to be said, or whom to ask.

    ``partner``: the asker is known to us and learns every address of an agency; a stranger learns those that are marked
    as ``listed``, because the direct line of a command centre is no public number.
    """
    try:
        match request:
            case FindService():
                return _find_service(request, sources, now, partner)
            case ListServices():
                return _list_services(request, sources)
            case ListServicesByLocation():
                return _list_by_location(request, sources, now)
            case GetServiceBoundary():
                return _boundary(request, sources, now)
            case _ as never:
                assert_never(never)
    except _Failed as failed:
        return Errors(fault=failed.fault, message=str(failed), source=sources.source, unsupported=failed.unsupported)
    except Malformed as fault:  # a shape that can be read and has no outline: round a pole
        return Errors(fault=Fault.LOCATION_INVALID, message=str(fault), source=sources.source)


def unreadable(source: str, message: str) -> Errors:
    """The answer to bytes that are no request."""
    return Errors(fault=Fault.BAD_REQUEST, message=message, source=source)


class _Failed(Exception):
    """There is no answer; the fault names the element of RFC 5222 section 13.1."""

    def __init__(self, fault: Fault, message: str, *, unsupported: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fault = fault
        self.unsupported = unsupported


def _find_service(request: FindService, sources: Sources, now: datetime, partner: bool) -> Answer | Ask:
    _stop_loops(request.path, sources)
    urn = _offered(request.service, sources)
    on = _day(request.as_of or now, sources)
    found = _locate(request.locations, sources, on)
    warnings = []
    if urn != request.service.lower():
        warnings.append(_notice(Warn.SUBSTITUTION, f"{urn} answers", sources))
    if found.places[0].how in _WHY:
        warnings.append(_notice(Warn.DEFAULT, _WHY[found.places[0].how], sources))
    turn = _Turn(request=request, found=found, urn=urn, now=now, on=on, partner=partner)
    own = FindServiceResponse(
        mappings=tuple(_mappings(turn, sources)),
        validation=found.validation if request.validate else None,
        warnings=tuple(warnings),
        path=(*request.path, sources.source),
        location_used=found.id,
        extensions=request.extensions,
    )
    peer = _peer(found.places[0], sources)
    if peer is None or peer.domain in request.path:
        return own
    if not request.recursive:
        return Redirect(target=peer.domain, source=sources.source, message="This server answers for the place.")
    onward = msgspec.structs.replace(request, path=(*request.path, sources.source))
    return Ask(peer=peer, request=onward, instead=None if found.places[0].how == "outside" else own)


_WHY = {
    "nearest": "The place is off every boundary; the nearest area answers.",
    "sea": "The place is at sea; the nearest area answers.",
    "outside": "The place is outside our coverage; the default agency answers.",
}


def _list_services(request: ListServices, sources: Sources) -> ListServicesResponse:
    _stop_loops(request.path, sources)
    return ListServicesResponse(services=_below(request.service, sources), path=(*request.path, sources.source))


def _list_by_location(
    request: ListServicesByLocation, sources: Sources, now: datetime
) -> ListServicesByLocationResponse:
    """Every service we have is there everywhere: where nobody is responsible the default agency is."""
    _stop_loops(request.path, sources)
    found = _locate(request.locations, sources, _day(now, sources))
    return ListServicesByLocationResponse(
        services=_below(request.service, sources), path=(*request.path, sources.source), location_used=found.id
    )


def _boundary(request: GetServiceBoundary, sources: Sources, now: datetime) -> GetServiceBoundaryResponse:
    code = request.key.removeprefix(_CIVIC_KEY)
    if code != request.key and code in sources.gazetteer.names:
        boundary: Boundary | None = Boundary(civic=_civic_area(code, sources))
    else:
        boundary = sources.areas.by_key(request.key, as_of=_day(now, sources))
    if boundary is None:
        raise _Failed(Fault.NOT_FOUND, "There is no boundary with this key, or it has changed.")
    return GetServiceBoundaryResponse(boundary=boundary, path=(sources.source,))


def _stop_loops(path: tuple[str, ...], sources: Sources) -> None:
    if sources.source in path or len(path) >= MAX_PATH:
        raise _Failed(Fault.LOOP, "The query has been here before.")


def _offered(service: str, sources: Sources) -> str:
    """The nearest service at or above the one asked for.  Labels are compared without case (RFC 5031 section 4.1)."""
    urn = service.lower()
    while urn not in sources.offers:
        above, _, last = urn.rpartition(".")
        if not last or not above:
            raise _Failed(Fault.NOT_IMPLEMENTED, "This service is not known here.")
        urn = above
    return urn


def _below(service: str | None, sources: Sources) -> tuple[str, ...]:
    if service is None:
        return (TOP,)
    urn = service.lower()
    below = tuple(
        sorted(each for each in sources.offers if each.startswith(f"{urn}.") and "." not in each[len(urn) + 1 :])
    )
    if not below and urn not in sources.offers:
        raise _Failed(Fault.NOT_IMPLEMENTED, "This service is not known here.")
    return below


def _day(instant: datetime, sources: Sources) -> date:
    return instant.astimezone(ZoneInfo(sources.zone)).date()


def _locate(locations: tuple[Location, ...], sources: Sources, on: date) -> _Found:
    """The first location that can be used (RFC 5222 section 12.1)."""
    for location in locations:
        if isinstance(location.value, Civic):
            return _by_address(location.id, location.value, sources)
        if not isinstance(location.value, Unusable):
            return _Found(location.id, tuple(_by_shape(location.value, sources, on)))
    reasons = [each.value for each in locations if isinstance(each.value, Unusable)]
    told = next((each for each in reasons if each.fault is not Fault.PROFILE_UNRECOGNIZED), reasons[0])
    unsupported = tuple(dict.fromkeys(each.profile for each in locations))
    known = told.fault is not Fault.PROFILE_UNRECOGNIZED
    raise _Failed(told.fault, f"{told.message} ({told.field})", unsupported=() if known else unsupported)


def _by_shape(shape: Shape, sources: Sources, on: date) -> Iterator[_Place]:
    circle = circle_of(shape)
    middle = Position(circle.latitude, circle.longitude)
    if isinstance(shape, Polygon) and len(shape.exterior) + sum(map(len, shape.holes)) > MAX_CORNERS:
        shape = circle
    shares: tuple[Share, ...] = ()
    if 0.0 < circle.radius_m <= MAX_SPREAD_M and not isinstance(shape, Point):
        if shape == circle:
            shares = sources.layer.shares(middle.latitude, middle.longitude, circle.radius_m, as_of=on)
        else:
            shares = sources.layer.shares_of(region(shape), as_of=on)
    for share in _covered_first(shares, shape, sources, on):
        prefecture = prefecture_of(share.code)
        municipality = None if share.code == prefecture else share.code
        yield _Place(prefecture, municipality, "inside", middle.latitude, middle.longitude)
    if not shares:
        match: Match = sources.layer.find(middle.latitude, middle.longitude, as_of=on)
        if sources.crossings is not None and match.how in ("nearest", "sea"):
            crossing = sources.crossings.at(middle.latitude, middle.longitude)
            for code in crossing.municipalities if crossing else ():
                yield _Place(prefecture_of(code), code, CROSSING, middle.latitude, middle.longitude)
            if crossing:
                return
        yield _Place(match.prefecture, match.municipality, match.how, middle.latitude, middle.longitude)


def _covered_first(shares: tuple[Share, ...], shape: Shape, sources: Sources, on: date) -> list[Share]:
    """An area that the shape holds whole goes before those it only cuts (NENA-STA-010.3 on the ECRF)."""
    if len(shares) < 2:
        return list(shares)
    outline = region(shape)

    def cut(share: Share) -> bool:
        area = sources.layer.polygon(share.code, as_of=on)
        return area is None or not outline.covers(area)

    return sorted(shares[:MAX_COMPARED], key=cut)


def _by_address(id: str, civic: Civic, sources: Sources) -> _Found:
    resolved = sources.gazetteer.find(civic)
    municipality = None if resolved.code == resolved.prefecture else resolved.code
    place = _Place(resolved.prefecture, municipality, "inside" if resolved.code else "outside")
    return _Found(id, (place,), civic, resolved.validation)


class _Turn(Struct, frozen=True, kw_only=True):
    """One findService, as far as it has been understood."""

    request: FindService
    found: _Found
    urn: str
    """The service that answers, at or above the one asked for."""
    now: datetime
    on: date
    partner: bool


def _mappings(turn: _Turn, sources: Sources) -> Iterator[Mapping]:
    told: set[str] = set()
    today = turn.request.as_of is None  # an answer for another day is no answer for the next question
    for place in turn.found.places:
        for offer in _offers(turn.urn, place, sources):
            agency = _agency(offer.service, place, sources, turn.on)
            if agency is None or agency.id in told or len(told) == MAX_MAPPINGS:
                continue
            told.add(agency.id)
            kept = place.how == "inside"
            yield Mapping(
                source=sources.source,
                source_id=f"{agency.id}:{place.code or 'default'}:{turn.urn.rpartition(':')[2]}",
                last_updated=sources.updated,
                expires=_expiry(turn, place, sources, offer, agency) if kept and today else "NO-CACHE",
                names=(("ja", agency.name_ja), ("en", agency.name_en)),
                service=turn.urn,
                boundary=_told_boundary(turn, place, sources) if kept else None,
                uris=tuple(_uris(agency, sources.directory, partner=turn.partner)),
                number=offer.number,
            )


def _offers(urn: str, place: _Place, sources: Sources) -> tuple[Offer, ...]:
    """At sea the coast guard is named beside the land service, when just "help" was asked for."""
    marine = sources.offers.get(f"{TOP}.marine")
    return (sources.offers[urn], marine) if urn == TOP and place.how == "sea" and marine else (sources.offers[urn],)


def _agency(service: Service, place: _Place, sources: Sources, on: date) -> Agency | None:
    found = sources.directory.assign(service, prefecture=place.prefecture, municipality=place.municipality, on=on)
    return found.agency if found is not None else None


def _expiry(turn: _Turn, place: _Place, sources: Sources, offer: Offer, agency: Agency) -> datetime:
    """After the lifetime of an answer, or at the next midnight when another agency will answer before that."""
    end = (turn.now + sources.lifetime).astimezone(UTC).replace(microsecond=0)
    last = _day(end, sources)
    if last == turn.on:
        return end
    then = place
    if place.latitude is not None and place.longitude is not None:
        match = sources.layer.find(place.latitude, place.longitude, as_of=last)
        if match.how == "inside":
            then = _Place(match.prefecture, match.municipality, match.how)
    if _agency(offer.service, then, sources, last) == agency:
        return end
    midnight = datetime.combine(turn.on + timedelta(days=1), time.min, ZoneInfo(sources.zone)).astimezone(UTC)
    return min(end, midnight)


_CIVIC_KEY = "civic."


def _told_boundary(turn: _Turn, place: _Place, sources: Sources) -> Boundary | BoundaryReference | None:
    """In the profile of the location (RFC 5222 section 8.3.2)."""
    if place.code is None:
        return None
    if turn.found.civic is not None:
        if place.code not in sources.gazetteer.names:
            return None  # a designated city, which the layer knows by its wards
        if turn.request.boundary == "value":
            return Boundary(civic=_civic_area(place.code, sources))
        return BoundaryReference(source=sources.source, key=f"{_CIVIC_KEY}{place.code}")
    if place.latitude is None or place.longitude is None:
        return None
    area = sources.areas.around(place.code, place.latitude, place.longitude, as_of=turn.on)
    if area is None:
        return None
    return area.boundary if turn.request.boundary == "value" else BoundaryReference(source=sources.source, key=area.key)


def _civic_area(code: str, sources: Sources) -> Civic:
    names = sources.gazetteer.names
    prefecture = prefecture_of(code)
    within = names[prefecture][0] if prefecture in names else ""
    fields = [("country", sources.gazetteer.country), *([("A1", within)] if within else [])]
    if code != prefecture:
        fields.append(("A3", names[code][0].removeprefix(within)))
    return Civic(tuple(fields), "ja")


def _uris(agency: Agency, directory: Directory, *, partner: bool) -> Iterable[str]:
    """Where the agency, or the command centre that answers for it, can be reached, in its own order."""
    centre = directory.centre_of(agency)
    channels: dict[str, dict[str, Any]] = agency.channels or (centre.channels if centre else {})
    shown = (settings for settings in channels.values() if partner or settings.get("listed") is True)
    return dict.fromkeys(uri for settings in shown for uri in _addresses(settings))


def _addresses(settings: dict[str, Any]) -> Iterator[str]:
    """The addresses of a channel as URIs, as far as another service could use them.

    A web address is told where it is listed only: it is where *we* deliver, and it may hold a secret.
    """
    for name in ("number", "second"):
        if isinstance(number := settings.get(name), str) and number:
            yield f"tel:{number.replace(' ', '')}"
    for name in ("uri", "url"):
        if isinstance(uri := settings.get(name), str):
            scheme = uri.partition(":")[0]
            if scheme in ("sip", "sips", "tel") or (scheme == "https" and settings.get("listed") is True):
                yield uri


def _peer(place: _Place, sources: Sources) -> Peer | None:
    for peer in sources.peers:
        if place.municipality in peer.areas or place.prefecture in peer.areas:
            return peer
        if place.how == "outside" and ELSEWHERE in peer.areas:
            return peer
    return None


def _notice(kind: Warn, message: str, sources: Sources) -> Notice:
    return Notice(kind=kind, message=message, source=sources.source)
