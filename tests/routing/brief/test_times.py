"""Every form for people says its times by the recipient's clock, and says once which clock that is."""

import io
from datetime import UTC, datetime

import msgspec
import pypdf
import pytest

from routing.brief import compose, read, render_text
from routing.brief.fax import write_fax
from routing.brief.spoken import speak
from routing.brief.times import on_the_wall
from routing.categories import Category

LATE = datetime(2026, 11, 21, 23, 30, 5, tzinfo=UTC)
"""Already the next day in Japan."""


def brief(zone, before=None, fixed="2026-11-21T23:29:00Z"):
    sections = {
        Category.LOC: {"latitude": 35.6812, "longitude": 139.7671, "timestamp": fixed},
        Category.SEV: {"eventTime": "2026-11-21T23:28:55.25+00:00"},
    }
    return read(
        compose(
            incident="urn:emergency:uid:incidentid:a1b2c3d4:demo.sos.example",
            disclosure="d1",
            agency="jp-13-fire",
            agency_name="架空東京消防本部",
            rule="JP-01",
            ground="JP-27-1-ii",
            law_version="APPI-2024-04-01",
            decided_at=LATE,
            exercise=False,
            sections={category: msgspec.json.encode(section) for category, section in sections.items()},
            before=before,
            zone=zone,
        )
    )


FORMS = {
    "text_ja": lambda told: render_text(told, "ja"),
    "text_en": lambda told: render_text(told, "en"),
    "fax": lambda told: pypdf.PdfReader(io.BytesIO(write_fax(told))).pages[0].extract_text(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("zone", "name", "decided", "fix", "crash"),
    [
        ("Asia/Tokyo", "JST", "2026-11-22 08:30:05", "2026-11-22 08:29:00", "2026-11-22 08:28:55"),
        ("Europe/London", "GMT", "2026-11-21 23:30:05", "2026-11-21 23:29:00", "2026-11-21 23:28:55"),
    ],
)
def test_all_times_of_a_form_are_of_one_clock_that_is_named_once(form, zone, name, decided, fix, crash):
    text = FORMS[form](brief(zone))

    assert f"{decided} {name}" in text
    assert fix in text
    assert crash in text
    assert (text.count(name), text.count("UTC"), text.count("23:29:00Z")) == (1, 0, 0)


def test_the_spoken_brief_says_the_clock_of_the_recipient_in_both_languages():
    assert "日本時間8時30分、決定。" in speak(brief("Asia/Tokyo"), "ja")
    assert "Decided at 8 30 JST." in speak(brief("Asia/Tokyo"), "en")
    assert "Decided at 23 30 GMT." in speak(brief("Europe/London"), "en")
    assert "/ 2026-11-22 08:30:05 JST" in speak(brief("Asia/Tokyo"), "en")


def test_what_changed_is_said_by_the_same_clock():
    second = brief("Asia/Tokyo", before=brief("Asia/Tokyo"), fixed="2026-11-21T23:40:00Z")

    assert "(2026-11-22 08:29:00 → 2026-11-22 08:40:00)" in render_text(second, "ja")


@pytest.mark.parametrize(
    "text", ["2026-13-40T99:99:99Z", "about 2026-11-21T23:29:00Z", "0001-01-01T00:00:00+14:00", ""]
)
def test_what_is_no_instant_stands_as_it_is(text):
    assert on_the_wall(text, "Asia/Tokyo") == text
