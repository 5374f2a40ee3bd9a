"""What is odd about a vehicle identification number (ISO 3779).  Hints for the sender, never a reason to refuse.

The check digit binds only in North America and China; makers elsewhere fill the place as they like, so it is looked at
for those two regions alone.  Cars of the Japanese home market have a 車台番号 instead, under the scheme ``jp_frame``.
"""

import re

_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}\Z")
_BOUND = frozenset("12345L")
"""First characters of North America (1 to 5) and China (L)."""

_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_VALUES |= {digit: int(digit) for digit in "0123456789"}
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin_fault(value: str) -> str | None:
    """A finding code: ``vin_illegal`` for what is no VIN, ``vin_check_digit`` where that binds and does not fit."""
    if _VIN.match(value) is None:
        return "vin_illegal"
    if value[0] in _BOUND and check_digit(value) != value[8]:
        return "vin_check_digit"
    return None


def check_digit(vin: str) -> str:
    """What position 9 of ``vin`` would be (49 CFR 565.15(c))."""
    rest = sum(weight * _VALUES[character] for weight, character in zip(_WEIGHTS, vin, strict=True)) % 11
    return "X" if rest == 10 else str(rest)
