"""Mass events in a browser: declared, changed, renewed and ended by key; every desk sees it, in both languages."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from sos.incident import mass_event as m
from sos.incident.model import AgencyId, Area, Audience, HowToTell, IncidentId, MassEventId
from tests.sos.console.web.scripted_mass_events import ScriptedMassEvents
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_call_controls import call_of_three
from tests.sos.console.web.test_console_page import at, begin, violations
from tests.sos.console.web.test_what_must_be_seen import HIDDEN, IN_CALL, SIZES, hidden_anywhere

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
ONE = MassEventId("m-1")
IN_THE_FORM = ("mass-name", "mass-area", "mass-hours", "mass-words", "mass-confirm", "mass-cancel")


def propose(mass: ScriptedMassEvents) -> None:
    spot = m.Spot(latitude=35.69, longitude=139.7)
    area = Area(latitude=35.69, longitude=139.7, radius_km=20)
    mass.happen(m.Propose(mass_event=ONE, area=area, spot=spot, emergencies=12, tenants=3, within_s=600))
    mass.audience = Audience.SUPERVISORS


async def in_force(page: Page, service: ScriptedService, until: Until) -> m.MassEvent:
    """Declared by keys alone."""
    await page.keyboard.press("Shift+F8")
    await page.wait_for_selector(at("mass-dialog"))
    await page.keyboard.type("架空の地震")
    await page.keyboard.press("Tab")
    await page.keyboard.type("JP-13, JP-12")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.type("架空: 震度 6 強")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("mass-dialog")).to_have_count(0)
    (event,) = await until(lambda: service.mass.now.in_force)
    return event  # type: ignore[no-any-return]


async def test_a_supervisor_declares_renews_and_ends_it_with_the_keyboard_alone(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    await begin(page)
    await page.get_by_test_id("ready").focus()
    banner = page.get_by_test_id("mass-events")
    await expect(banner).to_have_count(0)

    event = await in_force(page, service, until)
    assert (event.operator, event.area.codes) == ("op1", ("JP-13", "JP-12"))
    await expect(banner).to_contain_text("架空の地震（東京都、千葉県）")
    await expect(page.get_by_test_id("ready")).to_be_focused()
    assert await violations(page) == []

    await page.keyboard.press("Shift+F8")
    await expect(page.get_by_test_id("mass-name")).to_have_value("架空の地震")
    await expect(page.get_by_test_id("mass-area")).to_have_value("JP-13, JP-12")
    await page.get_by_test_id("mass-hours").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("2")
    assert await violations(page) == []
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("mass-dialog")).to_have_count(0)
    (renewed,) = service.mass.now.in_force
    assert renewed.until is not None
    assert event.until is not None
    assert renewed.until < event.until

    await page.keyboard.press("Shift+F8")
    await page.get_by_test_id("mass-over").focus()
    await page.keyboard.press("Enter")
    await expect(banner).to_have_count(0)
    assert service.mass.now.events == ()
    await expect(page.get_by_test_id("ready")).to_be_focused()


async def test_what_the_house_proposes_alarms_a_supervisor_who_confirms_or_says_that_there_is_none(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    await begin(page)
    propose(service.mass)
    await service.send(service.mass.frame())

    said = page.get_by_test_id("mass-said")
    await expect(said).to_have_attribute("role", "alert")
    await expect(said).to_contain_text("大規模災害の疑い: 10 分に 12 件（3 ブランド）")
    await page.get_by_test_id("language").click()
    await expect(page.get_by_test_id("mass-events")).to_contain_text("12 emergencies in 10 min (3 brands)")
    assert await violations(page) == []

    await page.keyboard.press("Shift+F8")
    await expect(page.get_by_test_id("mass-area")).to_have_value("35.69, 139.7, 20")
    await page.keyboard.press("Enter")  # without a name it is not declared
    await expect(page.get_by_test_id("mass-dialog")).to_contain_text("It needs a name")
    await page.get_by_test_id("mass-over").focus()
    await page.keyboard.press("Enter")

    await expect(page.get_by_test_id("mass-events")).to_have_count(0)
    assert service.mass.now.events == ()


async def test_every_desk_sees_it_in_a_call_and_nothing_that_is_needed_is_hidden_by_it(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)
    propose(service.mass)
    where = {"area": Area(codes=("JP-13", "JP-12")), "until": service.mass.now.events[0].since + m.LONGEST}
    other = "colleague"
    service.mass.happen(
        m.Declare(mass_event=ONE, operator=other, seen=0, name="架空の首都直下地震", **where)  # type: ignore[arg-type]
    )
    service.mass.audience = None
    service.mass.waiting, service.mass.held = 143, 38
    await service.send(service.mass.frame())

    await expect(page.get_by_test_id("mass-waiting")).to_have_text("待ち 143 件")
    await expect(page.get_by_test_id("mass-said")).not_to_contain_text("143")
    await expect(page.get_by_test_id("mass-open")).to_have_count(0)
    assert await hidden_anywhere(page, (*IN_CALL, "mass-events", "mass-waiting", "mass-held")) == []
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await violations(page) == []
    await page.keyboard.press("Shift+F8")
    await expect(page.get_by_test_id("mass-dialog")).to_have_count(0)


async def test_a_supervisor_says_by_key_how_an_agency_is_told_and_a_stray_enter_tells_nobody(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    await begin(page)
    event = await in_force(page, service, until)
    ask = m.AskTelling(
        mass_event=event.mass_event, agency=AgencyId("demo-fire-tokyo"), place="13104", incident=IncidentId("i-1")
    )
    service.mass.happen(ask)
    service.mass.audience, service.mass.held = Audience.SUPERVISORS, 38
    await service.send(service.mass.frame())
    await expect(page.get_by_test_id("mass-said")).to_contain_text("通報方法の判断待ち 1 件")

    await page.keyboard.press("Shift+F8")
    await expect(page.get_by_test_id("mass-name")).to_be_focused()
    assert await hidden_in_the_form(page) == []
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await violations(page) == []
    await page.keyboard.press("Shift+Tab")  # from the name back over the minutes
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Shift+Tab")
    await expect(page.get_by_test_id("mass-list")).to_be_focused()
    await page.keyboard.press("Enter")

    (telling,) = await until(lambda: [one for one in service.mass.now.events[0].tellings if one.how is not None])
    assert (telling.how, telling.every_min) == (HowToTell.LIST, 10)
    await expect(page.get_by_test_id("mass-list")).to_have_attribute("aria-pressed", "true")


async def test_while_one_stands_another_can_be_declared_elsewhere(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    await begin(page)
    await in_force(page, service, until)

    await page.keyboard.press("Shift+F8")
    await page.get_by_test_id("mass-another").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("mass-name")).to_be_focused()
    await expect(page.get_by_test_id("mass-name")).to_have_value("")
    await page.keyboard.type("架空の洪水")
    await page.keyboard.press("Tab")
    await page.keyboard.type("JP-43")
    await page.keyboard.press("Enter")

    await until(lambda: len(service.mass.now.in_force) == 2)
    await expect(page.locator(f"{at('mass-events')} li")).to_have_count(2)


async def hidden_in_the_form(page: Page) -> list[str]:
    """``size: name`` for each part of the form that is not seen."""
    found = []
    for width, height in SIZES[:-1]:  # at 200 % the form itself is scrolled, and its buttons stay
        await page.set_viewport_size({"width": width, "height": height})
        await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        found += [f"{width}x{height}: {name}" for name in await page.evaluate(HIDDEN, IN_THE_FORM)]
    return found
