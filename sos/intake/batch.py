"""CloudEvents as HTTP and MQTT also carry them: several in one body, and one whose attributes stand in headers.

A batch (JSON event format 1.0.2, section 4) or JSON by lines is as many reports as it has events: each is answered for
itself.  In binary mode the headers and the body are one event, and are kept as one.
"""

import base64
import json
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec

from sos.intake.wrapping import unwrapped
from sos.problems import TooLarge

BATCH = "application/cloudevents-batch+json"
MOST_EVENTS = 256
"""Of one batch; a body of 256 KiB holds as many events of 1 KiB."""

_ATTRIBUTES = ("specversion", "id", "source", "type", "time", "subject", "dataschema")
_listed = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NONE = (msgspec.DecodeError, UnicodeError, RecursionError)


def events_of(body: bytes) -> tuple[bytes, ...]:
    """The events of a body with several, each as it stands there; none when it is one report, or cannot be told apart.

    ``TooLarge`` when there are more than ``MOST_EVENTS``.
    """
    content = unwrapped(body).octets
    if content[:1] == b"[":
        found = _array(content)
    elif content[:1] == b"{" and b"\n" in content:
        found = _lines(content)
    else:
        return ()
    if len(found) > MOST_EVENTS:
        raise TooLarge(f"A batch has at most {MOST_EVENTS} events; send it in pieces.")
    return found


def _array(content: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(bytes(event) for event in _listed.decode(content))
    except _NONE:
        return ()


def _lines(content: bytes) -> tuple[bytes, ...]:
    """JSON by lines: only when each line is an object of its own, and there are two at least."""
    lines = tuple(line.strip() for line in content.split(b"\n") if line.strip())
    if len(lines) < 2 or not all(line.startswith(b"{") and line.endswith(b"}") for line in lines):
        return ()
    try:
        _object.decode(lines[0])
    except _NONE:
        return ()
    return lines


def attributes(named: Mapping[str, str], *, prefix: str = "ce-") -> dict[str, str]:
    """The attributes of an event in binary mode, from headers or MQTT user properties; none when it is in no such mode.

    HTTP writes them percent-encoded (HTTP protocol binding 3.1.3.2).
    """
    if not named.get(f"{prefix}specversion") or not named.get(f"{prefix}type"):
        return {}
    found = {name: named.get(f"{prefix}{name}", "") for name in _ATTRIBUTES}
    return {name: unquote(value) if prefix else value for name, value in found.items() if value}


def in_one(attributes: Mapping[str, str], body: bytes, content_type: str) -> bytes:
    """The event of binary mode in structured mode, its data octet for octet."""
    event = json.dumps(dict(attributes) | {"datacontenttype": content_type}, ensure_ascii=True).encode()
    return event[:-1] + b", " + _data(body) + b"}"


def _data(body: bytes) -> bytes:
    try:
        _object.decode(body)
    except _NONE:
        return b'"data_base64": "' + base64.b64encode(body) + b'"' if body else b'"data": {}'
    return b'"data": ' + body


def is_one(body: bytes) -> bool:
    """Whether ``body`` is a whole event by itself, so that headers add nothing."""
    try:
        return "specversion" in _object.decode(body)
    except _NONE:
        return False
