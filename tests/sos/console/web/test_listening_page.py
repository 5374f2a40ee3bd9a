"""What a desk hears beside the call, on the built page: who speaks, the last words once more, what a machine wrote."""

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import Disposition, Party
from sos.media.heard import wav
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import call_of_three
from tests.sos.console.web.test_console_page import AXE, at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
TONE = wav((6_000 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)).astype(np.int16))
PAINTED = """(canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) colours.add(pixels.slice(at, at + 3).join());
  return colours.size;
}"""


async def loud(service: ScriptedService, incident: str, *, speaking: bool = True) -> None:
    legs = {"car": [-22, -14, speaking], "fire": [-70, -66, False]}
    await service.send({"t": "levels", "incident": incident, "legs": legs})


async def test_who_speaks_is_a_picture_a_lamp_and_a_text(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await call_of_three(page, service, until)
    vehicle = page.locator(f"{at('leg-vehicle')} {at('wave')}")
    agency = page.locator(f"{at('leg-agency')} {at('wave')}")

    await loud(service, incident)

    await expect(vehicle).to_have_attribute("data-speaking", "true")
    await expect(vehicle).to_contain_text("発話中")
    await expect(vehicle.locator("[role=img]")).to_have_attribute("aria-label", "車両の直近 30 秒の音量。話しています")
    await expect(agency).to_have_attribute("data-speaking", "false")

    async def painted() -> bool:
        await loud(service, incident)
        return await vehicle.locator("canvas").evaluate(PAINTED) >= 3

    await until(painted)

    async def dark() -> bool:
        await loud(service, incident, speaking=False)
        return await vehicle.get_attribute("data-speaking") == "false"

    await until(dark)
    await expect(vehicle.locator("[role=img]")).to_have_attribute("aria-label", "車両の直近 30 秒の音量。0 秒前に発話")


async def test_the_last_words_are_heard_again_by_key_and_only_at_this_desk(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.replay_sound = TONE
    await call_of_three(page, service, until)
    sending = "() => window.__sos.pc.getSenders()[0].track.id"
    microphone = await page.evaluate(sending)

    await page.keyboard.press("Alt+R")

    player = page.locator(at("player"))
    await expect(player).to_have_attribute("data-leg", "car")
    await until(lambda: page.evaluate("() => document.querySelector('audio')?.currentTime > 0.3"))
    assert service.replayed == [("car", "15")]
    assert await page.evaluate(sending) == microphone
    assert await page.evaluate("() => window.__sos.pc.getSenders().length") == 1
    await page.locator(f"{at('player')} audio").focus()
    await page.keyboard.press("Escape")
    await expect(player).to_have_count(0)

    await page.click(at("replay-agency"))
    await expect(player).to_have_attribute("data-leg", "fire")
    await page.click(at("replay-close"))
    await expect(player).to_have_count(0)


@pytest.mark.parametrize("supervisor", [True, False])
async def test_a_supervisor_hears_a_call_of_somebody_else_again_and_another_operator_does_not(
    page: Page, service: ScriptedService, until: Until, supervisor: bool
) -> None:
    service.supervisor, service.replay_sound = supervisor, TONE
    await begin(page)
    incident = await service.crash()
    await service.happen(incident, e.OperatorAssigned(operator="op2", desk="desk-2"))
    await service.happen(incident, e.LegJoined(leg="car", party=Party.VEHICLE, who="vehicle"))
    await page.click(at(f"queue-{incident}"))
    await page.click(at("open"))
    overheard = page.locator(at("overheard"))

    if not supervisor:
        await expect(page.locator(at("open"))).to_have_count(0)
        await expect(overheard).to_have_count(0)
        await page.keyboard.press("Alt+R")
        assert service.replayed == []
        return
    await loud(service, incident)
    await expect(overheard.locator(at("wave"))).to_have_attribute("data-speaking", "true")
    await page.keyboard.press("Alt+R")
    await expect(overheard.locator(at("player"))).to_have_attribute("data-leg", "car")
    assert service.replayed == [("car", "15")]


async def test_a_replay_that_cannot_be_had_is_told_and_the_call_goes_on(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)
    await page.route("**/replay/**", lambda route: route.abort("connectionrefused"))

    await page.click(at("replay-vehicle"))

    await expect(page.locator(at("fault"))).to_contain_text("通話は続いています")
    await expect(page.locator(at("voice"))).to_have_attribute("data-state", "connected")
    await expect(page.locator(at("player"))).to_have_count(0)


async def test_what_a_machine_wrote_says_so_and_is_gone_when_the_incident_is_closed(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    lines = [
        {"n": 1, "party": "vehicle", "leg": "", "at": "2026-01-01T00:00:03.000Z", "text": "足が挟まれています"},
        {"n": 2, "party": "agency", "leg": "fire", "at": "2026-01-01T00:00:09.000Z", "text": ""},
    ]

    await service.send({"t": "transcript", "incident": incident, "machine": True, "lines": lines})

    transcript = page.locator(at("transcript"))
    await expect(transcript).to_contain_text("記録ではありません")
    await expect(transcript.locator("li")).to_have_count(2)
    await expect(transcript.locator("li").nth(0)).to_contain_text("書き起こせませんでした")
    await expect(transcript.locator("li").nth(1)).to_contain_text("足が挟まれています")
    if AXE.is_file():
        await loud(service, incident)
        assert await violations(page) == []
    await service.happen(incident, e.IncidentClosed(disposition=Disposition.NO_HELP_NEEDED, retention=()))
    await expect(transcript).to_have_count(0)
