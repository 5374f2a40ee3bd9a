"""The whole service as a process of its own, that a test can kill at any moment and start again."""

import asyncio
import os
import resource
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from recording.keys import KeyStore
from recording.note import Signer
from sos.clock import SystemClock
from sos.dispatch.adapters.portal import Links
from sos.incident.model import AgencyId
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
AGENCIES = ROOT / "routing" / "data" / "demo_agencies.toml"


class House:
    """``sos serve`` on a data directory.  ``async with`` starts it; ``kill`` and ``start`` may alternate."""

    def __init__(
        self,
        data: Path,
        *,
        database: str = "",
        operators: Sequence[str] = ("hanako",),
        descriptors: int = 0,
        behind: "House | None" = None,
    ) -> None:
        """``descriptors``: how many files and connections the system lets it have; 0: as many as this process.

        ``behind``: a service on another machine that leads the same database; this one has the same keys and waits.
        """
        self._descriptors = descriptors
        self._behind = behind
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_port = free_port()
        self.door_port = free_port()
        self.tenant_key: str = behind.tenant_key if behind else secrets.token_urlsafe(24)
        self.desk_tokens = {operator: secrets.token_urlsafe(24) for operator in operators}
        self.auditor_token = secrets.token_urlsafe(24)
        self.database = database
        self._process: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "sos.toml").write_text(self._settings())
        if self._behind is not None:
            shutil.copytree(self._behind.data / "keys", self.data / "keys")
        self._log = self._stack.enter_context((self.data / "service.log").open("ab"))
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.kill(signal.SIGTERM)
        await self._stack.aclose()

    async def start(self, *, early: bool = False) -> None:
        """``early``: until it takes reports; else until it is whole."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SOS_")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sos", "serve", "--config", str(self.data / "sos.toml"),
            stdout=self._log, stderr=self._log, cwd=ROOT, env=environment,
            preexec_fn=self._limit if self._descriptors else None,
        )  # fmt: skip
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not (self._waits() or await self._answers(session, early=early)):
                if self._process.returncode is not None:
                    raise AssertionError(f"the service ended: {(self.data / 'service.log').read_text()[-2000:]}")

    def _waits(self) -> bool:
        return self._behind is not None and "standby" in (self.data / "service.log").read_text()

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal and go on."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def until_ready(self) -> float:
        """Seconds until it says that it can accept."""
        began = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(1):
                    if (await self.get("/readyz"))["ready"]:
                        return time.monotonic() - began
            except (aiohttp.ClientError, TimeoutError):
                await SystemClock().wait(timedelta(milliseconds=20))

    async def until_whole(self) -> None:
        """Return when it is whole: its database has answered, and it leads."""
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await self._answers(session, early=False):
                pass

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
        self._process = None

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))

    def inbox(self, agency: str) -> str:
        """The address of an agency's portal page."""
        secret = KeyStore(self.data / "keys").secret("portal")
        return Links(secret, public_url=self.url).inbox(AgencyId(agency))

    def verifier_keys(self) -> tuple[str, str]:
        """The log's and the seal's verifier keys, as an auditor gets them out of band."""
        keys = KeyStore(self.data / "keys")
        log = Signer("sos.example.com/journal", keys.signing_key("log"))
        seal = Signer("sos.example.com/seal", keys.signing_key("seal"))
        return log.verifier.vkey, seal.verifier.vkey

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession(base_url=self.url) as session, session.get(path) as response:
            return await response.json()

    async def figures(self) -> str:
        """What Prometheus is told."""
        at = f"http://127.0.0.1:{self.metrics_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(at) as response:
            return await response.text()

    async def _answers(self, session: aiohttp.ClientSession, *, early: bool) -> bool:
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                if early or "starting" not in await answer.json():
                    return True
        except aiohttp.ClientError:
            pass
        await SystemClock().wait(timedelta(milliseconds=50))
        return False

    def _settings(self) -> str:
        operators = "".join(
            f'[[operators]]\nid = "{name}"\nname = "架空 {name}"\ntoken_digest = "{_digest(token)}"\n'
            for name, token in self.desk_tokens.items()
        )
        return (
            f'data_dir = "{self.data}"\nport = {self.port}\nmetrics_port = {self.metrics_port}\n'
            f"door_port = {self.door_port}\n"
            f'database_url = "{self.database}"\n'
            f'directory = "{AGENCIES}"\n'
            f'[[tenants]]\nid = "acme"\ndomain = "acme.sos.example"\nkey_digests = ["{_digest(self.tenant_key)}"]\n'
            f'{operators}[[auditors]]\nid = "auditor"\ntoken_digest = "{_digest(self.auditor_token)}"\n'
            f'brands = ["*"]\ncategories = ["*"]\n'
        )


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class DoorProcess:
    """``sos door`` beside a house.  ``async with`` starts it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._process: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._log = self._stack.enter_context((self._house.data / "doors.log").open("ab"))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SOS_")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sos", "door", "--config", str(self._house.data / "sos.toml"),
            stdout=self._log, stderr=self._log, cwd=ROOT, env=environment,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill(signal.SIGTERM)
        await self._stack.aclose()

    async def until_alive(self) -> None:
        """Return once a door of the house answers."""
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self._house.door_port}/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await SystemClock().wait(timedelta(milliseconds=50))

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
