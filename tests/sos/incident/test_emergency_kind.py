"""What kind of emergency it is: never assumed, a person's word over a vehicle's, and help is only ever added."""

from collections.abc import Sequence

import pytest

from routing.kinds import EmergencyKind
from routing.services import Service
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import emergency
from sos.incident.model import Incident, KindSource, Party, Trigger
from tests.journeys import story as s
from tests.journeys.story import Story

K = EmergencyKind


def filed(kind: EmergencyKind, because: str = "said", sequence: int = 1) -> c.FileReport:
    return c.FileReport(sequence=sequence, located=True, parts={}, kind=kind, kind_because=because)


def told(*commands: c.Command, trigger: Trigger = Trigger.MANUAL) -> Incident:
    story = Story()
    for command in (s.open_incident(trigger=trigger), *commands):
        story.do(command, after_s=60 if isinstance(command, c.PassDeadline) else 1)
    return story.incident


def _history(incident: Incident) -> Sequence[tuple[str, str, str]]:
    return [(said.kind, said.source, said.because) for said in incident.kinds]


def test_a_pressed_button_says_nothing_of_the_kind():
    incident = told(s.file_report())

    assert (incident.kind, incident.kinds) == (K.UNKNOWN, ())


def test_a_call_that_sensors_made_is_of_a_crash_and_names_the_vehicle_as_the_source():
    incident = told(s.file_report(), trigger=Trigger.AUTOMATIC)

    assert _history(incident) == [(K.CRASH, KindSource.VEHICLE, "trigger")]


@pytest.mark.parametrize(
    ("because", "source"),
    [
        ("said", KindSource.VEHICLE),
        ("service", KindSource.VEHICLE),
        ("crash_data", KindSource.DEDUCED),
        ("fire_sensor", KindSource.DEDUCED),
    ],
)
def test_the_kind_in_force_names_who_says_so(because: str, source: KindSource):
    incident = told(filed(K.CRASH, because))

    assert _history(incident) == [(K.CRASH, source, because)]


def test_a_report_that_says_nothing_of_the_kind_takes_nothing_back():
    assert told(filed(K.FIRE), filed(K.UNKNOWN, "", 2)).kind is K.FIRE


def test_a_vehicle_may_make_it_louder_and_never_milder():
    louder = told(filed(K.BREAKDOWN), filed(K.FIRE, "fire_sensor", 2))
    milder = told(filed(K.FIRE), filed(K.BREAKDOWN, "said", 2))

    assert (louder.kind, milder.kind) == (K.FIRE, K.FIRE)
    assert [kind for kind, _, _ in _history(louder)] == [K.BREAKDOWN, K.FIRE]


def test_a_persons_word_holds_and_what_the_vehicle_says_against_it_stands_beside_until_it_is_settled():
    incident = told(s.take(), s.state_kind(K.BREAKDOWN), filed(K.FIRE, "fire_sensor"))

    assert (incident.kind, incident.kind_against) == (K.BREAKDOWN, K.FIRE)
    settled = told(s.take(), s.state_kind(K.BREAKDOWN), filed(K.FIRE, "fire_sensor"), s.state_kind(K.BREAKDOWN))
    assert (settled.kind, settled.kind_against) == (K.BREAKDOWN, None)


def test_only_whoever_has_the_incident_says_what_has_happened():
    with pytest.raises(Refused):
        told(s.state_kind())
    with pytest.raises(Refused):
        told(s.take(), s.state_kind(operator="jiro"))


def test_who_was_told_of_another_kind_is_marked_until_told_of_the_new_one():
    incident = told(s.plan(), s.take(), s.disclose(), s.state_kind(K.ILLNESS))

    assert [each.otherwise for each in incident.disclosures] == [True]
    same = told(s.plan(), s.take(), s.state_kind(K.ILLNESS), s.disclose(), s.state_kind(K.ILLNESS))
    assert [each.otherwise for each in same.disclosures] == [False]


def test_a_breakdown_that_only_the_vehicle_names_is_not_planned_as_one_once_nobody_answers():
    spoken_to = (s.take(), s.join(), s.join("leg-hanako", Party.OPERATOR, "hanako"))
    silent = told(filed(K.BREAKDOWN), *spoken_to, s.passing("no_response"))
    stated = told(*spoken_to, s.state_kind(K.BREAKDOWN), s.passing("no_response"))

    assert emergency.planned_for(told(filed(K.BREAKDOWN), *spoken_to)) is K.BREAKDOWN
    assert emergency.planned_for(silent) is K.UNKNOWN
    assert emergency.planned_for(stated) is K.BREAKDOWN


# --- who is not told ---


def test_an_incident_is_not_closed_while_somebody_of_the_plan_was_neither_told_nor_decided_against():
    story = Story()
    for command in (s.open_incident(), s.plan(), s.take()):
        story.do(command)

    with pytest.raises(Refused, match="fire, police"):
        story.do(c.CloseIncident(disposition="false_alarm"))  # type: ignore[arg-type]
    story.do(s.decline(Service.POLICE))
    with pytest.raises(Refused, match="fire"):
        story.do(c.CloseIncident(disposition="false_alarm"))  # type: ignore[arg-type]
    story.do(s.disclose())
    story.do(s.reject())

    assert story.do(c.CloseIncident(disposition="no_help_needed")) == ("IncidentClosed",)  # type: ignore[arg-type]


def test_not_telling_needs_words_and_somebody_whom_the_plan_names():
    story = Story()
    for command in (s.open_incident(), s.plan(), s.take()):
        story.do(command)

    with pytest.raises(Refused, match="written down"):
        story.do(s.decline(Service.FIRE, words="  "))
    with pytest.raises(Refused, match="marine"):
        story.do(s.decline(Service.COAST_GUARD))


def test_the_words_are_personal_data_and_the_reason_is_a_code():
    story = Story()
    for command in (s.open_incident(), s.plan(), s.take(), s.decline(words="invented words")):
        story.do(command)

    declined = story.drafts[-1]
    assert "invented" not in repr(declined.event)
    assert b"invented words" in b"".join(declined.parts.values())


def test_a_decision_not_to_tell_holds_only_while_the_kind_does():
    decided = (s.plan(), s.take(), s.state_kind(K.BREAKDOWN), s.decline())

    assert told(*decided).declined == (Service.FIRE, Service.POLICE)
    assert told(*decided, s.state_kind(K.FIRE)).declined == ()
    assert told(*decided, s.state_kind(K.BREAKDOWN)).declined == (Service.FIRE, Service.POLICE)


def test_reopening_asks_again():
    closed = (s.plan(), s.take(), s.close(), c.ReopenIncident(reason="called again"))

    assert told(*closed).declined == ()
