"""Finding an incident of yesterday by the keyboard alone: one key, half a plate and why."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import Until
from tests.sos.console.web.test_console_page import at, begin, violations

pytestmark = pytest.mark.browser


async def test_yesterdays_incident_is_found_and_opened_by_the_keyboard_alone(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    found: dict[str, Any] = {
        "incident": incident, "tenant": "acme", "at": "2026-11-29T05:00:00Z", "mode": "live", "trigger": "automatic",
        "state": "closed", "disposition": "false_alarm", "prefecture": "JP-13", "place": "港区芝公園",
        "vehicle": "Invented One", "plate": "品川 330 あ 12-34",
    }  # fmt: skip
    service.found = {"incidents": [found], "more": True}

    await page.keyboard.press("F3")
    await expect(page.get_by_test_id("find-confirm")).to_be_disabled()
    await page.keyboard.type("12-34")
    await expect(page.get_by_test_id("find-confirm")).to_be_disabled()  # nobody looks without saying why
    await page.focus(at("find-reason"))
    await page.keyboard.type("the station asks")
    assert await violations(page) == []
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("found")).to_contain_text("東京都 港区芝公園")
    await expect(page.get_by_test_id("found")).to_contain_text("品川 330 あ 12-34")
    await expect(page.get_by_test_id("find-count")).to_contain_text("絞り込んで")
    assert await violations(page) == []
    await expect(page.get_by_test_id("found").get_by_role("button")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.get_by_test_id("find-dialog")).to_have_count(0)
    opened = await until(lambda: next(filter(_opened, service.orders), None))
    (asked,) = [each for each in service.orders if each["do"] == "find"]
    assert {name: asked[name] for name in ("plate", "purpose", "reason", "since")} == {
        "plate": "12-34", "purpose": "review", "reason": "the station asks", "since": "",
    }  # fmt: skip
    assert (opened["incident"], opened["purpose"]) == (incident, "review")


def _opened(order: dict[str, Any]) -> bool:
    return order["do"] == "open" and order.get("reason") == "the station asks"
