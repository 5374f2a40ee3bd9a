"""What clouds of vehicles may ask for over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from sos.formats import msd, veds
from sos.intake.batch import BATCH
from sos.intake.cloudevents import MEDIA_TYPES
from sos.intake.multipart import MEDIA_TYPE as MULTIPART
from sos.operations import DESK, HTML, OCTETS, STRING, TENANT, Operations, empty, header, operation, path, reply

_JSON = "application/json"
_REGISTRAR: Sequence[Mapping[str, Sequence[str]]] = ({"registrar": ()},)


def _field_log(summary: str, security: Sequence[Mapping[str, Sequence[str]]], media: str) -> Mapping[str, Any]:
    return operation(
        summary,
        tag="field log",
        security=security,
        replies={"200": reply("A row for each device, finding and field", media=media)},
        refuses=(401, 403, 429, 503) if security is _REGISTRAR else (403, 503),
    )


OPERATIONS: Operations = {
    "/v1/events": {
        "post": operation(
            "Report an emergency",
            tag="vehicles",
            security=TENANT,
            parameters=[
                header("Idempotency-Key", "Names a report without a name of its own for 24 hours", maxLength=255)
            ],
            body={
                **{media: {"schema": {"$ref": "#/components/schemas/Event"}} for media in sorted(MEDIA_TYPES)},
                BATCH: {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}},
                MULTIPART: {"schema": {"type": "string"}},
                msd.MEDIA_TYPE: OCTETS,
                veds.MEDIA_TYPE: {"schema": {"type": "string"}},
            },
            replies={
                "200": reply("It belongs to an incident that was there", "Accepted"),
                "202": reply("It is durable and opened an incident", "Accepted"),
            },
            refuses=(400, 401, 408, 413, 415, 503),
        )
    },
    "/console/field-log": {"get": _field_log("For supervisors: what was odd about reports, counted", DESK, HTML)},
    "/console/field-log.csv": {"get": _field_log("The same as CSV", DESK, "text/csv")},
    "/v1/registry/field-log": {"get": _field_log("What was odd about the brand's reports", _REGISTRAR, _JSON)},
    "/v1/registry/field-log.csv": {"get": _field_log("The same as CSV", _REGISTRAR, "text/csv")},
    "/v1/registry/field-log.html": {"get": _field_log("The same as a page", _REGISTRAR, HTML)},
    "/v1/events/{incident}/receipt": {
        "get": operation(
            "Pass or fail of a test, dealer or factory call",
            tag="vehicles",
            security=TENANT,
            parameters=path("incident"),
            replies={
                "200": reply("The test has been judged", "Receipt"),
                "202": reply("It is being judged", "Receipt"),
            },
            refuses=(401, 404, 409, 503),
        )
    },
    "/v1/incidents/{incident}/commands": {
        "get": operation(
            "What the vehicle shall get and has not got yet",
            tag="vehicles",
            security=TENANT,
            parameters=[
                *path("incident"),
                {
                    "name": "wait",
                    "in": "query",
                    "description": "Seconds to wait for something",
                    "schema": {"type": "integer", "minimum": 0, "maximum": 30},
                },
            ],
            replies={"200": reply("Commands, oldest first; may be none", "Commands")},
            refuses=(400, 401, 404, 503),
        )
    },
    "/v1/incidents/{incident}/commands/{command}": {
        "post": operation(
            "The vehicle has this command",
            tag="vehicles",
            security=TENANT,
            parameters=path("incident", "command"),
            replies={"204": empty("Noted")},
            refuses=(401, 404, 503),
        )
    },
    "/v1/openapi.json": {
        "get": operation("This document", tag="service", replies={"200": reply("OpenAPI 3.1")}),
    },
    "/v1/schemas/{name}": {
        "get": operation(
            "JSON Schema (2020-12) of what is sent",
            tag="service",
            parameters=path("name"),
            replies={"200": reply("The schema", media="application/schema+json")},
            refuses=(404,),
        )
    },
}

SCHEMAS: Mapping[str, Any] = {
    "Acceptance": {
        "type": "object",
        "required": ["incident", "urn", "durability", "voice"],
        "properties": {
            "incident": STRING,
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
    "Receipt": {
        "type": "object",
        "required": ["incident", "mode", "passed", "checks", "voice", "agenciesContacted", "state"],
        "properties": {
            "incident": STRING,
            "mode": {"const": "test"},
            "passed": {"type": ["boolean", "null"]},
            "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "voice": {"type": "boolean", "description": "Whether the vehicle's call has come through"},
            "agenciesContacted": {"const": 0},
            "state": STRING,
        },
    },
    "Commands": {
        "type": "object",
        "required": ["incident", "commands"],
        "properties": {
            "incident": STRING,
            "commands": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "command", "incident", "at"],
                    "properties": {
                        "id": STRING,
                        "command": {"enum": ["ack", "requestData", "callBack", "message"]},
                        "incident": STRING,
                        "at": {"type": "string", "format": "date-time"},
                        "text": STRING,
                    },
                },
            },
        },
    },
}
"""Components of the document."""
