"""When a brief may be read by machine, whatever is ordered in whatever sequence."""

import random

import pytest

from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.lifecycle import evolve
from sos.incident.model import Acknowledgement, Incident, LegId, OperatorId, Party, State, Telling
from sos.incident.voice import MOST_READINGS, attended, key_offer
from tests.journeys import story as s
from tests.journeys.story import Story
from tests.sos.incident.test_lifecycle_properties import any_command

FIRE_LEG = LegId("leg-fire")


def told() -> Story:
    story = Story()
    for command in (s.open_incident(), s.take(), s.disclose(), s.join(FIRE_LEG, Party.AGENCY, s.FIRE)):
        story.do(command)
    return story


@pytest.mark.parametrize("seed", range(40))
def test_a_machine_speaks_by_itself_only_where_no_person_of_ours_can(seed: int):
    pick, story = random.Random(seed), told()
    for _ in range(200):
        alone = s.speak_brief(FIRE_LEG, pick.choice(("d1", "d2")), why=pick.choice(tuple(Telling)), operator="jiro")
        try:
            story.do(any_command(pick) if pick.random() < 0.7 else alone, after_s=pick.choice((0, 1, 6)))
        except Refused:
            continue

    state, readings = Incident(id=story.incident.id, tenant=story.incident.tenant), 0
    for recorded in story.recorded:
        if isinstance(event := recorded.event, e.BriefSpoken):
            readings += 1
            leg, disclosure = state.leg(event.leg), state.disclosure(event.disclosure)
            assert leg is not None
            assert disclosure is not None
            assert (leg.up, leg.party, leg.who) == (True, Party.AGENCY, disclosure.agency)
            assert disclosure.rejected is None
            if event.why is Telling.ALONE:
                assert not attended(state)
                assert event.disclosure not in leg.briefs
                assert disclosure.reached not in (Acknowledgement.HEARD, Acknowledgement.TAKEN_OVER)
            if event.why is Telling.AGAIN:
                assert event.disclosure in leg.briefs
            if event.why is not Telling.ASKED:
                assert state.state is not State.CLOSED
        state = evolve(state, recorded.event, at=recorded.at)
    assert all(len(leg.briefs) <= MOST_READINGS for leg in state.legs)
    assert readings == sum(isinstance(each.event, e.BriefSpoken) for each in story.recorded)


@pytest.mark.parametrize(
    ("party", "mode", "counts"),
    [
        (Party.OPERATOR, {}, True),
        (Party.OPERATOR, {"muted": True}, True),
        (Party.OPERATOR, {"held": True}, False),
        (Party.SUPERVISOR, {}, True),
        (Party.SUPERVISOR, {"muted": True}, False),
        (Party.SUPERVISOR, {"held": True}, False),
        (Party.SUPERVISOR, {"coaching": FIRE_LEG}, False),
        (Party.AGENCY, {}, False),
        (Party.VEHICLE, {}, False),
    ],
)
def test_a_person_of_ours_counts_who_can_talk_with_the_others(party: Party, mode: dict[str, object], counts: bool):
    story = told()
    story.do(s.join("leg-x", party, "somebody"))
    if mode:
        wanted = {"held": False, "muted": False} | mode
        story.do(c.SetLegMode(leg=LegId("leg-x"), operator=OperatorId("hanako"), **wanted))  # type: ignore[arg-type]

    assert attended(story.incident) is counts
    story.do(s.leave("leg-x"))
    assert not attended(story.incident)


def test_only_keys_that_were_offered_last_and_before_count():
    story = told()
    story.do(s.speak_brief(FIRE_LEG, why=Telling.ALONE, operator=None, by_keys=True))
    offered = len(story.recorded)
    story.do(c.PressKeys(leg=FIRE_LEG, keys="1"))
    story.do(s.speak_brief(FIRE_LEG, why=Telling.ASKED))
    asked = len(story.recorded)

    assert key_offer(story.recorded, FIRE_LEG, before=offered) is None
    assert key_offer(story.recorded, FIRE_LEG, before=offered + 1) == story.recorded[offered - 1].event
    assert key_offer(story.recorded, FIRE_LEG, before=asked + 1) is None
    assert key_offer(story.recorded, LegId("leg-x"), before=asked) is None
