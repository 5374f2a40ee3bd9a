"""One incident told from its commands, with times and ids that never change: for tests, journeys and samples.


Nothing here decides anything: every event comes out of ``decide`` and goes through ``evolve``.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from routing.categories import Category
from routing.kinds import EmergencyKind
from routing.law.codes import Fact, Path
from routing.services import Recipient, Service
from sos.incident import commands as c
from sos.incident.events import AlarmAcknowledged, AlarmRaised, Draft, Recorded
from sos.incident.lifecycle import decide, evolve
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    AlarmId,
    AlarmKind,
    AnswerAction,
    AnswerId,
    Audience,
    Car,
    ConsentAnswer,
    CrashId,
    DeclineReason,
    DeskId,
    DisclosureId,
    Disposed,
    Disposition,
    EventId,
    HoldGround,
    HoldId,
    Incident,
    IncidentId,
    LegId,
    MassEventId,
    Mode,
    OperatorId,
    Party,
    Question,
    RecordingId,
    ReferralId,
    RefusalReason,
    Relation,
    RequestId,
    ResponseHow,
    Rung,
    TakeoverReason,
    Telling,
    TenantId,
    ToldElsewhere,
    Trigger,
    WaitReason,
)

OTHER = IncidentId("019b7890-0000-7000-8000-0000aa000000")
"""Another incident, which may belong to the one told of."""
THIRD = IncidentId("019b7890-0000-7000-8000-0000ab000000")

START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
HOSPITAL, HELICOPTER = AgencyId("jp-13-hospital"), AgencyId("jp-13-helicopter")
SERVICES = {
    FIRE: Service.FIRE,
    POLICE: Service.POLICE,
    HOSPITAL: Service.HOSPITAL,
    HELICOPTER: Service.HELICOPTER,
}
PERSONAL = b'{"invented":"Personal-Data"}'
"""Stands for every part, so that a test can look for it where it must not be."""


ALARMS = (AlarmRaised, AlarmAcknowledged)


class Story:
    """``incident`` and the ``recorded`` events that made it."""

    def __init__(self, number: int = 1, *, alarms: bool = True) -> None:
        """``alarms`` false: as it was told when nothing raised any."""
        self.now = START
        self.number = number
        self.alarms = alarms
        self.incident = Incident(id=IncidentId(self._id(0)), tenant=TenantId("demo"))
        self.recorded: list[Recorded] = []
        self.drafts: list[Draft] = []

    def do(self, command: c.Command, *, actor: str = "system:test", after_s: float = 0) -> tuple[str, ...]:
        """Decide ``command`` so many seconds later; the kinds of event it led to."""
        self.now += timedelta(seconds=after_s)
        drafts = decide(self.incident, command, now=self.now)
        if not self.alarms:
            drafts = tuple(draft for draft in drafts if not isinstance(draft.event, ALARMS))
        for draft in drafts:
            self.incident = evolve(self.incident, draft.event, at=self.now)
            self.drafts.append(draft)
            self.recorded.append(
                Recorded(
                    id=EventId(self._id(self.incident.version)),
                    stream=self.incident.id,
                    tenant=self.incident.tenant,
                    n=self.incident.version,
                    at=self.now,
                    actor=actor,
                    causation=None,
                    event=draft.event,
                    commitments=dict.fromkeys(draft.parts, f"{self.incident.version:064x}"),
                )
            )
        return tuple(type(draft.event).__name__ for draft in drafts)

    def _id(self, n: int) -> str:
        return f"019b7890-0000-7000-8000-{self.number:06x}{n:06x}"


def open_incident(
    mode: Mode = Mode.LIVE, trigger: Trigger = Trigger.AUTOMATIC, readable: bool = True
) -> c.OpenIncident:
    return c.OpenIncident(
        mode=mode,
        trigger=trigger,
        format="application/cloudevents+json",
        report=PERSONAL,
        report_digest="ab" * 32,
        readable=readable,
    )


def file_report(sequence: int = 0, located: bool = True) -> c.FileReport:
    return c.FileReport(sequence=sequence, located=located, parts={Category.LOC: PERSONAL, Category.TEL: PERSONAL})


def file_fire() -> c.FileReport:
    """A further report, of a sensor that says fire."""
    parts = {Category.SEV: PERSONAL}
    return c.FileReport(sequence=7, located=True, parts=parts, kind=EmergencyKind.FIRE, kind_because="fire_sensor")


def join_report(digest: str = "cd" * 32, reason: str = "update") -> c.JoinReport:
    return c.JoinReport(
        reason=reason,
        format="application/cloudevents+json",
        report=PERSONAL,
        report_digest=digest,
        readable=True,
    )


def cancel(digest: str = "ef" * 32) -> c.RecordCancel:
    return c.RecordCancel(
        reason="occupant_cancelled",
        words=PERSONAL.decode(),
        format="application/cloudevents+json",
        report=PERSONAL,
        report_digest=digest,
    )


def propose_match(other: IncidentId = OTHER) -> c.ProposeMatch:
    return c.ProposeMatch(
        other=other, relation=Relation.SAME_CRASH, reasons=("near", "soon"), distance_m=40, apart_s=12
    )


def link(*others: IncidentId, told: tuple[ToldElsewhere, ...] = (), number: str = "482193") -> c.Link:
    """One crash with ``others`` (or ``OTHER``), as the story's own incident records it."""
    all_of_them = sorted((Story().incident.id, *(others or (OTHER,))))
    cars = tuple(Car(incident=each) for each in all_of_them)
    return c.Link(crash_id=CrashId("019b7890-0000-7000-8000-00000c000001"), number=number, cars=cars, told=told)


def told_elsewhere(agency: AgencyId = FIRE, disclosure: str = "d-other", version: int = 1) -> ToldElsewhere:
    """What ``OTHER`` has told an agency."""
    return ToldElsewhere(
        incident=OTHER,
        disclosure=DisclosureId(disclosure),
        agency=agency,
        service=SERVICES[agency],
        version=version,
    )


def confirm_match(other: IncidentId = OTHER) -> c.ConfirmMatch:
    return c.ConfirmMatch(other=other, relation=Relation.SAME_CRASH)


def undo_match(other: IncidentId = OTHER) -> c.UndoMatch:
    return c.UndoMatch(other=other, relation=Relation.SAME_CRASH)


def issue_receipt() -> c.IssueReceipt:
    return c.IssueReceipt(checks=(("readable", True), ("located", True)))


def end_test(*, called_back: bool = True) -> c.EndTest:
    return c.EndTest(checks=(("readable", True), ("located", True), ("called_back", called_back)))


def clear_down() -> c.AnswerVehicle:
    return c.AnswerVehicle(answer=AnswerId("clear-down"), action=AnswerAction.CLEAR_DOWN)


def answer_vehicle(answer: str = "answer-1", text: str = "") -> c.AnswerVehicle:
    action = AnswerAction.MESSAGE if text else AnswerAction.REQUEST_DATA
    return c.AnswerVehicle(answer=AnswerId(answer), action=action, text=text)


def confirm_answer(answer: str = "answer-1") -> c.ConfirmAnswer:
    return c.ConfirmAnswer(answer=AnswerId(answer), channel="mqtt")


def plan_for(kind: EmergencyKind, *agencies: AgencyId) -> c.RecordPlan:
    """The plan made anew for another kind of emergency, at the same place."""
    services = tuple(SERVICES[agency] for agency in agencies)
    return replace(plan(), again=True, same_place=True, kind=kind, services=services, agencies=agencies)


def plan(*, moved_m: int | None = None) -> c.RecordPlan:
    return c.RecordPlan(
        again=moved_m is not None,
        moved_m=moved_m,
        prefecture="JP-13",
        services=(Service.FIRE, Service.POLICE),
        agencies=(FIRE, POLICE),
        reasons=("fire:polygon", "police:polygon"),
        flags=("near_border",),
        border_m=1200,
        datasets=("jp_prefectures:0123456789abcdef",),
        parts={Category.LOC: PERSONAL},
    )


def hear_place(how: str = "road", operator: str = "hanako") -> c.HearPlace:
    said = b'{"by":"posts","horizontalAccuracy":80.0,"latitude":35.7,"longitude":139.8,"stated":"invented road 10.5"}'
    return c.HearPlace(operator=OperatorId(operator), how=how, found=True, place=said)


def settle_heard(*, adopted: bool = True, operator: str = "hanako") -> c.SettleHeard:
    return c.SettleHeard(operator=OperatorId(operator), adopted=adopted)


def read_back(disclosure: str = "d1", version: int = 1, *, agreed: bool = True, operator: str = "hanako") -> c.ReadBack:
    return c.ReadBack(
        operator=OperatorId(operator),
        disclosure=DisclosureId(disclosure),
        version=version,
        agreed=agreed,
        with_code=True,
        place=b"" if agreed else b'{"stated":"below the invented bridge"}',
    )


def state_kind(kind: EmergencyKind = EmergencyKind.ILLNESS, *, operator: str = "hanako") -> c.StateKind:
    return c.StateKind(operator=OperatorId(operator), kind=kind)


def answer_card(
    question: str = "breathing",
    *,
    category: Category = Category.OBS,
    urgent: tuple[str, ...] = ("heard_severe",),
    needs: tuple[Service, ...] = (Service.FIRE,),
    source: Literal["person", "family", "bystander", "medical_staff", ""] = "",
    operator: str = "hanako",
) -> c.AnswerCard:
    """What was answered; of somebody's health nothing stands in clear."""
    sealed = category is Category.MED
    return c.AnswerCard(
        operator=OperatorId(operator),
        question=question,
        category=category,
        answer=PERSONAL,
        urgent=() if sealed else urgent,
        needs=() if sealed else needs,
        source=source,
    )


def state_language(language: str = "ko", *, operator: str = "hanako") -> c.StateLanguage:
    return c.StateLanguage(operator=OperatorId(operator), language=language)


def dial_interpreter(leg: str = "leg-interpreter", who: str = "line-1") -> c.DialLeg:
    return c.DialLeg(leg=LegId(leg), party=Party.INTERPRETER, who=who, line="interpreter")


def decline(*services: Service, operator: str = "hanako", words: str = "nobody needs them") -> c.DeclineTelling:
    return c.DeclineTelling(
        operator=OperatorId(operator),
        services=services or (Service.FIRE, Service.POLICE),
        reason=DeclineReason.NOT_NEEDED,
        words=words,
    )


def close(disposition: Disposition = Disposition.FALSE_ALARM) -> c.CloseIncident:
    """Closed, and whoever is still to be told is not told."""
    return c.CloseIncident(disposition=disposition, untold=DeclineReason.NOT_NEEDED, words="invented: all is well")


def notice_move(distance_m: int = 27_000) -> c.NoticeMove:
    return c.NoticeMove(distance_m=distance_m)


def settle_move(*, operator: str = "hanako", adopted: bool = True) -> c.SettleMove:
    return c.SettleMove(operator=OperatorId(operator), adopted=adopted)


def state_place(*, operator: str = "hanako") -> c.StatePlace:
    return c.StatePlace(operator=OperatorId(operator), how="words", located=False, place=PERSONAL)


def describe() -> c.DescribePlace:
    return c.DescribePlace(source="nominatim", distance_m=10, parts={Category.LOC: PERSONAL})


def recognise(*flags: str, opt_out: bool = False, profiling: bool = True, window_s: int = 3600) -> c.RecogniseVehicle:
    return c.RecogniseVehicle(
        flags=flags,
        pack="demo@0123456789abcdef",
        entitlement="never" if "not_entitled" in flags else "entitled",
        opt_out=opt_out,
        profiling=profiling,
        call_back_window_s=window_s,
        record="019b7890-0000-7000-8000-00000000feed",
        holder="019b7890-0000-7000-8000-00000000beef",
        clauses=("life_protection=demo-terms/1#4.2",),
        parts={Category.OWN: PERSONAL},
    )


def copy_registered(*categories: Category, withheld: tuple[Category, ...] = ()) -> c.CopyRegisteredData:
    return c.CopyRegisteredData(
        holder="subscriber-1",
        withheld=withheld,
        rule="JP-16",
        ground="JP-18-3-ii",
        law_version="APPI-2024-04-01",
        rules="rules@00",
        necessity="automatic_crash",
        consent="delay",
        parts=dict.fromkeys(categories, PERSONAL),
    )


def take_medical(text: str = "allergic, says the wife", *, obligations: tuple[str, ...] = ()) -> c.TakeMedical:
    return c.TakeMedical(
        text=text,
        source="family",
        rule="JP-15",
        ground="JP-20-2-ii",
        law_version="APPI-2024-04-01",
        rules="rules@00",
        necessity="automatic_crash",
        consent="unconscious",
        obligations=obligations,
    )


def refuse_disclosure(agency: AgencyId = POLICE) -> c.RefuseDisclosure:
    return c.RefuseDisclosure(
        agency=agency,
        rule="XX-99",
        outcome="refer",
        path="life_protection",
        necessity="",
        consent="no_answer",
        tried=(("JP-01", "no_danger"),),
    )


def meet(
    obligation: str = "review_within_a_day",
    about: str = "d1",
    *,
    outcome: str = "in_order",
    operator: str = "jiro",
    supervises: bool = True,
    words: str = "looked at it",
) -> c.MeetObligation:
    return c.MeetObligation(
        obligation=obligation,
        about=about,
        outcome=outcome,
        words=words,
        operator=OperatorId(operator),
        supervises=supervises,
    )


def ask(
    request: str = "q1",
    *,
    recipient: Recipient = Recipient.INV,
    path: Path = Path.INQUIRY,
    scope: tuple[Category, ...] = (Category.LOC, Category.VEH),
    document: str = "ab" * 32,
    country: str = "JP",
) -> c.ReceiveRequest:
    return c.ReceiveRequest(
        request=RequestId(request),
        recipient=recipient,
        path=path,
        scope=scope,
        issuer="invented police station",
        person="invented sergeant",
        call_back="+81300000110",
        provision="Code of Criminal Procedure 197(2)",
        reference="no. 17",
        document=document,
        country=country,
        channel="letter",
        words="where was the car",
        operator=OperatorId("hanako"),
    )


def refuse_request(request: str = "q1", reason: RefusalReason = RefusalReason.NO_GROUND) -> c.RefuseRequest:
    return c.RefuseRequest(
        request=RequestId(request), reason=reason, words="invented: no provision", operator=OperatorId("hanako")
    )


def check(fact: Fact = Fact.DOCUMENT_ON_FILE, request: str = "q1", *, supervises: bool = False) -> c.CheckRequest:
    return c.CheckRequest(
        request=RequestId(request),
        fact=fact,
        words="read it",
        operator=OperatorId("hanako"),
        supervises=supervises,
    )


def approve(operator: str = "hanako", request: str = "q1", *, supervises: bool = False) -> c.ApproveRequest:
    return c.ApproveRequest(request=RequestId(request), operator=OperatorId(operator), supervises=supervises)


def answer_request(
    request: str = "q1",
    *,
    outcome: str = "permit",
    sections: tuple[Category, ...] = (Category.LOC,),
    obligations: tuple[str, ...] = (),
) -> c.AnswerRequest:
    return c.AnswerRequest(
        request=RequestId(request),
        outcome=outcome,
        rule="JP-07",
        ground="JP-27-1-i",
        grounds=("JP-27-1-i",),
        law_version="APPI-2024-04-01",
        rules="rules@00",
        clause="",
        sections=dict.fromkeys(sections, PERSONAL),
        withheld=(),
        without=(),
        statements=(),
        facts=("document_on_file", "two_person_approval"),
        tried=(),
        obligations=obligations,
        document=PERSONAL,
        digest="cd" * 32,
        operator=OperatorId("hanako"),
    )


def judge(report: int = 2) -> c.JudgeSeverity:
    return c.JudgeSeverity(
        judged_by="wang-2022-all", coefficients="ef" * 32, scored=True, report=report, severe=False, judgement=PERSONAL
    )


def offer(*desks: str) -> c.OfferDesks:
    return c.OfferDesks(desks=tuple(DeskId(desk) for desk in desks))


def take(operator: str = "hanako") -> c.TakeIncident:
    return c.TakeIncident(operator=OperatorId(operator), desk=DeskId(f"desk-{operator}"))


def release(operator: str = "hanako") -> c.ReleaseOperator:
    return c.ReleaseOperator(operator=OperatorId(operator), reason="desk_silent")


def invite(leg: str = "leg-vehicle", party: Party = Party.VEHICLE, who: str = "vehicle") -> c.InviteLeg:
    return c.InviteLeg(leg=LegId(leg), party=party, who=who)


def dial(leg: str = "leg-5", who: str = "jp-13-fire", party: Party = Party.AGENCY) -> c.DialLeg:
    return c.DialLeg(leg=LegId(leg), party=party, who=who, line="first")


def dial_on_call(leg: str = "leg-saburo", who: str = "saburo") -> c.DialLeg:
    return c.DialLeg(leg=LegId(leg), party=Party.SUPERVISOR, who=who, line="on_call", held=True)


def withhold(reason: str = "law") -> c.WithholdTelling:
    return c.WithholdTelling(reason=reason, agency=FIRE, rule="JP-05", outcome="refer")


def place_in_mass_event(place: str = "13104", mass_event: str = "mass-event-1") -> c.PlaceInMassEvent:
    return c.PlaceInMassEvent(mass_event=MassEventId(mass_event) if place else None, place=place)


def hold_telling(agency: AgencyId = FIRE) -> c.HoldTelling:
    return c.HoldTelling(agency=agency)


def hear(how: ResponseHow = ResponseHow.SPEECH, operator: str = "hanako") -> c.HearResponse:
    return c.HearResponse(operator=OperatorId(operator), how=how)


def wait_longer(seconds: int = 30, operator: str = "hanako") -> c.AwaitResponse:
    return c.AwaitResponse(operator=OperatorId(operator), seconds=seconds, reason=WaitReason.LINE)


def limit_search(nobody_after_ms: int = 30_000) -> c.LimitSearch:
    return c.LimitSearch(nobody_after_ms=nobody_after_ms)


def set_mode(
    leg: str = "leg-vehicle", operator: str = "hanako", *, held: bool = True, muted: bool = False
) -> c.SetLegMode:
    return c.SetLegMode(leg=LegId(leg), operator=OperatorId(operator), held=held, muted=muted)


def transfer(leg: str = "leg-vehicle", to: str = "incident-b", as_leg: str = "leg-there") -> c.TransferLeg:
    return c.TransferLeg(leg=LegId(leg), to=IncidentId(to), as_leg=LegId(as_leg))


def speak_brief(
    leg: str = "leg-5",
    disclosure: str = "d1",
    *,
    why: Telling = Telling.ASKED,
    operator: str | None = "hanako",
    by_keys: bool = False,
) -> c.SpeakBrief:
    return c.SpeakBrief(
        leg=LegId(leg),
        disclosure=DisclosureId(disclosure),
        language="ja",
        why=why,
        by_keys=by_keys,
        operator=OperatorId(operator) if operator else None,
    )


def join(leg: str = "leg-vehicle", party: Party = Party.VEHICLE, who: str = "vehicle") -> c.JoinLeg:
    return c.JoinLeg(leg=LegId(leg), party=party, who=who)


def leave(leg: str = "leg-vehicle", reason: str = "hung_up") -> c.LeaveLeg:
    return c.LeaveLeg(leg=LegId(leg), reason=reason)


def start_recording(recording: str = "rec-1") -> c.StartRecording:
    return c.StartRecording(recording=RecordingId(recording))


def seal_recording(recording: str = "rec-1") -> c.SealRecording:
    return c.SealRecording(
        recording=RecordingId(recording),
        manifest=PERSONAL,
        manifest_digest="cd" * 32,
        chunks=3,
        duration_ms=61_000,
    )


def fail_recording(recording: str = "rec-1") -> c.FailRecording:
    return c.FailRecording(recording=RecordingId(recording), reason="disk_full")


def note(text: str = "answers, bleeding", category: Category = Category.OBS) -> c.AddNote:
    return c.AddNote(category=category, text=text)


def disclose(
    disclosure: str = "d1",
    agency: AgencyId = FIRE,
    *,
    partner: bool = False,
    confirmed: bool = False,
    sections: tuple[Category, ...] = (Category.LOC, Category.SEV),
    path: Path = Path.LIFE_PROTECTION,
    referral: str | None = None,
    supersedes: str | None = None,
    unattended: bool = False,
    obligations: tuple[str, ...] = (),
    reason: str = "",
    corrected: bool = False,
    version: int = 0,
    heard: int = 0,
) -> c.DecideDisclosure:
    return c.DecideDisclosure(
        disclosure=DisclosureId(disclosure),
        agency=agency,
        exercise_partner=partner,
        confirmed=confirmed,
        service=SERVICES.get(agency, Service.MEDICAL),
        rule="JP-01",
        ground="JP-27-1-ii",
        law_version="2026-04-01",
        clause="APPI Art. 27(1)(ii)",
        necessity="automatic_crash",
        consent="no_answer",
        opt_out_overridden=False,
        sections=dict.fromkeys(sections, PERSONAL),
        withheld=(Category.MED,),
        brief=PERSONAL,
        path=path,
        referral=ReferralId(referral) if referral else None,
        supervisor=OperatorId("jiro") if referral else None,
        supersedes=DisclosureId(supersedes) if supersedes else None,
        brief_version=version or (2 if supersedes else 1),
        corrected=corrected,
        heard=heard,
        unattended=unattended,
        review=unattended,
        obligations=obligations,
        reason=reason,
    )


def consent(
    answer: ConsentAnswer = ConsentAnswer.AGREED, *categories: Category, agencies: tuple[AgencyId, ...] = ()
) -> c.RecordConsent:
    return c.RecordConsent(answer=answer, categories=categories, agencies=agencies, audio_ms=41_000)


def refer(referral: str = "r1", agency: AgencyId = FIRE) -> c.ReferDisclosure:
    return c.ReferDisclosure(
        referral=ReferralId(referral),
        agency=agency,
        rule="JP-05",
        path=Path.REFUSED,
        necessity="automatic_crash",
        consent="refused",
        reason="sounds confused",
    )


def answer_referral(referral: str = "r1", *, approved: bool = True, supervisor: str = "jiro") -> c.AnswerReferral:
    return c.AnswerReferral(
        referral=ReferralId(referral),
        supervisor=OperatorId(supervisor),
        approved=approved,
        facts=("capacity_in_doubt",),
        reason="in shock",
    )


def start_delivery(disclosure: str = "d1") -> c.StartDelivery:
    return c.StartDelivery(disclosure=DisclosureId(disclosure), channel="portal")


def confirm(disclosure: str = "d1", level: Acknowledgement = Acknowledgement.DELIVERED) -> c.ConfirmDelivery:
    return c.ConfirmDelivery(disclosure=DisclosureId(disclosure), level=level, receipt="portal-1")


def fail_delivery(disclosure: str = "d1") -> c.FailDelivery:
    return c.FailDelivery(disclosure=DisclosureId(disclosure), attempt=1, reason="timeout")


def acknowledge(
    disclosure: str = "d1", agency: AgencyId = FIRE, level: Acknowledgement = Acknowledgement.TAKEN_OVER
) -> c.Acknowledge:
    return c.Acknowledge(disclosure=DisclosureId(disclosure), agency=agency, level=level)


def reject(disclosure: str = "d1", agency: AgencyId = FIRE) -> c.Reject:
    return c.Reject(disclosure=DisclosureId(disclosure), agency=agency, reason="out_of_area")


def report_status(
    disclosure: str = "d1", agency: AgencyId = FIRE, status: AgencyStatus = AgencyStatus.DISPATCHED
) -> c.ReportStatus:
    return c.ReportStatus(disclosure=DisclosureId(disclosure), agency=agency, status=status)


def take_rung(
    number: int = 1,
    rung: Rung = Rung.PUSH,
    disclosure: str = "d1",
    *,
    line: str | None = None,
    leg: str | None = None,
    proposed: tuple[AgencyId, ...] = (),
    next_after_ms: int | None = 20_000,
) -> c.TakeRung:
    return c.TakeRung(
        disclosure=DisclosureId(disclosure),
        number=number,
        rung=rung,
        reason="due",
        elapsed_ms=0,
        next_after_ms=next_after_ms,
        line=line,
        leg=None if leg is None else LegId(leg),
        proposed=proposed,
    )


def end_call(leg: str = "leg-fire", outcome: str = "no_answer", disclosure: str = "d1") -> c.EndAgencyCall:
    return c.EndAgencyCall(disclosure=DisclosureId(disclosure), leg=LegId(leg), outcome=outcome)


def ask_back(
    disclosure: str = "d1", agency: AgencyId = FIRE, question: Question = Question.WHERE, text: str = "which lane?"
) -> c.AskBack:
    return c.AskBack(disclosure=DisclosureId(disclosure), agency=agency, question=question, text=text)


def take_over(
    operator: str = "jiro",
    holder: str = "hanako",
    *,
    reason: TakeoverReason = TakeoverReason.ASKED,
    supervisor: bool = False,
) -> c.TakeOver:
    return c.TakeOver(
        operator=OperatorId(operator),
        desk=DeskId(f"desk-{operator}"),
        holder=OperatorId(holder),
        reason=reason,
        supervisor=supervisor,
    )


def offer_handover(to: str = "jiro", operator: str = "hanako", note: str = "the next shift") -> c.OfferHandover:
    return c.OfferHandover(operator=OperatorId(operator), to=OperatorId(to), note=note)


def answer_handover(operator: str = "jiro", *, accepted: bool = True) -> c.AnswerHandover:
    return c.AnswerHandover(operator=OperatorId(operator), desk=DeskId(f"desk-{operator}"), accepted=accepted)


def raise_alarm(why: AlarmKind = AlarmKind.SET_ASIDE, about: str = "planner") -> c.RaiseAlarm:
    return c.RaiseAlarm(why=why, about=about)


def ask_assistance(text: str = "two callers at once", operator: str = "hanako") -> c.AskAssistance:
    return c.AskAssistance(operator=OperatorId(operator), text=text)


def show_alarm(alarm: str, *supervisors: str, audience: Audience = Audience.SUPERVISORS) -> c.ShowAlarm:
    return c.ShowAlarm(alarm=AlarmId(alarm), audience=audience, supervisors=tuple(map(OperatorId, supervisors)))


def acknowledge_alarm(alarm: str, operator: str = "jiro", *, supervisor: bool = True) -> c.AcknowledgeAlarm:
    return c.AcknowledgeAlarm(alarm=AlarmId(alarm), operator=OperatorId(operator), supervisor=supervisor)


def passing(name: str) -> c.PassDeadline:
    return c.PassDeadline(name=name)


def read_parts(reader: str = "operator:hanako", *, purpose: str = "rescue", reason: str = "") -> c.ReadParts:
    return c.ReadParts(reader=reader, categories=(Category.LOC, Category.TEL), purpose=purpose, reason=reason)


def hold(name: str = "hold-1", words: str = "the driver has a lawyer") -> c.PlaceHold:
    return c.PlaceHold(hold=HoldId(name), ground=HoldGround.LITIGATION, words=words, by="operator:hanako")


def release_hold(name: str = "hold-1", words: str = "settled") -> c.ReleaseHold:
    return c.ReleaseHold(hold=HoldId(name), words=words, by="operator:hanako")


def destroy(
    *categories: Category,
    due_at: datetime = START,
    started_at: datetime = START + timedelta(days=1),
    approved: tuple[str, ...] = ("operator:hanako", "operator:jiro"),
    seen: int = 10_000,
) -> c.DestroyData:
    disposed = tuple(
        Disposed(
            category=category,
            tag="nonincident-4w",
            version="2026-11-30",
            started_at=started_at,
            due_at=due_at,
            keks=("nonincident-4w.2026-01.00000000",),
        )
        for category in categories
    )
    return c.DestroyData(seen=seen, disposal="disposal-1", listed="ab" * 32, disposed=disposed, approved=approved)


def export() -> c.RecordExport:
    return c.RecordExport(export="export-1", categories=(Category.LOC,), purpose="regulator")
