"""What the service and its media workers say to each other over a local socket: length-prefixed MessagePack.

The worker speaks first (``Hello``), then tells every event that was not acknowledged yet.  Each order has a number and
gets exactly one ``Reply``; each event has a number and is told again on every new connection until it is acknowledged,
so a service that is killed in between misses nothing.
"""

import asyncio
import struct
from typing import TypeAlias

import msgspec
from msgspec import Struct

from sos.calls.port import IceServer, LegMode, LegUp, Level, ProviderEvent, Sound
from sos.errors import Malformed, Refused, SosError, Unavailable
from sos.incident.model import IncidentId, LegId, Party, RecordingId

PROTOCOL = 4
"""Raised with every change of a message below.  3: ``Say``; 4: ``Trickle``."""

STILL_UNDERSTOOD = frozenset({2, 3, PROTOCOL})
"""Protocols of workers that keep their calls over an upgrade: they understand all that is sent to them, since what they
do not know is not sent (``Say`` to a worker of 2, ``Trickle`` to one of 3), and are replaced once they carry nothing.
A worker of any other protocol is told to finish and is replaced at once."""

SAYS_SINCE = 3
TRICKLES_SINCE = 4

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The largest frame is a sealed recording's manifest: about 250 bytes for each second of each track."""

_LENGTH = struct.Struct(">I")


class Hello(Struct, frozen=True, tag=True):
    protocol: int
    boot: str
    """Differs after each start of the worker: what an earlier one held is gone."""
    pid: int
    legs: tuple[LegUp, ...]
    writing: tuple[tuple[IncidentId, RecordingId], ...]


class Accept(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    incident: IncidentId
    leg: LegId
    party: Party
    who: str
    offer: str
    key: bytes
    relays: tuple[IceServer, ...] = ()
    ports: tuple[int, int] = (0, 0)
    """First and last port of our sockets; 0 for any, and unknown to a worker of protocol 3."""


class SetMode(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    leg: LegId
    mode: LegMode


class Announce(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    leg: LegId
    notice: str


class Say(Struct, frozen=True, tag=True, kw_only=True):
    """At most 4.6 MiB of sound (``MOST_SOUND_S``)."""

    order: int
    leg: LegId
    sound: Sound


class Trickle(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    leg: LegId
    ufrag: str
    candidates: tuple[str, ...]


class End(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    leg: LegId


class Finish(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    incident: IncidentId


class Ask(Struct, frozen=True, tag=True, kw_only=True):
    """What is up, and what is being recorded?  Also the heartbeat."""

    order: int


class Retire(Struct, frozen=True, tag=True, kw_only=True):
    """End every conference, seal its recording, and stop.  Understood by workers of every protocol."""

    order: int


class Acknowledge(Struct, frozen=True, tag=True):
    """Everything up to this number is in the journal."""

    number: int


Order: TypeAlias = Accept | SetMode | Announce | Say | Trickle | End | Finish | Ask | Retire
FromService: TypeAlias = Order | Acknowledge


class Reply(Struct, frozen=True, tag=True, kw_only=True):
    order: int
    answer: str = ""
    """The SDP answer, for ``Accept``."""
    legs: tuple[LegUp, ...] = ()
    writing: tuple[tuple[IncidentId, RecordingId], ...] = ()
    fault: str = ""
    """Name of the error family; empty when all went well."""
    text: str = ""
    field: str = "$"


class Told(Struct, frozen=True, tag=True):
    number: int
    event: ProviderEvent


class Loud(Struct, frozen=True, tag=True):
    """How loud every leg was just now.  Told once and never again: only the newest is of use."""

    levels: tuple[Level, ...]


FromWorker: TypeAlias = Hello | Reply | Told | Loud

_FAULTS: dict[str, type[SosError]] = {each.__name__: each for each in (Malformed, Refused, Unavailable)}

_encoder = msgspec.msgpack.Encoder()
_from_service: msgspec.msgpack.Decoder[FromService] = msgspec.msgpack.Decoder(FromService)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: FromService | FromWorker) -> bytes:
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def order_from(reader: asyncio.StreamReader) -> FromService:
    """The next message of the service; ``EOFError`` when it is gone, ``ValueError`` when it is no such message."""
    return _from_service.decode(await _body(reader))


async def news_from(reader: asyncio.StreamReader) -> FromWorker:
    """The next message of a worker; errors as ``order_from``."""
    return _from_worker.decode(await _body(reader))


async def _body(reader: asyncio.StreamReader) -> bytes:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ValueError("a frame is longer than any message")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as gone:
        raise EOFError("the other end is gone") from gone


def fault(order: int, error: SosError) -> Reply:
    """An error of the voice adapters as it goes over the socket."""
    family = next((name for name, kind in _FAULTS.items() if isinstance(error, kind)), Unavailable.__name__)
    return Reply(order=order, fault=family, text=str(error), field=getattr(error, "field", "$"))


def raised(reply: Reply) -> SosError:
    """The error that ``reply`` tells of."""
    family = _FAULTS.get(reply.fault, Unavailable)
    return Malformed(reply.text, field=reply.field) if family is Malformed else family(reply.text)
