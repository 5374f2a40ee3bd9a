"""The strip of alarms in a browser: it sounds until somebody says by name that it was heard, in both languages."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import AlarmKind, Audience, OperatorId, Party, RecordingId
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[[Callable[[], Any]], Awaitable[Any]]
JIRO = OperatorId("jiro")


async def sounded(page: Page) -> int:
    return await page.evaluate("window.__sos.sounded()")


async def hears_more(page: Page, than: int) -> None:
    await page.wait_for_function("than => window.__sos.sounded() > than", arg=than)


async def operator_without_voice(service: ScriptedService) -> str:
    """Another operator has it by name, and the car hears nobody."""
    incident = await service.crash()
    await service.decide(incident, c.TakeIncident(operator=JIRO, desk="desk-jiro"), actor="operator:jiro")  # type: ignore[arg-type]
    await service.happen(incident, e.LegJoined(leg="car", party=Party.VEHICLE, who="vehicle"))
    await service.happen(incident, e.HelpEscalated(rung="no_voice"), actor="timer")
    await service.happen(incident, e.AlarmRaised(alarm="alarm-1", why=AlarmKind.NO_VOICE), actor="timer")
    return incident


async def test_a_supervisor_hears_the_alarm_again_and_again_until_it_is_acknowledged_by_one_key(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    await begin(page)
    before = await sounded(page)
    incident = await operator_without_voice(service)
    shown = e.AlarmShown(alarm="alarm-1", audience=Audience.SUPERVISORS, supervisors=(OperatorId("op1"),))
    await service.happen(incident, shown, actor="system:alarms")

    row = page.locator(f'{at("alarms")} li[data-why="no_voice"]')
    await expect(row).to_contain_text("車両は通話中、操作員の声なし")
    await expect(row).to_contain_text("操作員 二 が対応中")
    await expect(row).to_contain_text("監督者 操作員 一 へ警報済み")
    assert await violations(page) == []
    await hears_more(page, before)
    await hears_more(page, await sounded(page))  # and once more by itself
    await page.get_by_test_id("language").click()
    await expect(row).to_contain_text("The vehicle is on the line and hears no operator")
    await row.get_by_role("button", name="Look").click()
    await page.keyboard.press("F8")

    await until(lambda: service.incidents[incident].alarms[0].operator == "op1")
    await expect(page.locator(at("alarms"))).to_have_count(0)
    await expect(page.locator(f'{at("timeline")} [data-kind="AlarmAcknowledged"]')).to_contain_text("操作員 一")


async def test_where_no_supervisor_is_there_every_desk_has_it_and_is_told_so(
    page: Page, service: ScriptedService
) -> None:
    await begin(page)
    incident = await operator_without_voice(service)
    await service.happen(incident, e.RecordingStarted(recording=RecordingId("r")))
    rows = page.locator(f"{at('alarms')} li")
    await expect(rows).to_have_count(0)  # it is the supervisors' as long as there is one
    before = await sounded(page)

    await service.happen(incident, e.AlarmShown(alarm="alarm-1", audience=Audience.EVERYBODY), actor="system:alarms")

    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("監督者は席にいません。全席へ警報")
    await hears_more(page, before)


async def test_more_alarms_than_fit_are_counted(page: Page, service: ScriptedService) -> None:
    service.supervisor = True
    await begin(page)
    incident = await service.crash()
    for number, why in enumerate(AlarmKind, 1):
        raised = e.AlarmRaised(alarm=f"alarm-{number}", why=why)  # type: ignore[arg-type]
        await service.happen(incident, raised, actor="timer")

    await expect(page.get_by_test_id("alarms")).to_have_attribute("data-count", str(len(AlarmKind)))
    more = page.get_by_test_id("alarms-more")
    await expect(more).to_contain_text(f"{len(AlarmKind) - 1} 件")
    await page.keyboard.press("Alt+W")
    await expect(page.locator(f"{at('alarms')} li")).to_have_count(6)
    await expect(more).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Alt+W")
    await expect(page.locator(f"{at('alarms')} li")).to_have_count(1)
