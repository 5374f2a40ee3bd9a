"""What a call costs and how late it is heard, beside Janus audiobridge, in one run.

    python ops/bench/voice.py --node-modules DIR [--calls 10] [--seconds 8] [--rounds 2] [--full 40]
        [--janus-rate 16000] [--only two three full] [--first]

``--first``: product, peer and load go before everything else on the machine (SCHED_FIFO), for one that others use too.

Needs root (a network namespace joined by a veth pair, since Janus refuses a machine that has only loopback), Debian's
``janus``, ``node`` and in DIR the npm package ``node-datachannel``.  No packet leaves the machine.

Cases, product and peer one after the other in every round, each pinned to core 0 and the load to core 1:

    two     two parties: passed through here, mixed by Janus
    three   three parties, mixed by both
    full    ``--full`` calls of two, product alone: how even the sound is on one loaded core

Everything is recorded: by us each party's packets in sealed chunks, synced twice a second; by Janus each party's
packets in a file.  CPU is that of the serving process over the window, memory its growth from no call.  Delay is from
the sender's ``send`` to the listener's ``receive`` in the load process: of the very packet where it is passed through,
and of the onset of a sound, found in the decoded signal, where it is mixed.
"""

import argparse
import asyncio
import base64
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from sos.calls.adapters.embedded.control import Accept, Finish, FromService, Hello, Reply, frame, news_from  # noqa: E402
from sos.incident.model import IncidentId, LegId, Party, new_id  # noqa: E402
from sos.media import opus  # noqa: E402
from sos.vehicle.voice import speech_like  # noqa: E402

SPACE, HERE_SIDE, THERE_SIDE = "sosbench", "10.213.7.1", "10.213.7.2"
JANUS_PORT = 18088
SERVER_CORE, LOAD_CORE = "0", "1"
SPEECH_CLIPS, BURSTS, HUSH = 8, 8, 9
"""Clips of the load: eight of speech, then bursts and near silence for measuring delay through a mixer."""
PROBES = 2
"""Rooms of each mixed case that carry bursts instead of speech."""
_ticks_per_s = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    cpu: list[float] = field(default_factory=list)
    """Percent of a core for each call."""
    memory: list[float] = field(default_factory=list)
    """MB for each call."""
    delays: list[float] = field(default_factory=list)
    """Milliseconds."""
    delay_p99: list[float] = field(default_factory=list)
    gap_p99: list[float] = field(default_factory=list)
    gap_max: list[float] = field(default_factory=list)
    worst_leg: list[float] = field(default_factory=list)
    silent: int = 0


class Load:
    """The process that plays the parties."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.said.put_nowait(json.loads(line))

    def order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def until(self, key: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                if key in (message := await self.said.get()):
                    return message

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        self._reading.cancel()


class Product:
    """A media worker, driven over its own socket."""

    name = "sos"

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._writer = writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._rooms: dict[int, IncidentId] = {}
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            news = await news_from(reader)
            if isinstance(news, Reply) and (waiting := self._waiting.pop(news.order, None)) is not None:
                waiting.set_result(news)

    async def _ask(self, order: FromService, number: int) -> Reply:
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(frame(order))
        return await asyncio.wait_for(self._waiting[number], 30)

    async def open(self, room: int, _: bool) -> None:
        self._rooms[room] = IncidentId(new_id())

    async def join(self, room: int, leg: str, offer: str) -> str:
        number = next(self._numbers)
        party = (Party.VEHICLE, Party.OPERATOR, Party.AGENCY)[int(leg.rsplit("-", 1)[1])]
        order = Accept(
            order=number, incident=self._rooms[room], leg=LegId(f"{leg}-{new_id()}"[:36]), party=party, who=leg,
            offer=offer, key=bytes(32),
        )  # fmt: skip
        reply = await self._ask(order, number)
        if reply.fault:
            raise RuntimeError(reply.text)
        return reply.answer

    async def clear(self) -> None:
        for incident in self._rooms.values():
            number = next(self._numbers)
            await self._ask(Finish(order=number, incident=incident), number)
        self._rooms.clear()

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()


class Janus:
    """Audiobridge over its HTTP interface; a handle for each leg."""

    name = "janus"

    def __init__(self, pid: int, http: aiohttp.ClientSession, *, recordings: Path, rate: int) -> None:
        self.pid = pid
        self._http = http
        self._recordings = recordings
        self._rate = rate
        self._rooms: set[int] = set()
        self._handles: list[int] = []
        self._session = 0

    async def _post(self, path: str, **message: Any) -> dict[str, Any]:
        message["transaction"] = secrets.token_hex(6)
        async with self._http.post(f"http://{THERE_SIDE}:{JANUS_PORT}/janus{path}", json=message) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
        if answer["janus"] == "error":
            raise RuntimeError(str(answer["error"]))
        return answer

    async def _handle(self) -> int:
        if not self._session:
            self._session = (await self._post("", janus="create"))["data"]["id"]
        attached = await self._post(f"/{self._session}", janus="attach", plugin="janus.plugin.audiobridge")
        return int(attached["data"]["id"])

    async def _ask(self, handle: int, **body: Any) -> None:
        answer = await self._post(f"/{self._session}/{handle}", janus="message", body=body)
        if "error" in (told := answer["plugindata"]["data"]):
            raise RuntimeError(str(told))

    async def open(self, room: int, low: bool) -> None:
        handle = await self._handle()
        self._handles.append(handle)
        await self._ask(
            handle, request="create", room=room + 1, sampling_rate=self._rate, permanent=False,
            mjrs=True, mjrs_dir=str(self._recordings), **({"default_prebuffering": 2} if low else {}),
        )  # fmt: skip
        self._rooms.add(room + 1)

    async def join(self, room: int, leg: str, offer: str) -> str:
        handle = await self._handle()
        self._handles.append(handle)
        body = {"request": "join", "room": room + 1, "display": leg}
        path = f"/{self._session}/{handle}"
        await self._post(path, janus="message", body=body, jsep={"type": "offer", "sdp": offer})
        poll = f"http://{THERE_SIDE}:{JANUS_PORT}/janus/{self._session}?maxev=1"
        while True:
            async with self._http.get(poll) as response:
                event = await response.json(content_type=None)
            if "jsep" in event and event["sender"] == handle:
                return str(event["jsep"]["sdp"])

    async def clear(self) -> None:
        await self._post(f"/{self._session}", janus="destroy")
        self._session = 0
        handle = await self._handle()
        for room in self._rooms:
            await self._ask(handle, request="destroy", room=room)
        await self._post(f"/{self._session}", janus="destroy")
        self._session = 0
        self._rooms.clear()
        self._handles.clear()

    async def close(self) -> None:
        await self._http.close()


Engine = Product | Janus


def shell(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@asynccontextmanager
async def namespace() -> AsyncIterator[None]:
    shell("ip", "netns", "add", SPACE)
    try:
        shell("ip", "link", "add", "sosb0", "type", "veth", "peer", "name", "sosb1", "netns", SPACE)
        shell("ip", "addr", "add", f"{HERE_SIDE}/30", "dev", "sosb0")
        shell("ip", "link", "set", "sosb0", "up")
        for words in (f"addr add {THERE_SIDE}/30 dev sosb1", "link set sosb1 up", "link set lo up"):
            shell("ip", "-n", SPACE, *words.split())
        yield
    finally:
        shell("ip", "netns", "del", SPACE)


async def start(*words: str, output: Path, **more: Any) -> asyncio.subprocess.Process:
    with output.open("wb") as log:
        return await asyncio.create_subprocess_exec(*words, stdout=log, stderr=log, **more)


def on_core(core: str, *words: str, first: bool) -> tuple[str, ...]:
    return ("taskset", "-c", core, *(("chrt", "-f", "1") if first else ()), *words)


def inside(core: str, *words: str, first: bool) -> tuple[str, ...]:
    return ("ip", "netns", "exec", SPACE, *on_core(core, *words, first=first))


async def stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def product(stack: AsyncExitStack, place: Path, *, first: bool) -> Product:
    socket, recordings = place / "worker.sock", place / "recordings"
    recordings.mkdir()
    module = (sys.executable, "-m", "sos.calls.adapters.embedded.worker", str(socket), str(recordings))
    process = await start(*inside(SERVER_CORE, *module, first=first), output=place / "worker.log", cwd=HERE.parents[1])
    stack.push_async_callback(stopped, process)
    for _ in range(100):
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=2**26)
            break
        except OSError:
            await asyncio.sleep(0.1)
    hello = await news_from(reader)
    assert isinstance(hello, Hello)
    engine = Product(hello.pid, reader, writer)
    stack.push_async_callback(engine.close)
    return engine


async def janus(stack: AsyncExitStack, place: Path, *, rate: int, first: bool) -> Janus:
    configuration = place / "janus"
    configuration.mkdir()
    shell("cp", "-r", "/etc/janus/.", str(configuration))
    general = f'general: {{ debug_level = 3\n session_timeout = 0\n configs_folder = "{configuration}"\n'
    general += 'plugins_folder = "/usr/lib/x86_64-linux-gnu/janus/plugins"\n'
    general += 'transports_folder = "/usr/lib/x86_64-linux-gnu/janus/transports" }\n'
    others = "recordplay streaming sip nosip videocall videoroom voicemail textroom echotest lua duktape"
    disabled = ",".join(f"libjanus_{each}.so" for each in others.split())
    doors = ",".join(f"libjanus_{each}.so" for each in ("websockets", "rabbitmq", "mqtt", "nanomsg", "pfunix"))
    general += f'plugins: {{ disable = "{disabled}" }}\ntransports: {{ disable = "{doors}" }}\n'
    (configuration / "janus.jcfg").write_text(general)
    http = f'general: {{ json = "compact"\n base_path = "/janus"\n http = true\n port = {JANUS_PORT} }}\n'
    (configuration / "janus.transport.http.jcfg").write_text(http)
    (configuration / "janus.plugin.audiobridge.jcfg").write_text("general: { }\n")
    recordings = place / "mjr"
    recordings.mkdir()
    command = inside(SERVER_CORE, "janus", "-F", str(configuration), first=first)
    process = await start(*command, output=place / "janus.log")
    stack.push_async_callback(stopped, process)
    engine = Janus(process.pid, aiohttp.ClientSession(), recordings=recordings, rate=rate)
    stack.push_async_callback(engine.close)
    for _ in range(100):
        try:
            await engine._handle()
            return engine
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
    raise RuntimeError("janus did not start: " + (place / "janus.log").read_text()[-500:])


async def load(stack: AsyncExitStack, place: Path, modules: Path, *, first: bool) -> Load:
    clips = place / "clips.json"
    clips.write_text(json.dumps([[base64.b64encode(each).decode() for each in clip] for clip in _clips()]))
    process = await asyncio.create_subprocess_exec(
        *on_core(LOAD_CORE, "node", str(HERE / "voice_load.cjs"), str(clips), first=first),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**28,
        env=os.environ | {"NODE_PATH": str(modules)},
    )  # fmt: skip
    playing = Load(process)
    stack.push_async_callback(playing.close)
    return playing


def _clips() -> list[list[bytes]]:
    clips = [_encoded(speech_like(10.0, seed=seed)) for seed in range(SPEECH_CLIPS)]
    noise = np.random.default_rng(0)
    hush = (20 * noise.standard_normal(10 * 48_000)).astype(np.int16)
    bursts = hush.copy()
    tone = (12_000 * np.sin(2 * np.pi * 700 * np.arange(4800) / 48_000)).astype(np.int16)
    for at in range(24_000, bursts.size - 4800, 24_000):
        start = at + int(noise.integers(0, 4800))
        bursts[start : start + tone.size] += tone
    return [*clips, _encoded(bursts), _encoded(hush)]


def _encoded(pcm: opus.Pcm) -> list[bytes]:
    encoder = opus.Encoder()
    return [encoder.encode(each) for each in pcm.reshape(-1, opus.FRAME)]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _ticks_per_s


def memory_mb(pid: int) -> float:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def measure(engine: Engine, playing: Load, figures: Figures, *, calls: int, parties: int, seconds: float) -> None:
    before_mb = memory_mb(engine.pid)
    mixed = parties > 2 or isinstance(engine, Janus)
    probes = [f"room{room}-0" for room in range(PROBES)] if mixed else []
    for room in range(calls):
        await engine.open(room, low=False) if isinstance(engine, Janus) else await engine.open(room, False)
        for seat in range(parties):
            leg = f"room{room}-{seat}"
            quiet = BURSTS if seat == 0 else HUSH
            clip = quiet if mixed and room < PROBES else (room * parties + seat) % SPEECH_CLIPS
            await _join(engine, playing, room, leg, clip=clip, peer=f"room{room}-{(seat + 1) % parties}")
    await asyncio.sleep(3)
    begun, used = time.monotonic(), cpu_s(engine.pid)
    listeners = [f"room{room}-1" for room in range(PROBES)] if mixed else []
    playing.order(do="measure", seconds=seconds, keep=[*probes, *listeners])
    told = await playing.until("measured")
    figures.cpu.append(100 * (cpu_s(engine.pid) - used) / (time.monotonic() - begun) / calls)
    figures.memory.append((memory_mb(engine.pid) - before_mb) / calls)
    figures.gap_p99.append(told["gap"]["p99"])
    figures.gap_max.append(told["gap"]["max"])
    figures.worst_leg.append(told["worst_leg_gap_p99"])
    figures.silent += told["silent"]
    if mixed:
        for said, heard in zip(probes, listeners, strict=True):
            figures.delays += _delays(told["kept"][said]["sent"], told["kept"][heard]["got"])
    else:
        figures.delays.append(told["delay"]["p50"])
        figures.delay_p99.append(told["delay"]["p99"])
    playing.order(do="end")
    await playing.until("ended")
    await engine.clear()
    await asyncio.sleep(1)


_ssrcs = count(1000)


async def _join(engine: Engine, playing: Load, room: int, leg: str, *, clip: int, peer: str) -> None:
    playing.order(do="call", id=leg, clip=clip, peer=peer, ssrc=next(_ssrcs))
    offer = await playing.until("offer")
    answer = await engine.join(room, leg, offer["sdp"])
    playing.order(do="answer", id=leg, sdp=answer)
    await playing.until("up")


def _delays(sent: Sequence[Sequence[Any]], got: Sequence[Sequence[Any]]) -> list[float]:
    """Milliseconds from each burst that was sent to the one that was heard next."""
    said, heard = _onsets(sent), _onsets(got)
    following = [next((each for each in heard if each > at), None) for at in said]
    return [each - at for at, each in zip(said, following, strict=True) if each is not None and each - at < 450]


def _onsets(packets: Sequence[Sequence[Any]]) -> list[float]:
    """When the bursts in ``packets`` (time of each, payload) began."""
    decoder, found, loud = opus.Decoder(), [], True
    for at_ms, payload in packets:
        pcm = np.abs(decoder.decode(base64.b64decode(payload)).astype(np.int32))
        above = np.flatnonzero(pcm > 2000)
        if above.size and not loud:
            found.append(at_ms + above[0] / 48)
        loud = bool(above.size)
    return found


def _say(case: str, name: str, figures: Figures) -> None:
    delays = sorted(figures.delays)
    p99 = max(figures.delay_p99) if figures.delay_p99 else delays[int(0.99 * len(delays))] if delays else float("nan")
    p50 = statistics.median(delays) if delays else float("nan")
    print(
        f"{case:>6} {name:>6}  cpu {statistics.median(figures.cpu):5.2f} %/call  memory "
        f"{statistics.median(figures.memory):5.2f} MB/call  delay p50 {p50:6.1f} p99 {p99:6.1f} ms  gap p99 "
        f"{statistics.median(figures.gap_p99):5.1f} (worst leg {max(figures.worst_leg):5.1f}, max "
        f"{max(figures.gap_max):6.1f}) ms  silent legs {figures.silent}  rounds "
        + " ".join(f"{each:.2f}" for each in figures.cpu),
        flush=True,
    )


async def run(given: argparse.Namespace) -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; figures count below 1.5", flush=True)
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        await stack.enter_async_context(namespace())
        playing = await load(stack, place, given.node_modules, first=given.first)
        ours = await product(stack, place, first=given.first)
        theirs = await janus(stack, place, rate=given.janus_rate, first=given.first)
        for case, parties in (("two", 2), ("three", 3)):
            if given.only and case not in given.only:
                continue
            figures: dict[str, Figures] = {ours.name: Figures(), theirs.name: Figures()}
            for _ in range(given.rounds):
                for engine in (ours, theirs):
                    await measure(
                        engine, playing, figures[engine.name], calls=given.calls, parties=parties, seconds=given.seconds
                    )
            for name, each in figures.items():
                _say(case, name, each)
            ratio = statistics.median(figures["sos"].cpu) / statistics.median(figures["janus"].cpu)
            print(f"{case:>6}  cpu sos / janus = {ratio:.2f}", flush=True)
        if not given.only or "full" in given.only:
            full = Figures()
            await measure(ours, playing, full, calls=given.full, parties=2, seconds=given.seconds)
            _say("full", ours.name, full)
    print(f"load average {os.getloadavg()[0]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node-modules", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--full", type=int, default=40)
    parser.add_argument("--janus-rate", type=int, default=16_000)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--only", nargs="*", choices=("two", "three", "full"))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
