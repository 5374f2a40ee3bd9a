"""The demonstration: the whole service with an invented brand, invented agencies, one operator and a simulated car.

Its keys are made on the first start and kept beside its data, so that the same links work after a restart.
"""

import json
import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sos.app import Service, running
from sos.clock import Clock, SystemClock
from sos.incident.model import AgencyId
from sos.settings import AuditorSettings, OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import CarVoice

AGENCIES = (AgencyId("jp-13-fire"), AgencyId("jp-13-police"))
"""Where the demonstration's crash leads: the simulated car stands at Tokyo station."""


class Keys(Struct, frozen=True, kw_only=True):
    """Secrets of one demonstration; only digests of them go into its settings."""

    tenant: str
    desk: str
    auditor: str


def keys(data: Path) -> Keys:
    """The demonstration's keys, made on first use (mode 0600)."""
    file = data / "demo-keys.json"
    if not file.exists():
        data.mkdir(parents=True, exist_ok=True)
        made = {name: secrets.token_urlsafe(32) for name in ("tenant", "desk", "auditor")}
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            json.dump(made, new)
    return Keys(**json.loads(file.read_text()))


def settings(base: Settings, made: Keys) -> Settings:
    """``base`` with the demonstration's brand, operator and auditor."""
    return replace(
        base,
        demo=True,
        log_origin="demo.sos.example/journal",
        tenants=(TenantSettings(id="demo", domain="demo.sos.example", key_digests=(_digest(made.tenant),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest(made.desk)),),
        auditors=(AuditorSettings(id="auditor", token_digest=_digest(made.auditor)),),
    )


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


async def run(base: Settings, *, tell: Callable[[str], None], crashes: bool = True) -> None:
    """Serve until cancelled; once the operator is ready, a car crashes and calls."""
    made = keys(base.data)
    clock = SystemClock()
    async with running(settings(base, made), clock=clock) as service:
        tell(guide(service, made))
        if not crashes:
            await clock.wait(timedelta(days=3650))
        await _operator_ready(service, clock)
        tell("The operator is ready: a car crashes now.")
        await _crash_and_call(service, made, clock)


def guide(service: Service, made: Keys) -> str:
    """Where to click."""
    fire, police = (service.links.inbox(agency) for agency in AGENCIES)
    there = f"--url {service.url} --key-file {service.settings.data_dir}/demo-keys.json"
    return f"""
  SOS demonstration - nothing here is real.  Everything is kept in {service.settings.data_dir}

  1. Open the operator's desk and press "start":   {service.url}/console/#token={made.desk}
     A car crashes as soon as you are ready.       Answer it (F2): you hear it and it hears you.
  2. Tell the fire brigade (F5, Enter).
  3. Open the fire brigade's page and take over:   {fire}
     (police: {police})
  4. Close the incident (Shift+F4).

  Another crash:    sos vehicle crash {there}
  The record:       sos export INCIDENT package {there} --reveal all
                    sos verify package --log-key '{service.log_vkey}' --seal-key '{service.seal_vkey}'
  Stop with Ctrl+C; start again and everything is still there.
"""


async def _operator_ready(service: Service, clock: Clock) -> None:
    while service.desks.free() is None:
        await clock.wait(timedelta(milliseconds=500))


async def _crash_and_call(service: Service, made: Keys, clock: Clock) -> None:
    event = crash(Car(), at=clock.now(), seed=secrets.randbits(63))
    taken = await report_once(event, base_url=service.url, key=made.tenant, clock=clock)
    async with CarVoice(service.url, taken.incident, token=made.tenant, clock=clock) as car:
        await car.until_stopped()
