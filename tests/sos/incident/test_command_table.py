"""Every command in every state: what it leads to, that it changes nothing, or that it is refused."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from routing.categories import Category
from routing.law.codes import Path
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.lifecycle import DEADLINES
from sos.incident.model import ConsentAnswer, Disposition, LegId, MassEventId, Party, RecordingId, State
from tests.journeys import story as s
from tests.journeys.story import Story

REFUSED, NOTHING = "refused", "nothing"
DECLINED = "TellingDeclined IncidentClosed"
AT_DESKS = (State.RINGING, State.CLOSED)
"""Where the deadline that is tried is one of the search for people, or none."""


def standing_in(state: State) -> Story:
    """An incident in ``state``, with a vehicle leg up, a recording running and, once told, ``FIRE`` as ``d1``."""
    told = Story()
    steps: dict[State, tuple[c.Command, ...]] = {
        State.RECEIVED: (s.open_incident(), s.file_report(), s.plan(), s.join(), s.start_recording()),
        State.RINGING: (s.offer("desk-a"),),
        State.IN_CALL: (s.take(),),
        State.HANDING_OVER: (s.disclose(),),
        State.HANDED_OVER: (s.acknowledge(),),
        State.CLOSED: (s.close(Disposition.HANDED_OVER),),
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
    "join a report": s.join_report(),
    "join a report again": s.join_report("ab" * 32),
    "cancel": s.cancel(),
    "propose a match": s.propose_match(),
    "propose itself": lambda _: s.propose_match(Story().incident.id),
    "confirm a match": s.confirm_match(),
    "undo no match": s.undo_match(),
    "link": s.link(),
    "unlink what is by itself": c.Unlink(),
    "record what nobody linked has told": c.RecordTold(told=s.told_elsewhere()),
    "issue a receipt": s.issue_receipt(),
    "end what is no test": s.end_test(),
    "clear down": s.clear_down(),
    "answer the vehicle": s.answer_vehicle(),
    "answer at length": s.answer_vehicle(text="a" * 501),
    "confirm no answer": s.confirm_answer(),
    "plan again": s.plan(),
    "plan for another place": s.plan(moved_m=27_000),
    "notice a move": s.notice_move(),
    "settle no move": s.settle_move(),
    "state a place": s.state_place(),
    "state the kind": s.state_kind(),
    "answer the card": s.answer_card(),
    "answer of health and not say who": s.answer_card("chest_pain", category=Category.MED),
    "answer of health": s.answer_card("chest_pain", category=Category.MED, source="family"),
    "answer of what is no answer": s.answer_card(category=Category.LOC),
    "tell nobody of it": s.decline(),
    "recognise": s.recognise("sold"),
    "judge before anybody was asked": s.judge(),
    "describe the place": s.describe(),
    "copy what was registered": s.copy_registered(Category.MED, Category.FAM),
    "copy nothing": s.copy_registered(),
    "take medical words": s.take_medical(),
    "take no medical words": s.take_medical(" "),
    "record a refused wish": s.refuse_disclosure(),
    "meet what nobody owes": s.meet(),
    "take a request down": s.ask(),
    "take down what is no request": s.ask(path=Path.LIFE_PROTECTION),
    "check no request": s.check(),
    "approve no request": s.approve(),
    "answer no request": s.answer_request(),
    "offer to the same desk": s.offer("desk-a"),
    "offer to another desk": s.offer("desk-b"),
    "offer to every desk": s.offer(),
    "take": s.take("jiro"),
    "take again": s.take("hanako"),
    "release": s.release("hanako"),
    "release another": s.release("jiro"),
    "invite": s.invite("leg-2"),
    "invite again": s.invite(),
    "dial": s.dial(),
    "dial the vehicle while it speaks": s.dial(party=Party.VEHICLE, who="vehicle"),
    "ring no leg": c.RingLeg(leg=LegId("leg-9")),
    "queue no leg": c.QueueLeg(leg=LegId("leg-9"), queued_ms=2000),
    "hold": s.set_mode(),
    "hold another's": s.set_mode(operator="jiro"),
    "call somebody on call": s.dial_on_call(),
    "press keys": c.PressKeys(leg=LegId("leg-vehicle"), keys="1"),
    "bring whoever calls into another call": s.transfer(),
    "bring nobody into another call": s.transfer("leg-9"),
    "have a brief read to the vehicle": s.speak_brief("leg-vehicle"),
    "play a notice": c.PlayNotice(leg=LegId("leg-vehicle"), notice="wait"),
    "join": s.join("leg-2"),
    "join again": s.join(),
    "leave": s.leave(),
    "leave unknown": s.leave("leg-9"),
    "start recording": s.start_recording("rec-2"),
    "start recording again": s.start_recording(),
    "seal": s.seal_recording(),
    "seal unknown": s.seal_recording("rec-9"),
    "fail recording": s.fail_recording(),
    "keep a copy": c.KeepCopy(
        recording=RecordingId("rec-1"), leg=LegId("leg-vehicle"), copy="RE0", digest="0" * 64, size=1
    ),
    "keep a copy of nothing": c.KeepCopy(
        recording=RecordingId("rec-9"), leg=LegId("leg-vehicle"), copy="RE0", digest="0" * 64, size=1
    ),
    "a copy is deleted": c.NoteCopyDeleted(recording=RecordingId("rec-1"), copy="RE0"),
    "a copy of nothing is deleted": c.NoteCopyDeleted(recording=RecordingId("rec-9"), copy="RE0"),
    "note": s.note(),
    "empty note": s.note("  "),
    "disclose": s.disclose("d2", s.POLICE),
    "disclose again": s.disclose("d1", s.FIRE),
    "disclose to one pending": s.disclose("d3", s.FIRE),
    "disclose once more, knowing it": s.disclose("d3", s.FIRE, confirmed=True),
    "record a yes": s.consent(ConsentAnswer.AGREED, Category.LOC),
    "record a yes to nothing": s.consent(ConsentAnswer.AGREED),
    "record a no": s.consent(ConsentAnswer.REFUSED),
    "ask a supervisor": s.refer(),
    "answer what nobody asked": s.answer_referral(),
    "disclose as agreed": s.disclose("d9", path=Path.AGREED),
    "disclose against a refusal": s.disclose("d9", path=Path.REFUSED, referral="r1"),
    "bring up to date": s.disclose("d9", supersedes="d1", confirmed=True),
    "disclose without a person": s.disclose("d9", unattended=True),
    "withhold what nobody asked for": s.withhold(),
    "place it in a mass event": s.place_in_mass_event(),
    "place it in none": s.place_in_mass_event(""),
    "place it in a mass event and nowhere": c.PlaceInMassEvent(mass_event=MassEventId("mass-event-1")),
    "hold what could not be told": s.hold_telling(),
    "hear an answer": s.hear(),
    "wait for an answer": s.wait_longer(),
    "limit the search": s.limit_search(),
    "limit the search to nothing": s.limit_search(0),
    "take a rung": s.take_rung(),
    "take a rung too far": s.take_rung(2),
    "end no call": s.end_call(),
    "ask back": s.ask_back(),
    "ask back as another": s.ask_back(agency=s.POLICE),
    "start delivery": s.start_delivery(),
    "confirm": s.confirm(),
    "fail delivery": s.fail_delivery(),
    "acknowledge": s.acknowledge(),
    "acknowledge as another": s.acknowledge(agency=s.POLICE),
    "reject": s.reject(),
    "report status": s.report_status(),
    "take over": s.take_over(),
    "take over from another": s.take_over("saburo", "jiro"),
    "hand over": s.offer_handover(),
    "hand over to nobody else": s.offer_handover("hanako"),
    "answer no hand-over": s.answer_handover(),
    "raise an alarm": s.raise_alarm(),
    "ask for help": s.ask_assistance(),
    "ask for help with another's": s.ask_assistance(operator="jiro"),
    "show no alarm": s.show_alarm("alarm-9", "jiro"),
    "acknowledge no alarm": s.acknowledge_alarm("alarm-9"),
    "read": s.read_parts(),
    "read what is over for a purpose that outlives it": s.read_parts(purpose="review", reason="a complaint"),
    "export": s.export(),
    "keep beyond its time": s.hold(),
    "keep without a word": s.hold(words=" "),
    "release no hold": s.release_hold("hold-9"),
    "destroy": s.destroy(Category.LOC),
    "destroy alone": s.destroy(Category.LOC, approved=("operator:hanako", "operator:hanako")),
    "destroy early": s.destroy(Category.LOC, due_at=s.START + timedelta(days=9)),
    "destroy nothing": s.destroy(),
    "close handed over": s.close(Disposition.HANDED_OVER),
    "close false alarm": s.close(Disposition.FALSE_ALARM),
    "close and say nothing of who was not told": c.CloseIncident(disposition=Disposition.FALSE_ALARM),
    "close test": s.close(Disposition.TEST),
    "close drill": s.close(Disposition.DRILL),
    "reopen": c.ReopenIncident(reason="called_again"),
    "deadline": lambda state: c.PassDeadline(name="ring_all" if state in AT_DESKS else DEADLINES[state][0].name),
    "unknown deadline": c.PassDeadline(name="lunch"),
}

TABLE: dict[str, tuple[str, ...]] = {
    # received, ringing, in call, handing over, handed over, closed, reopened
    "open": (NOTHING,) * 7,
    "file again": (NOTHING,) * 7,
    "file an update": ("ReportFiled",) * 7,
    "join a report": (*("ReportJoined",) * 5, REFUSED, "ReportJoined"),
    "join a report again": (NOTHING,) * 7,
    "cancel": ("CancelReceived",) * 7,
    "propose a match": ("MatchProposed",) * 7,
    "propose itself": (NOTHING,) * 7,
    "confirm a match": ("MatchConfirmed",) * 7,
    "undo no match": (REFUSED,) * 7,
    "link": ("IncidentsLinked",) * 7,
    "unlink what is by itself": (NOTHING,) * 7,
    "record what nobody linked has told": (NOTHING,) * 7,
    "issue a receipt": (REFUSED,) * 7,
    "end what is no test": (REFUSED,) * 7,
    "clear down": (*(REFUSED,) * 5, "AnswerGiven", REFUSED),
    "answer the vehicle": (*("AnswerGiven",) * 5, REFUSED, "AnswerGiven"),
    "answer at length": (REFUSED,) * 7,
    "confirm no answer": (REFUSED,) * 7,
    "plan again": (NOTHING,) * 7,
    "plan for another place": ("PlanMade",) * 7,
    "notice a move": (*("MoveNoticed",) * 5, NOTHING, "MoveNoticed"),
    "settle no move": (REFUSED, REFUSED, NOTHING, NOTHING, NOTHING, NOTHING, REFUSED),
    "state a place": (REFUSED, REFUSED, *("PlaceStated",) * 4, REFUSED),
    "state the kind": (REFUSED, REFUSED, *("KindStated",) * 3, REFUSED, REFUSED),
    "answer the card": (REFUSED, REFUSED, *("CardAnswered",) * 3, REFUSED, REFUSED),
    "answer of health and not say who": (REFUSED,) * 7,
    "answer of health": (REFUSED, REFUSED, *("CardAnswered",) * 3, REFUSED, REFUSED),
    "answer of what is no answer": (REFUSED,) * 7,
    "tell nobody of it": (REFUSED, REFUSED, *("TellingDeclined",) * 3, REFUSED, REFUSED),
    "recognise": ("VehicleRecognised",) * 7,
    "judge before anybody was asked": (REFUSED,) * 7,
    "describe the place": ("PlaceDescribed",) * 7,
    "copy what was registered": (*("RegisteredDataCopied",) * 5, NOTHING, "RegisteredDataCopied"),
    "copy nothing": (NOTHING,) * 7,
    "take medical words": (*("MedicalTaken",) * 5, REFUSED, "MedicalTaken"),
    "take no medical words": (REFUSED,) * 7,
    "record a refused wish": ("DisclosureRefused",) * 7,
    "meet what nobody owes": (REFUSED,) * 7,
    "take a request down": ("RequestReceived",) * 7,
    "take down what is no request": (REFUSED,) * 7,
    "check no request": (REFUSED,) * 7,
    "approve no request": (REFUSED,) * 7,
    "answer no request": (REFUSED,) * 7,
    "offer to the same desk": ("DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "offer to another desk": ("DeskOffered", "DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "offer to every desk": ("DeskOffered", "DeskOffered", NOTHING, NOTHING, NOTHING, NOTHING, "DeskOffered"),
    "take": ("OperatorAssigned", "OperatorAssigned", REFUSED, REFUSED, REFUSED, REFUSED, "OperatorAssigned"),
    "take again": ("OperatorAssigned", "OperatorAssigned", NOTHING, NOTHING, NOTHING, NOTHING, "OperatorAssigned"),
    "release": (NOTHING, NOTHING, "OperatorLost", "OperatorLost", "OperatorLost", NOTHING, NOTHING),
    "release another": (NOTHING,) * 7,
    "invite": ("LegInvited",) * 7,
    "invite again": (NOTHING,) * 7,
    "dial": (*("LegDialled",) * 5, REFUSED, "LegDialled"),
    "dial the vehicle while it speaks": (*(NOTHING,) * 5, REFUSED, NOTHING),
    "ring no leg": (NOTHING,) * 7,
    "queue no leg": (NOTHING,) * 7,
    "hold": (REFUSED, REFUSED, "LegModeSet", "LegModeSet", "LegModeSet", "LegModeSet", REFUSED),
    "hold another's": (REFUSED,) * 7,
    "call somebody on call": (*(NOTHING,) * 5, REFUSED, NOTHING),
    "press keys": ("KeysPressed",) * 7,
    "bring whoever calls into another call": ("LegTransferred",) * 7,
    "bring nobody into another call": (NOTHING,) * 7,
    "have a brief read to the vehicle": (REFUSED,) * 7,
    "play a notice": ("NoticePlayed",) * 7,
    "join": ("LegJoined",) * 7,
    "join again": (NOTHING,) * 7,
    "leave": ("LegLeft",) * 7,
    "leave unknown": (NOTHING,) * 7,
    "start recording": ("RecordingStarted",) * 7,
    "start recording again": (NOTHING,) * 7,
    "seal": ("RecordingSealed",) * 7,
    "seal unknown": ("RecordingStarted RecordingSealed",) * 7,
    "fail recording": ("RecordingFailed AlarmRaised",) * 7,
    "keep a copy": ("RecordingFetched",) * 7,
    "keep a copy of nothing": (REFUSED,) * 7,
    "a copy is deleted": ("ProviderCopyDeleted",) * 7,
    "a copy of nothing is deleted": (REFUSED,) * 7,
    "note": ("NoteAdded",) * 7,
    "empty note": (REFUSED,) * 7,
    "disclose": (REFUSED, REFUSED, "DisclosureDecided", "DisclosureDecided", "DisclosureDecided", REFUSED, REFUSED),
    "disclose again": (REFUSED, REFUSED, "DisclosureDecided", NOTHING, NOTHING, NOTHING, NOTHING),
    "disclose to one pending": (REFUSED, REFUSED, "DisclosureDecided", REFUSED, REFUSED, REFUSED, REFUSED),
    "disclose once more, knowing it": (
        REFUSED,
        REFUSED,
        "DisclosureDecided",
        REFUSED,
        "DisclosureDecided",
        REFUSED,
        REFUSED,
    ),
    "record a yes": (REFUSED, REFUSED, *("ConsentRecorded",) * 3, REFUSED, REFUSED),
    "record a yes to nothing": (REFUSED,) * 7,
    "record a no": (REFUSED, REFUSED, *("ConsentRecorded",) * 3, REFUSED, REFUSED),
    "ask a supervisor": (REFUSED, REFUSED, *("DisclosureReferred AlarmRaised",) * 3, REFUSED, REFUSED),
    "answer what nobody asked": (REFUSED,) * 7,
    "disclose as agreed": (REFUSED,) * 7,
    "disclose against a refusal": (REFUSED,) * 7,
    "bring up to date": (
        REFUSED,
        REFUSED,
        REFUSED,
        "DisclosureDecided",
        "DisclosureDecided",
        REFUSED,
        REFUSED,
    ),
    "disclose without a person": (REFUSED,) * 7,
    "place it in a mass event": (*("PlacedInMassEvent",) * 5, NOTHING, "PlacedInMassEvent"),
    "place it in none": (NOTHING,) * 7,
    "place it in a mass event and nowhere": (*(REFUSED,) * 5, NOTHING, REFUSED),
    "hold what could not be told": (NOTHING,) * 7,
    "withhold what nobody asked for": (NOTHING,) * 7,
    "hear an answer": (*(REFUSED,) * 7,),
    "wait for an answer": (*(REFUSED,) * 7,),
    "limit the search": (*("SearchLimited",) * 5, NOTHING, "SearchLimited"),
    "limit the search to nothing": (*(REFUSED,) * 5, NOTHING, REFUSED),
    "take a rung": (REFUSED, REFUSED, REFUSED, "RungTaken", NOTHING, NOTHING, NOTHING),
    "take a rung too far": (REFUSED, REFUSED, REFUSED, NOTHING, NOTHING, NOTHING, NOTHING),
    "end no call": (REFUSED, REFUSED, REFUSED, NOTHING, NOTHING, NOTHING, NOTHING),
    "ask back": (
        REFUSED,
        REFUSED,
        REFUSED,
        "AgencyAsked AgencyAcknowledged",
        "AgencyAsked",
        "AgencyAsked",
        "AgencyAsked",
    ),
    "ask back as another": (REFUSED,) * 7,
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
        "AgencyAcknowledged HandoffCompleted AgencyReported",
        "AgencyReported",
        "AgencyReported",
        "AgencyReported",
    ),
    "take over": (REFUSED, REFUSED, *("OperatorAssigned",) * 3, REFUSED, REFUSED),
    "take over from another": (REFUSED,) * 7,
    "hand over": (REFUSED, REFUSED, *("HandoverOffered",) * 3, REFUSED, REFUSED),
    "hand over to nobody else": (REFUSED,) * 7,
    "answer no hand-over": (REFUSED,) * 7,
    "raise an alarm": ("AlarmRaised",) * 7,
    "ask for help": (REFUSED, REFUSED, *("AlarmRaised",) * 3, REFUSED, REFUSED),
    "ask for help with another's": (REFUSED,) * 7,
    "show no alarm": (NOTHING,) * 7,
    "acknowledge no alarm": (REFUSED,) * 7,
    "read": (*("PartsRead",) * 5, REFUSED, "PartsRead"),
    "read what is over for a purpose that outlives it": ("PartsRead",) * 7,
    "export": ("ExportMade",) * 7,
    "keep beyond its time": ("HoldPlaced",) * 7,
    "keep without a word": (REFUSED,) * 7,
    "release no hold": (REFUSED,) * 7,
    "destroy": (*(REFUSED,) * 5, "DataDestroyed", REFUSED),
    "destroy alone": (REFUSED,) * 7,
    "destroy early": (REFUSED,) * 7,
    "destroy nothing": (*(REFUSED,) * 5, NOTHING, REFUSED),
    "close handed over": (REFUSED, REFUSED, REFUSED, REFUSED, DECLINED, NOTHING, REFUSED),
    "close false alarm": (
        REFUSED,
        REFUSED,
        DECLINED,
        REFUSED,
        DECLINED,
        NOTHING,
        REFUSED,
    ),
    "close and say nothing of who was not told": (*(REFUSED,) * 5, NOTHING, REFUSED),
    "close test": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, NOTHING, REFUSED),
    "close drill": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, NOTHING, REFUSED),
    "reopen": (REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, "IncidentReopened", REFUSED),
    "deadline": (
        "HelpEscalated DeskOffered",
        "HelpEscalated DeskOffered",
        "HelpEscalated AlarmRaised",
        "HelpEscalated",
        "HelpEscalated AlarmRaised",
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
