"""What the law wants done is done by the record, or chased by a queue until a person says what they did."""

from pathlib import Path

import msgspec
import pytest

from routing.categories import Category
from routing.law import RuleBook
from routing.law.codes import Obligation
from sos.errors import Forbidden, Refused
from sos.incident import alarms
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import obligations as o
from sos.incident.lifecycle import deadlines, replay
from sos.incident.model import AlarmKind, Disposition, Mode
from sos.incident.obligations import Chased, Kept
from tests.journeys import story as s
from tests.journeys.story import Story

HOUR, DAY = 3600.0, 86_400.0
NAMED = {
    code
    for edition in RuleBook.shipped().editions
    for row in (*edition.rule, *edition.restriction)
    for code in row.record
} | {*RuleBook.shipped().default.record, *RuleBook.shipped().default.record_live}
BY_THE_SERVICE = {"categories", "withheld", "brief_digest", "opt_out_override", "recipient"}
"""Named by no row because every disclosure has them."""


def told(*obligations: str, mode: Mode = Mode.LIVE, reason: str = "", confirmed: bool = False) -> Story:
    made = Story()
    for command in (
        s.open_incident(mode),
        s.take(),
        s.disclose("d1", obligations=obligations, reason=reason, partner=True),
    ):
        made.do(command, after_s=1)
    return made


def owed(made: Story) -> set[tuple[str, str]]:
    return {(each.obligation, each.about) for each in made.incident.owed}


def test_every_obligation_has_exactly_one_doer_and_every_row_of_the_law_names_known_ones():
    assert set(o.DOERS) == set(Obligation)
    assert set(Obligation) == NAMED | BY_THE_SERVICE


@pytest.mark.parametrize("code", [code for code, doer in o.DOERS.items() if isinstance(doer, Kept)])
def test_what_is_kept_is_a_field_or_a_part_of_an_event(code: Obligation):
    doer = o.DOERS[code]
    assert isinstance(doer, Kept)

    for place in doer.where:
        if place.endswith("+OBS"):
            assert place[:-4] in e.KINDS
            continue
        kind, field = place.split(".")
        assert field in {each.name for each in msgspec.structs.fields(e.KINDS[kind])}


@pytest.mark.parametrize("code", [code for code, doer in o.DOERS.items() if isinstance(doer, Chased)])
def test_what_is_chased_is_owed_falls_due_and_is_met_by_a_person(code: Obligation):
    doer = o.DOERS[code]
    assert isinstance(doer, Chased)
    if code in o.NOT_FOR_PEOPLE:
        return
    made = told(code)
    ((obligation, about),) = owed(made)
    name = f"owed:{obligation}:{about}"

    assert dict(deadlines(made.incident))[name] == made.now + doer.within
    assert made.do(c.PassDeadline(name=name), after_s=doer.within.total_seconds() - 1) == ()
    assert made.do(c.PassDeadline(name=name), after_s=1) == ("ObligationDue", "AlarmRaised")
    assert dict(deadlines(made.incident))[name] == made.now + doer.again
    met = s.meet(obligation, about, outcome=min(o.outcomes(code)))
    assert made.do(met, after_s=1) == ("ObligationMet", "AlarmAcknowledged")
    assert owed(made) == set()
    assert name not in dict(deadlines(made.incident))


def test_what_is_owed_outlives_the_closing_and_is_alarmed_about_again_and_again():
    made = told("review_within_a_day")
    made.do(s.acknowledge())
    made.do(s.close(Disposition.HANDED_OVER))
    name = "owed:review_within_a_day:d1"

    late = []
    for _ in range(3):
        made.do(c.PassDeadline(name=name), after_s=DAY)
        happened = (each.event for each in reversed(made.recorded))
        late.append(next(event.late for event in happened if isinstance(event, e.ObligationDue)))

    assert late == [1, 2, 3]
    assert replay(type(made.incident)(id=made.incident.id, tenant=made.incident.tenant), tuple(made.recorded)) == (
        made.incident
    )


def test_a_missed_obligation_alarms_until_it_is_acknowledged_and_each_time_anew():
    made = told("necessity_note")
    name = "owed:necessity_note:d1"

    assert made.do(c.PassDeadline(name=name), after_s=3600) == ("ObligationDue", "AlarmRaised")
    assert made.do(c.PassDeadline(name=name), after_s=DAY) == ("ObligationDue",)  # it stands already
    (alarm,) = alarms.standing(made.incident)
    assert (alarm.why, alarm.about) == (AlarmKind.OWED, "necessity_note:d1")
    made.do(s.acknowledge_alarm(alarm.alarm, supervisor=True), after_s=1)
    assert made.do(c.PassDeadline(name=name), after_s=DAY) == ("ObligationDue", "AlarmRaised")

    assert made.do(s.meet("necessity_note", "d1", outcome="done"), after_s=1) == ("ObligationMet", "AlarmAcknowledged")
    assert alarms.standing(made.incident) == ()


def test_what_nobody_does_ends_as_missed_and_is_not_chased_for_ever():
    made = told("necessity_note")
    name = "owed:necessity_note:d1"
    for _ in range(o.CHASED_AT_MOST):
        made.do(c.PassDeadline(name=name), after_s=DAY)

    assert made.incident.owed[0].late == o.CHASED_AT_MOST
    assert dict(deadlines(made.incident))[name] == made.now + o.AUDIT
    assert made.do(c.PassDeadline(name=name), after_s=30 * DAY) == ()
    assert made.do(s.meet("necessity_note", "d1", outcome="done"), after_s=1)[0] == "ObligationMet"


def test_nobody_reviews_what_they_decided_and_an_operator_reviews_nothing():
    made = told("review_within_a_day")

    with pytest.raises(Refused, match="their own decision"):
        made.do(s.meet(operator="hanako"))
    with pytest.raises(Forbidden):
        made.do(s.meet(operator="jiro", supervises=False))
    with pytest.raises(Refused, match="written down"):
        made.do(s.meet(words=" "))
    with pytest.raises(Refused, match="how did it end"):
        made.do(s.meet(outcome="done"))
    assert made.do(s.meet(operator="jiro")) == ("ObligationMet",)
    with pytest.raises(Refused, match="done it already"):
        made.do(s.meet(operator="saburo"))


def test_words_of_a_review_are_sealed_and_in_no_header():
    made = told("review_within_a_day")
    made.do(s.meet(words="Personal-Words"))

    assert b"Personal-Words" not in msgspec.json.encode(made.recorded[-1])


def test_the_person_is_told_once_of_all_and_the_first_due_time_stands():
    made = told("later_notification")
    due = made.incident.owed[0].due_at
    made.do(s.disclose("d2", s.POLICE, obligations=("later_notification",)), after_s=DAY)

    assert owed(made) == {("later_notification", "person")}
    assert made.incident.owed[0].due_at == due


def test_a_newer_brief_takes_over_what_is_owed_about_the_one_before_no_later():
    made = told("review_within_a_day", "protected_person")
    due = {each.obligation: each.due_at for each in made.incident.owed}
    made.do(s.disclose("d2", supersedes="d1", confirmed=True, obligations=("review_within_a_day",)), after_s=HOUR)

    assert owed(made) == {("review_within_a_day", "d2"), ("protected_person", "d1")}
    assert {each.obligation: each.due_at for each in made.incident.owed} == due


def test_a_reason_given_while_telling_meets_what_wants_one():
    assert owed(told("necessity_note", "why_no_other_basis", "protected_person")) == {
        ("necessity_note", "d1"),
        ("why_no_other_basis", "d1"),
        ("protected_person", "d1"),
    }
    assert owed(told("necessity_note", "why_no_other_basis", "protected_person", reason="nobody else can say")) == {
        ("protected_person", "d1")
    }


@pytest.mark.parametrize("mode", [Mode.DRILL])
def test_an_exercise_is_owed_to_nobody(mode: Mode):
    assert owed(told("review_within_a_day", "later_notification", mode=mode)) == set()


def test_a_question_to_a_supervisor_is_late_after_a_minute_and_until_it_is_answered_or_closed():
    made = Story()
    for command in (s.open_incident(), s.take(), s.refer("r1")):
        made.do(command)
    name = "owed:supervisor_within_a_minute:r1"
    assert made.do(c.PassDeadline(name=name), after_s=60) == ("ObligationDue",)
    assert made.do(c.PassDeadline(name=name), after_s=60) == ("ObligationDue",)
    with pytest.raises(Refused, match="supervisor's answer"):
        made.do(s.meet("supervisor_within_a_minute", "r1", outcome="done"))

    made.do(s.answer_referral("r1"))

    assert owed(made) == set()
    made.do(s.refer("r2"))
    made.do(s.close(Disposition.NO_HELP_NEEDED))
    assert owed(made) == set()


def test_a_deadline_that_is_no_obligation_of_this_incident_passes_nothing():
    made = told("later_notification")

    assert made.do(c.PassDeadline(name="owed:later_notification:d1"), after_s=99 * DAY) == ()


def test_what_was_said_of_somebody_s_health_has_to_be_explained_to_them():
    made = Story()
    for command in (s.open_incident(), s.take(), s.take_medical(obligations=("later_explanation", "source_of_data"))):
        made.do(command)

    assert owed(made) == {("later_explanation", "person")}
    with pytest.raises(Refused, match="who says so"):
        made.do(s.note("diabetic", Category.MED))


def test_the_page_of_the_law_shows_exactly_who_does_what_by_when():
    page = (Path(__file__).resolve().parents[3] / "ops/docs/law.md").read_text()

    assert o.table() in page
