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

from collections.abc import Sequence
from datetime import timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from routing.directory import Agency, Directory
from routing.law.codes import ConsentDifficulty, Danger, Path
from routing.services import Service
from sos.dispatch.disclosure import UNATTENDED, Disclosures
from sos.dispatch.pace import Pace
from sos.errors import Refused, Unavailable, Unconfirmed
from sos.incident import attendance
from sos.incident.commands import Command, InviteLeg, LimitSearch, PlayNotice, WithholdTelling
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
    TellingWithheld,
)
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
"""Who saves lives; the police and the road operator are told by persons."""

FALLBACK = (Service.FIRE, Service.MEDICAL)
"""Whose default agency is told when the plan names nobody: in Japan the fire service sends the ambulance."""

RECALLED = 1000
"""Incidents looked through for what was told before a restart."""

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
    """So many tellings without a person to one agency in ten minutes; then people are asked."""
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
        TellingWithheld,
        LegJoined,
        KeysPressed,
        OperatorAssigned,
    )

    def __init__(
        self, journal: Journal, disclosures: Disclosures, directory: Directory, *, practice: Practice | None = None
    ) -> None:
        self._journal = journal
        self._disclosures = disclosures
        self._directory = directory
        self._practice = practice or Practice()
        self._pace = Pace({"agency": self._practice.to_an_agency, "brand": self._practice.of_a_brand})
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
                case TellingWithheld():
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
        state = await self._journal.state(escalated.incident)
        if state.unattended_at is None or any(told.engages for told in state.disclosures):
            return
        if not self._practice.tells:
            await self._order(escalated, WithholdTelling(reason="setting"))
            return
        if not plausible(state):  # a machine's mistake must not send people out: somebody looks first
            await self._order(escalated, WithholdTelling(reason="implausible"))
            return
        agency = self.responsible(state)
        if agency is None:
            await self._order(escalated, WithholdTelling(reason="no_agency"))
            return
        try:
            withheld = await self._in_pace(escalated, state, AgencyId(agency.id))
        except Unavailable:
            raise
        except Refused as refused:  # somebody answered meanwhile, the person has said no, ...
            log.info("unattended_refused", incident=escalated.incident, agency=agency.id, reason=str(refused))
            withheld = WithholdTelling(reason="refused", agency=AgencyId(agency.id))
        except Exception as broken:  # the edge of the last resort: a caller must not be left without a word
            log.exception("unattended_failed", incident=escalated.incident, error=type(broken).__name__)
            withheld = WithholdTelling(reason="failed", agency=AgencyId(agency.id))
        if withheld is not None:
            await self._order(escalated, withheld)

    async def _refused(self, rejected: Recorded, disclosure: DisclosureId) -> None:
        """The one agency that was told helps nobody, and no second one is told by a machine."""
        told = (await self._journal.state(rejected.incident)).disclosure(disclosure)
        if told is not None and told.unattended:
            await self._order(rejected, WithholdTelling(reason="rejected", agency=told.agency))

    async def _in_pace(self, escalated: Recorded, state: Incident, agency: AgencyId) -> WithholdTelling | None:
        """None when the agency is told.  Beyond a rate a machine does not know a disaster from a fault: people look."""
        await self._recall()
        keys = {"agency": agency, "brand": state.tenant}
        if (full := self._pace.take(keys, at=self._journal.clock.now())) is not None:
            log.error("unattended_breaker", incident=escalated.incident, agency=agency, tenant=state.tenant, of=full)
            return WithholdTelling(reason="too_many", agency=agency)
        told = False
        try:
            withheld = await self._decide(escalated.incident, state, agency)
            told = withheld is None
        finally:
            if not told:
                self._pace.give_back(keys)
        return withheld

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
            (incident.changed_at, {"agency": known.agency, "brand": incident.tenant})
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
            *(agency for agency in planned if agency is not None and agency.service in RESCUE),
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
        if attendance.UNTOLD in state.flags:
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
        try:
            await self._journal.execute(after.incident, command, actor=UNATTENDED, causation=after.id)
        except Refused as refused:  # closed meanwhile
            log.info("unattended_order_refused", incident=after.incident, reason=str(refused))


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
