"""The whole HTTP interface as an OpenAPI 3.1 document, composed of what each room says in its ``operations``.

A test keeps it equal to the routes that run, and another sends what the document allows and what it forbids and looks
at the answers.  ``document`` is served at ``/v1/openapi.json``, the event's schema beside it under ``/v1/schemas``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from sos.calls import operations as calls
from sos.console import operations as console
from sos.dispatch import operations as dispatch
from sos.exports import operations as exports
from sos.formats.event_schema import event_schema
from sos.intake import operations as intake
from sos.intake.cloudevents import WireEvent
from sos.operations import Operations, operation, reply, shapes
from sos.problems import Problem
from sos.registry import operations as registry
from sos.rights import operations as rights

EVENT_SCHEMA = "event.v1.json"
"""Name of the event's schema below ``/v1/schemas/``."""

_SERVICE: Operations = {
    "/healthz": {"get": operation("Alive", tag="service", replies={"200": reply("Alive", media="text/plain")})},
    "/readyz": {
        "get": operation(
            "State of each part",
            tag="service",
            replies={"200": reply("Ready"), "503": reply("A part is down")},
        )
    },
}

PATHS: Operations = MappingProxyType(
    {
        **intake.OPERATIONS,
        **calls.OPERATIONS,
        **dispatch.OPERATIONS,
        **console.OPERATIONS,
        **exports.OPERATIONS,
        **rights.OPERATIONS,
        **registry.OPERATIONS,
        **_SERVICE,
    }
)
"""Every route there is: path -> method -> operation."""

SHAPES = (
    Problem,
    *intake.SHAPES,
    *calls.SHAPES,
    *exports.SHAPES,
    *rights.SHAPES,
    *registry.SHAPES,
)
"""Types whose schemas stand as components."""

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
        "webhooks": {name: dict(operations) for name, operations in intake.WEBHOOKS.items()},
        "components": {
            "schemas": {**shapes(*SHAPES)[1], **event_shapes()},
            "securitySchemes": dict(_SECURITY),
        },
    }


def event_shapes() -> Mapping[str, Any]:
    """The event's shapes as components: the same as the published schema, by other references."""
    published = event_schema(WireEvent, id=EVENT_SCHEMA)
    written = msgspec.json.encode(published["$defs"]).replace(b"#/$defs/", b"#/components/schemas/")
    return dict(msgspec.json.decode(written))


def schemas(url: str) -> Mapping[str, Any]:
    """What stands below ``/v1/schemas/``, by name."""
    return {EVENT_SCHEMA: event_schema(WireEvent, id=f"{url}/v1/schemas/{EVENT_SCHEMA}")}


def files(*, url: str, version: str) -> Mapping[str, bytes]:
    """The document (under the empty name) and the schemas, as they are served."""
    written = {"": msgspec.json.encode(document(url=url, version=version))}
    return written | {name: msgspec.json.encode(schema) for name, schema in schemas(url).items()}
