"""One request of a person about their own data, as it stands, and what may follow what.  Pure.

**Theory.**  A request is open until it is answered or refused.  Nothing is searched, shown or changed before somebody
of ours has seen that it is the person; who is not the person is refused in the same breath.  The clock runs from the
day it came in; it is prolonged once, with a reason, and falls due again every day while nobody acts.  What is found is
theirs by what the house knows, or because a person says so: a stream that is neither is never opened.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sos.errors import Forbidden, Refused
from sos.incident import events as e
from sos.incident.model import StreamId

AGAIN = timedelta(days=1)
"""How often what is late falls due anew."""


CORRECTS = frozenset({"correction", "addition"})
ERASES = frozenset({"deletion", "cease_use"})
CEASES = "cease_provision"
"""Recorded as a consent that was taken back, by the registry's own door."""


class Stage(StrEnum):
    NEW = "new"
    RECEIVED = "received"
    PROVED = "proved"
    ANSWERED = "answered"
    REFUSED = "refused"


OPEN = (Stage.RECEIVED, Stage.PROVED)


class RightsRequest(Struct, frozen=True, kw_only=True):
    """It has no ``id``, so it is never mistaken for an incident; nor does it name anybody."""

    request: StreamId
    tenant: str
    version: int = 0
    stage: Stage = Stage.NEW
    right: str = ""
    received_at: datetime | None = None
    due_at: datetime | None = None
    extended: bool = False
    late: int = 0
    sure: tuple[StreamId, ...] = ()
    maybe: tuple[StreamId, ...] = ()
    confirmed: tuple[StreamId, ...] = ()
    denied: tuple[StreamId, ...] = ()
    searched: bool = False
    copies: int = 0
    corrected: tuple[StreamId, ...] = ()
    """Streams of which something has two values since."""
    erased: tuple[StreamId, ...] = ()
    """Streams of which something was made due."""
    acted: bool = False
    """Something was corrected, or looked at for erasure."""
    rule: str = ""
    """Why it was refused."""

    @property
    def stream(self) -> StreamId:
        return self.request

    @property
    def open(self) -> bool:
        return self.stage in OPEN

    @property
    def theirs(self) -> tuple[StreamId, ...]:
        """What may be opened for the answer."""
        return tuple(sorted(({*self.sure} | {*self.confirmed}) - {*self.denied}))

    def falls_due(self) -> datetime | None:
        """When somebody has to be told next that it waits; None once it is over."""
        return self.due_at + self.late * AGAIN if self.open and self.due_at is not None else None

    def prove(self) -> None:
        """``Forbidden`` unless it is the person."""
        if self.stage is Stage.RECEIVED:
            raise Forbidden("identity-not-checked: see first that it is the person", rule="identity-not-checked")
        if self.stage is Stage.REFUSED:
            raise Forbidden(f"refused ({self.rule}): nothing is shown", rule=self.rule)


def evolve(state: RightsRequest, event: e.Event, *, at: datetime) -> RightsRequest:
    """``state`` after ``event``; ``Refused`` where it may not follow."""
    now = replace(state, version=state.version + 1)
    if isinstance(event, e.RightAsked):
        _only(state.stage is Stage.NEW, "it was asked already")
        return replace(now, stage=Stage.RECEIVED, right=event.right, received_at=at, due_at=event.due_at)
    _only(state.stage is not Stage.NEW, "there is no such request")
    found = _AFTER.get(type(event))
    if found is None:
        raise Refused("this does not belong to a request")
    return replace(now, **found(state, event))


def _checked(state: RightsRequest, event: e.AskerChecked) -> dict[str, Any]:
    _only(state.stage is Stage.RECEIVED, "it was looked at already")
    _only(not event.proved or bool(event.shown), "say what was shown")
    return {"stage": Stage.PROVED} if event.proved else {}


def _extended(state: RightsRequest, event: e.RightExtended) -> dict[str, Any]:
    _only(state.open, "it is over")
    _only(not state.extended, "it was prolonged once already")
    _only(state.late == 0, "its time has passed: answer it or refuse it")
    _only(state.due_at is not None and event.due_at > state.due_at, "the new date is no later")
    return {"extended": True, "due_at": event.due_at}


def _refused(state: RightsRequest, event: e.RightRefused) -> dict[str, Any]:
    _only(state.open, "it is over")
    return {"stage": Stage.REFUSED, "rule": event.rule}


def _searched(state: RightsRequest, event: e.AskersDataSearched) -> dict[str, Any]:
    state.prove()
    return {"searched": True, "sure": event.sure, "maybe": event.maybe}


def _confirmed(state: RightsRequest, event: e.AskersDataConfirmed) -> dict[str, Any]:
    state.prove()
    _only(event.stream in {*state.sure, *state.maybe}, "nothing of theirs was found there")
    others = {"confirmed": _without(state.confirmed, event.stream), "denied": _without(state.denied, event.stream)}
    kept = "confirmed" if event.theirs else "denied"
    return others | {kept: (*others[kept], event.stream)}


def _answered(state: RightsRequest, event: e.RightAnswered) -> dict[str, Any]:
    state.prove()
    _only(state.searched, "nothing was searched for yet")
    _only(event.copy == state.copies + 1, "somebody made a copy at this moment: look again")
    return {"stage": Stage.ANSWERED, "copies": event.copy}


def _corrected(state: RightsRequest, event: e.DataCorrected) -> dict[str, Any]:
    state.prove()
    _only(state.right in CORRECTS, f"{state.right} corrects nothing")
    _only(state.stage is Stage.PROVED, "it is over")
    _only(event.stream in state.theirs, "this is not known to be theirs")
    return {"corrected": (*_without(state.corrected, event.stream), event.stream), "acted": True}


def _erasure(state: RightsRequest, event: e.ErasureAsked) -> dict[str, Any]:
    state.prove()
    _only(state.right in ERASES, f"{state.right} erases nothing")
    _only(state.stage is Stage.PROVED, "it is over")
    _only({stream for stream, _ in event.erased} <= {*state.theirs}, "this is not known to be theirs")
    streams = dict.fromkeys((*state.erased, *(stream for stream, _ in event.erased)))
    return {"erased": tuple(streams), "acted": True}


def _done(state: RightsRequest, _: e.RightDone) -> dict[str, Any]:
    state.prove()
    _only(state.stage is Stage.PROVED, "it is over")
    _only(state.acted or state.right == CEASES, "nothing was done yet")
    return {"stage": Stage.ANSWERED}


def _overdue(state: RightsRequest, event: e.RightOverdue) -> dict[str, Any]:
    _only(state.open, "it is over")
    return {"late": event.late}


def _without(streams: tuple[StreamId, ...], stream: StreamId) -> tuple[StreamId, ...]:
    return tuple(each for each in streams if each != stream)


def _only(so: bool, otherwise: str) -> None:
    if not so:
        raise Refused(otherwise)


_AFTER: Mapping[type[e.Event], Callable[[RightsRequest, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.AskerChecked: _checked,
        e.RightExtended: _extended,
        e.RightRefused: _refused,
        e.AskersDataSearched: _searched,
        e.AskersDataConfirmed: _confirmed,
        e.RightAnswered: _answered,
        e.RightOverdue: _overdue,
        e.DataCorrected: _corrected,
        e.ErasureAsked: _erasure,
        e.RightDone: _done,
        e.RightRead: lambda _, __: {},
    }
)
