"""The answer a person gets: what is held about them, what was told to whom on what ground, who looked, what is gone.

Portable JSON (``sos-subject-answer/1``), made from the journal; nothing of it is kept.  Each stream is opened by the
one way that journals the access first, and only those that are theirs.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from routing.categories import Category
from sos.clock import timestamp
from sos.incident.access import Purpose
from sos.incident.events import (
    DataDestroyed,
    DisclosureDecided,
    ExportMade,
    IncidentClosed,
    IncidentOpened,
    PartsRead,
    Recorded,
    RecordingSealed,
    RegistryChanged,
    RegistryRead,
    RequestAnswered,
    RequestReceived,
    VehicleRecognised,
)
from sos.incident.identity import folded
from sos.incident.model import IncidentId, StreamId, SubjectId
from sos.incident.telephone import heard
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.journal.sealing import Contents, Part
from sos.rights.keys import fields
from sos.rights.pieces import NOWHERE, OTHERS, UNREAD_WORDS, Person, give, other_names
from sos.rights.request import RightsRequest
from sos.rights.search import Claim, owner
from sos.rights.terms import RightsTerms

FORMAT = "sos-subject-answer/1"

KEPT_BACK = frozenset({"inquiry", "court_order", "oral_request", "public_task"})
"""Ways of asking that the answer tells of only once somebody has seen that it hinders nothing (Art. 33(2))."""

NOT_SHOWN = frozenset({"kind", "key", "keys", "pack", "digest", "document"})
"""Of a change in the registry: what is a digest or the house's own."""


class Subjects(Protocol):
    """The registry, for whoever may see what it holds of a vehicle or a customer."""

    async def shown(self, subject: SubjectId, categories: Sequence[Category], *, reader: str, purpose: str) -> Contents:
        """The parts of ``subject``; the access is in the journal before."""
        ...


class Wanted(Struct, frozen=True, kw_only=True):
    """How far an answer goes."""

    request: RightsRequest
    claim: Claim
    reader: str
    why: str
    """Stands sealed beside every access."""
    words_read: bool = False
    """Somebody has read the free words: they may be given."""
    inquiries: bool = False
    """Somebody has seen that telling of inquiries hinders nothing."""


class Answer(Struct, frozen=True, kw_only=True):
    document: Mapping[str, Any]
    disclosures: int
    withheld: int


class Answering:
    def __init__(
        self,
        journal: Journal,
        registry: Subjects,
        terms: RightsTerms,
        *,
        agency: Callable[[str], str] = lambda agency: agency,
        corrections: Callable[[StreamId], Awaitable[Sequence[Mapping[str, Any]]]] | None = None,
    ) -> None:
        """``agency``: the name of an agency by its id; ``corrections``: both values of what was wrong in a stream."""
        self._corrections = corrections
        self._journal = journal
        self._registry = registry
        self._terms = terms
        self._agency = agency

    async def answer(self, wanted: Wanted, *, copy: int, fee_yen: int) -> Answer:
        """What the person gets.  ``Forbidden`` unless it is the person."""
        wanted.request.prove()
        everything = wanted.request.right == "disclosure"
        held, told, looked = [], list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for stream in wanted.request.theirs:
            events = await self._journal.store.stream(stream)
            told += self.disclosures(events, inquiries=wanted.inquiries)
            if everything:
                piece = await self._held(stream, events, wanted)
                if self._corrections is not None and (both := await self._corrections(stream)):
                    piece["corrections"] = both
                held.append(piece)
                looked += [_look(each) for each in events if _looks(each, wanted)]
        document = self._head(wanted, copy=copy, fee_yen=fee_yen) | {"disclosures": told}
        if everything:
            document |= {"held": held, "looked_at": looked}
        kept_back = sum(len(each["withheld"]) for each in held)
        return Answer(document=document, disclosures=len(told), withheld=kept_back)

    def _head(self, wanted: Wanted, *, copy: int, fee_yen: int) -> dict[str, Any]:
        right = self._terms.the_right(wanted.request.right)
        return {
            "format": FORMAT,
            "request": wanted.request.request,
            "right": {"code": right.code, "article": right.article, "ja": right.ja, "en": right.en},
            "received": _time(wanted.request.received_at),
            "made": timestamp(self._journal.clock.now()),
            "person": {"name": wanted.claim.name, "tel": list(wanted.claim.tel)},
            "copy": copy,
            "fee_yen": fee_yen,
            "complaints": {"ja": self._terms.authority.ja, "en": self._terms.authority.en},
        }

    # --- what is held ---

    async def _held(self, stream: StreamId, events: Sequence[Recorded], wanted: Wanted) -> dict[str, Any]:
        match events[0].event:
            case RegistryChanged(subject=kind):
                contents = await self._registry.shown(
                    SubjectId(stream), tuple(Category), reader=wanted.reader, purpose=wanted.why
                )
                return _of_registry(kind, stream, events, contents, wanted)
            case IncidentOpened():
                return await self._incident(IncidentId(stream), events, wanted)
            case _:  # an earlier request of theirs
                happened = [{"at": timestamp(each.at), "what": type(each.event).__name__} for each in events]
                return {"kind": "request", "stream": stream, "happened": happened, "withheld": []}

    async def _incident(self, stream: IncidentId, events: Sequence[Recorded], wanted: Wanted) -> dict[str, Any]:
        contents = await self._journal.read(
            stream, tuple(Category), reader=wanted.reader, purpose=Purpose.PERSON, reason=wanted.why, each_time=True
        )
        person = _person(events, stream, wanted)
        others = other_names(contents.parts, person.name)
        given, withheld = list[dict[str, Any]](), list[dict[str, Any]]()
        for part in contents.parts:
            piece = give(part, person, others)
            told = {"at": timestamp(part.recorded.at), "category": part.category, "what": _kind(part.recorded)}
            if piece.withheld:
                withheld.append(told | {"why": piece.withheld})
            elif piece is not NOWHERE:
                given.append(told | {"said": piece.said})
        closed = next((each for each in reversed(events) if isinstance(each.event, IncidentClosed)), None)
        ended = closed.event if closed is not None else None
        return {
            "kind": "incident",
            "stream": stream,
            "brand": events[0].tenant,
            "opened": timestamp(events[0].at),
            "closed": _time(closed.at if closed is not None else None),
            "kept": [list(each) for each in ended.retention] if isinstance(ended, IncidentClosed) else [],
            "given": given,
            "withheld": withheld,
            "recordings": [_recording(each) for each in events if isinstance(each.event, RecordingSealed)],
            "destroyed": list(_destroyed(events)),
            "unreadable": sorted({each.category for each in contents.unread if each.why is not Shut.DESTROYED}),
            "exports": [timestamp(each.at) for each in events if isinstance(each.event, ExportMade)],
        }

    # --- what was told ---

    def disclosures(self, events: Sequence[Recorded], *, inquiries: bool = False) -> Iterator[dict[str, Any]]:
        """Who was told what, when and on which ground; from the headers alone, which name nobody."""
        asked = {each.event.request: each.event for each in events if isinstance(each.event, RequestReceived)}
        for recorded in events:
            match recorded.event:
                case DisclosureDecided() as told:
                    yield self._telling(recorded, told)
                case RequestAnswered(categories=categories, statements=statements) as given if categories or statements:
                    path = asked[given.request].path if given.request in asked else ""
                    if inquiries or path not in KEPT_BACK:
                        yield self._given_out(recorded, given, path)
                case _:
                    continue

    def _telling(self, recorded: Recorded, told: DisclosureDecided) -> dict[str, Any]:
        overridden = {"ja": self._terms.opt_out.ja, "en": self._terms.opt_out.en, "clause": told.opt_out_clause}
        return self._to_whom(recorded, told.disclosure, told.ground, told.law_version, told.clause) | {
            "to": {"id": told.agency, "name": self._agency(told.agency), "service": str(told.service)},
            "rule": told.rule,
            "necessity": told.necessity,
            "consent": told.consent,
            "categories": list(told.categories),
            "withheld": list(told.withheld),
            "without_a_person": told.unattended,
            "opt_out": overridden if told.opt_out_overridden else None,
        }

    def _given_out(self, recorded: Recorded, given: RequestAnswered, path: str) -> dict[str, Any]:
        return self._to_whom(recorded, given.request, given.ground, given.law_version, given.clause) | {
            "to": {"id": "", "name": str(given.recipient), "service": ""},
            "rule": given.rule,
            "path": str(path),
            "categories": list(given.categories),
            "withheld": list(given.withheld),
            "opt_out": None,
        }

    def _to_whom(
        self, recorded: Recorded, disclosure: str, ground: str, law_version: str, clause: str
    ) -> dict[str, Any]:
        said = self._terms.said(ground)
        return {
            "incident": recorded.stream,
            "disclosure": disclosure,
            "at": timestamp(recorded.at),
            "ground": {"code": ground, "ja": said.ja, "en": said.en, "law": law_version, "clause": clause},
        }


def _person(events: Sequence[Recorded], stream: StreamId, wanted: Wanted) -> Person:
    theirs = {*wanted.request.theirs}
    holders = {each.event.holder for each in events if isinstance(each.event, VehicleRecognised)}
    numbers = (heard(each).number for each in wanted.claim.tel)
    return Person(
        name=folded(wanted.claim.name),
        tels=frozenset(number for number in numbers if number is not None),
        holder=bool(holders & theirs) and len(holders - {None}) == 1,
        the_one=stream in wanted.request.confirmed,
        words_read=wanted.words_read,
    )


def _of_registry(
    kind: str, stream: StreamId, events: Sequence[Recorded], contents: Contents, wanted: Wanted
) -> dict[str, Any]:
    changes = [_change(each) for each in events if isinstance(each.event, RegistryChanged)]
    given, withheld = list[dict[str, Any]](), list[dict[str, Any]]()
    for part in contents.parts:
        if not isinstance(part.recorded.event, RegistryChanged) or (said := fields(part.payload)) is None:
            continue
        told = {"at": timestamp(part.recorded.at), "category": part.category, "what": _kind(part.recorded)}
        if why := _kept_back(part, kind, events, wanted):
            withheld.append(told | {"why": why})
        else:
            given.append(told | {"said": said})
    return {
        "kind": kind,
        "stream": stream,
        "brand": events[0].tenant,
        "given": given,
        "changes": changes,
        "withheld": withheld,
        "destroyed": [each for each in changes if each["what"] == "PersonalDataErased"],
        "unreadable": sorted(contents.missing),
    }


def _kept_back(part: Part, kind: str, events: Sequence[Recorded], wanted: Wanted) -> str:
    """Why a part of the registry is withheld; empty when it is given.  What somebody typed names anybody: of a car only
    what was typed while it was theirs, and nothing that nobody has read."""
    if part.category is not Category.OBS:
        return ""
    until_then = [each for each in events if each.n <= part.recorded.n]
    if kind == "vehicle" and owner(until_then) not in wanted.request.theirs:
        return OTHERS
    return "" if wanted.words_read else UNREAD_WORDS


def _change(recorded: Recorded) -> dict[str, Any]:
    assert isinstance(recorded.event, RegistryChanged)
    told = {name: value for name, value in recorded.event.change.items() if name not in NOT_SHOWN}
    return {"at": timestamp(recorded.at), "what": recorded.event.change["kind"], **told}


def _recording(recorded: Recorded) -> dict[str, Any]:
    assert isinstance(recorded.event, RecordingSealed)
    return {"recording": recorded.event.recording, "sealed": timestamp(recorded.at)}


def _destroyed(events: Iterable[Recorded]) -> Iterator[dict[str, Any]]:
    """Stubs of what is gone: what it was, by which promise, and when."""
    for recorded in events:
        if isinstance(recorded.event, DataDestroyed):
            for each in recorded.event.disposed:
                yield {"category": each.category, "class": each.tag, "destroyed": timestamp(recorded.at)}


def _looks(recorded: Recorded, wanted: Wanted) -> bool:
    """Whether it is told that somebody looked; for an inquiry, only where telling hinders nothing."""
    match recorded.event:
        case RegistryRead():
            return True
        case PartsRead(purpose=purpose):
            return wanted.inquiries or purpose != Purpose.REQUEST
        case _:
            return False


def _look(recorded: Recorded) -> dict[str, Any]:
    """Who looked: which kind of person, never which one."""
    assert isinstance(recorded.event, PartsRead | RegistryRead)
    return {
        "stream": recorded.stream,
        "at": timestamp(recorded.at),
        "by": recorded.event.reader.partition(":")[0],
        "purpose": recorded.event.purpose,
        "categories": list(recorded.event.categories),
    }


def _kind(recorded: Recorded) -> str:
    return type(recorded.event).__name__


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)
