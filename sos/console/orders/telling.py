"""Whom an operator tells and on which ground, what the person and the supervisor say to it, what the agency says."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from routing.categories import Category
from routing.law.codes import Fact, Path
from routing.services import Service
from sos.console.orders.order import Code, Id, May, OfIncident, Reason, Text
from sos.console.window import Window
from sos.incident.commands import AnswerReferral, DeclineTelling, RecordConsent
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.model import AgencyId, ConsentAnswer, DeclineReason, DisclosureId, ReferralId

MOST = 32
"""Categories or facts of one order; there are fewer of either."""

Facts = Annotated[frozenset[Fact], Meta(max_length=MOST)]
Categories = Annotated[tuple[Category, ...], Meta(max_length=MOST)]


class Disclose(OfIncident, frozen=True, kw_only=True, tag="disclose"):
    """Tell an agency, on the ground that the law gives for this wish."""

    may: ClassVar = May.WHO_HAS_IT
    agency: Id[AgencyId]
    path: Path | None = None
    necessity: Code = ""
    consent: Code = ""
    facts: Facts = frozenset()
    reason: Reason = ""
    update: bool = False
    """A newer brief for an agency that was told before."""
    confirmed: bool = False
    """The warning that this service was told before has been seen."""

    async def obey(self, window: Window) -> dict[str, Any]:
        request = DisclosureRequest(
            path=self.path,
            necessity=self.necessity,
            consent=self.consent,
            facts=self.facts,
            reason=self.reason,
            update=self.update,
            confirmed=self.confirmed,
        )
        decide = window.room.disclose.decide
        done = await decide(self.incident, agency=self.agency, operator=window.operator.id, request=request)
        return {"disclosures": [disclosure.disclosure for disclosure in done.incident.disclosures]}


class Decline(OfIncident, frozen=True, kw_only=True, tag="decline"):
    """Decide that services of the plan are not told."""

    may: ClassVar = May.WHO_HAS_IT
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=MOST)]
    reason: DeclineReason
    words: Reason

    async def obey(self, window: Window) -> None:
        command = DeclineTelling(
            operator=window.operator.id, services=self.services, reason=self.reason, words=self.words
        )
        await window.execute(self.incident, command)


class Consent(OfIncident, frozen=True, kw_only=True, tag="consent"):
    """What the person said when asked whether somebody may be told."""

    may: ClassVar = May.WHO_HAS_IT
    answer: ConsentAnswer
    categories: Categories = ()
    agency: Id[AgencyId] | None = None

    async def obey(self, window: Window) -> None:
        agencies = () if self.agency is None else (self.agency,)
        command = RecordConsent(answer=self.answer, categories=self.categories, agencies=agencies)
        await window.execute(self.incident, command)


class Approve(OfIncident, frozen=True, kw_only=True, tag="approve"):
    """A supervisor answers; who that is comes from the log-in."""

    may: ClassVar = May.SUPERVISOR
    referral: Id[ReferralId]
    approved: bool
    facts: Facts = frozenset()
    reason: Reason = ""

    async def obey(self, window: Window) -> None:
        command = AnswerReferral(
            referral=self.referral,
            supervisor=window.operator.id,
            approved=self.approved,
            facts=tuple(sorted(self.facts)),
            reason=self.reason,
        )
        await window.execute(self.incident, command)


class AgencySaid(OfIncident, frozen=True, kw_only=True, tag="agency_said"):
    """What somebody at an agency said on the telephone, as the operator heard it."""

    may: ClassVar = May.WHO_HAS_IT
    disclosure: Id[DisclosureId]
    said: Code
    text: Text = ""

    async def obey(self, window: Window) -> None:
        agencies = window.room.agencies
        await agencies.record_spoken(window.operator.id, self.incident, self.disclosure, self.said, self.text)
