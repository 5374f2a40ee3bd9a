"""The settings as they are shown, and what the command line does when nothing is said."""

import asyncio
import json
import platform
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from sos import cli
from sos.app import Service, running
from sos.errors import Misconfigured
from sos.problems import problems_middleware
from sos.settings import AuditorSettings, OperatorSettings, Settings, TenantSettings, load
from sos.whip import leg_id
from tests.house import ROOT
from tests.ports import free_port

KEY = "a key for tests"
DIGEST = sha256(KEY.encode()).hexdigest()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The whole service behind a TLS proxy that is not there, reached at its own port."""
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        public_url="https://sos.example.com",
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(DIGEST,)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=DIGEST),),
        auditors=(AuditorSettings(id="auditor", token_digest=DIGEST, brands=("*",), categories=("*",)),),
    )
    async with running(settings) as ready:
        yield ready


async def sos(service: Service, *arguments: str) -> Any:
    """Run the command line against ``service``; what it printed as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sos", *arguments, "--json", "--url", f"http://127.0.0.1:{service.settings.port}",
        env={"SOS_KEY": KEY, "PATH": ""}, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    return json.loads(out)


STARTED = """
import gc, sys
from sos.__main__ import main
sys.argv = ["sos", "--help"]
try:
    main()
except SystemExit:
    print("collects", gc.isenabled(), "set aside", gc.get_freeze_count() > 50_000)
"""


async def test_what_a_start_imports_is_never_searched_for_garbage_and_what_comes_later_is():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTED, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert out.decode().splitlines()[-1] == "collects True set aside True"


async def test_each_crash_without_a_seed_is_another_incident_and_the_same_seed_the_same_one(service: Service):
    crash = ("vehicle", "crash", "--no-voice")

    told = [await sos(service, *crash), await sos(service, *crash)]
    seeded = [await sos(service, *crash, "--seed", "7"), await sos(service, *crash, "--seed", "7")]

    assert len({each["incident"] for each in told + seeded}) == 3
    assert [each["repeat"] for each in told + seeded] == [False, False, False, True]


async def test_an_export_opens_nothing_until_it_is_told_what(service: Service, tmp_path: Path):
    incident = (await sos(service, "vehicle", "crash", "--no-voice"))["incident"]
    opened = {}
    for name, reveal in (("none", ()), ("one", ("--reveal", "RAW")), ("all", ("--reveal", "all"))):
        await sos(service, "export", incident, str(tmp_path / name), *reveal)
        opened[name] = {path.name.split(".")[1] for path in (tmp_path / name).glob("data/parts/*")}

    assert opened["none"] == set()
    assert opened["one"] == {"RAW"}
    assert {"RAW", "LOC", "VEH"} <= opened["all"]


async def test_a_desk_reached_over_tls_gets_a_session_that_never_travels_without_it(service: Service):
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{service.settings.port}") as session,
        session.post("/console/session", json={"token": KEY}) as response,
    ):
        cookie = response.cookies["__Host-sos_desk"]

    assert (response.status, cookie["secure"], cookie["httponly"], cookie["samesite"]) == (204, True, True, "Strict")


@pytest.mark.parametrize(("given", "status"), [("a" * 36, 200), ("a" * 37, 400), ("a" * 7, 400), ("../aaaaaaaaa", 400)])
async def test_a_leg_has_an_id_that_every_voice_provider_takes(given: str, status: int):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=leg_id(request))

    app = web.Application(middlewares=[problems_middleware])
    app.add_routes([web.post("/leg", answer)])
    async with TestClient(TestServer(app)) as client, client.post("/leg", headers={"Leg-Id": given}) as response:
        assert response.status == status


def test_the_callers_own_key_in_the_environment_is_no_unknown_setting():
    assert load(environment={"SOS_KEY": "secret", "SOS_CONFIG": "x", "SOS_PORT": "81"}).port == 81


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://sos:h%40mster@db.example:5432/sos", "postgresql://sos:***@db.example:5432/sos"),
        (
            "postgresql:///sos?host=/run/postgresql&password=hamster",
            "postgresql:///sos?host=/run/postgresql&password=***",
        ),
        ("postgresql://sos:ham/st@r?@db.example/sos", "postgresql://sos:***@db.example/sos"),
        ("postgresql:///sos?sslpassword=hamster", "postgresql:///sos?sslpassword=***"),
        ("postgresql://sos@/sos?host=/run/postgresql", "postgresql://sos@/sos?host=/run/postgresql"),
        ("postgresql:///sos", "postgresql:///sos"),
        ("", ""),
    ],
)
def test_a_password_in_the_database_address_is_never_shown(url: str, shown: str):
    assert Settings(database_url=url).without_secrets().database_url == shown


def test_a_category_that_there_is_not_is_refused_before_anything_is_asked_for(tmp_path: Path):
    told = CliRunner().invoke(
        cli.app, ["export", "x", str(tmp_path / "package"), "--key", KEY, "--reveal", "EVERYTHING"]
    )

    assert told.exit_code == cli.Exit.USAGE
    assert "EVERYTHING" in told.output


def test_the_command_says_which_release_it_is():
    done = CliRunner().invoke(cli.app, ["--version"])

    assert done.exit_code == 0
    assert done.output == f"sos {metadata.version('sos-service')}, Python {platform.python_version()}\n"


def test_config_check_hides_the_password(tmp_path: Path):
    file = tmp_path / "sos.toml"
    file.write_text('database_url = "postgresql://sos:hamster@db.example/sos"\ndirectory = "agencies.toml"\n')

    told = CliRunner().invoke(cli.app, ["config", "check", "--config", str(file), "--json"])

    assert told.exit_code == 0
    assert "hamster" not in told.output
    assert json.loads(told.output)["database_url"] == "postgresql://sos:***@db.example/sos"


@pytest.mark.parametrize("command", [["serve"], ["config", "check"]])
@pytest.mark.parametrize("content", ["", "demo = true\n"])
def test_a_service_without_agencies_of_its_own_refuses_to_start(tmp_path: Path, command: list[str], content: str):
    file = tmp_path / "sos.toml"
    file.write_text(f'{content}data_dir = "{tmp_path}/data"\n')

    told = CliRunner().invoke(cli.app, [*command, "--config", str(file)])

    assert isinstance(told.exception, Misconfigured)
    assert "directory is not set" in str(told.exception)
    assert not (tmp_path / "data").exists()
