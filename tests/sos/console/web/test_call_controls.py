"""The call panel of the built page: every leg with its standing in words, every control by key and by button."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from sos.incident import events as e
from sos.incident.model import Party, Telling
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import AXE, at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
FIRE = "demo-fire-tokyo"


async def call_of_three(page: Page, service: ScriptedService, until: Until) -> str:
    """The vehicle, this operator and the fire brigade, which was told."""
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await page.wait_for_selector(f'{at("voice")}[data-state="connected"]')
    await service.happen(incident, e.LegJoined(leg="car", party=Party.VEHICLE, who="vehicle"))
    await service._disclose(incident, {"agency": FIRE}, actor="operator:op1")
    await service.happen(incident, e.LegJoined(leg="fire", party=Party.AGENCY, who=FIRE))
    await page.wait_for_selector(f'{at("leg-agency")}[data-standing="up"]')
    return incident


def ordered(service: ScriptedService, *kinds: str) -> list[dict[str, Any]]:
    names = ("do", "leg", "held", "muted", "notice", "agency")
    return [{k: v for k, v in order.items() if k in names} for order in service.orders if order["do"] in kinds]


async def test_controls_are_given_by_key(page: Page, service: ScriptedService, until: Until) -> None:
    incident = await call_of_three(page, service, until)

    await page.keyboard.press("Control+Shift+H")
    await page.keyboard.press("Control+Shift+K")
    await page.keyboard.press("Control+Shift+Y")
    await until(lambda: ordered(service, "notice"))
    await service.happen(incident, e.LegModeSet(leg="car", held=True, muted=False))
    await expect(page.locator(at("leg-vehicle"))).to_contain_text("保留中")
    await page.keyboard.press("Control+Shift+E")
    await until(lambda: len(ordered(service, "mode")) == 3)

    held, consulted, together = ordered(service, "mode")
    assert held == consulted == {"do": "mode", "leg": "car", "held": True, "muted": False}
    assert together == {"do": "mode", "leg": "car", "held": False, "muted": False}
    assert ordered(service, "notice") == [{"do": "notice", "leg": "car", "notice": "silent"}]


async def test_every_standing_and_the_keys_pressed_are_words(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    vehicle = page.locator(at("leg-vehicle"))

    await service.happen(incident, e.NoticePlayed(leg="car", notice="silent"))
    await service.happen(incident, e.KeysPressed(leg="car", keys="1"))
    await expect(page.locator(at("keys-vehicle"))).to_contain_text("# 1 はい")
    await service.happen(incident, e.LegModeSet(leg="car", held=False, muted=True))
    await expect(vehicle).to_contain_text("消音中")
    await service.happen(incident, e.LegLeft(leg="car", reason="media_lost"))
    await expect(vehicle).to_contain_text("不在: 途切れた")
    await page.keyboard.press("Control+Shift+F")

    await until(lambda: ordered(service, "call_vehicle"))


async def test_nobody_is_left_alone_by_key_and_the_desk_comes_back_when_the_agency_leaves(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await expect(page.locator(at("leave-call"))).to_have_count(0)
    await service.happen(incident, e.HandoffCompleted())

    await page.locator(at("leave-call")).click()
    await expect(page.locator(at("voice"))).to_have_attribute("data-state", "idle")
    await expect(page.locator(at("out"))).to_be_visible()
    offers = len(service.offers)
    await service.happen(incident, e.LegLeft(leg="fire", reason="ended"))
    await until(lambda: len(service.offers) > offers)

    await expect(page.locator(at("voice"))).to_have_attribute("data-state", "connected")
    assert "一人" in await page.inner_text(at("alert"))


async def test_an_agency_that_was_told_is_let_in_by_a_button_or_called_by_hand(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    await service.happen(incident, e.LegLeft(leg="fire", reason="ended"))

    await page.click(at(f"invite-{FIRE}"))

    await until(lambda: ordered(service, "invite") == [{"do": "invite", "agency": FIRE}])


async def test_the_machine_reads_the_brief_to_an_agency_when_the_operator_wants_it(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    button = page.locator(at("speak-brief"))
    await expect(button).to_have_text("通報内容を読み上げる")

    await button.click()
    await until(lambda: ordered(service, "speak_brief") == [{"do": "speak_brief", "leg": "fire"}])
    told = service.incidents[incident].disclosures[-1].disclosure
    await service.happen(incident, e.BriefSpoken(leg="fire", disclosure=told, voice="ja", why=Telling.ASKED))

    await expect(button).to_have_text("もう一度読み上げる")
    await expect(page.locator(f'{at("timeline")} [data-kind="BriefSpoken"]')).to_contain_text("指示による")


async def test_the_levels_of_the_legs_are_shown_and_the_panel_is_clean_to_axe(
    page: Page, service: ScriptedService, until: Until
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run ops/build_console.py --force")
    incident = await call_of_three(page, service, until)
    meter = page.locator(f"{at('leg-vehicle')} [role=meter]")

    await service.send({"t": "levels", "incident": incident, "legs": {"car": [-20, -12], "fire": [-127, -127]}})

    await expect(meter).to_have_attribute("aria-valuenow", "5")
    assert await violations(page) == []
