"""PIDF-LO: a location as SIP, HELD and VEDS carry it (RFC 4119 as profiled by RFC 5491, civic by RFC 5139).

``read`` gives every location of a document in its order; the first one is the one to use (RFC 5491 section 3.4).
``write`` gives the profiled form.  Confidence is RFC 7459's.  Who may keep what for how long (retention,
retransmission) is carried and obeyed elsewhere.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from lxml import etree
from msgspec import Struct

from routing.errors import Malformed
from routing.position.gml import CIVIC, GML, GS, Civic, civic_element, civic_of, element_of, is_shape, shape_of
from routing.position.shapes import Confidence, Shape
from routing.xml import child, children, namespace, read_xml, text, where, write_xml

MEDIA_TYPE = "application/pidf+xml"
MAX_BYTES = 65_536
"""A document with a few locations is 2 kB."""

PIDF = "urn:ietf:params:xml:ns:pidf"
GEOPRIV = "urn:ietf:params:xml:ns:pidf:geopriv10"
POLICY = "urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy"
MODEL = "urn:ietf:params:xml:ns:pidf:data-model"
CONFIDENCE = "urn:ietf:params:xml:ns:geopriv:conf"

_HOLDERS: dict[str, Literal["device", "tuple", "person"]] = {
    f"{{{MODEL}}}device": "device",
    f"{{{PIDF}}}tuple": "tuple",
    f"{{{MODEL}}}person": "person",
}


class Located(Struct, frozen=True, kw_only=True):
    """One ``geopriv`` element: a shape, an address or both, and how they were come by."""

    holder: Literal["device", "tuple", "person"] = "device"
    """What the location is of."""
    id: str
    shape: Shape | None = None
    civic: Civic | None = None
    confidence: Confidence | None = None
    """None where nothing is said: then 95 % is meant (RFC 5491 section 5.1)."""
    method: str | None = None
    """How it was found, from the IANA registry: ``GPS``, ``Cell``, ``Manual``."""
    timestamp: datetime | None = None
    """When it was measured."""
    device_id: str | None = None
    retransmission_allowed: bool = False
    """What RFC 4119 section 2.2.2 takes where nothing is said."""
    retention_expiry: datetime | None = None
    """After this the sender wants it forgotten."""


class PidfLo(Struct, frozen=True, kw_only=True):
    """A presence document with at least one location."""

    entity: str
    """``pres:`` URI of what is located; a pseudonym as a rule."""
    locations: tuple[Located, ...]
    """By priority."""


def read(data: bytes) -> PidfLo:
    """The document.  ``Malformed`` (or a kind of it from ``gml``) names the place and what was expected."""
    return from_element(read_xml(data, limit=MAX_BYTES))


def from_element(root: Any) -> PidfLo:
    """As ``read``, where the ``presence`` element stands inside another document (VEDS)."""
    if root.tag != f"{{{PIDF}}}presence":
        raise Malformed("a presence element of PIDF is expected here", field=where(root))
    locations = tuple(
        _located(holder, geopriv)
        for holder in children(root, *_HOLDERS)
        for geopriv in holder.iter(f"{{{GEOPRIV}}}geopriv")
    )
    if not locations:
        raise Malformed("a location (geopriv) is expected in a device, tuple or person", field=where(root))
    return PidfLo(entity=root.get("entity", ""), locations=locations)


def write(document: PidfLo) -> bytes:
    """The document in UTF-8.  ``Malformed`` when a location holds neither a shape nor an address, or a text that XML
    cannot hold."""
    return write_xml(to_element(document))


def to_element(document: PidfLo) -> Any:
    """As ``write``, to stand inside another document."""
    prefixes = {None: PIDF, "gp": GEOPRIV, "gbp": POLICY, "dm": MODEL, "gml": GML, "gs": GS, "con": CONFIDENCE}
    root = etree.Element(f"{{{PIDF}}}presence", nsmap=prefixes)
    # RFC 3863 wants tuples before everything that extends them.
    try:
        root.set("entity", document.entity)
        for located in sorted(document.locations, key=lambda each: each.holder != "tuple"):
            _write_located(root, located)
    except ValueError:  # lxml's word for a control character or a name that is none
        raise Malformed("a text cannot be written as XML", field="locations") from None
    return root


def _located(holder: Any, geopriv: Any) -> Located:
    info = child(geopriv, f"{{{GEOPRIV}}}location-info")
    shapes = [each for each in info if is_shape(each)]
    addresses = list(children(info, f"{{{CIVIC}}}civicAddress"))
    if len(shapes) > 1 or len(addresses) > 1:
        raise Malformed("at most one shape and one address are expected here", field=where(info))
    if not (shapes or addresses):
        strange = next((each for each in info if namespace(each) in (GML, GS)), info)
        raise Malformed("a shape of RFC 5491 or a civicAddress is expected here", field=where(strange))
    policy = next(children(geopriv, f"{{{GEOPRIV}}}usage-rules"), None)
    return Located(
        holder=_HOLDERS[holder.tag],
        id=holder.get("id", ""),
        shape=shape_of(shapes[0]) if shapes else None,
        civic=civic_of(addresses[0]) if addresses else None,
        confidence=_confidence(info),
        method=_optional(geopriv, f"{{{GEOPRIV}}}method"),
        timestamp=_instant(next(_timestamps(holder), None)),
        device_id=_optional(holder, f"{{{MODEL}}}deviceID"),
        retransmission_allowed=_allowed(policy),
        retention_expiry=None if policy is None else _instant(next(children(policy, _rule("retention-expiry")), None)),
    )


def _timestamps(holder: Any) -> Iterator[Any]:
    return children(holder, f"{{{PIDF}}}timestamp", f"{{{MODEL}}}timestamp")


def _rule(name: str) -> str:
    return f"{{{POLICY}}}{name}"


def _allowed(policy: Any) -> bool:
    if policy is None:
        return False
    # Some senders put the rules into the namespace of geopriv itself, as RFC 4119's own examples do.
    names = (_rule("retransmission-allowed"), f"{{{GEOPRIV}}}retransmission-allowed")
    return any(text(each).lower() in ("true", "yes", "1") for each in children(policy, *names))


def _confidence(info: Any) -> Confidence | None:
    stated = next(children(info, f"{{{CONFIDENCE}}}confidence"), None)
    if stated is None:
        return None
    words = text(stated)
    try:
        percent = None if words == "unknown" else float(words)
        return Confidence(percent, stated.get("pdf", "unknown"))
    except (ValueError, Malformed):
        raise Malformed("confidence is a number between 0 and 100, or unknown", field=where(stated)) from None


def _optional(element: Any, name: str) -> str | None:
    found = next(children(element, name), None)
    return None if found is None else text(found) or None


def _instant(element: Any) -> datetime | None:
    """None where there is no element; a time without an offset is taken as UTC (RFC 3863 section 4.1.7 wants one)."""
    if element is None:
        return None
    try:
        instant = datetime.fromisoformat(text(element))
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed("a date and time is expected here", field=where(element)) from None


def _write_located(root: Any, located: Located) -> None:
    if located.shape is None and located.civic is None:
        raise Malformed("a location needs a shape or an address", field="locations")
    own = PIDF if located.holder == "tuple" else MODEL
    holder = etree.SubElement(root, f"{{{own}}}{located.holder}", id=located.id)
    inside = etree.SubElement(holder, f"{{{PIDF}}}status") if located.holder == "tuple" else holder
    geopriv = etree.SubElement(inside, f"{{{GEOPRIV}}}geopriv")
    info = etree.SubElement(geopriv, f"{{{GEOPRIV}}}location-info")
    if located.shape is not None:
        info.append(element_of(located.shape))
    if located.civic is not None:
        info.append(civic_element(located.civic))
    if located.confidence is not None:
        stated = etree.SubElement(info, f"{{{CONFIDENCE}}}confidence", pdf=located.confidence.pdf)
        stated.text = "unknown" if located.confidence.percent is None else f"{located.confidence.percent!r}"
    rules = etree.SubElement(geopriv, f"{{{GEOPRIV}}}usage-rules")
    etree.SubElement(rules, _rule("retransmission-allowed")).text = str(located.retransmission_allowed).lower()
    if located.retention_expiry is not None:
        etree.SubElement(rules, _rule("retention-expiry")).text = _written(located.retention_expiry)
    if located.method is not None:
        etree.SubElement(geopriv, f"{{{GEOPRIV}}}method").text = located.method
    if located.device_id is not None and located.holder == "device":
        etree.SubElement(holder, f"{{{MODEL}}}deviceID").text = located.device_id
    if located.timestamp is not None:
        etree.SubElement(holder, f"{{{own}}}timestamp").text = _written(located.timestamp)


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
