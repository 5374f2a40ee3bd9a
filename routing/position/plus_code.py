"""Plus Codes (Open Location Code 1.0): a place as ten digits that people can write down and read to each other.

Only what is needed: a full code of ten digits, a field of an eight-thousandth of a degree.  The reference package for
Python is published as source alone, and its decoder, short codes and further digits are not used here.
"""

import math

_DIGITS = "23456789CFGHJMPQRVWX"
_PAIRS = 5
_FIELDS = 8000
"""To a degree: a pair of digits divides by 20, and the first stands for 20 degrees (20 ** 4 / 20)."""

_REFERENCE = 3125, 1024
"""How much finer the reference counts, in latitude and longitude: where a field begins is rounded as it does."""


def plus_code(latitude: float, longitude: float) -> str:
    """The code of the field in which a WGS-84 position lies, such as ``8Q7XMQJ8+F4``."""
    north = _field(min(max(latitude, -90.0), 90.0) + 90.0, finer=_REFERENCE[0])
    east = _field(longitude + 180.0, finer=_REFERENCE[1]) % (360 * _FIELDS)
    north = min(north, 180 * _FIELDS - 1)  # the pole lies in the field below it
    code = ""
    for _ in range(_PAIRS):
        north, up = divmod(north, 20)
        east, along = divmod(east, 20)
        code = _DIGITS[up] + _DIGITS[along] + code
    return f"{code[:8]}+{code[8:]}"


def _field(degrees: float, *, finer: int) -> int:
    return math.floor(round(degrees * (_FIELDS * finer), 6)) // finer
