"""What an operator may do with the call, and what is refused in words."""

from collections.abc import Mapping

import pytest

from sos.clock import ManualClock
from sos.errors import Forbidden, Malformed, Refused
from sos.incident import commands as c
from sos.incident.events import (
    AnswerGiven,
    BriefSpoken,
    LegDialled,
    LegInvited,
    LegModeSet,
    NoticePlayed,
    ResponseAwaited,
    ResponseHeard,
)
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    IncidentId,
    LegId,
    Party,
    ResponseHow,
    Telling,
    TenantId,
    WaitReason,
)
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.window import order, room, window

LINES: Mapping[str, Mapping[str, str]] = {"jp-13-fire": {"first": "+81300000119"}}
FIRE = AgencyId("jp-13-fire")
VEHICLE, AGENCY, OWN = LegId("leg-vehicle"), LegId("leg-fire"), LegId("leg-own")


class Ears:
    """The bridge as the console knows it."""

    def __init__(self) -> None:
        self.hung_up: list[LegId] = []

    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str:
        return ""

    async def hang_up(self, leg: LegId) -> None:
        self.hung_up.append(leg)

    async def finish(self, incident: IncidentId) -> None: ...


class Desk:
    """An incident with a vehicle in the call, and the orders of the operator who has it."""

    def __init__(self, journal: Journal, incident: IncidentId, *, dials: bool) -> None:
        self.journal, self.incident, self.voice = journal, incident, Ears()
        self.dials = dials
        self.language: str | None = "ja"

    async def order(self, do: str, *, by: str = "hanako", **fields: object) -> object:
        house = room(self.journal, self.voice, dials=self.dials, lines=LINES, speaks=lambda _: self.language)
        return await order(window(house, by), do, incident=self.incident, **fields)

    async def happen(self, *commands: c.Command) -> None:
        for command in commands:
            await self.journal.execute(self.incident, command, actor="system:test")

    async def hand_over(self) -> None:
        """Fire is told, takes over and is in the call."""
        await self.happen(s.disclose(), s.acknowledge(level=Acknowledgement.TAKEN_OVER))
        await self.happen(s.invite(AGENCY, Party.AGENCY, FIRE), s.join(AGENCY, Party.AGENCY, FIRE))

    async def events(self, kind: type) -> list[object]:
        return [r.event for r in await self.journal.store.stream(self.incident) if isinstance(r.event, kind)]

    async def leg(self, leg: LegId) -> object:
        return (await self.journal.state(self.incident)).leg(leg)


@pytest.fixture(params=[False, True], ids=["no-telephone", "telephone"])
async def desk(request: pytest.FixtureRequest, journal: Journal, clock: ManualClock) -> Desk:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    made = Desk(journal, opened.incident, dials=request.param)
    await made.happen(s.take(), s.invite(VEHICLE), s.join(VEHICLE))
    await made.happen(s.invite(OWN, Party.OPERATOR, "hanako"), s.join(OWN, Party.OPERATOR, "hanako"))
    return made


async def test_a_leg_is_held_and_muted_and_let_talk_by_the_operator_alone(desk: Desk):
    await desk.order("mode", leg=VEHICLE, held=True, muted=False)
    await desk.order("mode", leg=VEHICLE, held=True, muted=True)
    await desk.order("mode", leg=VEHICLE, held=False, muted=False)

    with pytest.raises(Forbidden):
        await desk.order("mode", by="taro", leg=VEHICLE, held=True, muted=False)
    with pytest.raises(Malformed):
        await desk.order("mode", held=True, muted=False)

    modes = [(event.held, event.muted) for event in await desk.events(LegModeSet)]  # type: ignore[attr-defined]
    assert modes == [(True, False), (True, True), (False, False)]


async def test_an_agency_is_let_in_only_under_a_decision_to_tell_it_and_once(desk: Desk):
    with pytest.raises(Refused, match="decide first"):
        await desk.order("invite", agency=FIRE)
    await desk.happen(s.disclose())

    first = await desk.order("invite", agency=FIRE)
    again = await desk.order("invite", agency=FIRE)
    with pytest.raises(Refused):
        await desk.order("invite", by="taro", agency=FIRE)

    assert first == again
    invited = [event for event in await desk.events(LegInvited) if event.party is Party.AGENCY]  # type: ignore[attr-defined]
    assert [event.who for event in invited] == [FIRE]


async def test_an_agency_that_refused_is_not_let_in(desk: Desk):
    await desk.happen(s.disclose(), s.reject())

    with pytest.raises(Refused):
        await desk.order("invite", agency=FIRE)


async def test_the_line_of_an_agency_is_dialled_where_there_is_a_telephone_and_told_where_not(desk: Desk):
    await desk.happen(s.disclose())

    if desk.dials:
        await desk.order("dial", agency=FIRE, line="first")
        with pytest.raises(Refused):
            await desk.order("dial", agency=FIRE, line="first")
    else:
        with pytest.raises(Refused, match=r"\+81300000119"):
            await desk.order("dial", agency=FIRE, line="first")
    with pytest.raises(Refused, match="no such line"):
        await desk.order("dial", agency=FIRE, line="third")

    assert len(await desk.events(LegDialled)) == int(desk.dials)


async def test_a_vehicle_that_is_gone_is_called_back_by_telephone_or_asked_to_call(desk: Desk):
    with pytest.raises(Refused, match="in the call"):
        await desk.order("call_vehicle")
    await desk.happen(s.leave(VEHICLE))

    await desk.order("call_vehicle")

    dialled, answers = await desk.events(LegDialled), await desk.events(AnswerGiven)
    assert (len(dialled), len(answers)) == ((1, 0) if desk.dials else (0, 1))
    assert all(event.action == "callBack" for event in answers)  # type: ignore[attr-defined]
    assert all((event.party, event.line) == (Party.VEHICLE, "callback") for event in dialled)  # type: ignore[attr-defined]


async def test_a_silent_caller_is_asked_to_press_keys(desk: Desk):
    await desk.order("notice", leg=VEHICLE, notice="silent")

    assert [event.notice for event in await desk.events(NoticePlayed)] == ["silent"]  # type: ignore[attr-defined]
    with pytest.raises(Malformed):
        await desk.order("notice", leg=VEHICLE, notice="a text of one's own")
    with pytest.raises(Refused):
        await desk.order("notice", leg=LegId("leg-nobody"), notice="silent")


async def test_the_brief_is_read_to_the_agency_that_was_told_and_to_nobody_else(desk: Desk):
    await desk.hand_over()

    await desk.order("speak_brief", leg=AGENCY)

    (read,) = await desk.events(BriefSpoken)
    assert (read.leg, read.voice, read.why) == (AGENCY, "ja", Telling.ASKED)  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="was told"):
        await desk.order("speak_brief", leg=VEHICLE)
    with pytest.raises(Refused):
        await desk.order("speak_brief", by="taro", leg=AGENCY)
    desk.language = None
    with pytest.raises(Refused, match="yourself"):
        await desk.order("speak_brief", leg=AGENCY)


async def test_nobody_leaves_the_vehicle_alone(desk: Desk):
    with pytest.raises(Refused, match="nobody has taken over"):
        await desk.order("leave_call")
    await desk.happen(s.disclose(), s.acknowledge(level=Acknowledgement.TAKEN_OVER))

    with pytest.raises(Refused, match="alone"):
        await desk.order("leave_call")
    assert desk.voice.hung_up == []


async def test_who_was_held_is_let_go_before_the_operator_leaves(desk: Desk):
    await desk.hand_over()
    await desk.order("mode", leg=VEHICLE, held=True, muted=False)

    await desk.order("leave_call")

    assert not (await desk.leg(VEHICLE)).held  # type: ignore[attr-defined]
    assert desk.voice.hung_up == [OWN]
    state = await desk.journal.state(desk.incident)
    assert (state.state, state.operator) == ("handed_over", "hanako")


async def test_an_invitation_is_taken_back_and_an_agency_taken_out_but_never_the_vehicle(desk: Desk):
    await desk.happen(s.disclose())
    invited = await desk.order("invite", agency=FIRE)
    assert isinstance(invited, dict)

    await desk.order("end_leg", leg=invited["leg"])
    with pytest.raises(Refused, match="only an agency"):
        await desk.order("end_leg", leg=VEHICLE)

    assert (await desk.leg(invited["leg"])).left == "withdrawn"  # type: ignore[attr-defined]
    assert await desk.order("invite", agency=FIRE) != invited


async def test_nothing_is_done_with_the_call_of_a_closed_incident(desk: Desk):
    await desk.hand_over()
    await desk.happen(s.close("handed_over"))  # type: ignore[arg-type]

    orders: dict[str, dict[str, object]] = {
        "mode": {"leg": VEHICLE, "held": True, "muted": False},
        "invite": {"agency": FIRE},
        "dial": {"agency": FIRE, "line": "first"},
        "call_vehicle": {},
        "notice": {"leg": VEHICLE, "notice": "silent"},
        "speak_brief": {"leg": AGENCY},
        "end_leg": {"leg": AGENCY},
        "leave_call": {},
        "answered": {"how": "speech"},
        "wait_longer": {"seconds": 30, "because": "line"},
    }
    for do, fields in orders.items():
        with pytest.raises(Refused, match="closed"):
            await desk.order(do, **fields)


async def test_what_is_said_of_answers_from_the_vehicle_is_the_operator_s_alone(desk: Desk):
    await desk.order("wait_longer", seconds=30, because=WaitReason.LANGUAGE)
    with pytest.raises(Malformed):
        await desk.order("wait_longer", seconds=30)
    with pytest.raises(Forbidden):
        await desk.order("answered", by="taro", how=ResponseHow.SPEECH)

    await desk.order("answered", how=ResponseHow.SOUNDS)
    await desk.order("answered", how=ResponseHow.SPEECH)

    assert [event.seconds for event in await desk.events(ResponseAwaited)] == [30]  # type: ignore[attr-defined]
    assert [event.how for event in await desk.events(ResponseHeard)] == [ResponseHow.SOUNDS]  # type: ignore[attr-defined]
