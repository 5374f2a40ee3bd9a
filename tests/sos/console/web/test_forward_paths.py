"""The dialog that tells an agency: each of its four ways says what the law needs, and the first needs one key."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from sos.incident.model import State
from tests.sos.console.web.scripted_service import TOKEN, ScriptedService

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]


def at(name: str) -> str:
    return f'[data-testid="{name}"]'


async def _in_call(page: Page, service: ScriptedService, until: Until) -> None:
    """Log in, answer a crash and open the dialog for the fire brigade."""
    await page.goto(f"/console/#code={TOKEN}")
    await page.click(at("start"))
    await page.wait_for_selector(at("queue"))
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await until(lambda: service.incidents[incident].state is State.IN_CALL)
    await page.wait_for_selector(at("coordinates"))
    await page.keyboard.press("F5")
    await page.wait_for_selector(at("disclose-dialog"))


async def _ordered(service: ScriptedService, until: Until, *kinds: str) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [order for order in service.orders if order["do"] in kinds]

    await until(lambda: len(found()) == len(kinds))
    return found()


async def test_protection_of_life_is_one_key_away(page: Page, service: ScriptedService, until: Until) -> None:
    await _in_call(page, service, until)

    await page.keyboard.press("Enter")

    (told,) = await _ordered(service, until, "disclose")
    assert (told["path"], told["necessity"], bool(told["consent"])) == ("life_protection", "automatic_crash", True)


async def test_what_the_person_agreed_to_is_recorded_before_anybody_is_told(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await _in_call(page, service, until)
    await page.select_option(at("path"), "agreed")
    for category in ("SEV", "TEL", "PER", "OBS"):
        await page.uncheck(at(f"agreed-{category}"))

    await page.click(at("disclose-confirm"))

    said, told = await _ordered(service, until, "consent", "disclose")
    assert (said["answer"], said["categories"]) == ("agreed", ["LOC", "VEH"])
    assert told["path"] == "agreed"


async def test_nobody_is_told_on_a_yes_to_nothing(page: Page, service: ScriptedService, until: Until) -> None:
    await _in_call(page, service, until)
    await page.select_option(at("path"), "agreed")
    for category in ("LOC", "VEH", "SEV", "TEL", "PER", "OBS"):
        await page.uncheck(at(f"agreed-{category}"))

    assert await page.is_disabled(at("disclose-confirm"))


async def test_a_refusal_needs_a_reason_and_is_recorded_before_the_supervisor_is_asked(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await _in_call(page, service, until)
    await page.select_option(at("path"), "refused")
    assert await page.is_disabled(at("disclose-confirm"))
    await page.fill(at("why"), "ろれつが回らない")

    await page.click(at("disclose-confirm"))

    said, told = await _ordered(service, until, "consent", "disclose")
    assert said["answer"] == "refused"
    assert (told["path"], told["consent"], told["reason"]) == ("refused", "refused", "ろれつが回らない")


async def test_for_a_third_person_the_two_facts_go_with_it(page: Page, service: ScriptedService, until: Until) -> None:
    await _in_call(page, service, until)
    await page.select_option(at("path"), "third_party")

    await page.click(at("disclose-confirm"))

    (told,) = await _ordered(service, until, "disclose")
    assert (told["path"], told["necessity"]) == ("third_party", "third_person")
    assert told["facts"] == ["third_party_in_danger", "customer_data_needed"]
