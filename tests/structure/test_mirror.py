"""The tests stand where what they test stands: a room's tests are found by the room's name."""

from pathlib import Path

from tests.conftest import ALONE, PACED, SLOW

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
ACROSS = {"browser", "journeys", "mutations", "ops", "structure", "twilio_emulator", "wire"}
"""What belongs to no one package: whole paths, claims broken on purpose, promises about the source, a stand-in, and
samples of the wire."""


def _folders(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_dir() and any(path.rglob("*.py"))}


def test_each_folder_of_tests_is_named_after_a_package_or_goes_across_all():
    assert _folders(TESTS) - ACROSS == {"sos", "routing", "recording"}


def test_each_folder_of_the_services_tests_is_named_after_its_room():
    assert not _folders(TESTS / "sos") - _folders(ROOT / "sos")


def test_each_module_of_the_simulated_car_has_its_tests_under_its_name():
    modules = {path.stem for path in (ROOT / "sos/vehicle").glob("*.py")} - {"__init__"}

    assert {path.stem.removeprefix("test_") for path in (TESTS / "sos/vehicle").glob("test_*.py")} == modules


def test_what_keeps_time_runs_alone_or_takes_long_is_there():
    """Files, and in them tests that begin so."""
    for place in (*PACED, *ALONE, *SLOW):
        file, _, begins = place.partition("::")
        assert (ROOT / file).exists(), place
        assert not begins or f"def {begins}" in (ROOT / file).read_text(), place
