"""The whole service telephoning through the emulated Twilio: from a car's call to the deletion of the last copy."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import pytest
from msgspec.structs import replace

from recording.keys import KeyStore
from sos.app import Service, running
from sos.clock import SystemClock
from sos.dispatch.codes import code_of
from sos.errors import Misconfigured
from sos.incident import events as e
from sos.incident.codec import write_header
from sos.incident.commands import DialLeg, TakeIncident
from sos.incident.events import Event, Recorded
from sos.incident.model import AgencyId, DeskId, Disposition, IncidentId, LegId, OperatorId, Party, State
from sos.settings import (
    DeskLineSettings,
    OperatorSettings,
    Settings,
    TenantSettings,
    TwilioNumberSettings,
    TwilioSettings,
)
from tests.journeys import story as s
from tests.journeys.story import disclose
from tests.ports import free_port
from tests.sos.calls.peers import met
from tests.sos.calls.twilio_rig import CALLER, CAR, DESCRIBED, DESK, VEHICLES
from tests.twilio_emulator.server import Emulator

TOKEN = sha256(b"desk").hexdigest()
TOKYO_FIRE = "+81355500113"
"""Of the invented directory."""
LOOK = timedelta(milliseconds=20)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(described=DESCRIBED) as opened:
        yield opened


def settings(tmp_path: Path, emulator: Emulator) -> Settings:
    port = free_port()
    for name, secret in (("token", emulator.token), ("key", emulator.secret)):
        (tmp_path / name).write_text(secret + "\n")
    emulator.voice_url = f"http://127.0.0.1:{port}/twilio/voice"
    return Settings(
        data_dir=str(tmp_path / "data"),
        port=port,
        metrics_port=free_port(),
        telephony="twilio",
        twilio=TwilioSettings(
            account_sid=emulator.account,
            auth_token_file=str(tmp_path / "token"),
            api_key_sid=emulator.user,
            api_key_secret_file=str(tmp_path / "key"),
            caller=CALLER,
            numbers=(TwilioNumberSettings(called=VEHICLES, tenant="acme"),),
            desk_lines=(DeskLineSettings(operator="hanako", number=DESK),),
            base_url=emulator.base,
        ),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(sha256(b"key").hexdigest(),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=TOKEN),),
    )


class Story:
    """The journal of one incident, waited for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def incident(self) -> IncidentId:
        async with asyncio.timeout(60):
            while True:
                _, waiting = await self._service.journal.queue(limit=10, states=tuple(State))
                if waiting:
                    return waiting[0].id
                await SystemClock().wait(LOOK)

    async def until(self, incident: IncidentId, kind: type[Event], **fields: Any) -> list[Recorded]:
        """The incident's journal once it holds such an event."""
        async with asyncio.timeout(60):
            while True:
                recorded = list(await self._service.journal.store.stream(incident))
                for each in recorded:
                    if isinstance(each.event, kind) and all(getattr(each.event, k) == v for k, v in fields.items()):
                        return recorded
                await SystemClock().wait(LOOK)


async def test_a_car_s_call_from_the_first_ring_to_the_last_deletion(tmp_path: Path, emulator: Emulator):
    async with running(settings(tmp_path, emulator)) as service:
        story, journal = Story(service), service.journal
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        await story.until(incident, e.LegJoined, party=Party.VEHICLE)

        take = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
        await journal.execute(incident, take, actor="operator:hanako")
        await story.until(incident, e.LegJoined, party=Party.OPERATOR)
        dial = DialLeg(leg=LegId("agency-leg-1"), party=Party.AGENCY, who="jp-13-fire", line="first")
        await journal.execute(incident, dial, actor="system:test")
        await story.until(incident, e.LegJoined, party=Party.AGENCY)
        assert len(next(iter(emulator.world.conferences.values())).participants) == 3

        close = s.close(Disposition.FALSE_ALARM)
        await journal.execute(incident, close, actor="operator:hanako")
        await story.until(incident, e.RecordingSealed)
        await met(lambda: len(emulator.world.deleted) == 3)
        recorded = await story.until(incident, e.ProviderCopyDeleted)
        figures = f"http://127.0.0.1:{service.settings.metrics_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(figures) as answer:
            assert "sos_twilio_queued_legs_total 0.0" in await answer.text()

    kinds = [type(each.event).__name__ for each in recorded]
    order = ["IncidentOpened", "LegJoined", "OperatorAssigned", "LegDialled", "LegRinging"]
    places = [kinds.index(kind) for kind in order]
    assert places == sorted(places)
    assert kinds.index("RecordingSealed") < kinds.index("RecordingFetched") < kinds.index("ProviderCopyDeleted")
    assert [number for _, number in emulator.world.dialled].count(DESK) == 1
    assert not [each for each in recorded if b"+813" in write_header(each)]
    assert emulator.faults == []


async def test_an_agency_that_calls_back_comes_into_what_it_was_told_of(tmp_path: Path, emulator: Emulator):
    async with running(settings(tmp_path, emulator)) as service:
        story, journal = Story(service), service.journal
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        take = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
        await journal.execute(incident, take, actor="operator:hanako")

        await story.until(incident, e.LegJoined, party=Party.OPERATOR)
        await emulator.call_in(TOKYO_FIRE, to=VEHICLES)  # told of nothing yet: a caller like any other
        await met(lambda: len(emulator.world.conferences) == 2)
        await journal.execute(incident, disclose("d1", AgencyId("jp-13-fire")), actor="operator:hanako")
        before, _ = await journal.queue(limit=10, states=tuple(State))
        leg = LegId(str(uuid5(NAMESPACE_URL, f"twilio:{(await emulator.call_in(TOKYO_FIRE, to=VEHICLES)).sid}")))

        recorded = await story.until(incident, e.LegJoined, leg=leg, party=Party.AGENCY, who="jp-13-fire")
        assert [each.event.called_in for each in recorded if isinstance(each.event, e.LegInvited)][-1]
        assert (await journal.queue(limit=10, states=tuple(State)))[0] == before == 2
        assert not [each for each in recorded if b"+815" in write_header(each)]
    assert emulator.faults == []


async def test_an_agency_that_keys_its_code_from_any_number_is_taken_into_that_incident_s_call(
    tmp_path: Path, emulator: Emulator
):
    async with running(settings(tmp_path, emulator)) as service:
        story, journal = Story(service), service.journal
        await emulator.call_in(CAR, to=VEHICLES)
        incident = await story.incident()
        take = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
        await journal.execute(incident, take, actor="operator:hanako")
        await story.until(incident, e.LegJoined, party=Party.OPERATOR)
        await journal.execute(incident, disclose("d1", AgencyId("jp-13-fire")), actor="operator:hanako")
        code = code_of(KeyStore(tmp_path / "data" / "keys").secret("codes"))("d1")

        before = emulator.world.started.copy()
        await emulator.call_in("+81300000077", to=VEHICLES)  # a mobile telephone of somebody there
        await met(lambda: len(emulator.world.conferences) == 2)
        label = next(name for _, address, name in emulator.world.started if (_, address, name) not in before)
        leg = label.removeprefix("vehicle-")
        await met(lambda: bool(emulator.call_of(leg).sockets))
        for key in f"{code}#":
            emulator.press(leg, key)
            await SystemClock().wait(LOOK)

        recorded = await story.until(incident, e.LegJoined, party=Party.AGENCY, who="jp-13-fire")
        there = [each.event for each in recorded if isinstance(each.event, e.LegJoined)][-1].leg
        conference = next(each for each in emulator.world.conferences.values() if each.name == incident)
        assert there in {each.label for each in conference.participants.values()}
        (call,) = [each.id for each in (await journal.queue(limit=10, states=tuple(State)))[1] if each.id != incident]
        await story.until(call, e.LegLeft, reason="transferred")
        assert (await journal.state(call)).about_another
    assert emulator.faults == []


async def test_a_wrong_setting_stops_the_start_with_its_name(tmp_path: Path, emulator: Emulator):
    good = settings(tmp_path, emulator)
    assert good.twilio is not None
    strange = (TwilioNumberSettings(called="+81300000009", tenant="x"),)
    wrong = {
        "auth_token_file": replace(good, twilio=replace(good.twilio, auth_token_file=str(tmp_path / "nowhere"))),
        "no tenant": replace(good, twilio=replace(good.twilio, numbers=strange)),
    }

    for name, each in wrong.items():
        with pytest.raises(Misconfigured, match=name):
            async with running(each):
                pass


@pytest.mark.parametrize(
    "change",
    [{"edge": "tokyo"}, {"caller": "119"}, {"within_s": 60.0}, {"base_url": "https://evil.example"}, {"ring_s": 0}],
)
def test_a_setting_that_cannot_work_is_refused(tmp_path: Path, change: dict[str, Any]):
    good: dict[str, Any] = {
        "account_sid": "AC0",
        "auth_token_file": "t",
        "api_key_sid": "SK0",
        "api_key_secret_file": "k",
        "caller": CALLER,
    }
    TwilioSettings(**good)

    with pytest.raises(Misconfigured):
        TwilioSettings(**{**good, **change})
    with pytest.raises(Misconfigured):
        Settings(telephony="twilio")
