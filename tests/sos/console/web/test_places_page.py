"""The place as somebody says it, and read back: looked for, adopted or not, and what nobody has read is said."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from sos.incident import commands as c
from sos.incident.model import Acknowledgement, State
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]


async def _answered(page: Page, service: ScriptedService, until: Until) -> str:
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await until(lambda: service.incidents[incident].state is State.IN_CALL)
    await page.wait_for_selector(at("coordinates"))
    return incident


async def _taken_over(page: Page, service: ScriptedService, until: Until, incident: str) -> str:
    await page.keyboard.press("F5")
    await page.wait_for_selector(at("disclose-dialog"))
    await page.keyboard.press("Enter")
    await until(lambda: service.incidents[incident].disclosures)
    (told,) = service.incidents[incident].disclosures
    taken = c.Acknowledge(disclosure=told.disclosure, agency=told.agency, level=Acknowledgement.TAKEN_OVER)
    await service.decide(incident, taken, actor=f"agency:{told.agency}")
    return told.disclosure


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_a_kilometre_post_is_said_shown_beside_the_place_and_adopted(
    page: Page, service: ScriptedService, until: Until, language: str
) -> None:
    incident = await _answered(page, service, until)
    if language == "en":
        await page.click(at("language"))
    await page.select_option(at("place-how"), "road")
    await page.fill(at("place-road"), "架空自動車道")
    await page.select_option(at("place-direction"), "上り")
    await page.fill(at("place-km"), "10.5")
    await page.click(at("place-state"))

    await page.wait_for_selector(at("heard"))
    assert "75" in await page.inner_text(at("heard-found"))
    assert await violations(page) == []
    (said,) = [order for order in service.orders if order["do"] == "say_place"]
    assert (said["how"], said["road"], said["direction"], said["km"]) == ("road", "架空自動車道", "上り", 10.5)

    await page.click(at("heard-adopt"))

    await until(lambda: service.incidents[incident].heard_place is None)
    await page.wait_for_selector(at("heard"), state="detached")


async def test_one_key_records_that_the_place_was_read_back_and_before_that_the_desk_says_so(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await _answered(page, service, until)
    disclosure = await _taken_over(page, service, until, incident)
    await page.wait_for_selector(f'{at(f"readback-{disclosure}")}[data-read="false"] .flag')
    await page.keyboard.press("Shift+F4")
    await page.wait_for_selector(at("unread"))
    assert await violations(page) == []
    await page.keyboard.press("Escape")

    await page.keyboard.press("Alt+b")

    await page.wait_for_selector(f'{at(f"readback-{disclosure}")}[data-read="true"]')
    assert service.incidents[incident].disclosures[0].read_back == 1
    await page.keyboard.press("Shift+F4")
    await page.wait_for_selector(at("disposition"))
    assert await page.query_selector(at("unread")) is None


async def test_what_they_have_instead_is_recorded_and_waits(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await _answered(page, service, until)
    disclosure = await _taken_over(page, service, until, incident)
    await page.click(at(f"readback-no-{disclosure}"))
    await page.fill(at(f"differs-{disclosure}-input"), "架空橋の下")
    await page.click(at(f"differs-{disclosure}-state"))

    await page.wait_for_selector(at("heard"))
    assert service.incidents[incident].heard_place is not None
    assert service.incidents[incident].heard_place.source == "agency"
