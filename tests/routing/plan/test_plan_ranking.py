"""How a plan ranks agencies: by share of the circle, by carriageway, by end of a bridge; and that it replays."""

import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.boundaries import PrefectureLayer
from routing.directory import Agency, Agreement, Directory, Duty, Hours
from routing.directory.duty import Kind
from routing.errors import Misconfigured
from routing.plan import Before, Facts, Plan, PlanRules, Sources, again, make_plan, plan_from
from routing.plan.hospitals import Facilities, Facility
from routing.plan.routes import Carriageway, Crossings, Feature, RouteTable
from routing.plan.routes import Duty as RouteDuty
from routing.services import ALWAYS, Service
from tests.routing.squares import Squares

PHONE = {"voice": {"number": "+81300000001"}}
AT = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
LAYER = Squares()


def agency(name, service=Service.FIRE, jurisdiction=(), **more):
    fields = {"channels": PHONE, "name_ja": f"架空{name}", "name_en": f"Demo {name}", **more}
    return Agency(id=name, service=service, jurisdiction=jurisdiction, **fields)


BASE = (
    *(agency(f"last-{service.value}", service, "default") for service in ALWAYS),
    agency("road", Service.ROAD, "default"),
    agency("police-11", Service.POLICE, ("JP-11",)),
    agency("police-13", Service.POLICE, ("JP-13",)),
    agency("coast", Service.COAST_GUARD, ("JP-13",)),
)
FIRE = (agency("west"), agency("union"), agency("tokyo"))
DUTIES = (
    Duty(code="11101", agency="west"),
    Duty(code="11102", agency="union"),
    Duty(code="11203", agency="union"),
    Duty(code="11202", agency="union"),
    Duty(code="13101", agency="tokyo"),
    Duty(code="13102", agency="tokyo", kind=Kind.DELEGATED),
)


def book(*agencies, duties=DUTIES, **more):
    return Directory((*BASE, *(agencies or FIRE)), name="t", digest="0", duties=duties, **more)


def plan(latitude, longitude, *, directory=None, **facts):
    return make_plan(
        Facts(latitude=latitude, longitude=longitude, **facts),
        layer=LAYER,
        directory=directory or book(),
        rules=PlanRules(),
    )


def test_a_point_goes_to_the_headquarters_of_its_municipality():
    made = plan(35.05, 139.05)

    assert (made.municipality, made.prefecture) == ("11101", "JP-11")
    assert made.agencies == ("west", "police-11")
    assert made.reasons == ("fire:polygon", "police:polygon")
    assert made.runner_up in {"11102", "11202"}
    assert made.border_m is not None
    assert made.border_m % 100 == 0


def test_of_two_agencies_in_the_circle_the_larger_share_comes_first():
    made = plan(35.05, 139.0995, uncertainty_m=2_000.0)

    assert (made.agencies[0], made.reasons[0]) == ("west", "fire:polygon")
    assert ("union", "fire:runner_up") in zip(made.agencies, made.reasons, strict=True)
    assert "near_border" in made.flags
    assert [each.code for each in made.shares] == ["11101", "11102"]


def test_the_municipalities_of_one_union_count_together():
    corner = (35.098, 139.098)  # in 11101; three quarters of the circle lie in others, all of one union

    made = plan(*corner, uncertainty_m=2_000.0)

    assert made.municipality == "11101"
    assert made.agencies[:2] == ("union", "police-11")
    assert made.agencies[2] == "west"
    assert made.reasons[0] == "fire:share"
    assert sum(each.share for each in made.shares if each.code != "11101") > 0.5


def test_a_circle_that_touches_one_municipality_alone_names_nobody_else():
    made = plan(35.05, 139.05, uncertainty_m=100.0)

    assert made.agencies == ("west", "police-11")
    assert made.shares == ()
    assert made.radius_m == 100


def test_a_circle_over_a_prefecture_border_names_both_police_forces():
    made = plan(35.05, 139.1999, uncertainty_m=500.0)

    assert {"police-11", "police-13"} <= set(made.agencies)
    assert "police:runner_up" in made.reasons


def test_a_fix_that_grew_old_has_a_circle_that_grew_with_it():
    fresh = plan(35.05, 139.093, uncertainty_m=10.0)
    old = plan(35.05, 139.093, uncertainty_m=10.0, fix_age_s=60.0, speed_kmh=60.0)
    unknown_speed = plan(35.05, 139.093, uncertainty_m=10.0, fix_age_s=60.0)

    assert (fresh.radius_m, old.radius_m, unknown_speed.radius_m) == (10, 1_010, 1_677)
    assert "position_stale" in old.flags
    assert "position_stale" not in fresh.flags
    assert old.agencies[:2] == ("west", "police-11")
    assert "union" in old.agencies


def test_a_lost_position_falls_back_to_the_last_fix_before_it():
    made = plan(None, None, recent=(Before(latitude=math.nan, longitude=0.0), Before(latitude=35.05, longitude=139.05)))

    assert made.municipality == "11101"
    assert {"position_from_last_fix", "missing"} <= set(made.flags)
    assert made.radius_m > 0


def test_without_a_layer_the_default_agencies_are_named():
    made = make_plan(Facts(latitude=35.05, longitude=139.05), layer=None, directory=book(), rules=PlanRules())

    assert made.agencies == ("last-fire", "last-police")
    assert {"layer_missing", "default_agency"} <= set(made.flags)


def test_a_delegated_duty_is_flagged():
    assert "delegated" in plan(35.15, 139.25).flags


def test_who_cannot_be_reached_is_named_and_somebody_stands_in():
    directory = book(agency("west", channels={}, listed_only=True), agency("union"), agency("tokyo"))

    made = plan(35.05, 139.05, directory=directory)

    assert made.agencies == ("last-fire", "police-11")
    assert made.unreachable == ("west",)
    assert {"agency_without_channel", "default_agency"} <= set(made.flags)


def test_an_agency_that_is_closed_comes_after_the_one_that_is_open():
    directory = book(agency("west", hours=Hours(mon=("22:00-23:00",))), agency("union"), agency("tokyo"))

    made = plan(35.05, 139.05, directory=directory, at=AT)

    assert made.agencies == ("last-fire", "west", "police-11")
    assert made.reasons == ("fire:stand_in", "fire:closed", "police:polygon")
    assert "agency_closed" in made.flags


def test_an_expired_agreement_is_flagged_on_the_day_of_the_country():
    old = (Agreement(name="協定", valid_to=datetime(2026, 5, 31, tzinfo=UTC).date()),)
    directory = book(agency("west", agreements=old), agency("union"), agency("tokyo"))
    still_may_in_london = datetime(2026, 5, 31, 16, 0, tzinfo=UTC)

    assert "agreement_expired" in plan(35.05, 139.05, directory=directory, at=still_may_in_london).flags
    assert "agreement_expired" not in plan(35.05, 139.05, directory=directory, at=AT.replace(month=5)).flags


def test_boundaries_that_say_nothing_of_the_day_are_flagged():
    assert "boundaries_outdated" in plan(35.05, 139.05, at=datetime(2019, 1, 1, tzinfo=UTC)).flags


def test_at_sea_the_coast_guard_comes_beside_the_services_of_the_nearest_land():
    made = plan(35.05, 139.5)

    assert made.agencies == ("tokyo", "police-13", "coast")
    assert made.flags == ("at_sea",)


# --- expressways ---

LINE = tuple((35.05, 139.02 + n / 1000.0) for n in range(60))


def road(direction, line, duties=()):
    return Carriageway(
        road_id="E9", road="架空自動車道", direction=direction, line=line,
        from_kp=0.0 if direction == "down" else 5.4, to_kp=5.4 if direction == "down" else 0.0,
    )  # fmt: skip


ROADS = RouteTable(
    [road("down", LINE), road("up", tuple((lat + 0.00014, lon) for lat, lon in LINE[::-1]))],
    duties=[
        RouteDuty(
            road="E9", direction="down", from_ic="甲", to_ic="乙", service="fire", first="架空west", second="tokyo"
        ),
        RouteDuty(road="E9", direction="up", from_ic="乙", to_ic="甲", service="fire", first="union"),
    ],
    features=[
        Feature(road_id="E9", kind="ic", name="甲", from_kp=0.0, to_kp=0.0),
        Feature(road_id="E9", kind="ic", name="乙", from_kp=5.4, to_kp=5.4),
    ],
    name="roads",
    digest="1",
)  # fmt: skip
ON_ROAD = (35.05007, 139.05)


def on_road(directory=None, **facts):
    sources = Sources(layer=LAYER, directory=directory or book(), routes=ROADS)
    return plan_from(Facts(latitude=ON_ROAD[0], longitude=ON_ROAD[1], **facts), sources)


def test_a_carriageway_has_its_own_headquarters_and_the_second_responder_follows():
    down, up = on_road(heading=90.0), on_road(heading=270.0)

    assert (down.agencies[0], down.reasons[0]) == ("west", "fire:carriageway")
    assert (up.agencies[0], up.reasons[0]) == ("union", "fire:carriageway")
    assert ("tokyo", "fire:second_responder") in zip(down.agencies, down.reasons, strict=True)
    assert [need.service for need in down.services] == [Service.FIRE, Service.POLICE, Service.ROAD]
    assert "road" in down.agencies
    assert "on_expressway" in down.flags
    assert down.roads[0].from_ic == "甲"


def test_while_the_direction_is_unknown_both_headquarters_are_named():
    made = on_road()

    fire = [(a, r) for a, r in zip(made.agencies, made.reasons, strict=True) if r.startswith("fire:carriageway")]
    assert dict(fire) == {"west": "fire:carriageway_down", "union": "fire:carriageway_up"}
    assert "carriageway_unknown" in made.flags


def test_a_headquarters_that_only_the_route_table_knows_is_flagged_and_the_polygon_answers():
    directory = book(agency("union"), agency("tokyo"), duties=DUTIES[1:])

    made = on_road(directory, heading=90.0)

    assert "route_duty_unknown" in made.flags
    assert made.agencies[0] == "tokyo"


def test_a_bridge_goes_to_its_own_end_and_the_other_follows():
    crossings = Crossings.load()
    sources = Sources(layer=PrefectureLayer.load(), directory=Directory.demo(), crossings=crossings)

    made = plan_from(Facts(latitude=34.2399, longitude=134.6516), sources)  # 大鳴門橋, the Awaji side

    assert made.crossing is not None
    assert made.crossing.name == "大鳴門橋"
    assert made.agencies[:2] == ("jp-28-fire", "jp-28-police")
    assert "jp-36-fire" in made.agencies
    assert "on_crossing" in made.flags


# --- replay ---

FACILITIES = Facilities(
    [Facility(id="h", name="架空病院", latitude=35.05, longitude=139.12, emergency=True)], name="f", digest="2"
)
ALL = Sources(layer=LAYER, directory=book(), facilities=FACILITIES, routes=ROADS, crossings=Crossings.load())

odd = st.none() | st.floats()
befores = st.builds(Before, latitude=st.floats(), longitude=st.floats(), age_s=odd)
anywhere = st.builds(
    Facts,
    latitude=st.none() | st.floats(34.9, 35.3) | st.floats(),
    longitude=st.none() | st.floats(138.9, 139.6) | st.floats(),
    trigger=st.sampled_from(["automatic", "manual", "unknown", ""]),
    heading=odd,
    uncertainty_m=st.none() | st.floats(0.0, 9_000.0) | st.floats(),
    trusted=st.none() | st.booleans(),
    fix_age_s=odd,
    speed_kmh=odd,
    recent=st.lists(befores, max_size=2).map(tuple),
    road=st.none() | st.sampled_from(["E9", "E1"]),
    road_class=st.sampled_from(["", "expressway", "other"]),
    at=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(anywhere)
def test_no_facts_raise_and_a_plan_is_made_again_from_its_facts_to_the_last_word(facts):
    made = plan_from(facts, ALL)

    assert again(made, facts, ALL) == made
    assert len(made.agencies) == len(made.reasons) >= 2
    assert {"fire", "police"} <= {reason.partition(":")[0] for reason in made.reasons}
    assert all(each in ALL.directory.agencies for each in (*made.agencies, *made.unreachable))


@given(anywhere)
def test_a_plan_and_facts_that_were_stored_replay_as_well(facts):
    if any(isinstance(value, float) and not math.isfinite(value) for value in msgspec.structs.astuple(facts)):
        facts = Facts(at=facts.at)  # JSON has no NaN: the report that is stored holds None
    facts = msgspec.structs.replace(facts, recent=())
    stored = msgspec.json.encode((facts, plan_from(facts, ALL)))

    read_facts, read_plan = msgspec.json.decode(stored, type=tuple[Facts, Plan])

    assert again(read_plan, read_facts, ALL) == read_plan


def test_a_plan_is_not_made_again_from_other_data():
    facts = Facts(latitude=35.05, longitude=139.05)
    made = plan_from(facts, ALL)

    with pytest.raises(Misconfigured, match="these differ: f@2"):
        again(made, facts, Sources(layer=LAYER, directory=book(), routes=ROADS, crossings=ALL.crossings))
