"""A package with a time stamp over its checkpoint: openssl says the same of it, and whoever changes it is found out."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recording import package, stamp
from recording.errors import Malformed
from recording.report import Report
from recording.verify import main, verify_package
from tests.recording.authority import DAY, Authority, forged
from tests.recording.conftest import Package, Signers, Story, pack

TIME = 12


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def stamped(story: Story, signers: Signers, authority: Authority, tmp_path: Path) -> Package:
    ask = lambda checkpoint: authority.answer(stamp.request(checkpoint, nonce=9))  # noqa: E731
    return pack(story, signers, tmp_path / "export-0003", stamp=ask)


def verified(made: Package, root: Path) -> Report:
    return verify_package(
        made.directory,
        log_vkey=made.signers.log.verifier.vkey,
        seal_vkey=made.signers.seal.verifier.vkey,
        stamp_roots=root.read_bytes(),
    )


def failed(report: Report) -> set[int]:
    return {step.number for step in report.steps if not step.ok}


def openssl(made: Package, root: Path) -> int:
    command = ["openssl", "ts", "-verify", "-data", package.CHECKPOINT, "-in", package.STAMP, "-CAfile", root]
    return subprocess.run(command, cwd=made.directory, capture_output=True, check=False).returncode


def test_a_stamped_package_holds_and_openssl_says_the_same(stamped: Package, authority: Authority):
    report = verified(stamped, authority.root)

    assert report.ok, str(report)
    assert "the checkpoint was there at" in str(report)
    assert "says CN=tsa.example" in str(report)
    assert openssl(stamped, authority.root) == 0


def test_bagit_and_coreutils_take_the_stamp_for_a_part_of_the_package(stamped: Package):
    bagit = subprocess.run(
        [Path(sys.executable).with_name("bagit.py"), "--validate", stamped.directory], capture_output=True, check=False
    )
    sums = subprocess.run(
        ["sha512sum", "-c", "--quiet", "manifest-sha512.txt"], cwd=stamped.directory, capture_output=True, check=False
    )
    assert (bagit.returncode, sums.returncode) == (0, 0)


def test_without_a_root_the_stamp_is_read_and_said_to_be_unproved(stamped: Package):
    report = stamped.verify()

    assert report.ok
    assert "whose root certificate was not given: NOT proved" in str(report)


def test_a_package_without_a_stamp_says_so_and_is_refused_where_one_was_asked_for(
    packed: Package, authority: Authority
):
    assert "no time stamp" in str(packed.verify())
    assert failed(verified(packed, authority.root)) == {TIME}


def test_no_root_in_the_file_is_the_callers_fault(stamped: Package, tmp_path: Path):
    (tmp_path / "empty.pem").write_text("nothing")

    with pytest.raises(Malformed):
        verified(stamped, tmp_path / "empty.pem")
    with pytest.raises(SystemExit) as ended:
        main([str(stamped.directory), "--tsa-ca", str(tmp_path / "empty.pem")])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("imprint", lambda made, tsa: tsa.answer(stamp.request(checkpoint(made)[:-1], nonce=9))),
        ("signature", lambda made, tsa: forged(tsa, checkpoint(made), strange=True)),
        ("attributes", lambda made, tsa: forged(tsa, checkpoint(made), names=False)),
        ("chain", lambda made, tsa: forged(tsa, checkpoint(made), at=b"20200101000000Z")),
        ("status", lambda made, tsa: forged(tsa, checkpoint(made), status=2)),
        ("DER", lambda made, tsa: tsa.answer(stamp.request(checkpoint(made), nonce=9))[:-1]),
        ("DER", lambda made, tsa: b""),
    ],
)
def test_the_holder_of_the_seal_key_cannot_put_another_stamp_there(
    stamped: Package, authority: Authority, rule: str, spoil: Callable[[Package, Authority], bytes]
):
    (stamped.directory / package.STAMP).write_bytes(spoil(stamped, authority))
    stamped.reseal()

    report = verified(stamped, authority.root)
    assert failed(report) == {TIME}
    assert rule in report.steps[TIME - 1].detail
    assert package.STAMP in report.steps[TIME - 1].detail
    assert openssl(stamped, authority.root) != 0 or rule == "chain"  # it asks whether they are in force today


def test_a_stamp_by_another_authority_or_an_expired_one_is_refused(
    story: Story, signers: Signers, authority: Authority, tmp_path: Path
):
    for number, other in enumerate(
        (Authority(tmp_path / "other"), Authority(tmp_path / "old", lasts=(-3 * DAY, -DAY)))
    ):
        root = authority.root if number == 0 else other.root
        made = pack(
            story,
            signers,
            tmp_path / f"export-{number}",
            stamp=lambda head, by=other: by.answer(stamp.request(head, nonce=9)),
        )
        assert failed(verified(made, root)) == {TIME}
        assert openssl(made, root) != 0


def test_a_changed_or_deleted_stamp_is_missed_by_manifests_as_any_file(stamped: Package, authority: Authority):
    content = (stamped.directory / package.STAMP).read_bytes()
    for spoilt in (content + b"\0", b"\0" + content, content[: len(content) // 2]):
        (stamped.directory / package.STAMP).write_bytes(spoilt)
        assert failed(verified(stamped, authority.root)) >= {4}
    (stamped.directory / package.STAMP).unlink()
    assert failed(verified(stamped, authority.root)) == {4, TIME}


def test_the_verifier_checks_a_stamp_with_nothing_but_cryptography(
    stamped: Package, authority: Authority, tmp_path: Path
):
    shutil.copytree(Path(__file__).resolve().parents[2] / "recording", tmp_path / "alone" / "recording")
    guard = (
        "import sys, runpy\n"
        "sys.argv = ['verify', *sys.argv[1:]]\n"
        "sys.modules.update(msgspec=None, sos=None, routing=None, numpy=None, av=None)\n"
        "runpy.run_module('recording.verify', run_name='__main__')\n"
    )
    keys = ["--log-vkey", stamped.signers.log.verifier.vkey, "--seal-vkey", stamped.signers.seal.verifier.vkey]
    command = [sys.executable, "-c", guard, str(stamped.directory), *keys, "--tsa-ca", str(authority.root)]
    run = subprocess.run(command, cwd=tmp_path / "alone", capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "ok   12 time: the checkpoint was there at" in run.stdout


def checkpoint(made: Package) -> bytes:
    return (made.directory / package.CHECKPOINT).read_bytes()
