"""The bridge over a provider that can dial: silent vehicles are called, agencies reached, nobody dialled twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from recording.keys import KeyStore
from recording.tracks import CHUNK_SAMPLES, Recorder, chunk_files
from routing.categories import Category
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.bridge import Bridge
from sos.calls.interpreters import with_interpreters
from sos.clock import ManualClock
from sos.errors import KeyLost
from sos.incident import commands as c
from sos.incident.events import (
    AgencyCallRequested,
    AlarmRaised,
    LegDialled,
    LegLeft,
    NoticePlayed,
    RecordingSealed,
)
from sos.incident.model import (
    AgencyId,
    AlarmKind,
    Disposition,
    Incident,
    IncidentId,
    LegId,
    OperatorId,
    Party,
    RecordingId,
    Relation,
    TenantId,
    new_id,
)
from sos.incident.report import CallBack, canonical
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from sos.journal.spool import Spool
from sos.journal.store import Store
from sos.settings import InterpreterSettings
from tests.journeys import story as s
from tests.rest import at_rest

TENANT = TenantId("acme")
CAR = "+81300000001"
FIRE_LINE = "+81300000119"


class House:
    """A journal, a bridge that follows it, and a provider one can misuse."""

    def __init__(self, journal: Journal, provider: SimulatedProvider, clock: ManualClock) -> None:
        self.journal, self.provider, self.clock = journal, provider, clock
        self._tasks: list[asyncio.Task[None]] = []

    def number_of(self, who: AgencyId, line: str) -> str | None:
        return number_of(who, line)

    async def start(self) -> None:
        bridge = Bridge(self.journal, self.provider, number_of=self.number_of)
        await bridge.settle()
        self._follower = Follower(
            Reader(name="bridge", handle=bridge.handle, by_incident=True), self.journal.store, clock=self.clock
        )
        for work in (self._follower.run(), bridge.run(), Deadlines(self.journal).watch()):
            self._tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def crash(self, number: int = 0, tel: str | None = CAR) -> IncidentId:
        """A report without a voice."""
        opened = await self.journal.open(
            s.open_incident(), tenant=TENANT, receipt=f"{number:032}".encode(), received_at=self.clock.now()
        )
        parts = {Category.TEL: canonical(CallBack(tel=tel))} if tel else {}
        filed = c.FileReport(sequence=1, located=False, parts=parts)
        await self.journal.execute(opened.incident, filed, actor="system:filer")
        return opened.incident

    async def until(
        self, met: Callable[[], Awaitable[bool]], *, within_s: int = 30, step: timedelta = timedelta(milliseconds=250)
    ) -> None:
        """``step``: how far the clock moves between two looks."""
        for _ in range(timedelta(seconds=within_s) // step):
            await at_rest(self.journal.store, (self._follower,))
            if await met():
                return
            await self.clock.advance(step)
        raise AssertionError(f"not within {within_s} s")

    async def leg(self, incident: IncidentId, party: Party, *, up: bool = True) -> bool:
        state = await self.journal.state(incident)
        return any(leg.party is party and leg.up is up for leg in state.legs)

    async def events(self, incident: IncidentId, kind: type) -> list[object]:
        return [r.event for r in await self.journal.store.stream(incident) if isinstance(r.event, kind)]


def number_of(agency: AgencyId, line: str) -> str | None:
    return {("jp-13-fire", "first"): FIRE_LINE, ("jp-13-fire", "short"): "119"}.get((agency, line))


@pytest.fixture
async def provider(clock: ManualClock) -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider(clock=clock, misbehaviour=0) as opened:
        yield opened


@pytest.fixture
async def house(journal: Journal, provider: SimulatedProvider, clock: ManualClock) -> AsyncIterator[House]:
    made = House(journal, provider, clock)
    await made.start()
    yield made
    await made.stop()


async def test_an_interpreter_is_dialled_as_a_leg_of_its_own_and_a_number_that_fails_is_said(
    journal: Journal, provider: SimulatedProvider, clock: ManualClock
):
    people = (
        InterpreterSettings(id="line-1", languages=("ko",), number="+81300000201"),
        InterpreterSettings(id="line-2", languages=("ko",), number="+81300000202"),
    )
    house = House(journal, provider, clock)
    house.number_of = with_interpreters(number_of, people)  # type: ignore[method-assign]
    await house.start()
    incident = await house.crash()
    await house.until(lambda: house.leg(incident, Party.VEHICLE))

    for leg, who in (("leg-gone", "line-9"), ("leg-1", "line-2")):
        dial = c.DialLeg(leg=LegId(leg), party=Party.INTERPRETER, who=who, line="interpreter")
        await journal.execute(incident, dial, actor="operator:hanako")
        await house.until(lambda leg=leg: _settled(house, incident, LegId(leg)))  # type: ignore[misc]

    state = await journal.state(incident)
    gone, there = state.leg(LegId("leg-gone")), state.leg(LegId("leg-1"))
    assert gone is not None
    assert there is not None
    assert (gone.left, there.up, there.party) == ("cannot_dial", True, Party.INTERPRETER)
    assert provider.dialled[LegId("leg-1")] == "+81300000202"
    assert {each.recording for each in state.recordings} == await provider.writing(), "one of the whole call"
    for order in (s.take(), s.close(Disposition.FALSE_ALARM)):
        await journal.execute(incident, order, actor="operator:hanako")
    await house.until(lambda: house.leg(incident, Party.INTERPRETER, up=False))
    assert await provider.legs() == ()
    await house.stop()


async def _settled(house: House, incident: IncidentId, leg: LegId) -> bool:
    known = (await house.journal.state(incident)).leg(leg)
    return known is not None and (known.up or known.left is not None)


async def test_data_without_a_voice_makes_us_call_the_vehicle_and_tell_it_to_wait(house: House):
    incident = await house.crash()

    await house.until(lambda: house.leg(incident, Party.VEHICLE))

    assert list(house.provider.dialled.values()) == [CAR]
    assert [e.line for e in await house.events(incident, LegDialled)] == ["callback"]
    await house.until(lambda: _any(_announced(house.provider)))
    assert [e.notice for e in await house.events(incident, NoticePlayed)] == ["wait"]
    assert [notice for _, notice in house.provider.announced] == ["wait"]


async def test_a_vehicle_that_is_busy_is_called_again_later_and_not_for_ever(house: House):
    house.provider.busy.add(CAR)
    incident = await house.crash()

    await house.until(lambda: _count(house.events(incident, LegLeft), 3), within_s=120)
    house.provider.busy.clear()
    await house.until(lambda: house.leg(incident, Party.VEHICLE), within_s=300)

    assert [left.reason for left in await house.events(incident, LegLeft)] == ["busy"] * 3
    assert len(house.provider.dialled) == 4


async def test_a_call_that_is_cut_off_is_called_back_at_once(house: House):
    incident = await house.crash()
    await house.until(lambda: house.leg(incident, Party.VEHICLE))
    first = next(iter(house.provider.dialled))

    house.provider.drop(first)
    await house.until(lambda: _count(house.events(incident, LegDialled), 2), within_s=3)
    await house.until(lambda: house.leg(incident, Party.VEHICLE))

    assert len(house.provider.dialled) == 2


async def test_without_a_number_nobody_is_dialled_and_that_is_on_the_record(house: House):
    incident = await house.crash(tel=None)

    await house.until(lambda: _left(house, incident, "cannot_dial"))

    assert house.provider.dialled == {}


@pytest.mark.parametrize("tel", ["119", "110", "112", "+81119", "tel:+81300000001", "not a number"])
async def test_a_report_cannot_make_us_dial_an_emergency_number(house: House, tel: str):
    incident = await house.crash(tel=tel)

    await house.until(lambda: _left(house, incident, "cannot_dial"))

    assert house.provider.dialled == {}


async def test_the_line_of_an_agency_is_dialled_into_the_conference(house: House):
    incident = await house.crash()
    for order in (s.take(), s.disclose(), s.take_rung(1, line="first", leg="0190-leg")):
        await house.journal.execute(incident, order, actor="operator:hanako")

    await house.until(lambda: house.leg(incident, Party.AGENCY))

    assert [e.line for e in await house.events(incident, AgencyCallRequested)] == ["first"]
    assert house.provider.dialled[LegId("0190-leg")] == FIRE_LINE


async def test_what_an_operator_holds_is_held_at_the_provider_and_stays_so_after_a_restart(house: House):
    incident = await house.crash()
    await house.until(lambda: house.leg(incident, Party.VEHICLE))
    vehicle = next(leg.leg for leg in (await house.journal.state(incident)).legs)
    await house.journal.execute(incident, s.take(), actor="operator:hanako")
    hold = c.SetLegMode(leg=vehicle, operator=OperatorId("hanako"), held=True)
    await house.stop()

    await house.journal.execute(incident, hold, actor="operator:hanako")  # written, and then the process was killed
    await house.start()

    await house.until(lambda: _held(house.provider, vehicle))


async def test_a_held_vehicle_that_was_cut_off_comes_back_held_and_not_into_the_private_talk(house: House):
    incident = await house.crash()
    await house.until(lambda: house.leg(incident, Party.VEHICLE))
    vehicle = next(leg.leg for leg in (await house.journal.state(incident)).legs)
    await house.journal.execute(incident, s.take(), actor="operator:hanako")
    hold = c.SetLegMode(leg=vehicle, operator=OperatorId("hanako"), held=True)
    await house.journal.execute(incident, hold, actor="operator:hanako")
    await house.until(lambda: _held(house.provider, vehicle))

    house.provider.drop(vehicle)
    house.provider.modes.clear()  # the worker that knew it has died
    await house.until(lambda: house.leg(incident, Party.VEHICLE, up=False))
    await house.provider.accept(
        incident=incident, leg=vehicle, party=Party.VEHICLE, who="vehicle", offer="v=0", key=bytes(32)
    )

    await house.until(lambda: _held(house.provider, vehicle))


async def test_fifty_vehicles_that_only_sent_data_are_all_called_by_a_provider_that_misbehaves(
    journal: Journal, clock: ManualClock
):
    async with SimulatedProvider(clock=clock, misbehaviour=0.05, seed=7) as provider:
        house = House(journal, provider, clock)
        await house.start()
        incidents = [await house.crash(number, tel=f"+813000000{number:02}") for number in range(50)]

        async def all_called() -> bool:
            return len(set(provider.dialled.values())) == 50

        await house.until(all_called, within_s=60)
        for incident in incidents:
            dialled = await house.events(incident, LegDialled)
            assert dialled
        await house.stop()


async def test_a_service_killed_after_the_intent_dials_once(house: House, journal: Journal):
    incident = await house.crash()
    await house.stop()
    dial = c.DialLeg(leg=LegId(new_id()), party=Party.VEHICLE, who="vehicle", line="callback")
    await journal.execute(incident, dial, actor="system:bridge")
    for _ in range(3):
        await house.start()
        await house.until(lambda: _any(_dialled(house.provider)), within_s=2)
        await house.stop()

    assert list(house.provider.dialled) == [dial.leg]


# --- small questions ---


async def _any(found: Awaitable[list[object]]) -> bool:
    return bool(await found)


async def _count(found: Awaitable[list[object]], least: int) -> bool:
    return len(await found) >= least


async def _dialled(provider: SimulatedProvider) -> list[object]:
    return list(provider.dialled)


async def _announced(provider: SimulatedProvider) -> list[object]:
    return list(provider.announced)


async def _left(house: House, incident: IncidentId, reason: str) -> bool:
    state: Incident = await house.journal.state(incident)
    return any(leg.left == reason for leg in state.legs)


async def _held(provider: SimulatedProvider, leg: LegId) -> bool:
    mode = provider.modes.get(leg)
    return mode is not None and mode.held


async def called(house: House) -> tuple[IncidentId, IncidentId]:
    """An incident of which the fire brigade was told, and the call that it makes."""
    told, call = await house.crash(1, tel=None), await house.crash(2, tel=None)
    await house.journal.execute(told, s.take(), actor="operator:hanako")
    await house.journal.execute(told, s.disclose("d1", s.FIRE), actor="operator:hanako")
    await house.provider.accept(
        incident=call, leg=LegId("leg-in"), party=Party.VEHICLE, who="vehicle", offer="v=0", key=bytes(32)
    )
    await house.until(lambda: house.leg(call, Party.VEHICLE))
    return told, call


async def brought(house: House, told: IncidentId, call: IncidentId) -> None:
    about = c.ConfirmMatch(other=told, relation=Relation.CALLS_ABOUT, reasons=("code", s.FIRE))
    await house.journal.execute(call, about, actor="system:codes")
    invited = c.InviteLeg(leg=LegId("leg-there"), party=Party.AGENCY, who=s.FIRE, called_in=True)
    await house.journal.execute(told, invited, actor="system:codes")
    await house.journal.execute(call, s.transfer("leg-in", told), actor="system:codes")


async def test_who_telephones_about_an_incident_is_taken_into_its_call_out_of_their_own(house: House):
    told, call = await called(house)
    await brought(house, told, call)

    await house.until(lambda: house.leg(told, Party.AGENCY))

    assert [(each.incident, each.leg, each.who) for each in await house.provider.legs()] == [
        (told, "leg-there", s.FIRE)
    ]
    await house.until(lambda: house.leg(call, Party.VEHICLE, up=False))
    left = await house.journal.state(call)
    assert [leg.left for leg in left.legs] == ["transferred"]
    assert left.silence is None, "it is not called back"
    assert left.unattended_at is None, "nobody is missing in it"


async def test_who_cannot_be_taken_there_stays_where_they_are(house: House):
    told, call = await called(house)
    house.provider.refusing = True
    await brought(house, told, call)

    await house.until(lambda: house.leg(told, Party.AGENCY, up=False))

    assert [leg.left for leg in (await house.journal.state(told)).legs] == ["failed"]
    assert [(each.incident, each.leg) for each in await house.provider.legs()] == [(call, "leg-in")]
    assert (await house.journal.state(call)).unattended_at is not None


async def test_who_hangs_up_before_they_are_taken_there_is_expected_there_no_longer(
    journal: Journal, provider: SimulatedProvider, clock: ManualClock
):
    house = House(journal, provider, clock)  # nothing follows by itself: what comes first is chosen here
    bridge = Bridge(journal, provider, number_of=number_of)
    told, call = await house.crash(1, tel=None), await house.crash(2, tel=None)
    await journal.execute(call, s.join("leg-in"), actor="provider:test")
    await brought(house, told, call)
    await bridge.handle((await journal.store.stream(call))[-1:])  # the provider knows already that they are gone
    await journal.execute(call, c.LeaveLeg(leg=LegId("leg-in"), reason="ended"), actor="provider:test")

    await bridge.handle((await journal.store.stream(call))[-1:])

    assert [leg.left for leg in (await journal.state(told)).legs] == ["ended"]


async def test_an_agency_that_finds_nobody_alarms_others_after_ten_seconds(house: House):
    told, call = await called(house)
    await brought(house, told, call)

    async def alarmed() -> bool:
        return AlarmKind.NO_VOICE in {alarm.why for alarm in (await house.journal.state(told)).alarms}

    await house.until(alarmed, within_s=15)


async def test_a_call_is_taken_in_although_the_key_of_its_sound_is_lost_and_what_it_says_has_a_new_one(
    journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, tmp_path: Path
):
    opened = await journal.open(s.open_incident(), tenant=TENANT, receipt=b"r" * 32, received_at=clock.now())
    await journal.execute(opened.incident, s.invite("leg-first"), actor="vehicle")
    first = await journal.data_key(opened.incident, Category.AUD)
    for kept in (tmp_path / "keys").glob("*audio*.kek"):
        kept.unlink()

    async with Journal(store, keys, Spool(tmp_path / "later", keys.secret("spool")), clock=clock) as later:
        with pytest.raises(KeyLost):
            await later.data_key(opened.incident, Category.AUD)
        async with SimulatedProvider(clock=clock, misbehaviour=0) as provider:
            bridge = Bridge(later, provider)
            key = await bridge.expect(opened.incident, leg=LegId("leg-again"), party=Party.VEHICLE, who="vehicle")

    assert len(key) == 32
    assert key != first


LEFT = RecordingId("rec-left")
TOLD = (AlarmRaised, RecordingSealed)


async def left_behind(journal: Journal, recordings: Path) -> tuple[IncidentId, bytes, Path]:
    """Three seconds of a recording that a killed worker left: its incident, its key, where it lies."""
    opened = await journal.open(s.open_incident(), tenant=TENANT, receipt=b"r" * 32, received_at=journal.clock.now())
    await journal.execute(opened.incident, s.invite("leg-first"), actor="vehicle")
    key = await journal.data_key(opened.incident, Category.AUD)
    directory = recordings / opened.incident / LEFT
    recorder = Recorder(directory, LEFT, key, started_at="2026-01-01T09:00:00.000Z")
    for second in range(3):
        recorder.add("vehicle", second * CHUNK_SAMPLES, b"\xf8")
    recorder.flush()
    return opened.incident, key, directory


def spare(_: list[Path]) -> None:
    """The control: nothing is harmed."""


def tear(chunks: list[Path]) -> None:
    chunks[-1].write_bytes(chunks[-1].read_bytes()[:-3])


def lose(chunks: list[Path]) -> None:
    chunks[1].unlink()


@pytest.mark.parametrize(("harm", "lost"), [(spare, 0), (tear, 1), (lose, 1)])
async def test_a_recording_with_holes_is_an_alarm_once_and_sealed_as_far_as_it_goes(
    journal: Journal, clock: ManualClock, tmp_path: Path, harm: Callable[[list[Path]], None], lost: int
):
    incident, _, directory = await left_behind(journal, tmp_path)
    harm(chunk_files(directory))
    provider = EmbeddedProvider(tmp_path, clock=clock, workers=0)

    for _ in range(2):  # a service that was killed settles again
        await Bridge(journal, provider).settle()

    told = [each.event for each in await journal.store.stream(incident) if isinstance(each.event, TOLD)]
    alarms = [(each.why, each.about) for each in told if isinstance(each, AlarmRaised)]
    assert alarms == [(AlarmKind.RECORDING, LEFT)] * lost
    assert [each.chunks for each in told if isinstance(each, RecordingSealed)] == [3 - lost]
    assert isinstance(told[-1], RecordingSealed), "the alarm stands before what ends all looking"


async def test_a_service_killed_between_alarm_and_seal_of_a_torn_recording_writes_each_once(
    journal: Journal, clock: ManualClock, tmp_path: Path
):
    incident, key, directory = await left_behind(journal, tmp_path)
    await journal.execute(incident, c.StartRecording(recording=LEFT), actor="provider:embedded")
    tear(chunk_files(directory))
    provider = EmbeddedProvider(tmp_path, clock=clock, workers=0)
    await provider.recover(incident, LEFT, key)  # its manifest is on the disk, and the journal has the alarm alone
    await journal.execute(incident, c.RaiseAlarm(why=AlarmKind.RECORDING, about=LEFT), actor="provider:embedded")

    await Bridge(journal, provider).settle()

    kinds = [type(each.event) for each in await journal.store.stream(incident)]
    assert (kinds.count(AlarmRaised), kinds.count(RecordingSealed)) == (1, 1)
