"""What auditors may ask for over HTTP."""

from sos.exports.http import ExportWanted
from sos.operations import Operations, json_body, operation, reply

OPERATIONS: Operations = {
    "/v1/exports": {
        "post": operation(
            "Build a regulator's package",
            tag="audit",
            security=({"auditorToken": ()},),
            body=json_body(ExportWanted),
            replies={"200": reply("A BagIt bag", media="application/x-tar")},
            refuses=(400, 401, 403, 404, 409, 413, 503),
        )
    },
}

SHAPES = (ExportWanted,)
"""Components of the document."""
