"""Test, dealer and factory calls: they walk the real path without any agency, and the car gets a pass or fail.

A reader.  The data is judged as soon as the plan is made.  What voice shows is judged when the call is over: then the
test ends with a receipt that names each step (``sos.incident.testcall``).
"""

from collections.abc import Sequence

from routing.categories import Category
from sos.incident import testcall
from sos.incident.commands import EndTest, IssueReceipt
from sos.incident.deadline import DeadlineName
from sos.incident.events import (
    AnswerGiven,
    HelpEscalated,
    IncidentOpened,
    KeysPressed,
    LegDialled,
    LegJoined,
    LegLeft,
    NoticePlayed,
    PlanMade,
    Recorded,
    ReportFiled,
    ResponseHeard,
)
from sos.incident.model import AnswerAction, Incident, LegId, Mode, Party, State
from sos.intake.replies import Receipt
from sos.journal.journal import Journal

ACTOR = "system:receipts"

HEARD = "1"
"""The key by which whoever is in the car says that they hear us; pressed there and heard here, it shows both ways."""

Checks = tuple[tuple[str, bool], ...]


class TestCalls:
    """``PlanMade`` of a test -> ``ReceiptIssued``; its last leg gone, or its time over -> another, and closed."""

    __test__ = False

    WANTS = (PlanMade, HelpEscalated, LegLeft, KeysPressed)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case PlanMade():
                    await self._judge(recorded)
                case HelpEscalated(rung=DeadlineName.TEST_OVER):
                    await self._end(recorded, only_passed=False)
                case LegLeft() | KeysPressed():
                    await self._end(recorded, only_passed=True)
                case _:
                    pass

    async def _judge(self, planned: Recorded) -> None:
        """Judge on the stream: the state in memory may be a moment behind the event that woke us (its mode is not)."""
        if (await self._journal.state(planned.incident)).mode is not Mode.TEST:
            return
        stream = await self._journal.store.stream(planned.incident)
        command = IssueReceipt(checks=checks(stream))
        await self._journal.execute(planned.incident, command, actor=ACTOR, causation=planned.id)

    async def _end(self, after: Recorded, *, only_passed: bool) -> None:
        """Close a test with its result; before its time is over only once all of it has been shown."""
        state = await self._journal.state(after.incident)
        if state.mode is not Mode.TEST or state.state is State.CLOSED:
            return
        found = steps(await self._journal.store.stream(after.incident))
        talks = state.operator is not None and any(leg.up for leg in state.legs)
        if only_passed and (talks or not all(passed for _, passed in found)):
            return
        await self._journal.execute(after.incident, EndTest(checks=found), actor=ACTOR, causation=after.id)


def steps(stream: Sequence[Recorded]) -> Checks:
    """The whole of a test: its data, the voice, both ways of it, and the call back."""
    return (*checks(stream), *voice(stream))


def voice(stream: Sequence[Recorded]) -> Checks:
    """What a test must show besides its data, by name."""
    cars, told, dialled = set[LegId](), set[LegId](), set[LegId]()
    heard = asked = back = False
    for each in stream:
        match each.event:
            case LegDialled(party=Party.VEHICLE, leg=leg):
                dialled.add(leg)
            case AnswerGiven(action=AnswerAction.CALL_BACK):
                asked = True
            case LegJoined(party=Party.VEHICLE, leg=leg):
                cars.add(leg)
                back = back or asked or leg in dialled
            case NoticePlayed(leg=leg, notice=testcall.NOTICE):
                told.add(leg)
            case KeysPressed(leg=leg, keys=keys) if leg in told and HEARD in keys:
                heard = True
            case ResponseHeard():  # an operator has answered it and says so
                heard = True
            case _:
                pass
    return (("called", bool(cars)), ("heard_both_ways", heard), ("called_back", back))


def checks(stream: Sequence[Recorded]) -> Checks:
    """What the data of a test must show, by name, in the order a report goes through."""
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
        steps=dict(voice(stream)),
        over=incident.state is State.CLOSED,
        agencies_contacted=len(incident.disclosures),
        state=incident.state,
    )
