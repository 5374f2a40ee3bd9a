"""What auditors may ask for over HTTP."""

from sos.exports.http import ExportWanted
from sos.exports.requests import Request
from sos.exports.walk_http import Agreement, DryRun, DryRunWanted, PackageArrived, PackageWanted
from sos.operations import DESK, Operations, json_body, operation, path, reply

AUDITOR_OR_DESK = ({"auditorToken": ()}, *DESK)
"""Auditors see the requests that are their own."""

_ONE = "/v1/exports/requests/{request}"

WALK: Operations = {
    "/v1/exports/requests": {
        "post": operation(
            "Ask for a package for an authority",
            tag="audit",
            security=AUDITOR_OR_DESK,
            body=json_body(PackageWanted),
            replies={"201": reply("The request", Request)},
            refuses=(400, 401, 403, 409, 413, 503),
        ),
        "get": operation(
            "The requests there are",
            tag="audit",
            security=AUDITOR_OR_DESK,
            replies={"200": reply("The oldest first", list[Request])},
            refuses=(401, 403, 503),
        ),
    },
    _ONE: {
        "get": operation(
            "How far a request is",
            tag="audit",
            parameters=path("request"),
            security=AUDITOR_OR_DESK,
            replies={"200": reply("The request", Request)},
            refuses=(401, 403, 404, 503),
        ),
        "delete": operation(
            "Withdraw a request; its package is destroyed",
            tag="audit",
            parameters=path("request"),
            security=AUDITOR_OR_DESK,
            replies={"200": reply("The request", Request)},
            refuses=(401, 403, 404, 409, 503),
        ),
    },
    f"{_ONE}/dry-run": {
        "post": operation(
            "Count what the package would hold; nothing is opened",
            tag="audit",
            parameters=path("request"),
            security=AUDITOR_OR_DESK,
            body=json_body(DryRunWanted),
            replies={"200": reply("Counts, and the digest that two people agree to", DryRun)},
            refuses=(400, 401, 403, 404, 409, 413, 503),
        )
    },
    f"{_ONE}/approvals": {
        "post": operation(
            "Agree to a dry run, as one of two people who did not ask",
            tag="audit",
            parameters=path("request"),
            security=DESK,
            body=json_body(Agreement),
            replies={"200": reply("The request", Request)},
            refuses=(400, 403, 404, 409, 413, 503),
        )
    },
    f"{_ONE}/package": {
        "post": operation(
            "Build what two people have agreed to",
            tag="audit",
            parameters=path("request"),
            security=DESK,
            replies={"200": reply("The request, built", Request)},
            refuses=(403, 404, 409, 503),
        ),
        "get": operation(
            "The package, encrypted to its recipient",
            tag="audit",
            parameters=path("request"),
            security=AUDITOR_OR_DESK,
            replies={"200": reply("A file of age-encryption.org/v1", media="application/octet-stream")},
            refuses=(401, 403, 404, 409, 503),
        ),
    },
    f"{_ONE}/receipt": {
        "post": operation(
            "Say that it arrived",
            tag="audit",
            parameters=path("request"),
            security=AUDITOR_OR_DESK,
            body=json_body(PackageArrived),
            replies={"200": reply("The request", Request)},
            refuses=(400, 401, 403, 404, 409, 413, 503),
        )
    },
}

OPERATIONS: Operations = {
    **WALK,
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

SHAPES = (ExportWanted, PackageWanted, DryRunWanted, DryRun, Agreement, PackageArrived, Request)
"""Components of the document."""
