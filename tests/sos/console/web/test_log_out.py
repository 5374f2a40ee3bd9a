"""The page's log-in and its end: a link works once, and a log-out leaves nothing of anybody in the page."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from tests.sos.console.web.scripted_service import TOKEN, ScriptedService
from tests.sos.console.web.test_console_page import at, begin

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]


async def test_by_key_and_enter_the_operator_is_out_and_the_page_knows_nobody_any_more(
    page: Page, service: ScriptedService
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    assert TOKEN not in page.url

    await page.keyboard.press("Control+Shift+X")
    await page.wait_for_selector(at("logout-dialog"))
    await page.keyboard.press("Enter")
    await page.wait_for_selector(at("token"))

    assert "ログアウトしました" in await page.inner_text("#login-fault")
    assert await page.evaluate("window.__sos.state.incidents.size") == 0
    assert incident not in await page.content()
    assert TOKEN not in await page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    assert await page.evaluate("fetch('/console/session').then((answer) => answer.status)") == 401


async def test_in_a_call_the_operator_is_told_why_not_and_stays(page: Page, service: ScriptedService) -> None:
    await begin(page)
    service.in_call = True

    await page.click(at("logout"))
    await page.click(at("logout-confirm"))
    await page.wait_for_selector(at("fault"))

    assert "通話中" in await page.inner_text(at("fault"))
    assert await page.is_visible(at("queue"))


@pytest.mark.parametrize(("why", "told"), [("idle", "操作がなかった"), ("revoked", "管理者"), ("over", "有効期間")])
async def test_a_log_in_that_the_service_ends_says_why(
    page: Page, service: ScriptedService, why: str, told: str
) -> None:
    await begin(page)

    await service.end(why)
    await page.wait_for_selector(f"#login-fault:has-text('{told}')")

    assert await page.evaluate("window.__sos.state.incidents.size") == 0


async def test_a_link_that_was_used_opens_the_desk_where_its_log_in_still_holds_and_nowhere_else(
    page: Page, service: ScriptedService
) -> None:
    await page.goto("/console/#code=used")
    await page.wait_for_selector(at("token"))
    assert "使用済み" in await page.inner_text("#login-fault")

    await begin(page)
    await page.goto("about:blank")
    await page.goto("/console/#code=used")
    await page.wait_for_selector(at("start"))

    assert "code" not in page.url


async def test_a_key_or_the_pointer_says_that_somebody_is_there(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    await page.keyboard.press("Shift")
    await until(lambda: True in service.touched)
    await until(lambda: service.touched[-1] is False)
