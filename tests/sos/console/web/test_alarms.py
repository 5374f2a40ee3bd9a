"""What must not be missed: every desk is told of a caller for whom nobody was found, whatever it is doing."""

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Page

from routing.categories import Category
from sos.incident import events as e
from sos.incident.model import State, new_id
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin, violations

Until = Callable[[Callable[[], Any]], Awaitable[Any]]


async def told_by_the_house(service: ScriptedService) -> str:
    """A crash that rang for forty-five seconds and was then told to the fire brigade by nobody."""
    incident = await service.crash()
    for rung in ("unanswered", "on_call", "nobody"):
        await service.happen(incident, e.HelpEscalated(rung=rung), actor="timer")
    decided = e.DisclosureDecided(
        disclosure=new_id(),
        agency="demo-fire-tokyo",
        service="fire",
        rule="JP-01",
        ground="JP-27-1-ii",
        law_version="2026-04-01",
        clause="27(1)(ii)",
        necessity="automatic_crash",
        consent="delay",
        opt_out_overridden=False,
        categories=(Category.LOC,),
        withheld=(),
        review=True,
        unattended=True,
    )
    await service.happen(incident, decided, actor="system:unattended")
    return incident


async def test_every_desk_is_alarmed_that_nobody_was_found_and_answers_from_there(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await told_by_the_house(service)

    alarm = f'{at("alarms")} li[data-incident="{incident}"]'
    await page.wait_for_selector(f'{alarm}[data-why="told"]')
    words = await page.inner_text(alarm)
    assert "担当者なし" in words
    assert "デモ東京消防指令センター" in words
    assert await violations(page) == []
    await page.click(f"{alarm} button")
    await until(lambda: service.incidents[incident].operator == "op1")
    await page.wait_for_selector(at("told-unattended"))

    assert service.incidents[incident].state is State.HANDING_OVER
    await page.wait_for_selector(at("alarms"), state="detached")
    await page.wait_for_selector(f"{at('fold-told')} >> text=担当者なしで通報")


async def test_what_nobody_took_in_time_is_no_alarm_at_a_desk_that_is_no_supervisor_s(
    page: Page, service: ScriptedService
) -> None:
    await begin(page)
    incident = await service.crash()
    await service.happen(incident, e.HelpEscalated(rung="unanswered"), actor="timer")
    other = await told_by_the_house(service)

    await page.wait_for_selector(f'{at("alarms")} li[data-incident="{other}"]')

    assert await page.query_selector(f'{at("alarms")} li[data-incident="{incident}"]') is None
