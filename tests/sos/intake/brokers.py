"""Real MQTT brokers as processes of their own, that a test can kill and start again.

``mosquitto`` speaks 3.1.1 and 5 and is used where it is installed (Debian package ``mosquitto``); ``amqtt`` speaks
3.1.1 and comes with the tests.  ``python -m tests.sos.intake.brokers PORT`` runs the latter.
"""

import asyncio
import logging
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Self

from amqtt.broker import Broker

from sos.clock import SystemClock
from tests.house import ROOT
from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class BrokerProcess:
    """A broker on a port of its own; what it is told to keep survives ``kill`` as far as the broker can."""

    def __init__(self, kind: str, directory: Path, *, extra: str = "") -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._directory = directory
        self._extra = extra
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill(signal.SIGTERM)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command(), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(30):
            while not await self._answers():
                assert self._process.returncode is None, f"{self.kind} ended at its start"

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            try:
                async with asyncio.timeout(3):
                    await self._process.wait()
            except TimeoutError:  # amqtt's orderly end sometimes waits for its clients for ever
                self._process.kill()
                await self._process.wait()
        self._process = None

    def _command(self) -> tuple[str, ...]:
        if self.kind == "amqtt":
            return sys.executable, "-m", "tests.sos.intake.brokers", str(self.port)
        assert MOSQUITTO is not None
        file = self._directory / "mosquitto.conf"
        file.write_text(
            f"listener {self.port} 127.0.0.1\npersistence true\npersistence_location {self._directory}/\n"
            f"autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\n"
            f"{self._extra or 'allow_anonymous true'}\n"
        )
        return MOSQUITTO, "-c", str(file)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await SystemClock().wait(timedelta(milliseconds=50))
            return False
        writer.close()
        return True


async def serve(port: int) -> None:
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(serve(int(sys.argv[1])))
