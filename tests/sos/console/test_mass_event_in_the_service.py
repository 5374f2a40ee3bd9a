"""The whole service in an earthquake: it proposes, a supervisor confirms, every desk has it, also after a restart."""

import asyncio
from pathlib import Path
from typing import Any

from sos.app import running
from sos.clock import SystemClock
from sos.settings import MassEventSettings, OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port
from tests.sos.dispatch.test_disclosure_at_the_desk import KEY, Desk, _digest


def _settings(data: Path) -> Settings:
    return Settings(
        data_dir=str(data),
        port=free_port(),
        mass_event=MassEventSettings(emergencies=3),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(_digest(KEY),)),),
        operators=(
            OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest("hanako")),
            OperatorSettings(id="jiro", name="架空 次郎", token_digest=_digest("jiro"), supervisor=True),
        ),
    )


async def _crashes(url: str, *numbers: int) -> None:
    clock = SystemClock()
    for number in numbers:
        car = Car(vin=f"JTMZZ3TESTEC1{number:04}", tel=f"+8130000{1000 + number}", latitude=35.6 + number / 50)
        await report_once(crash(car, at=clock.now(), seed=number), base_url=url, key=KEY, clock=clock)


async def _until(desk: Desk, **wanted: Any) -> dict[str, Any]:
    """The first mass event that the desk is told of with all of ``wanted``."""
    async with asyncio.timeout(30):
        while True:
            for frame in desk.frames:
                for event in frame.get("events", ()) if frame["t"] == "mass_events" else ():
                    if all(event[name] == value for name, value in wanted.items()):
                        return {**event, "decisions": frame["decisions"], "audience": frame["audience"]}
            desk.frames.append(await desk.hear_next())


async def test_it_is_proposed_confirmed_shown_with_who_waits_and_there_after_a_restart(tmp_path: Path):
    async with running(_settings(tmp_path / "data")) as service:
        hanako, jiro = await Desk.sit(service.url, "hanako"), await Desk.sit(service.url, "jiro")
        await _crashes(service.url, 1, 2, 3)
        proposed = await _until(jiro, in_force=False)
        whole = {"seen": proposed["decisions"], "name": "架空の地震", "hours": 6, "codes": ["JP-13"]}
        declare = {"do": "declare_mass_event", "mass_event": proposed["mass_event"], **whole}
        by_her, by_him = await hanako.order(**declare), await jiro.order(**declare)
        again = await jiro.order(**declare)
        waits = await _until(hanako, in_force=True, waiting=3)
        await hanako.leave()
        await jiro.leave()
    async with running(_settings(tmp_path / "data")) as service:
        late = await Desk.sit(service.url, "hanako")
        there = await _until(late, in_force=True)
        await _crashes(service.url, 4)
        one_more = await _until(late, in_force=True, waiting=4)
        await late.leave()

    assert (proposed["emergencies"], proposed["tenants"], proposed["audience"]) == (3, 1, "supervisors")
    assert (by_her["ok"], by_him["ok"], again["ok"]) == (False, True, False)
    assert "jiro has decided" in again["error"]["detail"]
    assert (waits["name"], waits["operator"], waits["area_names"]) == ("架空の地震", "jiro", [["東京都", "Tokyo"]])
    assert {name: there[name] for name in ("name", "until", "operator")} == {
        name: waits[name] for name in ("name", "until", "operator")
    }
    assert one_more["mass_event"] == proposed["mass_event"]
