"""Kilometre posts: between two of them, never beyond, with how far the road may lie from there."""

from pathlib import Path

import pytest

from routing.errors import Misconfigured
from routing.location import Position
from routing.position.posts import SURVEY_M, KilometrePosts, check
from routing.position.shapes import geodesic_m

NAMES = "road,km,direction,lat,lon"
ROWS = (
    "架空自動車道,10.0,上り,36.00000,140.00000",
    "架空自動車道,11.0,上り,36.00900,140.00000",
    "架空自動車道,12.0,上り,36.01350,140.00557",
    "架空自動車道,10.0,下り,36.00000,140.00030",
    "架空自動車道,11.0,下り,36.00900,140.00030",
)


def table(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "posts.csv"
    file.write_text("\n".join((NAMES, *rows)) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def posts(tmp_path: Path) -> KilometrePosts:
    return KilometrePosts.load(table(tmp_path, *ROWS))


@pytest.mark.parametrize("road", ["架空自動車道", "架空道", " 架空 自動車道 "])
@pytest.mark.parametrize("direction", ["上り", "上り線", "up", "のぼり"])
def test_a_place_is_between_its_posts_however_road_and_direction_are_said(
    posts: KilometrePosts, road: str, direction: str
):
    found = posts.find(road, 10.5, direction)

    assert found is not None
    assert geodesic_m(found.position, Position(36.0045, 140.0)) < 1.0
    assert (found.road, round(found.uncertainty_m)) == ("架空自動車道", pytest.approx(50, abs=30))


def test_a_road_that_winds_is_said_to_be_less_certain_and_a_post_is_where_it_stands(posts: KilometrePosts):
    winding, post = posts.find("架空道", 11.5, "上り"), posts.find("架空道", 11.0, "上り")

    assert winding is not None
    assert post is not None
    assert winding.uncertainty_m > 300
    assert post.uncertainty_m == SURVEY_M


@pytest.mark.parametrize(
    ("road", "km", "direction"),
    [("知らない道", 10.5, "上り"), ("架空道", 9.9, "上り"), ("架空道", 12.1, "上り"), ("架空道", 11.5, "下り"),
     ("架空道", 10.5, "内回り"), ("架空道", 10.5, "まっすぐ")],
)  # fmt: skip
def test_what_the_table_does_not_have_is_not_guessed(posts: KilometrePosts, road: str, km: float, direction: str):
    found = posts.find(road, km, direction)

    if direction == "まっすぐ":  # no direction that anybody knows: either, and so much less certain
        assert found is not None
        assert found.uncertainty_m > 50
    else:
        assert found is None


def test_posts_that_are_far_from_each_other_are_no_neighbours(tmp_path: Path):
    far = KilometrePosts.load(table(tmp_path, "架空道,0,上り,36.0,140.0", "架空道,9,上り,36.08,140.0"))

    assert far.find("架空道", 4, "上り") is None


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("架空道,1,上り,0,0", "Earth"),
        ("架空道,x,上り,36.0,140.0", "number"),
        (",1,上り,36.0,140.0", "no road"),
        ("架空道,1,北,36.0,140.0", "direction"),
        ("架空道,nan,上り,36.0,140.0", "Earth"),
        ("架空道,1,上り", "number"),
    ],
)
def test_a_row_that_cannot_be_is_named_and_stops_the_start(tmp_path: Path, row: str, what: str):
    file = table(tmp_path, *ROWS, row)

    _, faults = check(file)
    assert [fault.row for fault in faults] == [len(ROWS) + 1]
    assert what in faults[0].what
    with pytest.raises(Misconfigured, match=f"row {len(ROWS) + 1}"):
        KilometrePosts.load(file)


def test_posts_that_contradict_one_another_are_named(tmp_path: Path):
    twice = check(table(tmp_path, *ROWS, ROWS[0]))[1]
    apart = check(table(tmp_path, "架空道,1,上り,36.0,140.0", "架空道,2,上り,36.2,140.0"))[1]

    assert "twice" in twice[0].what
    assert "m apart" in apart[0].what


def test_a_file_that_is_no_such_table_says_what_one_is(tmp_path: Path):
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(Misconfigured, match="road, km, direction"):
        check(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misconfigured, match="cannot be read"):
        check(file)
