"""VINs are looked at and never a gate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.incident.vin import check_digit, vin_fault

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@pytest.mark.parametrize("vin", ["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715"])
def test_a_published_vin_of_north_america_fits_its_check_digit(vin: str) -> None:
    assert check_digit(vin) == vin[8]
    assert vin_fault(vin) is None


@pytest.mark.parametrize(
    ("vin", "fault"),
    [
        ("1M8GDM9A0KP042788", "vin_check_digit"),
        ("WVWZZZ1JZXW000001", None),
        ("JTMZZ3TESTEC00001", None),
        ("JTMZZ3TESTEC0000", "vin_illegal"),
        ("JTMZZ3TESTEC0000O", "vin_illegal"),
        ("NZE121-0123456", "vin_illegal"),
        ("", "vin_illegal"),
    ],
)
def test_what_is_odd_about_a_vin_has_a_name(vin: str, fault: str | None) -> None:
    assert vin_fault(vin) == fault


@given(st.text(max_size=20) | st.text(LETTERS, min_size=17, max_size=17))
def test_any_text_may_be_asked_about(text: str) -> None:
    assert vin_fault(text) in (None, "vin_illegal", "vin_check_digit")
