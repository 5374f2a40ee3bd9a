"""What a door process and the service say to each other: frames of MessagePack over a local socket, length first.

Both ends are one release or two that follow each other: a field is added with a default, and what is not understood
ends the connection, after which the door keeps its reports itself.
"""

import asyncio
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from sos.incident.model import IncidentId, TenantId
from sos.intake.acceptance import Accepted
from sos.intake.findings import MAX_BODY_BYTES
from sos.journal.spool import Spooled

MOST_BYTES = 2 * MAX_BODY_BYTES
"""Of one frame: a body with all that is known of who sent it, and some of a spooled one."""

_LENGTH_BYTES = 4


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """A report whose sender the door knows; the fields are those of ``Acceptance.take``."""

    number: int
    """Of the question, on this connection; the answer bears the same."""
    body: bytes
    content_type: str
    tenant: TenantId
    received_at: datetime
    incident: IncidentId
    """The id that a new incident is to have: the door tells the same one when it keeps the report itself."""
    key: str | None = None
    cut: str | None = None
    findings: tuple[str, ...] = ()
    connection: str = ""
    unread: bool = False
    """Nobody is to look at it: ``Acceptance.take_unread``."""


class Kept(Struct, frozen=True, kw_only=True, tag="kept"):
    """A report that the door has acknowledged and kept on disk."""

    number: int
    spooled: Spooled


class Standing(Struct, frozen=True, kw_only=True, tag="standing"):
    """How the door stands; asked for an answer to see whether the service turns."""

    number: int
    door: int
    spooled: int
    """Reports that wait on the door's disk."""


Question = Report | Kept | Standing


class Taken(Struct, frozen=True, kw_only=True, tag="taken"):
    number: int
    accepted: Accepted


class NoReport(Struct, frozen=True, kw_only=True, tag="no_report"):
    """``Malformed``, with its message."""

    number: int
    why: str
    field: str


class Heard(Struct, frozen=True, kw_only=True, tag="heard"):
    """``Standing`` was understood, or what was ``Kept`` is durable here."""

    number: int


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """It is durable nowhere on this side."""

    number: int
    why: Literal["unavailable", "unknown_tenant", "fault", "too_long"]


Answer = Taken | NoReport | Heard | Failed

encode = msgspec.msgpack.Encoder().encode
questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def framed(said: Question | Answer) -> bytes:
    data = encode(said)
    return len(data).to_bytes(_LENGTH_BYTES) + data


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame.  ``asyncio.IncompleteReadError`` at the end; ``ValueError`` when it is longer than any may be."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MOST_BYTES:
        raise ValueError("a frame is longer than any may be")
    return await reader.readexactly(length)
