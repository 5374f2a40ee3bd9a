"""An interpreter by one order: who is called, that the car hears no menu meanwhile, and every refusal in words."""

from collections.abc import Sequence

import msgspec
import pytest

from sos.clock import ManualClock
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident.events import LanguageStated, LegDialled, LegModeSet, NoticePlayed
from sos.incident.languages import Interpreter, next_of
from sos.incident.model import Incident, IncidentId, LegId, Party, TenantId
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

KOREAN = (
    Interpreter(id="line-1", languages=("ko",), number="+81300000201"),
    Interpreter(id="line-2", languages=("ko", "zh"), number="+81300000202"),
)
CAR, OWN = LegId("leg-vehicle"), LegId("leg-own")


class Desk:
    """An incident with a car and its operator in the call."""

    def __init__(self, journal: Journal, incident: IncidentId) -> None:
        self.journal, self.incident, self.ears = journal, incident, Ears()
        self.people: Sequence[Interpreter] = KOREAN
        self.dials = True

    async def order(self, do: str, *, by: str = "hanako", **fields: object) -> object:
        house = msgspec.structs.replace(room(self.journal, self.ears, dials=self.dials), interpreters=self.people)
        return await order(window(house, by), do, incident=self.incident, **fields)

    async def happen(self, *commands: c.Command) -> None:
        for command in commands:
            await self.journal.execute(self.incident, command, actor="system:test")

    async def state(self) -> Incident:
        return await self.journal.state(self.incident)

    async def events(self, *kinds: type) -> list[object]:
        return [each.event for each in await self.journal.store.stream(self.incident) if isinstance(each.event, kinds)]


@pytest.fixture
async def desk(journal: Journal, clock: ManualClock) -> Desk:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    made = Desk(journal, opened.incident)
    await made.happen(s.take(), s.invite(CAR), s.join(CAR))
    await made.happen(s.invite(OWN, Party.OPERATOR, "hanako"), s.join(OWN, Party.OPERATOR, "hanako"))
    return made


async def test_the_car_is_told_and_held_before_an_interpreter_is_dialled_and_is_let_go_when_nobody_comes(desk: Desk):
    await desk.order("language", language="ko")
    called = await desk.order("interpreter")

    played, held, dialled = await desk.events(NoticePlayed, LegModeSet, LegDialled)
    assert isinstance(played, NoticePlayed)
    assert (played.leg, played.notice) == (CAR, "hold")
    assert isinstance(held, LegModeSet)
    assert (held.leg, held.held) == (CAR, True)
    assert isinstance(dialled, LegDialled)
    assert (dialled.party, dialled.who, dialled.line) == (Party.INTERPRETER, "line-1", "interpreter")

    assert isinstance(called, dict)
    await desk.happen(c.LeaveLeg(leg=called["leg"], reason="busy"))
    car = (await desk.state()).leg(CAR)
    assert car is not None
    assert not car.held


async def test_pressed_again_the_next_one_is_called_and_never_two_at_once(desk: Desk):
    await desk.order("language", language="ko")
    first = await desk.order("interpreter")
    with pytest.raises(Refused, match="being called, or is in the call"):
        await desk.order("interpreter")

    assert isinstance(first, dict)
    await desk.happen(c.LeaveLeg(leg=first["leg"], reason="no_answer"))
    await desk.order("interpreter")

    assert [each.who for each in await desk.events(LegDialled)] == ["line-1", "line-2"]  # type: ignore[attr-defined]


async def test_when_all_were_called_the_one_called_longest_ago_has_the_turn(desk: Desk):
    await desk.order("language", language="ko")
    for _ in range(3):
        called = await desk.order("interpreter")
        assert isinstance(called, dict)
        await desk.happen(c.LeaveLeg(leg=called["leg"], reason="no_answer"))

    found = next_of(KOREAN, "ko", await desk.state())
    assert [each.who for each in await desk.events(LegDialled)] == ["line-1", "line-2", "line-1"]  # type: ignore[attr-defined]
    assert found is not None
    assert found.id == "line-2"


async def test_each_reason_why_nobody_is_called_is_said_in_words(desk: Desk):
    with pytest.raises(Refused, match="which language is spoken"):
        await desk.order("interpreter")
    await desk.order("language", language="fi")
    with pytest.raises(Refused, match="no interpreter for fi"):
        await desk.order("interpreter")
    with pytest.raises(Forbidden):
        await desk.order("interpreter", by="taro")
    with pytest.raises(Refused, match="named by its code"):
        await desk.order("language", language="Finnish!")
    desk.dials = False
    with pytest.raises(Refused, match=r"call \+81300000202 by telephone"):
        await desk.order("interpreter", language="zh")

    assert await desk.events(LegDialled) == []


async def test_the_operator_takes_an_interpreter_out_of_the_call(desk: Desk):
    called = await desk.order("interpreter", language="ko")
    assert isinstance(called, dict)
    leg = LegId(called["leg"])
    await desk.happen(s.join(leg, Party.INTERPRETER, "line-1"))

    await desk.order("end_leg", leg=leg)

    assert desk.ears.hung_up == [leg]


async def test_which_language_somebody_speaks_stands_in_no_header(desk: Desk):
    await desk.order("language", language="ko")
    await desk.order("interpreter")

    stream = await desk.journal.store.stream(desk.incident)
    assert [type(each.event) for each in stream].count(LanguageStated) == 1
    assert '"ko"' not in msgspec.json.encode([each.event for each in stream]).decode()


async def test_an_interpreter_is_no_agency_that_could_take_over_from_us(desk: Desk):
    called = await desk.order("interpreter", language="ko")
    assert isinstance(called, dict)
    await desk.happen(s.join(LegId(called["leg"]), Party.INTERPRETER, "line-1"))
    await desk.happen(s.disclose(), s.acknowledge())

    with pytest.raises(Refused, match="no agency is in the call"):
        await desk.order("leave_call")
