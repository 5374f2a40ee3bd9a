"""The vehicle and the operator really talk: sound both ways, recorded as each party sent it."""

import wave
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import numpy as np

from recording.opus import RATE_HZ, to_ogg_opus
from recording.tracks import read_track
from sos.calls.adapters.embedded.media_server import MediaServer
from sos.calls.port import LegDown, LegUp, RecordingBegun, RecordingDone
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.audio import correlate
from tests.sos.calls.peers import KEY, Events, Peer


def wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def decoded(ogg: bytes) -> np.ndarray:
    with av.open(BytesIO(ogg)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate([frame.reshape(-1, frame.shape[-1])[0] for frame in frames])


async def test_both_parties_hear_each_other_and_the_recording_holds_what_each_sent(
    provider: MediaServer, new_peer: Callable[[int], Peer], tmp_path: Path
) -> None:
    events, incident = Events(provider), new_id()
    car, operator = new_peer(1), new_peer(2)
    desk = new_id()

    await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await events.until(LegUp, party=Party.VEHICLE)
    await operator.call(provider, incident=incident, leg=desk, party=Party.OPERATOR)
    await events.until(LegUp, party=Party.OPERATOR)
    await operator.hears(5)
    await provider.finish(IncidentId(incident))
    done = await events.until(RecordingDone)
    await car.leave()
    await operator.leave()

    # A stretch from when both were talking: each said it once, so it must be found in what the other heard.
    to_operator, _ = correlate(car.said[2 * RATE_HZ : 4 * RATE_HZ], wav(operator.heard), RATE_HZ)
    to_car, _ = correlate(operator.said[1 * RATE_HZ : 4 * RATE_HZ], wav(car.heard), RATE_HZ)
    assert to_operator >= 0.85
    assert to_car >= 0.85
    assert isinstance(done, RecordingDone)
    directory = tmp_path / "recordings" / incident / done.recording
    lags = []
    for track, said in (("vehicle", car.said), (f"operator-{desk}", operator.said)):
        packets = read_track(directory, KEY, track, manifest=done.manifest)
        score, lag = correlate(said[RATE_HZ : 4 * RATE_HZ], decoded(to_ogg_opus(packets)), RATE_HZ)
        assert score >= 0.85
        lags.append(lag)
    assert lags[1] > lags[0]
    assert 4_000 < done.duration_ms < 20_000
    assert events.kinds()[:3] == ["RecordingBegun", "LegUp", "LegUp"]
    assert [event.reason for event in events.seen if isinstance(event, LegDown)] == ["ended", "ended"]
    assert done.recording == events.seen[0].recording if isinstance(events.seen[0], RecordingBegun) else False


async def test_a_party_alone_hears_the_comfort_tone_and_not_silence(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    car = new_peer(3)

    await car.call(provider, incident=new_id(), leg=new_id(), party=Party.VEHICLE)
    await car.hears(3.5)
    await car.leave()

    seconds = wav(car.heard)[-3 * RATE_HZ :].reshape(-1, RATE_HZ // 10).astype(float)
    loudness = np.sqrt((seconds**2).mean(axis=1))
    assert loudness.min() > 5
    assert 300 < loudness.max() < 3_000


async def test_one_party_hangs_up_and_the_other_goes_back_to_the_comfort_tone(
    provider: MediaServer, new_peer: Callable[[int], Peer]
) -> None:
    events, incident = Events(provider), new_id()
    car, operator, desk = new_peer(4), new_peer(5), LegId(new_id())
    await car.call(provider, incident=incident, leg=new_id(), party=Party.VEHICLE)
    await operator.call(provider, incident=incident, leg=desk, party=Party.OPERATOR)
    await events.until(LegUp, count=2)

    await provider.end(desk)
    await provider.end(desk)
    await events.until(LegDown, leg=desk, reason="ended")
    await car.hears(4)
    await car.leave()

    last = wav(car.heard)[-3 * RATE_HZ :].reshape(-1, RATE_HZ // 10).astype(float)
    assert np.sqrt((last**2).mean(axis=1)).min() > 5
    assert [up.party for up in await provider.legs()] == [Party.VEHICLE]
