"""Names that are no names: however long, they cost little and change nothing else about the address."""

import time

import pytest

from routing.lost.civic import LONGEST_NAME, Gazetteer
from routing.position.gml import Civic


@pytest.fixture(scope="module")
def gazetteer(layer) -> Gazetteer:
    return Gazetteer(layer.names)


@pytest.mark.parametrize("name", ["-" * 20_000, " " * 60_000 + "x", "city" * 15_000, "東京都" * 7_000, "é" * 60_000])
def test_a_name_of_any_length_is_answered_at_once(gazetteer: Gazetteer, name: str):
    """Twenty thousand hyphens took 58 s."""
    began = time.perf_counter()

    found = gazetteer.find(Civic((("country", "JP"), ("A1", "Tokyo"), ("A3", name), ("A4", name), ("A2", name))))

    assert time.perf_counter() - began < 1.0
    assert found.prefecture == "JP-13"


@pytest.mark.parametrize(
    "name", ["Tokyo - Metropolis", "tokyo--to", "TOKYO", "Tōkyō-to", "東京都", "Tokyo  Prefecture "]
)
def test_blanks_and_hyphens_before_the_kind_of_a_place_mean_nothing(gazetteer: Gazetteer, name: str):
    assert gazetteer.find(Civic((("A1", name),))).prefecture == "JP-13"


def test_a_long_name_is_looked_up_nowhere_and_still_named_as_wrong(gazetteer: Gazetteer):
    found = gazetteer.find(Civic((("A1", "x" * (LONGEST_NAME + 1)),)))

    assert (found.prefecture, found.validation.invalid) == (None, ("A1",))
