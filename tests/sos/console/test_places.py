"""A place as somebody says it: found in the house's own data, beside the vehicle's, adopted or not; and read back."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from routing.boundaries import PrefectureLayer
from routing.categories import Category
from routing.directory import Directory
from routing.location import Position
from routing.plan import Sources
from routing.plan.addresses import AddressAreas
from routing.position.posts import KilometrePosts
from sos.console.window import Window
from sos.dispatch.planner import Planner
from sos.dispatch.stated_places import StatedPlaces
from sos.errors import Forbidden, Malformed, Refused
from sos.incident import commands as c
from sos.incident import heard_place
from sos.incident.events import PlaceReadBack, PlaceStated, ReportFiled
from sos.incident.model import Incident, IncidentId, Party
from sos.incident.report import Location, canonical
from sos.journal.journal import Journal
from sos.journal.sections import sections
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window
from tests.sos.journal.reports import incident

TOKYO = Location(latitude=35.68124, longitude=139.76712, trusted=True, horizontal_accuracy=10.0)
POSTS = """road,km,direction,lat,lon
架空自動車道,10,上り,35.70,139.80
架空自動車道,11,上り,35.709,139.80
"""


class Asked:
    """A geocoder that knows one place."""

    def __init__(self, at: Position | None) -> None:
        self.at = at

    async def find(self, text: str) -> Position | None:
        return self.at


class Floor:
    def __init__(self, journal: Journal, places: StatedPlaces) -> None:
        self.journal = journal
        self.house = room(journal, Ears(), places=places)
        self.hanako = window(self.house, "hanako")
        layer = PrefectureLayer.load()
        self.planner = Planner(journal, Sources(layer=layer, directory=Directory.demo()))

    async def crash(self, location: Location = TOKYO) -> IncidentId:
        made = await incident(self.journal, 1)
        parts = {Category.LOC: canonical(location)} if location != Location() else {}
        filed = c.FileReport(sequence=1, located=location.known, parts=parts)
        await self.journal.execute(made, filed, actor="system:filer")
        await self.plan(made)
        await self.journal.execute(made, s.take(), actor="operator:hanako")
        return made

    async def plan(self, made: IncidentId) -> None:
        stream = await self.journal.store.stream(made)
        await self.planner.handle([each for each in stream if isinstance(each.event, ReportFiled | PlaceStated)])

    async def says(self, made: IncidentId, do: str, **fields: Any) -> Any:
        given = await order(self.hanako, do, incident=made, **fields)
        await self.plan(made)
        return given

    async def place(self, made: IncidentId) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(sections(await self.journal.unseal(made, (Category.LOC,)))[Category.LOC])
        return told


@pytest.fixture
def floor(journal: Journal, tmp_path: Path) -> Floor:
    file = tmp_path / "posts.csv"
    file.write_text(POSTS, encoding="utf-8")
    layer = PrefectureLayer.load()
    areas = AddressAreas(layer, names=layer.names)
    return Floor(journal, StatedPlaces(areas, posts=KilometrePosts.load(file), geocoder=Asked(Position(35.70, 139.70))))


async def test_a_kilometre_post_stands_beside_the_vehicle_s_place_until_it_is_adopted(floor: Floor):
    made = await floor.crash()

    given = await floor.says(made, "say_place", how="road", road="架空道", direction="上り", km=10.5)

    assert (given["found"].by, given["found"].uncertainty_m > 0) == ("posts", True)
    state = await floor.journal.state(made)
    assert state.heard_place is not None
    assert (state.heard_place.source, state.heard_place.how, state.place_version) == ("caller", "road", 1)
    assert (await floor.place(made))["latitude"] == TOKYO.latitude

    await floor.says(made, "settle_heard", adopted=True)

    state, place = await floor.journal.state(made), await floor.place(made)
    assert (place["source"], round(place["latitude"], 4), place["stated"]) == (
        "operator",
        35.7045,
        "架空道 上り 10.5 km",
    )
    assert (state.heard_place, state.place_version) == (None, 2)


async def test_what_is_adopted_twice_at_once_is_one_place(floor: Floor):
    """Said and settled at once: a second place would be a second correction for everybody who was told."""
    made = await floor.crash()
    await floor.says(made, "say_place", how="road", road="架空道", direction="上り", km=10.5)

    twice = (floor.says(made, "settle_heard", adopted=True) for _ in range(2))
    outcomes = await asyncio.gather(*twice, return_exceptions=True)

    assert all(each is None or isinstance(each, Refused) for each in outcomes)
    stream = await floor.journal.store.stream(made)
    assert sum(isinstance(each.event, PlaceStated) for each in stream) == 1


async def test_what_is_set_aside_changes_nothing(floor: Floor):
    made = await floor.crash()
    await floor.says(made, "say_place", how="address", text="東京都新宿区西新宿")
    await floor.says(made, "settle_heard", adopted=False)

    assert (await floor.journal.state(made)).heard_place is None
    place = await floor.place(made)
    assert (place["latitude"], "stated" in place) == (TOKYO.latitude, False)
    with pytest.raises(Refused):
        await floor.says(made, "settle_heard", adopted=True)


@pytest.mark.parametrize(
    "said",
    [
        {"how": "road", "road": "知らない道", "direction": "下り", "km": 3.0},
        {"how": "road", "road": "架空道", "direction": "上り", "km": 99.0},
        {"how": "road", "road": "架空道"},
    ],
)
async def test_what_no_data_know_is_kept_as_words_and_told_as_words(floor: Floor, said: dict[str, Any]):
    made = await floor.crash()

    assert (await floor.says(made, "say_place", **said))["found"] is None

    place = await floor.place(made)
    assert place["stated"].startswith(said["road"])
    assert place["latitude"] == TOKYO.latitude


async def test_where_nothing_is_known_an_address_is_the_place_at_once(floor: Floor):
    made = await floor.crash(Location())
    assert "position_unknown" in (await floor.journal.state(made)).flags

    await floor.says(made, "say_place", how="address", text="東京都新宿区西新宿1")

    state = await floor.journal.state(made)
    assert (state.prefecture, state.heard_place) == ("JP-13", None)
    assert (await floor.place(made))["latitude"] == 35.70


async def test_an_area_tells_who_is_responsible_and_never_takes_the_place_of_a_position(journal: Journal):
    layer = PrefectureLayer.load()
    floor = Floor(journal, StatedPlaces(AddressAreas(layer, names=layer.names)))
    made = await floor.crash()
    given = await floor.says(made, "say_place", how="address", text="神奈川県のどこか")
    assert given["found"].by == "municipality"

    await floor.says(made, "settle_heard", adopted=True)

    place = await floor.place(made)
    assert (place["latitude"], place["stated"]) == (TOKYO.latitude, "神奈川県のどこか")


async def test_a_geocoder_that_puts_an_address_elsewhere_than_its_name_is_not_believed(journal: Journal):
    layer = PrefectureLayer.load()
    places = StatedPlaces(AddressAreas(layer, names=layer.names), geocoder=Asked(Position(43.06, 141.35)))

    found = await places.at_address("神奈川県のどこか")

    assert found is not None
    assert found.by == "municipality"


async def _told(floor: Floor) -> tuple[IncidentId, Incident]:
    made = await floor.crash()
    await floor.journal.execute(made, s.disclose("d1", s.FIRE), actor="operator:hanako")
    await floor.journal.execute(made, s.acknowledge("d1", s.FIRE), actor="agency")
    return made, await floor.journal.state(made)


async def test_a_place_that_was_read_back_is_on_record_with_who_when_and_which(floor: Floor):
    made, before = await _told(floor)
    assert [told.disclosure for told in heard_place.unread(before)] == ["d1"]
    await floor.journal.execute(made, s.join("leg-fire", Party.AGENCY, s.FIRE), actor="provider:test")

    await floor.says(made, "read_back", disclosure="d1", version=1, agreed=True, with_code=True)

    state = await floor.journal.state(made)
    assert heard_place.unread(state) == ()
    (read,) = [each for each in await floor.journal.store.stream(made) if isinstance(each.event, PlaceReadBack)]
    event: Any = read.event
    assert (event.operator, event.version, event.agreed, event.leg) == ("hanako", 1, True, "leg-fire")


async def test_after_a_move_the_place_is_to_be_read_back_anew(floor: Floor):
    made, _ = await _told(floor)
    await floor.says(made, "read_back", disclosure="d1", version=1, agreed=True, with_code=True)
    await floor.says(made, "place", latitude=35.75, longitude=139.70)

    assert [told.disclosure for told in heard_place.unread(await floor.journal.state(made))] == ["d1"]
    with pytest.raises(Refused, match="another one by now"):
        await floor.says(made, "read_back", disclosure="d1", version=1, agreed=True, with_code=True)


async def test_what_they_have_instead_is_a_heard_place_to_adopt_or_not(floor: Floor):
    made, _ = await _told(floor)
    with pytest.raises(Malformed):
        await floor.says(made, "read_back", disclosure="d1", version=1, agreed=False, with_code=False)

    said = {"how": "road", "road": "架空道", "direction": "上り", "km": 10.0}
    await floor.says(made, "read_back", disclosure="d1", version=1, agreed=False, with_code=False, **said)

    state = await floor.journal.state(made)
    assert state.heard_place is not None
    assert (state.heard_place.source, state.heard_place.found) == ("agency", True)
    assert heard_place.unread(state) != ()
    await floor.says(made, "settle_heard", adopted=True)
    stated = [each.event for each in await floor.journal.store.stream(made) if isinstance(each.event, PlaceStated)]
    assert [(each.how, each.located) for each in stated] == [("agency", True)]
    assert round((await floor.place(made))["latitude"], 3) == 35.7


async def test_only_who_has_it_says_so(floor: Floor):
    made, _ = await _told(floor)
    jiro: Window = window(floor.house, "jiro")
    for do, fields in (
        ("say_place", {"how": "address", "text": "x"}),
        ("settle_heard", {"adopted": True}),
        ("read_back", {"disclosure": "d1", "version": 1, "agreed": True, "with_code": True}),
    ):
        with pytest.raises(Forbidden):
            await order(jiro, do, incident=made, **fields)
