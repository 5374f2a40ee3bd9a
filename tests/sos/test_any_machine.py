"""On any machine: a home of any name, one that cannot be written, a port that somebody else has."""

import asyncio
import socket
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from recording.verify import verify_package
from routing.categories import Category
from sos.app import running
from sos.calls.adapters.embedded.worker_handle import socket_path
from sos.cli.options import Exit
from sos.clock import SystemClock
from sos.errors import Misconfigured
from sos.exports.auditors import WHOLE
from sos.incident.model import IncidentId
from sos.journal.configured import make_home
from sos.settings import Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.house import ROOT
from tests.ports import free_port

KEY = "key-of-acme"
NAMES = ("緊急 通報", "100% #1?mode=ro&x=y", 'a\'b "c" $HOME', "장애 é/über")


@pytest.mark.parametrize("name", NAMES)
async def test_a_home_of_any_name_keeps_a_crash_and_proves_it(tmp_path: Path, name: str) -> None:
    tenant = TenantSettings(id="acme", domain="acme.example", key_digests=(sha256(KEY.encode()).hexdigest(),))
    settings = Settings(data_dir=str(tmp_path / name), port=free_port(), tenants=(tenant,))
    clock = SystemClock()
    async with running(settings) as service:
        taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key=KEY, clock=clock)
        package = tmp_path / name / "package"
        await service.exporter.export(
            IncidentId(taken.incident),
            package,
            categories=(Category.VEH,),
            purpose="inquiry",
            actor="auditor:a",
            scope=WHOLE,
        )
        proved = verify_package(package, log_vkey=service.log_vkey, seal_vkey=service.seal_vkey)

    assert proved.ok
    assert (tmp_path / name / "journal.db").is_file()


def test_a_worker_can_listen_however_long_a_home_is_in_bytes(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(socket_path(tmp_path / ("緊" * 25), 0)))


@pytest.fixture(params=["below a file", "in no file system"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A home that nobody can write, whoever he is."""
    if request.param == "in no file system":
        return Path("/proc/sos")
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "file" / "home"


def test_a_home_that_cannot_be_made_is_refused_with_the_setting_that_names_another(nowhere: Path) -> None:
    with pytest.raises(Misconfigured, match=r"data_dir: .* cannot be made or written .*--data"):
        make_home(nowhere)


async def _told(*command: str) -> tuple[int, str]:
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "sos", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return ended.returncode, "\n".join(line for line in ended.stderr.splitlines() if line.startswith("sos: "))


async def test_the_demonstration_says_which_option_names_another_home(nowhere: Path) -> None:
    code, said = await _told("demo", "--data", str(nowhere))

    assert code == Exit.SETTINGS
    assert "--data" in said


async def test_the_demonstration_says_which_option_names_another_port(tmp_path: Path) -> None:
    with closing(socket.socket()) as theirs:
        theirs.bind(("127.0.0.1", free_port()))
        theirs.listen()
        port = theirs.getsockname()[1]
        code, said = await _told("demo", "--data", str(tmp_path / "demo"), "--port", str(port))

    assert code == Exit.SETTINGS
    assert f"port {port} of 127.0.0.1 is taken by another program" in said
    assert f"--port {port + 1}" in said
