"""The police come into the call by one key and one look, told already or not; nobody touches the mouse."""

import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import Party
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import Until, call_of_three, ordered
from tests.sos.console.web.test_console_page import at, violations

pytestmark = pytest.mark.browser

POLICE = "demo-police-tokyo"


async def test_police_that_were_told_come_in_after_one_look(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await call_of_three(page, service, until)
    await service._disclose(incident, {"agency": POLICE}, actor="operator:op1")
    await page.wait_for_selector(at(f"outside-{POLICE}"), state="attached")

    await page.keyboard.press("F7")
    await expect(page.get_by_test_id("conference-agency")).to_have_attribute("data-agency", POLICE)
    assert await violations(page) == []
    assert ordered(service, "invite", "dial") == []
    await page.keyboard.press("Enter")

    await until(lambda: ordered(service, "invite"))
    assert ordered(service, "invite", "dial") == [{"do": "invite", "agency": POLICE}]


async def test_police_that_nobody_told_are_told_and_then_come_in_by_the_same_look(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)

    await page.keyboard.press("F7")
    await expect(page.get_by_test_id("disclose-agency")).to_have_attribute("data-agency", POLICE)
    await expect(page.get_by_test_id("then-join")).to_be_visible()
    assert await violations(page) == []
    await page.keyboard.press("Enter")

    await until(lambda: ordered(service, "invite"))
    assert [each["do"] for each in ordered(service, "disclose", "invite", "dial")] == ["disclose", "invite"]
    await expect(page.get_by_test_id("disclose-dialog")).to_have_count(0)


async def test_who_is_in_the_call_is_not_brought_in_twice(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await call_of_three(page, service, until)
    await service._disclose(incident, {"agency": POLICE}, actor="operator:op1")
    await service.happen(incident, e.LegJoined(leg="police", party=Party.AGENCY, who=POLICE))
    await expect(page.locator(at("leg-agency"))).to_have_count(2)

    await page.keyboard.press("F7")

    await expect(page.get_by_test_id("fault")).to_contain_text("警察はすでに")
    assert ordered(service, "invite", "dial") == []
