"""Voice over HTTP: calls of vehicles, agencies and relays for all."""

from sos.calls.http import IceServers, Keys
from sos.calls.playback import Listening
from sos.calls.playback_http import ListeningWanted, RecordingsKept
from sos.operations import (
    DESK,
    HTML,
    SDP,
    TENANT,
    Operation,
    Operations,
    empty,
    header,
    json_body,
    operation,
    path,
    reply,
)

_CAR_LEG = header(
    "Leg-Id", "A UUID of the caller's own, so that a repeated offer replaces and never doubles", format="uuid"
)

_LISTENER = (*DESK, {"auditorToken": ()})


def _ms(name: str) -> Operation:
    return {"name": name, "in": "query", "required": True, "schema": {"type": "integer", "minimum": 0}}


def _asked(*names: str) -> Operation:
    """What is told to anybody who asks what may be done at a path of WHIP."""
    return operation(
        "What a browser of another origin asks first",
        tag="vehicles",
        parameters=path(*names),
        replies={"200": empty("Methods and headers; `Accept-Post` or `Accept-Patch`")},
        refuses=(404,),
    )


OPERATIONS: Operations = {
    "/v1/calls": {
        "options": _asked(),
        "post": operation(
            "Call without having sent data (WHIP, RFC 9725)",
            tag="vehicles",
            security=TENANT,
            parameters=[
                _CAR_LEG,
                header("Vehicle-Id", "`scheme:value`, such as `vin:JTM...`; finds the data of the same vehicle"),
                header("Call-Back", "Telephone number of the vehicle, E.164"),
                header("Call-Language", "BCP 47"),
            ],
            body=SDP,
            replies={"201": reply("The SDP answer; header `Incident` names the incident", media="application/sdp")},
            refuses=(400, 401, 403, 409, 415, 503),
        ),
    },
    "/v1/ice": {
        "get": operation(
            "Relays for the vehicle's call, with credentials for some hours",
            tag="vehicles",
            security=TENANT,
            replies={"200": reply("For `RTCPeerConnection`", IceServers)},
            refuses=(401, 403),
        )
    },
    "/v1/incidents/{incident}/voice": {
        "options": _asked("incident"),
        "post": operation(
            "The vehicle's call (WHIP, RFC 9725)",
            tag="vehicles",
            security=TENANT,
            parameters=[*path("incident"), _CAR_LEG],
            body=SDP,
            replies={"201": reply("The SDP answer", media="application/sdp")},
            refuses=(400, 401, 403, 404, 409, 415, 503),
        ),
    },
    "/v1/incidents/{incident}/legs/{leg}": {
        "options": _asked("incident", "leg"),
        "patch": operation(
            "More addresses of the vehicle (trickle ICE, RFC 8840)",
            tag="vehicles",
            security=TENANT,
            parameters=[*path("incident", "leg"), header("If-Match", "`ETag` of the 201", required=True)],
            body={"application/trickle-ice-sdpfrag": {"schema": {"type": "string"}}},
            replies={"204": empty("They are checked")},
            refuses=(400, 401, 403, 404, 412, 415, 422, 428, 503),
        ),
        "delete": operation(
            "Hang up",
            tag="vehicles",
            security=TENANT,
            parameters=path("incident", "leg"),
            replies={"204": empty("Hung up, or not up")},
            refuses=(401, 404, 503),
        ),
    },
    "/v1/incidents/{incident}/legs/{leg}/keys": {
        "post": operation(
            "Keys pressed in the vehicle, for somebody who cannot speak",
            tag="vehicles",
            security=TENANT,
            parameters=path("incident", "leg"),
            body=json_body(Keys),
            replies={"204": empty("On the record")},
            refuses=(400, 401, 404, 409, 413, 503),
        )
    },
    "/agency/brief/{incident}/{disclosure}/{token}/call": {
        "get": operation(
            "Where an agency's people join the call",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            replies={"200": reply("The page", media=HTML)},
            refuses=(404, 410, 503),
        ),
        "post": operation(
            "Join the call, once the operator allows it (WHIP, RFC 9725)",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            body=SDP,
            replies={"201": reply("The SDP answer", media="application/sdp")},
            refuses=(400, 404, 409, 410, 503),
        ),
        "delete": operation(
            "Leave the call",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            replies={"204": empty("Left, or not in it")},
            refuses=(404, 410, 503),
        ),
    },
    "/agency/brief/{incident}/{disclosure}/{token}/call/ice": {
        "get": operation(
            "Relays for the agency's leg while it may join, with credentials for some hours",
            tag="agencies",
            parameters=path("incident", "disclosure", "token"),
            replies={"200": reply("For `RTCPeerConnection`", IceServers)},
            refuses=(404, 409, 410, 503),
        )
    },
    "/console/ice": {
        "get": operation(
            "Relays for the operator's leg, with credentials for some hours",
            tag="console",
            security=DESK,
            replies={"200": reply("For `RTCPeerConnection`", IceServers)},
            refuses=(403,),
        )
    },
    "/v1/incidents/{incident}/recordings": {
        "get": operation(
            "The recordings of an incident: ids and times, nothing of what was said",
            tag="recordings",
            security=_LISTENER,
            parameters=path("incident"),
            replies={"200": reply("In the order in which they began", RecordingsKept)},
            refuses=(401, 403, 404, 503),
        )
    },
    "/v1/incidents/{incident}/recordings/{recording}/listenings": {
        "post": operation(
            "Say what a recording is heard for; the access is in the journal before anything can be heard",
            tag="recordings",
            security=_LISTENER,
            parameters=path("incident", "recording"),
            body=json_body(ListeningWanted),
            replies={"201": reply("A listening, with the marks of the incident", Listening)},
            refuses=(400, 401, 403, 404, 409, 413, 503),
        )
    },
    "/v1/listenings/{listening}/sound": {
        "get": operation(
            "The sound of a listening, all parties together; any one range of bytes of it",
            tag="recordings",
            security=_LISTENER,
            parameters=[*path("listening"), header("Range", "`bytes=FIRST-LAST`; of others, all is given")],
            replies={
                "200": reply("All of it", media="audio/wav"),
                "206": reply("The range", media="audio/wav"),
                "416": empty("There is no such range"),
            },
            refuses=(401, 403, 404, 503),
        )
    },
    "/v1/listenings/{listening}/waveform": {
        "get": operation(
            "How loud each party was, in dBov, of each tenth of a second; ten minutes at most",
            tag="recordings",
            security=_LISTENER,
            parameters=[*path("listening"), _ms("begin_ms"), _ms("end_ms")],
            replies={"200": reply("A list of values by track")},
            refuses=(400, 401, 403, 404, 503),
        )
    },
}

SHAPES = (IceServers, Keys, Listening, ListeningWanted, RecordingsKept)
"""Components of the document."""
