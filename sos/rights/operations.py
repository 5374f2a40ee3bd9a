"""What a supervisor's session may ask of the rights desk over HTTP."""

from sos.operations import DESK, OCTETS, Operations, json_body, operation, path, reply, shown
from sos.rights.desk import Asked, Shown
from sos.rights.http import AnswerWanted, AnyStep, RightsList
from sos.rights.request import RightsRequest
from sos.rights.search import Found

_REFUSES = (400, 401, 403, 404, 409, 413, 503)

OPERATIONS: Operations = {
    "/v1/rights": {
        "get": operation(
            "Requests of people about their own data; nobody is named",
            tag="rights",
            security=DESK,
            replies={"200": reply("All of them", RightsList)},
            refuses=(401, 403, 503),
        ),
        "post": operation(
            "Take a request in; its clock runs from now",
            tag="rights",
            security=DESK,
            body=json_body(Asked),
            replies={"201": reply("As it stands", RightsRequest)},
            refuses=_REFUSES,
        ),
    },
    "/v1/rights/{request}": {
        "get": operation(
            "Who asks and what they say; that somebody looks is on the record first",
            tag="rights",
            security=DESK,
            parameters=path("request"),
            replies={"200": reply("The request", Shown)},
            refuses=(401, 403, 404, 409, 503),
        )
    },
    "/v1/rights/{request}/steps": {
        "post": operation(
            "The next step: check, find, confirm, extend, refuse, correct, done",
            tag="rights",
            security=DESK,
            parameters=path("request"),
            body=json_body(AnyStep),
            replies={"200": reply("As it stands, or what was found", RightsRequest, Found)},
            refuses=_REFUSES,
        )
    },
    "/v1/rights/{request}/answer": {
        "post": operation(
            "Make the answer, as JSON or as a page",
            tag="rights",
            security=DESK,
            parameters=path("request"),
            body=json_body(AnswerWanted),
            replies={
                "200": {
                    "description": "The answer; the journal has it already",
                    "content": {"application/json": {"schema": shown()}, "application/pdf": OCTETS},
                }
            },
            refuses=_REFUSES,
        )
    },
}

SHAPES = (Asked, Shown, RightsList, RightsRequest, Found, AnswerWanted, AnyStep)
"""Components of the document."""
