"""Telephone numbers as people and networks write them, made E.164 once at the door; and those that are nobody's.

``phonenumbers`` knows the numbering plans.  What it cannot read stays as it was sent, for a person, and is never
dialled.  A number that stands for a caller who withholds theirs is no number at all.
"""

import re
import unicodedata
from urllib.parse import unquote

import phonenumbers
from msgspec import Struct

HOME = "JP"
"""Where a number without a country is at home."""

WITHHELD = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253", "8566", "464"})
"""Digits by which networks write ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE (spelt on a telephone's keys;
Twilio's list of pseudo numbers)."""

_WORDS = ("ANONYMOUS", "RESTRICTED", "BLOCKED", "UNKNOWN", "UNAVAILABLE", "PRIVATE", "WITHHELD", "NOTIFY", "非通知")
_LONGEST = 128
_USER = re.compile(r"(?:[^<]*<)?\s*(?:(?:sips?|tel|callto):/{0,2})?([^@;>?]*)", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9 ().\-/‐‑–—−~]+\Z")


class Heard(Struct, frozen=True):
    """What a written number is: ``number`` in E.164 or None; ``finding`` is the code of what is odd, or empty."""

    number: str | None
    finding: str = ""


def heard(written: str, *, region: str = HOME) -> Heard:
    """The number in ``written``: ``+81-90-...``, ``tel:``, ``sip:+81...@host``, full width, with a trunk nought."""
    text = unicodedata.normalize("NFKC", unquote(written[:_LONGEST])).strip()
    if not text:
        return Heard(None)
    found = _USER.match(text)
    user = (found[1] if found else text).strip().strip('"')
    digits = re.sub(r"\D", "", user)
    if digits in WITHHELD or any(word in user.upper() for word in _WORDS):
        return Heard(None, "tel_withheld")
    number = _e164(user, region) if _NUMBER.match(user) else None
    return Heard(number, "" if number else "tel_not_dialable")


def caller(written: str) -> str | None:
    """The caller's number where a network shows one in full; never an error, whatever stands there."""
    return heard(written).number if "+" in unquote(written[:_LONGEST]) else None


def _e164(text: str, region: str) -> str | None:
    spelt = re.sub(r"[^0-9+]", "", text)
    if spelt.startswith("00"):  # as most of the world dials abroad
        spelt = f"+{spelt[2:]}"
    try:
        number = phonenumbers.parse(spelt if spelt.startswith("+") else text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
