"""A house that telephones through the emulated Twilio: provider, door and emulator, all over loopback."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web
from msgspec import structs

from sos.calls.adapters.twilio.context import Options
from sos.calls.adapters.twilio.provider import TwilioProvider
from sos.calls.adapters.twilio.rest import Account
from sos.calls.adapters.twilio.twiml import Urls
from sos.calls.adapters.twilio.webhooks import Trust, TwilioEndpoint, VoiceKeys
from sos.calls.agency_callers import CallsBack
from sos.calls.legs import LegState
from sos.clock import Clock, SystemClock
from sos.errors import Forbidden
from sos.incident.model import IncidentId, LegId, OperatorId, Party, TenantId, new_id
from sos.problems import problems_middleware
from sos.settings import Settings
from tests.house import AGENCIES
from tests.ports import free_port
from tests.sos.calls.peers import KEY, Events
from tests.twilio_emulator.server import Emulator

CALLER = "+81300000100"
VEHICLES = "+81300000199"
"""The number that vehicles call."""
CAR = "+81300000001"
FIRE = "+81300000002"
DESK = "+81300000003"
FALLBACK = "+81300000004"
VOICE_SECRET = "a secret of the voice key, 32 bytes and more"

DESCRIBED = Path(__file__).resolve().parents[4] / "shared" / "data" / "twilio" / "twilio_api_v2010.json"
"""Twilio's own description of its interface; where it is absent the emulator's answers are not judged."""


class Switchboard:
    """What the door asks of the rest of the house, without a journal."""

    def __init__(self) -> None:
        self.incident = IncidentId(new_id())
        self.expected: list[tuple[IncidentId, LegId, Party, str]] = []
        self.calls_back: dict[str, CallsBack] = {}
        self.down: Exception | None = None
        self.writes = asyncio.Event()
        """Clear: the journal writes nothing."""
        self.writes.set()

    async def expect(
        self, incident: IncidentId, *, leg: LegId, party: Party, who: str, called_in: bool = False
    ) -> bytes:
        if self.down is not None:
            raise self.down
        if party is Party.OPERATOR and who != "hanako":
            raise Forbidden("only the operator who has the incident may join its call")
        await self.writes.wait()
        self.expected.append((incident, leg, party, who))
        return KEY

    async def find(self, tel: str | None) -> CallsBack | None:
        return self.calls_back.get(tel or "")

    async def incident_of_call(
        self, tenant: TenantId, *, leg: str, vehicle: str | None, tel: str | None, language: str | None,
        received_at: datetime,
    ) -> IncidentId:  # fmt: skip
        if self.down is not None:
            raise self.down
        return self.incident


class TwilioHouse:
    """Opened, it telephones; not ``watchful``, it learns from callbacks alone.

    ``restart`` is a killed and newly started service at the same address.
    """

    def __init__(
        self,
        tmp_path: Path,
        *,
        outlive: bool = True,
        within_s: float = 4.0,
        clock: Clock | None = None,
        watchful: bool = True,
    ) -> None:
        self.tmp = tmp_path
        self._watchful = watchful
        self._outlive = outlive
        self._within_s = within_s
        self._clock: Clock = clock or SystemClock()
        self._port = free_port()
        self.emulator = Emulator(described=DESCRIBED)
        self.switchboard = Switchboard()
        self.recordings = tmp_path / "recordings"

    async def __aenter__(self) -> Self:
        await self.emulator.__aenter__()
        self.emulator.voice_url = f"{self.base}/twilio/voice#ct=2000&rt=3000&rc=2&rp=all"
        self.emulator.desk_url = f"{self.base}/twilio/desk"
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self.emulator.__aexit__(None, None, None)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def start(self) -> None:
        self.provider = TwilioProvider(
            self.options(), recordings=self.recordings, store=self.tmp / "twilio", clock=self._clock,
            outlive=self._outlive,
        )  # fmt: skip
        await self.provider.__aenter__()
        self.events = Events(self.provider)
        self.door = TwilioEndpoint(
            self.provider,
            self.switchboard,
            trust=Trust(account=self.emulator.account, tokens=("next", self.emulator.token), base=self.base),
            tenants={VEHICLES: TenantId("acme"), "acme.sip.example": TenantId("acme")},
            incident_of_call=self.switchboard.incident_of_call,
            agencies=self.switchboard,
            operator_of=_hanako,
            voice_keys=VoiceKeys(
                account=self.emulator.account,
                key=self.emulator.user,
                secret=VOICE_SECRET,
                application="AP" + "0" * 32,
            ),
            clock=self._clock,
        )
        app = web.Application(middlewares=[problems_middleware])
        app.add_routes(self.door.routes())
        app.on_shutdown.append(self.door.close)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def stop(self) -> None:
        await self.provider.__aexit__(None, None, None)
        await self.events.ended()
        await self._runner.cleanup()

    def options(self) -> Options:
        emulator = self.emulator
        account = Account(
            sid=emulator.account,
            user=emulator.user,
            secret=emulator.secret,
            base=emulator.base,
            within_s=self._within_s,
        )
        return Options(
            account=account,
            caller=CALLER,
            fallback=FALLBACK,
            urls=Urls(base=self.base),
            place_within_s=3 * self._within_s,
            reconcile_every=timedelta(seconds=0.3) if self._watchful else timedelta(hours=1),
            look_after=timedelta(seconds=0.1),
            empty_for=timedelta(seconds=0.5) if self._watchful else timedelta(hours=1),
        )

    async def place(
        self, incident: IncidentId, leg: LegId, party: Party = Party.AGENCY, number: str = FIRE, who: str | None = None
    ) -> None:
        await self.provider.place(
            incident=incident, leg=leg, party=party, who=who or party.value, number=number, key=KEY
        )

    def kill_after(self, seconds: float, *, back_after: float) -> "asyncio.Task[None]":
        """Twilio's edge goes away so much later and comes back after that; the task ends with its return."""

        async def kill() -> None:
            await self.emulator.world.pass_time(seconds)
            await self.emulator.down()
            await self.emulator.world.pass_time(back_after)
            await self.emulator.up()

        return asyncio.create_task(kill())

    async def book(self, leg: LegId, *, call: str, incident: IncidentId) -> None:
        """As if Twilio had taken the call on, with nobody told of it."""
        await self.provider.admit(incident=incident, leg=leg, party=Party.AGENCY, who="agency", call=call, key=KEY)

    def state(self, leg: LegId) -> LegState:
        """What the provider believes of a leg."""
        found = self.provider.stored(leg)
        assert found is not None
        return found

    def dialled(self, leg: str) -> int:
        """How often a leg's telephone has rung."""
        return [label for label, _ in self.emulator.world.dialled].count(leg)


def _hanako(request: web.Request) -> OperatorId:
    if request.cookies.get("desk") != "hanako":
        raise Forbidden("log in first")
    return OperatorId("hanako")


def toml_of(configured: Settings) -> str:
    """The settings as a file, for a process of its own."""
    group = configured.twilio
    assert group is not None
    plain = {name: value for name, value in structs.asdict(group).items() if isinstance(value, str | float) and value}
    key = ", ".join(f'"{digest}"' for digest in configured.tenants[0].key_digests)
    operators = ", ".join(
        f'{{id = "{each.id}", name = "{each.name}", token_digest = "{each.token_digest}"}}'
        for each in configured.operators
    )
    numbers = ", ".join(f'{{called = "{each.called}", tenant = "{each.tenant}"}}' for each in group.numbers)
    return "\n".join(
        [
            f"port = {configured.port}",
            'telephony = "twilio"',
            f'data_dir = "{configured.data_dir}"',
            f'directory = "{AGENCIES}"',
            f'tenants = [{{id = "acme", domain = "acme.sos.example", key_digests = [{key}]}}]',
            f"operators = [{operators}]",
            "[twilio]",
            f"numbers = [{numbers}]",
            *(f"{name} = {json.dumps(value)}" for name, value in plain.items()),
        ]
    )
