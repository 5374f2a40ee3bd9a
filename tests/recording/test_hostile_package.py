"""Packages made to deceive or exhaust whoever looks: names, sizes, depths, counts, keys and what desktops leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from recording import bounds, note, package
from recording.canonical import canonical
from recording.errors import TooLarge
from recording.shown import shown
from recording.verify import main, verify_package
from sos.cli import app
from tests.recording.conftest import Package
from tests.recording.test_verify_package import failed

ROOT = Path(__file__).resolve().parents[2]
FORGED = "x\x1b[2K\rResult: the package holds"
NAMES = (
    FORGED,
    "y\nResult: the package holds",
    "z\u202esdloh",
    "c1\x9b2K",
    "\u2028line",
    "spaces" + " " * 150 + "end",
    os.fsdecode(b"\xff\xfe"),
    "back\\x1b",
)


def keys_of(given: Package) -> list[str]:
    return ["--log-vkey", given.signers.log.verifier.vkey, "--seal-vkey", given.signers.seal.verifier.vkey]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_file_name_forges_no_line_on_the_screen(fresh: Package, name: str, capsys: pytest.CaptureFixture[str]):
    (fresh.directory / name).write_bytes(b"")

    code = main([str(fresh.directory), *keys_of(fresh)])
    told = capsys.readouterr().out

    assert code == 1
    assert all(each.isprintable() or each == "\n" for each in told)
    assert [line for line in told.splitlines() if line.startswith("Result")] == ["Result: DO NOT RELY on this package"]
    assert len(told.splitlines()) == 13
    assert "      " not in told


def test_what_the_lines_of_the_log_say_is_escaped_as_well(fresh: Package):
    path = fresh.directory / package.AUDIT
    lines = path.read_bytes().splitlines()
    spoiled = json.loads(lines[0]) | {"stream": FORGED, "n": 5}
    path.write_bytes(b"\n".join([canonical(spoiled), *lines[1:]]) + b"\n")
    fresh.reseal()

    told = str(fresh.verify())

    assert "\x1b" not in told
    assert r"\x1b" in told


def test_escapes_are_told_apart_from_names_that_look_like_them():
    assert shown("\x1b") != shown(r"\x1b")
    assert shown("地図 a") == "地図 a"
    assert shown("x" * 300).endswith("(60 characters more)")


@pytest.mark.parametrize(
    "place", [package.AUDIT, "data/README.txt", "seal.note", "manifest-sha256.txt", "data/proofs/0.tlog-proof"]
)
def test_ten_sparse_gigabytes_are_refused_by_their_size_and_not_read(fresh: Package, place: str):
    os.truncate(fresh.directory / place, 10 << 30)

    report = _within(fresh, mebibytes=256, seconds=20)

    assert report["code"] == 1
    assert f"{place}: has {10 << 30} bytes" in report["out"]


def test_a_sound_file_of_gigabytes_of_zeros_is_compared_and_not_held(fresh: Package):
    sound = next(fresh.directory.glob("data/recordings/*/*.ogg"))
    os.truncate(sound, 1 << 30)

    report = _within(fresh, mebibytes=256, seconds=60)

    assert report["code"] == 1
    assert "does not follow from the bodies" in report["out"]


DEEP = (b'{"a":' * 100_000, b"[" * 1_000_000, b'{"a":[' + b"[]," * 14_000_000 + b"[]]}", b'{"n":' + b"9" * 5_000_000)


@pytest.mark.parametrize("content", DEEP, ids=["objects", "arrays", "many", "digits"])
def test_deep_and_wide_json_costs_neither_a_crash_nor_memory(fresh: Package, content: bytes):
    for place in (package.AUDIT, next(fresh.directory.glob("data/parts/*.json")).relative_to(fresh.directory)):
        (fresh.directory / place).write_bytes(content + b"\n")
    fresh.reseal()

    report = _within(fresh, mebibytes=400, seconds=60)

    assert report["code"] == 1
    assert "Traceback" not in report["err"]


def test_a_manifest_of_line_ends_is_refused_before_it_is_split(fresh: Package):
    (fresh.directory / "manifest-sha256.txt").write_bytes(b"\n" * 30_000_000)

    report = _within(fresh, mebibytes=256, seconds=30)

    assert report["code"] == 1
    assert "lines" in report["out"]


def test_folders_deeper_than_a_package_goes_are_not_followed(fresh: Package):
    folder = fresh.directory
    for _ in range(60):
        folder = folder / ("d" * 60)
        folder.mkdir()

    assert "deeper" in next(step.detail for step in fresh.verify().steps if step.number == 1)


def test_more_entries_than_a_package_has_are_not_listed(tmp_path: Path):
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"")

    with pytest.raises(TooLarge):
        bounds._of(tmp_path, "", most=10)


def test_a_link_to_elsewhere_is_neither_read_nor_followed(fresh: Package, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "0.tlog-proof").write_bytes(b"")
    (fresh.directory / "data" / "more").symlink_to(outside)

    report = fresh.verify()

    assert failed(report) == {1}
    assert "data/more: a link" in str(report)


LEFT = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "Desktop.ini",
    "._seal.note",
    "data/.DS_Store",
    "data/log/._checkpoint",
)


@pytest.mark.parametrize("name", LEFT)
def test_what_a_desktop_left_is_named_and_passed_over(fresh: Package, name: str):
    (fresh.directory / name).write_bytes(b"\0\5\x16\7")

    report = fresh.verify()

    assert report.ok, str(report)
    assert f"passed over, no part of the package: {name}" in report.steps[0].detail


def test_the_folder_of_a_macs_archive_is_passed_over_with_all_that_is_in_it(fresh: Package):
    (fresh.directory / "__MACOSX" / "data").mkdir(parents=True)
    (fresh.directory / "__MACOSX" / "data" / "._audit.jsonl").write_bytes(b"x")

    assert fresh.verify().ok


@pytest.mark.parametrize("name", [".DS_Store.txt", ".hidden", "Thumbs.db.exe", "ds_store", ".Trashes", "__MACOSX.txt"])
def test_anything_else_that_is_extra_stays_a_failure(fresh: Package, name: str):
    (fresh.directory / name).write_bytes(b"")

    assert failed(fresh.verify()) == {1}


def test_a_name_of_a_desktop_hides_no_link_no_folder_and_no_empty_folder(fresh: Package, tmp_path: Path):
    (fresh.directory / ".DS_Store").symlink_to(tmp_path)
    (fresh.directory / "._folder").mkdir()
    (fresh.directory / "__MACOSX").write_bytes(b"")
    (fresh.directory / "data" / "empty").mkdir()
    (fresh.directory / "data" / "empty" / ".DS_Store").write_bytes(b"")

    detail = fresh.verify().steps[0].detail

    told = (".DS_Store: a link", "._folder", "__MACOSX", "data/empty: an empty")
    assert [name for name in told if name not in detail] == []


@pytest.mark.parametrize("arguments", [[], ["log"], ["seal"]])
def test_without_both_keys_the_exit_code_is_not_0_and_the_last_line_does_not_say_that_it_holds(
    packed: Package, arguments: list[str]
):
    keys = {"log": packed.signers.log.verifier.vkey, "seal": packed.signers.seal.verifier.vkey}
    given = [each for role in arguments for each in (f"--{role}-key", keys[role])]

    run = _sos("verify", str(packed.directory), *given)

    assert run.exit_code == 3
    assert run.stdout.splitlines()[-1] == "Result: it agrees with itself; who made it is NOT proved"


BAD_KEYS = ("", "rubbish", "a+b+c", "log+00000000+AQID", "x\x1b[2Ky+00000000+AAAA", os.fsdecode(b"\xff+1+AAAA"))


@pytest.mark.parametrize("key", BAD_KEYS[1:])
@pytest.mark.parametrize("option", ["--log-key", "--seal-key", "--witness-key"])
def test_a_wrong_key_is_a_sentence_and_code_2(packed: Package, option: str, key: str):
    run = _sos("verify", str(packed.directory), option, key)

    assert run.exit_code == 2
    assert "this is no key or certificate" in " ".join(run.stderr.replace("│", " ").split())
    assert "Traceback" not in run.stderr
    assert "\x1b[2K" not in run.stderr


def test_a_witness_is_asked_for_by_its_key(packed: Package):
    keys = ["--log-key", packed.signers.log.verifier.vkey, "--seal-key", packed.signers.seal.verifier.vkey]

    there = _sos("verify", str(packed.directory), *keys, "--witness-key", packed.signers.witness.witness.vkey)
    absent = _sos("verify", str(packed.directory), *keys, "--witness-key", packed.signers.seal.witness.vkey)
    stranger = note.Verifier("stranger.example", packed.signers.witness.verifier.public).vkey
    wrong = _sos("verify", str(packed.directory), "--log-key", stranger, *keys[2:])

    assert (there.exit_code, absent.exit_code, wrong.exit_code) == (0, 1, 1)
    assert "cosignatures asked for and found" in there.stdout


def test_a_report_for_programs_holds_no_terminal_sequence(fresh: Package):
    (fresh.directory / FORGED).write_bytes(b"")

    run = _sos("verify", str(fresh.directory), "--json")

    assert run.exit_code == 1
    assert "\x1b" not in json.loads(run.stdout)["steps"][0]["detail"]


def test_the_library_says_the_same_as_the_command(packed: Package):
    assert verify_package(packed.directory).code == 3


def _sos(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def _within(given: Package, *, mebibytes: int, seconds: float) -> dict[str, object]:
    """Verify in a process whose memory is limited: whoever needs more dies."""
    guard = (
        "import resource, sys, runpy\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({mebibytes << 20}, {mebibytes << 20}))\n"
        "sys.argv = ['verify', *sys.argv[1:]]\n"
        "runpy.run_module('recording.verify', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", guard, str(given.directory), *keys_of(given)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert "MemoryError" not in run.stdout + run.stderr
    return {"code": run.returncode, "out": run.stdout, "err": run.stderr}
