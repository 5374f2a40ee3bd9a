"""The hops of one crash, each as something a person or a car does and then sees done."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from playwright.async_api import Page, expect

from sos.clock import SystemClock
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import CarVoice
from tests.audio import correlate
from tests.browser.conftest import RATE_HZ, Desk, read
from tests.house import ROOT, House

SEEN_MS = 60_000
"""Longest a step may take to show, on a machine that does ten other things."""

PRESSED_MS = 10_000
"""After so long a press is taken to have met a service that was just killed."""

LISTEN_FOR = timedelta(seconds=6)

PRESSES = 3
"""How often a key is pressed before it counts as without effect: an order that meets a restart is refused."""

HEARD = 0.6
"""Chromium's echo canceller and gain control are on, as operators have them; unrelated speech stays well below."""


class Story:
    def __init__(self, house: House, desk: Desk, sounds: dict[str, Path], directory: Path) -> None:
        self.house = house
        self.desk = desk
        self.page = desk.page
        self.sounds = sounds
        self.directory = directory
        self.clock = SystemClock()
        self.event = crash(Car(), at=self.clock.now(), seed=1)
        self.incident = ""
        self.car: CarVoice | None = None
        self.agency: Page | None = None

    @property
    def hops(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        return (
            ("reported", self.report),
            ("ringing", self.ring),
            ("answered", self.answer),
            ("talking", self.talk),
            ("noted", self.note),
            ("told", self.tell),
            ("read", self.open_brief),
            ("taken over", self.take_over),
            ("closed", self.close),
            ("exported", self.export),
        )

    async def report(self) -> None:
        taken = await report_once(self.event, base_url=self.house.url, key=self.house.tenant_key, clock=self.clock)
        self.incident = self.incident or taken.incident
        assert taken.incident == self.incident

    async def ring(self) -> None:
        await expect(self.page.get_by_test_id(f"queue-{self.incident}")).to_be_visible(timeout=SEEN_MS)

    async def call(self) -> CarVoice:
        """The car calls, and calls again by itself whenever it is cut off."""
        self.car = CarVoice(
            self.house.url,
            self.incident,
            token=self.house.tenant_key,
            sound=self.sounds["car"],
            heard=self.directory / "car.wav",
            clock=self.clock,
        )
        return self.car

    async def answer(self) -> None:
        await self._again_until("in_call", self._press_answer)
        await expect(self.page.get_by_test_id("coordinates")).to_contain_text("35.68", timeout=SEEN_MS)

    async def _press_answer(self) -> None:
        await self.page.keyboard.press("F2")

    async def talk(self) -> None:
        """The operator hears the car."""
        await self.talking()
        await self.desk.listen()
        await self.clock.wait(LISTEN_FOR)
        heard = await self.desk.heard()
        # In a thread: the car speaks in this loop, and a car that falls silent is a lost one.
        assert await asyncio.to_thread(same_sound, heard, self.sounds["car"]) >= HEARD
        assert await asyncio.to_thread(same_sound, heard, self.sounds["operator"]) < HEARD

    async def talking(self) -> None:
        """Both legs are up."""
        assert self.car is not None
        await expect(self.page.get_by_test_id("voice")).to_have_attribute("data-state", "connected", timeout=SEEN_MS)
        async with asyncio.timeout(SEEN_MS / 1000):
            await self.car.until_hearing()

    async def note(self) -> None:
        said = self.page.get_by_test_id("notes").get_by_text("driver conscious")
        for _ in range(PRESSES):
            await self.page.get_by_test_id("note").fill("運転者は意識あり / driver conscious")
            await self.page.keyboard.press("Control+Enter")
            try:
                await expect(said).to_be_visible(timeout=PRESSED_MS)
                break
            except AssertionError:
                await self.linked()
        await expect(said).to_be_visible()
        await self.page.get_by_test_id("note").blur()

    async def tell(self) -> None:
        await self._again_until("handing_over", self._press_tell)

    async def _press_tell(self) -> None:
        await self.page.keyboard.press("F5")
        await expect(self.page.get_by_test_id("disclose-dialog")).to_be_visible(timeout=SEEN_MS)
        await self.page.keyboard.press("Enter")

    async def open_brief(self) -> None:
        if self.agency is None:
            self.agency = await self.page.context.new_page()
        await self.agency.goto(self.house.inbox("jp-13-fire"))
        await self.agency.get_by_test_id("brief").first.click(timeout=SEEN_MS)
        await expect(self.agency.get_by_test_id("brief-text")).to_contain_text("35.68")

    async def take_over(self) -> None:
        assert self.agency is not None
        await self.agency.reload()
        await self.agency.get_by_test_id("taken_over").click()
        await expect(self.agency.get_by_test_id("state")).to_contain_text("taken over")
        await self.page.bring_to_front()
        await self.state_is("handed_over")

    async def close(self) -> None:
        await self._again_until("closed", self._press_close)

    async def _press_close(self) -> None:
        await self.page.keyboard.press("Shift+F4")
        await expect(self.page.get_by_test_id("close-dialog")).to_be_visible(timeout=SEEN_MS)
        if await self.page.get_by_test_id("untold").is_visible():
            await self.page.get_by_test_id("untold-reason").select_option("not_needed")
            await self.page.get_by_test_id("untold-words").fill("invented: nobody needs them")
        await self.page.keyboard.press("Enter")

    async def _again_until(self, state: str, press: Callable[[], Awaitable[None]]) -> None:
        """Press as an operator does: once more when the page says that it has just lost the service."""
        for _ in range(PRESSES - 1):
            await press()
            try:
                await self.state_is(state, within_ms=PRESSED_MS)
                return
            except AssertionError:
                await self.page.keyboard.press("Escape")
                await self.linked()
        await press()
        await self.state_is(state)

    async def export(self) -> None:
        package = self.directory / "package"
        house = self.house
        await sos(
            "export", self.incident, str(package), "--url", house.url, "--key", house.auditor_token, "--reveal", "all"
        )

    async def linked(self) -> None:
        """The desk has found the service again."""
        await expect(self.page.get_by_test_id("health-socket")).to_have_attribute("data-state", "ok", timeout=SEEN_MS)
        await expect(self.page.get_by_test_id("health-journal")).to_have_attribute("data-state", "ok", timeout=SEEN_MS)

    async def state_is(self, state: str, *, within_ms: int = SEEN_MS) -> None:
        await expect(self.page.get_by_test_id("state")).to_have_attribute("data-state", state, timeout=within_ms)


async def sos(*arguments: str) -> Any:
    """Run the command line; what it printed as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sos", *arguments, "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return json.loads(out)


def leaves(package: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (package / "data/events/audit.jsonl").read_bytes().splitlines()]


def same_sound(heard: npt.NDArray[np.int16], played: Path) -> float:
    """How well the best second of ``heard`` agrees with ``played``, which runs in a loop: 0 to 1.

    One second, because a browser's jitter buffer stretches time to stay near the present.
    """
    loop = np.tile(read(played), 2)
    pieces = [heard[at : at + RATE_HZ] for at in range(RATE_HZ, len(heard) - RATE_HZ, RATE_HZ // 2)]
    return max((correlate(piece, loop, RATE_HZ)[0] for piece in pieces if np.any(piece)), default=0.0)
