"""The question card at the desk: one question at a time, one key for an answer, in the words of the chosen language."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from routing.cards import shipped
from routing.categories import Category
from routing.kinds import EmergencyKind
from sos.incident import events as e
from sos.incident.model import AgencyId, DisclosureId
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import Until, call_of_three
from tests.sos.console.web.test_console_page import violations
from tests.sos.console.web.test_what_must_be_seen import IN_CALL, hidden_anywhere

pytestmark = pytest.mark.browser


def answers(service: ScriptedService) -> list[tuple[str, Any, Any]]:
    given = (order for order in service.orders if order["do"] == "card")
    return [(order["question"], order["value"], order.get("source")) for order in given]


async def test_the_card_is_answered_with_the_keyboard_alone_and_what_endangers_is_seen_at_once(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    first, second, *_ = shipped().of(EmergencyKind.CRASH)
    await expect(page.get_by_test_id("card-asks")).to_have_text(first.ask.ja)

    await page.keyboard.press("Alt+Q")
    await page.keyboard.press("1")
    await until(lambda: answers(service) == [(first.id, "yes", None)])
    await expect(page.get_by_test_id("glance-danger")).to_contain_text("火災")
    await expect(page.get_by_test_id("card-asks")).to_have_text(second.ask.ja)
    await page.keyboard.press("2")
    await until(lambda: answers(service)[1:] == [(second.id, "no", None)])

    await expect(page.get_by_test_id("glance-danger")).to_contain_text("命の危険")
    assert service.incidents[incident].urgent == ("fire", "heard_severe")


async def test_an_answer_is_taken_back_by_going_to_its_question_again(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await page.keyboard.press("Alt+Q")
    await page.keyboard.press("1")
    await expect(page.get_by_test_id("heard-fire")).to_have_text("はい")

    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_test_id("questions")).to_have_attribute("data-question", "fire")
    await page.keyboard.press("2")

    await expect(page.get_by_test_id("heard-fire")).to_have_text("いいえ")
    await until(lambda: service.incidents[incident].urgent == ())


async def test_each_kind_has_its_own_card_in_both_languages(page: Page, service: ScriptedService, until: Until) -> None:
    await call_of_three(page, service, until)

    for kind in (EmergencyKind.ILLNESS, EmergencyKind.BREAKDOWN):
        await page.get_by_test_id(f"kind-{kind}").click()
        for each in shipped().of(kind):
            await expect(page.get_by_test_id(f"asked-{each.id}")).to_have_text(each.told.ja)
    await page.get_by_test_id("language").click()

    card = shipped().of(EmergencyKind.BREAKDOWN)
    await expect(page.get_by_test_id("card-asks")).to_have_text(card[0].ask.en)
    await expect(page.locator('[data-testid^="asked-"]')).to_have_count(len(card))


async def test_of_somebodys_health_it_is_said_who_says_so_and_the_answer_is_shown_to_who_asks_alone(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)
    await page.get_by_test_id("kind-illness").click()
    await page.get_by_test_id("asked-chest_pain").click()
    await page.get_by_test_id("card-source").select_option("family")
    await page.get_by_test_id("card-chest_pain-yes").click()

    await until(lambda: answers(service) == [("chest_pain", "yes", "family")])
    await expect(page.get_by_test_id("heard-chest_pain")).to_have_text("✓")
    await expect(page.get_by_test_id("registered-MED")).to_be_visible()


async def test_words_and_numbers_are_typed_and_a_digit_in_them_answers_nothing(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)
    await page.get_by_test_id("asked-conditions").click()
    await page.get_by_test_id("card-words").fill("")
    await page.get_by_test_id("card-words").press_sequentially("1型糖尿病")
    assert answers(service) == []
    await page.keyboard.press("Enter")
    await until(lambda: answers(service) == [("conditions", "1型糖尿病", "person")])

    await page.get_by_test_id("asked-occupants").click()
    await page.get_by_test_id("card-words").fill("42")
    await page.keyboard.press("Enter")
    await until(lambda: answers(service)[1:] == [("occupants", 42, None)])
    await expect(page.get_by_test_id("glance-who")).to_contain_text("42")


async def test_who_was_told_before_an_answer_is_named(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await call_of_three(page, service, until)
    await service.happen(incident, e.DisclosureDecided(
        disclosure=DisclosureId("d-9"), agency=AgencyId("demo-fire-tokyo"), service="fire", rule="r", ground="g",  # type: ignore[arg-type]
        law_version="v", clause="", necessity="", consent="", opt_out_overridden=False, withheld=(),
        categories=(Category.LOC, Category.OBS),
    ))  # fmt: skip

    await page.keyboard.press("Alt+Q")
    await page.keyboard.press("1")

    await expect(page.get_by_test_id("told-unheard")).to_contain_text("デモ東京消防指令センター")


async def test_what_must_be_seen_is_seen_with_a_card_that_is_answered(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)
    await page.keyboard.press("Alt+Q")
    for _ in range(4):
        asked = await page.get_by_test_id("questions").get_attribute("data-question")
        await page.keyboard.press("1")
        await expect(page.get_by_test_id("questions")).not_to_have_attribute("data-question", asked or "")

    assert await hidden_anywhere(page, IN_CALL) == []
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await violations(page) == []
