"""Ports that tests give to their servers: nobody's, never the same twice, and another process gets others."""

import json
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.ports import BLOCK, FIRST, end, free_port, is_free

ROOT = Path(__file__).resolve().parents[2]


def test_none_is_given_twice_and_the_kernel_gives_none_of_them() -> None:
    given = [free_port() for _ in range(3 * BLOCK)]

    assert len(set(given)) == len(given)
    assert FIRST <= min(given) <= max(given) < end()


def test_a_browser_takes_all_of_them() -> None:
    """The last port that the Fetch standard bars is 10,080 (fetch.spec.whatwg.org, "bad port")."""
    assert FIRST > 10_080


def test_another_process_is_given_others_at_the_same_time() -> None:
    program = f"from tests.ports import free_port; print([free_port() for _ in range({BLOCK})], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = set(json.loads(other.stdout.readline()))
        ours = {free_port() for _ in range(3 * BLOCK)}
        other.communicate("\n")

    assert len(theirs) == BLOCK
    assert not ours & theirs


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", ""])
def test_one_that_is_in_use_at_any_address_is_passed_over(kind: socket.SocketKind, address: str) -> None:
    port = free_port()
    assert is_free(port)
    with closing(socket.socket(socket.AF_INET, kind)) as bound:
        bound.bind((address, port))
        assert not is_free(port)


def test_nobody_asks_the_kernel_for_a_port_to_use_later() -> None:
    asked = re.compile(r"as probe:\s+probe\.bind\(\([^)]*, 0\)\)\s+.*getsockname")
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "ops").rglob("*.py")]

    assert not [str(file) for file in files if asked.search(file.read_text())]
