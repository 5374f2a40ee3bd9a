"""Agencies that misbehave: the twins of every real channel and line, for tests, drills and demonstrations.

A channel loses requests before they arrive and answers after they have (which a sender cannot tell apart), delivers
late and out of order, delivers twice, and says yes to what it throws away.  A line is busy, rings out, drops, or is
answered by a machine.  5 % of everything goes wrong by default; a seed repeats a run.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum, auto
from random import Random

from msgspec import Struct

from sos.dispatch.port import Parcel, Receipt
from sos.errors import Unavailable
from sos.incident.commands import Acknowledge, AskBack, Command, EndAgencyCall, JoinLeg, LeaveLeg, Reject
from sos.incident.events import AgencyCallRequested
from sos.incident.model import Acknowledgement, DisclosureId, Party, Question


class Fault(Enum):
    LOSE_REQUEST = auto()
    LOSE_ANSWER = auto()
    DELAY = auto()
    """No answer in time; the request arrives later, perhaps after the next one."""
    DUPLICATE = auto()
    LIE = auto()
    """Says that it was delivered and throws it away."""


LOSSES = (Fault.LOSE_REQUEST, Fault.LOSE_ANSWER)


class SimulatedChannel:
    """``AgencyChannel`` in memory.  ``misbehaviour`` is the share of calls that go wrong."""

    def __init__(
        self,
        *,
        name: str = "simulated",
        misbehaviour: float = 0.05,
        seed: int = 0,
        faults: Sequence[Fault] = tuple(Fault),
        on_shown: Callable[[Parcel], None] | None = None,
    ) -> None:
        """``on_shown`` is called when a brief first appears on the agency's screen."""
        self.name = name
        self._dice = Random(seed)  # noqa: S311  (repeats faults, keeps no secret)
        self._misbehaviour = misbehaviour
        self._faults = tuple(faults)
        self._on_shown = on_shown
        self._late: list[Parcel] = []
        self._lied: set[DisclosureId] = set()
        self.arrived: Counter[DisclosureId] = Counter()
        """How often each disclosure reached the agency's machine; it shows the first and drops repeats by their id."""
        self.shown: dict[DisclosureId, bytes] = {}
        """What the agency's people see."""

    async def find(self, parcel: Parcel) -> Receipt | None:
        self._deliver_late()
        if self._fault() in LOSSES:
            raise Unavailable("the agency's system does not answer")
        known = parcel.disclosure in self.arrived or parcel.disclosure in self._lied
        return self._receipt(parcel.disclosure) if known else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        fault = self._fault()
        if fault is Fault.LOSE_REQUEST:
            raise Unavailable("the agency's system does not answer")
        if fault is Fault.DELAY:
            self._late.append(parcel)
            raise Unavailable("the agency's system does not answer in time")
        if fault is Fault.LIE:
            self._lied.add(parcel.disclosure)
            return self._receipt(parcel.disclosure)
        self._arrive(parcel)
        if fault is Fault.DUPLICATE:
            self._arrive(parcel)
        if fault is Fault.LOSE_ANSWER:
            raise Unavailable("the agency's system does not answer")
        return self._receipt(parcel.disclosure)

    def _arrive(self, parcel: Parcel) -> None:
        self.arrived[parcel.disclosure] += 1
        if parcel.disclosure not in self.shown:
            self.shown[parcel.disclosure] = parcel.brief
            if self._on_shown is not None:
                self._on_shown(parcel)

    def _deliver_late(self) -> None:
        self._dice.shuffle(self._late)
        while self._late and self._dice.random() < 0.5:
            self._arrive(self._late.pop())

    def _fault(self) -> Fault | None:
        wrong = self._faults and self._dice.random() < self._misbehaviour
        return self._dice.choice(self._faults) if wrong else None

    def _receipt(self, disclosure: DisclosureId) -> Receipt:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"{self.name}:{disclosure}")


class Later(Struct, frozen=True):
    """Something that a line brings about."""

    after: timedelta
    command: Command


class SimulatedLines:
    """What happens to calls to an agency.  ``silent``: nobody ever answers."""

    def __init__(self, *, misbehaviour: float = 0.05, seed: int = 0, silent: bool = False) -> None:
        self._dice = Random(seed)  # noqa: S311
        self._misbehaviour = misbehaviour
        self._silent = silent
        self.called: Counter[str] = Counter()
        """How often each call was placed: more than once is a fault of the caller."""

    def call(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        """The course of one call, as commands in the order of their times."""
        self.called[requested.leg] += 1
        if self._silent:
            return self._ends(requested, 25, "no_answer")
        if self._dice.random() < self._misbehaviour:
            return self._dice.choice((self._busy, self._rings_out, self._machine, self._drops))(requested)
        return self._human(requested)

    def _busy(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        return self._ends(requested, 2, "busy")

    def _rings_out(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        return self._ends(requested, 25, "no_answer")

    def _machine(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        return (*self._talks(requested, 6, 20), *self._ends(requested, 20, "machine"))

    def _drops(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        return self._talks(requested, 5, 9)

    def _human(self, requested: AgencyCallRequested) -> tuple[Later, ...]:
        told, agency = requested.disclosure, requested.agency
        picked_up = self._dice.uniform(3, 18)
        said = picked_up + self._dice.uniform(4, 15)
        answer: Command | None = self._dice.choices(
            (
                Acknowledge(disclosure=told, agency=agency, level=Acknowledgement.TAKEN_OVER),
                Acknowledge(disclosure=told, agency=agency, level=Acknowledgement.HEARD),
                AskBack(disclosure=told, agency=agency, question=Question.WHERE),
                Reject(disclosure=told, agency=agency, reason="not_our_area"),
                None,
            ),
            weights=(60, 15, 10, 10, 5),
        )[0]
        answers = (Later(timedelta(seconds=said), answer),) if answer else ()
        talk = self._talks(requested, picked_up, said + 5, between=answers)
        return (*talk, *self._ends(requested, said + 5, "ended"))

    def _talks(
        self, requested: AgencyCallRequested, joins: float, leaves: float, *, between: tuple[Later, ...] = ()
    ) -> tuple[Later, ...]:
        join = JoinLeg(leg=requested.leg, party=Party.AGENCY, who=requested.agency)
        left = LeaveLeg(leg=requested.leg, reason="ended")
        return (Later(timedelta(seconds=joins), join), *between, Later(timedelta(seconds=leaves), left))

    def _ends(self, requested: AgencyCallRequested, after: float, outcome: str) -> tuple[Later, ...]:
        ended = EndAgencyCall(disclosure=requested.disclosure, leg=requested.leg, outcome=outcome)
        return (Later(timedelta(seconds=after), ended),)
