"""What agencies read and answer, whatever channel it comes by: the brief on the record, the answer as a command.

Every door for agencies (portal, callback, EIDO socket) authenticates in its own way and then comes here, so that what
an agency may see and say is decided once: its own disclosures, and nothing of anybody else's.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from routing.categories import Category
from routing.text import clean
from sos.dispatch.endings import End, Lasting, ended, part_is_over
from sos.dispatch.forms import prepare
from sos.dispatch.reply_codes import command
from sos.errors import Forbidden, KeyLost, Malformed, Refused, Unknown
from sos.incident import voice
from sos.incident.commands import ConfirmDelivery
from sos.incident.events import DisclosureDecided, IncidentClosed
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    MassEventId,
    OperatorId,
    State,
)
from sos.journal.journal import Journal

log = structlog.get_logger()

OPEN = (State.HANDING_OVER, State.HANDED_OVER)

SHOWN = 200
"""Incidents that an agency's list looks through at most, the most urgent first."""

_TAKES_OVER = (Acknowledgement.TAKEN_OVER, *AgencyStatus)
"""Whoever has sent somebody has taken over, whether they said so first or not."""

WORDS = 500
"""Characters of a question."""


class Told(Struct, frozen=True, kw_only=True):
    """One brief in the form an agency's machine asked for."""

    incident: IncidentId
    disclosure: DisclosureId
    eido: bytes


def versions_of(incident: Incident, told: Disclosure) -> Sequence[Disclosure]:
    """``told`` and what the same agency was told before and after it for the same service, the newest first."""
    known = (each for each in incident.disclosures if (each.agency, each.service) == (told.agency, told.service))
    return sorted(known, key=lambda each: each.brief_version, reverse=True)


class Replies:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def disclosures(self, agency: AgencyId) -> Sequence[tuple[Incident, Disclosure]]:
        """What ``agency`` has been told of incidents that are open; ids and states only."""
        _, incidents = await self._journal.queue(limit=SHOWN, states=OPEN)
        return [(incident, told) for incident in incidents for told in incident.disclosures if told.agency == agency]

    async def versions(self, incident: IncidentId, told: Disclosure) -> Sequence[tuple[Disclosure, datetime | None]]:
        """All that the agency of ``told`` was told there for the same service, the newest first, and when."""
        decided = {
            recorded.event.disclosure: recorded.at
            for recorded in await self._journal.store.stream(incident)
            if isinstance(recorded.event, DisclosureDecided)
        }
        known = versions_of(await self._journal.state(incident), told)
        return [(each, decided.get(each.disclosure)) for each in known]

    async def newest(self, incident: IncidentId, told: Disclosure) -> Disclosure:
        """The last of ``versions``."""
        return versions_of(await self._journal.state(incident), told)[0]

    async def told(self, incident: IncidentId, disclosure: DisclosureId) -> Disclosure:
        """``Unknown`` when nothing was disclosed under that id."""
        told = (await self._journal.state(incident)).disclosure(disclosure)
        if told is None:
            raise Unknown("there is no such page")
        return told

    async def ended(
        self, incident: IncidentId, told: Disclosure, *, expires: datetime | None, lasting: Lasting
    ) -> End | None:
        """Why ``told`` is not to be seen any more; ``expires`` None: by the time of its decision."""
        decided_at = closed_at = None
        for recorded in await self._journal.store.stream(incident):
            match recorded.event:
                case DisclosureDecided(disclosure=decided) if decided == told.disclosure:
                    decided_at = recorded.at
                case IncidentClosed():
                    closed_at = recorded.at
        now = self._journal.clock.now()
        return ended(
            await self._journal.state(incident),
            told,
            expires=expires or (decided_at or now) + lasting.link,
            closed_at=closed_at,
            now=now,
            after_closing=lasting.after_closing,
        )

    async def listed(self, incident: IncidentId) -> MassEventId | None:
        """On whose list it stands; None: on none."""
        return (await self._journal.state(incident)).listed

    async def call_back_until(self, incident: IncidentId) -> tuple[datetime | None, datetime]:
        """Until when the vehicle can be called, as things stand, and the time now."""
        now = self._journal.clock.now()
        return voice.at_least_until(await self._journal.state(incident), now=now), now

    async def brief(self, incident: IncidentId, told: Disclosure) -> bytes:
        """The brief as it was decided; that this agency opens it is in the journal first."""
        categories = await self._categories(incident, told.disclosure)
        await self._journal.read(incident, categories, reader=f"agency:{told.agency}", purpose="disclosed_brief")
        for part in await self._journal.unseal(incident, (Category.RAW,)):
            event = part.recorded.event
            if isinstance(event, DisclosureDecided) and event.disclosure == told.disclosure:
                return part.payload
        if Category.RAW in await self._journal.missing(incident, (Category.RAW,)):
            raise KeyLost("this brief cannot be opened just now: see the runbook «keys»")
        raise Unknown("this brief has been destroyed")

    async def answer(
        self, agency: AgencyId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> None:
        """Record what somebody at ``agency`` answers.

        ``Malformed`` when it is no answer, ``Refused`` when it comes too late or is another agency's to give.
        """
        text = clean(text)
        if len(text) > WORDS:
            raise Malformed(f"a question has at most {WORDS} characters", field="$.text")
        told = await self.told(incident, disclosure)
        if told.agency != agency:
            raise Unknown("there is no such disclosure")
        given = command(answer, disclosure=disclosure, agency=agency, text=text)
        await self._journal.execute(incident, given, actor=f"agency:{agency}")

    async def answer_for_all(
        self, agency: AgencyId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> DisclosureId:
        """As ``answer``; and who takes over, by whatever version, has taken over: the newest is waited for no more.

        Returns the newest version, which whoever answered is to be shown.  Errors as for ``answer``.
        """
        await self.answer(agency, incident, disclosure, answer, text)
        told = await self.told(incident, disclosure)
        newest = await self.newest(incident, told)
        if answer in _TAKES_OVER and told.taken_over and newest.pending:
            await self.answer(agency, incident, newest.disclosure, Acknowledgement.TAKEN_OVER.value)
        return newest.disclosure

    async def record_spoken(
        self, operator: OperatorId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> None:
        """Record what the operator heard somebody at the agency say, on the telephone.  Errors as for ``answer``.

        ``Refused`` unless the operator has the incident.
        """
        state = await self._journal.state(incident)
        if state.operator != operator:
            raise Forbidden("another operator has this incident", rule="not-yours")
        told = await self.told(incident, disclosure)
        given = command(answer, disclosure=disclosure, agency=told.agency, text=text[:WORDS])
        await self._journal.execute(incident, given, actor=f"operator:{operator}")

    # --- for the EIDO socket ---

    async def open_for(self, agency: AgencyId) -> Sequence[Told]:
        """All that is open; what cannot be opened or told so is left to the other channels, and keeps nothing back."""
        found = []
        for incident, told in await self.disclosures(agency):
            if part_is_over(incident, told) is None:
                try:
                    found.append(await self._as_eido(incident.id, told))
                except (KeyLost, Unknown, Refused) as shut:
                    log.error("eido_left_out", incident=incident.id, error=type(shut).__name__)
        return found

    async def eido(self, agency: AgencyId, disclosure: DisclosureId, incident: IncidentId) -> bytes:
        """One EIDO by reference.  ``Unknown`` when it is not this agency's."""
        told = await self.told(incident, disclosure)
        if told.agency != agency:
            raise Unknown("there is no such disclosure")
        if part_is_over(await self._journal.state(incident), told) is not None:
            raise Refused("this has ended: it was refused, or another agency has taken over")
        return (await self._as_eido(incident, told)).eido

    async def confirm(self, agency: AgencyId, told: Told) -> None:
        """A machine of ``agency`` has it."""
        level, receipt = Acknowledgement.DELIVERED, f"eido:{told.disclosure}"
        confirmed = ConfirmDelivery(disclosure=told.disclosure, level=level, receipt=receipt)
        await self._journal.execute(told.incident, confirmed, actor="channel:eido")

    async def _as_eido(self, incident: IncidentId, told: Disclosure) -> Told:
        brief = await self.brief(incident, told)
        made = await asyncio.to_thread(prepare, brief, ("eido",))
        if "eido" not in made:
            raise Refused("this brief cannot be told as an EIDO")
        return Told(incident=incident, disclosure=told.disclosure, eido=made["eido"])

    async def _categories(self, incident: IncidentId, disclosure: DisclosureId) -> tuple[Category, ...]:
        for recorded in await self._journal.store.stream(incident):
            if isinstance(recorded.event, DisclosureDecided) and recorded.event.disclosure == disclosure:
                return recorded.event.categories
        raise Unknown("there is no such page")
