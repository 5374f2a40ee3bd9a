"""Media workers as processes: the service may die and come back, a worker may die or hang, and callers are kept."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from recording.opus import RATE_HZ
from recording.tracks import read_chunk
from sos.calls.adapters.embedded.control import Hello, Retire, frame, news_from
from sos.calls.adapters.embedded.provider import EmbeddedProvider
from sos.calls.adapters.embedded.worker_handle import socket_path
from sos.calls.port import LegDown, LegUp, Level, RecordingBegun, RecordingBroken, RecordingDone, RecordingLeft
from sos.clock import SystemClock
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.audio import correlate
from tests.sos.calls.peers import KEY, Events, Peer, met
from tests.sos.calls.test_two_parties import wav


@pytest.fixture
async def recordings(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory whose worker is told to stop at the end."""
    directory = tmp_path / "recordings"
    yield directory
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path(directory, 0)))
    except OSError:
        return
    assert isinstance(await news_from(reader), Hello)
    writer.write(frame(Retire(order=1)))
    await reader.read()
    writer.close()


@asynccontextmanager
async def service(recordings: Path, **settings: bool) -> AsyncIterator[tuple[EmbeddedProvider, Events]]:
    async with EmbeddedProvider(recordings, clock=SystemClock(), **settings) as provider:
        yield provider, Events(provider)


async def worker_pid(recordings: Path) -> int:
    """Found from the lock it holds; asking by its socket would take that over."""
    inode = socket_path(recordings, 0).with_suffix(".lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("no worker holds the lock")


async def test_a_service_that_dies_leaves_its_callers_talking_and_finds_them_again(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    incident, legs = new_id(), {Party.VEHICLE: new_id(), Party.OPERATOR: new_id()}
    car, operator = new_peer(1), new_peer(2)
    async with service(recordings) as (first, events):
        await car.call(first, incident=incident, leg=legs[Party.VEHICLE], party=Party.VEHICLE)
        await operator.call(first, incident=incident, leg=legs[Party.OPERATOR], party=Party.OPERATOR)
        await events.until(LegUp, count=2)
        boot = first.boot

    words = car.next_words(after_s=0.3, seconds=2)
    await operator.hears(3)  # nobody but the two of them and the worker
    async with service(recordings) as (second, events):
        up = await second.legs()
        await second.finish(IncidentId(incident))
        done = await events.until(RecordingDone)

    assert second.boot == boot
    assert {leg.leg for leg in up} == set(legs.values())
    assert events.kinds().count("RecordingBegun") == 0
    assert isinstance(done, RecordingDone)
    assert done.duration_ms > 2300  # all that was said; a loaded worker keeps less of the silence
    await operator.leave()
    assert correlate(words, wav(operator.heard), RATE_HZ)[0] >= 0.85


async def test_what_a_service_had_not_taken_is_told_to_the_next(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    incident, leg = new_id(), new_id()
    async with EmbeddedProvider(recordings, clock=SystemClock()) as first:
        await new_peer(1).call(first, incident=incident, leg=leg, party=Party.VEHICLE)
        taken = first.events()
        begun = await anext(taken)  # in hand, and not done with
        await met(lambda: first.knows(LegId(leg)))

    async with service(recordings) as (_, events):
        await events.until(LegUp)

    assert isinstance(begun, RecordingBegun)
    assert events.kinds() == ["RecordingBegun", "LegUp"]


async def test_a_worker_that_is_killed_is_replaced_and_its_recording_sealed_from_the_disk(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    incident, leg, car = IncidentId(new_id()), new_id(), new_peer(1)
    async with service(recordings, outlive=False) as (provider, events):
        await car.call(provider, incident=incident, leg=leg, party=Party.VEHICLE)
        await car.hears(3)
        boot = provider.boot
        os.kill(await worker_pid(recordings), signal.SIGKILL)
        down = await events.until(LegDown)
        left = await events.until(RecordingLeft)
        await new_peer(2).call(provider, incident=incident, leg=leg, party=Party.VEHICLE)
        again = await events.until(LegUp, count=2)
        assert isinstance(left, RecordingLeft)
        unsealed = await provider.unsealed()
        done = await provider.recover(incident, left.recording, KEY)

    assert isinstance(down, LegDown)
    assert (down.leg, down.reason) == (leg, "worker_lost")
    assert again is not None
    assert provider.boot != boot
    assert unsealed == [(incident, left.recording)]
    assert isinstance(done, RecordingDone)
    assert done.duration_ms >= 2000  # 3 s were heard, and at most one second is lost
    first_chunk = min((recordings / incident / left.recording).glob("vehicle-*.chunk"))
    assert read_chunk(first_chunk, KEY).header["track"] == "vehicle"


async def test_a_worker_that_hangs_is_ended_and_replaced(recordings: Path, new_peer: Callable[[int], Peer]) -> None:
    incident, leg = new_id(), new_id()
    async with service(recordings, outlive=False) as (provider, events):
        await new_peer(1).call(provider, incident=incident, leg=leg, party=Party.VEHICLE)
        await events.until(LegUp)
        os.kill(await worker_pid(recordings), signal.SIGSTOP)

        down = await events.until(LegDown, within_s=15)
        legs = await provider.legs()

    assert isinstance(down, LegDown)
    assert down.reason == "worker_lost"
    assert legs == ()


async def test_calls_are_spread_over_the_workers_and_one_lost_costs_only_its_own(
    tmp_path: Path, new_peer: Callable[[int], Peer]
) -> None:
    recordings = tmp_path / "recordings"
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            EmbeddedProvider(recordings, clock=SystemClock(), workers=2, outlive=False)
        )
        events = Events(provider)
        incidents = [IncidentId(new_id()) for _ in range(6)]
        peers = [new_peer(seed) for seed in range(len(incidents))]
        for peer, incident in zip(peers, incidents, strict=True):
            await peer.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
        await events.until(LegUp, count=len(incidents))

        os.kill(await worker_pid(recordings), signal.SIGKILL)
        await events.until(LegDown)
        up = await provider.legs()

    lost = [event for event in events.seen if isinstance(event, LegDown) and event.reason == "worker_lost"]
    assert 0 < len(lost) < len(incidents)
    assert len(up) == len(incidents) - len(lost)


async def test_without_a_worker_a_call_is_unavailable_and_not_for_ever(tmp_path: Path) -> None:
    provider = EmbeddedProvider(tmp_path / "recordings", clock=SystemClock())

    with pytest.raises(Unavailable):
        await provider.legs()


async def test_a_disk_that_fails_under_a_worker_is_told_within_3_seconds_and_the_call_goes_on(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    incident, car, operator = new_id(), new_peer(1), new_peer(2)
    async with service(recordings) as (provider, events):
        await car.call(provider, incident=incident, leg="leg-car", party=Party.VEHICLE)
        await operator.call(provider, incident=incident, leg="leg-operator", party=Party.OPERATOR)
        await events.until(LegUp, count=2)
        written = recordings / incident
        await asyncio.wait_for(met(lambda: any(written.rglob("*.chunk"))), 60)

        shutil.rmtree(written)
        written.write_text("a file where the directory was")
        broken = await events.until(RecordingBroken, within_s=3.0)
        await operator.hears(1)

    assert isinstance(broken, RecordingBroken)
    assert broken.reason in {"NotADirectoryError", "FileNotFoundError"}  # as the directory goes, or after it


async def test_the_service_is_told_ten_times_a_second_how_loud_each_leg_is(
    recordings: Path, new_peer: Callable[[int], Peer]
) -> None:
    told: list[tuple[Level, ...]] = []
    car, operator, incident = new_peer(1), new_peer(2), new_id()
    operator.listen_only()
    async with EmbeddedProvider(recordings, clock=SystemClock(), on_levels=told.append) as provider:
        await car.call(provider, incident=incident, leg="leg-car", party=Party.VEHICLE)
        await operator.call(provider, incident=incident, leg="leg-operator", party=Party.OPERATOR)
        await operator.hears(2)

    loudest = {
        leg: max(level.peak for levels in told for level in levels if level.leg == leg)
        for leg in ("leg-car", "leg-operator")
    }
    assert len(told) >= 10
    assert -40 < loudest["leg-car"] <= 0
    assert loudest["leg-operator"] < -60
