"""What was answered of the question card: the last answer stands with all it feeds, and who was told hears of it."""

from datetime import timedelta

import pytest

from routing.categories import Category
from routing.services import Service
from sos.errors import Refused
from sos.incident import cards, place
from sos.incident import commands as c
from sos.incident.model import State, Trigger
from tests.journeys import story as s
from tests.journeys.story import Story

SECTIONS = (Category.LOC, Category.OBS)


def in_call(*commands: c.Command) -> Story:
    told = Story()
    for command in (s.open_incident(trigger=Trigger.MANUAL), s.file_report(), s.plan(), s.take(), *commands):
        told.do(command, after_s=1)
    return told


def test_the_last_answer_stands_with_what_it_feeds_and_both_are_kept():
    told = in_call(s.answer_card("breathing"), s.answer_card("breathing", urgent=(), needs=()))

    (heard,) = told.incident.heard
    assert (heard.urgent, heard.needs, told.incident.urgent) == ((), (), ())
    assert [type(each.event).__name__ for each in told.recorded].count("CardAnswered") == 2


def test_what_is_answered_gives_a_head_start_and_names_who_is_needed():
    told = in_call(
        s.answer_card("trapped", urgent=("trapped",)),
        s.answer_card("in_traffic", urgent=(), needs=(Service.POLICE,)),
    )

    assert told.incident.urgent == ("trapped",)
    assert cards.needed(told.incident) == (Service.FIRE, Service.POLICE)


def test_no_answer_takes_back_what_a_report_says():
    report = c.FileReport(sequence=2, located=True, parts={}, report_digest="2" * 64, urgent=("fire",))
    told = in_call(
        s.answer_card("fire", urgent=("fire",)), report, s.answer_card("fire", urgent=(), needs=()),
        s.recognise(), s.judge(40),
    )  # fmt: skip

    assert told.incident.urgent == ("fire",)


def test_who_is_needed_by_an_answer_is_not_declined_any_more():
    told = in_call(s.decline(Service.FIRE, Service.POLICE), s.answer_card("fire", urgent=("fire",)))

    assert told.incident.declined == (Service.POLICE,)


def test_only_who_has_the_incident_answers_and_never_of_a_closed_one():
    told = in_call()
    with pytest.raises(Refused, match="only the operator"):
        told.do(s.answer_card(operator="jiro"))
    told.do(s.close())
    with pytest.raises(Refused, match="closed"):
        told.do(s.answer_card())


@pytest.mark.parametrize("clear", [{"urgent": ("heard_severe",)}, {"needs": (Service.FIRE,)}])
def test_nothing_of_somebodys_health_stands_in_clear(clear: dict[str, tuple[str, ...]]):
    command = c.AnswerCard(
        operator=s.answer_card().operator,
        question="chest_pain",
        category=Category.MED,
        answer=b"{}",
        source="person",
        **clear,  # type: ignore[arg-type]
    )
    with pytest.raises(Refused, match="in clear"):
        in_call().do(command)


def test_who_has_taken_over_hears_of_an_answer_at_once_then_once_a_minute_and_who_has_not_does_not():
    told = in_call(s.disclose(sections=SECTIONS), s.disclose("d2", s.POLICE, sections=SECTIONS), s.answer_card())
    assert place.correctable(told.incident, told.now) == ()

    told.do(s.acknowledge(), after_s=5)
    (first,) = place.correctable(told.incident, told.now)
    assert first.disclosure == "d1"
    newer = s.disclose(
        "d3", sections=SECTIONS, supersedes="d1", corrected=True, confirmed=True, heard=told.incident.version
    )
    told.do(newer, after_s=1)
    assert place.correctable(told.incident, told.now) == ()

    told.do(s.answer_card("trapped"), after_s=1)
    assert place.correctable(told.incident, told.now) == ()
    assert dict(place.corrections(told.incident)) == {"correct": told.now - timedelta(seconds=1) + place.CORRECT.after}
    assert [one.disclosure for one in place.correctable(told.incident, told.now + place.CORRECT.after)] == ["d3"]


def test_an_answer_in_a_category_that_was_withheld_makes_no_newer_brief():
    told = in_call(s.disclose(sections=SECTIONS), s.acknowledge())
    told.do(s.answer_card("chest_pain", category=Category.MED, source="person"), after_s=1)

    assert [one.unheard for one in told.incident.disclosures] == [False]


def test_an_answer_that_came_while_the_brief_was_made_is_told_after_it():
    told = in_call()
    known = cards.last(told.incident)
    told.do(s.answer_card(), after_s=1)
    told.do(s.disclose(sections=SECTIONS, heard=known), after_s=1)

    assert [one.unheard for one in told.incident.disclosures] == [True]


def test_what_others_said_of_a_persons_health_is_looked_at_as_the_law_wants():
    answer = s.answer_card("chest_pain", category=Category.MED, source="bystander")
    told = in_call(c.AnswerCard(**{n: getattr(answer, n) for n in answer.__struct_fields__ if n != "obligations"},
                                obligations=("later_explanation",)))  # fmt: skip

    assert [owed.obligation for owed in told.incident.owed] == ["later_explanation"]
    assert told.incident.state is State.IN_CALL
