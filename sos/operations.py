"""How operations of HTTP are described for the OpenAPI 3.1 document; each room's ``operations`` say what it offers.

An operation is data: what it is, who may ask, what is sent, what is replied and how it is refused.  ``sos.openapi``
puts all rooms' together.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

Operation = Mapping[str, Any]
Operations = Mapping[str, Mapping[str, Operation]]
"""Path -> method -> operation."""

_WHY: Mapping[int, str] = MappingProxyType(
    {
        400: "Cannot be read; `field` says where",
        401: "Nobody known sent this; `rule` says what failed",
        403: "Not allowed",
        404: "There is no such thing here, or it is another tenant's",
        408: "The body did not arrive in time",
        409: "May not happen as things stand",
        410: "The link is over: its time, or the agency's part",
        412: "It is meant for another ICE session",
        413: "Larger than we read",
        415: "Of a type that we do not read",
        422: "ICE is not restarted; offer anew",
        426: "Open a WebSocket",
        428: "Send `If-Match`",
        429: "Too many of a stranger's questions, or too many wrong credentials; `Retry-After` says when again",
        500: "Our own mistake; `instance` is in our log",
        503: "Not available just now; send it again",
    }
)

TENANT: Sequence[Mapping[str, Sequence[str]]] = ({"tenantKey": ()}, {"tenantSignature": ()}, {"tenantCertificate": ()})

DESK: Sequence[Mapping[str, Sequence[str]]] = ({"deskSession": ()},)
HTML = "text/html"
OCTETS: Mapping[str, Any] = {"schema": {"type": "string", "format": "binary"}}
SDP: Mapping[str, Any] = {"application/sdp": {"schema": {"type": "string"}}}
OBJECT: Mapping[str, Any] = {"application/json": {"schema": {"type": "object"}}}


def _problems(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": _WHY[status], "content": content} for status in statuses}


def shapes(*kinds: Any) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The JSON Schemas of ``kinds``, which may refer to components, and those components."""
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")


def shown(*kinds: Any) -> dict[str, Any]:
    """The schema of one of ``kinds``; anything at all without any."""
    schemas, _ = shapes(*kinds)
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)} if schemas else {}


def reply(description: str, *kinds: Any, media: str = "application/json") -> dict[str, Any]:
    """One reply, of one of ``kinds``; without any every body of ``media`` is meant."""
    return {"description": description, "content": {media: {"schema": shown(*kinds)}}}


def json_body(kind: Any) -> dict[str, Any]:
    return {"application/json": {"schema": shown(kind)}}


def empty(description: str) -> dict[str, Any]:
    return {"description": description}


def path(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def header(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    shape = {"type": "string", **schema}
    return {"name": name, "in": "header", "required": required, "description": description, "schema": shape}


def operation(
    summary: str,
    *,
    tag: str,
    replies: Mapping[str, Any],
    refuses: Sequence[int] = (),
    parameters: Sequence[Mapping[str, Any]] = (),
    body: Mapping[str, Any] | None = None,
    security: Sequence[Mapping[str, Sequence[str]]] = (),
) -> Operation:
    by_link = any(each["name"] == "token" for each in parameters)
    waits = {429} if by_link or {401, 403} & set(refuses) else set()
    told: dict[str, Any] = {
        "summary": summary,
        "tags": [tag],
        "responses": {**replies, **_problems(*sorted({*refuses, *waits}))},
        "security": list(security),
    }
    if parameters:
        told["parameters"] = list(parameters)
    if body is not None:
        told["requestBody"] = {"required": True, "content": dict(body)}
    return told
