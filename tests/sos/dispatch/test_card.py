from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from routing.directory import Directory
from sos.dispatch.adapters.cards import KEPT, CardEndpoint, Cards, Shelf
from sos.dispatch.card import card_of, page, text
from sos.errors import Forbidden, Unavailable
from sos.incident.events import PartsRead
from sos.incident.model import AgencyId, Disposition, IncidentId, Mode
from sos.incident.report import CallBack, Crash, EmergencyReport, Fix, Location, Vehicle
from sos.problems import problems_middleware
from sos.vehicle.report import Car
from tests.journeys import story as s

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
INCIDENT = IncidentId("0197-incident")
REPORT = EmergencyReport(
    location=Location(
        latitude=35.681236,
        longitude=139.767125,
        horizontal_accuracy=30.0,
        timestamp=NOW,
        recent=(Fix(latitude=35.68, longitude=139.76),),
    ),
    vehicle=Vehicle(brand="架空", model="<b>1</b>", exterior_color="white", occupants=0, energy=("hydrogen",)),
    crash=Crash(airbag_deployed=True, fire=True),
    call_back=CallBack(tel="+81300000123"),
)
OPTIONS = {"incident": INCIDENT, "mode": Mode.LIVE, "reported_at": NOW, "now": NOW, "directory": Directory.demo()}


def test_a_card_without_a_plan_names_the_default_agencies_and_says_so():
    card = card_of(REPORT, **OPTIONS)

    assert not card.planned
    assert card.lines
    assert all(line.default and line.numbers for line in card.lines)
    assert "既定の機関" in text(card, "ja")
    assert "default agencies" in text(card, "en")


def test_a_card_with_a_plan_names_its_agencies_first():
    card = card_of(REPORT, agencies=[AgencyId("jp-13-fire"), AgencyId("gone")], **OPTIONS)

    assert card.planned
    assert card.lines[0].agency == "jp-13-fire"
    assert len(card.lines) > 1


def test_a_card_says_the_worst_of_the_crash_with_its_direction_and_what_endangers():
    crash = Crash(delta_v_x=-5.0, delta_v_y=95.0, fuel_leak=True, severe_injury=True, rollover="RISK")

    card = card_of(replace(REPORT, crash=crash), **OPTIONS)

    assert card.crash == (
        "FUEL LEAK",
        "HYDROGEN FUEL",
        "HIGH-VOLTAGE BATTERY",
        "delta-V 95 km/h from the left (9 o'clock)",
        "sender: severe injury",
        "rollover RISK",
    )


def test_a_card_says_where_which_vehicle_and_whom_to_call_back():
    said = text(card_of(REPORT, place="東京都", **OPTIONS), "ja")

    for expected in ("東京都", "35.68124, 139.76712", "±30 m", "+81300000123", "FIRE", "hydrogen", "occupants 0"):
        assert expected in said


def test_of_a_report_of_which_nothing_is_known_there_is_a_card_all_the_same():
    card = card_of(EmergencyReport(), **OPTIONS)

    assert card.lines
    assert text(card, "en").count("unknown: ask the caller") == 4


def test_a_position_of_zero_degrees_is_a_position():
    card = card_of(replace(REPORT, location=Location(latitude=0.0, longitude=0.0)), **OPTIONS)

    assert "0.00000, 0.00000" in text(card, "en")


@pytest.mark.parametrize(("mode", "words"), [(Mode.DRILL, "EXERCISE"), (Mode.TEST, "tell nobody")])
def test_an_exercise_and_a_test_say_so_at_the_top(mode: Mode, words: str):
    assert words in text(card_of(REPORT, **{**OPTIONS, "mode": mode}), "en").split("\n")[2]


def test_what_a_sender_wrote_is_escaped_on_the_page():
    assert "<b>1</b>" not in page(card_of(REPORT, **OPTIONS))


async def test_a_card_is_made_as_soon_as_the_report_is_filed_and_again_with_the_plan(journal, arrive, directory):
    cards = Cards(journal, directory)
    incident = await arrive()
    stream = await journal.store.stream(incident)

    await cards.handle(stream)

    card = cards.card(incident)
    assert card.planned
    assert card.lines[0].agency == "jp-13-fire"
    assert card.place.startswith("東京都")


async def test_a_crash_without_a_position_has_a_card_with_the_default_agencies_number(journal, arrive, directory):
    cards = Cards(journal, directory)
    incident = await arrive(car=Car(latitude=None, longitude=None))

    await cards.handle(await journal.store.stream(incident))

    assert all(line.numbers for line in cards.card(incident).lines)


async def test_a_closed_incident_has_no_card_any_more_and_memory_is_bounded(journal, arrive, directory):
    cards = Cards(journal, directory)
    incident = await arrive()
    await cards.handle(await journal.store.stream(incident))
    close = s.close(Disposition.FALSE_ALARM)
    await journal.execute(incident, close, actor="operator:hanako")
    await cards.handle((await journal.store.stream(incident))[-1:])
    assert cards.newest() == []

    for number in range(KEPT + 5):
        cards.keep(REPORT, incident=IncidentId(str(number)), mode=Mode.LIVE, reported_at=NOW)
    assert len(cards.newest()) == KEPT
    assert cards.newest()[0] == (str(KEPT + 4), NOW)


async def test_after_a_restart_the_cards_of_what_is_open_are_there_again(journal, arrive, directory):
    incident = await arrive()
    cards = Cards(journal, directory)

    await cards.restore()

    assert [known for known, _ in cards.newest()] == [incident]
    assert cards.card(incident).planned


async def test_a_restart_while_the_database_is_away_loses_no_card_and_nothing_lies_open_on_the_disk(
    clock, directory, tmp_path
):
    shelf = Shelf(tmp_path / "cards.sealed", b"k" * 32)
    before = Cards(Away(clock), directory, shelf)
    before.keep(REPORT, incident=INCIDENT, mode=Mode.LIVE, reported_at=NOW)
    await before.save()

    after = Cards(Away(clock), directory, shelf)
    await after.restore()

    assert after.card(INCIDENT) == before.card(INCIDENT)
    assert b"+81300000123" not in (tmp_path / "cards.sealed").read_bytes()
    assert (tmp_path / "cards.sealed").stat().st_mode & 0o077 == 0
    await clock.jump(timedelta(hours=25))
    await after.save()
    assert shelf.load() == []


@pytest.mark.parametrize("damage", [b"", b"x", bytes(200)])
def test_a_damaged_shelf_is_an_empty_one(tmp_path, damage: bytes):
    (tmp_path / "cards.sealed").write_bytes(damage)

    assert Shelf(tmp_path / "cards.sealed", b"k" * 32).load() == []


async def test_an_incident_that_was_closed_meanwhile_has_no_card_after_a_restart(journal, arrive, directory, tmp_path):
    incident = await arrive()
    shelf = Shelf(tmp_path / "cards.sealed", b"k" * 32)
    cards = Cards(journal, directory, shelf)
    await cards.restore()
    await cards.save()
    await journal.execute(incident, s.close(Disposition.FALSE_ALARM), actor="operator:hanako")

    again = Cards(journal, directory, shelf)
    await again.restore()

    assert again.newest() == []


class Away:
    """A journal whose database does not answer."""

    def __init__(self, clock) -> None:
        self.clock = clock

    async def execute(self, *_: object, **__: object) -> None:
        raise Unavailable("the database does not answer")

    async def state(self, _: object) -> None:
        raise Unavailable("the database does not answer")

    async def queue(self, **_: object) -> None:
        raise Unavailable("the database does not answer")


def _signed_in(request: web.Request) -> str:
    if request.headers.get("X-Desk") != "hanako":
        raise Forbidden("log in first")
    return "operator:hanako"


async def _get(door: CardEndpoint, path: str, **headers: str) -> tuple[int, str]:
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(door.routes())
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        session.get(server.make_url(path), headers=headers) as response,
    ):
        return response.status, await response.text()


async def test_a_card_is_shown_to_a_signed_in_desk_although_the_database_is_away(clock, directory):
    away = Away(clock)
    cards = Cards(away, directory)
    await cards.restore()
    cards.keep(REPORT, incident=INCIDENT, mode=Mode.LIVE, reported_at=NOW)
    door = CardEndpoint(cards, away, signed_in=_signed_in)

    assert (await _get(door, f"/console/cards/{INCIDENT}"))[0] == 403
    status, html = await _get(door, f"/console/cards/{INCIDENT}", **{"X-Desk": "hanako"})
    assert status == 200
    assert "+81300000123" in html
    assert (await _get(door, "/console/cards/nobody", **{"X-Desk": "hanako"}))[0] == 404
    assert INCIDENT in (await _get(door, "/console/cards", **{"X-Desk": "hanako"}))[1]
    plain = await _get(door, f"/console/cards/{INCIDENT}?text=en", **{"X-Desk": "hanako"})
    assert plain[1].startswith("Emergency card")


async def test_that_a_card_was_shown_stands_in_the_journal(journal, arrive, directory):
    cards = Cards(journal, directory)
    incident = await arrive()
    await cards.handle(await journal.store.stream(incident))
    door = CardEndpoint(cards, journal, signed_in=_signed_in)

    await _get(door, f"/console/cards/{incident}", **{"X-Desk": "hanako"})

    read = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, PartsRead)]
    assert [event.purpose for event in read] == ["emergency_card"]
