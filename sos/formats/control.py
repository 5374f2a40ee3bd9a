"""EmergencyCallData.Control (RFC 8147 section 9, RFC 8148 section 7): what a call centre tells a vehicle, and back.

One document may acknowledge data received, ask for actions (send data again, show a message, light a lamp), report how
asked actions went, and say what a vehicle can do.  The printed schema allows one kind of child only once while the
RFC's own figure shows four requests; the text outranks the schema, so nothing is validated strictly.
"""

from typing import Any

from lxml import etree
from msgspec import Struct

from routing import xml
from sos.errors import Malformed
from sos.formats.markup import MAX_REPEATS, MAX_TEXT, document, name_of

MEDIA_TYPE = "application/EmergencyCallData.Control+xml"
NAMESPACE = "urn:ietf:params:xml:ns:EmergencyCallData:control"
MAX_BYTES = 65_536
ROOT = "EmergencyCallData.Control"

SEND_DATA = "send-data"
MSD = "eCall.MSD"
VEDS = "VEDS"


class ActionResult(Struct, frozen=True, kw_only=True):
    """How one asked action went."""

    action: str
    success: bool
    reason: str | None = None
    """``damaged``, ``data-unsupported``, ``security-failure``, ``unable``, ``unsupported``; None on success."""
    details: str | None = None


class Ack(Struct, frozen=True, kw_only=True):
    """An answer to the body part ``ref``."""

    ref: str
    """Content-ID of what is answered, without angle brackets."""
    received: bool | None = None
    """Whether data arrived and could be decoded; None where only actions are answered."""
    results: tuple[ActionResult, ...] = ()


class Request(Struct, frozen=True, kw_only=True):
    """An action asked for; inside capabilities, one that can be asked for."""

    action: str
    datatype: str | None = None
    """For ``send-data``: ``eCall.MSD`` or ``VEDS``."""
    supported_values: tuple[str, ...] = ()
    int_id: int | None = None
    """Which fixed message; 1 says that help is on the way."""
    persistence: str | None = None
    """ISO 8601 duration."""
    requested_state: str | None = None
    element_id: str | None = None
    text: str | None = None
    """What to show or say."""


class Control(Struct, frozen=True, kw_only=True):
    """One document."""

    acks: tuple[Ack, ...] = ()
    requests: tuple[Request, ...] = ()
    capabilities: tuple[Request, ...] | None = None
    """None where none are stated: then ``send-data`` for the MSD is all (RFC 8147 section 9.1.2)."""


def acknowledged(ref: str, *, received: bool) -> Control:
    """What the final answer to a call carries for the data in body part ``ref`` (RFC 8147 section 9.1.1)."""
    return Control(acks=(Ack(ref=ref, received=received),))


def data_wanted(datatype: str = MSD) -> Control:
    """The request to send crash data again."""
    return Control(requests=(Request(action=SEND_DATA, datatype=datatype),))


def read(data: bytes) -> Control:
    """The document in ``data``.  ``Malformed`` when it is no XML, too large, or no control document."""
    root = document(data, limit=MAX_BYTES)
    if name_of(root) != ROOT:
        raise Malformed(f"expected an {ROOT} element", field="/")
    stated = next((each for each in root if name_of(each) == "capabilities"), None)
    return Control(
        acks=tuple(_ack(each) for each in _children(root, "ack")),
        requests=tuple(_request(each) for each in _children(root, "request")),
        capabilities=None if stated is None else tuple(_request(each) for each in _children(stated, "request")),
    )


def _children(element: Any, name: str) -> list[Any]:
    return [each for each in element if name_of(each) == name][:MAX_REPEATS]


def _ack(element: Any) -> Ack:
    received = element.get("received")
    ref = _needed(element, "ref").removeprefix("<").removesuffix(">").strip()
    if not ref:
        raise Malformed("a Content-ID is expected here", field=xml.where(element))
    return Ack(
        ref=ref,
        received=None if received is None else _truth(element, "received"),
        results=tuple(_result(each) for each in _children(element, "actionResult")),
    )


def _result(element: Any) -> ActionResult:
    return ActionResult(
        action=_needed(element, "action"),
        success=_truth(element, "success"),
        reason=_text(element.get("reason")),
        details=_text(element.get("details")),
    )


def _request(element: Any) -> Request:
    number = (element.get("int-id") or "").strip()
    spoken = next(iter(_children(element, "text")), None)
    # RFC 8148's prose once says `supported-datatypes` for what its schema calls `supported-values`.
    supported = element.get("supported-values") or element.get("supported-datatypes") or ""
    return Request(
        action=_needed(element, "action"),
        datatype=_text(element.get("datatype")),
        supported_values=tuple(value for part in supported.split(";") if (value := part.strip()))[:MAX_REPEATS],
        int_id=int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None,
        persistence=_text(element.get("persistence")),
        requested_state=_text(element.get("requested-state")),
        element_id=_text(element.get("element-id")),
        text=None if spoken is None else _text(spoken.text),
    )


def _text(found: str | None) -> str | None:
    return None if found is None else " ".join(found.split())[:MAX_TEXT] or None


def _needed(element: Any, name: str) -> str:
    found = _text(element.get(name))
    if found is None:
        raise Malformed(f"an attribute {name} is expected here", field=xml.where(element))
    return found


def _truth(element: Any, name: str) -> bool:
    match _needed(element, name).lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise Malformed(f"the attribute {name} is true or false", field=xml.where(element))


def write(control: Control) -> bytes:
    """``control`` as a document.  ``Malformed`` when a text cannot stand in XML: the fault of whoever made it."""
    root = etree.Element(f"{{{NAMESPACE}}}{ROOT}", nsmap={None: NAMESPACE})
    try:
        for ack in control.acks:
            _put_ack(root, ack)
        if control.capabilities is not None:
            stated = etree.SubElement(root, f"{{{NAMESPACE}}}capabilities")
            for request in control.capabilities:
                _put_request(stated, request)
        for request in control.requests:
            _put_request(root, request)
        return xml.write_xml(root)
    except ValueError:  # lxml's word for a character that XML cannot hold
        raise Malformed("a text of this document cannot be written as XML") from None


def _put_ack(root: Any, ack: Ack) -> None:
    element = _put(root, "ack", received=_flag(ack.received), ref=ack.ref)
    for result in ack.results:
        success = _flag(result.success)
        _put(
            element,
            "actionResult",
            action=result.action,
            success=success,
            reason=result.reason,
            details=result.details,
        )


def _put_request(parent: Any, request: Request) -> None:
    element = _put(
        parent,
        "request",
        **{
            "action": request.action,
            "datatype": request.datatype,
            "supported-values": "; ".join(request.supported_values) or None,
            "int-id": None if request.int_id is None else str(request.int_id),
            "persistence": request.persistence,
            "requested-state": request.requested_state,
            "element-id": request.element_id,
        },
    )
    if request.text is not None:
        etree.SubElement(element, f"{{{NAMESPACE}}}text").text = request.text


def _put(parent: Any, name: str, **attributes: str | None) -> Any:
    stated = {attribute: value for attribute, value in attributes.items() if value is not None}
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", stated)


def _flag(flag: bool | None) -> str | None:
    return None if flag is None else str(flag).lower()
