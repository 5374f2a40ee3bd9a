"""A file of lines that is never larger than it may be and that costs no request anything when the disk is gone."""

import json
import stat
from pathlib import Path

from sos.front.access_log import LONGEST, AccessLog


def _lines(file: Path) -> list[int]:
    return [json.loads(line)["n"] for line in file.read_text().splitlines()]


def test_the_newest_lines_are_kept_in_so_many_files_and_the_oldest_go(tmp_path: Path):
    kept = AccessLog(tmp_path / "access", file_bytes=100, files=3)

    for number in range(100):
        kept.write({"n": number})
    kept.close()

    files = sorted((tmp_path / "access").iterdir(), key=lambda file: file.name)
    assert [file.name for file in files] == ["access.jsonl", "access.jsonl.1", "access.jsonl.2"]
    assert all(file.stat().st_size <= 100 for file in files)
    newest_first = [number for file in files for number in reversed(_lines(file))]
    assert newest_first == list(range(99, 99 - len(newest_first), -1))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_start_goes_on_where_the_last_one_ended(tmp_path: Path):
    for number in range(2):
        kept = AccessLog(tmp_path)
        kept.write({"n": number})
        kept.close()

    assert _lines(tmp_path / "access.jsonl") == [0, 1]


def test_a_field_is_cut_and_a_line_is_one_line(tmp_path: Path):
    kept = AccessLog(tmp_path)

    kept.write({"who": "x\n" * 1_000})
    kept.close()

    [line] = (tmp_path / "access.jsonl").read_text().splitlines()
    assert len(json.loads(line)["who"]) == LONGEST


def test_a_disk_that_is_gone_costs_lines_and_nothing_else(tmp_path: Path):
    kept = AccessLog(tmp_path / "access")
    (tmp_path / "access").rmdir()

    for number in range(3):
        kept.write({"n": number})
    (tmp_path / "access").mkdir()
    kept.write({"n": 3})
    kept.close()

    assert kept.lost == 3
    assert _lines(tmp_path / "access" / "access.jsonl") == [3]
