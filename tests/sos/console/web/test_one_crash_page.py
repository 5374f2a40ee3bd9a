"""Several cars of one crash: all of them by one key, who was told when and by whom, and taken out again."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from sos.incident.model import State
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin, violations
from tests.sos.console.web.test_what_must_be_seen import IN_CALL, hidden_anywhere

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
FIRE = "demo-fire-tokyo"


async def two_cars(page: Page, service: ScriptedService, until: Until) -> tuple[str, str]:
    """This operator's call, and another car of the same crash that the fire brigade was told of by a colleague."""
    await begin(page)
    mine, other = await service.crash(), await service.crash()
    await page.wait_for_selector(at(f"queue-{other}"))
    await page.click(at(f"queue-{mine}"))
    await page.keyboard.press("F2")
    await until(lambda: service.incidents[mine].state is State.IN_CALL)
    await page.wait_for_selector(f'{at("voice")}[data-state="connected"]')
    await service._disclose(other, {"agency": FIRE}, actor="operator:jiro")
    return mine, other


async def link(page: Page, other: str) -> None:
    """By keys: the fold, the other incident, the button."""
    await page.locator(f"{at('link-by-hand')} summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_test_id("link-other").select_option(other)
    await page.get_by_test_id("link").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("crash-cars")).to_be_visible()


async def test_one_key_shows_all_cars_who_was_told_of_which_by_whom_and_when(
    page: Page, service: ScriptedService, until: Until
) -> None:
    mine, other = await two_cars(page, service, until)
    await link(page, other)

    await page.keyboard.press("Alt+O")

    await expect(page.get_by_test_id("crash-count")).to_contain_text("車両2台 ・ 乗員6")
    cars = page.get_by_test_id("crash-car")
    await expect(cars).to_have_count(2)
    await expect(page.locator(f'{at("crash-car")}[aria-current="true"]')).to_have_attribute("data-incident", mine)
    await expect(cars.nth(1)).to_contain_text("高電圧バッテリー")
    row = page.locator(f"{at('crash-told')} tbody tr")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("デモ東京消防指令センター")
    await expect(row).to_contain_text("操作員 二")
    told = next(each["at"] for each in service.events if each["kind"] == "DisclosureDecided")
    clock = datetime.fromisoformat(told).astimezone(ZoneInfo("Asia/Tokyo"))
    await expect(row).to_contain_text(f"{clock:%H:%M:%S}")
    assert await violations(page) == []
    assert await hidden_anywhere(page, IN_CALL) == []
    await expect(page.get_by_test_id("crash-count")).to_contain_text("2 vehicles")
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await violations(page) == []


async def test_who_was_told_of_another_car_is_told_of_this_one_after_a_warning_and_a_second_press(
    page: Page, service: ScriptedService, until: Until
) -> None:
    mine, other = await two_cars(page, service, until)
    await link(page, other)

    await page.keyboard.press("F5")
    await page.wait_for_selector(at("disclose-dialog"))
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    warning = page.get_by_test_id("second-agency")
    await expect(warning).to_be_visible()
    await expect(warning).to_contain_text("デモ東京消防指令センター")
    await expect(warning).to_contain_text("482193")
    assert service.incidents[mine].disclosures == ()
    assert await violations(page) == []
    await page.keyboard.press("Enter")

    (told,) = await until(lambda: service.incidents[mine].disclosures)
    assert told.agency == FIRE
    confirmed = [order["confirmed"] for order in service.orders if order["do"] == "disclose"]
    assert confirmed == [False, True]


async def test_a_car_that_is_taken_out_leaves_nothing_of_the_link(
    page: Page, service: ScriptedService, until: Until
) -> None:
    _, other = await two_cars(page, service, until)
    await link(page, other)
    await page.keyboard.press("Alt+O")
    await page.locator(f'{at("crash-car")}[data-incident="{other}"]').get_by_test_id("unlink").focus()
    await page.keyboard.press("Enter")

    await expect(page.get_by_test_id("crash-cars")).to_have_count(0)
    await expect(page.get_by_test_id("crash-told")).to_have_count(0)
    assert service.incidents[other].linked is None
    await page.keyboard.press("Alt+O")  # there is nothing to be opened any more
    await expect(page.get_by_test_id("fault")).to_have_count(0)
