"""``sos geo check-posts``: a dry run that names what the service would refuse."""

import json
from pathlib import Path

from typer.testing import CliRunner

from sos.cli import app

NAMES = "road,km,direction,lat,lon\n"
GOOD = "架空道,1,上り,36.0,140.0\n架空道,2,上り,36.009,140.0\n"


def test_a_good_table_is_said_and_a_bad_row_is_named_and_ends_with_one(tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    file.write_text(NAMES + GOOD, encoding="utf-8")
    good = CliRunner().invoke(app, ["geo", "check-posts", str(file), "--json"])
    assert (good.exit_code, json.loads(good.stdout)["posts"], json.loads(good.stdout)["faults"]) == (0, 2, [])

    file.write_text(NAMES + GOOD + "架空道,x,上り,36.0,140.0\n", encoding="utf-8")
    bad = CliRunner().invoke(app, ["geo", "check-posts", str(file)])
    assert bad.exit_code == 1
    assert "row 3" in bad.stdout
