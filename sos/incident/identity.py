"""Which names of a vehicle are one: a placeholder that many cars share tells no car from another.

Firmware fills what it does not know with noughts, with one character, with a word or with a sample.  Such a value is
shown as it was sent and is nothing that joins, registers or matches.
"""

import re
import unicodedata
from itertools import pairwise

_VIN = re.compile(r"[A-HJ-NPR-Z1-9][A-HJ-NPR-Z0-9]{16}\Z")
"""ISO 3779; no region's makers begin with a nought (ISO 3780)."""

_WORDS = frozenset(
    {
        *(
            "UNKNOWN",
            "UNKNWN",
            "UNK",
            "UNDEFINED",
            "UNSET",
            "UNAVAILABLE",
            "UNREGISTERED",
            "NONE",
            "NULL",
            "NIL",
            "NAN",
        ),
        *("NA", "NOTSET", "NOTAVAILABLE", "NOTAPPLICABLE", "NOTPROGRAMMED", "NOVIN", "INVALID", "DEFAULT", "EMPTY"),
        *(
            "BLANK",
            "TBD",
            "TODO",
            "TEST",
            "TESTVIN",
            "TESTCAR",
            "TESTVEHICLE",
            "VINTEST",
            "DUMMY",
            "DUMMYVIN",
            "SAMPLE",
        ),
        *("SAMPLEVIN", "EXAMPLE", "DEMO", "PLACEHOLDER", "VIN", "VEHICLE", "PLATE", "IMEI", "DEVICE", "CAR"),
        *("不明", "未設定", "未登録", "無し", "なし", "仮", "仮ナンバー", "テスト", "試験", "車台番号", "型式不明"),
    }
)

_SAMPLES = frozenset(
    {
        *("1M8GDM9AXKP042788", "1HGCM82633A004352", "5GZCZ43D13S812715", "1HGBH41JXMN109186", "WVWZZZ1JZXW000001"),
        *("004999010640000", "490154203237518", "352099001761481", "012345678901237"),
    }
)
"""VINs and IMEIs that stand in standards, encyclopaedias and manuals, and from there in firmware."""

_FILLING = "0X?-_.*# "
_SHORTEST_RUN = 5
"""Characters of a value that is counted up (``12345``) or filled."""


def folded(value: str) -> str:
    """One spelling: full width, small letters, spaces and dashes do not matter."""
    wide = unicodedata.normalize("NFKC", value).upper()
    return re.sub(r"[\s\-‐‑‒–—−・.:_/]", "", wide)


def names_one(scheme: str, value: str) -> bool:
    """Whether ``value`` can be the name of one vehicle and of no other."""
    name = folded(value)
    if scheme == "vin" and _VIN.match(name) is None:
        return False
    return not (is_filling(value) or name in _SAMPLES or (scheme == "vin" and name.endswith("000000")))


def is_filling(value: str) -> bool:
    """Whether ``value`` is what firmware fills in for want of one: a word, one character, or counted up."""
    name = folded(value)
    if len(set(name)) < 2 or not any(character.isalnum() for character in name):
        return True
    bare = name.strip(_FILLING).rstrip("0123456789X")
    if name in _WORDS or bare in _WORDS:
        return True
    return len(name) >= _SHORTEST_RUN and (_counts_up(name) or set(name) <= set("0FX?"))


def _counts_up(name: str) -> bool:
    """``123456789``, ``0123456789012345`` or ``ABCDEFGH``: each character follows the one before; letters leave out
    what a VIN has not."""
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    for order in ("0123456789", letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if set(name) <= set(order):
            steps = {(order.index(b) - order.index(a)) % len(order) for a, b in pairwise(name)}
            return steps in ({1}, {len(order) - 1}) or (order[0] == "0" and name in "12345678901234567890" * 2)
    return False
