"""Where tests write: into memory where there is enough of it, else to the disk."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import files_in_memory


def test_a_place_that_is_missing_or_too_small_is_left_for_the_disk(tmp_path: Path) -> None:
    assert files_in_memory(tmp_path / "missing") is None
    assert files_in_memory(tmp_path, enough=shutil.disk_usage(tmp_path).total + 1) is None


def test_a_place_where_nothing_may_be_run_is_left_for_the_disk(tmp_path: Path) -> None:
    expected = None if os.statvfs(tmp_path).f_flag & os.ST_NOEXEC else tmp_path

    assert files_in_memory(tmp_path, enough=0) == expected


def test_what_a_test_writes_lies_there(tmp_path: Path) -> None:
    memory = files_in_memory()
    if memory is None or os.environ["PYTEST_DEBUG_TEMPROOT"] != str(memory):
        pytest.skip("this machine has little memory for files, or its user has chosen another place")

    assert tmp_path.is_relative_to(memory)
