"""What the operators' page asks for over HTTP."""

from sos.operations import DESK, HTML, SDP, Operations, empty, header, operation, path, reply

_LEG = header("Leg-Id", "A UUID of the caller's own: the same for every try of one call", required=True, format="uuid")

OPERATIONS: Operations = {
    "/console": {"get": operation("To the page", tag="console", replies={"302": empty("To `/console/`")})},
    "/console/": {
        "get": operation(
            "The operator's page", tag="console", replies={"200": reply("The page", media=HTML)}, refuses=(503,)
        )
    },
    "/console/assets/{name}": {
        "get": operation(
            "The page's scripts and styles",
            tag="console",
            parameters=path("name"),
            replies={"200": reply("A file", media="*/*")},
            refuses=(404,),
        )
    },
    "/console/map/base.geojson": {
        "get": operation("The base map", tag="console", replies={"200": reply("GeoJSON", media="application/geo+json")})
    },
    "/console/session": {
        "get": operation(
            "Whether the log-in holds",
            tag="console",
            security=DESK,
            replies={"204": empty("It does")},
            refuses=(403,),
        ),
        "post": operation(
            "Log in",
            tag="console",
            body={
                "application/json": {
                    "schema": {
                        "type": "object",
                        "description": "The desk token, or the code of a link.",
                        "properties": {
                            "token": {"type": "string"},
                            "code": {"type": "string"},
                            "second_factor": {"type": "string", "pattern": "^[0-9]{6}$"},
                        },
                        "oneOf": [{"required": ["token"]}, {"required": ["code"]}],
                    }
                }
            },
            replies={"204": empty("Logged in; a cookie holds the session")},
            refuses=(400, 403, 413, 415, 503),
        ),
        "delete": operation(
            "Log out; not in a call",
            tag="console",
            security=DESK,
            replies={"204": empty("Logged out")},
            refuses=(403, 409, 503),
        ),
    },
    "/console/socket": {
        "get": operation(
            "The desk's WebSocket",
            tag="console",
            security=DESK,
            replies={"101": empty("A WebSocket")},
            refuses=(400, 403),
        )
    },
    "/console/incidents/{incident}/voice": {
        "post": operation(
            "The operator's leg (WHIP, RFC 9725)",
            tag="console",
            security=DESK,
            parameters=[*path("incident"), _LEG],
            body=SDP,
            replies={"201": reply("The SDP answer", media="application/sdp")},
            refuses=(400, 403, 404, 409, 503),
        )
    },
    "/console/incidents/{incident}/replay/{leg}": {
        "get": operation(
            "What a leg said last, once more; the access is in the journal before the first byte",
            tag="console",
            security=DESK,
            parameters=[
                *path("incident", "leg"),
                {
                    "name": "seconds",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 60, "default": 15},
                },
            ],
            replies={"200": reply("The sound", media="audio/wav")},
            refuses=(400, 403, 404, 409, 503),
        )
    },
    "/console/incidents/{incident}/legs/{leg}": {
        "delete": operation(
            "Hang up the operator's leg",
            tag="console",
            security=DESK,
            parameters=path("incident", "leg"),
            replies={"204": empty("Hung up, or not up")},
            refuses=(403, 404, 503),
        )
    },
}
