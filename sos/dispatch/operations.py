"""What agencies and other servers may ask for over HTTP, and the cards."""

from sos.dispatch.adapters.key_directory import MEDIA_TYPE
from sos.operations import DESK, HTML, OBJECT, Operations, empty, operation, path, reply

OPERATIONS: Operations = {
    "/.well-known/http-message-signatures-directory": {
        "get": operation(
            "The public key of what is sent to agencies and clouds",
            tag="service",
            replies={"200": reply("A JWK set", media=MEDIA_TYPE)},
        )
    },
    "/agency/{agency}/{token}": {
        "get": operation(
            "An agency's page of briefs",
            tag="agencies",
            parameters=path("agency", "token"),
            replies={"200": reply("The page", media=HTML)},
            refuses=(404, 503),
        )
    },
    "/agency/{agency}/{token}/state": {
        "get": operation(
            "A word that changes when the agency's page does",
            tag="agencies",
            parameters=path("agency", "token"),
            replies={"200": reply("The word, which says nothing of what stands there", media="text/plain")},
            refuses=(404, 503),
        )
    },
    "/agency/brief/{incident}/{disclosure}/{token}/state": {
        "get": operation(
            "A word that changes when there is a newer brief, or nothing more to see",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            replies={"200": reply("The word; asking opens no brief", media="text/plain")},
            refuses=(404, 503),
        )
    },
    "/agency/brief/{incident}/{disclosure}/{token}": {
        "get": operation(
            "One brief",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            replies={"200": reply("The page", media=HTML)},
            refuses=(404, 410, 503),
        ),
        "post": operation(
            "An agency's people answer",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            body={"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
            replies={"303": empty("To the page")},
            refuses=(400, 404, 409, 413, 503),
        ),
    },
    "/agency/list/{agency}/{mass_event}/{token}": {
        "get": operation(
            "All that an agency was told in one mass event",
            tag="agencies",
            parameters=path("agency", "mass_event", "token"),
            replies={"200": reply("The page", media=HTML)},
            refuses=(404, 410, 503),
        ),
        "post": operation(
            "An agency's people answer for one row",
            tag="agencies",
            parameters=path("agency", "mass_event", "token"),
            body={"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
            replies={"303": empty("To the page")},
            refuses=(400, 404, 409, 410, 413, 503),
        ),
    },
    "/agency/callback/{incident}/{disclosure}": {
        "post": operation(
            "An agency's machine answers, signed (RFC 9421)",
            tag="agencies",
            parameters=path("incident", "disclosure"),
            body=OBJECT,
            replies={"204": empty("Noted")},
            refuses=(400, 403, 404, 409, 410, 503),
        )
    },
    "/agency/eido/{agency}/{token}": {
        "get": operation(
            "Subscribe to incidents (NENA-STA-024)",
            tag="agencies",
            parameters=path("agency", "token"),
            replies={"101": empty("A WebSocket")},
            refuses=(400, 403, 404, 503),
        )
    },
    "/agency/eido/{agency}/{token}/{incident}/{disclosure}": {
        "get": operation(
            "One incident as EIDO (NENA-STA-021)",
            tag="agencies",
            parameters=path("agency", "token", "incident", "disclosure"),
            replies={"200": reply("The EIDO")},
            refuses=(403, 404, 409, 503),
        )
    },
    "/lost": {
        "post": operation(
            "Who is responsible for a place (LoST, RFC 5222)",
            tag="agencies",
            body={"application/lost+xml": {"schema": {"type": "string"}}},
            replies={"200": reply("A LoST answer, or its error element", media="application/lost+xml")},
            refuses=(400, 401, 408, 413, 415, 429, 503),
        )
    },
    "/console/cards": {
        "get": operation(
            "Cards of the newest incidents, for when all else is down",
            tag="console",
            security=DESK,
            replies={"200": reply("The list", media=HTML)},
            refuses=(403,),
        )
    },
    "/console/cards/{incident}": {
        "get": operation(
            "One card, to be read aloud",
            tag="console",
            security=DESK,
            parameters=path("incident"),
            replies={"200": {"description": "The card", "content": {HTML: {}, "text/plain": {}}}},
            refuses=(403, 404, 503),
        )
    },
}
