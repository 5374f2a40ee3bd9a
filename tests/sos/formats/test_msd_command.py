"""``sos msd``: what it prints, what it refuses, and with which exit code."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sos.cli.msd import app
from sos.errors import Malformed
from tests.house import ROOT
from tests.sos.formats.oracle import ABSENT, HERE, vectors

pytestmark = pytest.mark.skipif(not HERE, reason=ABSENT)

NCAP = "022D5C0E81245582025A39968E30000000244DA55754821E2FFBFA757C827569FD831FB838100820041420CB4A1200"
BAD = "021F04068126958200DA39968E30000000140B4A"


def sos_msd(*arguments: str, given: bytes | None = None):
    return CliRunner().invoke(app, arguments, input=given)


@pytest.mark.parametrize("vector", [v for v in vectors() if "expect" in v], ids=lambda v: v["id"])
def test_decode_prints_every_expected_member(vector):
    told = json.loads(sos_msd("decode", vector["hex"]).stdout)

    assert {name: told[name] for name in vector["expect"]} == vector["expect"]
    assert set(told) - set(vector["expect"]) == {"findings"}


@pytest.mark.parametrize("vector", vectors(), ids=lambda v: v["id"])
def test_encode_of_what_decode_printed_decodes_to_the_same(vector):
    decoded = sos_msd("decode", "--json", vector["hex"])
    if "expect_error" in vector:
        assert isinstance(decoded.exception, Malformed)
        return

    encoded = sos_msd("encode", "-", given=decoded.stdout_bytes).stdout.strip()

    assert encoded == sos_msd("encode", decoded.stdout).stdout.strip()
    again, before = (json.loads(sos_msd("decode", text).stdout) for text in (encoded, vector["hex"]))
    assert again == before


@pytest.mark.parametrize(
    "content",
    [bytes.fromhex(NCAP), NCAP.encode() + b"\n", base64.b64encode(bytes.fromhex(NCAP))],
    ids=["octets", "hex", "base64"],
)
def test_a_file_and_the_input_may_hold_octets_hex_or_base64(content, tmp_path: Path):
    file = tmp_path / "message"
    file.write_bytes(content)
    expected = sos_msd("decode", NCAP).stdout

    assert sos_msd("decode", str(file)).stdout == expected
    assert sos_msd("decode", "-", given=content).stdout == expected


def test_lines_become_one_json_line_each_and_a_malformed_one_is_named_at_its_place():
    lines = f"{NCAP}\n{BAD}\n\nzz\n{NCAP.lower()}\r\n".encode()

    result = sos_msd("decode", "--lines", "-", given=lines)

    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [each.get("line") for each in told] == [None, 2, 3, 4, None]
    assert told[0] == told[4]
    assert told[0]["vin"] == "JHMZZ9TESTEC00002"
    assert "promises more" in told[1]["error"]
    assert "too short" in told[2]["error"]


def test_lines_without_a_fault_end_with_code_0(tmp_path: Path):
    file = tmp_path / "messages"
    file.write_text(f"{NCAP}\n" * 3)

    result = sos_msd("decode", str(file), "--lines")

    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)


def test_a_damaged_message_can_be_shown_as_far_as_it_is_whole():
    told = json.loads(sos_msd("decode", "--salvage", NCAP[:-6]).stdout)

    assert (told["vin"], told["findings"]) == ("JHMZZ9TESTEC00002", ["cut_off:$"])
    assert isinstance(sos_msd("decode", "--salvage", BAD).exception, Malformed)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("decode", BAD), "bit 8 (length): the length octet promises more than is there"),
        (("decode", ""), "too short"),
        (("decode", "nosuchfile"), "neither a file nor hexadecimal digits"),
        (("encode", '{"msdVersion": 9}'), "$.msdVersion: Expected `int` <= 3"),
        (("encode", "{"), "expected one JSON object"),
    ],
)
def test_the_reason_of_a_refusal_is_clear(arguments, reason):
    refusal = sos_msd(*arguments).exception

    assert isinstance(refusal, Malformed)
    assert reason in str(refusal)


def test_the_command_ends_with_code_1_and_one_line_on_standard_error():
    done = subprocess.run(
        [sys.executable, "-m", "sos", "msd", "decode", BAD], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sos: bit 8 (length): the length octet promises more than is there: expected 31 octets\n"
