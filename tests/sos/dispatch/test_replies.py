"""What an agency's machine catches up with: each brief for itself."""

from collections.abc import Awaitable, Callable

from sos.dispatch.disclosure import Disclosures
from sos.dispatch.replies import Replies
from sos.errors import KeyLost
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.model import AgencyId, Disclosure, IncidentId
from sos.journal.journal import Journal
from tests.sos.dispatch.conftest import HANAKO

FIRE = AgencyId("jp-13-fire")


class Locked(Replies):
    """The brief of one incident cannot be opened: its key is away."""

    def __init__(self, journal: Journal, shut: IncidentId) -> None:
        super().__init__(journal)
        self.shut = shut

    async def brief(self, incident: IncidentId, told: Disclosure) -> bytes:
        if incident == self.shut:
            raise KeyLost("this brief cannot be opened just now")
        return await super().brief(incident, told)


async def test_a_brief_that_cannot_be_opened_keeps_no_other_from_an_agency_that_subscribes(
    journal: Journal, arrive: Callable[..., Awaitable[IncidentId]], disclosures: Disclosures
):
    shut, other = await arrive(seed=1), await arrive(seed=2)
    for incident in (shut, other):
        request = DisclosureRequest(necessity="automatic_crash", consent="no_answer", confirmed=True)
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=request)

    assert [told.incident for told in await Locked(journal, shut).open_for(FIRE)] == [other]
