"""The offline verifier: a good package holds, and nothing that was changed anywhere gets past it."""

import json
import os
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import bagit
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import note, package
from recording.canonical import canonical, parse_canonical
from recording.errors import Malformed
from recording.tracks import EVENTS
from recording.verify import main, verify_package
from tests.recording.conftest import STREAM, pack


def failed(report) -> set[int]:
    return {step.number for step in report.steps if not step.ok}


def flip(path: Path, offset: int, mask: int) -> bytes:
    before = path.read_bytes()
    spoiled = bytearray(before)
    spoiled[offset] ^= mask
    path.write_bytes(spoiled)
    return before


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def offsets(size: int, *, count: int) -> list[int]:
    """Every offset of a small file; first, last and ``count`` others of a larger one."""
    if size <= count:
        return list(range(size))
    return sorted({0, size - 1, *random.Random(size).sample(range(size), count)})


def test_a_good_package_holds_in_every_step(packed):
    report = packed.verify()
    assert report.ok, str(report)
    assert report.origin_proved
    assert [step.number for step in report.steps] == list(range(1, 13))


def _unopened(story) -> str:
    """The part of the story that the recipient does not get, as ``event.category``."""
    opened = {(part.event, part.category) for part in story.opened}
    headers = [parse_canonical(entry) for entry in story.entries]
    return next(
        f"{header['id']}.{category}"
        for header in headers
        if header["stream"] == STREAM
        for category in header["commit"]
        if (header["id"], category) not in opened and category == "PER"
    )


@pytest.mark.parametrize("why", ["destroyed", "lost", "damaged"])
def test_what_is_gone_is_told_apart_from_what_is_withheld(story, signers, tmp_path, why):
    packed = pack(story, signers, tmp_path / "export-0003", unreadable={_unopened(story): why})
    report = packed.verify()
    assert report.ok, str(report)
    assert {step.number: step.detail for step in report.steps}[9] == f"2 opened, 0 withheld, 1 {why}"


def test_a_package_that_calls_gone_what_it_holds_or_what_never_was_is_refused(story, signers, tmp_path):
    part = story.opened[0]
    for n, told in enumerate(({f"{part.event}.{part.category}": "lost"}, {"nobody.PER": "lost"})):
        report = pack(story, signers, tmp_path / f"export-1{n}", unreadable=told).verify()
        assert failed(report) == {9}, str(report)
    report = pack(story, signers, tmp_path / "export-2", unreadable={"recordings/none": "damaged"}).verify()
    assert failed(report) == {10}, str(report)
    report = pack(story, signers, tmp_path / "export-3", unreadable={_unopened(story): "withheld"}).verify()
    assert failed(report) == {9, 10}, str(report)


def test_the_report_counts_what_is_withheld(packed):
    details = {step.number: step.detail for step in packed.verify().steps}
    assert details[9] == "2 opened, 1 withheld (PER 1)"
    assert "1 included, 1 sealed ones withheld" in details[10]
    assert "withheld 1" in details[10].split(";")[1]


def test_without_keys_it_holds_but_the_origin_is_not_proved(packed):
    report = verify_package(packed.directory)
    assert report.ok
    assert not report.origin_proved
    assert "NOT proved" in str(report)


def test_a_witness_that_was_asked_for_must_have_cosigned(packed):
    keys = {"log_vkey": packed.signers.log.verifier.vkey, "seal_vkey": packed.signers.seal.verifier.vkey}
    asked = verify_package(packed.directory, **keys, witness_vkeys=[packed.signers.witness.witness.vkey])
    absent = verify_package(packed.directory, **keys, witness_vkeys=[packed.signers.seal.witness.vkey])
    assert asked.ok
    assert failed(absent) == {7}


@pytest.mark.parametrize("role", ["log_vkey", "seal_vkey"])
def test_a_wrong_key_is_refused(packed, role):
    keys = {"log_vkey": packed.signers.log.verifier.vkey, "seal_vkey": packed.signers.seal.verifier.vkey}
    stranger = note.Verifier("stranger.example", packed.signers.witness.verifier.public).vkey
    assert failed(verify_package(packed.directory, **(keys | {role: stranger}))) == {7 if role == "log_vkey" else 2}


def test_a_key_that_cannot_be_read_is_the_callers_fault(packed):
    with pytest.raises(Malformed):
        verify_package(packed.directory, log_vkey="log+00000000+AQID")


def test_every_byte_counts_in_every_file(fresh):
    unnoticed, tried = [], 0
    chooser = random.Random(7)
    for path in files(fresh.directory):
        size = path.stat().st_size
        for offset in offsets(size, count=40):
            masks = {0x01, 0x80, 0xFF} if offset in (0, size - 1) else {chooser.randrange(1, 256)}
            for mask in masks:
                before = flip(path, offset, mask)
                tried += 1
                if fresh.verify().ok:
                    unnoticed.append((path.name, offset, mask))
                path.write_bytes(before)
    assert not unnoticed
    assert tried > 1_000
    assert fresh.verify().ok


@pytest.mark.parametrize(
    "name", ["seal.note", "bagit.txt", "bag-info.txt", "tagmanifest-sha512.txt", "data/log/keys.txt"]
)
def test_small_files_have_no_spare_bit(fresh, name):
    path = fresh.directory / name
    unnoticed = []
    for offset in range(path.stat().st_size):
        for mask in (1 << offset % 8,) if offset % 2 else (0x20,):  # 0x20 swaps upper and lower case
            before = flip(path, offset, mask)
            if fresh.verify().ok or (name in ("seal.note", package.KEYS) and verify_package(fresh.directory).ok):
                unnoticed.append((offset, mask))
            path.write_bytes(before)
    assert not unnoticed


def test_even_the_holder_of_the_seal_key_cannot_change_evidence(fresh):
    """Manifests and seal made anew after each change: only the later steps stand in the way."""
    unnoticed = []
    free = {package.README, package.KEYS}  # said by the sealer alone
    for path in files(fresh.directory / "data"):
        place = path.relative_to(fresh.directory).as_posix()
        for offset in () if place in free else offsets(path.stat().st_size, count=6):
            before = flip(path, offset, 1 << offset % 7)
            fresh.reseal()
            report = fresh.verify()
            if report.ok or failed(report) & {2, 3, 4}:
                unnoticed.append((place, offset))
            path.write_bytes(before)
    fresh.reseal()
    assert not unnoticed
    assert fresh.verify().ok


@pytest.mark.parametrize("name", ["data/extra.txt", "extra.txt", "data/proofs/99.tlog-proof", "data/parts/0.LOC.json"])
def test_an_added_file_is_refused_even_when_manifests_are_made_anew(fresh, name):
    (fresh.directory / name).write_bytes(b"{}")
    assert not fresh.verify().ok
    fresh.remanifest()
    assert failed(fresh.verify()) & {1, 2}
    fresh.reseal()
    assert failed(fresh.verify()) & {1, 6, 9}


def test_every_deleted_file_is_missed(fresh):
    unnoticed = []
    for path in files(fresh.directory):
        content = path.read_bytes()
        path.unlink()
        if fresh.verify().ok:
            unnoticed.append(path.name)
        path.write_bytes(content)
    assert not unnoticed


def test_every_truncated_or_prolonged_file_is_refused(fresh):
    unnoticed = []
    for path in files(fresh.directory):
        content = path.read_bytes()
        for spoiled in (content[:-1], content[: len(content) // 2], b"", content + b"\n", content + content):
            path.write_bytes(spoiled)
            if fresh.verify().ok:
                unnoticed.append((path.name, len(spoiled)))
        path.write_bytes(content)
    assert not unnoticed


def test_every_renamed_file_is_refused(fresh):
    unnoticed = []
    for path in files(fresh.directory):
        moved = path.with_name(f"x{path.name}")
        path.rename(moved)
        if fresh.verify().ok:
            unnoticed.append(path.name)
        moved.rename(path)
    assert not unnoticed


def test_swapped_files_are_refused(fresh):
    unnoticed = []
    for one, other in zip(files(fresh.directory), files(fresh.directory)[1:], strict=False):
        contents = one.read_bytes(), other.read_bytes()
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
        if fresh.verify().ok and contents[0] != contents[1]:
            unnoticed.append((one.name, other.name))
        one.write_bytes(contents[0])
        other.write_bytes(contents[1])
    assert not unnoticed


def test_links_pipes_and_empty_folders_are_refused(fresh, tmp_path):
    seal = fresh.directory / "seal.note"
    outside = tmp_path / "outside"
    shutil.copy(seal, outside)
    seal.unlink()
    seal.symlink_to(outside)
    assert {1, 2} <= failed(fresh.verify())
    seal.unlink()
    os.mkfifo(seal)
    assert {1, 2} <= failed(fresh.verify())
    seal.unlink()
    shutil.copy(outside, seal)
    (fresh.directory / "data" / "empty").mkdir()
    assert failed(fresh.verify()) == {1}


def test_new_manifests_after_an_edit_do_not_help_without_the_seal_key(fresh):
    path = fresh.directory / package.AUDIT
    path.write_bytes(path.read_bytes().replace(b"fire", b"fine"))
    fresh.remanifest()
    assert bagit.Bag(str(fresh.directory)).is_valid()
    assert {2, 6, 11} == failed(fresh.verify())


def test_a_dropped_middle_event_is_missed(fresh):
    path = fresh.directory / package.AUDIT
    lines = path.read_bytes().splitlines(keepends=True)
    proofs = sorted((fresh.directory / "data/proofs").iterdir(), key=lambda each: int(each.stem))
    path.write_bytes(b"".join(lines[:6] + lines[7:]))
    proofs[6].unlink()
    leaves = [json.loads(line) for line in lines[:6] + lines[7:]]
    (fresh.directory / package.DISCLOSURES).write_bytes(package.disclosures_csv(leaves))
    fresh.remanifest()
    assert failed(fresh.verify()) == {2, 8}
    fresh.reseal(fresh.signers.witness)  # by somebody else's key
    assert failed(fresh.verify()) == {2, 8}
    fresh.reseal()
    report = fresh.verify()
    assert failed(report) == {8}
    assert "data/events/audit.jsonl line 7" in report.steps[7].detail


def test_failures_name_the_place(fresh):
    part = next(iter((fresh.directory / "data/parts").iterdir()))
    part.write_bytes(part.read_bytes().replace(b"salt", b"sale"))
    report = fresh.verify()
    assert failed(report) == {4, 9}
    assert part.name in report.steps[3].detail
    assert part.name in report.steps[8].detail


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda line: line.replace(b'"v":1', b'"v":1,"v":1'), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v": 1'), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v":1.0'), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v":NaN'), "canonical"),
        (lambda line: line.replace(b"system", b"\\u0073ystem"), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v":0'), "impossible"),
        (lambda line: line.replace(b'"v":1', b'"v":true'), "fields"),
        (lambda line: line.replace(b'"tenant"', b'"tenaut"'), "fields"),
        (lambda line: b"[" * 100_000, "canonical"),
        (lambda line: b'{"n":' + b"9" * 5_000 + b"}", "canonical"),
        (lambda line: line[:-1] + b"\xff}", "canonical"),
    ],
)
def test_a_line_with_two_readings_is_refused(fresh, spoil, reason):
    path = fresh.directory / package.AUDIT
    lines = path.read_bytes().splitlines()
    lines[2] = spoil(lines[2])
    path.write_bytes(b"\n".join(lines) + b"\n")
    step = fresh.verify().steps[4]
    assert not step.ok
    assert "line 3" in step.detail
    assert reason in step.detail


TREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text(max_size=8), TREE, max_size=5))
def test_lines_written_by_msgspec_are_canonical_for_the_verifier(value):
    written = msgspec.json.encode(value, order="sorted")
    assert parse_canonical(written) == value


def test_two_lines_in_each_others_place_are_told(fresh):
    path = fresh.directory / package.AUDIT
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    fresh.reseal()
    assert failed(fresh.verify()) == {6, 8}


def test_two_proofs_in_each_others_place_are_told(fresh):
    one, other = sorted((fresh.directory / "data/proofs").iterdir())[:2]
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    fresh.reseal()
    assert failed(fresh.verify()) == {6}


def test_a_part_shown_under_another_event_or_category_is_told(fresh):
    part = fresh.directory / "data/parts/00000002.LOC.json"
    for name in ("00000001.LOC.json", "00000002.PER.json", "00000009.LOC.json"):
        moved = part.with_name(name)
        part.rename(moved)
        fresh.reseal()
        assert failed(fresh.verify()) == {9}
        moved.rename(part)
    fresh.reseal()
    assert fresh.verify().ok


def test_a_checkpoint_signed_by_another_key_is_told(fresh):
    path = fresh.directory / package.CHECKPOINT
    before = path.read_bytes()
    thief = note.Signer("log.centre.example/audit", fresh.signers.seal.key)
    forged = note.sign(before.decode().partition("\n\n")[0] + "\n", [thief])
    for each in (fresh.directory / "data/proofs").iterdir():
        each.write_bytes(each.read_bytes().replace(before, forged))
    path.write_bytes(forged)
    fresh.reseal()
    assert failed(fresh.verify()) == {7}


def test_a_checkpoint_of_a_log_of_another_name_is_told_though_the_key_is_right(fresh):
    head = note.read_checkpoint(before := (fresh.directory / package.CHECKPOINT).read_bytes())
    other = note.sign(note.checkpoint_text("another.example/log", head.size, head.root), [fresh.signers.log])
    for path in files(fresh.directory / "data"):
        path.write_bytes(path.read_bytes().replace(before, other))
    fresh.reseal()

    assert failed(fresh.verify()) == {7}


def test_a_log_that_honestly_holds_a_wrong_order_is_told(story, repack, edit):
    started_first = list(story.entries)
    started_first[3], started_first[4] = edit(story.entries[4], n=3), edit(story.entries[3], n=4)
    report = repack(started_first).verify()
    assert failed(report) == {11}
    assert "not decided before" in report.steps[10].detail


def test_a_second_delivery_is_told(story, repack, edit):
    twice = [*story.entries, edit(story.entries[7], n=10, id="twice")]
    report = repack(twice).verify()
    assert json.loads(story.entries[7])["data"]["level"] == "delivered"
    assert failed(report) == {11}
    assert "second time" in report.steps[10].detail


def test_a_confirmation_of_what_was_never_sent_is_told(story, repack, edit):
    entries = list(story.entries)
    entries[4] = edit(entries[4], kind="NoteAdded", data={})
    report = repack(entries).verify()
    assert failed(report) == {11}
    assert "not sent before" in report.steps[10].detail


def test_a_disclosure_decided_twice_is_told(story, repack, edit):
    report = repack([*story.entries, edit(story.entries[3], n=10, id="again")]).verify()
    assert failed(report) == {11}
    assert "again" in report.steps[10].detail


def test_a_recording_sealed_twice_is_told(story, repack, edit):
    report = repack([*story.entries, edit(story.entries[-1], n=10, id="again")]).verify()
    assert failed(report) == {10}
    assert "line 10" in report.steps[9].detail


@pytest.mark.parametrize(
    "spoil",
    [
        lambda listed: listed["chunks"].reverse(),
        lambda listed: listed["chunks"].pop(),
        lambda listed: listed["chunks"].append(listed["chunks"][0]),
        lambda listed: listed["chunks"][-1].update(bytes=1),
        lambda listed: listed["chunks"][-1].update(body_sha256="0" * 64),
        lambda listed: listed["chunks"][-1].update(sha256="0" * 64),
        lambda listed: listed["chunks"][-1].update(file="elsewhere.chunk"),
        lambda listed: listed["chunks"][-1].update(track="operator"),
        lambda listed: listed["chunks"][-1].pop("first"),
        lambda listed: listed.update(recording="another"),
        lambda listed: listed.update(format="another"),
        lambda listed: listed.update(missing=[99]),
        lambda listed: listed.update(missing="0"),
        lambda listed: listed.pop("chunks"),
    ],
)
def test_a_manifest_that_is_wrong_although_the_log_sealed_it_is_told(story, repack, edit, spoil):
    entries = list(story.entries)
    sealed = json.loads(entries[-2])["data"]
    listed = json.loads(story.manifests[sealed["recording"]])
    spoil(listed)
    manifest = canonical(listed)
    entries[-2] = edit(entries[-2], data=sealed | {"manifest_digest": sha256(manifest).hexdigest()})
    spoiled = repack(entries)
    next(spoiled.directory.glob("data/recordings/*/manifest.json")).write_bytes(manifest)
    spoiled.reseal()
    assert failed(spoiled.verify()) == {10}


def test_a_further_signature_on_the_seal_is_refused(fresh):
    seal = fresh.directory / "seal.note"
    text = seal.read_bytes().decode().partition("\n\n")[0] + "\n"
    seal.write_bytes(note.sign(text, [fresh.signers.seal, fresh.signers.witness]))
    assert failed(fresh.verify()) == {2}


def test_a_manifest_in_another_order_or_with_a_line_twice_is_refused(fresh):
    path = fresh.directory / "manifest-sha512.txt"
    lines = path.read_bytes().splitlines(keepends=True)
    for spoiled in ([lines[1], lines[0], *lines[2:]], [*lines, lines[-1]], [*lines, b"\n"], lines[1:]):
        path.write_bytes(b"".join(spoiled))
        assert {3, 4} <= failed(fresh.verify())


def test_a_repeated_event_is_told(story, repack):
    report = repack([*story.entries, story.entries[-1]]).verify()
    assert {5, 8} <= failed(report)


def test_a_recording_the_log_did_not_seal_is_told(story, repack, edit):
    entries = list(story.entries)
    sealed = json.loads(entries[-2])["data"]
    entries[-2] = edit(entries[-2], data=sealed | {"manifest_digest": "0" * 64})
    assert failed(repack(entries).verify()) == {10}


def test_a_track_is_given_whole_or_not_at_all(fresh):
    bodies = sorted((fresh.directory / "data/recordings").glob("*/vehicle-*.body"))
    bodies[-1].unlink()
    fresh.reseal()
    report = fresh.verify()
    assert failed(report) == {10}
    assert "whole or not at all" in report.steps[9].detail


def test_the_bag_is_valid_for_the_library_of_congress_tool(packed):
    bag = bagit.Bag(str(packed.directory))
    bag.validate()
    assert bag.info["Package-Format"] == "sos-audit-export/1"
    assert set(bag.algorithms) == {"sha256", "sha512"}


@pytest.mark.parametrize("manifest", ["manifest-sha256.txt", "manifest-sha512.txt", "tagmanifest-sha512.txt"])
def test_coreutils_agree_with_the_manifests(packed, manifest):
    tool = shutil.which("sha256sum" if "256" in manifest else "sha512sum")
    if tool is None:
        pytest.skip("coreutils are not installed")
    run = subprocess.run(
        [tool, "-c", "--strict", manifest], cwd=packed.directory, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_equal_contents_give_equal_bytes(packed, story, repack):
    again = repack(story.entries)
    for path in files(packed.directory):
        place = path.relative_to(packed.directory)
        if place.parts[0] == "data":
            assert (again.directory / place).read_bytes() == path.read_bytes()


def test_no_withheld_track_or_part_is_in_the_package(packed):
    names = {path.name for path in files(packed.directory)}
    assert "vehicle.ogg" in names
    assert not any("operator" in name or ".PER." in name or name == f"{EVENTS}.ogg" for name in names)


def test_the_command_says_how_it_went_by_its_exit_code(fresh, capsys):
    keys = ["--log-vkey", fresh.signers.log.verifier.vkey, "--seal-vkey", fresh.signers.seal.verifier.vkey]
    assert main([str(fresh.directory), *keys]) == 0
    assert main([str(fresh.directory)]) == 3
    (fresh.directory / "bagit.txt").write_bytes(b"")
    assert main([str(fresh.directory), *keys]) == 1
    assert "DO NOT RELY" in capsys.readouterr().out


def test_the_verifier_runs_alone_with_nothing_but_cryptography(packed, tmp_path):
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(root / "recording", tmp_path / "recording")
    keys = ["--log-vkey", packed.signers.log.verifier.vkey, "--seal-vkey", packed.signers.seal.verifier.vkey]
    guard = (
        "import sys, runpy\n"
        "sys.argv = ['verify', *sys.argv[1:]]\n"
        "sys.modules.update(msgspec=None, sos=None, routing=None, numpy=None, av=None)\n"
        "runpy.run_module('recording.verify', run_name='__main__')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", guard, str(packed.directory), *keys],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "the package holds" in run.stdout


def test_anything_at_all_in_place_of_a_package_is_a_failure_and_not_a_crash(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, tmp_path / "absent", Path(__file__)):
        report = verify_package(place)
        assert not report.ok
        assert len(report.steps) == 12
        assert failed(report) >= {1, 2, 5, 6, 7, 8, 9, 10, 11}
