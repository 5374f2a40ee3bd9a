"""LoST messages to and from XML (RFC 5222 section 17), both directions.

What is written validates against the RFC's RELAX NG schema.  What is read is strict where it decides who is called and
lenient elsewhere: a service boundary that cannot be understood is left out, and then the answer is not kept for long.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, assert_never

from lxml import etree

from routing.errors import Malformed
from routing.lost.messages import (
    CIVIC,
    GEODETIC,
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
from routing.position.gml import (
    CIVIC as CIVIC_NS,
)
from routing.position.gml import (
    GML,
    GS,
    Civic,
    UnknownReference,
    UnknownShape,
    civic_element,
    civic_of,
    element_of,
    shape_of,
)
from routing.position.shapes import Polygon
from routing.xml import LANGUAGE, children, local, namespace, read_xml, text, where, write_xml

LOST = "urn:ietf:params:xml:ns:lost1"
EXTENSIONS = "urn:emergency:xml:ns:lostExt"
"""Prefix of the namespaces that an answer repeats (NENA i3: call and incident id)."""

PLANNED = "urn:ietf:params:xml:ns:lostPlannedChange1"
"""draft-ietf-ecrit-lost-planned-changes."""

MAX_REQUEST_BYTES = 65_536
MAX_ANSWER_BYTES = 1_048_576
"""A boundary by value at full resolution can be long."""
MAX_LOCATIONS = 8
MAX_PATH = 16
"""More servers than this on the way are a loop that we are not part of yet."""

SOURCE = re.compile(r"([a-zA-Z0-9-]+\.)+[a-zA-Z0-9]+")
"""``appUniqueString`` of the schema."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_PROFILE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""``NMTOKEN``: our answer repeats it."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")


def read_request(data: bytes) -> Request:
    """What is asked.  ``Malformed`` (answered with ``badRequest``) when it is no LoST request; the sender's fault."""
    root = read_xml(data, limit=MAX_REQUEST_BYTES)
    read = _REQUESTS.get(root.tag)
    if read is None:
        raise Malformed("a request of RFC 5222 is expected", field=where(root))
    return read(root)


def read_answer(data: bytes) -> Answer:
    """What was answered.  ``Malformed`` when it is no LoST answer; the server's fault."""
    root = read_xml(data, limit=MAX_ANSWER_BYTES)
    read = _ANSWERS.get(root.tag)
    if read is None:
        raise Malformed("an answer of RFC 5222 is expected", field=where(root))
    return read(root)


def write_request(request: Request) -> bytes:
    """The request as UTF-8 XML."""
    match request:
        case FindService():
            root = _element("findService", {"serviceBoundary": request.boundary, "recursive": _bool(request.recursive)})
            if request.validate:
                root.set("validateLocation", "true")
            _write_locations(root, request.locations)
            _add(root, "service", request.service)
            _write_path(root, request.path)
            if request.as_of is not None:
                etree.SubElement(root, f"{{{PLANNED}}}asOf").text = _written(request.as_of)
            _write_extensions(root, request.extensions)
        case ListServices():
            root = _element("listServices")
            _write_service(root, request.service)
            _write_path(root, request.path)
        case ListServicesByLocation():
            root = _element("listServicesByLocation", {"recursive": _bool(request.recursive)})
            _write_locations(root, request.locations)
            _write_service(root, request.service)
            _write_path(root, request.path)
        case GetServiceBoundary():
            root = _element("getServiceBoundary", {"key": request.key})
        case _ as never:
            assert_never(never)
    return write_xml(root)


def write_answer(answer: Answer) -> bytes:
    """The answer as UTF-8 XML; valid by the schema of RFC 5222 (but for SRSInvalid, which that schema forgot)."""
    match answer:
        case FindServiceResponse():
            root = _element("findServiceResponse")
            for mapping in answer.mappings:
                _write_mapping(root, mapping)
            if answer.validation is not None:
                _write_validation(root, answer.validation)
            _write_tail(root, answer.warnings, answer.path, answer.extensions)
            _write_used(root, answer.location_used)
        case ListServicesResponse():
            root = _element("listServicesResponse")
            _add(root, "serviceList", " ".join(answer.services))
            _write_tail(root, answer.warnings, answer.path)
        case ListServicesByLocationResponse():
            root = _element("listServicesByLocationResponse")
            _add(root, "serviceList", " ".join(answer.services))
            _write_tail(root, answer.warnings, answer.path)
            _write_used(root, answer.location_used)
        case GetServiceBoundaryResponse():
            root = _element("getServiceBoundaryResponse")
            _write_boundary(root, answer.boundary)
            _write_tail(root, answer.warnings, answer.path)
        case Errors():
            root = _element("errors", {"source": answer.source})
            told = _said(etree.SubElement(root, _name(answer.fault.value)), answer.message)
            if answer.fault is Fault.PROFILE_UNRECOGNIZED:
                told.set("unsupportedProfiles", " ".join(answer.unsupported))
        case Redirect():
            root = _said(_element("redirect", {"target": answer.target, "source": answer.source}), answer.message)
        case _ as never:
            assert_never(never)
    return write_xml(root)


# Reading requests


def _find_service(root: Any) -> FindService:
    service = _service(root)
    if service is None:
        raise Malformed("a service URN is expected", field=where(root))
    return FindService(
        locations=_locations(root),
        service=service,
        path=_path(root),
        recursive=_flag(root, "recursive", default=False),
        validate=_flag(root, "validateLocation", default=False),
        boundary=_boundary_form(root),
        as_of=_as_of(root),
        extensions=_extensions(root),
    )


def _list_services_by_location(root: Any) -> ListServicesByLocation:
    return ListServicesByLocation(
        locations=_locations(root),
        service=_service(root),
        path=_path(root),
        recursive=_flag(root, "recursive", default=True),
    )


def _get_service_boundary(root: Any) -> GetServiceBoundary:
    key = root.get("key", "").strip()
    if not key:
        raise Malformed("a key is expected", field=where(root) + "/@key")
    return GetServiceBoundary(key=key)


def _locations(root: Any) -> tuple[Location, ...]:
    found = tuple(_location(each) for each in children(root, _name("location")))
    if not 1 <= len(found) <= MAX_LOCATIONS:
        raise Malformed(f"between 1 and {MAX_LOCATIONS} locations are expected", field=where(root))
    if len({each.id for each in found}) != len(found):
        raise Malformed("each location needs an id of its own", field=where(root))
    return found


def _location(element: Any) -> Location:
    id = " ".join(element.get("id", "").split())
    if not id:
        raise Malformed("a location needs an id", field=where(element))
    profile = element.get("profile", "none").strip()
    if not _PROFILE.fullmatch(profile):
        raise Malformed("a profile is a name", field=where(element) + "/@profile")
    inside = list(element)
    if not inside:
        raise Malformed("a location is expected here", field=where(element))
    if profile not in (GEODETIC, CIVIC):
        return Location(id, profile, Unusable(Fault.PROFILE_UNRECOGNIZED, "this profile is not known", where(element)))
    try:
        return Location(id, profile, shape_of(inside[0]) if profile == GEODETIC else civic_of(inside[0]))
    except Malformed as fault:
        return Location(id, profile, Unusable(_fault_of(fault), str(fault), fault.field))


def _fault_of(fault: Malformed) -> Fault:
    if isinstance(fault, UnknownReference):
        return Fault.SRS_INVALID
    return Fault.PROFILE_UNRECOGNIZED if isinstance(fault, UnknownShape) else Fault.LOCATION_INVALID


def _service(root: Any) -> str | None:
    found = list(children(root, _name("service")))
    if len(found) > 1:
        raise Malformed("one service is expected", field=where(root))
    urn = text(found[0]) if found else ""
    if urn and not _URI.fullmatch(urn):
        raise Malformed("the service must be a URN", field=where(found[0]))
    return urn or None


def _path(root: Any) -> tuple[str, ...]:
    sources = tuple(_source(via) for path in children(root, _name("path")) for via in children(path, _name("via")))
    if len(sources) > MAX_PATH:
        raise Malformed(f"a path may have at most {MAX_PATH} servers", field=where(root))
    return sources


def _flag(root: Any, name: str, *, default: bool) -> bool:
    stated = root.get(name)
    if stated is None:
        return default
    if stated.strip() not in _BOOLEANS:
        raise Malformed("true or false is expected", field=f"{where(root)}/@{name}")
    return _BOOLEANS[stated.strip()]


def _boundary_form(root: Any) -> Literal["reference", "value"]:
    stated = root.get("serviceBoundary", "reference").strip()
    if stated == "value":
        return "value"
    if stated != "reference":
        raise Malformed("reference or value is expected", field=where(root) + "/@serviceBoundary")
    return "reference"


def _as_of(root: Any) -> datetime | None:
    # Drafts of the planned-change extension changed its namespace more than once; the name stayed.
    found = [each for each in root if local(each) == "asOf" and namespace(each) != LOST]
    return _instant(text(found[0]), where(found[0])) if found else None


def _extensions(root: Any) -> tuple[bytes, ...]:
    known = [each for each in root if namespace(each).startswith(EXTENSIONS)]
    return tuple(bytes(etree.tostring(each, method="c14n", exclusive=True, with_comments=False)) for each in known)


# Reading answers


def _find_service_response(root: Any) -> FindServiceResponse:
    mappings = tuple(_mapping(each) for each in children(root, _name("mapping")))
    if not mappings:
        raise Malformed("a mapping is expected", field=where(root))
    validation = next(children(root, _name("locationValidation")), None)
    return FindServiceResponse(
        mappings=mappings,
        validation=None if validation is None else _validation(validation),
        warnings=_warnings(root),
        path=_path(root),
        location_used=_used(root),
        extensions=_extensions(root),
    )


def _list_services_response(root: Any) -> ListServicesResponse:
    return ListServicesResponse(services=_list(root), path=_path(root), warnings=_warnings(root))


def _list_by_location_response(root: Any) -> ListServicesByLocationResponse:
    return ListServicesByLocationResponse(
        services=_list(root), path=_path(root), warnings=_warnings(root), location_used=_used(root)
    )


def _boundary_response(root: Any) -> GetServiceBoundaryResponse:
    boundary = _boundary(root)
    if boundary is None:
        raise Malformed("a service boundary is expected", field=where(root))
    return GetServiceBoundaryResponse(boundary=boundary, path=_path(root), warnings=_warnings(root))


def _errors(root: Any) -> Errors:
    for each in root:
        if namespace(each) == LOST and local(each) in tuple(Fault):
            unsupported = tuple(each.get("unsupportedProfiles", "").split())
            fault = Fault(local(each))
            return Errors(fault=fault, message=_message(each), source=_source(root), unsupported=unsupported)
    raise Malformed("an error of RFC 5222 is expected", field=where(root))


def _redirect(root: Any) -> Redirect:
    target = root.get("target", "").strip()
    if not SOURCE.fullmatch(target):
        raise Malformed("a domain name is expected", field=where(root) + "/@target")
    return Redirect(target=target, source=_source(root), message=_message(root))


def _mapping(element: Any) -> Mapping:
    expires = element.get("expires", "").strip()
    service = next(children(element, _name("service")), None)
    number = next(children(element, _name("serviceNumber")), None)
    uris = tuple(text(each) for each in children(element, _name("uri")))
    if not all(_URI.fullmatch(uri) for uri in uris):
        raise Malformed("a uri is expected", field=where(element))
    return Mapping(
        source=_source(element),
        source_id=" ".join(element.get("sourceId", "").split()),
        last_updated=_instant(element.get("lastUpdated", ""), where(element) + "/@lastUpdated"),
        expires=_expiry(expires, where(element) + "/@expires"),
        names=tuple((each.get(LANGUAGE, "und"), text(each)) for each in children(element, _name("displayName"))),
        service=None if service is None else text(service) or None,
        boundary=_boundary(element) or _reference(element),
        uris=uris,
        number=None if number is None else text(number) or None,
    )


def _expiry(stated: str, field: str) -> datetime | Literal["NO-CACHE", "NO-EXPIRATION"]:
    if stated == "NO-CACHE":
        return "NO-CACHE"
    return "NO-EXPIRATION" if stated == "NO-EXPIRATION" else _instant(stated, field)


def _boundary(element: Any) -> Boundary | None:
    """None when there is none, or one that is not understood: then nothing may be concluded for other places."""
    polygons: list[Polygon] = []
    for each in children(element, _name("serviceBoundary")):
        try:
            if each.get("profile") == CIVIC:
                return Boundary(civic=civic_of(each[0]))
            shapes = [shape_of(inside) for inside in each]
        except (Malformed, IndexError):
            continue
        polygons.extend(shape for shape in shapes if isinstance(shape, Polygon))
    return Boundary(polygons=tuple(polygons)) if polygons else None


def _reference(element: Any) -> BoundaryReference | None:
    found = next(children(element, _name("serviceBoundaryReference")), None)
    if found is None or not found.get("key"):
        return None
    return BoundaryReference(source=_source(found), key=found.get("key"))


def _validation(element: Any) -> Validation:
    def names(kind: str) -> tuple[str, ...]:
        found = next(children(element, _name(kind)), None)
        return () if found is None else tuple(word.rpartition(":")[2] for word in text(found).split())

    return Validation(valid=names("valid"), invalid=names("invalid"), unchecked=names("unchecked"))


def _warnings(root: Any) -> tuple[Notice, ...]:
    return tuple(
        Notice(kind=Warn(local(each)), message=_message(each), source=_source(holder))
        for holder in children(root, _name("warnings"))
        for each in holder
        if local(each) in tuple(Warn)
    )


def _list(root: Any) -> tuple[str, ...]:
    found = next(children(root, _name("serviceList")), None)
    if found is None:
        raise Malformed("a serviceList is expected", field=where(root))
    return tuple(text(found).split())


def _used(root: Any) -> str | None:
    found = next(children(root, _name("locationUsed")), None)
    return None if found is None else " ".join(found.get("id", "").split())


def _source(element: Any) -> str:
    stated = str(element.get("source", "")).strip()
    if not SOURCE.fullmatch(stated):
        raise Malformed("a domain name is expected", field=where(element) + "/@source")
    return stated


def _message(element: Any) -> str:
    return " ".join(element.get("message", "").split())


def _instant(stated: str, field: str) -> datetime:
    """Aware, UTC; ``xsd:dateTime`` allows a time without an offset, which is taken as UTC."""
    if not _INSTANT.fullmatch(stated.strip()):
        raise Malformed("a date and time is expected", field=field)
    try:
        instant = datetime.fromisoformat(stated.strip())
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("a date and time is expected", field=field) from None


# Writing


def _name(name: str) -> str:
    return f"{{{LOST}}}{name}"


_REQUESTS: dict[str, Callable[[Any], Request]] = {
    _name("findService"): _find_service,
    _name("listServices"): lambda root: ListServices(service=_service(root), path=_path(root)),
    _name("listServicesByLocation"): _list_services_by_location,
    _name("getServiceBoundary"): _get_service_boundary,
}

_ANSWERS: dict[str, Callable[[Any], Answer]] = {
    _name("findServiceResponse"): _find_service_response,
    _name("listServicesResponse"): _list_services_response,
    _name("listServicesByLocationResponse"): _list_by_location_response,
    _name("getServiceBoundaryResponse"): _boundary_response,
    _name("errors"): _errors,
    _name("redirect"): _redirect,
}


def _element(name: str, attributes: dict[str, str] | None = None) -> Any:
    return etree.Element(_name(name), attributes or {}, nsmap={None: LOST, "gml": GML, "gs": GS})


def _add(parent: Any, name: str, words: str) -> Any:
    made = etree.SubElement(parent, _name(name))
    made.text = words
    return made


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _said(element: Any, message: str) -> Any:
    if message:
        element.set("message", message)
        element.set(LANGUAGE, "en")
    return element


def _write_locations(root: Any, locations: Iterable[Location]) -> None:
    for each in locations:
        if isinstance(each.value, Unusable):
            continue
        holder = etree.SubElement(root, _name("location"), id=each.id, profile=each.profile)
        holder.append(civic_element(each.value) if isinstance(each.value, Civic) else element_of(each.value))


def _write_service(root: Any, service: str | None) -> None:
    if service is not None:
        _add(root, "service", service)


def _write_path(root: Any, path: tuple[str, ...]) -> None:
    if path:
        holder = etree.SubElement(root, _name("path"))
        for source in path:
            etree.SubElement(holder, _name("via"), source=source)


def _write_extensions(root: Any, extensions: tuple[bytes, ...]) -> None:
    for each in extensions:
        root.append(read_xml(each))


def _write_mapping(root: Any, mapping: Mapping) -> None:
    expires = mapping.expires if isinstance(mapping.expires, str) else _written(mapping.expires)
    holder = etree.SubElement(
        root,
        _name("mapping"),
        expires=expires,
        lastUpdated=_written(mapping.last_updated),
        source=mapping.source,
        sourceId=mapping.source_id,
    )
    for language, words in mapping.names:
        _add(holder, "displayName", words).set(LANGUAGE, language)
    _write_service(holder, mapping.service)
    if isinstance(mapping.boundary, Boundary):
        _write_boundary(holder, mapping.boundary)
    elif mapping.boundary is not None:
        reference = {"source": mapping.boundary.source, "key": mapping.boundary.key}
        etree.SubElement(holder, _name("serviceBoundaryReference"), reference)
    for uri in mapping.uris:
        _add(holder, "uri", uri)
    if mapping.number is not None:
        _add(holder, "serviceNumber", mapping.number)


def _write_boundary(root: Any, boundary: Boundary) -> None:
    if boundary.civic is not None:
        etree.SubElement(root, _name("serviceBoundary"), profile=CIVIC).append(civic_element(boundary.civic))
        return
    holder = etree.SubElement(root, _name("serviceBoundary"), profile=GEODETIC)
    for polygon in boundary.polygons:
        holder.append(element_of(polygon))


def _write_validation(root: Any, validation: Validation) -> None:
    # The names are QNames (RFC 5222 section 8.4.2), so their prefix must be bound where they stand.
    holder = etree.SubElement(root, _name("locationValidation"))
    for kind in ("valid", "invalid", "unchecked"):
        if names := getattr(validation, kind):
            listed = etree.SubElement(holder, _name(kind), nsmap={"ca": CIVIC_NS})
            listed.text = " ".join(f"ca:{name}" for name in names)


def _write_tail(
    root: Any, warnings: tuple[Notice, ...], path: tuple[str, ...], extensions: tuple[bytes, ...] = ()
) -> None:
    for source in dict.fromkeys(each.source for each in warnings):
        holder = etree.SubElement(root, _name("warnings"), source=source)
        for kind, message in {each.kind: each.message for each in warnings if each.source == source}.items():
            _said(etree.SubElement(holder, _name(kind.value)), message)
    _write_path(root, path)
    _write_extensions(root, extensions)


def _write_used(root: Any, location: str | None) -> None:
    if location is not None:
        etree.SubElement(root, _name("locationUsed"), id=location)


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
