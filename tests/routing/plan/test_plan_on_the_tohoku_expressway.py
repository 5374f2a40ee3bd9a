"""Real crashes on the Tohoku Expressway in Iwate, given to the headquarters of their carriageway by the real agreement.

The police recorded position, direction and kilometre post; the road is drawn through these very places, and the
interchanges stand on it by their latitude.  The agreement is of 1977: a test vector, no directory.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from routing.boundaries import PrefectureLayer
from routing.directory import Agency, Directory
from routing.plan import Facts, Sources, plan_from
from routing.plan.routes import Carriageway, Feature, RouteTable, duties_of
from routing.services import Service

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CRASHES, AGREEMENT = DATA / "npa_crashes.csv", DATA / "expressway_tohoku_1977.csv"

pytestmark = pytest.mark.skipif(
    not (CRASHES.is_file() and AGREEMENT.is_file()), reason="crash records and agreement are not beside this clone"
)

WITHIN = {"水沢": 39.161, "北上江釣子": 39.299, "花巻": 39.414, "紫波": 39.560}
"""Latitudes of the interchanges between the crashes."""

BEYOND = {"若柳金成": 404.0, "一関": 421.0, "安代": 557.0, "鹿角八幡平": 580.0}
"""Kilometres, approximate, of those before and after."""

EXPECTED = {
    474.6: "花巻地区消防事務組合",
    471.1: "北上地区消防等組合",
    457.0: "北上地区消防等組合",
    452.9: "北上地区消防等組合",
    482.5: "花巻地区消防事務組合",
    499.8: "盛岡地区広域行政事務組合",
    522.7: "盛岡地区広域行政事務組合",
    527.3: "盛岡地区広域行政事務組合",
    531.0: "盛岡地区広域行政事務組合",
    536.8: "盛岡地区広域行政事務組合",
}
"""By kilometre post, read off the agreement by hand: 474.6 is upbound and 471.1 downbound between the same two."""


@pytest.fixture(scope="module")
def crashes():
    with CRASHES.open(encoding="utf-8", newline="") as file:
        rows = [
            (float(row["hw_point"]) / 10.0, float(row["lat"]), float(row["lon"]), row["direction_line"])
            for row in csv.DictReader(file)
            if row["prefecture"] == "岩手" and row["route"].startswith("東北縦貫自動車道 弘前線")
        ]
    return sorted(rows)


@pytest.fixture(scope="module")
def sources(crashes):
    line = tuple((lat, lon) for _, lat, lon, _ in crashes)
    first, last = crashes[0][0], crashes[-1][0]
    road = {"road_id": "E4", "road": "東北自動車道"}
    places = dict(BEYOND)
    for name, latitude in WITHIN.items():
        kp = np.interp(latitude, [lat for _, lat, _, _ in crashes], [kp for kp, *_ in crashes])
        places[name] = 447.6 if name == "水沢" else float(kp)
    routes = RouteTable(
        [
            Carriageway(**road, direction="down", line=line, from_kp=first, to_kp=last),
            Carriageway(**road, direction="up", line=line[::-1], from_kp=last, to_kp=first),
        ],
        duties=duties_of(AGREEMENT),
        features=[Feature(road_id="E4", kind="ic", name=name, from_kp=kp, to_kp=kp) for name, kp in places.items()],
    )
    demo = Directory.demo()
    names = sorted({duty.first for duty in duties_of(AGREEMENT)})
    made = tuple(
        Agency(
            id=f"hq-{number}", service=Service.FIRE, name_ja=name, name_en=name, jurisdiction=(f"0399{number}",),
            channels={"voice": {"number": "+81300000001"}},
        )
        for number, name in enumerate(names)
    )  # fmt: skip
    directory = Directory((*demo.agencies.values(), *made), name="t", digest="0", centres=tuple(demo.centres.values()))
    return Sources(layer=PrefectureLayer.load(), directory=directory, routes=routes)


def _headings(crashes):
    """Direction of travel at each crash: from the crash before it along the road to the one after."""
    for number, (kp, lat, lon, direction) in enumerate(crashes):
        behind, ahead = crashes[max(number - 1, 0)], crashes[min(number + 1, len(crashes) - 1)]
        north, east = ahead[1] - behind[1], (ahead[2] - behind[2]) * math.cos(math.radians(lat))
        down = math.degrees(math.atan2(east, north)) % 360.0
        yield kp, lat, lon, down if direction == "下" else (down + 180.0) % 360.0


def test_every_real_crash_goes_first_to_the_headquarters_of_its_carriageway(crashes, sources):
    first = {}
    for kp, lat, lon, heading in _headings(crashes):
        made = plan_from(Facts(latitude=lat, longitude=lon, heading=heading, road_class="expressway"), sources)
        first[kp] = sources.directory.agencies[made.agencies[0]].name_ja
        assert made.reasons[0] == "fire:carriageway"
        assert "on_expressway" in made.flags
        assert "jp-03-police" in made.agencies
        assert "jp-default-road" in made.agencies

    assert first == EXPECTED


def test_without_a_heading_both_carriageways_are_named_and_the_right_one_is_among_them(crashes, sources):
    for kp, lat, lon, _ in crashes:
        made = plan_from(Facts(latitude=lat, longitude=lon), sources)

        named = {sources.directory.agencies[agency].name_ja for agency in made.agencies}
        assert EXPECTED[kp] in named
        assert "carriageway_unknown" in made.flags
        assert {road.direction for road in made.roads} == {"up", "down"}
