"""The operator's controls over a call of three, on the real console, with a real car and an agency's real page."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from playwright.async_api import expect

from sos.clock import SystemClock
from tests.browser.conftest import CHROMIUM, RATE_HZ, STATIC, read
from tests.browser.kills import Call, call_of_three
from tests.browser.story import HEARD, SEEN_MS, same_sound

pytestmark = pytest.mark.browser

LISTEN_FOR = timedelta(seconds=5)


@pytest.fixture
async def call(sounds: dict[str, Path], tmp_path: Path) -> AsyncIterator[Call]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    if not STATIC.is_file():
        pytest.skip("the console is not built: run ops/build_console.py")
    async with call_of_three(tmp_path, sounds) as opened:
        yield opened


async def standing(call: Call, party: str, how: str) -> None:
    """The console shows how the leg takes part, in words and not by colour alone."""
    leg = call.desk.page.get_by_test_id(f"leg-{party}").first
    await expect(leg).to_have_attribute("data-standing", how, timeout=SEEN_MS)


async def heard_by_car(call: Call) -> float:
    """How well the car hears the others' microphones just now."""
    file = call.story.directory / "car.wav"
    before = read(file).size
    await SystemClock().wait(LISTEN_FOR)
    heard = read(file)[before:]
    if heard.size <= 2 * RATE_HZ:
        return 0.0
    # In a thread: the car speaks in this loop, and a car that falls silent is a lost one.
    return await asyncio.to_thread(same_sound, heard, call.story.sounds["operator"])


async def test_an_operator_holds_consults_asks_leaves_and_comes_back(call: Call):
    page, car = call.desk.page, call.story.car
    assert car is not None

    await page.get_by_test_id("mute-agency").click()
    await standing(call, "agency", "muted")
    together = await heard_by_car(call)  # one speaks at a time: both microphones are the same file
    await page.get_by_test_id("hold-vehicle").click()
    await standing(call, "vehicle", "held")
    held = await heard_by_car(call)
    await page.keyboard.press("Control+Shift+H")
    await standing(call, "vehicle", "up")

    await page.keyboard.press("Control+Shift+K")
    await standing(call, "vehicle", "held")
    await page.screenshot(path=str(call.story.directory / "consult.png"))
    await page.keyboard.press("Control+Shift+E")
    await standing(call, "vehicle", "up")

    await page.get_by_test_id("mute-agency").click()
    await standing(call, "agency", "up")

    await page.keyboard.press("Control+Shift+Y")
    await expect(page.get_by_test_id("silent")).to_be_disabled(timeout=SEEN_MS)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {call.house.tenant_key}"}) as http:
        await car.press(http, "1")
    await expect(page.get_by_test_id("keys-vehicle")).to_contain_text("1", timeout=SEEN_MS)

    await take_over(call)
    await page.keyboard.press("Control+Shift+L")
    await expect(page.get_by_test_id("out")).to_be_visible(timeout=SEEN_MS)
    await call.story.state_is("handed_over")
    without_operator = await heard_by_car(call)

    assert call.agency is not None
    await call.agency.get_by_test_id("leave").click()
    await expect(page.get_by_test_id("voice")).to_have_attribute("data-state", "connected", timeout=SEEN_MS)
    await standing(call, "operator", "up")

    assert together >= HEARD
    assert held < HEARD
    assert without_operator >= HEARD
    assert np.any(read(call.story.directory / "car.wav"))


async def take_over(call: Call) -> None:
    """In a page beside the one that is in the call."""
    assert call.agency is not None
    beside = await call.agency.context.new_page()
    joined, call.story.agency = call.story.agency, beside
    await call.story.open_brief()
    await call.story.take_over()
    call.story.agency = joined
    await call.desk.page.bring_to_front()
