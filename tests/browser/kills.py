"""Media worker, service and desk tab, killed at random moments of calls of three: what the car hears, what is kept.

``python -m tests.browser.kills --moments 30 --seed 1`` prints a line for each moment and ends with 1 when a promise was
broken.  The car (aiortc), the operator's console and the agency's page (both Chromium) come back by themselves; nobody
here helps them, except that somebody opens the desk again when its tab has died.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from playwright.async_api import BrowserContext, Error, Page, expect

from recording.tracks import duration_ms
from recording.verify import verify_package
from sos.clock import SystemClock
from tests.browser.conftest import Desk, chromium, make_sounds
from tests.browser.story import SEEN_MS, Story, leaves
from tests.house import House
from tests.sos.calls.test_media_workers import worker_pid

TARGETS = ("worker", "service", "tab")

SILENT_AT_MOST_S = 15.0
"""Longest a car may hear nothing at all."""

LOST_AT_MOST_S = 1.0
"""Sound that may miss at the end of a recording whose writer was killed."""

BACK_WITHIN_S = 60
MOMENTS_PER_CALL = 10

clock = SystemClock()


class Moment(Struct, frozen=True, kw_only=True):
    """What one kill did."""

    target: str
    after_s: float
    silent_s: float
    """Longest time without a packet for the car, from the kill until all three were back."""
    back_s: float
    """Until all three were in the call again."""
    lost_s: float | None
    """Sound missing at the end of the recording; None while its writer lived."""

    @property
    def broken(self) -> bool:
        return self.silent_s > SILENT_AT_MOST_S or (self.lost_s or 0.0) > LOST_AT_MOST_S

    def __str__(self) -> str:
        lost = "" if self.lost_s is None else f", recording lost {self.lost_s:.2f} s"
        words = (
            f"{self.target:8} after {self.after_s:4.1f} s: silent {self.silent_s:4.1f} s, back in {self.back_s:4.1f} s"
        )
        return words + lost + (" BROKEN" if self.broken else "")


class Call:
    """A call of three on the whole service, and the hands to kill parts of it."""

    def __init__(self, house: House, desk: Desk, story: Story) -> None:
        self.house, self.desk, self.story = house, desk, story
        self.agency: Page | None = None
        self.killed: list[tuple[float, str]] = []

    @property
    def recordings(self) -> Path:
        return self.house.data / "recordings"

    async def begin(self) -> None:
        """Reported, answered, the fire brigade told and let in."""
        story = self.story
        for hop in (story.ring, story.answer, story.talking, story.tell, story.open_brief):
            await hop()
        assert story.agency is not None
        self.agency = story.agency
        await self.agency.get_by_test_id("call").click()
        await self.agency.get_by_test_id("join").click()
        await self.desk.page.bring_to_front()
        await self.desk.page.get_by_test_id("invite-jp-13-fire").click(timeout=SEEN_MS)
        await self.all_in()

    async def all_in(self) -> None:
        """Car, desk and agency each have sound, as each of them says itself."""
        assert self.story.car is not None
        assert self.agency is not None
        within = BACK_WITHIN_S * 1000
        await expect(self.desk.page.get_by_test_id("voice")).to_have_attribute(
            "data-state", "connected", timeout=within
        )
        await expect(self.agency.get_by_test_id("call-state")).to_have_attribute(
            "data-state", "connected", timeout=within
        )
        for party in ("vehicle", "operator", "agency"):
            leg = self.desk.page.locator(f'[data-testid="leg-{party}"][data-standing="up"]')
            await expect(leg.first).to_be_visible(timeout=within)
        async with asyncio.timeout(BACK_WITHIN_S):
            await self.story.car.until_hearing()

    async def kill(self, target: str, *, after_s: float) -> Moment:
        await clock.wait(timedelta(seconds=after_s))
        writing = self._newest_recording()
        listening = asyncio.create_task(self._longest_silence())
        begun, at = time.monotonic(), clock.now()
        await {"worker": self._kill_worker, "service": self._kill_service, "tab": self._kill_tab}[target]()
        await clock.wait(timedelta(seconds=4))  # a line that is dead looks alive for so long
        await self.all_in()
        back = time.monotonic() - begun
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        lost = await self._lost(writing, at) if target == "worker" else None
        return Moment(target=target, after_s=after_s, silent_s=self._silent_s, back_s=back, lost_s=lost)

    async def _longest_silence(self) -> None:
        assert self.story.car is not None
        ear, self._silent_s = self.story.car.ear, 0.0
        received, since = ear.received, time.monotonic()
        while True:
            await clock.wait(timedelta(milliseconds=20))
            if ear.received != received:
                received, since = ear.received, time.monotonic()
            self._silent_s = max(self._silent_s, time.monotonic() - since)

    async def _kill_worker(self) -> None:
        os.kill(await worker_pid(self.recordings), signal.SIGKILL)

    async def _kill_service(self) -> None:
        await self.house.kill()
        await self.house.start()

    async def _kill_tab(self) -> None:
        """The renderer dies as it does when memory runs out; then the operator opens the desk again."""
        context: BrowserContext = self.desk.page.context
        session = await context.new_cdp_session(self.desk.page)
        crashing = asyncio.ensure_future(session.send("Page.crash"))
        await asyncio.wait((crashing,), timeout=2)
        crashing.cancel()
        with suppress(Error, asyncio.CancelledError):
            await crashing
        with suppress(Error):
            await self.desk.page.close()
        self.desk.page = self.story.page = await context.new_page()
        await self.desk.start_work()

    def _newest_recording(self) -> Path:
        found = (self.recordings / self.story.incident).iterdir()
        return max((each for each in found if each.is_dir()), key=lambda each: each.name)

    async def _lost(self, recording: Path, killed_at: datetime) -> float:
        """Seconds between the end of what can be played and the kill."""
        manifest = recording / "manifest.json"
        async with asyncio.timeout(BACK_WITHIN_S):
            while not manifest.is_file():
                await clock.wait(timedelta(milliseconds=100))
        sealed = manifest.read_bytes()
        started = datetime.fromisoformat(json.loads(sealed)["started_at"])
        return (killed_at - started).total_seconds() - duration_ms(sealed) / 1000


@asynccontextmanager
async def call_of_three(directory: Path, sounds: dict[str, Path]) -> AsyncIterator[Call]:
    async with House(directory / "house") as house, chromium(house, sounds) as desk:
        story = Story(house, desk, sounds, directory)
        await desk.start_work()
        await story.report()
        async with await story.call():
            call = Call(house, desk, story)
            await call.begin()
            yield call


async def one_call(plan: Sequence[tuple[str, float]], directory: Path, sounds: dict[str, Path]) -> list[Moment]:
    """Kill by ``plan`` (target and pause in seconds), then look at the record of it all."""
    moments = []
    async with call_of_three(directory, sounds) as call:
        for target, after_s in plan:
            moments.append(await call.kill(target, after_s=after_s))
            print(moments[-1], flush=True)
        await call.story.open_brief()
        await call.story.take_over()
        await call.story.close()
        await call.story.export()
        problems = wrong_in(leaves(directory / "package"), workers=sum(target == "worker" for target, _ in plan))
        log_key, seal_key = call.house.verifier_keys()
    if not verify_package(directory / "package", log_vkey=log_key, seal_vkey=seal_key).ok:
        problems.append("the package does not hold")
    assert problems == [], problems
    return moments


def wrong_in(events: Sequence[dict[str, Any]], *, workers: int) -> list[str]:
    """What a record of a call of three must not say, whoever was killed."""
    kinds = Counter(event["kind"] for event in events)
    dialled = Counter(event["data"]["leg"] for event in events if event["kind"] == "LegDialled")
    told = Counter(event["data"]["disclosure"] for event in events if event["kind"] == "DeliveryConfirmed")
    promises = {
        "somebody was dialled twice": max(dialled.values(), default=0) <= 1,
        "an agency was told twice": max(told.values(), default=0) <= 1,
        "the decision was made twice": kinds["DisclosureDecided"] == 1,
        "a recording was lost": kinds["RecordingFailed"] == 0,
        "a recording is open": kinds["RecordingStarted"] == kinds["RecordingSealed"],
        "a recording was cut although its writer lived": kinds["RecordingStarted"] == workers + 1,
    }
    return [wrong for wrong, kept in promises.items() if not kept]


def planned(moments: int, *, seed: int) -> list[tuple[str, float]]:
    """Each target about equally often, in random order and at random times."""
    dice = Random(seed)
    targets = [TARGETS[number % len(TARGETS)] for number in range(moments)]
    dice.shuffle(targets)
    return [(target, round(dice.uniform(1.0, 5.0), 2)) for target in targets]


async def main(moments: int, seed: int) -> int:
    plan, done = planned(moments, seed=seed), []
    for first in range(0, moments, MOMENTS_PER_CALL):
        with tempfile.TemporaryDirectory() as directory:
            sounds = make_sounds(Path(directory))
            done += await one_call(plan[first : first + MOMENTS_PER_CALL], Path(directory), sounds)
    for target in TARGETS:
        mine = [moment for moment in done if moment.target == target]
        if mine:
            silent, back = max(m.silent_s for m in mine), max(m.back_s for m in mine)
            lost = max((m.lost_s for m in mine if m.lost_s is not None), default=None)
            kept = "" if lost is None else f", recording lost at most {lost:.2f} s"
            print(f"{target}: {len(mine)} kills, silent at most {silent:.1f} s, back within {back:.1f} s{kept}")
    return min(1, sum(moment.broken for moment in done))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.moments, given.seed)))
