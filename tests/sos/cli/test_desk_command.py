"""``sos desk``: links, log-ins and second factors, on the database of the settings."""

import asyncio
import json
import stat
from hashlib import sha256
from pathlib import Path

from typer.testing import CliRunner

from sos.cli import app
from sos.clock import SystemClock, epoch_ms
from sos.console.totp import read_secret
from sos.incident.model import OperatorId
from sos.journal.desk_access import DeskAccess, SessionRow
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore


def _run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["desk", *arguments])
    return done.exit_code, done.output


def _settings(folder: Path) -> Path:
    config = folder / "sos.toml"
    digest = sha256(b"token").hexdigest()
    config.write_text(
        f'data_dir = "{folder}"\npublic_url = "https://sos.example"\n'
        f'[[operators]]\nid = "hanako"\nname = "架空 花子"\ntoken_digest = "{digest}"\n'
    )
    return config


async def test_a_link_is_made_for_an_operator_of_the_settings_and_for_nobody_else(tmp_path: Path):
    config = _settings(tmp_path)

    code, told = await asyncio.to_thread(_run, "link", "hanako", "--config", str(config))
    nobody = await asyncio.to_thread(_run, "link", "nobody", "--config", str(config))
    async with SqliteStore(tmp_path / "journal.db") as store:
        digest = sha256(told.strip().partition("#code=")[2].encode()).hexdigest()
        of = await DeskAccess(store.engine).code(digest, now_ms=epoch_ms(SystemClock().now()))

    assert code == 0
    assert told.startswith("https://sos.example/console/#code=")
    assert of == "hanako"
    assert nobody[0] != 0


async def test_log_ins_are_listed_and_ended(tmp_path: Path):
    config, now = _settings(tmp_path), epoch_ms(SystemClock().now())
    async with SqliteStore(tmp_path / "journal.db") as store:
        await upgrade(store.engine)
        rows = [SessionRow(id=f"s{n}", operator=OperatorId("hanako"), since_ms=now, active_ms=now) for n in range(3)]
        await DeskAccess(store.engine).keep(rows)

    one = await asyncio.to_thread(_run, "revoke", "--session", "s1", "--config", str(config))
    unknown = await asyncio.to_thread(_run, "revoke", "--session", "s9", "--config", str(config))
    unnamed = await asyncio.to_thread(_run, "revoke", "--config", str(config))
    everyone = await asyncio.to_thread(_run, "revoke", "hanako", "--config", str(config))
    listed = await asyncio.to_thread(_run, "sessions", "--config", str(config))
    as_json = await asyncio.to_thread(_run, "sessions", "--json", "--config", str(config))

    assert (one, everyone) == ((0, "1 ended\n"), (0, "2 ended\n"))
    assert unknown[0] != 0
    assert unnamed[0] != 0
    assert listed[1].count("revoked") == 3
    assert {each["id"] for each in json.loads(as_json[1])} == {"s0", "s1", "s2"}


def test_a_second_factor_lies_in_a_file_for_its_user_alone_and_is_never_overwritten(tmp_path: Path):
    file = tmp_path / "hanako.totp"

    made, again = _run("second-factor", "hanako", str(file)), _run("second-factor", "hanako", str(file))

    assert made[0] == 0
    assert made[1].startswith("otpauth://totp/SOS:hanako?secret=")
    assert len(read_secret(file)) == 20
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again[0] != 0
