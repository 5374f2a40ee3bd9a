"""Files of age: what is written opens for the recipient alone, also with the tool of that name, and the reverse."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import age
from recording.errors import Malformed, Tampered

IDENTITY = age.new_identity()
RECIPIENT = age.recipient_of(IDENTITY)
WRITTEN = age.encrypt(b"an invented key", RECIPIENT)

TOOL = pytest.mark.skipif(shutil.which("age") is None, reason="the Debian package age is not installed")


@pytest.mark.parametrize("length", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_what_is_encrypted_opens_for_its_recipient(length: int):
    content = bytes(length)

    assert age.decrypt(age.encrypt(content, RECIPIENT), IDENTITY) == content


def test_nobody_else_opens_it():
    with pytest.raises(Tampered, match="somebody else"):
        age.decrypt(WRITTEN, age.new_identity())


@given(at=st.integers(0, len(WRITTEN) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(at: int, bit: int):
    changed = bytearray(WRITTEN)
    changed[at] ^= 1 << bit

    with pytest.raises((Malformed, Tampered)):
        age.decrypt(bytes(changed), IDENTITY)


def test_the_unused_bits_of_a_last_letter_are_noticed():
    """A share of 32 bytes is 43 letters, of whose last two bits are no content."""
    share = WRITTEN.split(b"\n")[1].split(b" ")[-1]
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = share[:-1] + letters[letters.index(share[-1:]) ^ 1 : (letters.index(share[-1:]) ^ 1) + 1]

    with pytest.raises(Malformed, match="canonical"):
        age.decrypt(WRITTEN.replace(share, other), IDENTITY)


@given(st.integers(0, len(WRITTEN) - 1))
def test_what_is_cut_short_is_noticed(length: int):
    with pytest.raises((Malformed, Tampered)):
        age.decrypt(WRITTEN[:length], IDENTITY)


def test_what_is_cut_between_two_pieces_is_noticed():
    written = age.encrypt(bytes(65_536 * 2), RECIPIENT)

    with pytest.raises(Tampered):
        age.decrypt(written[: -(65_536 + 16)], IDENTITY)


@pytest.mark.parametrize(
    "wrong",
    ["", "age1", RECIPIENT[:-1], RECIPIENT.replace("age1", "age2"), RECIPIENT.title(), IDENTITY],
    ids=["empty", "no key", "cut", "another prefix", "mixed case", "the secret"],  # two workers make two keys
)
def test_what_is_no_recipient_is_refused_and_not_repeated(wrong: str):
    with pytest.raises(Malformed) as refused:
        age.encrypt(b"", wrong)

    assert len(wrong) < 10 or wrong not in str(refused.value)


def test_a_mistyped_recipient_is_noticed():
    swapped = RECIPIENT[:10] + ("q" if RECIPIENT[10] != "q" else "p") + RECIPIENT[11:]

    with pytest.raises(Malformed, match="mistyped"):
        age.encrypt(b"", swapped)


@TOOL
def test_the_tool_called_age_opens_what_we_write_and_we_open_what_it_writes(tmp_path: Path):
    (tmp_path / "identity").write_text(f"# invented\n{IDENTITY}\n")
    ours = age.encrypt(bytes(range(256)) * 400, RECIPIENT)
    opened = subprocess.run(["age", "-d", "-i", tmp_path / "identity"], input=ours, capture_output=True, check=True)
    theirs = subprocess.run(["age", "-r", RECIPIENT], input=b"theirs", capture_output=True, check=True).stdout

    assert opened.stdout == bytes(range(256)) * 400
    assert age.decrypt(theirs, (tmp_path / "identity").read_text()) == b"theirs"
