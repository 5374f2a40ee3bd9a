"""The built page in a real Chromium: logs in, rings, answers, talks, tells, closes, and comes back after a restart."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page

from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Acknowledgement, Disposition, Mode, Party, State, Trigger, new_id
from tests.sos.console.web.scripted_service import REPORT, ROOT, STATIC, TOKEN, ScriptedService

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]
AXE = ROOT / "sos" / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"


def at(name: str) -> str:
    return f'[data-testid="{name}"]'


async def begin(page: Page) -> None:
    """Log in with the token of the address, and start work."""
    await page.goto(f"/console/#code={TOKEN}")
    await page.click(at("start"))
    await page.wait_for_selector(at("queue"))


async def packets(page: Page) -> int:
    return int(
        await page.evaluate(
            """async () => {
                let count = 0;
                const stats = window.__sos.pc ? await window.__sos.pc.getStats() : [];
                stats.forEach(entry => { if (entry.type === "inbound-rtp") count += entry.packetsReceived });
                return count;
            }"""
        )
    )


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate(
        """async () => (await axe.run(document, {rules: {"color-contrast": {enabled: true}}})).violations
            .map(one => one.id + ": " + one.nodes.map(node => node.target.join(" ")).join(", "))"""
    )
    return [str(each) for each in found]


async def say_why_not(page: Page) -> None:
    """Why whoever the plan names and nobody has told is not told, in the dialog that closes."""
    await page.select_option(at("untold-reason"), "not_needed")
    await page.fill(at("untold-words"), "invented: nobody needs them")


async def test_a_crash_is_answered_told_and_closed_with_the_keyboard_alone(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    assert "自動通報" in await page.inner_text(at("alert"))

    await page.keyboard.press("F2")
    await until(lambda: service.incidents[incident].state is State.IN_CALL)
    await page.wait_for_selector(f'{at("voice")}[data-state="connected"]')
    await until(lambda: packets(page))
    await page.wait_for_selector(at("coordinates"))
    await page.keyboard.press("Alt+n")
    await page.keyboard.type("意識あり。?も書ける。")
    await page.keyboard.press("Control+Enter")
    await until(lambda: [order for order in service.orders if order["do"] == "note"])
    await page.keyboard.press("F5")
    await page.wait_for_selector(at("disclose-dialog"))
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    (told,) = await until(lambda: service.incidents[incident].disclosures)
    level = at(f"ack-state-{told.disclosure}")
    await page.wait_for_selector(f'{level}[data-level="transport"]')
    taken = e.AgencyAcknowledged(disclosure=told.disclosure, level=Acknowledgement.TAKEN_OVER)
    await service.happen(incident, taken, actor="agency:demo-fire-tokyo")
    await service.happen(incident, e.HandoffCompleted())
    await page.wait_for_selector(f'{level}[data-level="taken_over"]')
    await page.keyboard.press("Shift+F4")
    await page.wait_for_selector(at("close-dialog"))
    await say_why_not(page)
    await page.keyboard.press("Enter")
    await until(lambda: service.incidents[incident].state is State.CLOSED)

    assert service.incidents[incident].disposition is Disposition.HANDED_OVER
    limbs = next(order for order in service.orders if order["do"] == "disclose")
    assert (limbs["agency"], limbs["necessity"], limbs["consent"]) == ("demo-fire-tokyo", "call_for_help", "no_answer")
    assert next(order for order in service.orders if order["do"] == "note")["text"] == "意識あり。?も書ける。"
    await until(lambda: service.hung_up == [service.offers[0][1]])
    await page.wait_for_selector(f'{at("state")}[data-state="closed"]')


async def test_the_crash_panel_says_the_worst_with_its_side_what_endangers_and_the_senders_verdict(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await until(lambda: service.incidents[incident].state is State.IN_CALL)
    await page.wait_for_selector(at("hazards"))
    assert "高電圧バッテリー" in await page.inner_text(at("hazards"))

    hit = {
        "impact": "driverSide",
        "deltaVX": -5.0,
        "deltaVY": 95.123,
        "deltaVLimit": 95.0,
        "fuelLeak": True,
        "severeInjury": True,
    }
    await service.happen(incident, e.ReportFiled(sequence=1, located=False), parts={"SEV": hit})
    await page.wait_for_selector(f"{at('hazards')}:has-text('燃料漏れ')")

    shown = await page.inner_text(at("crash"))
    for words in ("運転席側", "95 km/h 以上", "左から", "9 時方向", "送信側の判定(重傷者)\nあり", "エアバッグ\nあり"):
        assert words in shown
    assert await violations(page) == []


async def test_the_voice_leg_comes_back_under_its_id_after_a_restart_of_the_service(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    await service.forget_connections()
    await until(lambda: len(service.offers) > 1)
    await until(lambda: packets(page))

    assert len({leg for _, leg in service.offers}) == 1
    assert service.asked_after[-1] is not None
    assert {leg for each, leg in service.offers if each == incident} == set(service.legs)


async def test_the_voice_leg_survives_the_loss_of_the_socket(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    for socket in tuple(service.sockets):
        await socket.close(code=1012)
    await until(lambda: not service.sockets)
    await service.happen(incident, e.LegJoined(leg="v", party=Party.VEHICLE, who="vehicle"))
    await until(lambda: service.sockets)
    await page.wait_for_selector(f"{at('vehicle-leg')}:not(.flag)")

    assert len(service.offers) == 1
    assert service.asked_after[-1] == str(len(service.events) - 2)


async def test_a_leg_whose_sound_stops_is_offered_again(page: Page, service: ScriptedService, until: Until) -> None:
    await begin(page)
    await service.crash()
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    for leg in tuple(service.legs.values()):
        await leg.close()
    await until(lambda: len(service.offers) > 1)

    assert service.offers[0] == service.offers[1]


async def test_after_a_reload_the_own_incident_and_its_leg_are_taken_up_again(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.reload()
    await page.click(at("start"))
    await until(lambda: len(service.offers) > 1)
    await page.wait_for_selector(f'{at("incident")}[data-incident="{incident}"]')

    assert service.offers[0] == service.offers[1]


async def test_a_wrong_token_is_refused_in_words_and_the_right_one_let_in(page: Page) -> None:
    await page.goto("/console/#code=wrong")
    await page.wait_for_selector(at("token"))
    assert "使えません" in await page.inner_text("#login-fault")
    assert "wrong" not in page.url

    await page.fill(at("token"), TOKEN)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(at("start"))
    assert "操作員 一" in await page.inner_text("main")


async def test_what_the_service_refuses_is_told_to_the_operator(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.click(at(f"queue-{incident}"))
    await page.wait_for_selector(at("answer"))
    other = e.OperatorAssigned(operator="op2", desk="desk-2")
    known = service.incidents[incident]
    service.incidents[incident] = known.__class__(**{name: getattr(known, name) for name in known.__struct_fields__} | {
        "operator": other.operator, "state": State.IN_CALL})  # fmt: skip

    await page.keyboard.press("F2")
    await page.wait_for_selector(at("fault"))

    assert "op2 が担当しています" in await page.inner_text(at("fault"))
    await page.click(at("language"))
    await page.keyboard.press("F2")
    await page.wait_for_selector(f"{at('fault')}:has-text('op2 has this incident')")


async def test_a_new_call_takes_the_focus_from_nobody(page: Page, service: ScriptedService, until: Until) -> None:
    await begin(page)
    first = await service.crash()
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("note"))
    await page.focus(at("note"))

    second = await service.crash(trigger=Trigger.MANUAL)
    await page.wait_for_selector(at(f"queue-{second}"))
    await page.keyboard.type("続き")

    assert await page.input_value(at("note")) == "続き"
    assert await page.get_attribute(at("incident"), "data-incident") == first
    assert await page.inner_text(f"{at('waiting')} strong") == "1"


async def test_every_part_of_the_system_has_a_word_and_a_state(page: Page, service: ScriptedService) -> None:
    await begin(page)
    for name in ("socket", "sound", "microphone", "journal", "recording", "voice"):
        await page.wait_for_selector(f'{at(f"health-{name}")}[data-state="ok"]')

    await service.send({"t": "health", "items": service.health | {"recording": "failed"}, "waiting": 0})
    await page.wait_for_selector(f'{at("health-recording")}[data-state="failed"]')

    assert "録音 障害" in await page.inner_text(at("health-recording"))


async def test_a_test_call_can_be_told_to_nobody_and_closed_only_as_test(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash(mode=Mode.TEST)
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("close"))
    assert await page.is_disabled(at("disclose-fire"))

    await page.click(at("close"))
    await page.select_option(at("disposition"), "false_alarm")
    assert await page.is_disabled(at("close-confirm"))
    await page.select_option(at("disposition"), "test")
    await page.click(at("close-confirm"))

    await until(lambda: service.incidents[incident].disposition is Disposition.TEST)


async def test_damaged_data_is_shown_as_flags_in_words(page: Page, service: ScriptedService) -> None:
    await begin(page)
    await service.crash(flags=("position_unknown", "default_agency", "unreadable_report"))
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("flags"))

    words = await page.inner_text(at("flags"))

    assert [word in words for word in ("位置不明", "既定の機関", "事故データ読取不能")] == [True] * 3
    assert await page.locator(at("coordinates")).count() == 0


async def test_contents_are_asked_for_only_when_the_operator_wants_them(
    page: Page, service: ScriptedService, until: Until
) -> None:
    await begin(page)
    incident = await service.crash()
    await page.click(at(f"queue-{incident}"))
    await page.wait_for_selector(at("open"))
    await until(lambda: [order["purpose"] for order in service.orders if order["do"] == "open"] == ["offered"])
    await page.wait_for_selector(at("glance-crash"))
    assert await page.locator(at("coordinates")).count() == 0  # it rings here: what it is about, and no more

    await page.click(at("open"))
    await page.wait_for_selector(at("coordinates"))

    purposes = [order["purpose"] for order in service.orders if order["do"] == "open"]
    assert purposes == ["offered", "emergency_handling"]


async def test_the_call_is_not_offered_again_while_its_recording_is_being_sealed(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.sealing_s = 5.0
    await begin(page)
    incident = await service.crash()
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    await page.keyboard.press("Shift+F4")
    await page.select_option(at("disposition"), "false_alarm")
    await say_why_not(page)
    await page.keyboard.press("Enter")
    await until(lambda: service.incidents[incident].state is State.CLOSED)
    await page.wait_for_selector(f'{at("state")}[data-state="closed"]')

    assert len(service.offers) == 1


async def test_during_a_call_another_incident_can_be_looked_at(
    page: Page, service: ScriptedService, until: Until
) -> None:
    other = await service.crash(trigger=Trigger.MANUAL)
    await begin(page)
    own = await service.crash()
    await page.click(at(f"queue-{own}"))
    await page.keyboard.press("F2")
    await until(lambda: packets(page))

    await page.click(at(f"queue-{other}"))
    await until(lambda: [order for order in service.orders if order == order | {"do": "history", "incident": other}])
    await until(lambda: page.locator(f"{at('timeline')} li").count())

    assert await page.get_attribute(at("incident"), "data-incident") == other
    assert [incident for incident, _ in service.offers] == [own]


async def test_an_incident_beyond_the_end_of_the_snapshot_can_be_answered(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.snapshot = 1
    await service.crash(mode=Mode.TEST)
    hidden = await service.crash()
    await begin(page)
    assert await page.locator(at(f"queue-{hidden}")).count() == 0

    await service.decide(hidden, c.TakeIncident(operator="op1", desk="desk-1"), actor="operator:op1")
    await page.wait_for_selector(f'{at("incident")}[data-incident="{hidden}"]')
    await page.wait_for_selector(f'{at("state")}[data-state="in_call"]')

    assert await page.locator(f"{at('timeline')} li").count() >= 5


async def test_thousands_of_waiting_incidents_leave_the_page_quick(
    page: Page, service: ScriptedService, until: Until
) -> None:
    service.snapshot = 2300
    for _ in range(2300):
        await service.crash(trigger=Trigger.MANUAL)
    await begin(page)
    await until(lambda: page.locator(f"{at('queue')} button").count())
    assert await page.inner_text(f"{at('waiting')} strong") == "2300"
    assert await page.locator(f"{at('queue')} button").count() < 40

    most = await page.evaluate(
        """async selector => {
            const list = document.querySelector(selector);
            let most = 0;
            for (let step = 0; step < 30; step++) {
                list.scrollTop = step * 3000;
                await new Promise(requestAnimationFrame);
                most = Math.max(most, list.querySelectorAll("button").length);
            }
            return most;
        }""",
        at("queue"),
    )
    urgent = await service.crash()
    await page.evaluate("selector => { document.querySelector(selector).scrollTop = 0 }", at("queue"))
    await page.wait_for_selector(at(f"queue-{urgent}"))

    assert most < 40


async def test_the_page_is_clean_to_axe_in_every_state(page: Page, service: ScriptedService, until: Until) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run ops/build_console.py --force")
    await page.goto("/console/")
    await page.wait_for_selector(at("token"))
    found = {"login": await violations(page)}
    await begin(page)
    await service.crash(mode=Mode.DRILL)
    await service.crash(trigger=Trigger.MANUAL)
    incident = await service.crash()
    await page.wait_for_selector(f"{at('map')} canvas")
    found["queue"] = await violations(page)
    await page.click(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("questions"))
    found["call"] = await violations(page)
    for key, name in (("F5", "disclose"), ("F9", "agencies"), ("Shift+F4", "close"), ("F1", "keys")):
        await page.keyboard.press(key)
        await page.wait_for_selector(at(f"{name}-dialog"))
        found[name] = await violations(page)
        await page.keyboard.press("Escape")
        await page.wait_for_selector("dialog", state="detached")

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


async def test_a_report_during_an_outage_stands_on_top_of_the_queue_until_its_incident_arrives(
    page: Page, service: ScriptedService
) -> None:
    await begin(page)
    waiting = await service.crash()
    incident = new_id()
    report = {
        "location": REPORT["LOC"], "vehicle": REPORT["VEH"], "crash": REPORT["SEV"], "call_back": REPORT["TEL"],
    }  # fmt: skip
    degraded = {"t": "degraded", "incident": incident, "received_at": "2026-01-01T00:00:00.000Z", "report": report}

    await service.send(degraded | {"trigger": "automatic", "mode": "live"})
    card = page.locator(at(f"unrecorded-{incident}"))
    await card.wait_for()
    told = await card.inner_text()
    faults = await violations(page) if AXE.is_file() else []
    row = await page.locator(at(f"queue-{waiting}")).bounding_box()
    box = await card.bounding_box()
    announced = await page.inner_text(at("alert"))
    opened = e.IncidentOpened(
        mode=Mode.LIVE, trigger=Trigger.AUTOMATIC, format="x", report_digest="00", report_bytes=9, readable=True
    )
    await service.happen(incident, opened, actor="vehicle")
    await card.wait_for(state="detached")

    assert [word for word in ("35.65858", "Sample", "見本 330", "+81355500123") if word not in told] == []
    assert faults == []
    assert box is not None
    assert row is not None
    assert box["y"] + box["height"] <= row["y"]
    assert row["height"] > 40
    assert announced


async def test_every_target_is_large_enough_to_hit(page: Page, service: ScriptedService) -> None:
    await begin(page)
    await service.crash()
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("questions"))

    small = await page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")]
            .map(one => [one.dataset.testid ?? one.textContent, one.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
            .map(([name]) => name)"""
    )

    assert small == []


async def test_the_language_changes_every_word_and_is_remembered(page: Page, service: ScriptedService) -> None:
    await begin(page)
    await page.click(at("language"))
    assert "Waiting" in await page.inner_text(at("waiting"))

    await page.reload()
    await page.wait_for_selector(at("start"))

    assert await page.evaluate("document.documentElement.lang") == "en"
    assert "Start work" in await page.inner_text("main")


async def test_the_map_draws_without_asking_anybody_else(page: Page, service: ScriptedService, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await begin(page)
    await service.crash()
    await page.keyboard.press("F2")
    await page.wait_for_selector(at("marker"))

    strangers = [url for url in asked if not url.startswith((address, "data:", f"blob:{address}", "ws://127.0.0.1"))]

    assert strangers == []
    assert any(url.endswith("/console/map/base.geojson") for url in asked)


def test_the_page_is_small_enough_to_come_up_at_once() -> None:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the console is not built: run ops/build_console.py")
    page = (STATIC / "index.html").read_text()
    scripts = [path for path in (STATIC / "assets").glob("*.js") if path.name in page]

    assert len(scripts) == 1
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) <= 120_000
    assert "http" not in json.dumps(page).replace("http-equiv", "")
