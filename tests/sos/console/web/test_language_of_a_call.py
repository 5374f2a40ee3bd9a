"""Which language is spoken, at the desk: shown with who says so, stated, and an interpreter by one key."""

import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import LegId, OperatorId, Party
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import Until, call_of_three

pytestmark = pytest.mark.browser


async def test_the_language_is_shown_with_who_says_so_and_what_the_operator_heard_is_believed(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await expect(page.get_by_test_id("spoken")).to_contain_text("日本語 車両の通知")

    await page.get_by_test_id("language-stated").select_option("en")
    await until(lambda: [one["language"] for one in service.orders if one["do"] == "language"] == ["en"])
    stated = e.LanguageStated(operator=OperatorId("op1"))
    await service.happen(incident, stated, actor="operator:jiro", parts={"TEL": {"language": "en"}})

    await expect(page.get_by_test_id("spoken")).to_contain_text("英語 通話で確認")


async def test_one_key_calls_an_interpreter_and_why_nobody_came_is_said_in_words(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)

    await page.keyboard.press("Alt+I")
    await until(lambda: len([order for order in service.orders if order["do"] == "interpreter"]) == 1)
    leg = LegId("leg-interpreter")
    await service.happen(incident, e.LegDialled(leg=leg, party=Party.INTERPRETER, who="line-1", line="interpreter"))
    await expect(page.get_by_test_id("interpreter")).to_be_disabled()
    await expect(page.get_by_test_id("leg-interpreter")).to_contain_text("通訳")
    await service.happen(incident, e.LegLeft(leg=leg, reason="busy"))

    await expect(page.get_by_test_id("fault")).to_contain_text("通訳につながりません: 話中")
    await expect(page.get_by_test_id("interpreter")).to_be_enabled()


async def test_an_interpreter_who_leaves_after_helping_is_no_fault(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    leg = LegId("leg-interpreter")
    await service.happen(incident, e.LegDialled(leg=leg, party=Party.INTERPRETER, who="line-1", line="interpreter"))
    await service.happen(incident, e.LegJoined(leg=leg, party=Party.INTERPRETER, who="line-1"))
    await expect(page.get_by_test_id("leg-interpreter")).to_have_attribute("data-standing", "up")

    await service.happen(incident, e.LegLeft(leg=leg, reason="hung_up"))

    await expect(page.get_by_test_id("leg-interpreter")).to_have_attribute("data-standing", "left")
    await expect(page.get_by_test_id("fault")).to_have_count(0)
