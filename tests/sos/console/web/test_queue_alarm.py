"""A call that waits for a free line at the provider is an alarm at the desk, in both languages, until it rings."""

import re

import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import Party
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import FIRE, Until, call_of_three
from tests.sos.console.web.test_console_page import at

pytestmark = pytest.mark.browser


async def test_a_leg_that_waits_for_a_free_line_is_an_alarm_until_it_rings(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await service.happen(incident, e.LegLeft(leg="fire", reason="ended"))
    await service.happen(incident, e.LegDialled(leg="again", party=Party.AGENCY, who=FIRE, line="first"))

    await service.happen(incident, e.LegQueued(leg="again", queued_ms=2000))
    alarm = page.locator(at("queued-agency"))
    await expect(alarm).to_have_role("alert")
    await expect(alarm).to_contain_text("2 秒以上 回線の空き待ち")
    await expect(page.locator(f'{at("timeline")} [data-kind="LegQueued"]')).to_contain_text("回線待ち ⚠ 2 s")
    await page.get_by_test_id("language").click()
    await expect(alarm).to_contain_text("Waits for a free line for more than 2 s")
    await expect(page.locator(f'{at("timeline")} [data-kind="LegQueued"]')).to_contain_text(
        re.compile("Waits for a free line.*2 s")
    )
    await service.happen(incident, e.LegRinging(leg="again"))

    await expect(alarm).to_have_count(0)
