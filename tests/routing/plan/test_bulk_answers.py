"""Many points at once: the same answer as one point, whatever stands in the row, and in the order of the rows."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.plan import Facts, Sources, plan_from
from routing.plan.bulk import Answer, Bulk
from routing.plan.routes import Crossings
from routing.services import Service

SOURCES = Sources(layer=PrefectureLayer.load(), directory=Directory.demo(), crossings=Crossings.load())
BULK = Bulk(SOURCES, flags=("prefecture_layer_only",))


def test_a_point_gets_the_agencies_of_its_plan():
    answer = BULK.answer(35.6812, 139.7671)

    assert [(body.id, body.service, body.reason) for body in answer.agencies] == [
        ("jp-13-fire", "fire", "polygon"),
        ("jp-13-police", "police", "polygon"),
    ]
    assert (answer.prefecture, answer.municipality, answer.how) == ("JP-13", None, "inside")
    assert answer.flags == ("prefecture_layer_only",)


@pytest.mark.parametrize(
    ("latitude", "longitude", "flags"),
    [
        (None, None, {"position_unknown", "missing"}),
        (math.nan, 139.0, {"position_unknown", "not_a_number"}),
        (139.7, 35.6, {"position_unknown", "out_of_range", "axes_swapped?"}),
        (0.0, 0.0, {"position_unknown", "null_island"}),
        (999.0, 0.0, {"position_unknown", "out_of_range"}),
        (-33.9, 18.4, {"outside_coverage"}),
    ],
)
def test_a_bad_row_gets_the_default_agencies_and_flags(latitude, longitude, flags):
    answer = BULK.answer(latitude, longitude)

    assert [body.id for body in answer.agencies] == ["jp-default-fire", "jp-default-police"]
    assert flags | {"default_agency"} <= set(answer.flags)
    assert (answer.municipality, answer.prefecture) == (None, None)


def test_an_uncertainty_over_a_border_names_both_sides_and_their_shares():
    answer = BULK.answer(35.5990, 139.6330, 3_000.0)

    assert {"jp-13-fire", "jp-14-fire", "jp-13-police", "jp-14-police"} == {body.id for body in answer.agencies}
    assert {each.code for each in answer.shares} == {"JP-13", "JP-14"}
    assert "near_border" in answer.flags


@pytest.mark.parametrize("uncertainty_m", [-1.0, math.nan, math.inf])
def test_an_impossible_uncertainty_is_ignored_and_said(uncertainty_m):
    answer = BULK.answer(35.6812, 139.7671, uncertainty_m)

    assert "uncertainty_ignored" in answer.flags
    assert answer.agencies == BULK.answer(35.6812, 139.7671).agencies


def test_the_coarse_map_names_the_neighbour_of_a_border_that_it_may_have_wrong():
    answer = BULK.answer(35.5990, 139.6330)

    assert "near_border" in answer.flags
    assert [body.id for body in answer.agencies] == ["jp-14-fire", "jp-14-police", "jp-13-fire", "jp-13-police"]


def test_one_service_may_be_asked_for_alone_wherever_it_is():
    bulk = Bulk(SOURCES, service=Service.MEDICAL)

    for point in ((35.6812, 139.7671), (34.9, 138.5), (None, None)):
        assert {body.service for body in bulk.answer(*point).agencies} == {Service.MEDICAL}


def test_a_bridge_is_answered_by_its_own_end():
    answer = BULK.answer(34.2399, 134.6516)

    assert answer.prefecture == "JP-28"
    assert "on_crossing" in answer.flags
    assert [body.id for body in answer.agencies if body.service is Service.FIRE] == ["jp-28-fire", "jp-36-fire"]


def test_without_a_layer_every_row_is_answered():
    bulk = Bulk(Sources(layer=None, directory=Directory.demo()))

    assert "layer_missing" in bulk.answer(35.0, 139.0, 50.0).flags
    assert bulk.answer(35.0, 139.0).agencies


values = st.none() | st.floats() | st.floats(30.0, 40.0) | st.floats(130.0, 142.0)


@given(st.lists(st.tuples(values, values, st.none() | st.floats()), max_size=8))
def test_bulk_and_single_say_the_same_in_the_order_of_the_rows(rows):
    lines = BULK.lines(rows)

    assert [msgspec.json.decode(line, type=Answer) for line in lines] == [BULK.answer(*row) for row in rows]
    assert all(b"\n" not in line for line in lines)


@given(st.floats(24.0, 46.0), st.floats(122.0, 154.0))
def test_the_first_agency_of_each_service_is_that_of_the_plan(latitude, longitude):
    answer = BULK.answer(latitude, longitude)
    made = plan_from(Facts(latitude=latitude, longitude=longitude), SOURCES)

    firsts = {}
    for body in answer.agencies:
        firsts.setdefault(body.service, body.id)
    assert list(firsts.values()) == list(made.agencies[: len(firsts)])
