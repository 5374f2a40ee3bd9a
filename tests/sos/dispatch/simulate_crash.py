"""The other cars of a simulated crash: other operators tell of them, link them and take them out, whenever they like.

What a brief says of the crash is the house's own (``Crashes``), and every brief is made in every form; what is promised
of a crash of several cars is looked at by replaying all of its incidents side by side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from routing.brief import compose, read
from routing.brief.eido import write_eido
from routing.brief.spelling import digits
from routing.brief.spoken import aloud, speak
from routing.brief.words import render_text
from routing.categories import Category
from sos.dispatch.one_crash import Crashes
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import linking
from sos.incident.lifecycle import evolve
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    CrashId,
    DeskId,
    DisclosureId,
    Incident,
    IncidentId,
    OperatorId,
    Share,
)
from sos.incident.report import Vehicle, canonical

OTHERS = (IncidentId("car-before"), IncidentId("later-car"))
"""Of the two that a crash may have beside the one that is watched, one came in before it and one after."""

SHARES = (Share.VEHICLE, Share.VEHICLE, Share.VEHICLE, Share.SAME_VEHICLE, Share.CALLER, None)
AGENCIES = (AgencyId("fire"), AgencyId("fire"), AgencyId("police"), AgencyId("neighbour"))


class Crash:
    """``world``: the simulation of the one incident whose hand-off is watched; the others are told of by people."""

    def __init__(self, world: Any, others: int) -> None:
        self.world, self.dice = world, world.dice
        self.logs: dict[IncidentId, Any] = {world.log.incident.id: world.log}
        for incident in OTHERS[:others]:
            log = type(world.log)(world.clock, world.dice, deadly=0.0)
            log.incident = replace(log.incident, id=incident)
            self.logs[incident] = log
        for log in self.logs.values():
            log.crash = self
        self.history: list[tuple[IncidentId, e.Recorded]] = []
        self.links = self.updates = self.warnings = 0

    def open(self, opened: c.OpenIncident) -> None:
        for number, (incident, log) in enumerate(self.logs.items()):
            if log is not self.world.log:
                log.write(opened, actor="vehicle")
                log.write(c.TakeIncident(operator=OperatorId(f"op{number}"), desk=DeskId("d")), actor="operator:op")
                self._later(0, 90, lambda log=log: self.world.decide(self.dice.choice(AGENCIES), log))
                if self.dice.random() < 0.3:
                    self._later(0, 90, lambda log=log: self.world.decide(self.dice.choice(AGENCIES), log))
            people = self.dice.choice((None, 0, 1, 2, 5))
            vehicle = {Category.VEH: canonical(Vehicle(occupants=people))}
            log.write(c.FileReport(sequence=1, located=True, parts=vehicle), actor="system:filer")
            self._later(0, 80, lambda incident=incident: self._link(incident))
            if self.dice.random() < 0.3:
                self._later(20, 100, lambda incident=incident: self._unlink(incident))
        at = self.dice.uniform(5, 60)
        if self.dice.random() < 0.4:  # several operators at the same moment, before anything else happens
            for log in self.logs.values():
                self._later(at, at, lambda log=log: self.world.decide(AgencyId("fire"), log))

    def _later(self, first: float, last: float, act: Any) -> None:
        self.world.later(self.dice.uniform(first, last), act)

    def _link(self, incident: IncidentId) -> None:
        other = self.dice.choice([each for each in self.logs if each != incident])
        number = f"{self.dice.randrange(1_000_000):06d}"
        states = {each: log.incident for each, log in self.logs.items()}
        try:
            orders = linking.link(
                states,
                incident,
                other,
                crash_id=CrashId(f"crash-{self.links}"),
                number=number,
                share=self.dice.choice(SHARES),
            )
        except Refused:
            return
        self.links += 1
        self._together(orders)

    def _unlink(self, incident: IncidentId) -> None:
        self._together(linking.unlink({each: log.incident for each, log in self.logs.items()}, incident))

    def _together(self, orders: linking.Orders) -> None:
        for incident, commands in orders.items():
            for command in commands:
                self.logs[incident].write(command, actor="operator:hanako")

    def heard(self, before: Incident, recorded: Sequence[e.Recorded], drafts: Sequence[e.Draft]) -> None:
        """What was written into one incident, with what the others record of it in the same append."""
        self.history += [(before.id, each) for each in recorded]
        for other, orders in linking.beside(before, drafts).items():
            for order in orders:
                self.logs[other].write(order, actor="operator:hanako")
        for event in (each.event for each in recorded):
            if isinstance(event, e.DisclosureDecided) and before.id != self.world.log.incident.id:
                self._later(2, 40, lambda event=event: self._answers(before.id, event))

    def _answers(self, incident: IncidentId, told: e.DisclosureDecided) -> None:
        level = Acknowledgement.TAKEN_OVER
        answer: c.Command = c.Acknowledge(disclosure=told.disclosure, agency=told.agency, level=level)
        if self.dice.random() < 0.2:
            answer = c.Reject(disclosure=told.disclosure, agency=told.agency, reason="out_of_area")
        try:
            self.logs[incident].write(answer, actor=f"agency:{told.agency}")
        except Refused:
            return

    # --- what the house does ---

    async def composed(self, log: Any, decision: c.DecideDisclosure) -> c.DecideDisclosure:
        """``decision`` with a brief of the crash as it is now."""
        incident = log.incident.id
        found = await Crashes(log).of(log.incident, decision.agency, vehicles=True)
        before = None
        for each in log.events:
            if isinstance(each.event, e.DisclosureDecided) and each.event.disclosure == decision.supersedes:
                before = read(log._parts[each.id][Category.RAW])
        brief = compose(
            incident=f"urn:emergency:uid:incidentid:{incident}:sos.example",
            disclosure=decision.disclosure,
            agency=decision.agency,
            agency_name="invented",
            rule=decision.rule,
            ground=decision.ground,
            law_version=decision.law_version,
            decided_at=log.clock.now(),
            exercise=False,
            sections={},
            before=before,
            one_crash=found.one_crash,
            maybe=found.maybe,
        )
        return replace(
            decision,
            brief=brief,
            brief_version=before.version + 1 if before else 1,
            joined=found.joined,
            again=found.again,
            maybe=found.maybe_with,
        )

    async def correct(self) -> None:
        """As the reader of corrections: whoever has taken over hears that the crash is another one than it was told."""
        for log in self.logs.values():
            for told in linking.to_correct(log.incident):
                disclosure = DisclosureId(f"d{next(self.world.names)}")
                newer = replace(self.world.decision(disclosure, told.agency), supersedes=told.disclosure)
                command = await self.composed(log, replace(newer, corrected=True, confirmed=True))
                log.write(command, actor="system:corrections")
                self.updates += 1

    # --- the promises ---

    def broken(self) -> list[str]:
        found: list[str] = []
        states = {incident: Incident(id=incident, tenant=log.incident.tenant) for incident, log in self.logs.items()}
        said: dict[object, object] = {}
        for incident, recorded in self.history:
            if isinstance(recorded.event, e.DisclosureDecided):
                found += self._of_a_telling(states, incident, recorded, said)
            states[incident] = evolve(states[incident], recorded.event, at=recorded.at)
        for incident, state in states.items():
            found += _half_known(states, state)
            found += [f"{told.agency} has an old crash from {incident}" for told in linking.to_correct(state)]
        return found

    def _of_a_telling(
        self,
        states: Mapping[IncidentId, Incident],
        incident: IncidentId,
        recorded: e.Recorded,
        said: dict[object, object],
    ) -> list[str]:
        event, state = recorded.event, states[incident]
        assert isinstance(event, e.DisclosureDecided)
        found: list[str] = []
        others = linking.others(state)
        had = {
            told.disclosure
            for other in others
            for told in states[other].disclosures
            if told.agency == event.agency and not told.superseded and told.rejected is None
        }
        first = event.supersedes is None
        if had and first and event.disclosure not in self.world.confirmed:
            found.append(f"{event.agency} told from {incident} without a warning that it has {sorted(had)}")
        if not had <= set(event.again):
            found.append(f"the brief of {event.disclosure} does not say what {event.agency} has")
        if set(event.joined) != set(others):
            found.append(f"the brief of {event.disclosure} joins {event.joined} and not {others}")
        brief = read(self.logs[incident]._parts[recorded.id][Category.RAW])
        found += [f"{form} of {event.disclosure} says {words}" for form, words in contradictions(brief)]
        crash = brief.one_crash
        if crash is not None and state.linked is not None:
            told_now = (crash.number, crash.vehicles, crash.occupants, crash.unknown)
            if said.setdefault((state.linked.crash_id, state.linked.cars), told_now) != told_now:
                found.append(f"{event.disclosure} counts otherwise than another brief of the same crash")
            if (crash.number, crash.vehicles) != (state.linked.number, state.linked.vehicles):
                found.append(f"{event.disclosure} says another number than the desks")
        return found


def _half_known(states: Mapping[IncidentId, Incident], state: Incident) -> list[str]:
    """A link, or a telling, that one incident of the crash knows of and another does not."""
    found: list[str] = []
    for other in linking.others(state):
        theirs = states[other].linked
        if (
            theirs is None
            or state.linked is None
            or (theirs.crash_id, theirs.cars)
            != (
                state.linked.crash_id,
                state.linked.cars,
            )
        ):
            found.append(f"{state.id} is linked with {other}, which is not so there")
            continue
        known = {told.disclosure for told in state.linked.told if told.incident == other}
        told = [each for each in states[other].disclosures if not each.superseded]
        if not {each.disclosure for each in told if each.rejected is None} <= known:
            found.append(f"{state.id} does not know whom {other} has told")
        if not known <= {each.disclosure for each in told}:
            found.append(f"{state.id} believes that {other} has told somebody it has not")
    return found


def contradictions(brief: Any) -> list[tuple[str, str]]:
    """Forms that do not say of the crash what the brief says, and what they say."""
    forms = {
        "text_ja": render_text(brief, "ja"),
        "text_en": render_text(brief, "en"),
        "spoken_ja": aloud(speak(brief, "ja")),
        "spoken_en": aloud(speak(brief, "en")),
        "eido": write_eido(brief).decode(),
    }
    wrong: list[tuple[str, str]] = []
    for form, words in forms.items():
        japanese, spoken = form.endswith("_ja"), form.startswith("spoken")
        number = brief.one_crash.number if brief.one_crash else brief.parted
        spelled = digits(number, "ja" if japanese else "en") if spoken else number
        shared = "共通番号" if japanese else "hared number"
        if (
            (number and spelled not in words)
            or (not number and shared in words)
            or (brief.one_crash and not _counted(brief.one_crash, words, japanese=japanese, spoken=spoken))
        ):
            wrong.append((form, words))
    return wrong


def _counted(crash: Any, words: str, *, japanese: bool, spoken: bool) -> bool:
    people = crash.occupants
    if japanese:
        vehicles = f"車両は{crash.vehicles}台" if spoken else f"車両{crash.vehicles}台"
        occupants = "乗員は不明" if people is None else f"乗員は計{people}名"
    else:
        vehicles = "1 vehicle," if crash.vehicles == 1 else f"{crash.vehicles} vehicles,"
        occupants = "occupants unknown" if people is None else f"occupants {people}"
    return vehicles in words and occupants in words
