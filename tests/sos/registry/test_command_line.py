"""``sos registry`` and ``sos severity`` as somebody at a terminal meets them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sos import cli
from sos.cli.options import Exit
from sos.errors import Malformed, Misconfigured
from sos.registry.pack import configured, shipped
from sos.settings import load

VIN = "JTMZZ3TESTEC00001"
SHEET = f"brand,vin,service,begins,ends\ndemo,{VIN},sos,2026-01-01,\ndemo,{VIN},sos,2026-01-01,\n"
PACKS = Path(cli.__file__).resolve().parents[1] / "registry" / "packs"
NASS = Path(__file__).resolve().parents[4] / "shared" / "data" / "nass_cds_2015_occupants.csv"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "sos.toml"
    file.write_text(
        f'data_dir = "{tmp_path / "var"}"\n[[tenants]]\nid = "demo"\ndomain = "demo.sos.example"\n'
        f'key_digests = ["{"0" * 64}"]\n'
    )
    return file


def sos(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def test_a_dry_run_needs_no_database_and_makes_none(tmp_path: Path, settings: Path):
    sheet = tmp_path / "cars.csv"
    sheet.write_bytes(SHEET.encode("cp932"))

    done = sos("registry", "import", sheet, "--dry-run", "--json", "--config", settings)

    told = json.loads(done.stdout)
    assert done.exit_code == Exit.REFUSED
    assert (told["created"], told["left_out"]) == (1, 1)
    assert (told["findings"][0]["row"], told["findings"][0]["code"]) == (3, "duplicate")
    assert not (tmp_path / "var").exists()


def test_what_was_imported_stands_and_a_dry_run_afterwards_changes_nothing(tmp_path: Path, settings: Path):
    sheet = tmp_path / "cars.csv"
    sheet.write_text("\n".join(SHEET.splitlines()[:2]))

    done = sos("registry", "import", sheet, "--config", settings)
    again = sos("registry", "import", sheet, "--dry-run", "--json", "--config", settings)
    standing = sos("registry", "standing", "--brand", "demo", "--vin", VIN.lower(), "--json", "--config", settings)

    assert (done.exit_code, again.exit_code, standing.exit_code) == (0, 0, 0)
    assert "created" in done.stdout
    assert json.loads(again.stdout)["unchanged"] == 1
    assert json.loads(standing.stdout)["entitlement"] == "entitled"


def test_a_vehicle_without_a_name_is_asked_for(settings: Path):
    assert isinstance(sos("registry", "standing", "--brand", "demo", "--config", settings).exception, Malformed)


def test_the_shipped_packs_are_right(tmp_path: Path):
    done = sos("registry", "pack", "check", *sorted(PACKS.glob("*.toml")), "--json")

    assert done.exit_code == 0
    assert {each["pack"]["id"] for each in json.loads(done.stdout)} == set(shipped())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("colour = 'red'", "colour"),
        ("profiling = 'maybe'", "profiling"),
        ("[severity]\nmodel = 'kononen'", "kononen"),
        ("[severity]\nattention_percent = 30\nsevere_percent = 20", "cuts"),
        ("id = 'Nobody!'", "id"),
    ],
)
def test_a_pack_that_is_wrong_is_refused_by_name(tmp_path: Path, line: str, said: str):
    whole = (PACKS / "demo.toml").read_text()
    name = line.split(" ", maxsplit=1)[0]
    kept = "\n".join(each for each in whole.splitlines() if line.startswith("[") or not each.startswith(f"{name} ="))
    file = tmp_path / "pack.toml"
    file.write_text(f"{kept}\n{line}\n" if line.startswith("[") else f"{line}\n{kept}\n")

    wrong = sos("registry", "pack", "check", file).exception

    assert isinstance(wrong, Misconfigured)
    assert "pack" in str(wrong)
    assert said in str(wrong)


def test_profiling_has_no_default(tmp_path: Path):
    file = tmp_path / "pack.toml"
    kept = [line for line in (PACKS / "demo.toml").read_text().splitlines() if not line.startswith("profiling")]
    file.write_text("\n".join(kept))

    with pytest.raises(Misconfigured, match="profiling"):
        raise sos("registry", "pack", "check", file).exception or AssertionError


def test_a_score_is_given_with_its_model_inputs_and_digest():
    told = json.loads(sos("severity", "score", "--delta-v-kmh", "60", "--json").stdout)

    assert told["level"] == "severe"
    assert told["score"]["model"] == "wang-2022-all"
    assert told["score"]["risk"] == pytest.approx(0.2992, abs=0.0001)
    assert len(told["score"]["digest"]) == 64


def test_without_a_delta_v_there_is_no_score():
    told = json.loads(sos("severity", "score", "--airbag", "--json").stdout)

    assert (told["level"], told["score"]) == ("unknown", None)


def test_a_model_nobody_has_is_a_wrong_option():
    assert sos("severity", "score", "--model", "kononen").exit_code == Exit.USAGE


def test_every_model_is_listed_with_its_citation():
    told = json.loads(sos("severity", "models", "--json").stdout)

    assert len(told) == 14
    assert all(each["citation"] and each["digest"] and each["ranges"] for each in told)


@pytest.mark.skipif(not NASS.is_file(), reason="NASS-CDS 2015 is not beside the checkout")
def test_the_table_is_printed_for_people_and_for_programs():
    told = json.loads(sos("severity", "table", NASS, "--json").stdout)
    shown = sos("severity", "table", NASS).stdout

    assert {line["model"] for line in told["lines"]} >= {"wang-2022-all", "malliaris-zero", "malliaris-one"}
    assert "0.902" in shown
    assert "not tried: rosen-2010-pedestrian" in shown


@pytest.mark.parametrize(
    ("registrar", "said"),
    [
        ('id = "d"\ntenant = "nobody"\nrole = "dealer"', "tenant"),
        ('id = "d"\ntenant = "demo"\nrole = "owner"', "role"),
    ],
)
def test_a_registrar_of_no_brand_or_of_no_role_stops_the_start(settings: Path, registrar: str, said: str):
    settings.write_text(f'{settings.read_text()}[[registrars]]\n{registrar}\ntoken_digest = "{"1" * 64}"\n')

    with pytest.raises(Misconfigured, match=said):
        load(settings, environment={})


def test_a_directory_without_packs_stops_the_start(tmp_path: Path):
    with pytest.raises(Misconfigured, match="brand_packs"):
        configured(tmp_path, ())


def test_two_packs_of_one_brand_stop_the_start(tmp_path: Path):
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text((PACKS / "demo.toml").read_text())

    with pytest.raises(Misconfigured, match="same brand"):
        configured(tmp_path, ())
