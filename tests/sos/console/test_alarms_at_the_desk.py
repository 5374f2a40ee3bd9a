"""Each alarm as it comes to desks: who has it, what they are told of who knows, how it is acknowledged and by whom."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sos.clock import ManualClock
from sos.console import arrival
from sos.console.alarms import Alarms
from sos.console.orders.desk import Ready
from sos.console.room import Room
from sos.console.window import Window
from sos.dispatch.codes import Codes
from sos.dispatch.guesses import WRONG_OF_ALL, Guesser, Guesses
from sos.errors import Forbidden, Refused
from sos.incident import alarms
from sos.incident import commands as c
from sos.incident.events import IncidentOpened
from sos.incident.model import AlarmKind, IncidentId, Mode, OperatorId, Party, Rung, TenantId
from sos.journal.asides import Asides
from sos.journal.asides import alarms as passed_over
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

TENANT = TenantId("acme")
SUPERVISORS = (OperatorId("jiro"), OperatorId("saburo"))


class Floor:
    """Desks over one journal, with the timers and readers that bring alarms to them."""

    def __init__(self, journal: Journal, clock: ManualClock) -> None:
        self.journal, self.clock = journal, clock
        self.windows: dict[str, Window] = {}
        self.incident = IncidentId("")
        self._seen = 0
        self.open()

    def open(self) -> None:
        """As after a start: nobody is there yet."""
        self.house: Room = room(self.journal, Ears())
        self.alarms = Alarms(self.journal, self.house.desks, supervisors=SUPERVISORS)
        self.windows.clear()

    async def sits(self, *names: str) -> None:
        for name in names:
            there = self.windows[name] = window(self.house, name, supervisor=name in SUPERVISORS)
            self.house.desks.arrive(there.desk, there.operator.id, seat=there.seat)
            await Ready(id=1).obey(there)

    def goes(self, name: str) -> None:
        gone = self.windows.pop(name)
        self.house.desks.leave(gone.desk, seat=gone.seat)

    async def crash(self, *commands: c.Command, mode: Mode = Mode.LIVE, flags: tuple[str, ...] = ()) -> None:
        opened = await self.journal.open(
            s.open_incident(mode), tenant=TENANT, receipt=bytes(32), received_at=self.clock.now()
        )
        self.incident = opened.incident
        await self.do(replace(s.plan(), flags=flags), *commands)

    async def do(self, *commands: c.Command) -> None:
        for command in commands:
            await self.journal.execute(self.incident, command, actor="system:test")
        await self.follow()

    async def passes(self, seconds: float) -> None:
        """Time, with every desk still there, every timer run and every reader following."""
        await self.clock.advance(timedelta(seconds=seconds))
        for there in self.windows.values():
            self.house.desks.beat(there.desk, seat=there.seat)
        while await Deadlines(self.journal).round():
            pass
        await self.follow()
        await self.alarms.look()
        await self.follow()

    async def follow(self) -> None:
        while batch := (await self.journal.store.stream(self.incident))[self._seen :]:
            self._seen += len(batch)
            await self.house.distribution.handle(batch)
            await self.house.distribution.settle()
            await self.alarms.handle([each for each in batch if isinstance(each.event, self.alarms.WANTS)])
            await self.house.hub.handle(batch)

    async def frames(self, name: str) -> list[dict[str, Any]]:
        """What this desk has been sent since it was last asked."""
        found = []
        mailbox = self.windows[name].mailbox
        mailbox.put("end")
        while (text := await mailbox.take()) != "end":
            assert text is not None
            found.append(json.loads(text))
        return found

    async def alarmed(self, name: str) -> list[tuple[str, str, str]]:
        """Kind of event, why or audience, who: of the alarms this desk was told of."""
        events = [each for each in await self.frames(name) if each["t"] == "event"]
        return [
            (each["kind"], each["data"].get("why") or each["data"].get("audience", ""), _who(each["data"]))
            for each in events
            if each["kind"].startswith("Alarm")
        ]


def _who(data: dict[str, Any]) -> str:
    return " ".join(data.get("supervisors", ())) or data.get("operator", "")


@pytest.fixture
def floor(journal: Journal, clock: ManualClock) -> Floor:
    return Floor(journal, clock)


Cause = Callable[[Floor], Awaitable[None]]


async def _no_voice(floor: Floor) -> None:
    await floor.crash(s.join(), s.take())
    await floor.passes(10)


async def _unanswered(floor: Floor) -> None:
    await floor.crash(s.offer())
    await floor.passes(15)


async def _no_response(floor: Floor) -> None:
    await floor.crash(s.take(), s.join(), s.join("leg-desk", Party.OPERATOR, "hanako"))
    await floor.passes(30)
    await floor.passes(20)


async def _undecided(floor: Floor) -> None:
    await floor.crash(s.take())
    await floor.passes(60)


async def _place_unknown(floor: Floor) -> None:
    await floor.crash(s.take(), flags=("position_unknown",))
    await floor.passes(30)


async def _handoff_overdue(floor: Floor) -> None:
    await floor.crash(s.take(), s.disclose())
    await floor.passes(80)


async def _owed(floor: Floor) -> None:
    await floor.crash(s.take(), s.disclose(obligations=("necessity_note",)), s.acknowledge())
    await floor.passes(3600)


async def _unclosed(floor: Floor) -> None:
    await floor.crash(s.take(), s.disclose(), s.acknowledge())
    await floor.passes(30 * 60)


async def _ladder(floor: Floor) -> None:
    await floor.crash(s.take(), s.disclose(), s.take_rung(1, Rung.SUPERVISOR))


async def _referral(floor: Floor) -> None:
    await floor.crash(s.take(), s.refer())


async def _untold(floor: Floor) -> None:
    await floor.crash(s.offer())
    await floor.passes(45)
    await floor.do(s.withhold("too_many"))  # the breaker for telling by itself


async def _told_unattended(floor: Floor) -> None:
    await floor.crash(s.offer())
    await floor.passes(45)
    await floor.do(s.disclose(unattended=True))


async def _recording(floor: Floor) -> None:
    await floor.crash(s.start_recording(), s.fail_recording())


async def _set_aside(floor: Floor) -> None:
    await floor.crash()

    async def sick(_: object) -> None:
        raise ValueError("what nobody may read")

    reader = Reader(name="sick", handle=sick, wants=(IncidentOpened,))
    (opened, *_) = await floor.journal.store.stream(floor.incident)
    follower = Follower(reader, floor.journal.store, clock=floor.clock)
    await follower._give_up(opened, ValueError(), tries=5)
    store = floor.journal.store
    await Asides(store, [follower], clock=floor.clock, alarm=passed_over(floor.journal)).look()
    await floor.follow()


async def _assist(floor: Floor) -> None:
    await floor.crash(s.take())
    await order(floor.windows["hanako"], "assist", incident=floor.incident, text="two callers at once")
    await floor.follow()


async def _handover(floor: Floor) -> None:
    await floor.crash(s.take(), s.offer_handover("shiro"))
    await floor.passes(30)


async def _guessing(floor: Floor) -> None:
    await floor.crash()
    guesses = Guesses(floor.clock)
    for number in range(WRONG_OF_ALL - 1):
        guesses.wrong(Guesser(who=f"leg:{number}", line="acme"))
    with pytest.raises(Refused):
        await Codes(floor.journal, str, guesses=guesses).join(floor.incident, "00000000", actor="operator:hanako")
    await floor.follow()


CAUSES: dict[AlarmKind, Cause] = {
    AlarmKind.NO_VOICE: _no_voice,
    AlarmKind.UNANSWERED: _unanswered,
    AlarmKind.NO_RESPONSE: _no_response,
    AlarmKind.UNDECIDED: _undecided,
    AlarmKind.PLACE_UNKNOWN: _place_unknown,
    AlarmKind.HANDOFF_OVERDUE: _handoff_overdue,
    AlarmKind.UNCLOSED: _unclosed,
    AlarmKind.LADDER: _ladder,
    AlarmKind.REFERRAL: _referral,
    AlarmKind.UNTOLD: _untold,
    AlarmKind.TOLD_UNATTENDED: _told_unattended,
    AlarmKind.RECORDING: _recording,
    AlarmKind.SET_ASIDE: _set_aside,
    AlarmKind.ASSIST: _assist,
    AlarmKind.HANDOVER: _handover,
    AlarmKind.OWED: _owed,
    AlarmKind.GUESSING: _guessing,
}


def test_there_is_a_cause_for_every_alarm():
    assert set(CAUSES) == set(AlarmKind)


async def _standing(floor: Floor, why: AlarmKind) -> str:
    state = await floor.journal.state(floor.incident)
    (alarm,) = (each.alarm for each in alarms.standing(state) if each.why is why)
    return alarm


@pytest.mark.parametrize("why", CAUSES)
async def test_a_supervisor_s_desk_is_alarmed_and_acknowledges_by_name(floor: Floor, why: AlarmKind):
    await floor.sits("hanako", "jiro")
    await CAUSES[why](floor)

    told = await floor.alarmed("jiro")
    assert ("AlarmRaised", why, "") in told
    assert any(kind == "AlarmShown" and "jiro" in who for kind, _, who in told)
    alarm = await _standing(floor, why)
    await order(floor.windows["jiro"], "acknowledge", incident=floor.incident, alarm=alarm)
    await floor.follow()

    for desk in ("hanako", "jiro"):  # everybody sees who knows
        assert ("AlarmAcknowledged", "", "jiro") in await floor.alarmed(desk)
    state = await floor.journal.state(floor.incident)
    assert why not in {each.why for each in alarms.standing(state)}


@pytest.mark.parametrize("why", CAUSES)
async def test_what_no_supervisor_can_hear_stands_at_every_desk_and_nobody_is_said_to_know(
    floor: Floor, why: AlarmKind
):
    await floor.sits("hanako", "shiro")
    await CAUSES[why](floor)

    told = await floor.alarmed("shiro")
    assert ("AlarmRaised", why, "") in told
    shown = [(audience, who) for kind, audience, who in told if kind == "AlarmShown"]
    assert set(shown) == {("everybody", "")}
    alarm = await _standing(floor, why)
    await order(floor.windows["shiro"], "acknowledge", incident=floor.incident, alarm=alarm)
    await floor.follow()

    assert ("AlarmAcknowledged", "", "shiro") in await floor.alarmed("hanako")


@pytest.mark.parametrize("why", CAUSES)
async def test_an_alarm_stands_at_a_desk_that_comes_after_a_restart(floor: Floor, why: AlarmKind):
    await floor.sits("hanako", "jiro")
    await CAUSES[why](floor)
    floor.open()
    await floor.sits("saburo")

    await arrival.catch_up(floor.windows["saburo"], after=None)
    await floor.passes(0)

    (snapshot,) = (each for each in await floor.frames("saburo") if each["t"] == "snapshot")
    (incident,) = snapshot["incidents"]
    standing = [each["why"] for each in incident["alarms"] if each["operator"] is None]
    assert why in standing
    state = await floor.journal.state(floor.incident)
    assert all("saburo" in alarm.supervisors for alarm in alarms.standing(state))


async def test_a_test_call_alarms_nobody(floor: Floor):
    await floor.sits("hanako", "jiro")
    await floor.crash(mode=Mode.TEST)
    await floor.do(s.take(), s.join(), s.start_recording(), s.fail_recording(), s.raise_alarm())
    await floor.passes(60)

    assert await floor.alarmed("jiro") == []
    with pytest.raises(Refused, match="alarms nobody"):
        await order(floor.windows["hanako"], "assist", incident=floor.incident)


async def test_while_supervisors_are_alarmed_nobody_else_acknowledges(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _undecided(floor)

    with pytest.raises(Forbidden, match="a supervisor has been alarmed"):
        await order(floor.windows["hanako"], "acknowledge", incident=floor.incident, alarm="alarm-1")


async def test_supervisors_who_say_nothing_are_followed_by_every_desk(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _undecided(floor)
    await floor.passes(29)
    assert not [each for each in await floor.alarmed("hanako") if each[1] == "everybody"]

    await floor.passes(1)

    assert ("AlarmShown", "everybody", "jiro") in await floor.alarmed("hanako")
    await order(floor.windows["hanako"], "acknowledge", incident=floor.incident, alarm="alarm-1")


async def test_a_supervisor_who_leaves_knows_of_nothing_any_more_that_nobody_acknowledged(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _undecided(floor)
    floor.goes("jiro")

    await floor.passes(2)

    assert ("AlarmShown", "everybody", "") in await floor.alarmed("hanako")


async def test_a_supervisor_who_comes_hears_of_what_stands_and_no_desk_hears_less_than_before(floor: Floor):
    await floor.sits("hanako")
    await _undecided(floor)
    await floor.alarmed("hanako")

    await floor.sits("jiro")
    await floor.passes(2)

    assert await floor.alarmed("hanako") == [("AlarmShown", "everybody", "jiro")]


async def test_nobody_is_said_to_have_an_alarm_while_no_desk_is_there(floor: Floor):
    await _undecided(floor)
    (alarm,) = (await floor.journal.state(floor.incident)).alarms
    assert (alarm.audience, alarm.supervisors) == (None, ())

    await floor.sits("jiro")
    await floor.passes(2)

    (alarm,) = (await floor.journal.state(floor.incident)).alarms
    assert alarm.supervisors == ("jiro",)


async def test_two_supervisors_who_acknowledge_at_once_are_told_who_was_first(floor: Floor):
    await floor.sits("hanako", "jiro", "saburo")
    await _undecided(floor)
    await order(floor.windows["jiro"], "acknowledge", incident=floor.incident, alarm="alarm-1")
    await order(floor.windows["jiro"], "acknowledge", incident=floor.incident, alarm="alarm-1")  # pressed twice

    with pytest.raises(Refused, match="jiro has acknowledged this already"):
        await order(floor.windows["saburo"], "acknowledge", incident=floor.incident, alarm="alarm-1")


async def test_whoever_acts_on_the_reason_has_acknowledged_with_that(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _unanswered(floor)
    await floor.do(s.take(), s.refer(), s.answer_referral(supervisor="jiro"))

    told = [each for each in await floor.alarmed("hanako") if each[0] == "AlarmAcknowledged"]
    assert told == [("AlarmAcknowledged", "", "hanako"), ("AlarmAcknowledged", "", "jiro")]


async def test_closing_settles_what_was_about_the_call_and_nothing_else(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _undecided(floor)
    await floor.do(s.start_recording(), s.fail_recording(), s.close("false_alarm"))  # type: ignore[arg-type]
    floor.open()
    await floor.sits("jiro")
    await arrival.catch_up(floor.windows["jiro"], after=None)

    (snapshot,) = (each for each in await floor.frames("jiro") if each["t"] == "snapshot")
    (incident,) = snapshot["incidents"]
    assert incident["state"] == "closed"
    assert [each["why"] for each in incident["alarms"] if each["operator"] is None] == ["recording"]


async def test_what_was_acknowledged_and_goes_on_is_raised_again_a_minute_later(floor: Floor):
    await floor.sits("hanako", "jiro")
    await _referral(floor)
    await order(floor.windows["jiro"], "acknowledge", incident=floor.incident, alarm="alarm-1")
    await floor.follow()
    await floor.passes(59)
    assert ("AlarmRaised", "referral", "") not in (await floor.alarmed("jiro"))[1:]

    await floor.passes(1)

    state = await floor.journal.state(floor.incident)
    assert [each.why for each in alarms.standing(state) if each.why is AlarmKind.REFERRAL] == [AlarmKind.REFERRAL]
