"""The brief: canonical, complete in itself, nothing withheld in it, and readable by a person in two languages."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.brief import SCHEMA, compose, read, render_text
from routing.categories import DISCLOSABLE, Category
from routing.errors import Malformed

DECIDED = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)

HEAD = {
    "incident": "urn:emergency:uid:incidentid:a1:demo.example",
    "disclosure": "0192-d",
    "agency": "jp-13-fire",
    "agency_name": "架空東京消防本部",
    "rule": "JP-01",
    "ground": "JP-27-1-ii",
    "law_version": "APPI-2024-04-01",
    "decided_at": DECIDED,
    "exercise": False,
}


def brief(**sections):
    return compose(**HEAD, sections={Category(name): data for name, data in sections.items()})


def test_a_brief_is_canonical_json_complete_in_itself():
    data = brief(VEH=b'{"model":"X","brand":"Demo"}', LOC=b'{"longitude":139.7,"latitude":35.6}')

    document = json.loads(data)
    assert data == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert document["schema"] == SCHEMA
    assert document["sections"]["LOC"] == {"latitude": 35.6, "longitude": 139.7}
    assert (document["incident"], document["agency"], document["ground"]) == (
        HEAD["incident"],
        "jp-13-fire",
        "JP-27-1-ii",
    )


def test_a_withheld_category_is_absent_and_not_blank():
    assert b"MED" not in brief(LOC=b"{}")
    assert set(json.loads(brief(LOC=b"{}"))["sections"]) == {"LOC"}


def test_the_time_of_the_decision_is_written_in_utc():
    tokyo = DECIDED.astimezone(timezone(timedelta(hours=9)))

    assert compose(**(HEAD | {"decided_at": tokyo}), sections={}) == compose(**HEAD, sections={})


@pytest.mark.parametrize("data", [b"", b"[]", b'"text"', b"{", b"\xff", b"null"])
def test_a_section_that_is_no_json_object_is_refused_with_its_place(data):
    with pytest.raises(Malformed) as caught:
        brief(OBS=data)

    assert caught.value.field == "$.sections.OBS"


def test_the_raw_report_is_never_put_into_a_brief():
    with pytest.raises(Malformed, match="never disclosed"):
        brief(RAW=b"{}")


def test_a_decision_without_a_time_zone_is_refused():
    with pytest.raises(Malformed) as caught:
        compose(**(HEAD | {"decided_at": DECIDED.replace(tzinfo=None)}), sections={})

    assert caught.value.field == "$.decided_at"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schema": "sos-brief/2"}, "$.schema"),
        ({"agency": 7}, "$.agency"),
        ({"decided_at": "yesterday"}, "$.decided_at"),
        ({"decided_at": "2026-11-21T03:04:05"}, "$.decided_at"),
        ({"sections": {"RAW": {}}}, "$.sections"),
        ({"sections": {"LOC": []}}, "$.sections[...]"),
        ({"more": 1}, "$"),
    ],
)
def test_bytes_that_are_no_brief_are_refused_with_the_json_path(change, field):
    document = json.loads(brief(LOC=b"{}")) | change

    with pytest.raises(Malformed) as caught:
        read(json.dumps(document).encode())

    assert caught.value.field == field


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]"])
def test_bytes_that_are_not_json_are_refused(data):
    with pytest.raises(Malformed):
        read(data)


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(scalars | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
objects = st.dictionaries(st.text(max_size=12), values, max_size=5)


@given(st.dictionaries(st.sampled_from(sorted(DISCLOSABLE)), objects), st.text(), st.booleans())
def test_a_brief_reads_back_as_it_was_composed_and_composes_again_to_the_same_bytes(sections, name, exercise):
    head = HEAD | {"agency_name": name, "exercise": exercise}
    encoded = {category: msgspec.json.encode(section) for category, section in sections.items()}

    data = compose(**head, sections=encoded)
    back = read(data)

    assert back.sections == {category.value: section for category, section in sections.items()}
    assert (back.agency_name, back.exercise, back.decided_at) == (name, exercise, DECIDED)
    again = {Category(category): msgspec.json.encode(section) for category, section in back.sections.items()}
    assert compose(**head, sections=again) == data


@given(st.dictionaries(st.sampled_from(sorted(DISCLOSABLE)), objects))
def test_the_text_holds_every_field_name_or_its_title_in_both_languages(sections):
    encoded = {category: msgspec.json.encode(section) for category, section in sections.items()}
    back = read(compose(**HEAD, sections=encoded))

    for language in ("ja", "en"):
        text = render_text(back, language)
        assert text.count("\n[") >= len(sections)
        assert HEAD["incident"] in text


def test_the_text_can_be_read_aloud_in_japanese():
    text = render_text(
        read(
            brief(LOC=b'{"latitude":35.6812,"longitude":139.7671,"trusted":true}', VEH=b'{"occupants":2,"brand":null}')
        ),
        "ja",
    )

    assert "[位置]\n緯度: 35.6812\n経度: 139.7671\n測位の信頼: はい" in text
    assert "乗員数: 2" in text
    assert "メーカー: 不明" in text
    assert "宛先: 架空東京消防本部 (jp-13-fire)" in text
    assert "訓練" not in text


def test_the_text_can_be_read_aloud_in_english():
    text = render_text(read(brief(OBS=b'{"text":"Two people, one is bleeding.","unusual":[1,2]}')), "en")

    assert "[Heard or observed]\nNote: Two people, one is bleeding.\nunusual: 1, 2" in text
    assert "Ground: JP-01 / JP-27-1-ii / APPI-2024-04-01" in text


@pytest.mark.parametrize(("language", "words"), [("ja", "【訓練】"), ("en", "EXERCISE: send nobody")])
def test_an_exercise_says_so_in_the_second_line(language, words):
    data = compose(**(HEAD | {"exercise": True}), sections={})

    assert words in render_text(read(data), language).splitlines()[1]
