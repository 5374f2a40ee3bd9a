"""How long a vehicle waits for its acknowledgement of an MSD, beside a bare handler, in one run.

    python ops/bench/intake.py [--rate 500] [--seconds 10] [--rounds 3] [--only NAME ...]

Servers, each a process of its own, one after the other in every round:

    bare        aiohttp handler that reads the body, decodes the MSD and answers
    accept      POST /v1/events, decoded, recognised and durable in SQLite, readers off
    full        the whole service: the same, and filed, planned, matched, distributed, published behind it

Open loop: reports are sent at the instants of a Poisson process, whether or not earlier ones have been answered, and
the wait counts from the intended instant, so a server that stalls cannot hide it (no coordinated omission).  Every
report is an MSD of another vehicle.  Prints p50, p99 and p99.9 of each round, the medians and their ratios.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from recording.keys import KeyStore  # noqa: E402
from sos.app import running  # noqa: E402
from sos.clock import SystemClock  # noqa: E402
from sos.formats import msd  # noqa: E402
from sos.intake import http as intake  # noqa: E402
from sos.intake.acceptance import Acceptance  # noqa: E402
from sos.intake.auth import Credentials  # noqa: E402
from sos.intake.receipts import Receipts  # noqa: E402
from sos.intake.recent import Recent  # noqa: E402
from sos.intake.tenants import Tenant, TenantKeys  # noqa: E402
from sos.interpreter import spare_the_loop  # noqa: E402
from sos.journal.journal import Journal  # noqa: E402
from sos.journal.migrate import upgrade  # noqa: E402
from sos.journal.spool import Spool  # noqa: E402
from sos.journal.sqlite import SqliteStore  # noqa: E402
from sos.problems import problems_middleware  # noqa: E402
from sos.settings import Settings, TenantSettings  # noqa: E402
from tests.ports import free_port  # noqa: E402

KEY = "bench-key"
NAMES = ("bare", "accept", "full")
CONNECTIONS = 128
"""Kept open; a report waits for none of them unless so many are unanswered."""


def message(number: int, now_s: int) -> bytes:
    """The MSD of car ``number``, somewhere on Honshu: 36 octets."""
    return msd.write(
        msd.Msd(
            version=2,
            message_identifier=1,
            automatic_activation=True,
            test_call=False,
            position_can_be_trusted=True,
            vehicle_type=msd.VehicleType.M1,
            vin=f"JTMZZ3TEST{number:07d}",
            propulsion=(msd.Energy.GASOLINE,),
            timestamp=now_s,
            latitude_mas=int(3_600_000 * (34.0 + number * 0.6180339 % 3)),
            longitude_mas=int(3_600_000 * (136.0 + number * 0.4142135 % 4)),
            direction=number % 180,
            occupants=1 + number % 4,
        )
    )


# --- servers -----------------------------------------------------------------------------------------------------


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.get_running_loop().create_future()


async def bare(port: int, _: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        msd.read(await request.read())
        return web.Response(status=202, body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", handle)
    await _serve(app, port)


async def accept(port: int, data: Path) -> None:
    """Intake and journal, nothing behind them."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqliteStore(data / "journal.db"))
        await upgrade(store.engine)
        keys = KeyStore(data / "keys")
        spool = Spool(data / "spool", keys.secret("spool"))
        journal = await stack.enter_async_context(Journal(store, keys, spool, clock=SystemClock()))
        credentials = Credentials(TenantKeys.of({KEY: Tenant(id="bench", domain="bench.sos.example")}))
        acceptance = Acceptance(journal, Receipts(keys.secret("intake")), Recent())
        app = web.Application(middlewares=[problems_middleware])
        app.add_routes(intake.routes(acceptance, credentials, SystemClock()))
        spare_the_loop()
        await _serve(app, port)


async def full(port: int, data: Path) -> None:
    tenant = TenantSettings(id="bench", domain="bench.sos.example", key_digests=(sha256(KEY.encode()).hexdigest(),))
    async with running(Settings(data_dir=str(data), port=port, tenants=(tenant,))):
        await asyncio.get_running_loop().create_future()


SERVERS = {"bare": bare, "accept": accept, "full": full}


# --- the open loop ----------------------------------------------------------------------------------------------


class Load:
    """Sends at the instants of a Poisson process and keeps how long each report waited, in seconds."""

    def __init__(self, port: int, *, seed: int) -> None:
        self._port = port
        self._dice = random.Random(seed)
        self._idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
        self.waits: list[float] = []
        self.failed = 0

    async def run(self, *, rate_per_s: float, seconds: float, first: int) -> None:
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        now_s = int(time.time())
        bodies = [message(first + number, now_s) for number in range(int(rate_per_s * seconds))]
        start = intended = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for body in bodies:
                intended += self._dice.expovariate(rate_per_s)
                await asyncio.sleep(max(0.0, intended - time.perf_counter()))
                tasks.create_task(self._send(body, intended))
        self.lasted_s = time.perf_counter() - start
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    async def _send(self, body: bytes, intended: float) -> None:
        reader, writer = await self._idle.get()
        head = f"POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        head += f"Content-Type: {msd.MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        self.waits.append(time.perf_counter() - intended)
        self.failed += not answer.startswith(b"HTTP/1.1 202")
        self._idle.put_nowait((reader, writer))


def percentile_ms(waits: Sequence[float], share: float) -> float:
    return 1000 * sorted(waits)[min(len(waits) - 1, int(share * len(waits)))]


def measure(name: str, *, rate: float, seconds: float, seed: int) -> tuple[float, float, float]:
    """p50, p99, p99.9 in milliseconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--data", data]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            load = asyncio.run(_loaded(port, rate=rate, seconds=seconds, seed=seed))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
    if load.failed:
        raise SystemExit(f"{name}: {load.failed} reports were not acknowledged")
    return (percentile_ms(load.waits, 0.5), percentile_ms(load.waits, 0.99), percentile_ms(load.waits, 0.999))


async def _loaded(port: int, *, rate: float, seconds: float, seed: int) -> Load:
    """The load after a second that does not count."""
    await _until_up(port)
    await Load(port, seed=seed).run(rate_per_s=rate, seconds=1, first=0)
    load = Load(port, seed=seed + 1)
    await load.run(rate_per_s=rate, seconds=seconds, first=100_000)
    return load


async def _until_up(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=500.0, help="reports per second")
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", nargs="*", default=NAMES, choices=NAMES)
    options.add_argument("--serve", choices=NAMES)
    options.add_argument("--port", type=int)
    options.add_argument("--data", type=Path)
    given = options.parse_args()
    if given.serve:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        asyncio.run(SERVERS[given.serve](given.port, given.data))
        return
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in given.only}
    print(f"{given.rate:.0f} MSDs/s, open loop, wait from the intended instant, ms")
    print(f"{'':8} {'p50':>8} {'p99':>8} {'p99.9':>8}")
    for round_ in range(given.rounds):
        for name in given.only:
            figures = measure(name, rate=given.rate, seconds=given.seconds, seed=1000 * round_)
            found[name].append(figures)
            print(f"{name:8} " + " ".join(f"{figure:8.2f}" for figure in figures), flush=True)
    print("medians, and ratio to bare")
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, figures in medians.items():
        against = [figure / base for figure, base in zip(figures, medians.get("bare", figures), strict=True)]
        print(f"{name:8} " + " ".join(f"{f:8.2f}" for f in figures) + "   x" + " x".join(f"{r:.2f}" for r in against))


if __name__ == "__main__":
    main()
