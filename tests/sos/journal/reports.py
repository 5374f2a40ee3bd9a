"""Reports to put into a journal, and questions the tests ask of it."""

import asyncio
from hashlib import sha256

from msgspec.structs import replace

from recording.ledger import leaf_hash, root
from sos.incident.commands import OpenIncident
from sos.incident.events import Recorded
from sos.incident.model import IncidentId, TenantId
from sos.journal.journal import Journal, Received
from sos.journal.store import Store
from tests.journeys import story as s

TENANT = TenantId("demo")


def report(number: int) -> OpenIncident:
    return replace(s.open_incident(), report=b'{"vin":"INVENTED%06d"}' % number)


def receipt(number: int) -> bytes:
    return sha256(b"receipt %d" % number).digest()


async def opened(journal: Journal, number: int = 0) -> Received:
    return await journal.open(report(number), tenant=TENANT, receipt=receipt(number), received_at=journal.clock.now())


async def incident(journal: Journal, number: int = 0) -> IncidentId:
    received = await opened(journal, number)
    assert (received.repeat, received.durability) == (False, "committed")
    return received.incident


async def sequenced(store: Store, count: int) -> list[Recorded]:
    """The first ``count`` events in their one order, read from the database, once they have positions."""
    async with asyncio.timeout(60):
        await store.news(count - 1)
    found: list[Recorded] = []
    while len(found) < count:
        found += await store.positioned(len(found), limit=100)  # type: ignore[attr-defined]
    return found


async def check_order(store: Store, count: int) -> None:
    """Positions are contiguous from 0, each stream in its own order, the tree is the one of RFC 6962 over all."""
    events = await sequenced(store, count)
    assert [event.position for event in events] == list(range(count))
    last: dict[str, int] = {}
    for event in events:
        assert event.n == last.get(event.incident, 0) + 1
        last[event.incident] = event.n
    leaves = await store.leaves(0, limit=count + 1)
    assert [leaf.position for leaf in leaves] == list(range(count))
    size, hashes = await store.tree()
    assert size == count
    assert len(hashes) == count.bit_count()
    assert _root_of(hashes) == root(count, [leaf_hash(leaf.header) for leaf in leaves])


def _root_of(hashes: tuple[bytes, ...]) -> bytes:
    node = hashes[-1]
    for peak in hashes[-2::-1]:
        node = sha256(b"\x01" + peak + node).digest()
    return node
