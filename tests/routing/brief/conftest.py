"""One brief with something in every category, each value marked so that it can be looked for."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from routing.brief import Brief, Sender, compose, read
from routing.categories import Category

SENDER = Sender(
    domain="demo.sos.example",
    name_ja="架空緊急通報センター",
    name_en="Invented Emergency Centre",
    desk_uri="tel:+81300000009",
)

SECTIONS = {
    Category.LOC: {
        "latitude": 35.681236,
        "longitude": 139.767125,
        "horizontalAccuracy": 12.0,
        "prefectureName": "東京都",
        "timestamp": "2026-11-21T03:04:00Z",
        "heading": 90.0,
        "trusted": True,
    },
    Category.VEH: {
        "idScheme": "vin",
        "idValue": "WM9VDSVDSYA123456",
        "brand": "MarkVEH",
        "exteriorColor": "white",
        "licensePlate": "品川 300 あ 12-34",
        "category": "M1",
        "occupants": 2,
        "energy": ["electric"],
    },
    Category.SEV: {
        "impact": "front",
        "deltaVX": -41.5,
        "airbagDeployed": True,
        "fire": True,
        "eventTime": "2026-11-21T03:03:55Z",
        "summary": "MarkSEV",
    },
    Category.TEL: {"tel": "+81 3-0000-7733"},
    Category.PER: {"name": "MarkPER 太郎", "age": 61},
    Category.OWN: {"name": "MarkOWN 花子", "notes": ["MarkOWN"]},
    Category.OBS: {"notes": ["意識なし", "MarkOBS 後部座席に子ども"]},
    Category.MED: {"bloodType": "MarkMED"},
    Category.FAM: {"notes": ["MarkFAM"]},
    Category.AUD: {"note": "MarkAUD"},
    Category.TRK: {"note": "MarkTRK"},
    Category.BIL: {"note": "MarkBIL"},
}

MARKS = {
    Category.LOC: ("35.68", "139.76", "東京都", "4929"),
    Category.VEH: ("MarkVEH", "WM9VDSVDSYA123456", "12-34"),
    Category.SEV: ("MarkSEV", "41.5"),
    Category.TEL: ("7733",),
    Category.PER: ("MarkPER",),
    Category.OWN: ("MarkOWN",),
    Category.OBS: ("MarkOBS", "意識なし"),
    Category.MED: ("MarkMED",),
    Category.FAM: ("MarkFAM",),
    Category.AUD: ("MarkAUD",),
    Category.TRK: ("MarkTRK",),
    Category.BIL: ("MarkBIL",),
}


@pytest.fixture(scope="session")
def made() -> Callable[..., Brief]:
    """A brief of the categories given, or of all; fields given as ``LOC={...}`` stand over those above."""

    def make(*categories: Category, before: Brief | None = None, exercise: bool = False, **changed: dict) -> Brief:
        told = categories or tuple(SECTIONS)
        sections = {each: SECTIONS[each] | changed.get(each.value, {}) for each in told}
        return read(
            compose(
                incident="urn:emergency:uid:incidentid:01a1fdec-8e60-73ad-8e54-ec6fd8eec267:demo.sos.example",
                disclosure="0192-d2" if before else "0192-d",
                agency="jp-13-fire",
                agency_name="架空東京消防本部",
                rule="JP-01",
                ground="JP-27-1-ii",
                law_version="APPI-2024-04-01",
                decided_at=datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC),
                exercise=exercise,
                sections={each: msgspec.json.encode(section) for each, section in sections.items()},
                trigger="automatic",
                sender=SENDER,
                before=before,
            )
        )

    return make
