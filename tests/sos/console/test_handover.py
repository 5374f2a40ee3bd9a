"""An incident goes from one operator to another: at desks, at once, with one outcome in words and nothing lost."""

import asyncio

import pytest

from sos.clock import ManualClock
from sos.errors import Forbidden, Refused
from sos.incident import alarms
from sos.incident import commands as c
from sos.incident.events import HandoverEnded, HandoverOffered, NoteAdded, OperatorAssigned
from sos.incident.model import AlarmKind, DeskId, Incident, LegId, Party, State
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_alarms_at_the_desk import Floor
from tests.sos.console.window import order


@pytest.fixture
def floor(journal: Journal, clock: ManualClock) -> Floor:
    return Floor(journal, clock)


async def _now(floor: Floor) -> Incident:
    await floor.follow()
    return await floor.journal.state(floor.incident)


async def _takes(floor: Floor, who: str, reason: str, holder: str = "hanako") -> Incident:
    await order(floor.windows[who], "take_over", incident=floor.incident, holder=holder, reason=reason)
    return await _now(floor)


async def test_a_supervisor_takes_an_incident_whose_operator_s_voice_never_came(floor: Floor):
    await floor.sits("hanako", "jiro")
    floor.house.desks.set_ready(DeskId("desk-jiro"), False, seat=floor.windows["jiro"].seat)  # nobody else takes calls
    await floor.crash(s.join(), s.take())
    await floor.passes(10)

    state = await _takes(floor, "jiro", "no_voice")

    assert (state.operator, state.state) == ("jiro", State.IN_CALL)
    assert alarms.standing(state) == ()  # who acts on it has acknowledged it
    assert state.alarms[0].operator == "jiro"
    assigned = [each.event for each in await floor.journal.store.stream(floor.incident)]
    assert OperatorAssigned(operator="jiro", desk="desk-jiro", taken_from="hanako", reason="no_voice") in assigned  # type: ignore[arg-type]


async def test_a_colleague_takes_over_with_a_reason_and_not_from_somebody_who_speaks(floor: Floor):
    await floor.sits("hanako", "shiro")
    await floor.crash(s.join(), s.take(), s.join("leg-hanako", Party.OPERATOR, "hanako"))

    with pytest.raises(Refused, match="hanako is in the call"):
        await _takes(floor, "shiro", "no_voice")
    with pytest.raises(Forbidden, match="only a supervisor"):
        await _takes(floor, "shiro", "supervision")
    with pytest.raises(Refused, match="accepted, not taken"):
        await _takes(floor, "shiro", "handover")

    assert (await _takes(floor, "shiro", "language")).operator == "shiro"


async def test_the_count_without_a_voice_begins_anew_with_whoever_took_over(floor: Floor):
    await floor.sits("hanako", "jiro")
    floor.house.desks.set_ready(DeskId("desk-jiro"), False, seat=floor.windows["jiro"].seat)
    await floor.crash(s.join(), s.take())
    await floor.passes(10)
    await _takes(floor, "jiro", "no_voice")

    await floor.passes(9)
    assert alarms.standing(await _now(floor)) == ()
    await floor.passes(1)

    assert [each.why for each in alarms.standing(await _now(floor))] == [AlarmKind.NO_VOICE]


async def test_a_desk_whose_incident_was_taken_over_is_free_for_the_next(floor: Floor):
    await floor.sits("hanako", "jiro")
    await floor.crash(s.take())
    await _takes(floor, "jiro", "supervision")

    desks = {desk.operator: desk.incident for desk in floor.house.desks}
    assert desks == {"hanako": None, "jiro": floor.incident}


async def test_an_offer_is_accepted_by_that_colleague_alone_and_carries_its_note(floor: Floor):
    await floor.sits("hanako", "shiro", "jiro")
    await floor.crash(s.take())
    await order(floor.windows["hanako"], "hand_over", incident=floor.incident, to="shiro", note="wife is on her way")
    await floor.follow()

    with pytest.raises(Refused, match="not offered to you any more: hanako has it"):
        await order(floor.windows["jiro"], "answer_handover", incident=floor.incident, accepted=True)
    assert (await _now(floor)).operator == "hanako"  # an offer binds nobody
    await order(floor.windows["shiro"], "answer_handover", incident=floor.incident, accepted=True)

    state = await _now(floor)
    assert (state.operator, state.handover) == ("shiro", None)
    offered = [each for each in await floor.frames("shiro") if each["t"] == "event" and "Handover" in each["kind"]]
    assert [(each["kind"], each["data"]["to"]) for each in offered] == [("HandoverOffered", "shiro")]
    parts = [each for each in await floor.frames("shiro") if each["t"] == "parts"]
    assert parts == []  # taken out above, with the frame of the offer
    (offer,) = (
        each for each in await floor.journal.store.stream(floor.incident) if type(each.event) is HandoverOffered
    )
    assert "wife" in str(await floor.journal.parts_of(offer))
    assert "wife" not in str(offer.event)


async def test_an_offer_is_declined_or_withdrawn_and_the_incident_stays(floor: Floor):
    await floor.sits("hanako", "shiro")
    await floor.crash(s.take())
    for who in ("shiro", "hanako"):
        await order(floor.windows["hanako"], "hand_over", incident=floor.incident, to="shiro")
        await order(floor.windows[who], "answer_handover", incident=floor.incident, accepted=False)

    assert (await _now(floor)).operator == "hanako"
    ended = [
        each.event.operator
        for each in await floor.journal.store.stream(floor.incident)
        if isinstance(each.event, HandoverEnded)
    ]
    assert ended == ["shiro", "hanako"]
    with pytest.raises(Refused, match="sits at no desk"):
        await order(floor.windows["hanako"], "hand_over", incident=floor.incident, to="saburo")


async def test_an_offer_that_is_not_answered_ends_and_supervisors_hear_of_it(floor: Floor):
    await floor.sits("hanako", "shiro", "jiro")
    await floor.crash(s.take())
    await order(floor.windows["hanako"], "hand_over", incident=floor.incident, to="shiro")
    await floor.passes(30)

    assert ("AlarmRaised", "handover", "") in await floor.alarmed("jiro")
    state = await _now(floor)
    assert (state.operator, state.handover) == ("hanako", None)
    with pytest.raises(Refused, match="not offered to you any more"):
        await order(floor.windows["shiro"], "answer_handover", incident=floor.incident, accepted=True)


async def test_whoever_leaves_offers_all_that_is_open_and_gets_no_further_calls(floor: Floor):
    await floor.sits("hanako", "shiro")
    await floor.crash(s.take())

    done = await order(floor.windows["hanako"], "end_shift", to="shiro", note="night shift")

    assert done == {"offered": [floor.incident], "kept": {}}
    assert not floor.house.desks.others_ready(floor.windows["shiro"].operator.id)
    await order(floor.windows["shiro"], "answer_handover", incident=floor.incident, accepted=True)
    assert (await _now(floor)).operator == "shiro"
    again = await order(floor.windows["shiro"], "end_shift", to="saburo")
    assert again == {"offered": [], "kept": {floor.incident: "saburo sits at no desk"}}


async def test_two_operators_and_a_supervisor_at_once_end_with_one_who_has_it_and_two_who_are_told(floor: Floor):
    await floor.sits("hanako", "shiro", "jiro")
    await floor.crash(s.join(), s.take())
    await order(floor.windows["hanako"], "hand_over", incident=floor.incident, to="shiro")
    give = {"incident": floor.incident}

    outcomes = await asyncio.gather(
        order(floor.windows["shiro"], "answer_handover", **give, accepted=True),
        order(floor.windows["jiro"], "take_over", **give, holder="hanako", reason="supervision"),
        order(floor.windows["hanako"], "answer_handover", **give, accepted=False),
        order(floor.windows["hanako"], "note", **give, text="two are hurt"),
        return_exceptions=True,
    )

    state = await _now(floor)
    assert state.operator in ("shiro", "jiro", "hanako")
    refused = [str(each) for each in outcomes if isinstance(each, Exception)]
    assert all(isinstance(each, Refused | Forbidden) for each in outcomes if isinstance(each, Exception))
    assert all("has" in why or "another operator" in why for why in refused), refused
    noted = [each for each in await floor.journal.store.stream(floor.incident) if type(each.event) is NoteAdded]
    assert len(noted) == (0 if isinstance(outcomes[3], Exception) else 1)  # what is refused in words was not done
    assigned = [
        each.event for each in await floor.journal.store.stream(floor.incident) if type(each.event) is OperatorAssigned
    ]
    assert assigned[-1].operator == state.operator
    chain = [each.taken_from for each in assigned[1:]]
    assert chain == [each.operator for each in assigned[:-1]]  # each took it from the one before: nothing is skipped


async def test_what_the_first_operator_had_begun_goes_on_with_the_next(floor: Floor):
    await floor.sits("hanako", "jiro")
    await floor.crash(s.join(), s.take(), s.disclose(), s.set_mode())
    state = await _takes(floor, "jiro", "supervision")

    assert (state.state, state.operator) == (State.HANDING_OVER, "jiro")
    assert state.disclosures[0].pending
    await floor.do(c.SetLegMode(leg=LegId("leg-vehicle"), operator=floor.windows["jiro"].operator.id, held=False))
    known = (await _now(floor)).leg(LegId("leg-vehicle"))
    assert known is not None
    assert not known.held
