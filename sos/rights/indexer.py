"""Follows the journal and keeps the index from people and vehicles to streams: a reader, so that it has no hole.

What is destroyed goes from it too.  ``again`` makes it anew from the first event on.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

from recording.keys import KeyStore
from routing.categories import Category
from sos.incident.events import (
    CardAnswered,
    DataDestroyed,
    ErasureAsked,
    Event,
    IncidentOpened,
    LanguageStated,
    Recorded,
    RegisteredDataCopied,
    RegistryChanged,
    ReportFiled,
    RightAsked,
    VehicleRecognised,
)
from sos.incident.model import StreamId, SubjectId
from sos.journal.journal import Journal
from sos.journal.keyring import Keyring
from sos.journal.losses import Losses
from sos.journal.sealing import Sealer
from sos.journal.subject_rows import ERASURE, HEADER, Gone, SubjectRow, SubjectRows, erasure_of
from sos.rights.keys import HOLDER, READ, Digests, Key, keys_of

READER = "subject-index"

CATCH_UP = 512
"""Events read in one go when a command brings the index up to date."""

OF_INCIDENTS = (IncidentOpened, ReportFiled, CardAnswered, LanguageStated, VehicleRecognised, RegisteredDataCopied)


class Indexer:
    WANTS: tuple[type[Event], ...] = (*OF_INCIDENTS, RegistryChanged, RightAsked, ErasureAsked, DataDestroyed)

    def __init__(self, journal: Journal, keys: KeyStore, rows: SubjectRows) -> None:
        self._journal = journal
        self._rows = rows
        self._sealer = Sealer(journal.store, Keyring(keys), Losses())  # what is erased there is no loss
        self._digests = Digests(keys.secret("rights"))

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """Take in what ``batch`` can be found by, and let go of what it says to be destroyed."""
        found: list[SubjectRow | Gone] = []
        for recorded in batch:
            match recorded.event:
                case DataDestroyed(disposed=disposed):
                    found.append(Gone(stream=recorded.stream, categories=tuple(each.category for each in disposed)))
                case RegistryChanged(change={"kind": "PersonalDataErased", "categories": categories}):
                    found.append(Gone(stream=recorded.stream, categories=tuple(map(Category, categories))))
                case ErasureAsked(erased=erased):
                    found += [_erasure(recorded, stream, category) for stream, category in erased]
                case event if isinstance(event, self.WANTS):
                    found += [row async for row in self._read(recorded)]
                case _:
                    continue
        await self._rows.take(found)

    async def _read(self, recorded: Recorded) -> AsyncIterator[SubjectRow]:
        for each in _holders(recorded):
            yield self._row(recorded, Key(HOLDER, each), HEADER)
        if not READ & set(recorded.commitments):
            return
        for category, payload in (await self._parts(recorded)).items():
            for key in keys_of(category, payload, brand=recorded.tenant):
                yield self._row(recorded, key, category)

    async def _parts(self, recorded: Recorded) -> Mapping[Category, bytes]:
        if isinstance(recorded.event, OF_INCIDENTS):
            return await self._journal.parts_of(recorded)
        self._sealer.forget(recorded.stream)  # whoever owns the stream may have made a key since
        return await self._sealer.unseal_event(recorded)

    def _row(self, recorded: Recorded, key: Key, category: str) -> SubjectRow:
        return SubjectRow(
            digest=self._digests.of(key),
            stream=recorded.stream,
            category=category,
            scheme=key.scheme,
            kind=_kind(recorded),
            tenant=recorded.tenant,
        )

    def digests(self, keys: Sequence[Key]) -> Mapping[bytes, Key]:
        """What ``keys`` are looked up by."""
        return {self._digests.of(key): key for key in keys}

    async def catch_up(self, told: Callable[[int, int], None] = lambda *_: None) -> None:
        """Bring the index up to date now; ``told`` hears how far of how many events."""
        position = await self._journal.store.cursor(READER)
        while events := await self._journal.store.follow(position, limit=CATCH_UP):
            await self.handle([each for each in events if not each.damaged])
            position += len(events)
            await self._journal.store.save_cursor(READER, position)
            told(position, (await self._journal.store.tree())[0])

    async def again(self, told: Callable[[int, int], None] = lambda *_: None) -> None:
        """Make the index anew, from the first event on."""
        await self._rows.clear()
        await self._journal.store.save_cursor(READER, 0)
        await self.catch_up(told)


def _erasure(recorded: Recorded, stream: StreamId, category: Category) -> SubjectRow:
    return SubjectRow(
        digest=erasure_of(stream),
        stream=recorded.stream,
        category=category,
        scheme=ERASURE,
        kind="request",
        tenant=recorded.tenant,
    )


def _kind(recorded: Recorded) -> str:
    match recorded.event:
        case RegistryChanged(subject=subject):
            return subject
        case RightAsked():
            return "request"
        case _:
            return "incident"


def _holders(recorded: Recorded) -> Iterator[SubjectId]:
    """The customer that a header names: whose vehicle it was then."""
    match recorded.event:
        case VehicleRecognised(holder=holder) if holder:
            yield SubjectId(holder)
        case RegisteredDataCopied(holder=holder):
            yield SubjectId(holder)
        case RegistryChanged(change={"kind": "OwnerLinked", "subscriber": subscriber}):
            yield SubjectId(subscriber)
        case RegistryChanged(change={"kind": "TransferCompleted", "buyer": str(buyer)}):
            yield SubjectId(buyer)
        case _:
            return
