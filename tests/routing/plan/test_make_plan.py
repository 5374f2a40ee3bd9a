"""Plans: who is responsible, why, and that a bad position still gets somebody."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.plan import Facts, PlanRules, make_plan
from routing.services import Service

LAYER, DIRECTORY, RULES = PrefectureLayer.load(), Directory.demo(), PlanRules()


def plan(latitude, longitude, **facts):
    return make_plan(
        Facts(latitude=latitude, longitude=longitude, **facts), layer=LAYER, directory=DIRECTORY, rules=RULES
    )


def test_a_crash_in_the_middle_of_tokyo_goes_to_its_fire_and_police_by_polygon():
    made = plan(35.6812, 139.7671, trigger="automatic")

    assert made.prefecture == "JP-13"
    assert made.agencies == ("jp-13-fire", "jp-13-police")
    assert made.reasons == ("fire:polygon", "police:polygon")
    assert made.flags == ()
    assert [(need.service, need.reason) for need in made.services] == [
        (Service.FIRE, "crash"),
        (Service.POLICE, "crash"),
    ]
    assert made.runner_up == "JP-12"


def test_a_button_press_is_a_call_for_help():
    assert {need.reason for need in plan(35.6812, 139.7671, trigger="manual").services} == {"call_for_help"}


def test_the_border_distance_is_rounded_to_100_m_so_that_it_does_not_tell_the_place():
    border_m = plan(35.6812, 139.7671).border_m

    assert border_m is not None
    assert border_m % 100 == 0


def test_a_plan_names_every_data_set_it_was_made_from():
    made = plan(35.6812, 139.7671)

    assert made.datasets == (LAYER.dataset, DIRECTORY.dataset, RULES.dataset)
    assert [dataset.split("@")[0] for dataset in made.datasets] == ["jp_prefectures", "demo-agencies", "plan-rules-jp"]


def test_other_rules_have_another_digest():
    assert PlanRules(untrusted_m=500.0).dataset != RULES.dataset


@pytest.mark.parametrize(
    ("latitude", "longitude", "reason"),
    [
        (None, None, "missing"),
        (0.0, 0.0, "null_island"),
        (math.nan, 1.0, "not_a_number"),
        (139.7, 35.6, "axes_swapped?"),
    ],
)
def test_an_unlocated_crash_goes_to_the_default_agencies_with_a_flag(latitude, longitude, reason):
    made = plan(latitude, longitude)

    assert made.prefecture is None
    assert made.agencies == ("jp-default-fire", "jp-default-police")
    assert made.reasons == ("fire:default_agency", "police:default_agency")
    assert {"position_unknown", "default_agency", reason} <= set(made.flags)
    assert made.border_m is None


def test_a_crash_near_a_border_names_the_neighbours_as_runners_up():
    made = plan(35.5990, 139.6330)  # 等々力, a stone's throw from the Tama

    assert made.prefecture == "JP-14"
    assert made.agencies == ("jp-14-fire", "jp-14-police", "jp-13-fire", "jp-13-police")
    assert made.reasons[2:] == ("fire:runner_up", "police:runner_up")
    assert "near_border" in made.flags


def test_an_uncertain_position_is_near_a_border_from_further_away():
    assert "near_border" not in plan(35.6812, 139.7671).flags
    assert "near_border" in plan(35.6812, 139.7671, uncertainty_m=20_000.0).flags


def test_a_position_the_vehicle_does_not_trust_is_flagged():
    assert "position_untrusted" in plan(35.6812, 139.7671, trusted=False).flags


def test_an_impossible_uncertainty_counts_as_none():
    assert plan(35.6812, 139.7671, uncertainty_m=-5.0) == plan(35.6812, 139.7671)
    assert plan(35.6812, 139.7671, uncertainty_m=math.nan) == plan(35.6812, 139.7671)


def test_a_car_at_sea_gets_the_coast_guard_beside_the_nearest_land_services():
    made = plan(34.9, 138.5)

    assert made.agencies == ("jp-22-fire", "jp-22-police", "jp-marine")
    assert made.flags == ("at_sea",)


def test_a_bridge_off_the_shore_is_flagged_and_goes_to_the_nearest():
    made = plan(35.4637, 139.8753)

    assert made.reasons[0] == "fire:nearest"
    assert "off_shore" in made.flags


def test_a_crash_abroad_goes_to_the_default_agencies():
    made = plan(48.85, 2.35)

    assert made.agencies == ("jp-default-fire", "jp-default-police")
    assert made.flags == ("outside_coverage", "default_agency")


def test_the_same_facts_make_the_same_plan():
    assert plan(35.36, 138.73) == plan(35.36, 138.73)


@given(
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.sampled_from(["automatic", "manual", "unknown", ""]),
    st.none() | st.booleans(),
)
def test_no_facts_raise_and_every_plan_names_fire_and_police(latitude, longitude, uncertainty_m, trigger, trusted):
    made = plan(latitude, longitude, uncertainty_m=uncertainty_m, trigger=trigger, trusted=trusted)

    assert {Service.FIRE, Service.POLICE} <= {need.service for need in made.services}
    assert len(made.agencies) == len(made.reasons) >= 2
    assert all(agency in DIRECTORY.agencies for agency in made.agencies)


@given(st.floats(24.0, 46.0), st.floats(122.0, 154.0))
def test_every_place_in_the_coverage_gets_agencies_that_exist(latitude, longitude):
    made = plan(latitude, longitude)

    assert all(agency in DIRECTORY.agencies for agency in made.agencies)
    assert (made.prefecture is None) == ("default_agency" in made.flags)
