"""The last words of a leg once more, and who speaks, on the real console over a real call."""

import base64
import io
import wave
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from sos.clock import SystemClock
from tests.audio import correlate
from tests.browser.conftest import CHROMIUM, RATE_HZ, STATIC, read
from tests.browser.kills import Call, call_of_three
from tests.browser.story import SEEN_MS

pytestmark = pytest.mark.browser

HEARD_HZ = 16_000
FETCH = """async (path) => {
  const answer = await fetch(path);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  let text = "";
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
  return [answer.status, btoa(text)];
}"""
COLOURS = """(canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) colours.add(pixels.slice(at, at + 3).join());
  return colours.size;
}"""


@pytest.fixture
async def call(sounds: dict[str, Path], tmp_path: Path) -> AsyncIterator[Call]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    if not STATIC.is_file():
        pytest.skip("the console is not built: run ops/build_console.py")
    async with call_of_three(tmp_path, sounds) as opened:
        yield opened


async def heard_again(call: Call, party: str, seconds: int) -> np.ndarray:
    leg = await call.desk.page.locator(f"[data-testid='leg-{party}'][data-standing='up']").get_attribute("data-leg")
    path = f"/console/incidents/{call.story.incident}/replay/{leg}?seconds={seconds}"
    status, sound = await call.desk.page.evaluate(FETCH, path)
    assert status == 200
    with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
        assert file.getframerate() == HEARD_HZ
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def test_an_operator_sees_who_speaks_and_hears_the_last_words_again(call: Call):
    page = call.desk.page
    vehicle = page.locator("[data-testid='leg-vehicle'][data-standing='up']")
    await expect(vehicle.get_by_test_id("wave")).to_have_attribute("data-speaking", "true", timeout=SEEN_MS)
    await SystemClock().wait(timedelta(seconds=8))

    again = await heard_again(call, "vehicle", 6)
    colours = await vehicle.locator("canvas").evaluate(COLOURS)
    await page.keyboard.press("Alt+R")
    await expect(page.get_by_test_id("player")).to_have_attribute("data-leg", await vehicle.get_attribute("data-leg"))
    await page.wait_for_function("() => document.querySelector('audio')?.currentTime > 0.3")
    await page.screenshot(path=str(call.story.directory / "listening.png"))

    assert again.size == pytest.approx(6 * HEARD_HZ, abs=HEARD_HZ // 2)
    car = read(call.story.sounds["car"]).reshape(-1, RATE_HZ // HEARD_HZ).mean(axis=1)
    middle = again[2 * HEARD_HZ : 4 * HEARD_HZ]
    assert correlate(middle, np.concatenate([car, car]), HEARD_HZ)[0] >= 0.85
    assert colours >= 3
    await expect(page.get_by_test_id("voice")).to_have_attribute("data-state", "connected")
