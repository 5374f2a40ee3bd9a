"""The whole HTTP interface as an OpenAPI 3.1 document, written as data: every route of the application stands here.

A test keeps it equal to the routes that run, and another sends what the document allows and what it forbids and looks
at the answers.  ``document`` is served at ``/v1/openapi.json``, the event's schema beside it under ``/v1/schemas``.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from sos.formats import msd, veds
from sos.formats.event_schema import event_schema
from sos.intake.batch import BATCH
from sos.intake.cloudevents import MEDIA_TYPES, WireEvent
from sos.intake.multipart import MEDIA_TYPE as MULTIPART
from sos.registry.http import OPERATIONS as REGISTRY

EVENT_SCHEMA = "event.v1.json"
"""Name of the event's schema below ``/v1/schemas/``."""

Operation = Mapping[str, Any]

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

_TENANT: Sequence[Mapping[str, Sequence[str]]] = ({"tenantKey": ()}, {"tenantSignature": ()}, {"tenantCertificate": ()})


def _problems(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": _WHY[status], "content": content} for status in statuses}


def _reply(description: str, schema: str | None = None, *, media: str = "application/json") -> dict[str, Any]:
    """One answer; ``schema`` names a component, and without one any body of ``media`` is meant."""
    shown = {"$ref": f"#/components/schemas/{schema}"} if schema else {}
    return {"description": description, "content": {media: {"schema": shown}}}


def _empty(description: str) -> dict[str, Any]:
    return {"description": description}


def _path(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _header(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    shape = {"type": "string", **schema}
    return {"name": name, "in": "header", "required": required, "description": description, "schema": shape}


def _operation(
    summary: str,
    *,
    tag: str,
    answers: Mapping[str, Any],
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
        "responses": {**answers, **_problems(*sorted({*refuses, *waits}))},
        "security": list(security),
    }
    if parameters:
        told["parameters"] = list(parameters)
    if body is not None:
        told["requestBody"] = {"required": True, "content": dict(body)}
    return told


_OCTETS: Mapping[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_SDP: Mapping[str, Any] = {"application/sdp": {"schema": {"type": "string"}}}
_OBJECT: Mapping[str, Any] = {"application/json": {"schema": {"type": "object"}}}
_LEG = _header("Leg-Id", "A UUID of the caller's own: the same for every try of one call", required=True, format="uuid")
_CAR_LEG = _header(
    "Leg-Id", "A UUID of the caller's own, so that a repeated offer replaces and never doubles", format="uuid"
)


def _asked(*names: str) -> Operation:
    """What is told to anybody who asks what may be done at a path of WHIP."""
    return _operation(
        "What a browser of another origin asks first",
        tag="vehicles",
        parameters=_path(*names),
        answers={"200": _empty("Methods and headers; `Accept-Post` or `Accept-Patch`")},
        refuses=(404,),
    )


_DESK: Sequence[Mapping[str, Sequence[str]]] = ({"deskSession": ()},)
_HTML = "text/html"

_INTAKE: Mapping[str, Mapping[str, Operation]] = {
    "/v1/events": {
        "post": _operation(
            "Report an emergency",
            tag="vehicles",
            security=_TENANT,
            parameters=[
                _header("Idempotency-Key", "Names a report without a name of its own for 24 hours", maxLength=255)
            ],
            body={
                **{media: {"schema": {"$ref": "#/components/schemas/Event"}} for media in sorted(MEDIA_TYPES)},
                BATCH: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}},
                MULTIPART: {"schema": {"type": "string"}},
                msd.MEDIA_TYPE: _OCTETS,
                veds.MEDIA_TYPE: {"schema": {"type": "string"}},
            },
            answers={
                "200": _reply("It belongs to an incident that was there", "Accepted"),
                "202": _reply("It is durable and opened an incident", "Accepted"),
            },
            refuses=(400, 401, 408, 413, 415, 503),
        )
    },
    "/v1/events/{incident}/receipt": {
        "get": _operation(
            "Pass or fail of a test, dealer or factory call",
            tag="vehicles",
            security=_TENANT,
            parameters=_path("incident"),
            answers={
                "200": _reply("The test has been judged", "Receipt"),
                "202": _reply("It is being judged", "Receipt"),
            },
            refuses=(401, 404, 409, 503),
        )
    },
    "/v1/incidents/{incident}/commands": {
        "get": _operation(
            "What the vehicle shall get and has not got yet",
            tag="vehicles",
            security=_TENANT,
            parameters=[
                *_path("incident"),
                {
                    "name": "wait",
                    "in": "query",
                    "description": "Seconds to wait for something",
                    "schema": {"type": "integer", "minimum": 0, "maximum": 30},
                },
            ],
            answers={"200": _reply("Commands, oldest first; may be none", "Commands")},
            refuses=(400, 401, 404, 503),
        )
    },
    "/v1/incidents/{incident}/commands/{command}": {
        "post": _operation(
            "The vehicle has this command",
            tag="vehicles",
            security=_TENANT,
            parameters=_path("incident", "command"),
            answers={"204": _empty("Noted")},
            refuses=(401, 404, 503),
        )
    },
    "/v1/openapi.json": {
        "get": _operation("This document", tag="service", answers={"200": _reply("OpenAPI 3.1")}),
    },
    "/v1/schemas/{name}": {
        "get": _operation(
            "JSON Schema (2020-12) of what is sent",
            tag="service",
            parameters=_path("name"),
            answers={"200": _reply("The schema", media="application/schema+json")},
            refuses=(404,),
        )
    },
}

_VOICE: Mapping[str, Mapping[str, Operation]] = {
    "/v1/calls": {
        "options": _asked(),
        "post": _operation(
            "Call without having sent data (WHIP, RFC 9725)",
            tag="vehicles",
            security=_TENANT,
            parameters=[
                _CAR_LEG,
                _header("Vehicle-Id", "`scheme:value`, such as `vin:JTM...`; finds the data of the same vehicle"),
                _header("Call-Back", "Telephone number of the vehicle, E.164"),
                _header("Call-Language", "BCP 47"),
            ],
            body=_SDP,
            answers={"201": _reply("The SDP answer; header `Incident` names the incident", media="application/sdp")},
            refuses=(400, 401, 403, 409, 415, 503),
        ),
    },
    "/v1/ice": {
        "get": _operation(
            "Relays for the vehicle's call, with credentials for some hours",
            tag="vehicles",
            security=_TENANT,
            answers={"200": _reply("For `RTCPeerConnection`", "IceServers")},
            refuses=(401, 403),
        )
    },
    "/v1/incidents/{incident}/voice": {
        "options": _asked("incident"),
        "post": _operation(
            "The vehicle's call (WHIP, RFC 9725)",
            tag="vehicles",
            security=_TENANT,
            parameters=[*_path("incident"), _CAR_LEG],
            body=_SDP,
            answers={"201": _reply("The SDP answer", media="application/sdp")},
            refuses=(400, 401, 403, 404, 409, 415, 503),
        ),
    },
    "/v1/incidents/{incident}/legs/{leg}": {
        "options": _asked("incident", "leg"),
        "patch": _operation(
            "More addresses of the vehicle (trickle ICE, RFC 8840)",
            tag="vehicles",
            security=_TENANT,
            parameters=[*_path("incident", "leg"), _header("If-Match", "`ETag` of the 201", required=True)],
            body={"application/trickle-ice-sdpfrag": {"schema": {"type": "string"}}},
            answers={"204": _empty("They are checked")},
            refuses=(400, 401, 403, 404, 412, 415, 422, 428, 503),
        ),
        "delete": _operation(
            "Hang up",
            tag="vehicles",
            security=_TENANT,
            parameters=_path("incident", "leg"),
            answers={"204": _empty("Hung up, or not up")},
            refuses=(401, 404, 503),
        ),
    },
    "/v1/incidents/{incident}/legs/{leg}/keys": {
        "post": _operation(
            "Keys pressed in the vehicle, for somebody who cannot speak",
            tag="vehicles",
            security=_TENANT,
            parameters=_path("incident", "leg"),
            body={"application/json": {"schema": {"$ref": "#/components/schemas/Keys"}}},
            answers={"204": _empty("On the record")},
            refuses=(400, 401, 404, 409, 413, 503),
        )
    },
}

_AGENCIES: Mapping[str, Mapping[str, Operation]] = {
    "/agency/{agency}/{token}": {
        "get": _operation(
            "An agency's page of briefs",
            tag="agencies",
            parameters=_path("agency", "token"),
            answers={"200": _reply("The page", media=_HTML)},
            refuses=(404, 503),
        )
    },
    "/agency/brief/{incident}/{disclosure}/{token}": {
        "get": _operation(
            "One brief",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            answers={"200": _reply("The page", media=_HTML)},
            refuses=(404, 410, 503),
        ),
        "post": _operation(
            "An agency's people answer",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            body={"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
            answers={"303": _empty("To the page")},
            refuses=(400, 404, 409, 413, 503),
        ),
    },
    "/agency/brief/{incident}/{disclosure}/{token}/call": {
        "get": _operation(
            "Where an agency's people join the call",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            answers={"200": _reply("The page", media=_HTML)},
            refuses=(404, 410, 503),
        ),
        "post": _operation(
            "Join the call, once the operator allows it (WHIP, RFC 9725)",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            body=_SDP,
            answers={"201": _reply("The SDP answer", media="application/sdp")},
            refuses=(400, 404, 409, 410, 503),
        ),
        "delete": _operation(
            "Leave the call",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            answers={"204": _empty("Left, or not in it")},
            refuses=(404, 410, 503),
        ),
    },
    "/agency/brief/{incident}/{disclosure}/{token}/call/ice": {
        "get": _operation(
            "Relays for the agency's leg while it may join, with credentials for some hours",
            tag="agencies",
            parameters=_path("incident", "disclosure", "token"),
            answers={"200": _reply("For `RTCPeerConnection`", "IceServers")},
            refuses=(404, 409, 410, 503),
        )
    },
    "/agency/callback/{incident}/{disclosure}": {
        "post": _operation(
            "An agency's machine answers, signed (RFC 9421)",
            tag="agencies",
            parameters=_path("incident", "disclosure"),
            body=_OBJECT,
            answers={"204": _empty("Noted")},
            refuses=(400, 403, 404, 409, 410, 503),
        )
    },
    "/agency/eido/{agency}/{token}": {
        "get": _operation(
            "Subscribe to incidents (NENA-STA-024)",
            tag="agencies",
            parameters=_path("agency", "token"),
            answers={"101": _empty("A WebSocket")},
            refuses=(400, 403, 404, 503),
        )
    },
    "/agency/eido/{agency}/{token}/{incident}/{disclosure}": {
        "get": _operation(
            "One incident as EIDO (NENA-STA-021)",
            tag="agencies",
            parameters=_path("agency", "token", "incident", "disclosure"),
            answers={"200": _reply("The EIDO")},
            refuses=(403, 404, 409, 503),
        )
    },
    "/lost": {
        "post": _operation(
            "Who is responsible for a place (LoST, RFC 5222)",
            tag="agencies",
            body={"application/lost+xml": {"schema": {"type": "string"}}},
            answers={"200": _reply("A LoST answer, or its error element", media="application/lost+xml")},
            refuses=(400, 401, 408, 413, 415, 429, 503),
        )
    },
}

_CONSOLE: Mapping[str, Mapping[str, Operation]] = {
    "/console": {"get": _operation("To the page", tag="console", answers={"302": _empty("To `/console/`")})},
    "/console/": {
        "get": _operation(
            "The operator's page", tag="console", answers={"200": _reply("The page", media=_HTML)}, refuses=(503,)
        )
    },
    "/console/assets/{name}": {
        "get": _operation(
            "The page's scripts and styles",
            tag="console",
            parameters=_path("name"),
            answers={"200": _reply("A file", media="*/*")},
            refuses=(404,),
        )
    },
    "/console/map/base.geojson": {
        "get": _operation(
            "The base map", tag="console", answers={"200": _reply("GeoJSON", media="application/geo+json")}
        )
    },
    "/console/session": {
        "get": _operation(
            "Whether the log-in holds",
            tag="console",
            security=_DESK,
            answers={"204": _empty("It does")},
            refuses=(403,),
        ),
        "post": _operation(
            "Log in",
            tag="console",
            body={
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["token"],
                        "properties": {"token": {"type": "string"}},
                    }
                }
            },
            answers={"204": _empty("Logged in; a cookie holds the session")},
            refuses=(400, 403, 413),
        ),
    },
    "/console/socket": {
        "get": _operation(
            "The desk's WebSocket",
            tag="console",
            security=_DESK,
            answers={"101": _empty("A WebSocket")},
            refuses=(400, 403),
        )
    },
    "/console/ice": {
        "get": _operation(
            "Relays for the operator's leg, with credentials for some hours",
            tag="console",
            security=_DESK,
            answers={"200": _reply("For `RTCPeerConnection`", "IceServers")},
            refuses=(403,),
        )
    },
    "/console/incidents/{incident}/voice": {
        "post": _operation(
            "The operator's leg (WHIP, RFC 9725)",
            tag="console",
            security=_DESK,
            parameters=[*_path("incident"), _LEG],
            body=_SDP,
            answers={"201": _reply("The SDP answer", media="application/sdp")},
            refuses=(400, 403, 404, 409, 503),
        )
    },
    "/console/incidents/{incident}/replay/{leg}": {
        "get": _operation(
            "What a leg said last, once more; the access is in the journal before the first byte",
            tag="console",
            security=_DESK,
            parameters=[
                *_path("incident", "leg"),
                {
                    "name": "seconds",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 60, "default": 15},
                },
            ],
            answers={"200": _reply("The sound", media="audio/wav")},
            refuses=(400, 403, 404, 409, 503),
        )
    },
    "/console/incidents/{incident}/legs/{leg}": {
        "delete": _operation(
            "Hang up the operator's leg",
            tag="console",
            security=_DESK,
            parameters=_path("incident", "leg"),
            answers={"204": _empty("Hung up, or not up")},
            refuses=(403, 404, 503),
        )
    },
    "/console/cards": {
        "get": _operation(
            "Cards of the newest incidents, for when all else is down",
            tag="console",
            security=_DESK,
            answers={"200": _reply("The list", media=_HTML)},
            refuses=(403,),
        )
    },
    "/console/cards/{incident}": {
        "get": _operation(
            "One card, to be read aloud",
            tag="console",
            security=_DESK,
            parameters=_path("incident"),
            answers={"200": {"description": "The card", "content": {_HTML: {}, "text/plain": {}}}},
            refuses=(403, 404, 503),
        )
    },
}

_SERVICE: Mapping[str, Mapping[str, Operation]] = {
    "/v1/exports": {
        "post": _operation(
            "Build a regulator's package",
            tag="audit",
            security=({"auditorToken": ()},),
            body={"application/json": {"schema": {"$ref": "#/components/schemas/ExportWanted"}}},
            answers={"200": _reply("A BagIt bag", media="application/x-tar")},
            refuses=(400, 401, 404, 409, 413, 503),
        )
    },
    "/healthz": {"get": _operation("Alive", tag="service", answers={"200": _reply("Alive", media="text/plain")})},
    "/readyz": {
        "get": _operation(
            "State of each part",
            tag="service",
            answers={"200": _reply("Ready"), "503": _reply("A part is down")},
        )
    },
}

PATHS: Mapping[str, Mapping[str, Operation]] = MappingProxyType(
    {**_INTAKE, **_VOICE, **_AGENCIES, **_CONSOLE, **_SERVICE, **REGISTRY}
)
"""Every route there is: path -> method -> operation."""

_STRING = {"type": "string"}
_SCHEMAS: Mapping[str, Any] = {
    "Problem": {
        "description": "RFC 9457, with `field`, `rule` and `tenant` of ours.",
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            **dict.fromkeys(("type", "title", "detail", "instance", "field", "rule", "tenant"), _STRING),
            "status": {"type": "integer"},
        },
    },
    "Acceptance": {
        "type": "object",
        "required": ["incident", "urn", "durability", "voice"],
        "properties": {
            "incident": _STRING,
            "urn": {"type": "string", "pattern": "^urn:emergency:uid:incidentid:"},
            "durability": {"enum": ["committed", "spooled"]},
            "voice": {"type": "string", "description": "Path at which the vehicle offers its call"},
            "joined": {"enum": ["update", "changed_repeat", "data_for_call", "cancel"]},
            "problems": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        },
    },
    "Accepted": {
        "anyOf": [
            {"$ref": "#/components/schemas/Acceptance"},
            {
                "type": "object",
                "description": "Of a batch: one answer for each event, in its order",
                "required": ["events"],
                "properties": {
                    "events": {
                        "type": "array",
                        "items": {
                            "anyOf": [
                                {"$ref": "#/components/schemas/Acceptance"},
                                {
                                    "type": "object",
                                    "required": ["problem"],
                                    "properties": {"problem": {"$ref": "#/components/schemas/Problem"}},
                                },
                            ]
                        },
                    }
                },
            },
        ]
    },
    "IceServers": {
        "type": "object",
        "required": ["iceServers", "lastsSeconds"],
        "properties": {
            "iceServers": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["urls"],
                    "properties": {
                        "urls": {"type": "array", "items": _STRING},
                        "username": _STRING,
                        "credential": _STRING,
                    },
                },
            },
            "lastsSeconds": {"type": "number"},
        },
    },
    "Receipt": {
        "type": "object",
        "required": ["incident", "mode", "passed", "checks", "voice", "agenciesContacted", "state"],
        "properties": {
            "incident": _STRING,
            "mode": {"const": "test"},
            "passed": {"type": ["boolean", "null"]},
            "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "voice": {"type": "boolean", "description": "Whether the vehicle's call has come through"},
            "agenciesContacted": {"const": 0},
            "state": _STRING,
        },
    },
    "Commands": {
        "type": "object",
        "required": ["incident", "commands"],
        "properties": {
            "incident": _STRING,
            "commands": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "command", "incident", "at"],
                    "properties": {
                        "id": _STRING,
                        "command": {"enum": ["ack", "requestData", "callBack", "message"]},
                        "incident": _STRING,
                        "at": {"type": "string", "format": "date-time"},
                        "text": _STRING,
                    },
                },
            },
        },
    },
    "Keys": {
        "type": "object",
        "required": ["keys"],
        "properties": {"keys": {"type": "string", "pattern": "^[0-9*#A-D]{1,32}$"}},
    },
    "ExportWanted": {
        "type": "object",
        "required": ["incident", "purpose"],
        "properties": {
            "incident": _STRING,
            "categories": {"type": "array", "items": _STRING},
            "purpose": {"type": "string", "minLength": 1},
        },
    },
}

_SECURITY: Mapping[str, Any] = {
    "tenantKey": {"type": "http", "scheme": "bearer", "description": "A tenant's key, or a JWT of its issuer"},
    "tenantSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature-Input",
        "description": "HTTP message signature (RFC 9421), hmac-sha256 over @method, @authority, @path, @query, "
        "content-digest and each of content-type, idempotency-key, if-match, leg-id, vehicle-id, call-back and "
        "call-language that is sent, with created, keyid and nonce",
    },
    "tenantCertificate": {"type": "mutualTLS"},
    "deskSession": {"type": "apiKey", "in": "cookie", "name": "__Host-sos_desk"},
    "auditorToken": {"type": "http", "scheme": "bearer"},
    "registrar": {"type": "http", "scheme": "bearer"},
}


def document(*, url: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service at ``url``."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SOS: emergency call centre for connected vehicles",
            "version": version,
            "description": "Every refusal is an RFC 9457 problem. MQTT and WebSocket frames are not described here.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "paths": {path: dict(operations) for path, operations in sorted(PATHS.items())},
        "components": {
            "schemas": {**_SCHEMAS, **_event_shapes()},
            "securitySchemes": dict(_SECURITY),
        },
    }


def _event_shapes() -> Mapping[str, Any]:
    """The event's shapes as components: the same as the published schema, by other references."""
    published = event_schema(WireEvent, id=EVENT_SCHEMA)
    shapes = msgspec.json.encode(published["$defs"]).replace(b"#/$defs/", b"#/components/schemas/")
    return dict(msgspec.json.decode(shapes))


def schemas(url: str) -> Mapping[str, Any]:
    """What stands below ``/v1/schemas/``, by name."""
    return {EVENT_SCHEMA: event_schema(WireEvent, id=f"{url}/v1/schemas/{EVENT_SCHEMA}")}


def files(*, url: str, version: str) -> Mapping[str, bytes]:
    """The document (under the empty name) and the schemas, as they are served."""
    written = {"": msgspec.json.encode(document(url=url, version=version))}
    return written | {name: msgspec.json.encode(schema) for name, schema in schemas(url).items()}
