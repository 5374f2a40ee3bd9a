"""What auditors may ask for over HTTP."""

from collections.abc import Mapping
from typing import Any

from sos.operations import STRING, Operations, operation, reply

OPERATIONS: Operations = {
    "/v1/exports": {
        "post": operation(
            "Build a regulator's package",
            tag="audit",
            security=({"auditorToken": ()},),
            body={"application/json": {"schema": {"$ref": "#/components/schemas/ExportWanted"}}},
            replies={"200": reply("A BagIt bag", media="application/x-tar")},
            refuses=(400, 401, 404, 409, 413, 503),
        )
    },
}

SCHEMAS: Mapping[str, Any] = {
    "ExportWanted": {
        "type": "object",
        "required": ["incident", "purpose"],
        "properties": {
            "incident": STRING,
            "categories": {"type": "array", "items": STRING},
            "purpose": {"type": "string", "minLength": 1},
        },
    },
}
"""Components of the document."""
