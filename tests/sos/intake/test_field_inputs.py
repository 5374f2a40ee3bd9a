"""The inputs of the field that no other test reads as files, and that none is forgotten."""

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from sos.incident.report import EmergencyReport
from sos.incident.telephone import caller
from sos.intake.auth import Credentials
from sos.intake.cloudevents import MEDIA_TYPE
from sos.intake.formats import read_report
from tests.sos.intake.field import FIELD, sample
from tests.sos.intake.test_acceptance import House
from tests.sos.intake.test_auth import ACME, request, signed, signing
from tests.sos.intake.test_auth import NOW as SIGNED_AT
from tests.sos.intake.test_two_cars import close

__all__ = ["signing"]

NOW = datetime(2026, 11, 30, 7, 0, 4, tzinfo=UTC)
TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture
def house() -> House:
    made = House()
    made.now = NOW
    return made


def report(name: str) -> EmergencyReport:
    return read_report(sample(name), MEDIA_TYPE, at=NOW)


def test_a_number_with_separators_is_one_that_is_dialled() -> None:
    told = report("callback_with_separators.json")

    assert (told.call_back.tel, told.findings) == ("+819000000001", ())


async def test_a_car_that_moved_is_one_incident_with_two_places(house: House) -> None:
    first = await house.take(sample("moved_1_first_fix.json"))
    moved = await house.take(sample("moved_2_update.json"))

    assert (moved.incident, moved.joined) == (first.incident, "update")
    places = [report(name).location for name in ("moved_1_first_fix.json", "moved_2_update.json")]
    assert [place.horizontal_accuracy for place in places] == [5000, 5]
    assert places[0].latitude != places[1].latitude


async def test_a_press_without_a_name_after_closing_rings_again(house: House) -> None:
    press = sample("sos_button_no_id.json")
    first = await house.take(press)
    retry = await house.take(press)
    await close(house, first.incident)

    again = await house.take(press)

    assert (retry.incident, retry.repeat) == (first.incident, True)
    assert (again.new, again.incident != first.incident) == (True, True)


def test_a_caller_whose_number_is_withheld_is_never_called_back() -> None:
    form = parse_qs(sample("twilio_anonymous_voice.form").decode())

    assert caller(form["From"][0]) is None
    assert caller(form["To"][0]) == form["To"][0]


def test_a_gateway_s_signature_beside_ours_changes_nothing(signing: Credentials) -> None:
    lines = dict(line.split(": ", 1) for line in sample("rfc9421_two_signatures.txt").decode().splitlines() if line)
    ours = signed()
    theirs = {name: re.sub(r".*, (?=proxy=)", "", value) for name, value in lines.items()}
    both = ours | {name: f"{ours[name]}, {value}" for name, value in theirs.items()}

    assert signing.sender(request(**both), at=SIGNED_AT).tenant is ACME


def test_no_input_of_the_field_is_without_a_test() -> None:
    if not FIELD.is_dir():
        pytest.skip("the field inputs are not beside this checkout")
    read = "".join(file.read_text(encoding="utf-8") for file in TESTS.rglob("*.py"))

    missing = [each.name for each in FIELD.iterdir() if each.name != "README.md" and each.name not in read]
    assert [name for name in missing if Path(name).stem not in read] == []
