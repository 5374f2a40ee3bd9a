"""What clouds of vehicles may ask for over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from sos.formats import msd, veds
from sos.intake.batch import BATCH
from sos.intake.cloudevents import MEDIA_TYPE, MEDIA_TYPES
from sos.intake.multipart import MEDIA_TYPE as MULTIPART
from sos.intake.replies import Acceptance, BatchReply, Commands, Receipt, Refusal, Status, StatusEvent
from sos.operations import DESK, HTML, OCTETS, TENANT, Operations, empty, header, operation, path, reply, shown

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
                "200": reply("It belongs to an incident that was there", Acceptance, BatchReply),
                "202": reply("It is durable and opened an incident", Acceptance, BatchReply),
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
                "200": reply("The test has been judged", Receipt),
                "202": reply("It is being judged", Receipt),
            },
            refuses=(401, 404, 409, 503),
        )
    },
    "/v1/incidents/{incident}": {
        "get": operation(
            "How far an incident has come",
            tag="vehicles",
            security=TENANT,
            parameters=path("incident"),
            replies={"200": reply("Answered, told, taken over, closed: which, and since when", Status)},
            refuses=(401, 404, 503),
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
            replies={"200": reply("Commands, oldest first; may be none", Commands)},
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

WEBHOOKS: Operations = {
    "incidentStatus": {
        "post": operation(
            "A tenant's cloud is told how far an incident has come",
            tag="vehicles",
            parameters=[
                header("Signature-Input", "RFC 9421: ed25519, with `created` and `keyid`", required=True),
                header("Signature", "By the key of `/.well-known/http-message-signatures-directory`", required=True),
                header("Content-Digest", "SHA-256 of the body (RFC 9530)", required=True),
                header("Idempotency-Key", "The event's `id`: the same for every repeat", required=True),
            ],
            body={MEDIA_TYPE: {"schema": shown(StatusEvent)}},
            replies={"2XX": empty("Taken; anything else is tried again for a day")},
        )
    }
}
"""What is sent to an address of the tenant's own (`tenants.webhook`)."""

SHAPES = (Acceptance, Refusal, BatchReply, Receipt, Status, StatusEvent, Commands)
"""Components of the document."""
