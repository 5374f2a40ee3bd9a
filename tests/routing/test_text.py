"""Text from outside: what is taken out, what stays, and that the short way never misses anything."""

import json
import sys
from types import FrameType
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


@given(values)
def test_a_tree_is_cleaned_as_each_of_its_texts_is_and_stays_the_same_object_when_clean(value: Any) -> None:
    assert cleaned(value) == _one_by_one(value)
    assert cleaned(again := cleaned(value)) is again


@pytest.mark.parametrize("leaf", ["plain", "\u6771\n", "\0", 1, [1], ["\0"], {"\0": "\0"}])
def test_no_leaf_of_a_strangers_tree_costs_a_call_of_pythons(leaf: object) -> None:
    few, many = _calls_of_cleaning([[leaf] * 3]), _calls_of_cleaning([[leaf] * 30_000])

    assert few == many


def _calls_of_cleaning(tree: Any) -> int:
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:  # the collector's callbacks are not ours
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename == clean.__code__.co_filename

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        cleaned(tree)
    finally:
        sys.setprofile(before)
    return calls


def _one_by_one(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _one_by_one(item) for name, item in value.items()}
    return [_one_by_one(item) for item in value] if isinstance(value, list) else value


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
