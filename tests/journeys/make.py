"""Makes the journeys beside this file: whole incidents as data, for the server, the console's reducer and drills.

Run ``python -m tests.journeys.make`` from the root of the repository when a journey is added or an event changes.
``events`` is what happened, in the form it has in a header; ``expect`` is what the incident must then be.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.law.codes import Path as GroundPath
from routing.services import Service
from sos.clock import timestamp
from sos.console.frames import NOT_FOLLOWED
from sos.incident import commands as c
from sos.incident.events import Recorded
from sos.incident.model import (
    Acknowledgement,
    AgencyStatus,
    Audience,
    ConsentAnswer,
    Disposition,
    Incident,
    LegId,
    Mode,
    Party,
    RecordingId,
    Relation,
    ResponseHow,
    Rung,
    TakeoverReason,
    Telling,
    Trigger,
)
from tests.journeys import story as s
from tests.journeys.story import Story

HERE = Path(__file__).resolve().parent

NOT_EXPECTED = NOT_FOLLOWED | {"id", "tenant"}
"""Fields that the events of a journey do not tell, or that only the service needs."""


def crash_handed_over() -> Story:
    told = _answered(Story(1))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=12)
    told.do(s.disclose("d-police", s.POLICE), actor="operator:hanako", after_s=1)
    for disclosure, agency in (("d-fire", s.FIRE), ("d-police", s.POLICE)):
        told.do(s.start_delivery(disclosure), actor="system:handoff")
        told.do(s.confirm(disclosure), actor="channel:portal", after_s=0.2)
        told.do(s.acknowledge(disclosure, agency, Acknowledgement.HEARD), actor=f"agency:{agency}", after_s=4)
    told.do(s.acknowledge("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=3)
    told.do(s.acknowledge("d-police", s.POLICE), actor=f"agency:{s.POLICE}", after_s=3)
    told.do(s.report_status("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=30)
    told.do(s.report_status("d-fire", s.FIRE, AgencyStatus.ON_SCENE), actor=f"agency:{s.FIRE}", after_s=300)
    return _closed(told, Disposition.HANDED_OVER)


def side_impact_with_a_fuel_leak() -> Story:
    """A later report is worse than the first: 95 km/h from the side, and fuel runs out.  It goes first, and is told."""
    told = Story(1051)
    told.do(s.open_incident())
    told.do(s.file_report(), actor="system:filer", after_s=0.1)
    parts = {Category.SEV: s.PERSONAL, Category.LOC: s.PERSONAL}
    worse = c.FileReport(sequence=1, located=True, parts=parts, urgent=("hard_impact", "fuelLeak"))
    told.do(worse, actor="system:filer", after_s=1)
    told.do(s.plan(), actor="system:planner", after_s=0.2)
    told.do(s.offer("desk-1"), actor="system:acd", after_s=0.1)
    told.do(s.take(), actor="operator:hanako", after_s=3)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=8)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=9)
    return told


def manual_false_alarm() -> Story:
    told = _answered(Story(2), trigger=Trigger.MANUAL)
    told.do(s.note("pressed by mistake, all well"), actor="operator:hanako", after_s=15)
    return _closed(told, Disposition.FALSE_ALARM)


def breakdown() -> Story:
    """A pressed button turns out to be a breakdown: who was proposed is proposed no more, and nobody is told."""
    told = _answered(Story(40), trigger=Trigger.MANUAL)
    told.do(s.state_kind(EmergencyKind.BREAKDOWN), actor="operator:hanako", after_s=14)
    told.do(s.plan_for(EmergencyKind.BREAKDOWN), actor="system:planner", after_s=0.02)
    told.do(s.note("flat tyre, off the carriageway, all well"), actor="operator:hanako", after_s=8)
    told.do(s.leave("leg-hanako"), actor="provider:embedded", after_s=20)
    told.do(c.CloseIncident(disposition=Disposition.NO_HELP_NEEDED), actor="operator:hanako", after_s=5)
    return told


def illness_with_a_card() -> Story:
    """A pressed button turns out to be an illness; the card is answered before and after the fire brigade is told."""
    told = _answered(Story(42), trigger=Trigger.MANUAL)
    told.do(s.state_kind(EmergencyKind.ILLNESS), actor="operator:hanako", after_s=6)
    told.do(s.plan_for(EmergencyKind.ILLNESS, s.FIRE), actor="system:planner", after_s=0.02)
    told.do(s.answer_card("conscious", urgent=(), needs=()), actor="operator:hanako", after_s=4)
    told.do(s.answer_card("breathing"), actor="operator:hanako", after_s=3)
    sections = (Category.LOC, Category.OBS, Category.MED)
    heard = told.incident.version
    told.do(s.disclose("d-fire", s.FIRE, sections=sections, heard=heard), actor="operator:hanako", after_s=5)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    pain = s.answer_card("chest_pain", category=Category.MED, source="family")
    told.do(pain, actor="operator:hanako", after_s=4)
    told.do(s.answer_card("breathing", urgent=(), needs=()), actor="operator:hanako", after_s=3)
    told.do(s.acknowledge("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=3)
    newer = s.disclose(
        "d-fire-2", sections=sections, supersedes="d-fire", corrected=True, confirmed=True, heard=told.incident.version
    )
    told.do(newer, actor="system:corrections", after_s=0.1)
    told.do(s.acknowledge("d-fire-2", s.FIRE), actor=f"agency:{s.FIRE}", after_s=9)
    return _closed(told, Disposition.HANDED_OVER)


def breakdown_with_a_card() -> Story:
    """A breakdown tells nobody, until an answer says that the car stands in a lane."""
    told = _answered(Story(43), trigger=Trigger.MANUAL)
    told.do(s.state_kind(EmergencyKind.BREAKDOWN), actor="operator:hanako", after_s=6)
    told.do(s.plan_for(EmergencyKind.BREAKDOWN), actor="system:planner", after_s=0.02)
    told.do(s.answer_card("fire", urgent=(), needs=()), actor="operator:hanako", after_s=3)
    told.do(s.answer_card("in_traffic", urgent=(), needs=(Service.POLICE,)), actor="operator:hanako", after_s=4)
    told.do(s.plan_for(EmergencyKind.BREAKDOWN, s.POLICE), actor="system:planner", after_s=0.02)
    told.do(s.disclose("d-police", s.POLICE, heard=told.incident.version), actor="operator:hanako", after_s=5)
    told.do(s.acknowledge("d-police", s.POLICE), actor=f"agency:{s.POLICE}", after_s=9)
    return _closed(told, Disposition.HANDED_OVER)


def caller_of_another_language() -> Story:
    """The first interpreter does not answer, the second helps; the car is held while they are called."""
    told = _answered(Story(44), trigger=Trigger.MANUAL)
    told.do(s.state_language(), actor="operator:hanako", after_s=8)
    told.do(s.dial_interpreter(), actor="operator:hanako", after_s=1)
    told.do(c.RingLeg(leg=LegId("leg-interpreter")), actor="provider:simulated", after_s=2)
    told.do(c.LeaveLeg(leg=LegId("leg-interpreter"), reason="no_answer"), actor="provider:simulated", after_s=20)
    told.do(s.dial_interpreter("leg-second", "line-2"), actor="operator:hanako", after_s=2)
    told.do(s.join("leg-second", Party.INTERPRETER, "line-2"), actor="provider:simulated", after_s=6)
    told.do(s.set_mode(held=False), actor="operator:hanako", after_s=5)
    told.do(s.leave("leg-second"), actor="provider:simulated", after_s=60)
    return _closed(told, Disposition.FALSE_ALARM)


def told_of_another_kind() -> Story:
    """Fire and police are told of an unknown emergency, which turns out to be an illness."""
    told = _answered(Story(41), trigger=Trigger.MANUAL)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=6)
    told.do(s.state_kind(EmergencyKind.ILLNESS), actor="operator:hanako", after_s=20)
    told.do(s.plan_for(EmergencyKind.ILLNESS, s.FIRE), actor="system:planner", after_s=0.02)
    told.do(s.file_fire(), actor="system:filer", after_s=4)
    told.do(s.plan_for(EmergencyKind.ILLNESS, s.FIRE, s.POLICE), actor="system:planner", after_s=0.02)
    told.do(s.decline(Service.POLICE), actor="operator:hanako", after_s=9)
    told.do(s.acknowledge("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=3)
    return _closed(told, Disposition.HANDED_OVER)


def test_call() -> Story:
    told = _answered(Story(3), mode=Mode.TEST, trigger=Trigger.MANUAL)
    told.do(s.issue_receipt(), actor="system:receipts")
    return _closed(told, Disposition.TEST)


def updated_matched_and_answered() -> Story:
    """More comes in than the report that opened it; the car asks to cancel, and the operator goes on."""
    told = _answered(Story(9))
    told.do(s.join_report(), actor="vehicle", after_s=2)
    told.do(s.file_report(sequence=2, located=False), actor="system:filer", after_s=0.02)
    told.do(s.propose_match(), actor="system:matching")
    told.do(s.confirm_match(), actor="operator:hanako", after_s=4)
    told.do(s.undo_match(), actor="operator:hanako", after_s=3)
    told.do(s.answer_vehicle(), actor="operator:hanako", after_s=1)
    told.do(s.confirm_answer(), actor="channel:mqtt", after_s=0.1)
    told.do(s.answer_vehicle("answer-2", text="help is coming"), actor="operator:hanako", after_s=5)
    told.do(s.cancel(), actor="vehicle", after_s=8)
    return told


def medical_data_used() -> Story:
    """What the customer registered is there; it is opened with a purpose of its own, and the doctors get it.

    Nobody in the vehicle answers, so the fire brigade, a hospital and a helicopter's base are told beside each other.
    """
    told = Story(0x1C)
    told.do(s.open_incident(), actor="vehicle")
    told.do(s.file_report(), actor="system:filer", after_s=0.1)
    told.do(s.recognise(), actor="system:registry", after_s=0.1)
    told.do(s.copy_registered(Category.FAM, withheld=(Category.MED,)), actor="system:registry", after_s=0.1)
    told.do(s.plan(), actor="system:planner", after_s=0.1)
    told.do(s.offer("desk-hanako"), actor="system:acd", after_s=0.1)
    told.do(s.take(), actor="operator:hanako", after_s=3)
    told.do(s.copy_registered(Category.MED, Category.FAM), actor="system:registry", after_s=30)
    opened = c.ReadParts(
        reader="operator:hanako", categories=(Category.MED,), purpose="emergency_handling", each_time=True
    )
    told.do(opened, actor="operator:hanako", after_s=2)
    told.do(s.take_medical(obligations=("later_explanation",)), actor="operator:hanako", after_s=5)
    sections = (Category.LOC, Category.SEV, Category.OBS, Category.MED)
    for disclosure, agency in (("d-fire", s.FIRE), ("d-hospital", s.HOSPITAL), ("d-helicopter", s.HELICOPTER)):
        told.do(s.disclose(disclosure, agency, sections=sections), actor="operator:hanako", after_s=2)
        told.do(s.start_delivery(disclosure), actor="system:handoff")
        told.do(s.acknowledge(disclosure, agency), actor=f"agency:{agency}", after_s=6)
    return told


def asked_for_in_writing() -> Story:
    """What was told is reviewed late, the person is told of it, and an investigator's letter is answered by two."""
    told = _answered(Story(0x1D))
    owed = ("necessity", "review_within_a_day", "later_notification", "necessity_note")
    told.do(s.refuse_disclosure(), actor="operator:hanako", after_s=1)
    told.do(s.disclose("d-fire", obligations=owed, reason="no common language"), actor="operator:hanako", after_s=4)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=9)
    told.do(s.close(Disposition.HANDED_OVER), actor="operator:hanako", after_s=60)
    told.do(c.PassDeadline(name="owed:review_within_a_day:d-fire"), actor="timer", after_s=86_400)
    told.do(s.meet(about="d-fire"), actor="operator:jiro", after_s=600)
    told.do(s.ask(), actor="operator:hanako", after_s=3600)
    told.do(s.check(), actor="operator:hanako", after_s=60)
    told.do(s.approve(), actor="operator:hanako", after_s=5)
    told.do(s.answer_request(outcome="refer", sections=(), obligations=("tried",)), actor="operator:hanako", after_s=5)
    told.do(s.approve("jiro", supervises=True), actor="operator:jiro", after_s=900)
    told.do(s.answer_request(obligations=("document", "two_persons")), actor="operator:hanako", after_s=5)
    told_them = s.meet("later_notification", "person", outcome="done", words="wrote a letter")
    told.do(told_them, actor="operator:jiro", after_s=86_400)
    return told


def asked_and_refused() -> Story:
    """Nobody answers who asks from outside until it is late, and then it is refused."""
    told = Story(0x2E)
    told.do(s.open_incident(), actor="vehicle")
    told.do(s.ask(), actor="operator:hanako", after_s=60)
    told.do(s.passing("asked:q1"), actor="timer", after_s=7 * 86_400)
    told.do(s.refuse_request(), actor="operator:hanako", after_s=600)
    return told


def planned_again_with_a_position() -> Story:
    """The first report had no position; a further one brings it, and the plan is made again."""
    told = Story(18)
    told.do(s.open_incident(), actor="vehicle")
    told.do(s.file_report(located=False), actor="system:filer", after_s=0.1)
    told.do(replace(s.plan(), prefecture=None, flags=("position_unknown", "degraded")), actor="system:planner")
    told.do(s.join_report(), actor="vehicle", after_s=3)
    told.do(s.file_report(sequence=2), actor="system:filer")
    told.do(replace(s.plan(), again=True), actor="system:planner")
    return told


def moved_and_corrected() -> Story:
    """The car was elsewhere than it first said: who was told hears of it, and the operator states where it is."""
    told = _answered(Story(0x1B))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=9)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.join_report(), actor="vehicle", after_s=5)
    told.do(s.file_report(sequence=2), actor="system:filer")
    told.do(replace(s.plan(moved_m=27_000), flags=("near_border",)), actor="system:planner")
    again = s.disclose("d-fire-2", s.FIRE, supersedes="d-fire", confirmed=True)
    told.do(replace(again, corrected=True), actor="system:corrections", after_s=0.1)
    told.do(s.settle_move(), actor="operator:hanako", after_s=4)
    told.do(s.state_place(), actor="operator:hanako", after_s=6)
    told.do(replace(s.plan(moved_m=800), source="operator", flags=()), actor="system:planner")
    told.do(s.notice_move(900), actor="system:planner", after_s=9)
    return told


def two_cars_one_crash() -> Story:
    """Another car of the same crash: one number, one update for who was told, a warning for who is told twice.

    The other car's operator tells the police, a third car joins, and in the end it was a crash by itself after all.
    """
    told = _answered(Story(1))
    told.do(s.propose_match(), actor="system:matching", after_s=2)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=9)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=6)
    told.do(s.confirm_match(), actor="operator:hanako", after_s=3)
    told.do(s.link(), actor="operator:hanako")
    update = s.disclose("d-fire-2", s.FIRE, supersedes="d-fire", confirmed=True)
    told.do(replace(update, corrected=True, joined=(s.OTHER,)), actor="system:corrections", after_s=0.1)
    told.do(s.acknowledge("d-fire-2"), actor=f"agency:{s.FIRE}", after_s=20)
    told.do(c.RecordTold(told=s.told_elsewhere(s.POLICE)), actor="operator:jiro", after_s=5)
    again = s.disclose("d-police", s.POLICE, confirmed=True)
    told.do(replace(again, joined=(s.OTHER,), again=("d-other",)), actor="operator:hanako", after_s=8)
    told.do(s.acknowledge("d-police", s.POLICE), actor=f"agency:{s.POLICE}", after_s=8)
    known = s.told_elsewhere(s.POLICE, version=2)
    told.do(s.link(s.OTHER, s.THIRD, told=(known,)), actor="operator:jiro", after_s=30)
    told.do(s.undo_match(), actor="operator:hanako", after_s=60)
    told.do(c.Unlink(), actor="operator:hanako")
    parted = s.disclose("d-fire-3", s.FIRE, supersedes="d-fire-2", confirmed=True)
    told.do(replace(parted, corrected=True), actor="system:corrections", after_s=0.1)
    return told


def consulted_and_called_back() -> Story:
    """The fire brigade is called, spoken to in private and joined; the car is cut off and called back."""
    told = _answered(Story(0xB))
    told.do(s.dial(), actor="system:bridge", after_s=9)
    told.do(c.RingLeg(leg=LegId("leg-5")), actor="provider:twilio", after_s=1)
    told.do(s.set_mode(), actor="operator:hanako", after_s=2)
    told.do(c.PlayNotice(leg=LegId("leg-vehicle"), notice="please_hold"), actor="system:bridge")
    told.do(s.join("leg-5", Party.AGENCY, s.FIRE), actor="provider:twilio", after_s=3)
    told.do(s.set_mode(held=False), actor="operator:hanako", after_s=8)
    told.do(c.PressKeys(leg=LegId("leg-vehicle"), keys="1"), actor="provider:twilio", after_s=4)
    told.do(c.LeaveLeg(leg=LegId("leg-vehicle"), reason="media_lost"), actor="provider:twilio", after_s=5)
    told.do(c.PassDeadline(name="call_vehicle"), actor="timer", after_s=5)
    told.do(s.dial("leg-6", "vehicle", Party.VEHICLE), actor="system:bridge")
    told.do(s.join("leg-6"), actor="provider:twilio", after_s=6)
    return told


def agency_calls_by_its_code() -> Story:
    """An agency telephones with the code of another incident: its voice goes there, and nobody is missing here."""
    told = Story(0x2B)
    told.do(s.open_incident(trigger=Trigger.UNKNOWN), actor="vehicle")
    told.do(s.offer("desk-a"), actor="system:acd", after_s=0.2)
    told.do(s.join(), actor="provider:twilio", after_s=1)
    told.do(c.PressKeys(leg=LegId("leg-vehicle"), keys="12345678#"), actor="provider:twilio", after_s=6)
    about = c.ConfirmMatch(other=s.OTHER, relation=Relation.CALLS_ABOUT, reasons=("code", s.FIRE))
    told.do(about, actor="system:codes", after_s=0.1)
    told.do(s.transfer(to=s.OTHER), actor="system:codes")
    told.do(s.leave(reason="transferred"), actor="provider:twilio", after_s=0.5)
    told.do(s.take(), actor="operator:hanako", after_s=40)
    told.do(s.close(Disposition.DUPLICATE), actor="operator:hanako", after_s=9)
    return told


def agency_called_back() -> Story:
    """An agency that was told telephones back: nobody is in the call, so that it rings until somebody is."""
    told = _answered(Story(0x2C))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=9)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=6)
    told.do(s.leave(reason="ended"), actor="provider:test", after_s=3)
    told.do(s.release(), actor="system:hub", after_s=60)
    called = c.InviteLeg(leg=LegId("leg-back"), party=Party.AGENCY, who=s.FIRE, called_in=True)
    told.do(called, actor="system:codes", after_s=60)
    told.do(s.join("leg-back", Party.AGENCY, s.FIRE), actor="provider:test", after_s=1)
    told.do(s.take("jiro"), actor="operator:jiro", after_s=7)
    told.do(s.join("leg-jiro", Party.OPERATOR, "jiro"), actor="provider:test", after_s=2)
    return told


def read_back_with_an_agency() -> Story:
    """The place is read back with whoever took over; after a move it is to be read anew, and they have another one."""
    told = _answered(Story(0x2D))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=9)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=6)
    told.do(s.read_back("d-fire"), actor="operator:hanako", after_s=3)
    told.do(s.hear_place(), actor="operator:hanako", after_s=20)
    told.do(s.state_place(), actor="operator:hanako", after_s=5)
    told.do(s.settle_heard(), actor="operator:hanako")
    told.do(replace(s.plan(moved_m=800), source="operator", flags=()), actor="system:planner")
    again = s.disclose("d-fire-2", s.FIRE, supersedes="d-fire", confirmed=True)
    told.do(replace(again, corrected=True), actor="system:corrections", after_s=0.1)
    told.do(s.acknowledge("d-fire-2"), actor=f"agency:{s.FIRE}", after_s=6)
    told.do(s.read_back("d-fire-2", 2, agreed=False), actor="operator:hanako", after_s=3)
    return told


def telephoned_and_recorded_elsewhere() -> Story:
    """A telephone exchange lets a call wait, records it, and its copy is fetched, sealed and deleted there."""
    told = _answered(Story(0x10))
    told.do(s.dial(), actor="system:bridge", after_s=9)
    told.do(c.QueueLeg(leg=LegId("leg-5"), queued_ms=2000), actor="provider:twilio", after_s=2)
    told.do(c.RingLeg(leg=LegId("leg-5")), actor="provider:twilio", after_s=1)
    told.do(s.join("leg-5", Party.AGENCY, s.FIRE), actor="provider:twilio", after_s=3)
    _closed(told, Disposition.FALSE_ALARM)
    fetched = c.KeepCopy(
        recording=RecordingId("rec-1"), leg=LegId("leg-5"), copy="RE0", digest="0" * 64, size=320_044
    )  # fmt: skip
    told.do(fetched, actor="provider:twilio")
    told.do(c.NoteCopyDeleted(recording=RecordingId("rec-1"), copy="RE0"), actor="provider:twilio", after_s=1)
    return told


def drill() -> Story:
    told = _answered(Story(4), mode=Mode.DRILL)
    told.do(s.disclose("d-fire", s.FIRE, partner=True), actor="operator:hanako", after_s=10)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=8)
    return _closed(told, Disposition.DRILL)


def operator_lost_mid_call() -> Story:
    """Lost twice: before the decision it rings everywhere, after it the hand-off goes on."""
    told = _answered(Story(5))
    told.do(s.leave("leg-hanako"), actor="provider:embedded", after_s=9)
    told.do(s.release("hanako"), actor="system:acd", after_s=4)
    told.do(c.PassDeadline(name="unanswered"), actor="timer", after_s=15)
    told.do(s.take("jiro"), actor="operator:jiro", after_s=2)
    told.do(s.join("leg-jiro", Party.OPERATOR, "jiro"), actor="provider:embedded", after_s=0.4)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:jiro", after_s=6)
    told.do(s.release("jiro"), actor="system:acd", after_s=1)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.fail_delivery("d-fire"), actor="channel:portal", after_s=5)
    told.do(c.PassDeadline(name="redeliver"), actor="timer", after_s=1)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.3)
    told.do(c.PassDeadline(name="handoff_overdue"), actor="timer", after_s=80)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=5)
    told.do(s.take("hanako"), actor="operator:hanako", after_s=30)
    return told


def rejected_then_another_takes_over() -> Story:
    told = _answered(Story(6))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=8)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire", Acknowledgement.TRANSPORT), actor="channel:portal", after_s=0.2)
    told.do(s.reject("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=9)
    told.do(s.disclose("d-police", s.POLICE), actor="operator:hanako", after_s=6)
    told.do(s.start_delivery("d-police"), actor="system:handoff")
    told.do(s.confirm("d-police"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-police", s.POLICE), actor=f"agency:{s.POLICE}", after_s=7)
    return _closed(told, Disposition.HANDED_OVER)


def agreed_updated_and_refused() -> Story:
    """The person agrees and new facts follow; then withdraws, and a supervisor decides about the police."""
    told = _answered(Story(12))
    told.do(s.consent(ConsentAnswer.AGREED, Category.LOC, Category.SEV), actor="operator:hanako", after_s=8)
    told.do(s.disclose("d-fire", s.FIRE, path=GroundPath.AGREED), actor="operator:hanako", after_s=2)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=5)
    told.do(s.report_status("d-fire"), actor=f"agency:{s.FIRE}", after_s=2)
    again = s.disclose("d-fire-2", s.FIRE, path=GroundPath.AGREED, supersedes="d-fire", confirmed=True)
    told.do(again, actor="operator:hanako", after_s=20)
    told.do(s.start_delivery("d-fire-2"), actor="system:handoff")
    told.do(s.confirm("d-fire-2"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-fire-2"), actor=f"agency:{s.FIRE}", after_s=4)
    told.do(s.consent(ConsentAnswer.REFUSED), actor="operator:hanako", after_s=10)
    told.do(s.refer("r-police", s.POLICE), actor="operator:hanako", after_s=3)
    told.do(s.answer_referral("r-police"), actor="operator:jiro", after_s=12)
    last = s.disclose("d-police", s.POLICE, path=GroundPath.REFUSED, referral="r-police", confirmed=True)
    told.do(last, actor="operator:hanako", after_s=2)
    told.do(s.refer("r-late", s.FIRE), actor="operator:hanako", after_s=1)
    told.do(s.answer_referral("r-late", approved=False), actor="operator:jiro", after_s=2)
    return told


def nobody_answers_and_the_ladder_climbs() -> Story:
    """Busy, then a machine, then nobody: another is proposed, people are alarmed, and a question is asked back."""
    told = _answered(Story(10))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=10)
    told.do(s.take_rung(1, Rung.PUSH, "d-fire", next_after_ms=0), actor="system:handoff")
    told.do(s.take_rung(2, Rung.FIRST_LINE, "d-fire", line="first", leg="leg-fire"), actor="system:handoff")
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.2)
    told.do(s.end_call("leg-fire", "busy", "d-fire"), actor="system:bridge", after_s=3)
    told.do(s.take_rung(3, Rung.SECOND_LINE, "d-fire", line="second", leg="leg-2"), actor="system:handoff")
    told.do(s.invite("leg-2", Party.AGENCY, s.FIRE), actor="system:bridge")
    told.do(s.join("leg-2", Party.AGENCY, s.FIRE), actor="provider:embedded", after_s=6)
    told.do(s.leave("leg-2"), actor="provider:embedded", after_s=9)
    told.do(s.end_call("leg-2", "machine", "d-fire"), actor="system:bridge")
    told.do(c.PassDeadline(name="rung"), actor="timer", after_s=20)
    told.do(s.take_rung(4, Rung.JOINT_CENTRE, "d-fire", line="joint"), actor="system:handoff")
    told.do(c.PassDeadline(name="rung"), actor="timer", after_s=20)
    told.do(s.take_rung(5, Rung.OTHERS, "d-fire", proposed=(s.POLICE,)), actor="system:handoff")
    told.do(s.take_rung(6, Rung.SUPERVISOR, "d-fire"), actor="system:handoff", after_s=15)
    told.do(s.ask_back("d-fire", s.FIRE), actor=f"agency:{s.FIRE}", after_s=4)
    told.do(s.take_rung(7, Rung.HEARD, "d-fire"), actor="system:handoff")
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=12)
    return told


def read_to_by_machine() -> Story:
    """The operator is lost; the fire brigade picks up, is read the brief by machine, has it read again, takes over."""
    told = _answered(Story(0x12))
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=10)
    told.do(s.take_rung(1, Rung.PUSH, "d-fire", next_after_ms=0), actor="system:handoff")
    told.do(s.take_rung(2, Rung.FIRST_LINE, "d-fire", line="first", leg="leg-fire"), actor="system:handoff")
    told.do(s.leave("leg-hanako"), actor="provider:twilio", after_s=1)
    told.do(s.release("hanako"), actor="system:acd", after_s=1)
    told.do(s.dial("leg-fire"), actor="system:bridge")
    told.do(s.join("leg-fire", Party.AGENCY, s.FIRE), actor="provider:twilio", after_s=6)
    alone = s.speak_brief("leg-fire", "d-fire", why=Telling.ALONE, operator=None, by_keys=True)
    told.do(alone, actor="system:assist", after_s=0.1)
    told.do(c.PressKeys(leg=LegId("leg-fire"), keys="2"), actor="provider:twilio", after_s=40)
    told.do(replace(alone, why=Telling.AGAIN), actor="system:assist")
    told.do(c.PressKeys(leg=LegId("leg-fire"), keys="1"), actor="provider:twilio", after_s=30)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}")
    return told


def _unanswered(told: Story, *, mode: Mode = Mode.LIVE) -> Story:
    """A car that speaks; two desks and then all of them ring for twenty seconds, and nobody comes."""
    told.do(s.open_incident(mode), actor="vehicle")
    told.do(s.file_report(), actor="system:filer", after_s=0.1)
    told.do(s.plan(), actor="system:planner", after_s=0.1)
    told.do(s.offer("desk-hanako"), actor="system:acd", after_s=0.1)
    told.do(s.invite(), actor="vehicle", after_s=0.2)
    told.do(s.join(), actor="provider:twilio", after_s=0.5)
    told.do(c.PlayNotice(leg=LegId("leg-vehicle"), notice="wait"), actor="system:bridge")
    told.do(c.PassDeadline(name="next_desk"), actor="timer", after_s=4)
    told.do(s.offer("desk-jiro"), actor="system:acd")
    told.do(c.PassDeadline(name="ring_all"), actor="timer", after_s=5)
    told.do(c.PassDeadline(name="unanswered"), actor="timer", after_s=5)
    told.do(c.PassDeadline(name="on_call"), actor="timer", after_s=5)
    return told


def _picked_up(told: Story, who: str, *, after_s: float) -> None:
    leg = f"leg-{who}"
    told.do(s.dial_on_call(leg, who), actor="system:on-call")
    told.do(c.RingLeg(leg=LegId(leg)), actor="provider:twilio", after_s=1)
    told.do(s.join(leg, Party.SUPERVISOR, who), actor="provider:twilio", after_s=after_s)
    told.do(c.PlayNotice(leg=LegId(leg), notice="on_call"), actor="system:on-call")


def somebody_on_call_takes_it() -> Story:
    """The first telephone is picked up by a machine, the second by a person, whose call breaks off later."""
    told = _unanswered(Story(0x13))
    _picked_up(told, "saburo", after_s=3)
    told.do(c.PassDeadline(name="next_person"), actor="timer", after_s=20)
    told.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="no_key"), actor="system:on-call")
    _picked_up(told, "shiro", after_s=2)
    told.do(c.PressKeys(leg=LegId("leg-shiro"), keys="1"), actor="provider:twilio", after_s=3)
    told.do(s.take("shiro"), actor="operator:shiro")
    told.do(s.set_mode("leg-shiro", "shiro", held=False), actor="operator:shiro")
    told.do(s.set_mode("leg-vehicle", "shiro"), actor="operator:shiro", after_s=20)
    told.do(c.LeaveLeg(leg=LegId("leg-shiro"), reason="ended"), actor="provider:twilio", after_s=2)
    told.do(s.release("shiro"), actor="system:acd")
    return told


def nobody_of_ours_anywhere() -> Story:
    """Neither a desk nor anybody on call: the fire brigade is told by the house, takes over and speaks with the car."""
    told = _unanswered(Story(0x14))
    told.do(s.dial_on_call(), actor="system:on-call")
    told.do(c.LeaveLeg(leg=LegId("leg-saburo"), reason="busy"), actor="provider:twilio", after_s=2)
    told.do(c.PassDeadline(name="nobody"), actor="timer", after_s=25)
    told.do(s.disclose("d-fire", s.FIRE, unattended=True), actor="system:unattended", after_s=0.1)
    told.do(c.PlayNotice(leg=LegId("leg-vehicle"), notice="joining"), actor="system:unattended")
    told.do(s.take_rung(1, Rung.PUSH, "d-fire", next_after_ms=0), actor="system:handoff")
    told.do(s.take_rung(2, Rung.FIRST_LINE, "d-fire", line="first", leg="leg-fire"), actor="system:handoff")
    told.do(s.dial("leg-fire"), actor="system:bridge")
    told.do(s.join("leg-fire", Party.AGENCY, s.FIRE), actor="provider:twilio", after_s=8)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=30)
    told.do(c.LeaveLeg(leg=LegId("leg-fire"), reason="ended"), actor="provider:twilio", after_s=90)
    return told


def nobody_may_be_told() -> Story:
    """The law wants a person and there is none: nothing leaves, the car is told so; then a desk answers after all."""
    told = _unanswered(Story(0x15))
    told.do(s.limit_search(), actor="system:unattended")
    told.do(c.PassDeadline(name="nobody"), actor="timer", after_s=10)
    told.do(s.withhold(), actor="system:unattended", after_s=0.1)
    told.do(c.PlayNotice(leg=LegId("leg-vehicle"), notice="nobody"), actor="system:unattended")
    told.do(s.take("jiro"), actor="operator:jiro", after_s=20)
    return told


def held_in_a_mass_event() -> Story:
    """Nobody is there and the agency was told much of this place; a supervisor says that it is told all the same."""
    told = _unanswered(Story(0x2E))
    told.do(s.place_in_mass_event(), actor="system:mass-event", after_s=0.1)
    told.do(c.PassDeadline(name="nobody"), actor="timer", after_s=25)
    told.do(s.hold_telling(), actor="system:unattended", after_s=0.1)
    told.do(c.PlayNotice(leg=LegId("leg-vehicle"), notice="nobody"), actor="system:unattended")
    told.do(s.disclose("d-fire", s.FIRE, unattended=True), actor="system:unattended", after_s=180)
    told.do(s.place_in_mass_event(""), actor="system:mass-event", after_s=5)
    return told


def nobody_in_the_car_answers() -> Story:
    """The operator waits longer once, the clock runs out, somebody else is alarmed, help is sent, then a groan."""
    told = _answered(Story(0x16))
    told.do(s.wait_longer(), actor="operator:hanako", after_s=20)
    told.do(c.PassDeadline(name="no_response"), actor="timer", after_s=40)
    told.do(c.PassDeadline(name="no_response_alarm"), actor="timer", after_s=20)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=3)
    told.do(s.hear(ResponseHow.SOUNDS), actor="operator:hanako", after_s=9)
    return told


def reopened() -> Story:
    told = _answered(Story(7), trigger=Trigger.MANUAL)
    told.do(s.describe(), actor="system:addresses", after_s=0.1)
    told = _closed(told, Disposition.NO_HELP_NEEDED)
    told.do(c.ReopenIncident(reason="called_again"), actor="operator:jiro", after_s=600)
    told.do(c.PassDeadline(name="ring_anyway"), actor="timer", after_s=2)
    told.do(s.take("jiro"), actor="operator:jiro", after_s=3)
    told.do(s.read_parts("operator:jiro"), actor="operator:jiro")
    return told


def sold_and_recognised_again() -> Story:
    """The registry says that the car was sold; a later report names another one.  Help comes all the same."""
    told = _answered(Story(11))
    told.do(s.recognise("sold", "not_entitled"), actor="system:registry")
    told.do(s.judge(2), actor="system:severity", after_s=0.01)
    told.do(s.recognise("opted_out", opt_out=True), actor="system:registry", after_s=3)
    told.do(s.judge(9), actor="system:severity", after_s=0.01)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=10)
    told.do(s.start_delivery("d-fire"), actor="system:handoff")
    told.do(s.confirm("d-fire"), actor="channel:portal", after_s=0.2)
    told.do(s.acknowledge("d-fire"), actor=f"agency:{s.FIRE}", after_s=7)
    return _closed(told, Disposition.HANDED_OVER)


def unreadable_and_unlocated() -> Story:
    """Bytes that nobody could read, and a recording that failed: the call is answered all the same."""
    told = Story(8)
    told.do(s.open_incident(trigger=Trigger.UNKNOWN, readable=False), actor="vehicle")
    told.do(s.file_report(located=False), actor="system:filer", after_s=0.1)
    told.do(c.PassDeadline(name="ring_anyway"), actor="timer", after_s=2)
    told.do(c.PassDeadline(name="unanswered"), actor="timer", after_s=15)
    told.do(s.take(), actor="operator:hanako", after_s=1)
    told.do(s.invite(), actor="system:bridge")
    told.do(s.start_recording(), actor="system:bridge")
    told.do(s.fail_recording(), actor="system:bridge", after_s=1)
    told.do(s.join(), actor="provider:embedded", after_s=2)
    told.do(s.note("caller", Category.PER), actor="operator:hanako", after_s=20)
    told.do(c.PassDeadline(name="undecided"), actor="timer", after_s=60)
    return told


def alarmed_and_acknowledged() -> Story:
    """The car is on the line and hears nobody: a supervisor has heard of it, and later of an overdue hand-off."""
    told = Story(0x1C)
    told.do(s.open_incident(), actor="vehicle")
    told.do(s.file_report(), actor="system:filer", after_s=0.02)
    told.do(s.plan(), actor="system:planner", after_s=0.03)
    told.do(s.offer("desk-hanako"), actor="system:acd", after_s=0.05)
    told.do(s.invite(), actor="system:bridge", after_s=1)
    told.do(s.join(), actor="provider:embedded", after_s=0.5)
    told.do(s.take(), actor="operator:hanako", after_s=2)
    told.do(s.passing("no_voice"), actor="timer", after_s=10)
    told.do(s.show_alarm("alarm-1", "jiro"), actor="system:alarms", after_s=0.1)
    told.do(s.acknowledge_alarm("alarm-1"), actor="operator:jiro", after_s=6)
    told.do(s.join("leg-hanako", Party.OPERATOR, "hanako"), actor="provider:embedded", after_s=1)
    told.do(s.disclose("d-fire", s.FIRE), actor="operator:hanako", after_s=20)
    told.do(s.ask_assistance(), actor="operator:hanako", after_s=5)
    told.do(s.passing("handoff_overdue"), actor="timer", after_s=75)
    told.do(s.show_alarm("alarm-2", audience=Audience.EVERYBODY), actor="system:alarms", after_s=0.1)
    return told


def taken_over_and_handed_on() -> Story:
    """A supervisor takes a call from an operator whose voice never came, and hands it to a colleague with a note."""
    told = Story(0x1D)
    told.do(s.open_incident(), actor="vehicle")
    told.do(s.file_report(), actor="system:filer", after_s=0.02)
    told.do(s.plan(), actor="system:planner", after_s=0.03)
    told.do(s.offer("desk-hanako"), actor="system:acd", after_s=0.05)
    told.do(s.take(), actor="operator:hanako", after_s=2)
    told.do(s.join(), actor="provider:embedded", after_s=0.5)
    told.do(s.passing("no_voice"), actor="timer", after_s=10)
    told.do(s.take_over(reason=TakeoverReason.NO_VOICE, supervisor=True), actor="operator:jiro", after_s=3)
    told.do(s.join("leg-jiro", Party.OPERATOR, "jiro"), actor="provider:embedded", after_s=1)
    told.do(s.offer_handover("saburo", "jiro"), actor="operator:jiro", after_s=20)
    told.do(s.answer_handover("saburo", accepted=False), actor="operator:saburo", after_s=4)
    told.do(s.offer_handover("hanako", "jiro"), actor="operator:jiro", after_s=2)
    told.do(s.passing("handover_unanswered"), actor="timer", after_s=30)
    told.do(s.offer_handover("hanako", "jiro"), actor="operator:jiro", after_s=2)
    told.do(s.answer_handover("hanako"), actor="operator:hanako", after_s=5)
    told.do(s.offer_handover("jiro"), actor="operator:hanako", after_s=60)
    told.do(s.answer_handover("hanako", accepted=False), actor="operator:hanako", after_s=3)
    return told


def _answered(told: Story, *, mode: Mode = Mode.LIVE, trigger: Trigger = Trigger.AUTOMATIC) -> Story:
    """From the report to two people talking."""
    told.do(s.open_incident(mode, trigger), actor="vehicle")
    told.do(s.file_report(), actor="system:filer", after_s=0.02)
    told.do(s.plan(), actor="system:planner", after_s=0.03)
    told.do(s.offer("desk-hanako"), actor="system:acd", after_s=0.05)
    told.do(s.invite(), actor="system:bridge", after_s=1)
    told.do(s.start_recording(), actor="system:bridge")
    told.do(s.join(), actor="provider:embedded", after_s=0.5)
    told.do(s.take(), actor="operator:hanako", after_s=2)
    told.do(s.read_parts(), actor="operator:hanako")
    told.do(s.invite("leg-hanako", Party.OPERATOR, "hanako"), actor="system:bridge")
    told.do(s.join("leg-hanako", Party.OPERATOR, "hanako"), actor="provider:embedded", after_s=0.3)
    return told


def _closed(told: Story, disposition: Disposition) -> Story:
    told.do(s.leave("leg-hanako"), actor="provider:embedded", after_s=20)
    told.do(s.leave(), actor="provider:embedded", after_s=1)
    told.do(s.seal_recording(), actor="system:bridge", after_s=1)
    told.do(s.close(disposition), actor="operator:hanako", after_s=5)
    return told


def held_and_destroyed() -> Story:
    """A call that was none is held twice, let go, and loses two of its categories; what comes later is there again."""
    told = Story(0x40)
    for command in (
        s.open_incident(),
        s.take(),
        s.note(),
        c.CloseIncident(disposition=Disposition.FALSE_ALARM),
        s.hold("hold-1"),
        s.hold("hold-2"),
        s.release_hold("hold-1"),
        s.release_hold("hold-2"),
        s.destroy(Category.OBS, Category.RAW),
        s.read_parts(purpose="review", reason="what was here"),
        s.destroy(Category.OBS),
    ):
        told.do(command, actor="operator:hanako", after_s=30)
    return told


JOURNEYS = (
    crash_handed_over,
    side_impact_with_a_fuel_leak,
    manual_false_alarm,
    breakdown,
    breakdown_with_a_card,
    caller_of_another_language,
    illness_with_a_card,
    told_of_another_kind,
    test_call,
    drill,
    operator_lost_mid_call,
    rejected_then_another_takes_over,
    nobody_answers_and_the_ladder_climbs,
    agreed_updated_and_refused,
    moved_and_corrected,
    reopened,
    unreadable_and_unlocated,
    sold_and_recognised_again,
    updated_matched_and_answered,
    two_cars_one_crash,
    medical_data_used,
    asked_for_in_writing,
    asked_and_refused,
    planned_again_with_a_position,
    consulted_and_called_back,
    agency_calls_by_its_code,
    agency_called_back,
    read_back_with_an_agency,
    telephoned_and_recorded_elsewhere,
    read_to_by_machine,
    somebody_on_call_takes_it,
    nobody_of_ours_anywhere,
    nobody_may_be_told,
    held_in_a_mass_event,
    nobody_in_the_car_answers,
    alarmed_and_acknowledged,
    taken_over_and_handed_on,
    held_and_destroyed,
)


def journeys() -> Mapping[str, bytes]:
    """File name -> content."""
    return {f"{journey.__name__}.json": _write(journey.__name__, journey()) for journey in JOURNEYS}


def happened(recorded: Recorded) -> dict[str, Any]:
    """What a desk is told of one event."""
    return {
        "kind": type(recorded.event).__name__,
        "at": timestamp(recorded.at),
        "actor": recorded.actor,
        "n": recorded.n,
        "data": recorded.event,
    }


def expected(told: Incident) -> dict[str, Any]:
    """What a desk must then know."""
    incident = msgspec.to_builtins(told, builtin_types=())
    return {
        field: timestamp(at) if isinstance(at := getattr(told, field), datetime) else incident[field]
        for field in Incident.__struct_fields__
        if field not in NOT_EXPECTED
    }


def _write(name: str, told: Story) -> bytes:
    journey: dict[str, Any] = {
        "name": name,
        "events": [happened(recorded) for recorded in told.recorded],
        "expect": expected(told.incident),
    }
    return msgspec.json.format(msgspec.json.encode(journey, order="sorted"), indent=1) + b"\n"


if __name__ == "__main__":
    for file, content in journeys().items():
        (HERE / file).write_bytes(content)
