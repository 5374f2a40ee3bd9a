"""Nonces are taken once: after a restart, by several processes, from a broken file, and at the price of no report."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sos.intake.nonces import Nonces

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
KEPT = timedelta(seconds=120)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nonces.sqlite"


def test_a_restart_forgets_no_nonce(path: Path) -> None:
    before = Nonces(KEPT, path)
    assert before.first("acme-1", "n1", at=NOW)
    before.close()

    after = Nonces(KEPT, path)

    assert not after.first("acme-1", "n1", at=NOW + timedelta(seconds=59))
    assert after.first("acme-2", "n1", at=NOW), "each key has nonces of its own"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_process_that_was_killed_forgets_none_either_and_its_neighbour_knows_them(path: Path) -> None:
    killed, neighbour = Nonces(KEPT, path), Nonces(KEPT, path)

    assert killed.first("acme-1", "n1", at=NOW)

    assert not neighbour.first("acme-1", "n1", at=NOW)
    assert not Nonces(KEPT, path).first("acme-1", "n1", at=NOW)


def test_what_can_be_shown_no_more_is_forgotten_a_few_at_a_time(path: Path) -> None:
    nonces = Nonces(KEPT, path)
    for number in range(40):
        nonces.first("acme-1", f"old{number}", at=NOW)

    later = NOW + timedelta(seconds=121)
    for number in range(10):
        nonces.first("acme-1", f"new{number}", at=later)

    assert all(nonces.first("acme-1", f"old{number}", at=later) for number in range(40))
    assert not any(nonces.first("acme-1", f"new{number}", at=later) for number in range(10))


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_broken_file_is_made_anew(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    nonces = Nonces(KEPT, path)

    assert nonces.first("acme-1", "n1", at=NOW)
    assert not Nonces(KEPT, path).first("acme-1", "n1", at=NOW)


def test_where_no_file_can_be_nonces_are_kept_in_memory(path: Path) -> None:
    nonces = Nonces(KEPT, path / "no" / "such" / "folder")

    assert [nonces.first("acme-1", "n1", at=NOW) for _ in range(2)] == [True, False]


def test_a_file_that_fails_under_way_refuses_nobody(path: Path) -> None:
    nonces = Nonces(KEPT, path)
    nonces.close()

    assert [nonces.first("acme-1", "n1", at=NOW) for _ in range(2)] == [True, False]
