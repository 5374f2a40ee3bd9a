"""Finding an incident of yesterday by half of what somebody knows of it; closed ones too, and each search on record."""

from datetime import timedelta
from typing import Any

import pytest

from recording.keys import KeyStore
from routing.categories import Category
from sos.clock import ManualClock, timestamp
from sos.console.finding import LONGEST, SHOWN, Finder
from sos.console.names import Kind, asked, words
from sos.console.window import Window
from sos.errors import Forbidden, Malformed, Refused
from sos.incident import commands as c
from sos.incident.events import DataDestroyed, IncidentsSearched, PartsRead, Recorded
from sos.incident.model import DeclineReason, Disposed, Disposition, IncidentId, TenantId
from sos.incident.report import CallBack, NamedPlace, Place, Vehicle, canonical
from sos.journal.found_by import FoundBy, SearchRecord
from sos.journal.journal import Journal
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

CAR = Vehicle(
    id_scheme="vin", id_value="JTDBR32E720123456", license_plate="品川 330 あ 12-34", brand="Invented", model="One"
)
WHY = {"purpose": "review", "reason": "the station asks about it"}


_CLOSED = c.CloseIncident(disposition=Disposition.FALSE_ALARM, untold=DeclineReason.NOT_NEEDED, words="invented")


class Floor:
    """Incidents, and a desk that looks for them."""

    def __init__(self, journal: Journal, finder: Finder) -> None:
        self.journal = journal
        self.finder = finder
        self.desk = window(room(journal, Ears(), finder=finder), "taro")
        self._number = 0
        self._followed = 0

    async def come(
        self,
        *,
        car: Vehicle = CAR,
        tel: str = "+81900000001",
        place: str = "港区",
        address: str = "",
    ) -> IncidentId:
        self._number += 1
        opened = await self.journal.open(
            s.open_incident(),
            tenant=TenantId("acme"),
            receipt=self._number.to_bytes(32),
            received_at=self.journal.clock.now(),
        )
        parts = {Category.VEH: canonical(car), Category.TEL: canonical(CallBack(tel=tel))}
        where = canonical(Place(prefecture_name="東京都", municipality_name=place))
        plan = c.RecordPlan(**{**_fields(s.plan()), "parts": {Category.LOC: where}})
        filed: list[Any] = [c.FileReport(sequence=0, located=True, parts=parts), plan]
        if address:
            named = canonical(NamedPlace(address=address, address_distance_m=10))
            filed.append(c.DescribePlace(source="nominatim", distance_m=10, parts={Category.LOC: named}))
        for command in filed:
            await self.journal.execute(opened.incident, command, actor="system:test")
        return opened.incident

    async def close(self, incident: IncidentId) -> None:
        for command in (s.take(), _CLOSED):
            await self.journal.execute(incident, command, actor="operator:hanako")

    async def follow(self) -> None:
        events = await self._positioned(self._followed)
        self._followed += len(events)
        await self.finder.handle(events)

    async def find(self, at: Window | None = None, **asked: Any) -> list[str]:
        await self.follow()
        found = await order(at or self.desk, "find", **{**WHY, **asked})
        return [each.incident for each in found.incidents]

    async def recorded(self, *kinds: type) -> list[Recorded]:
        return [each for each in await self._positioned(0) if isinstance(each.event, kinds)]

    async def _positioned(self, after: int) -> list[Recorded]:
        """PostgreSQL's sequencer gives what is committed its place a little later."""
        store: Any = self.journal.store
        while await store.sequence():
            pass
        return list(await store.positioned(after, limit=1000))


def _fields(command: c.Command) -> dict[str, Any]:
    return {name: getattr(command, name) for name in command.__struct_fields__}


@pytest.fixture
def floor(journal: Journal, store: Store, keys: KeyStore, clock: ManualClock) -> Floor:
    rows = FoundBy(store.engine)  # type: ignore[attr-defined]
    return Floor(journal, Finder(journal, rows, SearchRecord(store, keys, clock), secret=keys.secret("search")))


@pytest.mark.parametrize(
    "known",
    [
        {"plate": "品川330あ1234"},
        {"plate": "１２－３４"},
        {"plate": "あ 12-34"},
        {"phone": "+81 900 000 001"},
        {"phone": "0900-000-001"},
        {"phone": "0001"},
        {"vin": "123456"},
        {"vin": "jtdbr32e720123456"},
        {"place": "港区"},
        {"place": "東京都港区"},
        {"place": "芝公園 4"},
        {"place": "港区", "plate": "1234"},
    ],
    ids=str,
)
async def test_a_closed_incident_is_found_by_half_of_what_it_has(floor: Floor, known: dict[str, str]):
    there = await floor.come(address="港区芝公園4-2")
    other = Vehicle(id_scheme="vin", id_value="JTDBR32E720999999", license_plate="横浜 500 い 98-76")
    await floor.come(car=other, tel="+81900000999", place="横浜市")
    await floor.close(there)

    assert await floor.find(**known) == [there]


async def test_all_that_is_said_must_hold(floor: Floor):
    await floor.come()

    assert await floor.find(plate="1234", place="横浜") == []
    assert await floor.find(place="港区横浜") == []


async def test_only_the_time_is_known(floor: Floor, clock: ManualClock):
    first = await floor.come()
    await clock.advance(timedelta(hours=5))
    second = await floor.come()
    at = clock.now()

    near = timestamp(at - timedelta(hours=1)), timestamp(at + timedelta(hours=1))
    assert await floor.find(since=near[0], until=near[1]) == [second]
    assert await floor.find(since=timestamp(at - timedelta(days=1))) == [second, first]
    assert await floor.find(since=timestamp(at + timedelta(hours=1))) == []


async def test_what_is_found_shows_place_vehicle_time_and_state(floor: Floor):
    there = await floor.come(address="港区芝公園4-2")
    await floor.close(there)
    await floor.follow()

    (found,) = (await order(floor.desk, "find", plate="1234", **WHY)).incidents

    assert (found.place, found.vehicle, found.plate) == ("港区芝公園4-2", "Invented One", "品川 330 あ 12-34")
    assert (found.state, found.disposition) == ("closed", "false_alarm")
    assert found.at == timestamp((await floor.journal.state(there)).opened_at)


async def test_a_search_is_on_record_before_it_shows_and_each_incident_knows_who_saw_it(floor: Floor):
    there = await floor.come()
    await floor.close(there)
    await floor.find(plate="1234")
    await floor.find(plate="99-99")

    searched = await floor.recorded(IncidentsSearched)
    assert [(each.actor, each.event) for each in searched] == [
        ("operator:taro", IncidentsSearched(purpose="review", by=("plate",), shown=shown)) for shown in (1, 0)
    ]
    (read,) = await floor.recorded(PartsRead)
    assert (read.incident, read.event.reader, read.event.purpose) == (there, "operator:taro", "review")
    assert set(read.event.categories) == {Category.LOC, Category.VEH}
    assert read.position > searched[0].position
    headers = b"".join(each.header for each in await floor.journal.store.leaves(0, limit=1000))
    assert not [said for said in ("品川", "99-99", "9999", "station") if said.encode() in headers]


async def test_who_helps_now_says_no_reason_and_sees_nothing_of_what_is_closed(floor: Floor):
    closed, still = await floor.come(), await floor.come()
    await floor.close(closed)
    await floor.follow()

    found = (await order(floor.desk, "find", purpose="emergency_handling", plate="1234")).incidents

    assert {each.incident: each.plate for each in found} == {closed: "", still: "品川 330 あ 12-34"}


async def test_no_purpose_no_reason_and_too_little_are_refused_and_nothing_is_written(floor: Floor):
    await floor.come()
    await floor.follow()
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"plate": "1234", "purpose": "review"}, Refused),
        ({"plate": "1234", "purpose": "offered"}, Forbidden),
        ({"plate": "1234", "purpose": "supervision", "reason": "x"}, Forbidden),
        ({"plate": "1", **WHY}, Refused),
        ({"phone": "123", **WHY}, Refused),
        ({"place": "港", **WHY}, Refused),
        (WHY, Refused),
        ({"place": "港区", "since": "yesterday", **WHY}, Malformed),
        ({"place": "港区", "since": "2020-01-01T00:00:00Z", **WHY}, Refused),
        ({"place": "港区", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z", **WHY}, Refused),
    ]
    for asked_for, why in wrong:
        with pytest.raises(why):
            await order(floor.desk, "find", **asked_for)

    assert await floor.recorded(IncidentsSearched, PartsRead) == []


async def test_what_is_destroyed_is_found_by_its_time_alone(floor: Floor, clock: ManualClock):
    there = await floor.come()
    await floor.follow()
    event = DataDestroyed(
        disposal="d",
        listed="ab" * 32,
        disposed=(
            Disposed(category=Category.VEH, tag="x", due_at=clock.now(), version="1", started_at=clock.now(), keks=()),
        ),
        approved=(),
    )
    (opened, *_) = await floor.journal.store.stream(there)
    await floor.finder.handle([opened.__class__(**{**_fields(opened), "event": event})])

    assert await floor.find(plate="1234") == []
    assert await floor.find(place="港区") == [there]
    assert await floor.find(since=timestamp(clock.now() - LONGEST + timedelta(days=2))) == [there]


async def test_more_than_is_shown_is_said_and_the_newest_come_first(floor: Floor, clock: ManualClock):
    came = []
    for _ in range(SHOWN + 1):
        came.append(await floor.come())
        await clock.advance(timedelta(minutes=1))
    await floor.follow()

    found = await order(floor.desk, "find", plate="1234", **WHY)

    assert [each.incident for each in found.incidents] == came[:0:-1]
    assert found.more
    assert len(await floor.recorded(PartsRead)) == SHOWN


async def test_a_reader_that_comes_again_changes_nothing(floor: Floor):
    there = await floor.come()
    await floor.follow()
    floor._followed = 0

    assert await floor.find(vin="123456") == [there]


def test_the_table_holds_no_word_in_clear_and_another_key_finds_nothing():
    assert asked(Kind.PHONE, "0312") == {"0312"}  # an ending, not a number dialled at home
    assert asked(Kind.PHONE, "03-0000-1234") == {"300001234"} <= words(Kind.PHONE, "+81300001234")
    assert asked(Kind.PLATE, "9" * 41) == frozenset()
    assert words(Kind.PLACE, "C1 Inner 首都高") == {"c1", "inner", "首都", "都高"}
