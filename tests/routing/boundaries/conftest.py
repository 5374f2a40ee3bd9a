"""Layers to ask: small ones made up, and the municipalities of Japan where their file lies beside the clone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from routing.boundaries import MunicipalLayer
from routing.boundaries.build import build
from routing.boundaries.index import Area, Header

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def silent(what: str) -> None:
    """Progress told to nobody."""


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """The path of a file beside the clone; the test is skipped without it."""

    def file(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not beside the clone")
        return DATA / name

    return file


@pytest.fixture(scope="session")
def make_layer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., MunicipalLayer]:
    """A layer of shapes by code."""

    def make(shapes, **dates):
        codes = sorted(shapes)
        areas = tuple(
            Area(code=code, name_ja=code, valid_from=dates.get(code, (None,))[0], valid_to=dates.get(code, (None,))[-1])
            for code in codes
        )
        header = Header(name="made", accuracy_m=0.0, sources=(), areas=areas)
        path = tmp_path_factory.mktemp("layer") / "made.sosgeo"
        build(header, [shapes[code] for code in codes], path, tell=silent)
        return MunicipalLayer.load(path)

    return make


@pytest.fixture(scope="session")
def japan(municipalities: Path) -> MunicipalLayer:
    """All 1,902 municipalities, simplified to 30 m."""
    return MunicipalLayer.load(municipalities)
