"""Every sentence with which a desk's order may be refused has a code and words in both languages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sos.console.refusals import pieces, table, told, values
from sos.errors import Bug, Forbidden, KeyLost, Refused, SosError, Unavailable, Unconfirmed, Unknown

ROOT = Path(__file__).resolve().parents[3]
ROOMS = (
    *(ROOT / "sos/console").glob("*.py"),
    *(ROOT / "sos/console/orders").glob("*.py"),
    *(ROOT / "sos/incident").glob("*.py"),
    *(ROOT / f"sos/dispatch/{name}.py" for name in ("codes", "disclosure", "medical", "replies", "requests")),
    *(ROOT / f"sos/calls/{name}.py" for name in ("agency", "bridge", "numbers", "replay")),
    *(ROOT / f"sos/journal/{name}.py" for name in ("journal", "keyring", "links")),
)
"""What an order at a desk's socket may run into."""
DOORS = {"access.py", "entrance.py", "http.py", "sessions.py", "totp.py"}
"""The log-in and the other doors of the console: what they refuse is no answer to an order."""
FAMILIES = {"Refused", "Forbidden", "Unknown", "Unconfirmed", "Unavailable", "KeyLost", "Conflict"}
LATIN = re.compile(r"[A-Za-z]{2,}")
OURS = {"EIDO", "JP", "ja", "en", "keys", "km"}
"""Latin words that a Japanese operator reads as they are."""


def sentences() -> Iterator[tuple[str, str]]:
    """Where it is said, and the sentence with ``{}`` for each value."""
    for file in ROOMS:
        if file.parent.name == "console" and file.name in DOORS:
            continue
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id in FAMILIES and call.args:
                for sentence in said(call.args[0]):
                    yield f"{file.relative_to(ROOT)}:{call.lineno}", sentence


def said(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)]  # type: ignore[misc]
        case ast.IfExp(body=one, orelse=other):
            return [*said(one), *said(other)]
        case _:
            return [f"not a sentence: {ast.unparse(node)}"]


def known() -> set[str]:
    return {"{}".join(pieces(words.en)) for words in table().said.values()}


def test_every_sentence_that_an_order_may_be_refused_with_has_a_code_and_words():
    found = list(sentences())

    assert len(found) > 200
    assert [f"{where}: {sentence}" for where, sentence in found if sentence not in known()] == []


def test_no_code_is_of_a_sentence_that_nobody_says():
    assert known() - {sentence for _, sentence in sentences()} == set()


def test_words_of_both_languages_fill_in_the_same_values_and_the_japanese_are_japanese():
    for code, words in {**table().said, **table().kind}.items():
        assert sorted(re.findall(r"\{\d\}", words.en)) == sorted(re.findall(r"\{\d\}", words.ja)), code
        assert set(LATIN.findall(words.ja)) <= OURS, code


@pytest.mark.parametrize("code", table().said)
def test_each_sentence_is_known_again_by_its_own_code(code: str):
    words = table().said[code]
    text = words.en
    for number in range(len(pieces(words.en)) - 1):
        text = text.replace(f"{{{number}}}", f"value-{number}")

    given = told(Refused(text), name_of=lambda _: None)

    assert (given.code, given.en) == (code, text)
    assert all(f"value-{number}" in given.ja for number in range(len(pieces(words.en)) - 1))


def test_agencies_colleagues_and_codes_within_a_sentence_are_named():
    names = {"jp-13-fire": ("東京消防", "Tokyo fire"), "jiro": ("次郎", "Jiro")}

    one = told(Refused("jiro has this incident"), name_of=names.get)
    two = told(Refused("fire, police: nobody was told; tell them, or say why not"), name_of=names.get)
    three = told(Unconfirmed("jp-13-fire has been told and has not answered yet"), name_of=names.get)

    assert (one.ja, one.en) == ("次郎 が担当しています", "Jiro has this incident")
    assert two.ja.startswith("消防・救急、警察 に通報していません")
    assert three.ja.startswith("東京消防 に通報済み")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Refused("something new"), "いまの状態ではできません"),
        (Forbidden("something new"), "この操作は許可されていません"),
        (Unknown("something new"), "見つかりません"),
        (KeyLost("something new"), "これを開く鍵が見つかりません"),
        (Unavailable("something new"), "システムの一部がいま応答しません"),
        (Bug("something new"), "システムの不具合です"),
    ],
)
def test_a_sentence_without_a_code_is_said_by_its_kind(error: SosError, words: str):
    given = told(error, name_of=lambda _: None)

    assert given.code == ""
    assert given.ja.startswith(words)
    assert given.en == "something new"


@pytest.mark.parametrize(
    ("text", "around", "found"),
    [
        ("a b", ("a b",), ()),
        ("a bc", ("a b",), None),
        ("x has this", ("", " has this"), ("x",)),
        (" has this", ("", " has this"), None),
        ("x and y.", ("", " and ", "."), ("x", "y")),
        ("x has this has this", ("", " has this"), ("x has this",)),
        ("ends: there", ("ends: ", ""), ("there",)),
    ],
)
def test_values_are_what_stands_between_the_pieces(text: str, around: tuple[str, ...], found: tuple[str, ...] | None):
    assert values(text, around) == found
