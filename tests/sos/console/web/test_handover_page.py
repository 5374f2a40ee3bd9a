"""An incident goes from one operator to another: offered with a note, taken with a reason, a whole shift."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from sos.incident import commands as c
from sos.incident.model import OperatorId, State
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import call_of_three
from tests.sos.console.web.test_console_page import at, begin, violations
from tests.sos.console.web.test_what_must_be_seen import IN_CALL, hidden_anywhere

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
JIRO = OperatorId("jiro")


async def unfold(page: Page) -> None:
    await page.locator(f"{at('handover')} summary").focus()
    await page.keyboard.press("Enter")


async def test_an_incident_is_offered_to_a_colleague_with_a_note_and_can_be_kept_after_all(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await unfold(page)
    await page.get_by_test_id("handover-to").select_option("jiro")
    await page.get_by_test_id("handover-note").fill("架空: 子どもが後席に")
    await page.get_by_test_id("hand-over").focus()
    await page.keyboard.press("Enter")

    offered = page.get_by_test_id("handover-offered")
    await expect(offered).to_contain_text("操作員 二")
    (order,) = [each for each in service.orders if each["do"] == "hand_over"]
    assert (order["to"], order["note"]) == ("jiro", "架空: 子どもが後席に")
    assert await violations(page) == []
    assert await hidden_anywhere(page, IN_CALL) == []
    await page.set_viewport_size({"width": 1440, "height": 900})

    await offered.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await until(lambda: service.incidents[incident].handover is None)
    assert service.incidents[incident].operator == "op1"


async def test_the_colleague_sees_who_offers_it_and_the_note_takes_it_and_has_it(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await service.decide(incident, c.TakeIncident(operator=JIRO, desk="desk-jiro"), actor="operator:jiro")  # type: ignore[arg-type]
    offer = c.OfferHandover(operator=JIRO, to=OperatorId("op1"), note="架空: 子どもが後席に")
    await service.decide(incident, offer, actor="operator:jiro")

    row = page.locator(f'{at("alarms")} li[data-why="offered"]')
    await expect(row).to_contain_text("操作員 二")
    await page.get_by_test_id(f"queue-{incident}").click()
    await expect(page.get_by_test_id("glance-danger")).to_contain_text("危険は不明")  # nobody has opened it here
    await expect(page.locator(f'{at("timeline")} [data-kind="HandoverOffered"]')).to_contain_text(
        "操作員 二 → 操作員 一"
    )
    assert await violations(page) == []
    await page.get_by_test_id("language").click()
    assert await violations(page) == []
    await row.get_by_role("button").first.focus()
    await page.keyboard.press("Enter")

    await until(lambda: service.incidents[incident].operator == "op1")
    await expect(page.get_by_test_id("incident")).to_have_attribute("data-incident", incident)
    await expect(page.get_by_test_id("notes")).to_contain_text("架空: 子どもが後席に")


async def test_a_colleague_takes_it_over_with_a_reason(page: Page, service: ScriptedService, until: Until) -> None:
    await begin(page)
    incident = await service.crash()
    await service.decide(incident, c.TakeIncident(operator=JIRO, desk="desk-jiro"), actor="operator:jiro")  # type: ignore[arg-type]
    await page.get_by_test_id(f"queue-{incident}").click()
    await unfold(page)
    reasons = await page.locator(f"{at('takeover-reason')} option").all_inner_texts()
    assert reasons == ["操作員の声が届かない", "本人の頼み", "言語"]
    await page.get_by_test_id("takeover-reason").select_option("language")
    assert await violations(page) == []
    await page.get_by_test_id("take-over").focus()
    await page.keyboard.press("Enter")

    await until(lambda: service.incidents[incident].operator == "op1")
    (order,) = [each for each in service.orders if each["do"] == "take_over"]
    assert (order["holder"], order["reason"]) == ("jiro", "language")
    assert service.incidents[incident].state is State.IN_CALL


async def test_whoever_ends_the_shift_offers_everything_and_is_ready_for_nothing_more(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await unfold(page)
    await page.get_by_test_id("handover-to").select_option("jiro")
    await page.get_by_test_id("end-shift").focus()
    await page.keyboard.press("Enter")

    await until(lambda: service.incidents[incident].handover)
    await expect(page.get_by_test_id("ready")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_test_id("handover-offered")).to_contain_text("操作員 二")
    assert await violations(page) == []
