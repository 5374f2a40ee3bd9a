"""The embedded provider when things go wrong: a failing disk, a full house, callers that never come, a third party."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from recording.opus import RATE_HZ
from recording.tracks import recover
from sos.calls.adapters.capture import Recorder
from sos.calls.adapters.embedded import EmbeddedProvider, disk_recorder
from sos.calls.port import LegDown, LegUp, RecordingBegun, RecordingBroken, RecordingDone
from sos.clock import ManualClock, SystemClock
from sos.errors import Malformed, Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.audio import correlate
from tests.sos.calls.peers import KEY, Events, Peer, met
from tests.sos.calls.test_two_parties import wav


class FailingRecorder:
    """A disk that fails (``flush`` raises) or, with ``gate``, one that never answers until it is opened."""

    def __init__(self, gate: Event | None) -> None:
        self._gate = gate

    def add(self, track: str, timestamp: int, payload: bytes) -> None: ...

    def mark(self, event: dict[str, object], *, timestamp: int | None = None) -> None: ...

    def flush(self) -> int:
        if self._gate is None:
            raise OSError(28, "No space left on device")
        self._gate.wait(30)
        return 0

    def seal(self) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("reason", ["OSError", "stalled"])
async def test_a_recorder_that_fails_or_stalls_is_told_within_3_seconds_and_the_call_goes_on(
    tmp_path: Path, new_peer: Callable[[int], Peer], reason: str
) -> None:
    gate = Event() if reason == "stalled" else None

    def recorder(directory: Path, recording: str, key: bytes, started_at: str) -> Recorder:
        return FailingRecorder(gate)

    async with EmbeddedProvider(tmp_path, clock=SystemClock(), recorder=recorder) as provider:
        events, incident = Events(provider), new_id()
        car, operator = new_peer(1), new_peer(2)
        await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
        begun = await events.until(RecordingBegun)
        broken = await events.until(RecordingBroken, within_s=3.0)
        await operator.call(provider, incident=incident, leg=new_id(), party=Party.OPERATOR)
        await events.until(LegUp, party=Party.OPERATOR)
        words = car.next_words(after_s=0.3, seconds=2)
        await operator.hears(3)
        await provider.finish(IncidentId(incident))
        if gate is not None:
            gate.set()
    await events.ended()
    await operator.leave()

    assert isinstance(begun, RecordingBegun)
    assert broken == RecordingBroken(incident=IncidentId(incident), recording=begun.recording, reason=reason)
    assert events.kinds().count("RecordingBroken") == 1
    assert "RecordingDone" not in events.kinds()
    assert correlate(words, wav(operator.heard), RATE_HZ)[0] >= 0.85


async def test_three_parties_each_hear_the_other_two_and_two_go_on_when_one_leaves(
    provider: EmbeddedProvider, new_peer: Callable[[int], Peer]
) -> None:
    events, incident = Events(provider), new_id()
    parties = {Party.VEHICLE: new_peer(1), Party.OPERATOR: new_peer(2), Party.AGENCY: new_peer(3)}
    legs = {party: LegId(new_id()) for party in parties}
    for party, peer in parties.items():
        await peer.call(provider, incident=incident, leg=legs[party], party=party)
        await events.until(LegUp, party=party)
    words = {party: peer.next_words(after_s=0.3, seconds=3) for party, peer in parties.items()}
    await parties[Party.VEHICLE].hears(4)
    await provider.end(legs[Party.OPERATOR])
    later = parties[Party.VEHICLE].next_words(after_s=0.3, seconds=2)
    await parties[Party.AGENCY].hears(3)
    for peer in parties.values():
        await peer.leave()

    heard = {party: wav(peer.heard) for party, peer in parties.items()}
    for listener in parties:
        scores = {party: correlate(words[party], heard[listener], RATE_HZ)[0] for party in parties}
        own = scores.pop(listener)
        # Two equally loud voices in one mix can reach 0.71 each, less what coding them together costs.
        assert min(scores.values()) > 0.3
        assert own < 0.2
    assert correlate(later, heard[Party.AGENCY], RATE_HZ)[0] >= 0.85


async def test_an_offer_whose_sender_never_comes_is_cleaned_up_after_15_seconds(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with EmbeddedProvider(tmp_path, clock=clock) as provider:
        events, ghost, leg = Events(provider), Peer(tmp_path, seed=1, seconds=1), LegId(new_id())
        await provider.accept(
            incident=IncidentId(new_id()),
            leg=leg,
            party=Party.VEHICLE,
            who="vehicle",
            offer=await ghost.offer(),
            key=KEY,
        )
        await clock.advance(timedelta(seconds=14))
        early = list(events.seen)
        await clock.advance(timedelta(seconds=2))
        down = await events.until(LegDown, leg=leg)
        await ghost.leave()

    assert early == []
    assert isinstance(down, LegDown)
    assert down.reason == "failed"
    assert "RecordingBegun" not in events.kinds()


async def test_a_conference_without_anybody_is_sealed_after_5_seconds(tmp_path: Path, clock: ManualClock) -> None:
    async with EmbeddedProvider(tmp_path / "recordings", clock=clock) as provider:
        events, car, incident, leg = Events(provider), Peer(tmp_path, seed=1), new_id(), LegId(new_id())
        await car.call(provider, incident=incident, leg=leg, party=Party.VEHICLE)
        await events.until(LegUp)
        await car.hears(0.5)
        await provider.end(leg)
        await clock.advance(timedelta(seconds=4))
        still_open = "RecordingDone" not in events.kinds()
        await clock.advance(timedelta(seconds=2))
        done = await events.until(RecordingDone)
        await car.leave()

    assert still_open
    assert isinstance(done, RecordingDone)
    assert done.chunks > 0
    assert provider.unsealed() == []


async def test_more_legs_than_a_conference_holds_are_refused_as_unavailable(
    tmp_path: Path, new_peer: Callable[[int], Peer]
) -> None:
    async with EmbeddedProvider(tmp_path, clock=SystemClock(), most_conferences=1, most_legs=1) as provider:
        incident = new_id()
        await new_peer(1).call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)

        for other in (incident, new_id()):
            with pytest.raises(Unavailable):
                await new_peer(2).call(provider, incident=other, leg=new_id(), party=Party.OPERATOR)


async def test_ids_that_could_name_another_directory_are_refused(
    provider: EmbeddedProvider, new_peer: Callable[[int], Peer]
) -> None:
    for incident, leg in (("../x", new_id()), (new_id(), "a/b"), (new_id(), ""), ("a" * 37, new_id())):
        with pytest.raises(Malformed):
            await new_peer(1).call(provider, incident=incident, leg=leg, party=Party.VEHICLE)


async def test_what_a_killed_process_left_is_found_and_can_be_sealed(
    tmp_path: Path, new_peer: Callable[[int], Peer]
) -> None:
    recorders: list[Recorder] = []

    def keeping(directory: Path, recording: str, key: bytes, started_at: str) -> Recorder:
        recorders.append(disk_recorder(directory, recording, key, started_at))
        return recorders[-1]

    killed = await EmbeddedProvider(tmp_path, clock=SystemClock(), recorder=keeping).__aenter__()
    events, incident, car = Events(killed), new_id(), new_peer(1)
    await car.call(killed, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await car.hears(2)
    running = killed.unsealed()
    found = EmbeddedProvider(tmp_path, clock=SystemClock()).unsealed()
    recovered = recover(found[0][2], KEY)
    begun = await events.until(RecordingBegun)
    await killed.__aexit__(None, None, None)

    assert running == []
    assert isinstance(begun, RecordingBegun)
    assert [(each, recording) for each, recording, _ in found] == [(incident, begun.recording)]
    assert recovered.packets > 50
    assert EmbeddedProvider(tmp_path, clock=SystemClock()).unsealed() == []


async def test_a_flood_of_packets_from_one_party_is_cut_to_what_a_sender_can_mean(
    provider: EmbeddedProvider, new_peer: Callable[[int], Peer]
) -> None:
    events, incident, car, leg = Events(provider), IncidentId(new_id()), new_peer(1), LegId(new_id())
    await car.call(provider, incident=incident, leg=leg, party=Party.VEHICLE)
    await events.until(LegUp)
    link = provider._conferences[incident].seats[leg].link
    packet = type("Rtp", (), {"payload_type": link._payload_type, "payload": b"\xf8\xff\xfe", "timestamp": 0})()

    before = link.received
    for number in range(10_000):
        packet.sequence_number = number % 65_536
        link._take(packet)

    assert link.received - before <= 200
    await asyncio.wait_for(met(lambda: link._budget > 100), 3)
    assert np.isfinite(link.lost)
