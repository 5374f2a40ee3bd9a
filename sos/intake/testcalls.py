"""Test, dealer and factory calls: they walk the real path without any agency, and the car gets a pass or fail.

A reader.  A test is judged as soon as its plan is made; the voice part shows in the receipt as far as it came.
"""

from collections.abc import Sequence

from routing.categories import Category
from sos.incident.commands import IssueReceipt
from sos.incident.events import IncidentOpened, PlanMade, Recorded, ReportFiled
from sos.incident.model import Incident, Mode, Party
from sos.intake.replies import Receipt
from sos.journal.journal import Journal

ACTOR = "system:receipts"


class TestCalls:
    """``PlanMade`` of a test -> ``ReceiptIssued``."""

    __test__ = False

    WANTS = (PlanMade,)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if isinstance(recorded.event, PlanMade):
                await self._judge(recorded)

    async def _judge(self, planned: Recorded) -> None:
        """Judge on the stream: the state in memory may be a moment behind the event that woke us (its mode is not)."""
        if (await self._journal.state(planned.incident)).mode is not Mode.TEST:
            return
        stream = await self._journal.store.stream(planned.incident)
        command = IssueReceipt(checks=checks(stream))
        await self._journal.execute(planned.incident, command, actor=ACTOR, causation=planned.id)


def checks(stream: Sequence[Recorded]) -> tuple[tuple[str, bool], ...]:
    """What a test must show, by name, in the order a report goes through."""
    opened = next((each.event for each in stream if isinstance(each.event, IncidentOpened)), None)
    filed = [each for each in stream if isinstance(each.event, ReportFiled)]
    clean = opened is not None and not any(_fault(finding) for finding in opened.findings)
    return (
        ("readable", opened is not None and opened.readable),
        ("well_formed", clean),
        ("vehicle_named", any(Category.VEH in each.commitments for each in filed)),
        ("located", any(isinstance(each.event, ReportFiled) and each.event.located for each in filed)),
        ("routed", any(isinstance(each.event, PlanMade) and each.event.agencies for each in stream)),
    )


def _fault(finding: str) -> bool:
    """Whether a finding is the sender's to mend; a call without data and a busy sender are not."""
    return finding.partition(":")[0] not in ("no_data", "over_rate", "spooled")


def receipt(incident: Incident, stream: Sequence[Recorded]) -> Receipt:
    """The receipt as the car gets it."""
    return Receipt(
        incident=incident.id,
        mode=incident.mode,
        passed=incident.tested,
        checks=dict(checks(stream)),
        voice=any(leg.party is Party.VEHICLE for leg in incident.legs),
        agencies_contacted=len(incident.disclosures),
        state=incident.state,
    )
