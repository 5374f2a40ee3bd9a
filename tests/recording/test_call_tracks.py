"""Call recordings: sealed chunks that survive a kill at any byte, prove their order and play in any player."""

import io
import json
import random
import shutil
import subprocess
import threading
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import tracks
from recording.durable import write_new
from recording.errors import Malformed, OutOfOrder, Tampered, TooLarge
from recording.opus import MAX_TIMESTAMP, Packet, samples, to_ogg_opus
from recording.tracks import EVENTS, Recorder, duration_ms, pack, read_chunks, read_track, recover, unpack

KEY = bytes(range(32))
STARTED = "2026-11-21T03:04:05.000Z"
SECOND = 48_000


def recorder(directory: Path, *, seconds: float = 0.0) -> Recorder:
    """A recorder to which ``seconds`` of two parties were added and flushed each half second."""
    made = Recorder(directory, "rec-1", KEY, started_at=STARTED)
    for number in range(int(seconds * 50)):
        made.add("vehicle", number * 960, bytes([0xF8, number % 256]) * 5)
        made.add("operator", number * 960 + 480, bytes([0xF8, number % 251]) * 7)
        if number % 25 == 24:
            made.flush()
    return made


def decoded(ogg: bytes) -> np.ndarray:
    with av.open(io.BytesIO(ogg)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1)[0]


def crc(page: bytes) -> int:
    """RFC 3533 6, bit by bit."""
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ 0x04C11DB7 if register & 0x80000000 else register << 1) & 0xFFFFFFFF
    return register


def pages(ogg: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(ogg):
        assert ogg[at : at + 4] == b"OggS"
        count = ogg[at + 26]
        end = at + 27 + count + sum(ogg[at + 27 : at + 27 + count])
        found.append(ogg[at:end])
        at = end
    return found


def test_what_was_recorded_is_read_back_track_by_track(tmp_path):
    made = recorder(tmp_path, seconds=2.5)
    made.mark({"event": "gain", "leg": "vehicle", "gain": 0.5}, timestamp=1_000)
    manifest = made.seal()
    for source in (manifest, None):
        vehicle = read_track(tmp_path, KEY, "vehicle", manifest=source)
        assert [packet.timestamp for packet in vehicle] == [number * 960 for number in range(125)]
        assert vehicle[7].payload == bytes([0xF8, 7]) * 5
        (mark,) = read_track(tmp_path, KEY, EVENTS, manifest=source)
        assert mark.timestamp == 1_000
        assert json.loads(mark.payload)["gain"] == 0.5
    assert read_track(tmp_path, KEY, "nobody", manifest=manifest) == ()
    assert duration_ms(manifest) == (124 * 960 + 480) * 1000 // SECOND


def test_the_manifest_lists_every_file_with_its_digests(tmp_path):
    manifest = recorder(tmp_path, seconds=1.0).seal()
    listed = json.loads(manifest)
    assert listed["recording"] == "rec-1"
    assert not listed["recovered"]
    assert {each["file"] for each in listed["chunks"]} == {path.name for path in tmp_path.glob("*.chunk")}
    chunks = read_chunks(tmp_path, KEY, manifest=manifest)
    for each, chunk in zip(listed["chunks"], chunks, strict=True):
        assert each["sha256"] == sha256((tmp_path / each["file"]).read_bytes()).hexdigest()
        assert each["body_sha256"] == sha256(chunk.body).hexdigest()
        assert each["packets"] == len(unpack(chunk.body)) == 25
    assert (tmp_path / "manifest.json").read_bytes() == manifest


def test_a_chunk_spans_at_most_a_second_however_late_the_flush(tmp_path):
    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    for number in range(500):
        made.add("vehicle", number * 960, b"\xf8")
    assert made.flush() == 10
    assert made.flush() == 0
    assert all(each["last"] - each["first"] < SECOND for each in json.loads(made.seal())["chunks"])


def test_no_payload_lies_open_on_the_disk(tmp_path):
    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    made.add("vehicle", 0, b"words spoken in distress")
    made.mark({"note": "also confidential"})
    made.seal()
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"distress" not in on_disk
    assert b"confidential" not in on_disk


def test_a_sealed_recording_takes_nothing_more_and_seals_once(tmp_path):
    made = recorder(tmp_path, seconds=0.5)
    manifest = made.seal()
    assert made.seal() == manifest
    with pytest.raises(OutOfOrder):
        made.add("vehicle", 1, b"\xf8")
    with pytest.raises(OutOfOrder):
        Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    assert recover(tmp_path, KEY).manifest == manifest


def test_impossible_packets_and_names_are_refused(tmp_path):
    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    for track in ("", "../x", "a/b", "a" * 49):
        with pytest.raises(Malformed):
            made.add(track, 0, b"\xf8")
    for timestamp, payload in ((-1, b"\xf8"), (MAX_TIMESTAMP + 1, b"\xf8"), (0, bytes(61_441))):
        with pytest.raises(TooLarge):
            made.add("vehicle", timestamp, payload)
    assert json.loads(made.seal())["chunks"] == []


def test_a_kill_at_any_byte_costs_the_last_chunk_only(tmp_path):
    source = tmp_path / "source"
    recorder(source, seconds=2.0)
    files = sorted(source.glob("*.chunk"), key=lambda path: path.stem.rsplit("-", 1)[1])
    last = files[-1]
    for length in range(last.stat().st_size):
        directory = tmp_path / "killed"
        shutil.copytree(source, directory)
        with (directory / last.name).open("r+b") as torn:
            torn.truncate(length)
        left = recover(directory, KEY)
        assert left.chunks == len(files) - 1
        assert left.packets == 200 - 25
        assert left.torn == (last.name,)
        assert json.loads(left.manifest)["recovered"]
        shutil.rmtree(directory)


def test_a_recovered_recording_reads_like_any_other_and_recovers_to_the_same_again(tmp_path):
    recorder(tmp_path, seconds=2.0)
    left = recover(tmp_path, KEY)
    assert (left.chunks, left.packets, left.torn, left.missing) == (8, 200, (), ())
    assert len(read_track(tmp_path, KEY, "vehicle", manifest=left.manifest)) == 100
    assert recover(tmp_path, KEY) == left


def test_a_torn_file_is_set_aside_and_not_deleted(tmp_path):
    recorder(tmp_path, seconds=1.0)
    torn = max(tmp_path.glob("*.chunk"), key=lambda path: path.stem.rsplit("-", 1)[1])
    torn.write_bytes(torn.read_bytes()[:-3])
    left = recover(tmp_path, KEY)
    assert (tmp_path / f"{torn.name}.torn").exists()
    assert left.torn == (torn.name,)
    assert len(read_chunks(tmp_path, KEY, manifest=left.manifest)) == left.chunks == 3


def test_a_hole_is_told_and_what_comes_after_it_is_kept(tmp_path):
    recorder(tmp_path, seconds=2.0)
    next(tmp_path.glob("*-000003.chunk")).unlink()
    left = recover(tmp_path, KEY)
    assert left.missing == (3,)
    assert left.chunks == 7
    assert len(read_chunks(tmp_path, KEY, manifest=left.manifest)) == 7


def test_the_wrong_key_recovers_nothing_and_touches_nothing(tmp_path):
    recorder(tmp_path, seconds=1.0)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(Tampered, match="key"):
        recover(tmp_path, bytes(32))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert recover(tmp_path, KEY).chunks == 4


def test_when_even_the_first_chunk_is_torn_the_manifest_still_names_the_recording(tmp_path):
    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    made.add("vehicle", 0, b"\xf8")
    made.flush()
    first = tmp_path / "vehicle-000000.chunk"
    first.write_bytes(first.read_bytes()[:30])
    left = recover(tmp_path, KEY, recording="rec-1", started_at=STARTED)
    assert json.loads(left.manifest)["recording"] == "rec-1"
    assert (left.chunks, left.torn) == (0, (first.name,))


def test_a_running_recording_is_read_as_far_as_it_is_written(tmp_path):
    recorder(tmp_path, seconds=1.0)
    half_written = tmp_path / "vehicle-000003.chunk"
    content = half_written.read_bytes()
    half_written.write_bytes(content[:-5])
    assert len(read_track(tmp_path, KEY, "vehicle")) == 25
    half_written.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Tampered):
        read_track(tmp_path, KEY, "vehicle")


def test_an_empty_directory_is_no_recording(tmp_path):
    with pytest.raises(OutOfOrder):
        recover(tmp_path, KEY)


def test_every_changed_byte_of_a_chunk_is_noticed(tmp_path):
    manifest = recorder(tmp_path, seconds=0.5).seal()
    for path in tmp_path.glob("*.chunk"):
        content = path.read_bytes()
        for offset in range(len(content)):
            spoiled = bytearray(content)
            spoiled[offset] ^= 1 << offset % 8
            path.write_bytes(spoiled)
            with pytest.raises(Tampered):
                read_chunks(tmp_path, KEY, manifest=manifest)
            with pytest.raises(Tampered):
                tracks.read_chunk(path, KEY)
        path.write_bytes(content)
    assert len(read_chunks(tmp_path, KEY, manifest=manifest)) == 2


def test_chunks_cannot_be_swapped_removed_or_borrowed(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    manifest = recorder(one, seconds=1.0).seal()
    recorder(other, seconds=1.0).seal()
    first, third = one / "operator-000000.chunk", one / "operator-000002.chunk"
    kept = first.read_bytes()
    for foreign in (third.read_bytes(), (other / first.name).read_bytes()):
        first.write_bytes(foreign)
        with pytest.raises(Tampered):
            read_chunks(one, KEY, manifest=manifest)
    first.unlink()
    with pytest.raises(Tampered, match="missing"):
        read_chunks(one, KEY, manifest=manifest)
    first.write_bytes(kept)
    with pytest.raises(Tampered):
        read_chunks(one, bytes(32), manifest=manifest)
    assert len(read_chunks(one, KEY, manifest=manifest)) == 4


def test_each_chunk_names_the_one_before_it(tmp_path):
    manifest = recorder(tmp_path, seconds=1.0).seal()
    previous = "0" * 64
    for chunk in read_chunks(tmp_path, KEY, manifest=manifest):
        assert chunk.header["previous"] == previous
        previous = chunk.digest


def test_a_full_disk_loses_nothing_that_the_next_flush_can_write(tmp_path):
    room = [3]

    def disk(path, content):
        if room[0] == 0:
            path.write_bytes(content[:20])
            raise OSError(28, "No space left on device")
        room[0] -= 1
        write_new(path, content)

    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED, write=disk)
    for number in range(200):
        made.add("vehicle", number * 960, b"\xf8")
        made.add("operator", number * 960, b"\xf8")
    with pytest.raises(OSError, match="No space"):
        made.flush()
    room[0] = 1000
    made.add("vehicle", 200 * 960, b"\xf8")
    manifest = made.seal()
    vehicle = read_track(tmp_path, KEY, "vehicle", manifest=manifest)
    assert [packet.timestamp for packet in vehicle] == [number * 960 for number in range(201)]
    assert len(read_track(tmp_path, KEY, "operator", manifest=manifest)) == 200


def test_adding_while_flushing_loses_nothing(tmp_path):
    made = Recorder(tmp_path, "rec-1", KEY, started_at=STARTED)
    done = threading.Event()

    def flush():
        while not done.is_set():
            made.flush()

    thread = threading.Thread(target=flush)
    thread.start()
    for number in range(3_000):
        made.add("vehicle", number * 960, b"\xf8")
    done.set()
    thread.join()
    timestamps = [packet.timestamp for packet in read_track(tmp_path, KEY, "vehicle", manifest=made.seal())]
    assert timestamps == [number * 960 for number in range(3_000)]


@given(packets=st.lists(st.builds(Packet, st.integers(0, 2**63), st.binary(max_size=80)), max_size=20))
def test_a_body_comes_back(packets):
    assert unpack(pack(packets)) == packets


@given(packets=st.lists(st.builds(Packet, st.integers(0, 2**63), st.binary(max_size=20)), min_size=1, max_size=3))
def test_a_stump_of_a_body_is_refused_or_ends_between_packets(packets):
    body = pack(packets)
    ends = {len(pack(packets[:count])) for count in range(len(packets) + 1)}
    for length in range(len(body)):
        if length in ends:
            assert len(unpack(body[:length])) < len(packets)
        else:
            with pytest.raises(Malformed):
                unpack(body[:length])


def test_ogg_pages_have_the_checksum_and_order_of_the_rfc(tone):
    ogg = to_ogg_opus(Packet(4_800 + number * 960, payload) for number, payload in enumerate(tone))
    found = pages(ogg)
    assert [int.from_bytes(page[22:26], "little") for page in found] == [crc(page) for page in found]
    assert [int.from_bytes(page[18:22], "little") for page in found] == list(range(len(found)))
    assert [page[5] for page in found] == [2, *[0] * (len(found) - 2), 4]
    granules = [int.from_bytes(page[6:14], "little") for page in found]
    assert granules == sorted(granules)
    assert granules[-1] == 4_800 + len(tone) * 960


def test_the_sound_is_where_it_was_on_the_timeline(tone):
    start, again = 48_000 + 120 * 3, 4 * 48_000
    packets = [Packet(start + number * 960, payload) for number, payload in enumerate(tone)]
    packets += [Packet(again + number * 960, payload) for number, payload in enumerate(tone)]
    sound = decoded(to_ogg_opus(packets))
    assert abs(len(sound) - (again + len(tone) * 960)) <= 960
    loud = np.abs(sound) > 0.05
    assert abs(int(np.argmax(loud)) - start) < 600  # the codec's own delay is 312 samples
    assert not loud[: start - 480].any()
    assert not loud[start + (len(tone) + 3) * 960 : again - 480].any()
    assert loud[again + 2_000 : again + 40_000].mean() > 0.8


def test_the_packets_in_the_file_are_the_packets_from_the_wire(tone):
    ogg = to_ogg_opus(Packet(number * 960, payload) for number, payload in enumerate(tone))
    with av.open(io.BytesIO(ogg)) as container:
        inside = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert inside == tone


def test_jitter_and_overlap_do_not_add_up(tone):
    generator = random.Random(3)
    packets = [Packet(number * 960 + generator.randrange(-100, 100) + 200, tone[number % 50]) for number in range(500)]
    granule = int.from_bytes(pages(to_ogg_opus(packets))[-1][6:14], "little")
    assert abs(granule - (packets[-1].timestamp + 960)) < 400


def test_what_is_not_opus_becomes_silence_and_a_wild_time_is_refused(tone):
    packets = [Packet(0, tone[0]), Packet(960, b""), Packet(1_920, b"\xff"), Packet(2_880, tone[3])]
    granule = int.from_bytes(pages(to_ogg_opus(packets))[-1][6:14], "little")
    assert granule == 4 * 960
    with pytest.raises(Malformed):
        to_ogg_opus([Packet(MAX_TIMESTAMP + 1, tone[0])])


def test_no_packets_at_all_still_make_a_file():
    assert len(pages(to_ogg_opus([]))) == 3


@pytest.mark.parametrize(
    ("packet", "length"),
    [
        (b"\xf8", 960),
        (b"\xe0", 120),
        (b"\x18", 2880),
        (b"\x60", 480),
        (b"\xf9", 1920),
        (b"\xfb\x03", 2880),
        (b"\x08", 960),
    ],
)
def test_the_first_byte_tells_how_long_a_packet_lasts(packet, length):
    assert samples(packet) == length


@pytest.mark.parametrize("packet", [b"", b"\xfb", b"\xfb\x00", b"\x1b\x03", b"\xfb\x3f"])
def test_a_packet_without_a_possible_length_is_refused(packet):
    with pytest.raises(Malformed):
        samples(packet)


def test_a_large_packet_fits_on_its_page():
    big = b"\xf8" + bytes(60_000)
    found = pages(to_ogg_opus([Packet(0, big), Packet(960, big), Packet(1_920, b"\xf8")]))
    assert [len(page) > 60_000 for page in found] == [False, False, True, True]


def test_ffmpeg_finds_nothing_to_complain_about(tone, tmp_path):
    tool = shutil.which("ffmpeg")
    if tool is None:
        pytest.skip("ffmpeg is not installed")
    (tmp_path / "track.ogg").write_bytes(to_ogg_opus(Packet(7_000 + i * 960, each) for i, each in enumerate(tone)))
    command = [tool, "-v", "warning", "-i", tmp_path / "track.ogg", "-f", "null", "-"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert run.stderr == ""
