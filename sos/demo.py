"""The demonstration: the whole service with an invented brand, invented agencies, one operator and a simulated car.

Its keys are made on the first start and kept beside its data, so that the same links work after a restart.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sos.app import Service, running
from sos.clock import Clock, SystemClock
from sos.errors import Misconfigured
from sos.incident.model import AgencyId, OperatorId, TenantId
from sos.journal.configured import make_home
from sos.registry.importing import import_sheet
from sos.registry.lifecycle import Role
from sos.registry.registry import By
from sos.registry.sheet import read
from sos.settings import (
    EVERY,
    AuditorSettings,
    DeskLineSettings,
    OperatorSettings,
    Settings,
    TenantSettings,
    TwilioNumberSettings,
    TwilioSettings,
)
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import CarVoice

AGENCIES = (AgencyId("jp-13-fire"), AgencyId("jp-13-police"))
"""Where the demonstration's crash leads: the simulated car stands at Tokyo station."""


EMULATOR = Path(__file__).resolve().parents[1] / "tests" / "twilio_emulator" / "__main__.py"
"""Beside the package in a checkout of the repository; started as a process, never imported."""

OPERATOR = OperatorId("hanako")

LINK_LASTS = timedelta(hours=1)
"""Of the printed link, which works once: long enough to read what stands around it."""

CAR_LINE = "+81300000001"
"""The invented telephone of the simulated car."""


class Keys(Struct, frozen=True, kw_only=True):
    """Secrets of one demonstration; only digests of them go into its settings."""

    tenant: str
    desk: str
    auditor: str


def keys(data: Path) -> Keys:
    """The demonstration's keys, made on first use (mode 0600)."""
    file = data / "demo-keys.json"
    if not file.exists():
        make_home(data)
        made = {name: secrets.token_urlsafe(32) for name in ("tenant", "desk", "auditor")}
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            json.dump(made, new)
    return Keys(**json.loads(file.read_text()))


def settings(base: Settings, made: Keys, *, broker: str = "") -> Settings:
    """``base`` with the demonstration's brand, operator and auditor, and its MQTT ``broker`` when there is one."""
    return replace(
        base,
        demo=True,
        mqtt_url=base.mqtt_url or broker,
        mqtt_version=base.mqtt_version if base.mqtt_url else 4,
        log_origin="demo.sos.example/journal",
        tenants=(_tenant(made),),
        operators=(OperatorSettings(id=OPERATOR, name="架空 花子", token_digest=_digest(made.desk)),),
        auditors=(
            AuditorSettings(id="auditor", token_digest=_digest(made.auditor), brands=("demo",), categories=(EVERY,)),
        ),
    )


def _tenant(made: Keys) -> TenantSettings:
    digests = (_digest(made.tenant),)
    return TenantSettings(id="demo", domain="demo.sos.example", terms="demo-terms", key_digests=digests, mqtt=True)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


async def run(base: Settings, *, tell: Callable[[str], None], crashes: bool = True, twilio: bool = False) -> None:
    """Serve until cancelled; once the operator is ready, a car crashes and calls.

    With ``twilio`` telephones are called instead, at an emulated Twilio; ``Misconfigured`` where that is not there.
    """
    made = keys(base.data)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        if twilio:
            base = replace(base, telephony="twilio", twilio=await _exchange(stack, base))
        broker = await _broker(stack)
        service = await stack.enter_async_context(running(settings(base, made, broker=broker), clock=clock))
        await _register_car(service)
        tell(guide(service, await service.access.link(service.url, OPERATOR, lasts=LINK_LASTS)))
        if twilio:
            tell("  Voice goes over an emulated Twilio: car, desk and agencies are telephones.\n")
        if not crashes:
            await clock.wait(timedelta(days=3650))
        await _operator_ready(service, clock)
        tell("The operator is ready: a car crashes now.")
        await _crash_and_call(service, made, clock)


async def _exchange(stack: AsyncExitStack, base: Settings) -> TwilioSettings:
    """An account at the emulated Twilio, in a process of its own.  It is no part of the service."""
    if not EMULATOR.is_file():
        raise Misconfigured("--twilio needs the emulator (tests/twilio_emulator), which a checkout has and a wheel not")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.twilio_emulator", "--voice-url", f"{base.url}/twilio/voice",
        cwd=EMULATOR.parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    stack.push_async_callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    for name in ("token", "secret"):
        file = base.data / f"demo-twilio-{name}"
        file.touch(mode=0o600)
        file.write_text(told[name])
    return TwilioSettings(
        account_sid=told["account"],
        auth_token_file=str(base.data / "demo-twilio-token"),
        api_key_sid=told["key"],
        api_key_secret_file=str(base.data / "demo-twilio-secret"),
        caller="+81300000100",
        numbers=(TwilioNumberSettings(called="+81300000199", tenant="demo"),),
        desk_lines=(DeskLineSettings(operator="hanako", number="+81300000003"),),
        base_url=told["base"],
    )


async def _broker(stack: AsyncExitStack) -> str:
    """The address of an MQTT broker inside this process; empty without the extra ``broker`` (amqtt, MQTT 3.1.1)."""
    if find_spec("amqtt") is None:
        return ""
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = import_module("amqtt.broker").Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    stack.push_async_callback(_shut_down, broker)
    return f"mqtt://127.0.0.1:{port}"


async def _shut_down(broker: Any) -> None:
    """amqtt sometimes waits for its clients for ever; the demonstration does not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await broker.shutdown()


def guide(service: Service, desk: str) -> str:
    """Where to click; ``desk`` opens the operator's desk."""
    fire, police = (service.links.inbox(agency) for agency in AGENCIES)
    broker = service.settings.mqtt_url
    mqtt = f"\n  One by MQTT:      sos vehicle publish --broker {broker}" if broker else ""
    there = f"--url {service.url} --key-file {service.settings.data_dir}/demo-keys.json"
    return f"""
  SOS demonstration - nothing here is real.  Everything is kept in {service.settings.data_dir}

  1. Open the operator's desk and press "start":   {desk}
     A car crashes as soon as you are ready.       Answer it (F2): you hear it and it hears you.
  2. Tell the fire brigade (F5, Enter).
  3. Open the fire brigade's page and take over:   {fire}
     (police: {police})
  4. Close the incident (Shift+F4).

  Another desk:     SOS_DATA_DIR={service.settings.data_dir} SOS_PORT={service.settings.port} sos desk link {OPERATOR}
  Another crash:    sos vehicle crash {there}{mqtt}
  The record:       sos export INCIDENT package {there} --reveal all
                    sos verify package --log-key '{service.log_vkey}' --seal-key '{service.seal_vkey}'
  Stop with Ctrl+C; start again and everything is still there.
"""


async def _register_car(service: Service) -> None:
    """The simulated car and its invented owner, entitled to SOS without end; found again on the next start."""
    brand = service.settings.tenants[0].id
    sheet = (
        "brand,vin,customer_ref,name,phone,service,begins\n"
        f"{brand},{Car().vin},DEMO-1,架空 太郎,+81300001234,sos,2025-04-01\n"
    )
    tenant = TenantId(brand)
    rows = read(sheet.encode(), brands=(tenant,), now=service.journal.clock.now())
    by = By(tenant=tenant, role=Role.SYSTEM, id="demo")
    await import_sheet(rows, service.registry, by=lambda _: by, dry_run=False)


async def _operator_ready(service: Service, clock: Clock) -> None:
    while service.desks.free() is None:
        await clock.wait(timedelta(milliseconds=500))


async def _crash_and_call(service: Service, made: Keys, clock: Clock) -> None:
    car_of = Car(tel=CAR_LINE) if service.settings.telephony == "twilio" else Car()
    event = crash(car_of, at=clock.now(), seed=secrets.randbits(63))
    taken = await report_once(event, base_url=service.url, key=made.tenant, clock=clock)
    if service.settings.telephony == "twilio":  # the car has a telephone, and the service calls it
        await clock.wait(timedelta(days=3650))
    async with CarVoice(service.url, taken.incident, token=made.tenant, clock=clock) as car:
        await car.until_stopped()
