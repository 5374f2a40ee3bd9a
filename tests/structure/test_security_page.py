"""The table of security requirements: each once, with a verdict, and what is met names where it is seen."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ops/docs/security.md").read_text()
ROWS = re.findall(r"^\| (V\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", PAGE, re.MULTILINE)


def test_every_requirement_stands_once_with_a_verdict_and_in_order():
    ids = [tuple(int(part) for part in row[0][1:].split(".")) for row in ROWS]

    assert len(ids) > 100
    assert ids == sorted(set(ids))
    assert {row[2] for row in ROWS} == {"met", "not", "not applicable"}


def test_what_is_met_names_a_file_and_every_file_that_is_named_is_there():
    unproved = [row[0] for row in ROWS if row[2] == "met" and not re.search(r"`(sos|tests|ops)/", row[3])]
    gone = [
        (row[0], path)
        for row in ROWS
        for path in re.findall(r"`([\w./-]+/[\w./-]+)`", row[3])
        if not (ROOT / path).is_file()
    ]

    assert unproved == []
    assert gone == []


def test_the_figures_above_the_table_are_those_of_the_table():
    counted = [sum(row[2] == verdict for row in ROWS) for verdict in ("met", "not", "not applicable")]
    said = re.search(r"Here (\d+) are met, (\d+) are not, (\d+) do not apply", PAGE)

    assert said is not None
    assert [int(figure) for figure in said.groups()] == counted
