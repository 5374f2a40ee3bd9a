"""What auditors may ask for over HTTP."""

from sos.exports.http import ExportWanted
from sos.operations import Operations, json_body, operation, path, reply

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
    "/log/checkpoint": {
        "get": operation(
            "The signed head of the published log (c2sp.org/tlog-checkpoint)",
            tag="log",
            security=({"auditorToken": ()}, {}),
            replies={"200": reply("A signed note", media="text/plain")},
            refuses=(401, 503),
        )
    },
    "/log/tile/{tile}": {
        "get": operation(
            "A tile of hashes or a bundle of entries (c2sp.org/tlog-tiles)",
            tag="log",
            parameters=path("tile"),
            security=({"auditorToken": ()}, {}),
            replies={"200": reply("What never changes", media="application/octet-stream")},
            refuses=(401, 403, 404, 503),
        )
    },
}

SHAPES = (ExportWanted,)
"""Components of the document."""
