"""How long the contents of an incident are kept: the strictest closing wins, whoever closes it as what."""

import pytest

from routing.categories import Category
from routing.law.codes import Path
from routing.services import Recipient
from sos.incident import commands as c
from sos.incident.lifecycle import replay
from sos.incident.model import Disposition, Incident, Mode
from tests.journeys import story as s
from tests.journeys.story import Story

SPOKEN, HEARD, RECEIVED = Category.OBS, Category.AUD, Category.RAW
CASE = {SPOKEN: "incident-case-3y", HEARD: "incident-audio-1y", RECEIVED: "incident-raw-1y"}
NONE = dict.fromkeys(CASE, "nonincident-4w")


def closed(*commands: c.Command, mode: Mode = Mode.LIVE) -> Story:
    made = Story()
    for command in (s.open_incident(mode), s.take(), *commands):
        made.do(command, actor="operator:hanako", after_s=1)
    return made


def kept(made: Story) -> dict[Category, str]:
    return {category: name for category, name in made.incident.kept_as if category in CASE}


def close(disposition: Disposition) -> c.CloseIncident:
    return c.CloseIncident(disposition=disposition)


def again(disposition: Disposition) -> tuple[c.Command, ...]:
    return (c.ReopenIncident(reason="called again"), s.take(), close(disposition))


def test_what_an_agency_was_told_of_is_kept_as_a_case_though_it_is_reopened_and_closed_as_a_false_alarm():
    made = closed(s.disclose(), s.acknowledge(), close(Disposition.HANDED_OVER), *again(Disposition.FALSE_ALARM))

    assert kept(made) == CASE
    assert dict(made.recorded[-1].event.retention)[SPOKEN] == "incident-case-3y"


def test_what_an_agency_was_told_of_is_kept_as_a_case_though_its_only_closing_says_false_alarm():
    assert kept(closed(s.disclose(), s.reject(), close(Disposition.FALSE_ALARM))) == CASE


def test_what_was_real_once_is_never_kept_shorter_though_nobody_was_told():
    assert kept(closed(close(Disposition.NO_HELP_NEEDED), *again(Disposition.MISUSE))) == CASE


def test_what_a_public_body_was_answered_about_is_kept_as_a_case():
    asked = s.ask(path=Path.PUBLIC_TASK, recipient=Recipient.POL)
    made = closed(close(Disposition.FALSE_ALARM), asked, s.answer_request(), *again(Disposition.FALSE_ALARM))

    assert kept(made) == CASE


def test_what_an_agency_was_told_of_from_another_car_of_the_crash_is_kept_as_a_case():
    linked = s.link(told=(s.told_elsewhere(),))

    assert kept(closed(linked, close(Disposition.FALSE_ALARM))) == CASE
    assert kept(closed(s.link(), close(Disposition.FALSE_ALARM))) == NONE


@pytest.mark.parametrize("disposition", [Disposition.FALSE_ALARM, Disposition.MISUSE])
def test_what_was_no_emergency_and_told_to_nobody_is_kept_four_weeks(disposition: Disposition):
    assert kept(closed(close(disposition), *again(disposition))) == NONE


def test_a_later_closing_may_lengthen():
    assert kept(closed(close(Disposition.FALSE_ALARM), *again(Disposition.NO_HELP_NEEDED))) == CASE


def test_what_was_told_in_an_exercise_is_kept_as_an_exercise():
    drilled = closed(s.disclose(partner=True), s.reject(), close(Disposition.DRILL), mode=Mode.DRILL)

    assert kept(drilled) == NONE


def test_an_older_closing_that_gave_too_short_a_class_is_read_as_the_strictest():
    made = closed(s.disclose(), s.reject(), close(Disposition.FALSE_ALARM))
    short = tuple((category, "nonincident-4w") for category in Category)
    *before, last = made.recorded
    older = type(last.event)(disposition=Disposition.FALSE_ALARM, retention=short)
    entries = (*before, type(last)(**{**{f: getattr(last, f) for f in last.__struct_fields__}, "event": older}))

    state = replay(Incident(id=made.incident.id, tenant=made.incident.tenant), entries)

    assert {category: name for category, name in state.kept_as if category in CASE} == CASE
