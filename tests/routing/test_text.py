"""Text from outside: what is taken out, what stays, and that the short way never misses anything."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from routing.text import MAX_DEPTH, clean, cleaned, surely_clean


class Note(Struct, frozen=True):
    words: str
    more: tuple["Note", ...] = ()
    about: dict[str, str] | None = None


anything = st.text(st.characters())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("東京都千代田区", "東京都千代田区"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\ud800", "\ufffd"),
        ("a\udfffb", "a\ufffdb"),
        ("Yama\0da", "Yamada"),
        ("\x1b[2Jpackage holds", "[2Jpackage holds"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\u2066hidden\u2069", "hidden"),
        ("\ufeffmark", "mark"),
        ("\u200fمرحبا", "\u200fمرحبا"),
        ("\U0001f691", "\U0001f691"),
    ],
)
def test_what_is_taken_out_and_what_stays(sent: str, kept: str) -> None:
    assert clean(sent) == kept


@given(anything)
def test_clean_text_can_be_written_down_and_stays_clean(sent: str) -> None:
    kept = clean(sent)

    assert kept.encode().decode() == kept == clean(kept)


@given(values)
def test_a_cleaned_value_can_be_written_as_json_whatever_it_was(value: Any) -> None:
    msgspec.json.encode(cleaned(value))


def test_a_structure_keeps_its_shape_and_is_the_same_object_when_clean() -> None:
    note = Note("a\0", (Note("b"), Note("c\ud800")), {"k\0": "v\0"})

    fit = cleaned(note)

    assert fit == Note("a", (Note("b"), Note("c\ufffd")), {"k": "v"})
    assert cleaned(fit) is fit


def test_what_is_nested_without_end_is_cut_and_not_followed() -> None:
    deep: Any = "bottom"
    for _ in range(900):
        deep = [deep]

    kept: Any = cleaned(deep)

    levels = 0
    while kept is not None:
        kept, levels = kept[0], levels + 1
    assert levels == MAX_DEPTH


@given(st.dictionaries(anything, anything, max_size=3), st.booleans())
def test_the_short_way_never_passes_what_needs_cleaning(value: dict[str, str], escaped: bool) -> None:
    try:
        written = json.dumps(value, ensure_ascii=escaped).encode()
    except UnicodeEncodeError:
        return  # not JSON

    if surely_clean(written):
        assert cleaned(value) == value
