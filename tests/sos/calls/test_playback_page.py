"""The recording at the moment the agency answered, on the console in a real Chromium, by keyboard alone."""

import os
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from sos.app import running
from sos.incident.model import Acknowledgement, Disposition, Party
from tests.browser.conftest import CHROMIUM, FLAGS, STATIC
from tests.journeys import story as s
from tests.sos.calls.recorded_call import FIRE, ring, settings

pytestmark = pytest.mark.browser

PAINTED = """() => {
  const canvas = document.querySelector(".lanes canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) colours.add(pixels.slice(at, at + 3).join());
  return colours.size >= 4;
}"""
"""Ground, loudness, a mark and the agency's."""

PICTURES = os.environ.get("SOS_TEST_PICTURES", "")
"""Where pictures of the player are put for somebody to look at; nowhere by default."""


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_a_supervisor_hears_it_where_the_agency_answered_by_keyboard(tmp_path: Path, language: str):
    if CHROMIUM is None or not STATIC.is_file():
        pytest.skip("no Chromium (Debian package chromium), or the console is not built: ops/build_console.py")
    async with running(settings(tmp_path)) as service, async_playwright() as playwright:
        call = await ring(service)
        await call.happen(s.plan(), s.disclose(), s.start_delivery(), s.confirm())
        await call.happen(s.invite(FIRE, Party.AGENCY, "jp-13-fire"), s.join(FIRE, Party.AGENCY, "jp-13-fire"))
        await call.happen(s.acknowledge(level=Acknowledgement.TAKEN_OVER))
        await call.seal()
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=120_000)
        context = await browser.new_context(viewport={"width": 1440, "height": 900}, base_url=service.url)
        page = await context.new_page()
        page.set_default_timeout(15_000)
        await context.add_init_script(f"localStorage.setItem('sos.language', '{language}')")
        await page.context.request.post(f"{service.url}/console/session", data={"token": "jiro"})
        await page.goto("/console/")
        await page.get_by_test_id("start").click()
        await page.get_by_test_id(f"queue-{call.incident}").click()
        await call.happen(s.close(Disposition.HANDED_OVER))
        await expect(page.get_by_test_id("state")).to_have_attribute("data-state", "closed")

        await page.keyboard.press("Alt+P")
        await expect(page.get_by_test_id("recording-purpose")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        assert await call.read() == []  # without a reason nothing is asked for
        await page.keyboard.type("the family asks")
        await page.keyboard.press("Enter")
        answered = page.get_by_test_id("mark-agency-answered")
        await expect(answered).to_be_focused()
        await page.keyboard.press("Alt+A")
        await page.wait_for_function("() => document.querySelector('audio').played.length > 0")
        await page.wait_for_function("() => isFinite(document.querySelector('audio').duration)")
        began = await page.evaluate("() => document.querySelector('audio').currentTime")
        joined = float(await page.evaluate("() => document.querySelector('audio').duration"))
        await page.wait_for_function(PAINTED)
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/player-{language}.png")
        await browser.close()

    assert joined == pytest.approx(25, abs=0.1)
    assert 2 <= began <= 10  # the agency joined some 5 s after the recording began, heard from 2 s before
