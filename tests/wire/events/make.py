"""Makes the samples beside this file: the header of one event of every kind, as ``write_header`` writes it today.

Run ``python -m tests.wire.events.make`` from the root of the repository for a new kind or version.  Samples of older
versions stay: what was once in a journal must be readable for ever.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from routing.categories import Category
from sos.incident import commands as c
from sos.incident.codec import write_header
from sos.incident.events import (
    VERSIONS,
    AskerChecked,
    AskersDataConfirmed,
    AskersDataSearched,
    BreachAffects,
    BreachFound,
    BreachListed,
    BreachOverdue,
    BreachReported,
    DataCorrected,
    DisposalApproved,
    DisposalDone,
    DisposalListed,
    ErasureAsked,
    Event,
    ExportApproved,
    ExportBegun,
    ExportBuilt,
    ExportCounted,
    ExportEnded,
    ExportFetched,
    ExportReceived,
    ExportRequested,
    IncidentsSearched,
    KeysEnded,
    MassEventChanged,
    MassEventDeclared,
    MassEventDismissed,
    MassEventEnded,
    MassEventOverdue,
    MassEventProposed,
    MassTellingAnswered,
    MassTellingAsked,
    Recorded,
    RegistryChanged,
    RegistryRead,
    RetentionAgreed,
    RightAnswered,
    RightAsked,
    RightDone,
    RightExtended,
    RightOverdue,
    RightRead,
    RightRefused,
)
from sos.incident.model import (
    Area,
    ConsentAnswer,
    Disposition,
    HowToTell,
    LegId,
    MassEventId,
    Mode,
    OperatorId,
    Party,
    RecordingId,
    Rung,
    Trigger,
)
from tests.journeys import story as s

HERE = Path(__file__).resolve().parent


def samples() -> Mapping[str, bytes]:
    """File name -> header bytes."""
    told = s.Story(0xE, alarms=False)  # the samples of these kinds are older than alarms
    for command in (
        s.open_incident(readable=False),
        s.file_report(),
        s.plan(),
        s.describe(),
        s.recognise("unknown_vehicle"),
        s.judge(),
        s.offer("desk-a"),
        c.PassDeadline(name="ring_all"),
        s.take(),
        s.invite(),
        s.join(),
        s.start_recording(),
        s.read_parts(),
        s.note(),
        s.release(),
        s.take("jiro"),
        s.consent(ConsentAnswer.AGREED, Category.LOC),
        s.refer(),
        s.answer_referral(supervisor="hanako"),
        s.disclose(),
        s.start_delivery(),
        s.fail_delivery(),
        s.confirm(),
        s.take_rung(1, Rung.PUSH),
        s.take_rung(2, Rung.FIRST_LINE, line="first", leg="leg-fire"),
        s.end_call("leg-fire"),
        s.ask_back(),
        s.disclose("d2", s.POLICE),
        s.reject("d2", s.POLICE),
        s.acknowledge(),
        s.report_status(),
        s.dial(),
        c.QueueLeg(leg=LegId("leg-5"), queued_ms=2000),
        c.RingLeg(leg=LegId("leg-5")),
        c.PlayNotice(leg=LegId("leg-5"), notice="wait"),
        s.set_mode(operator="jiro"),
        c.PressKeys(leg=LegId("leg-vehicle"), keys="1"),
        s.leave(),
        s.seal_recording(),
        c.KeepCopy(recording=RecordingId("rec-1"), leg=LegId("leg-vehicle"), copy="RE0", digest="0" * 64, size=320_044),
        c.NoteCopyDeleted(recording=RecordingId("rec-1"), copy="RE0"),
        s.start_recording("rec-2"),
        s.fail_recording("rec-2"),
        s.close(Disposition.HANDED_OVER),
        c.ReopenIncident(reason="called_again"),
        s.export(),
        s.take("jiro"),
        s.join("leg-5", Party.AGENCY, s.FIRE),
        s.speak_brief(operator="jiro"),
    ):
        told.do(command, actor="operator:hanako", after_s=6)
    tested = s.Story(0xF)
    for command in (
        s.open_incident(Mode.TEST),
        s.issue_receipt(),
        s.join_report(),
        s.cancel(),
        s.propose_match(),
        s.confirm_match(),
        s.undo_match(),
        s.answer_vehicle(),
        s.confirm_answer(),
    ):
        tested.do(command, actor="vehicle", after_s=1)
    sought = s.Story(0x10, alarms=False)  # of its own, as every newer kind should be: the others stay as they are
    for command in (
        s.open_incident(),
        s.offer("desk-a"),
        s.limit_search(),
        c.PassDeadline(name="nobody"),
        s.withhold(),
        s.join(),
        s.take(),
        s.join("leg-desk", Party.OPERATOR, "hanako"),
        s.wait_longer(),
        s.hear(),
    ):
        sought.do(command, actor="operator:hanako", after_s=20)
    linked = s.Story(0x16)
    for command in (
        s.open_incident(),
        s.link(told=(s.told_elsewhere(s.POLICE),)),
        c.RecordTold(told=s.told_elsewhere()),
        c.Unlink(),
    ):
        linked.do(command, actor="operator:hanako", after_s=20)
    moved = s.Story(0x12)
    for command in (s.open_incident(), s.take(), s.notice_move(), s.settle_move(), s.state_place()):
        moved.do(command, actor="operator:hanako", after_s=20)
    kind = s.Story(0x1A)
    said = (s.state_kind(), s.decline(), s.answer_card(), s.state_language())
    for command in (s.open_incident(trigger=Trigger.MANUAL), s.plan(), s.take(), *said):
        kind.do(command, actor="operator:hanako", after_s=3)
    helped = s.Story(0x13, alarms=False)
    owed = ("necessity", "review_within_a_day")
    for command in (
        s.open_incident(),
        s.copy_registered(Category.MED, withheld=(Category.FAM,)),
        s.take(),
        s.take_medical(obligations=("later_explanation",)),
        s.refuse_disclosure(),
        s.disclose("d1", obligations=owed, reason="invented reason"),
        c.PassDeadline(name="owed:review_within_a_day:d1"),
        s.meet(),
        s.ask(),
        s.check(),
        s.approve(),
        s.approve("jiro", supervises=True),
        s.answer_request(obligations=("document",)),
    ):
        helped.do(command, actor="operator:hanako", after_s=90_000 if isinstance(command, c.PassDeadline) else 1)
    alarmed = s.Story(0x14)
    for command in (
        s.open_incident(),
        s.raise_alarm(),
        s.show_alarm("alarm-1", "jiro"),
        s.acknowledge_alarm("alarm-1"),
    ):
        alarmed.do(command, actor="operator:jiro", after_s=2)
    passed_on = s.Story(0x15)
    for command in (s.open_incident(), s.take(), s.offer_handover(), s.answer_handover(accepted=False)):
        passed_on.do(command, actor="operator:hanako", after_s=2)
    held = s.Story(0x16, alarms=False)
    nobody = c.PassDeadline(name="nobody")
    for command in (s.open_incident(), s.offer("desk-a"), s.place_in_mass_event(), nobody, s.hold_telling()):
        held.do(command, actor="system:unattended", after_s=20 if command is not nobody else 60)
    told.recorded += held.recorded[1:]
    calls_back = s.Story(0x1B)
    for command in (s.open_incident(), s.join(), s.transfer()):
        calls_back.do(command, actor="system:codes", after_s=2)
    told.recorded += calls_back.recorded[1:]
    refused = s.Story(0x1D)
    for command in (s.open_incident(), s.ask(), c.PassDeadline(name="asked:q1"), s.refuse_request()):
        late = 8 * 86_400 if isinstance(command, c.PassDeadline) else 2
        refused.do(command, actor="operator:hanako", after_s=late)
    read = s.Story(0x1C)
    for command in (
        s.open_incident(),
        s.plan(),
        s.take(),
        s.disclose(),
        s.hear_place(),
        s.settle_heard(),
        s.read_back(),
    ):
        read.do(command, actor="operator:hanako", after_s=2)
    told.recorded += read.recorded[1:]
    kept = s.Story(0x17, alarms=False)
    for command in (
        s.open_incident(),
        s.take(),
        c.CloseIncident(disposition=Disposition.FALSE_ALARM),
        s.hold(),
        s.release_hold(),
        s.destroy(Category.LOC, Category.AUD),
    ):
        kept.do(command, actor="operator:hanako", after_s=2)
    told.recorded += kept.recorded[1:]
    told.recorded += alarmed.recorded[1:] + passed_on.recorded[1:]
    told.recorded += tested.recorded[1:] + sought.recorded[1:] + moved.recorded[1:]
    told.recorded += helped.recorded[1:] + linked.recorded[1:] + kind.recorded[1:]
    told.recorded += refused.recorded[1:]
    told.recorded += _of_the_registry(told) + _of_mass_events(told) + _of_the_house(told) + _of_rights(told)
    first = {type(recorded.event).__name__: recorded for recorded in reversed(told.recorded)}
    return {f"{kind}-{VERSIONS[kind]}.json": write_header(recorded) for kind, recorded in sorted(first.items())}


def _of_the_registry(told: s.Story) -> list[Recorded]:
    """Events of a registry stream, which no command of an incident leads to."""
    change = {"kind": "VehicleSuspended", "reason": "sanctions", "document": "0" * 64}
    events = (
        RegistryChanged(subject="vehicle", change=change),
        RegistryRead(subject="vehicle", reader="registrar:dealer", categories=(Category.VEH,), purpose="stated"),
    )
    return [replace(told.recorded[0], event=event, actor="registrar:dealer", commitments={}) for event in events]


def _of_the_house(told: s.Story) -> list[Recorded]:
    """Events of disposals, and of what people agreed to."""
    kek = "nonincident-4w.2026-01.00000000"
    events = (
        DisposalListed(
            listed="ab" * 32,
            until=told.recorded[0].at,
            incidents=1,
            items=2,
            classes=(("nonincident-4w", 2),),
        ),
        DisposalApproved(listed="ab" * 32, by="operator:hanako"),
        DisposalDone(listed="ab" * 32, certificate="cd" * 32, incidents=1, items=2, left=0, keks=(kek,)),
        KeysEnded(keks=(kek,)),
        RetentionAgreed(about="periods", version="demo@0123456789ab", by="operator:hanako"),
        IncidentsSearched(purpose="review", by=("plate", "time"), shown=1),
        *_of_exports(told.recorded[0].at),
    )
    return [replace(told.recorded[0], event=event, actor="operator:hanako", commitments={}) for event in events]


def _of_exports(at: datetime) -> tuple[Event, ...]:
    """The walk of a regulator's package."""
    counted, encrypted = "ab" * 32, "cd" * 32
    return (
        ExportRequested(
            by="auditor:ministry",
            recipient="ministry",
            brands=("demo",),
            since=at - timedelta(days=30),
            until=at,
            subject="",
            kinds=("PartsRead",),
            categories=(Category.OBS,),
        ),
        ExportCounted(digest=counted, size=900, checkpoint="ef" * 32, lines=120, opened=7, incidents=3, recordings=0),
        ExportApproved(digest=counted, by="operator:hanako"),
        ExportBegun(digest=counted, by="operator:hanako"),
        ExportBuilt(
            digest=counted, package="12" * 64, encrypted=encrypted, bytes=40_960, until=at + timedelta(days=14)
        ),
        ExportFetched(by="auditor:ministry", encrypted=encrypted),
        ExportReceived(by="auditor:ministry", encrypted=encrypted),
        ExportEnded(why="expired"),
    )


def _of_rights(told: s.Story) -> list[Recorded]:
    """Events of what a person asks about their own data."""
    at, by, stream = told.recorded[0].at, "operator:jiro", told.recorded[0].stream
    events: tuple[Event, ...] = (
        RightAsked(right="disclosure", channel="letter", terms="0123456789ab", due_at=at),
        AskerChecked(proved=True, shown=("driving_licence",), by=by),
        RightExtended(reason="much-data", due_at=at, by=by),
        RightRefused(rule="other-law", by=by),
        AskersDataSearched(sure=(stream,), maybe=(), by=by),
        AskersDataConfirmed(stream=stream, theirs=True, by=by),
        RightAnswered(
            digest="ab" * 32, streams=(stream,), disclosures=1, withheld=2, words=False, copy=1, fee_yen=0, by=by
        ),
        DataCorrected(stream=stream, category=Category.OWN, by=by),
        ErasureAsked(erased=((stream, Category.RAW),), kept=((stream, Category.LOC, "agency-told"),), by=by),
        RightDone(by=by),
        RightRead(reader=by, purpose="person"),
        RightOverdue(late=1),
        BreachFound(
            what="wrong_recipient", known_at=at, categories=(Category.MED,), malicious=False, encrypted=False, by=by
        ),
        BreachAffects(streams=(stream,), by=by),
        BreachReported(stage="preliminary", by=by),
        BreachListed(reader=by, streams=(stream,)),
        BreachOverdue(stage="final", late=1),
    )
    return [replace(told.recorded[0], event=event, actor=by, commitments={}) for event in events]


def _of_mass_events(told: s.Story) -> list[Recorded]:
    """Events of the stream of mass events."""
    one, by = MassEventId("mass-event-1"), OperatorId("hanako")
    area = Area(latitude=35.68, longitude=139.77, radius_km=30)
    until = datetime(2026, 1, 1, 15, tzinfo=UTC)
    of = {"mass_event": one, "agency": s.FIRE, "place": "13104"}
    events: tuple[Event, ...] = (
        MassEventProposed(mass_event=one, area=area, emergencies=12, tenants=3, within_s=600),
        MassEventDismissed(mass_event=one, operator=by),
        MassEventDeclared(mass_event=one, operator=by, area=area, until=until),
        MassEventChanged(mass_event=one, operator=by, area=Area(codes=("JP-13", "14100")), until=until),
        MassEventEnded(mass_event=one, operator=by),
        MassEventOverdue(mass_event=one),
        MassTellingAsked(**of, incident=told.recorded[0].incident),
        MassTellingAnswered(**of, operator=by, how=HowToTell.LIST, every_min=10),
    )
    return [replace(told.recorded[0], event=event, actor="operator:hanako", commitments={}) for event in events]


if __name__ == "__main__":
    for name, header in samples().items():
        (HERE / name).write_bytes(header)
