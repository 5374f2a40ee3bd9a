"""Every command in every state: what it leads to, that it changes nothing, or that it is refused."""

from collections.abc import Callable

import pytest

from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.lifecycle import DEADLINES
from sos.incident.model import Disposition, State
from tests.journeys import story as s
from tests.journeys.story import Story

REFUSED, NOTHING = "refused", "nothing"


def standing_in(state: State) -> Story:
    """An incident in ``state``, with a vehicle leg up, a recording running and, once told, ``FIRE`` as ``d1``."""
    told = Story()
    steps: dict[State, tuple[c.Command, ...]] = {
        State.RECEIVED: (s.open_incident(), s.file_report(), s.plan(), s.join(), s.start_recording()),
        State.RINGING: (s.offer("desk-a"),),
        State.IN_CALL: (s.take(),),
        State.HANDING_OVER: (s.disclose(),),
        State.HANDED_OVER: (s.acknowledge(),),
        State.CLOSED: (c.CloseIncident(disposition=Disposition.HANDED_OVER),),
        State.REOPENED: (c.ReopenIncident(reason="called_again"),),
    }
    for reached, commands in steps.items():
        for command in commands:
            told.do(command, actor="system:test", after_s=1)
        assert told.incident.state is reached
        if reached is state:
            break
    return told


ORDERS: dict[str, c.Command | Callable[[State], c.Command]] = {
    "open": s.open_incident(),
    "file again": s.file_report(),
    "file an update": s.file_report(sequence=2),
    "plan again": s.plan(),
    "offer to the same desk": s.offer("desk-a"),
    "offer to another desk": s.offer("desk-b"),
    "offer to every desk": s.offer(),
    "take": s.take("jiro"),
    "take again": s.take("hanako"),
    "release": s.release("hanako"),
    "release another": s.release("jiro"),
    "invite": s.invite("leg-2"),
    "invite again": s.invite(),
    "join": s.join("leg-2"),
    "join again": s.join(),
    "leave": s.leave(),
    "leave unknown": s.leave("leg-9"),
    "start recording": s.start_recording("rec-2"),
    "start recording again": s.start_recording(),
    "seal": s.seal_recording(),
    "seal unknown": s.seal_recording("rec-9"),
    "fail recording": s.fail_recording(),
    "note": s.note(),
    "empty note": s.note("  "),
    "disclose": s.disclose("d2", s.POLICE),
    "disclose again": s.disclose("d1", s.FIRE),
    "disclose to one pending": s.disclose("d3", s.FIRE),
    "start delivery": s.start_delivery(),
    "confirm": s.confirm(),
    "fail delivery": s.fail_delivery(),
    "acknowledge": s.acknowledge(),
    "acknowledge as another": s.acknowledge(agency=s.POLICE),
    "reject": s.reject(),
    "report status": s.report_status(),
    "read": s.read_parts(),
    "export": s.export(),
    "close handed over": c.CloseIncident(disposition=Disposition.HANDED_OVER),
    "close false alarm": c.CloseIncident(disposition=Disposition.FALSE_ALARM),
    "close test": c.CloseIncident(disposition=Disposition.TEST),
    "close drill": c.CloseIncident(disposition=Disposition.DRILL),
    "reopen": c.ReopenIncident(reason="called_again"),
    "deadline": lambda state: c.PassDeadline(name=DEADLINES[state][0].name if state in DEADLINES else "ring_all"),
    "unknown deadline": c.PassDeadline(name="lunch"),
}

TABLE: dict[str, tuple[str, ...]] = {
    # received, ringing, in call, handing over, handed over, closed, reopened
    "open": (NOTHING,) * 7,
    "file again": (NOTHING,) * 7,
    "file an update": ("ReportFiled",) * 7,
    "plan again": (NOTHING,) * 7,
    "offer to the same desk": ("DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "offer to another desk": ("DeskOffered", "DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "offer to every desk": ("DeskOffered", "DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "take": ("OperatorAssigned", "OperatorAssigned", REFUSED, REFUSED, REFUSED, REFUSED, "OperatorAssigned"),
    "take again": ("OperatorAssigned", "OperatorAssigned", NOTHING, NOTHING, NOTHING, NOTHING, "OperatorAssigned"),
    "release": (NOTHING, NOTHING, "OperatorLost", "OperatorLost", "OperatorLost", NOTHING, NOTHING),
    "release another": (NOTHING,) * 7,
    "invite": ("LegInvited",) * 7,
    "invite again": (NOTHING,) * 7,
    "join": ("LegJoined",) * 7,
    "join again": (NOTHING,) * 7,
    "leave": ("LegLeft",) * 7,
    "leave unknown": (NOTHING,) * 7,
    "start recording": ("RecordingStarted",) * 7,
    "start recording again": (NOTHING,) * 7,
    "seal": ("RecordingSealed",) * 7,
    "seal unknown": ("RecordingStarted RecordingSealed",) * 7,
    "fail recording": ("RecordingFailed",) * 7,
    "note": ("NoteAdded",) * 7,
    "empty note": (REFUSED,) * 7,
    "disclose": (REFUSED, REFUSED, "DisclosureDecided", "DisclosureDecided", "DisclosureDecided", REFUSED, REFUSED),
    "disclose again": (REFUSED, REFUSED, "DisclosureDecided", NOTHING, NOTHING, NOTHING, NOTHING),
    "disclose to one pending": (REFUSED, REFUSED, "DisclosureDecided", REFUSED, "DisclosureDecided", REFUSED, REFUSED),
    "start delivery": (REFUSED, REFUSED, REFUSED, "DeliveryStarted", NOTHING, NOTHING, NOTHING),
    "confirm": (REFUSED, REFUSED, REFUSED, "DeliveryConfirmed", NOTHING, NOTHING, NOTHING),
    "fail delivery": (REFUSED, REFUSED, REFUSED, "DeliveryFailed", NOTHING, NOTHING, NOTHING),
    "acknowledge": (REFUSED, REFUSED, REFUSED, "AgencyAcknowledged HandoffCompleted", NOTHING, NOTHING, NOTHING),
    "acknowledge as another": (REFUSED,) * 7,
    "reject": (REFUSED, REFUSED, REFUSED, "AgencyRejected", REFUSED, REFUSED, REFUSED),
    "report status": (
        REFUSED,
        REFUSED,
        REFUSED,
        "AgencyReported",
        "AgencyReported",
        "AgencyReported",
        "AgencyReported",
    ),
    "read": ("PartsRead",) * 7,
    "export": ("ExportMade",) * 7,
    "close handed over": (REFUSED, REFUSED, REFUSED, REFUSED, "IncidentClosed", NOTHING, REFUSED),
    "close false alarm": (REFUSED, REFUSED, "IncidentClosed", REFUSED, "IncidentClosed", NOTHING, REFUSED),
    "close test": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, NOTHING, REFUSED),
    "close drill": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, NOTHING, REFUSED),
    "reopen": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, "IncidentReopened", REFUSED),
    "deadline": (
        "HelpEscalated DeskOffered",
        "HelpEscalated DeskOffered",
        "HelpEscalated",
        "HelpEscalated",
        "HelpEscalated",
        NOTHING,
        "HelpEscalated DeskOffered",
    ),
    "unknown deadline": (NOTHING,) * 7,
}
"""Kinds of event an hour later, in the order of ``State``."""


@pytest.mark.parametrize("order", ORDERS)
def test_a_command_leads_to_what_the_table_says_in_each_state(order: str):
    command = ORDERS[order]

    found = tuple(_outcome(standing_in(state), command(state) if callable(command) else command) for state in State)

    assert found == TABLE[order]


def _outcome(told: Story, command: c.Command) -> str:
    try:
        return " ".join(told.do(command, after_s=3600)) or NOTHING
    except Refused:
        return REFUSED


def test_the_table_asks_for_every_command_there_is():
    asked = {type(command(State.RINGING) if callable(command) else command) for command in ORDERS.values()}

    assert asked == set(c.Command.__subclasses__())


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_but_opening_happens_to_an_incident_that_is_not_open(order: str):
    command = ORDERS[order]

    outcome = _outcome(Story(), command(State.RECEIVED) if callable(command) else command)

    assert outcome == ("IncidentOpened" if order == "open" else REFUSED)
