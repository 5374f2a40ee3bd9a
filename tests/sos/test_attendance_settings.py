"""What is done when no desk answers, as the settings have it; a wrong one stops the start with its name."""

from pathlib import Path

import pytest

from sos.errors import Misconfigured
from sos.settings import AttendanceSettings, OnCallSettings, Settings, load

SABURO = OnCallSettings(id="saburo", number="+81300000031")


def test_without_a_word_the_house_tells_as_the_law_permits_after_forty_five_seconds():
    assert Settings().attendance == AttendanceSettings(on_call=(), unattended="ladder", nobody_after_s=45.0)


def test_people_on_call_stand_in_the_file_in_the_order_in_which_they_are_called(tmp_path: Path):
    (tmp_path / "sos.toml").write_text("""
[attendance]
unattended = "notice"
nobody_after_s = 60

[[attendance.on_call]]
id = "saburo"
number = "+81300000031"

[[attendance.on_call]]
id = "shiro"
number = "+81300000041"
""")

    attendance = load(tmp_path / "sos.toml", environment={}).attendance

    assert [person.id for person in attendance.on_call] == ["saburo", "shiro"]
    assert (attendance.unattended, attendance.nobody_after_s) == ("notice", 60)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"nobody_after_s": 20}, "nobody_after_s"),
        ({"nobody_after_s": 3600}, "nobody_after_s"),
        ({"on_call": (OnCallSettings(id="saburo", number="119"),)}, "saburo"),
        ({"on_call": (SABURO, SABURO)}, "twice"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(wrong: dict[str, object], named: str):
    with pytest.raises(Misconfigured, match=named):
        AttendanceSettings(**wrong)  # type: ignore[arg-type]


def test_a_word_that_is_no_way_of_telling_stops_the_start(tmp_path: Path):
    (tmp_path / "sos.toml").write_text('[attendance]\nunattended = "always"\n')

    with pytest.raises(Misconfigured, match="unattended"):
        load(tmp_path / "sos.toml", environment={})
