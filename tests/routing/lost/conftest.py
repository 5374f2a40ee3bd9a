"""The LoST server of an invented operator, and the schema and figures of RFC 5222 that lie beside the clone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer
from routing.lost.server import Sources

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "lost"
NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
UPDATED = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def layer() -> PrefectureLayer:
    return PrefectureLayer.load()


@pytest.fixture(scope="session")
def sources(layer: PrefectureLayer) -> Sources:
    return Sources(
        layer=layer,
        directory=Directory.demo(),
        gazetteer=Gazetteer(layer.names),
        areas=Areas(layer),
        source="lost.sos.example",
        updated=UPDATED,
    )


@pytest.fixture(scope="session")
def schema() -> etree.RelaxNG:
    path = DATA / "lost1.rng"
    if not path.exists():
        pytest.skip("the schema of RFC 5222 is not beside the clone")
    return etree.RelaxNG(etree.parse(path))


def figure(number: int) -> bytes:
    path = DATA / "rfc5222" / f"fig{number:02}.xml"
    if not path.exists():
        pytest.skip("the figures of RFC 5222 are not beside the clone")
    return path.read_bytes()
