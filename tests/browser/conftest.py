"""A real Chromium whose microphone is a file, in front of the whole service."""

import base64
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.async_api import Page, async_playwright

from sos.vehicle.voice import speech_like
from tests.conftest import empty_database
from tests.house import House

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)  # fmt: skip
STATIC = Path(__file__).resolve().parents[2] / "sos/console/static/index.html"
RATE_HZ = 48_000

LISTEN = """() => {
  window.__listening?.close();
  const pc = window.__sos.pc;
  const track = pc.getReceivers()[0].track;
  const context = new AudioContext({sampleRate: 48000});
  window.__listening = context;
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const node = context.createScriptProcessor(4096, 1, 1);
  const heard = [];
  window.__heard = heard;
  node.onaudioprocess = (event) => heard.push(new Float32Array(event.inputBuffer.getChannelData(0)));
  source.connect(node);
  node.connect(context.destination);
}"""

HEARD = """() => {
  const all = window.__heard;
  const out = new Int16Array(all.length * 4096);
  const level = (value) => Math.max(-1, Math.min(1, value)) * 32767;
  all.forEach((piece, k) => piece.forEach((value, n) => { out[k * 4096 + n] = level(value); }));
  const bytes = new Uint8Array(out.buffer);
  let text = "";
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
  return btoa(text);
}"""


class Desk:
    """An operator's browser."""

    def __init__(self, page: Page, house: House) -> None:
        self.page = page
        self._house = house

    async def start_work(self, operator: str = "hanako") -> None:
        token = self._house.desk_tokens[operator]
        await self.page.context.request.post(f"{self._house.url}/console/session", data={"token": token})
        await self.page.goto(f"{self._house.url}/console/")
        await self.page.get_by_test_id("start").click()

    async def listen(self) -> None:
        """Begin to keep what the operator hears."""
        await self.page.evaluate(LISTEN)

    async def heard(self) -> npt.NDArray[np.int16]:
        return np.frombuffer(base64.b64decode(await self.page.evaluate(HEARD)), np.int16)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the operator says and what the car says: two different signals."""
    return make_sounds(tmp_path_factory.mktemp("sounds"))


def make_sounds(directory: Path) -> dict[str, Path]:
    return {
        who: _write(directory / f"{who}.wav", speech_like(10.0, seed=seed))
        for who, seed in (("operator", 7), ("car", 8))
    }


def _write(path: Path, pcm: npt.NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.tobytes())
    return path


def read(path: Path) -> npt.NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.fixture(params=["sqlite", "postgres"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """The whole service, once on each database."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    if not STATIC.is_file():
        pytest.skip("the console is not built: run ops/build_console.py")
    async with AsyncExitStack() as stack:
        database = ""
        if request.param == "postgres":
            database = await stack.enter_async_context(empty_database(request.getfixturevalue("postgres")))
        yield await stack.enter_async_context(House(tmp_path / "house", database=database))


@asynccontextmanager
async def chromium(house: House, sounds: dict[str, Path]) -> AsyncIterator[Desk]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={sounds['operator']}"],
            timeout=120_000,
        )
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        yield Desk(await context.new_page(), house)
        await browser.close()


@pytest.fixture
async def desk(house: House, sounds: dict[str, Path]) -> AsyncIterator[Desk]:
    async with chromium(house, sounds) as opened:
        yield opened
