"""Events as bytes: the header is the leaf of the journal's Merkle tree, so its bytes are made once and kept for ever.

A header is one JSON object with sorted keys and no spaces (``canonical``); personal data is not in it, only a salted
commitment per part.  ``read_header`` takes back what ``write_header`` wrote, of every version there ever was.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.clock import timestamp
from sos.errors import Malformed
from sos.incident.events import KINDS, VERSIONS, Event, Recorded
from sos.incident.model import EventId, IncidentId, StreamId, TenantId
from sos.incident.report import canonical


class _Header(Struct, frozen=True, kw_only=True):
    actor: str
    causation: str | None = msgspec.field(name="answers")
    """The key is as the first header had it."""
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    commit: dict[Category, str]
    data: msgspec.Raw
    id: EventId
    kind: str
    n: int
    stream: StreamId
    tenant: TenantId
    v: int


_headers = msgspec.json.Decoder(_Header)
_bodies: Mapping[str, msgspec.json.Decoder[Event]] = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}

UNSEALED = "unsealed"
"""Stands where a header of an earlier version had somebody's own words: they are shown to nobody."""


def _without(name: str) -> Callable[[bytes], bytes]:
    def up(data: bytes) -> bytes:
        return canonical({key: value for key, value in _data(data).items() if key != name})

    return up


def _purpose_coded(data: bytes) -> bytes:
    told = _data(data)
    purpose = str(told.get("purpose", ""))
    code, _, words = purpose.partition(":")
    return canonical(told | {"purpose": code if code == "export" and words else purpose})


def _purpose_sealed(data: bytes) -> bytes:
    told = _data(data)
    purpose = str(told.get("purpose", ""))
    return canonical(told | {"purpose": purpose if purpose.startswith("emergency:") else UNSEALED})


def _document_sealed(data: bytes) -> bytes:
    told = _data(data)
    change = told.get("change")
    if isinstance(change, dict) and "document" in change:
        told["change"] = change | {"document": UNSEALED}
    return canonical(told)


def _data(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


UPCASTERS: Mapping[tuple[str, int], Callable[[bytes], bytes]] = MappingProxyType(
    {
        ("IncidentReopened", 1): _without("reason"),
        ("ExportMade", 1): _without("purpose"),
        ("PartsRead", 1): _purpose_coded,
        ("RegistryChanged", 1): _document_sealed,
        ("RegistryRead", 1): _purpose_sealed,
    }
)
"""(kind, old version) -> function from the old ``data`` to the next version's."""


def write_header(recorded: Recorded) -> bytes:
    """The canonical bytes of ``recorded`` without its position, which is not yet known when it is written."""
    kind = type(recorded.event).__name__
    return canonical(
        {
            "actor": recorded.actor,
            "answers": recorded.causation,
            "at": timestamp(recorded.at),
            "commit": recorded.commitments,
            "data": recorded.event,
            "id": recorded.id,
            "kind": kind,
            "n": recorded.n,
            "stream": recorded.stream,
            "tenant": recorded.tenant,
            "v": VERSIONS[kind],
        }
    )


def damaged(stream: StreamId, n: int, *, position: int | None = None) -> Recorded:
    """Stands for an event whose header cannot be read, so that those around it can be."""
    return Recorded(
        id=EventId(f"{stream}/{n}"),
        stream=stream,
        tenant=TenantId(""),
        n=n,
        at=datetime.fromtimestamp(0, UTC),
        actor="",
        causation=None,
        event=Event(),
        position=position,
    )


def read_row(stream: str, n: int, header: bytes, *, position: int | None = None) -> Recorded:
    """The event in ``header``, or what stands for it when it was not written by ``write_header``."""
    try:
        return read_header(header, position=position)
    except Malformed:
        return damaged(IncidentId(stream), n, position=position)


def read_header(header: bytes, *, position: int | None = None) -> Recorded:
    """The event in ``header``.  ``Malformed`` when it was not written by ``write_header``."""
    try:
        parsed = _headers.decode(header)
        if parsed.v > VERSIONS[parsed.kind]:
            raise Malformed(f"this release does not know version {parsed.v} of {parsed.kind}")
        data: bytes = bytes(parsed.data)
        for version in range(parsed.v, VERSIONS[parsed.kind]):
            data = UPCASTERS[parsed.kind, version](data)
        event = _bodies[parsed.kind].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as wrong:
        raise Malformed(f"not a journal header: {type(wrong).__name__}") from wrong
    return Recorded(
        id=parsed.id,
        stream=parsed.stream,
        tenant=parsed.tenant,
        n=parsed.n,
        at=parsed.at,
        actor=parsed.actor,
        causation=parsed.causation,
        event=event,
        commitments=parsed.commit,
        position=position,
    )
