"""The supervisor hears that the loop turns, and nothing when it does not; a service that is deaf is seen as dead."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sos.clock import ManualClock
from sos.watchdog import Watchdog

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)

HANGS = """
import asyncio, sys
from sos.clock import SystemClock
from sos.watchdog import Watchdog

async def main():
    watchdog = Watchdog.of()
    watchdog.ready()
    asyncio.get_running_loop().create_task(watchdog.run(SystemClock()))
    await asyncio.to_thread(sys.stdin.readline)
    sys.stdin.read()  # what a pattern without an end does to the loop: the other end is never closed

asyncio.run(main())
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        yield ear


def told(supervisor: socket.socket, *, every_s: float = 10.0, **more: str) -> dict[str, str]:
    """The environment that a supervisor gives."""
    return {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": str(int(every_s * 1e6)), **more}


def heard(supervisor: socket.socket) -> list[str]:
    """What was said by now."""
    said = []
    supervisor.setblocking(False)
    try:
        while True:
            said.append(supervisor.recv(100).decode())
    except BlockingIOError:
        return said


def silent(supervisor: socket.socket) -> bool:
    """Whether nothing comes for the interval; a few words may be on their way."""
    try:
        for _ in range(30):
            supervisor.recv(100)
    except TimeoutError:
        return True
    return False


async def test_the_loop_says_that_it_turns_at_half_the_interval(supervisor: socket.socket):
    clock, watchdog = ManualClock(NOW), Watchdog.of(told(supervisor))
    watchdog.ready()
    turning = asyncio.create_task(watchdog.run(clock))
    await clock.advance(timedelta(0))
    said = [heard(supervisor)]
    for seconds in (4.9, 0.1, 5.0):
        await clock.advance(timedelta(seconds=seconds))
        said.append(heard(supervisor))
    turning.cancel()

    assert said == [["READY=1", "WATCHDOG=1"], [], ["WATCHDOG=1"], ["WATCHDOG=1"]]


@pytest.mark.parametrize("process", ["", str(os.getpid())], ids=["no process", "this process"])
async def test_who_is_not_watched_says_only_that_it_is_ready(supervisor: socket.socket, process: str):
    another = told(supervisor, WATCHDOG_PID="1") if process else told(supervisor) | {"WATCHDOG_USEC": ""}
    watchdog = Watchdog.of(another)

    watchdog.ready()
    await watchdog.run(ManualClock(NOW))

    assert heard(supervisor) == ["READY=1"]


async def test_without_a_supervisor_nothing_is_said_and_nothing_fails(tmp_path: Path):
    Watchdog.of({}).ready()
    Watchdog.of({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    Watchdog.of({"NOTIFY_SOCKET": "@sos-test-nobody"}).ready()


def test_a_loop_that_hangs_falls_silent_is_killed_and_a_new_one_is_ready(supervisor: socket.socket):
    """A real process, a real loop that is blocked, and what a supervisor does: wait for the interval, kill, start."""
    every_s = 4.0
    hangs = [sys.executable, "-c", HANGS]
    environment = os.environ | told(supervisor, every_s=every_s)
    supervisor.settimeout(60)
    for _ in range(2):
        with subprocess.Popen(hangs, stdin=subprocess.PIPE, env=environment, cwd=ROOT) as served:
            assert served.stdin is not None
            assert [supervisor.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            served.stdin.write(b"hang\n")
            served.stdin.flush()
            supervisor.settimeout(every_s)
            assert silent(supervisor)
            served.kill()
        supervisor.settimeout(60)


def test_the_unit_is_watched_restarted_and_never_dumps_what_it_knows():
    unit = (ROOT / "ops/systemd/sos.service").read_text().splitlines()

    assert {"Type=notify", "WatchdogSec=10", "WatchdogSignal=SIGKILL", "Restart=always", "LimitCORE=0"} <= set(unit)


def test_sos_health_says_by_its_exit_code_whether_anybody_answers():
    """A port that takes connections and never answers is a service that hangs."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        asked = subprocess.run(
            [sys.executable, "-m", "sos", "health", "--url", url, "--within", "0.5"],
            capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        )  # fmt: skip

    assert (asked.returncode, asked.stdout) == (1, "")
    assert "TimeoutError" in asked.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_sos_health_asks_where_the_settings_say_the_service_is(tmp_path: Path, host: str):
    """A container's health check names no address: with another port in the settings it killed a healthy service."""
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # bound and not listening: nobody else's answer can come from there
        port = refusing.getsockname()[1]
        config = tmp_path / "sos.toml"
        config.write_text(f'host = "{host}"\nport = {port}\n')
        asked = subprocess.run(
            [sys.executable, "-m", "sos", "health", "--within", "0.5"], env=os.environ | {"SOS_CONFIG": str(config)},
            capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        )  # fmt: skip

    assert (asked.returncode, asked.stdout) == (1, "")
    assert f"http://127.0.0.1:{port}" in asked.stderr
