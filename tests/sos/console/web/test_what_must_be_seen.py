"""What an operator needs in the worst minute stands on the screen: in every state, at every size, in both languages.

Seen means seen: inside the window, and nothing lies over it.
"""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from routing.categories import Category
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import AlarmKind, Party, Rung
from tests.sos.console.web.scripted_service import AGENCIES, ScriptedService
from tests.sos.console.web.test_alarm_strip import operator_without_voice
from tests.sos.console.web.test_call_controls import FIRE, Until, call_of_three
from tests.sos.console.web.test_console_page import at, begin, violations

pytestmark = pytest.mark.browser

SIZES = [(1280, 720), (1440, 900), (1920, 1080), (2560, 1440), (720, 450)]
"""Width and height in CSS pixels; the last is 1440x900 at 200 % (WCAG 2.2, 1.4.4)."""
HIDDEN = """names => names.filter(name => {
    const found = document.querySelector(`[data-testid="${name}"]`);
    if (found === null) return true;
    const box = found.getBoundingClientRect();
    if (box.width < 8 || box.height < 8 || box.left < 0 || box.top < 0) return true;
    if (box.right > innerWidth + 1 || box.bottom > innerHeight + 1) return true;
    const points = [[0.5, 0.5], [0.04, 0.3], [0.96, 0.3], [0.04, 0.7], [0.96, 0.7]];
    return !points.every(([x, y]) => {
        const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
        return top !== null && (found.contains(top) || top.contains(found));
    });
})"""
"""The names of those that are not wholly to be seen without scrolling."""
LONG_PLACE = "首都高速都心環状線内回り 汐留ジャンクション付近、" * 4
IN_CALL = (
    "close", "state", "glance-danger", "glance-crash", "glance-who", "glance-place", "disclose-fire", "disclose-police",
    "disclose-other", "note", "note-save", "ready", "waiting",
)  # fmt: skip


async def hidden_anywhere(page: Page, names: tuple[str, ...]) -> list[str]:
    """``size language: name`` for each of ``names`` that is not seen."""
    found = []
    for language in ("ja", "en"):
        await page.set_viewport_size({"width": 1440, "height": 900})
        if await page.evaluate("document.documentElement.lang") != language:
            await page.get_by_test_id("language").click()
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            missing = await page.evaluate(HIDDEN, names)
            found += [f"{width}x{height} {language}: {name}" for name in missing]
            sideways = await page.evaluate("document.querySelector('.page').scrollWidth > innerWidth + 1")
            found += [f"{width}x{height} {language}: it must be scrolled sideways"] if sideways else []
    return found


async def test_while_it_rings_answer_danger_and_place_are_seen(page: Page, service: ScriptedService) -> None:
    await begin(page)
    incidents = [await service.crash() for _ in range(12)]
    await expect(page.get_by_test_id("waiting")).to_contain_text("12")

    assert await hidden_anywhere(page, ("answer", f"queue-{incidents[0]}")) == []

    await page.get_by_test_id(f"queue-{incidents[0]}").click()
    assert await hidden_anywhere(page, ("answer", "state", "glance-danger", "glance-place")) == []


async def test_a_call_that_rings_here_shows_what_it_is_about_before_it_is_answered_and_not_after_another_has_it(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash(desks=("desk-1",))

    await expect(page.get_by_test_id("glance-crash")).to_contain_text("38 km/h")
    await expect(page.get_by_test_id("glance-place")).to_contain_text("東京都")
    await expect(page.get_by_test_id(f"queue-{incident}")).to_contain_text("Wagon EV")
    await expect(page.get_by_text("+81355500123")).to_have_count(0)
    assert [order["purpose"] for order in service.orders if order["do"] == "open"] == ["offered"]
    assert await hidden_anywhere(page, ("answer", "glance-danger", "glance-crash", "glance-place")) == []

    taken = c.TakeIncident(operator="jiro", desk="desk-jiro")  # type: ignore[arg-type]
    await service.decide(incident, taken, actor="operator:jiro")

    await expect(page.get_by_test_id("glance-crash")).to_have_count(0)
    await expect(page.get_by_test_id(f"queue-{incident}")).not_to_contain_text("Wagon EV")


async def test_where_an_offered_call_may_not_be_looked_at_nobody_is_told_so_who_asked_for_nothing(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.looks_refused = True
    await begin(page)
    incident = await service.crash(desks=("desk-1",))
    await until(lambda: [order for order in service.orders if order["do"] == "open"])
    await page.keyboard.press("F2")  # what is answered comes after the refusal
    await page.wait_for_selector(f'{at("state")}[data-state="in_call"]')

    assert await page.get_by_test_id("fault").count() == 0
    assert service.incidents[incident].operator == "op1"


async def test_two_calls_of_one_kind_are_announced_one_by_one(page: Page, service: ScriptedService) -> None:
    await begin(page)
    await page.evaluate("""() => {
        window.heard = [];
        const alert = document.querySelector('[data-testid="alert"]');
        const hear = node => node.textContent && window.heard.push(node.textContent);
        new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(hear)))
            .observe(alert, {childList: true, subtree: true});
    }""")
    first = await service.crash()
    await page.wait_for_selector(at(f"queue-{first}"))
    second = await service.crash()
    await page.wait_for_selector(at(f"queue-{second}"))

    heard = await page.evaluate("window.heard")
    assert len(heard) == 2
    assert heard[0] == heard[1]
    assert "自動通報" in heard[0]


async def test_a_call_that_rings_elsewhere_is_not_looked_at(page: Page, service: ScriptedService) -> None:
    await begin(page)
    incident = await service.crash(desks=("desk-2",))
    await page.get_by_test_id(f"queue-{incident}").click()
    second = await service.crash(desks=("desk-1",))

    await expect(page.get_by_test_id("incident")).to_have_attribute("data-incident", second)
    await expect(page.get_by_test_id("glance-crash")).to_contain_text("38 km/h")
    opened = [order["incident"] for order in service.orders if order["do"] == "open"]
    assert opened == [second]


async def test_in_a_first_call_everything_that_is_needed_is_seen(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await call_of_three(page, service, until)

    assert await hidden_anywhere(page, IN_CALL) == []
    assert await violations(page) == []


async def test_in_a_bad_hour_it_is_still_seen_and_what_grows_is_counted(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.supervisor = True
    incident = await call_of_three(page, service, until)
    await a_bad_hour(service, incident)
    await expect(page.get_by_test_id("fold-told")).to_contain_text("6")

    assert await hidden_anywhere(page, (*IN_CALL, "alarms", "alarms-more", "acknowledge")) == []
    await page.set_viewport_size({"width": 1440, "height": 900})
    assert await violations(page) == []
    await page.keyboard.press("Alt+C")
    await page.keyboard.press("Alt+G")
    await expect(page.locator(f"{at('fold-call')}[open]")).to_have_count(1)
    await expect(page.locator(f"{at('fold-told')}[open]")).to_have_count(1)

    assert await hidden_anywhere(page, IN_CALL) == []


async def test_a_half_written_note_is_still_there_after_a_look_at_another_incident(
    page: Page, service: ScriptedService, until: Until
) -> None:
    incident = await call_of_three(page, service, until)
    other = await service.crash()
    await page.get_by_test_id("note").fill("二人目が車外に")

    await page.get_by_test_id(f"queue-{other}").click()
    await expect(page.get_by_test_id("note")).to_have_count(0)
    await page.get_by_test_id(f"queue-{incident}").click()

    await expect(page.get_by_test_id("note")).to_have_value("二人目が車外に")


async def a_bad_hour(service: ScriptedService, incident: str) -> None:
    """Alarms, six parties, six tellings with ladders, a refusal, a referral, flags and twenty notes, all at once."""
    for number, why in enumerate(AlarmKind, 1):
        await service.happen(incident, e.AlarmRaised(alarm=f"alarm-{number}", why=why), actor="timer")  # type: ignore[arg-type]
    await operator_without_voice(service)
    for number in range(4):
        await service.happen(incident, e.LegJoined(leg=f"more-{number}", party=Party.AGENCY, who=FIRE))
    for agency in (*AGENCIES, FIRE):
        await service._disclose(incident, {"agency": agency}, actor="operator:op1")
    told = [one.disclosure for one in service.incidents[incident].disclosures]
    for disclosure in told:
        await service.happen(incident, rung(disclosure))
    await service.happen(incident, e.AgencyRejected(disclosure=told[1], reason="not our area"), actor="agency:x")
    referral: Any = "r1"
    await service.happen(
        incident,
        e.DisclosureReferred(
            referral=referral, agency="demo-hospital", rule="JP-05", path="property", necessity="", consent=""  # type: ignore[arg-type]
        ),
    )  # fmt: skip
    await service.happen(incident, e.PlanMade(
        prefecture="JP-13", services=("fire", "police"), agencies=tuple(AGENCIES), reasons=("fire:polygon",),  # type: ignore[arg-type]
        flags=("position_untrusted", "position_stale", "near_border", "carriageway_unknown"),
    ), parts={"LOC": {"prefectureName": "東京都", "aloudJa": LONG_PLACE}})  # fmt: skip
    for number in range(20):
        note = {"OBS": {"text": f"{number}: " + "車外に人がいる。" * 8}}
        await service.happen(incident, e.NoteAdded(category=Category.OBS), actor="operator:op1", parts=note)
    await service.send({"t": "parts", "incident": incident, "items": service.parts[incident]})


def rung(disclosure: Any) -> e.RungTaken:
    return e.RungTaken(
        disclosure=disclosure, number=1, rung=Rung.FIRST_LINE, reason="due", line="first", by_hand=True,  # type: ignore[arg-type]
        proposed=("demo-fire-chiba",), elapsed_ms=1000, next_after_ms=None,  # type: ignore[arg-type]
    )  # fmt: skip
