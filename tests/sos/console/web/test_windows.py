"""The built page in a second window of the same desk: it says so, does not ring or talk, and can be worked in again."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import Party
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import AXE, at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]


async def test_the_window_that_is_not_worked_at_gives_its_voice_away_and_takes_the_desk_back_by_a_press(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await page.wait_for_selector(f'{at("voice")}[data-state="connected"]')

    await service.send({"t": "seat", "active": False})
    await expect(page.locator(at("elsewhere"))).to_be_visible()
    await service.happen(incident, e.LegJoined(leg="other-window", party=Party.OPERATOR, who="op1"))
    await page.wait_for_selector(f'{at("voice")}[data-state="idle"]')
    faults = await violations(page) if AXE.is_file() else []
    asked = [order["do"] for order in service.orders].count("ready")
    await page.click(at("work-here"))
    await until(lambda: [order["do"] for order in service.orders].count("ready") == asked + 1)
    await page.wait_for_selector(f'{at("voice")}[data-state="connected"]')

    await expect(page.locator(at("elsewhere"))).to_have_count(0)
    assert service.hung_up == []  # the call was never ended at the service: it went from window to window
    assert faults == []
