"""An address by our own data: the town that it names, else its municipality, and how wide that is."""

from pathlib import Path

import pytest
from shapely import box

from routing.boundaries import PrefectureLayer
from routing.location import Position
from routing.plan.addresses import AddressAreas
from routing.plan.place import TownPoints, import_towns
from routing.position.shapes import geodesic_m

NAMES = {
    "JP-13": ("架空都", "Invented"),
    "13101": ("架空都青区", "Ao"),
    "13102": ("架空都青山町", "Aoyama"),
    "14101": ("別県青区", "Ao"),
    "JP-14": ("別県", "Other"),
}
SHAPES = {"13101": box(139.70, 35.60, 139.80, 35.70), "13102": box(139.90, 35.60, 140.00, 35.70)}


class Layer(PrefectureLayer):
    """Two municipalities."""

    def __init__(self) -> None:
        self.names_of = NAMES

    @property
    def names(self) -> dict[str, tuple[str, str]]:  # type: ignore[override]
        return NAMES

    def polygon(self, code: str, **_: object) -> object:
        return SHAPES.get(code)


@pytest.fixture
def towns(tmp_path: Path) -> TownPoints:
    file = tmp_path / "towns.csv"
    file.write_text("code,town,lat,lon\n13101,東町一丁目,35.65,139.75\n13101,東町,35.64,139.74\n", encoding="utf-8")
    import_towns(file, tmp_path / "towns.sosgeo")
    return TownPoints.load(tmp_path / "towns.sosgeo")


def test_the_town_that_is_named_longest_is_where_it_is(towns: TownPoints):
    found = AddressAreas(Layer(), towns, names=NAMES).find("架空都 青区 東町一丁目 2-3")

    assert found is not None
    assert (found.position, found.exact, found.name) == (Position(35.65, 139.75), True, "東町一丁目")


def test_without_a_town_it_is_the_municipality_as_wide_as_that_is(towns: TownPoints):
    found = AddressAreas(Layer(), towns, names=NAMES).find("架空都青山町どこか")

    assert found is not None
    assert not found.exact
    corner = Position(35.60, 139.90)
    assert geodesic_m(found.position, corner) <= found.uncertainty_m < 20_000


@pytest.mark.parametrize("said", ["青区東町", "", "どこか", "架空都", "x" * 5000])
def test_what_names_nothing_more_than_one_or_no_municipality_is_not_guessed(said: str, towns: TownPoints):
    assert AddressAreas(Layer(), towns, names=NAMES).find(said) is None
