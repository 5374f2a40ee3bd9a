"""Nobody of ours anywhere: the house itself tells the agency that is responsible, if the law lets it.

A reader, and the last resort of ``sos.incident.attendance``.  It adds no power to the house: the verdict is the law's,
on what the journal knows and nobody has ticked; the disclosure is recorded whole, marked as nobody's, and looked at by
a person afterwards; the ladder that follows is the ordinary one, and only a human being at the agency takes over.
Where the law wants a person, or forbids it, or what was reported cannot be read or cannot be, nothing leaves: the
vehicle is told how to help itself, and every desk is alarmed.  Desks ring all the while.

An agency that has been told of the same crash from another car is told of this one all the same, and its brief says by
which number it has heard of it; where nobody has said yet that the two are one, that they may be.

A person on call who has the incident by telephone and presses ``TELL`` decides the same with one key: that is an
ordinary disclosure, decided by them.
"""

from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from routing.directory import Agency, Directory
from routing.kinds import EmergencyKind
from routing.law.codes import ConsentDifficulty, Danger, Path
from routing.services import Service
from sos.dispatch.disclosure import UNATTENDED, Disclosures
from sos.dispatch.mass_tellings import MassTellings, let_go
from sos.dispatch.pace import Pace
from sos.errors import Refused, Unavailable, Unconfirmed
from sos.incident import attendance, emergency
from sos.incident.commands import Command, HoldTelling, InviteLeg, LimitSearch, PlayNotice, WithholdTelling
from sos.incident.correlation import plausible
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import (
    AgencyRejected,
    DisclosureDecided,
    HelpEscalated,
    IncidentOpened,
    IncidentReopened,
    KeysPressed,
    LegJoined,
    OperatorAssigned,
    Recorded,
    TellingHeld,
    TellingWithheld,
)
from sos.incident.mass_event import Telling
from sos.incident.model import (
    AgencyId,
    DisclosureId,
    Incident,
    IncidentId,
    LegId,
    Mode,
    OperatorId,
    Party,
    State,
    Trigger,
)
from sos.journal.journal import Journal

log = structlog.get_logger()

RESCUE = (Service.FIRE, Service.MEDICAL, Service.COAST_GUARD)
"""Who saves lives; the police, but of a crime, and the road operator are told by persons."""

FALLBACK = (Service.FIRE, Service.MEDICAL)
"""Whose default agency is told when the plan names nobody: in Japan the fire service sends the ambulance."""

RECALLED = 1000
"""Incidents looked through for what was told before a restart."""

LOOK_EVERY = timedelta(seconds=2)
"""How soon what was held is told once it may be."""

HELD_AT_MOST = 100_000
"""Held tellings that are looked at: all there are."""

TELL = "9"
"""The key by which somebody on call who has the incident has the agency told."""

TOLD = "told"
NOT_TOLD = "not_told"
"""Notices to that telephone: what the key has led to.  Somebody without a screen knows it from nothing else."""

HELP_YOURSELF = "nobody"
"""Notice to a vehicle: nobody can come to the telephone, call the emergency service yourself if you can."""

JOINING = "joining"
"""Notice to a vehicle: somebody of the fire brigade or the police will join."""


class Practice(Struct, frozen=True, kw_only=True):
    """What the house wants done; the settings' group ``attendance``."""

    tells: bool = True
    """False: no agency is ever told without a person; the vehicle gets the notice and every desk the alarm."""
    nobody_after: timedelta = attendance.NOBODY_AFTER
    to_an_agency: int = 5
    """So many tellings without a person to one agency in ten minutes; then people are asked.  Inside a mass event: to
    one agency about one place."""
    of_a_brand: int = 20
    """The same for all incidents of one tenant."""
    invites: bool = False
    """The house dials nobody, so the agency is let in from its page."""


class Unattended:
    WANTS = (
        IncidentOpened,
        IncidentReopened,
        HelpEscalated,
        DisclosureDecided,
        AgencyRejected,
        TellingHeld,
        TellingWithheld,
        LegJoined,
        KeysPressed,
        OperatorAssigned,
    )

    def __init__(
        self,
        journal: Journal,
        disclosures: Disclosures,
        directory: Directory,
        *,
        practice: Practice | None = None,
        mass: MassTellings | None = None,
    ) -> None:
        """``mass``: what supervisors say of tellings inside a mass event; None: there are none."""
        self._mass = mass
        self._journal = journal
        self._disclosures = disclosures
        self._directory = directory
        self._practice = practice or Practice()
        to_one = self._practice.to_an_agency
        self._pace = Pace({"agency": to_one, "brand": self._practice.of_a_brand, "place": to_one})
        self._recalled = False

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case IncidentOpened() | IncidentReopened():
                    await self._limit(recorded)
                case HelpEscalated(rung=attendance.NOBODY):
                    await self._nobody(recorded)
                case DisclosureDecided(unattended=True, agency=agency):
                    await self._bring_together(recorded, agency)
                case AgencyRejected(disclosure=disclosure):
                    await self._refused(recorded, disclosure)
                case TellingHeld() | TellingWithheld():
                    await self._announce(recorded, HELP_YOURSELF)
                case LegJoined(party=Party.VEHICLE):
                    await self._greet(recorded)
                case KeysPressed(keys=keys) if TELL in keys:
                    await self._told_by_key(recorded)
                case OperatorAssigned():  # who is quick has pressed both keys before anybody looked
                    await self._told_by_key(recorded)
                case _:
                    pass

    async def _limit(self, opened: Recorded) -> None:
        if self._practice.nobody_after != attendance.NOBODY_AFTER:
            limit = LimitSearch(nobody_after_ms=self._practice.nobody_after // timedelta(milliseconds=1))
            await self._order(opened, limit)

    async def _nobody(self, escalated: Recorded) -> None:
        """Decide, or say why not.  Whatever goes wrong, the vehicle is told something."""
        await self._tell_somebody(escalated.incident, causation=escalated.id)

    async def _tell_somebody(self, incident: IncidentId, *, causation: str | None) -> None:
        state = await self._journal.state(incident)
        if state.unattended_at is None or any(told.engages for told in state.disclosures):
            return
        outcome = await self._outcome(state)
        if outcome is not None:
            await self._command(incident, outcome, causation=causation)

    async def _outcome(self, state: Incident) -> WithholdTelling | HoldTelling | None:
        """What is recorded; None where an agency is told."""
        if not self._practice.tells:
            return WithholdTelling(reason="setting")
        if not plausible(state):  # a machine's mistake must not send people out: somebody looks first
            return WithholdTelling(reason="implausible")
        if emergency.planned_for(state) is EmergencyKind.BREAKDOWN:  # the vehicle's own word, and no sign of worse
            return WithholdTelling(reason="breakdown")
        agency = self.responsible(state)
        if agency is None:
            return WithholdTelling(reason="no_agency")
        try:
            return await self._in_pace(state, AgencyId(agency.id))
        except Unavailable:
            raise
        except Refused as refused:  # somebody answered meanwhile, the person has said no, ...
            log.info("unattended_refused", incident=state.id, agency=agency.id, reason=str(refused))
            return WithholdTelling(reason="refused", agency=AgencyId(agency.id))
        except Exception as broken:  # the edge of the last resort: a caller must not be left without a word
            log.exception("unattended_failed", incident=state.id, error=type(broken).__name__)
            return WithholdTelling(reason="failed", agency=AgencyId(agency.id))

    async def _refused(self, rejected: Recorded, disclosure: DisclosureId) -> None:
        """The one agency that was told helps nobody, and no second one is told by a machine."""
        told = (await self._journal.state(rejected.incident)).disclosure(disclosure)
        if told is not None and told.unattended:
            await self._order(rejected, WithholdTelling(reason="rejected", agency=told.agency))

    async def _in_pace(self, state: Incident, agency: AgencyId) -> WithholdTelling | HoldTelling | None:
        """None when the agency is told.  Beyond a rate a machine does not know a disaster from a fault: people look."""
        await self._recall()
        now = self._journal.clock.now()
        if self._waits(state, agency, now):
            return HoldTelling(agency=agency)
        keys = self._keys(state, agency)
        if self._answered(state, agency) is not None:  # a supervisor wants it so
            self._pace.note(keys, at=now)
        elif (full := self._pace.take(keys, at=now)) is not None:
            log.error("unattended_breaker", incident=state.id, agency=agency, tenant=state.tenant, of=full)
            return await self._beyond(state, agency)
        told = False
        try:
            withheld = await self._decide(state.id, state, agency)
            told = withheld is None
        finally:
            if not told:
                self._pace.give_back(keys)
        return withheld

    async def _beyond(self, state: Incident, agency: AgencyId) -> WithholdTelling | HoldTelling:
        """Too many: inside a mass event a supervisor is asked, once, and it is held until then."""
        if self._mass is None or self._mass.of(state) is None:
            return WithholdTelling(reason="too_many", agency=agency)
        await self._mass.ask(state, agency)
        return HoldTelling(agency=agency)

    def _answered(self, state: Incident, agency: AgencyId) -> Telling | None:
        return self._mass.answer(state, agency) if self._mass is not None else None

    def _waits(self, state: Incident, agency: AgencyId, now: datetime) -> bool:
        """Whether a supervisor has been asked about this agency and place, and what they say is: not now."""
        telling = self._answered(state, agency)
        held_at = state.held.at if state.held is not None else now
        return telling is not None and not let_go(telling, held_at, now)

    def _keys(self, state: Incident, agency: AgencyId) -> dict[str, Hashable]:
        """What a telling counts for: the agency's and the brand's, or inside a mass event the place's there."""
        if self._mass is not None and self._mass.of(state) is not None:
            return {"place": (agency, state.mass_place)}
        return {"agency": agency, "brand": state.tenant}

    async def watch(self) -> None:
        """Tell what was held as soon as it may be, for ever.  Of several replicas one does this."""
        while True:
            try:
                await self.look()
            except Unavailable as away:
                log.warning("held_tellings_wait", reason=str(away))
            await self._journal.clock.wait(LOOK_EVERY)

    async def look(self) -> None:
        """Whatever is held and need not be: its supervisor has answered, or its mass event is over, or it has moved."""
        now = self._journal.clock.now()
        for incident in await self._journal.held(limit=HELD_AT_MOST):
            agency = self.responsible(incident)
            if agency is None or not self._waits(incident, AgencyId(agency.id), now):
                await self._tell_somebody(incident.id, causation=None)

    async def _recall(self) -> None:
        """Count what was told before a restart, which must not begin to count anew."""
        if self._recalled:
            return
        _, going = await self._journal.queue(limit=RECALLED, states=(State.HANDING_OVER, State.HANDED_OVER))
        self._count(going)

    def _count(self, going: Sequence[Incident]) -> None:
        """Once, though several incidents may have asked for it at the same time."""
        if self._recalled:
            return
        self._recalled = True
        told = [
            (incident.changed_at, self._keys(incident, known.agency))
            for incident in going
            for known in incident.disclosures
            if known.unattended and incident.changed_at is not None
        ]
        for at, keys in sorted(told, key=lambda each: each[0]):
            self._pace.note(keys, at=at)

    async def _decide(self, incident: IncidentId, state: Incident, agency: AgencyId) -> WithholdTelling | None:
        """None when the agency is told; else what the law says."""
        verdict = await self._disclosures.decide_unattended(incident, agency=agency, request=known_request(state))
        if verdict.outcome.permits:
            log.warning("told_unattended", incident=incident, agency=agency, rule=verdict.rule)
            return None
        return WithholdTelling(reason="law", agency=agency, rule=verdict.rule, outcome=verdict.outcome)

    def responsible(self, state: Incident) -> Agency | None:
        """The first agency of the plan that saves lives and was not told yet, else the default one; or None."""
        spent = {told.agency for told in state.disclosures}
        planned = [self._directory.agencies.get(agency) for agency in state.agencies]
        defaults = [self._directory.assign(service, prefecture=None) for service in FALLBACK]
        ranked = [
            *(agency for agency in planned if agency is not None and agency.service in _helpers(state)),
            *(assigned.agency for assigned in defaults if assigned is not None),
        ]
        fit = (agency for agency in ranked if agency.id not in spent and not agency.listed_only)
        return next((agency for agency in fit if agency.exercise_partner or state.mode is not Mode.DRILL), None)

    async def _bring_together(self, decided: Recorded, agency: AgencyId) -> None:
        """The vehicle hears who comes; where the house dials nobody, the agency is let in from its page."""
        if self._practice.invites:
            await self._order(decided, InviteLeg(leg=LegId(f"{decided.id}"), party=Party.AGENCY, who=agency))
        await self._announce(decided, JOINING)

    async def _greet(self, joined: Recorded) -> None:
        """A vehicle that comes up after nobody was found hears the same as one that had been there."""
        state = await self._journal.state(joined.incident)
        if state.unattended_at is None:
            return
        if attendance.UNTOLD in state.flags or state.held is not None:
            await self._announce(joined, HELP_YOURSELF)
        elif any(told.unattended and told.pending for told in state.disclosures):
            await self._announce(joined, JOINING)

    async def _announce(self, after: Recorded, notice: str) -> None:
        state = await self._journal.state(after.incident)
        if state.operator is not None or state.state is State.CLOSED:
            return
        for leg in state.legs:
            if leg.party is Party.VEHICLE and leg.up:
                await self._order(after, PlayNotice(leg=leg.leg, notice=notice))

    async def _told_by_key(self, after: Recorded) -> None:
        """Somebody on call who has the incident wants the agency told: their decision, on what the journal knows."""
        state = await self._journal.state(after.incident)
        leg = attendance.telephone(state)
        if leg is None or state.operator is None:
            return
        if not await self._keyed(after, leg.leg):
            return
        told = any(told.engages for told in state.disclosures)
        told = told or await self._tell(after.incident, state, state.operator)
        await self._order(after, PlayNotice(leg=leg.leg, notice=TOLD if told else NOT_TOLD))

    async def _tell(self, incident: IncidentId, state: Incident, operator: OperatorId) -> bool:
        """Whether the agency responsible is told now; not where there is none, or where the law does not permit it."""
        agency = self.responsible(state)
        if agency is None:
            return False
        request = known_request(state)
        decide = self._disclosures.decide
        try:
            try:
                await decide(incident, agency=AgencyId(agency.id), operator=operator, request=request)
            except Unconfirmed:  # told of the same crash from another car: on a telephone nobody reads a warning
                sure = replace(request, confirmed=True)
                await decide(incident, agency=AgencyId(agency.id), operator=operator, request=sure)
        except Refused as refused:
            log.info("key_refused", incident=incident, agency=agency.id, reason=str(refused))
            return False
        return True

    async def _keyed(self, after: Recorded, leg: LegId) -> bool:
        stream = await self._journal.store.stream(after.incident)
        keys = [each.event.keys for each in stream if isinstance(each.event, KeysPressed) and each.event.leg == leg]
        return TELL in "".join(keys)

    async def _order(self, after: Recorded, command: Command) -> None:
        await self._command(after.incident, command, causation=after.id)

    async def _command(self, incident: IncidentId, command: Command, *, causation: str | None) -> None:
        try:
            await self._journal.execute(incident, command, actor=UNATTENDED, causation=causation)
        except Refused as refused:  # closed meanwhile
            log.info("unattended_order_refused", incident=incident, reason=str(refused))


def _helpers(state: Incident) -> tuple[Service, ...]:
    """Who may be told without a person: who saves lives, and of a crime the police."""
    crime = emergency.planned_for(state) is EmergencyKind.CRIME
    return (Service.POLICE, *RESCUE) if crime else RESCUE


def known_request(state: Incident) -> DisclosureRequest:
    """Why an agency should be told, as far as the journal knows it and nobody has to answer for it.

    The danger is what set the report off, and that it is followed by silence; consent is hard to obtain because nobody
    answers, or because nobody is there to ask and waiting costs time that matters.
    """
    silent = state.silence is not None and not state.silence.cut_off
    if state.trigger is Trigger.AUTOMATIC:
        danger = Danger.SILENCE_AFTER_CRASH if silent else Danger.AUTOMATIC_CRASH
    else:
        danger = Danger.CALL_FOR_HELP
    speaks = any(leg.party is Party.VEHICLE and leg.up for leg in state.legs)
    difficulty = ConsentDifficulty.DELAY if speaks else ConsentDifficulty.NO_ANSWER
    return DisclosureRequest(path=Path.LIFE_PROTECTION, necessity=danger, consent=difficulty)
