"""What a car says in codes is read in the operator's language."""

import re

from playwright.async_api import Page

from sos.incident import events as e
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin

REPORT = {
    "VEH": {"exteriorColor": "White", "energy": ["gasoline", "ELECTRIC"], "occupants": 2},
    "SEV": {"impact": "front", "rollover": "NONE", "airbagDeployed": True},
    "TEL": {"tel": "+81355500123", "language": "ja"},
}


async def test_a_japanese_screen_says_what_the_car_says_in_japanese(page: Page, service: ScriptedService) -> None:
    await begin(page)
    incident = await service.crash()
    await service.happen(incident, e.ReportFiled(sequence=1, located=True), parts=REPORT)
    await page.click(at(f"queue-{incident}"))
    await page.keyboard.press("F2")

    await page.wait_for_selector(f"{at('vehicle')} >> text=ガソリン ・ 電気")
    words = await page.inner_text(at("vehicle")) + await page.inner_text(at("crash"))

    assert "日本語" in words
    assert "横転" in words
    assert [each for each in ("white", "gasoline", "electric", "none", "front") if each in words.lower()] == []
    assert not re.search(r"\bja\b", words)
