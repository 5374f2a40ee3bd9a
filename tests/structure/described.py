"""How schemathesis writes the media types that it does not know: as they are."""

from typing import Any

import schemathesis

from sos.formats import msd, veds


def _as_is(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


for media_type in (
    "application/sdp",
    "application/trickle-ice-sdpfrag",
    "application/lost+xml",
    msd.MEDIA_TYPE,
    veds.MEDIA_TYPE,
):
    schemathesis.serializer(media_type)(_as_is)
schemathesis.serializer.alias(["application/cloudevents+json"], "application/json")
