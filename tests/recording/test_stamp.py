"""Time stamps: openssl makes and checks the same ones as we do; an authority that lies is refused by name."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from recording import der, stamp
from recording.errors import Malformed, RecordingError
from recording.stamp import StampRefused
from tests.recording.authority import DAY, Authority, forged

MESSAGE = b"log.centre.example/audit\n5\nAAAA\n"
NONCE = 0xF123456789ABCDEF


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


def roots(authority: Authority) -> Any:
    return stamp.roots(authority.root.read_bytes())


def test_openssl_reads_what_we_ask(tmp_path: Path):
    (tmp_path / "query").write_bytes(stamp.request(MESSAGE, nonce=NONCE))
    (tmp_path / "message").write_bytes(MESSAGE)

    def told(*arguments: str) -> str:
        done = subprocess.run(
            ["openssl", "ts", "-query", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    ours = told("-in", "query", "-text")
    theirs = told("-data", "message", "-sha256", "-cert", "-text")
    assert ours.partition("Nonce")[0] == theirs.partition("Nonce")[0]
    assert ours.endswith(theirs.partition("Nonce")[2].partition("\n")[2])
    assert "Nonce: 0xF123456789ABCDEF" in ours


@pytest.mark.parametrize("ess", ["sha1", "sha256", "sha512"])
def test_what_openssl_answers_holds_here_and_there(tmp_path: Path, ess: str):
    authority = Authority(tmp_path / "tsa", ess=ess)
    answer = authority.answer(stamp.request(MESSAGE, nonce=NONCE))

    found = stamp.check(answer, MESSAGE, roots=roots(authority), nonce=NONCE)

    assert authority.believes(answer, MESSAGE)
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert (found.authority, found.serial, found.rooted) == ("CN=tsa.example", 2, True)
    assert stamp.stamped_at(answer) == found.at
    assert not stamp.check(answer, MESSAGE).rooted


def test_what_we_forge_without_a_fault_holds_too_so_that_the_faults_below_are_the_only_ones(authority: Authority):
    answer = forged(authority, MESSAGE)

    assert stamp.check(answer, MESSAGE, roots=roots(authority), nonce=7).rooted
    assert authority.believes(answer, MESSAGE)


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("status", lambda tsa: forged(tsa, MESSAGE, status=2)),
        ("imprint", lambda tsa: tsa.answer(stamp.request(b"another head", nonce=7))),
        ("nonce", lambda tsa: tsa.answer(stamp.request(MESSAGE, nonce=8))),
        ("nonce", lambda tsa: forged(tsa, MESSAGE, nonce=-7)),
        ("attributes", lambda tsa: forged(tsa, MESSAGE, kind="1.2.840.113549.1.7.1")),
        ("attributes", lambda tsa: forged(tsa, MESSAGE, names=False)),
        ("attributes", lambda tsa: forged(tsa, MESSAGE, of=b"another content")),
        ("signature", lambda tsa: forged(tsa, MESSAGE, strange=True)),
        ("chain", lambda tsa: forged(tsa, MESSAGE, at=f"{datetime.now(UTC) - 2 * DAY:%Y%m%d%H%M%SZ}".encode())),
    ],
)
def test_an_authority_that_lies_is_refused_by_the_rule(
    authority: Authority, rule: str, answer: Callable[[Authority], bytes]
):
    with pytest.raises(StampRefused) as refused:
        stamp.check(answer(authority), MESSAGE, roots=roots(authority), nonce=7)

    assert refused.value.rule == rule


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        ("chain", {"lasts": (-3 * DAY, -DAY)}),
        ("chain", {"lasts": (DAY, 3 * DAY)}),
        ("chain", {"issues": False}),
        ("usage", {"usages": (ExtendedKeyUsageOID.SERVER_AUTH,)}),
        ("usage", {"usages": (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH)}),
        ("usage", {"critical": False}),
    ],
)
def test_a_certificate_that_must_not_stamp_is_refused_by_the_rule(tmp_path: Path, rule: str, made: dict[str, Any]):
    authority = Authority(tmp_path / "tsa", **made)
    answer = forged(authority, MESSAGE)

    with pytest.raises(StampRefused) as refused:
        stamp.check(answer, MESSAGE, roots=roots(authority), nonce=7)

    assert refused.value.rule == rule
    assert not authority.believes(answer, MESSAGE)


def test_an_expired_certificate_is_refused_as_openssl_itself_stamps_with_it(tmp_path: Path):
    authority = Authority(tmp_path / "tsa", lasts=(-3 * DAY, -DAY))

    with pytest.raises(StampRefused, match=r"chain: CN=tsa\.example was not in force"):
        stamp.check(authority.answer(stamp.request(MESSAGE, nonce=7)), MESSAGE, roots=roots(authority), nonce=7)


def test_another_root_does_not_vouch_for_it(authority: Authority, tmp_path: Path):
    other = Authority(tmp_path / "other")

    with pytest.raises(StampRefused, match="chain"):
        stamp.check(forged(authority, MESSAGE), MESSAGE, roots=roots(other), nonce=7)
    assert not other.believes(forged(authority, MESSAGE), MESSAGE)


def test_no_changed_byte_of_what_is_signed_goes_unseen_and_nothing_crashes(authority: Authority):
    """Bytes outside of any signature (the response's status, the order of certificates) may change nothing either."""
    answer = authority.answer(stamp.request(MESSAGE, nonce=NONCE))
    whole = stamp.check(answer, MESSAGE, roots=roots(authority), nonce=NONCE)
    unseen = list[int]()
    for at in range(len(answer)):
        spoilt = answer[:at] + bytes((answer[at] ^ 0x01,)) + answer[at + 1 :]
        try:
            found = stamp.check(spoilt, MESSAGE, roots=roots(authority), nonce=NONCE)
        except RecordingError:
            continue
        assert found == whole
        unseen.append(at)

    assert len(unseen) < 48  # granted with modifications, versions, algorithms named twice


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x01\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x1f\x1f\x00",
        b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_malformed(content: bytes):
    with pytest.raises(Malformed):
        stamp.check(content, MESSAGE)


def test_every_beginning_of_an_answer_is_refused(authority: Authority):
    answer = authority.answer(stamp.request(MESSAGE, nonce=NONCE))

    for size in range(0, len(answer), 7):
        with pytest.raises(RecordingError):
            stamp.check(answer[:size], MESSAGE, roots=roots(authority))
    with pytest.raises(RecordingError):
        stamp.check(answer + b"\x00", MESSAGE, roots=roots(authority))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 2**63, 2**64 - 1, -1, -128, -129])
def test_integers_and_lengths_come_back(number: int):
    assert der.only(der.integer(number), der.INTEGER).number == number
    content = b"x" * abs(number) if abs(number) < 1000 else b""
    assert der.only(der.write(der.OCTETS, content), der.OCTETS).content == content


def test_no_pem_is_no_root():
    with pytest.raises(Malformed):
        stamp.roots(b"nothing")
