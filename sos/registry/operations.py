"""What registrars may ask for over HTTP."""

from collections.abc import Sequence
from typing import Any

from sos.operations import Operations, json_body
from sos.registry.http import PartsWanted, StandingWanted
from sos.registry.orders import AnyOrder, NewOrder
from sos.registry.pack import BrandPack

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OBJECT = {"application/json": {"schema": {"type": "object"}}}


def _operation(
    summary: str,
    *,
    body: Any = None,
    query: Sequence[str] = (),
    subject: bool = False,
    created: bool = False,
) -> dict[str, Any]:
    """One operation of OpenAPI 3.1; ``body`` is the kind of the request's JSON, or the media type of text."""
    parameters = [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in query]
    if subject:
        parameters.append({"name": "subject", "in": "path", "required": True, "schema": {"type": "string"}})
    answers = {"200": {"description": "Done, or so already", "content": _OBJECT}}
    if created:
        answers["201"] = {"description": "Registered", "content": _OBJECT}
    for status, why in (
        ("400", "Not readable; `field` says where"),
        ("401", "No registrar's token"),
        ("403", "Not allowed to this role or for this customer"),
        ("404", "No such record of this brand"),
        ("409", "May not happen as things stand"),
        ("429", "Too many wrong tokens came from there; `Retry-After` says when again"),
        ("503", "The database does not answer"),
    ):
        answers[status] = {"description": why, "content": _PROBLEM}
    told: dict[str, Any] = {
        "summary": summary,
        "tags": ["registry"],
        "security": [{"registrar": []}],
        "parameters": parameters,
        "responses": answers,
    }
    if body is not None:
        content = {body: {"schema": {"type": "string"}}} if isinstance(body, str) else json_body(body)
        told["requestBody"] = {"required": True, "content": content}
    return told


OPERATIONS: Operations = {
    "/v1/registry/brand": {
        "get": _operation("The brand pack in force"),
        "put": _operation("Put a brand pack in force", body=BrandPack),
    },
    "/v1/registry/standing": {"post": _operation("How a vehicle stands at an instant", body=StandingWanted)},
    "/v1/registry/import": {
        "post": _operation("Import vehicles, customers and entitlements", body="text/csv", query=("dry_run",))
    },
    "/v1/registry/subjects": {
        "get": _operation("The brand's vehicles or subscribers", query=("kind", "after")),
        "post": _operation("Register a vehicle or a customer", body=NewOrder, created=True),
    },
    "/v1/registry/subjects/{subject}": {"get": _operation("A record, without personal data", subject=True)},
    "/v1/registry/subjects/{subject}/orders": {
        "post": _operation("Change a record; `do` names the order", body=AnyOrder, subject=True)
    },
    "/v1/registry/subjects/{subject}/reading": {
        "post": _operation("Personal data by category, on the record", body=PartsWanted, subject=True)
    },
    "/v1/registry/subjects/{subject}/history": {
        "get": _operation("All that happened to a record and who looked", subject=True)
    },
}
"""Paths and operations for the OpenAPI document; the security scheme ``registrar`` is an HTTP bearer token."""

SHAPES = (BrandPack, StandingWanted, PartsWanted, NewOrder, AnyOrder)
"""Components of the document."""
