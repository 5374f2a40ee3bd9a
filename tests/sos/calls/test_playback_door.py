"""Who hears a recording, what is on record before it sounds, and that any piece of it is the same piece."""

import io
import wave
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from aiohttp import ClientPayloadError, ClientSession

from recording.tracks import Recorder, chunk_files
from routing.categories import Category
from sos.app import running
from sos.calls.playback import MOST_OF_ONE
from sos.incident.events import PartsRead
from sos.incident.model import Acknowledgement, Disposition, Party
from sos.media import opus
from tests.audio import correlate
from tests.journeys import story as s
from tests.sos.calls.recorded_call import FIRE, RATE_HZ, VOICES, Call, ring, settings, somebody


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Call]:
    async with running(settings(tmp_path)) as service:
        yield await ring(service)


async def sound(session: ClientSession, listening: Mapping[str, Any], ranged: str = "") -> tuple[int, bytes, str]:
    headers = {"Range": ranged} if ranged else {}
    async with session.get(f"/v1/listenings/{listening['listening']}/sound", headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("Content-Range", "")


def pcm(wav: bytes) -> npt.NDArray[np.float64]:
    with wave.open(io.BytesIO(wav)) as opened:
        assert (opened.getframerate(), opened.getnchannels()) == (RATE_HZ, 1)
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2").astype(np.float64)


def voice(track: str, begin_s: float, end_s: float) -> npt.NDArray[np.float64]:
    return VOICES[track][round(begin_s * 48_000) : round(end_s * 48_000)].reshape(-1, 3).mean(axis=1)


async def test_the_purpose_is_on_record_once_before_the_first_byte_and_both_parties_are_heard(call: Call):
    await call.seal()
    async with somebody(call.service, "hanako") as session:
        status, listening = await call.begin(session, "emergency_handling")
        on_record = await call.read()
        _, whole, _ = await sound(session, listening)
        await sound(session, listening, "bytes=0-99")

    assert status == 201
    assert on_record == [
        PartsRead(reader="operator:hanako", categories=(Category.AUD,), purpose="listen:emergency_handling:rec-1")
    ]
    assert await call.read() == on_record
    assert set(listening["parties"]) == set(VOICES)
    heard = pcm(whole)
    assert heard.size == pytest.approx(25 * RATE_HZ, abs=RATE_HZ // 25)
    for track in VOICES:
        score, delay_s = correlate(voice(track, 12, 15), heard, RATE_HZ)
        assert score >= 0.5
        assert delay_s == pytest.approx(12.0, abs=0.05)


async def test_any_range_is_that_piece_of_the_whole_also_while_it_is_still_being_written(call: Call):
    async with somebody(call.service, "hanako") as session:
        _, listening = await call.begin(session, "emergency_handling")
        status, whole, _ = await sound(session, listening)
        assert (status, len(whole)) == (200, 44 + 2 * RATE_HZ * 25)
        for first, last in ((0, 9), (40, 50), (320_040, 320_050), (639_000, 660_000), (700_000, len(whole) - 1)):
            status, piece, where = await sound(session, listening, f"bytes={first}-{last}")
            assert (status, where) == (206, f"bytes {first}-{last}/{len(whole)}")
            assert piece == whole[first : last + 1]
        assert (await sound(session, listening, "bytes=-7"))[1] == whole[-7:]
        assert (await sound(session, listening, "bytes=799000-"))[1] == whole[799_000:]
        assert (await sound(session, listening, f"bytes={len(whole)}-"))[0] == 416
        assert (await sound(session, listening, "bytes=0-1,5-6"))[1] == whole


async def test_marks_say_when_it_was_answered_told_and_taken_over_by_whom(call: Call):
    await call.happen(s.plan(), s.disclose(), s.start_delivery(), s.confirm())
    await call.happen(s.acknowledge(level=Acknowledgement.TAKEN_OVER), s.invite(FIRE, Party.AGENCY, "jp-13-fire"))
    await call.happen(s.join(FIRE, Party.AGENCY, "jp-13-fire"))
    await call.seal()
    async with somebody(call.service, "jiro") as session:
        _, listening = await call.begin(session, "supervision")

    assert [(each["what"], each["who"]) for each in listening["marks"]] == [
        ("vehicle_joined", "vehicle"),
        ("answered", "hanako"),
        ("told", "jp-13-fire"),
        ("agency_taken_over", "jp-13-fire"),
        ("agency_joined", "jp-13-fire"),
    ]
    assert [each["at_ms"] for each in listening["marks"]] == sorted(each["at_ms"] for each in listening["marks"])
    assert all(4_000 <= each["at_ms"] <= 20_000 for each in listening["marks"])


async def test_the_waveform_tells_each_party_apart(call: Call):
    async with somebody(call.service, "hanako") as session:
        _, listening = await call.begin(session, "emergency_handling")
        path = f"/v1/listenings/{listening['listening']}/waveform"
        async with session.get(path, params={"begin_ms": 5_000, "end_ms": 20_000}) as answer:
            waves = await answer.json()
        async with session.get(path, params={"begin_ms": 0, "end_ms": 600_001}) as answer:
            assert answer.status == 400

    assert set(waves) == set(VOICES)
    assert {len(values) for values in waves.values()} == {150}
    assert all(max(values) > -40 for values in waves.values())


async def test_who_begins_many_listenings_ends_their_own_and_nobody_elses(call: Call):
    await call.seal()
    async with somebody(call.service, "jiro") as other, somebody(call.service, "hanako") as session:
        _, others = await call.begin(other, "supervision")
        begun = [(await call.begin(session, "emergency_handling"))[1] for _ in range(MOST_OF_ONE + 1)]
        heard = [(await sound(session, each, "bytes=0-9"))[0] for each in begun]
        (theirs, _, _) = await sound(other, others, "bytes=0-9")

    assert (heard, theirs) == ([404] + [206] * MOST_OF_ONE, 206)


async def test_everybody_else_is_refused_and_nothing_is_on_record(call: Call):
    await call.seal()
    refused: dict[str, int] = {}
    for name in ("stranger", "nobody", "taro", "foreign", "deaf", "hanako", "regulator", "jiro"):
        async with somebody(call.service, name) as session:
            purpose = "supervision" if name == "hanako" else "emergency_handling"
            if name in ("jiro", "regulator"):
                purpose = "review"  # without a reason
            refused[name], _ = await call.begin(session, purpose)
            async with session.get(call.path) as answer:
                refused[f"{name} lists"] = answer.status

    assert refused == {
        "stranger": 403,
        "stranger lists": 403,
        "nobody": 401,
        "nobody lists": 401,
        "taro": 403,
        "taro lists": 403,
        "foreign": 404,
        "foreign lists": 404,
        "deaf": 403,
        "deaf lists": 403,
        "hanako": 409,
        "hanako lists": 200,
        "regulator": 409,
        "regulator lists": 200,
        "jiro": 409,
        "jiro lists": 200,
    }
    assert await call.read() == []


async def test_once_closed_the_operator_hears_no_more_and_who_reviews_says_why(call: Call):
    await call.seal()
    async with (
        somebody(call.service, "hanako") as hanako,
        somebody(call.service, "jiro") as jiro,
        somebody(call.service, "regulator") as regulator,
    ):
        _, before = await call.begin(hanako, "emergency_handling")
        await call.happen(s.close(Disposition.NO_HELP_NEEDED))
        assert (await sound(hanako, before))[0] == 403
        assert (await call.begin(hanako, "review", "curious"))[0] == 403
        assert (await call.begin(jiro, "supervision"))[0] == 409
        assert (await call.begin(regulator, "emergency_handling", "why not"))[0] == 409

        _, reviewed = await call.begin(jiro, "review", "the family asks")
        status, listening = await call.begin(regulator, "request", "case 17")
        assert (await sound(regulator, listening))[0] == 200
        assert (await sound(jiro, listening))[0] == 404
        assert (await sound(jiro, reviewed, "bytes=0-43"))[0] == 206

    assert status == 201
    assert [(each.reader, each.purpose) for each in await call.read()][-2:] == [
        ("operator:jiro", "listen:review:rec-1"),
        ("auditor:regulator", "listen:request:rec-1"),
    ]


async def test_a_damaged_piece_is_refused_in_words_and_the_rest_is_heard(call: Call):
    await call.seal()
    spoilt = next(path for path in reversed(chunk_files(call.place)) if path.name.startswith("vehicle"))
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"x")
    async with somebody(call.service, "hanako") as session:
        _, listening = await call.begin(session, "emergency_handling")
        assert (await sound(session, listening, "bytes=44-999"))[0] == 206
        assert (await sound(session, listening, "bytes=700000-"))[0] == 503
        with pytest.raises(ClientPayloadError):  # it is cut off there, and does not end as if it were all
            await sound(session, listening)


async def test_a_chunk_of_the_same_recording_in_anothers_place_is_not_taken_for_it(call: Call):
    """It opens with the key, but it is not what the manifest lists."""
    await call.seal()
    files = [path for path in chunk_files(call.place) if path.name.startswith("vehicle")]
    again = Recorder(call.place.with_name("again"), "rec-1", await key_of(call), started_at="2026-01-01T09:00:00.000Z")
    for second in range(int(files[0].stem.rpartition("-")[2])):
        again.add("before", second * opus.RATE_HZ, b"\xf8\xff\xfe")
    again.add("vehicle", 0, b"\xf8\xff\xfe")
    again.flush()
    (call.place.with_name("again") / files[0].name).rename(files[0])
    async with somebody(call.service, "hanako") as session:
        _, listening = await call.begin(session, "emergency_handling")
        assert (await sound(session, listening))[0] == 503


async def key_of(call: Call) -> bytes:
    return await call.service.journal.data_key(call.incident, Category.AUD)
