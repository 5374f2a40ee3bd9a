"""A recording heard while it is written: whatever a kill left, everything complete is read and nothing is invented."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording.durable import write_new
from recording.errors import Tampered
from recording.opus import RATE_HZ, Packet
from recording.tail import LATE_SAMPLES, Tail, marks, newest, tail, tracks_of
from recording.tracks import EVENTS, Recorder, chunk_files, recover, unpack

KEY = bytes(range(32))
STARTED = "2026-11-21T03:04:05.000Z"
TRACKS = ("vehicle", "operator-1", "agency-2")


class PulledPlug(Exception):
    """The machine has lost its power."""


class Disk:
    """Keeps what is written until ``bytes_left`` are used up; then the last file is torn there and nothing follows."""

    def __init__(self, bytes_left: int) -> None:
        self.bytes_left = bytes_left
        self.complete: list[str] = []

    def write(self, path: Path, content: bytes) -> None:
        if self.bytes_left < len(content):
            write_new(path, content[: self.bytes_left])
            self.bytes_left = 0
            raise PulledPlug
        self.bytes_left -= len(content)
        write_new(path, content)
        self.complete.append(path.name)


def packets_of(chunks) -> dict[str, list[Packet]]:
    found: dict[str, list[Packet]] = {}
    for chunk in chunks:
        found.setdefault(chunk.header["track"], []).extend(unpack(chunk.body))
    return found


def talk(made: Recorder, *, begin: int, packets: int) -> None:
    """So many packets of 20 ms of everybody, after sample ``begin``."""
    for number in range(packets):
        for offset, track in enumerate(TRACKS):
            made.add(track, begin + number * 960 + offset, bytes([offset, number % 256]) * 3)


def recorded(directory: Path, *, seconds: int) -> Recorder:
    """Three parties, flushed each half second, with a mark each second."""
    made = Recorder(directory, "rec-1", KEY, started_at=STARTED)
    for half in range(2 * seconds):
        talk(made, begin=half * 24_000, packets=25)
        if half % 2 == 0:
            made.mark({"what": "up", "n": half}, timestamp=half * 24_000)
        made.flush()
    return made


def test_what_is_added_is_read_as_it_is_flushed(tmp_path):
    made = Recorder(tmp_path / "r", "rec-1", KEY, started_at=STARTED)
    follower = Tail(tmp_path / "r", KEY)
    assert follower.read() == []
    seen: dict[str, list[Packet]] = {}
    for half in range(6):
        talk(made, begin=half * 24_000, packets=25)
        assert follower.read() == []
        made.flush()
        for track, packets in packets_of(follower.read()).items():
            seen.setdefault(track, []).extend(packets)
    made.seal()

    assert follower.read() == []
    assert {track: len(packets) for track, packets in seen.items()} == dict.fromkeys(TRACKS, 150)
    assert [packet.timestamp for packet in seen["vehicle"]] == [number * 960 for number in range(150)]


def test_a_recording_that_has_no_directory_yet_is_empty(tmp_path):
    absent = tmp_path / "absent"

    assert Tail(absent, KEY).read() == []
    assert (newest(absent), marks(absent, KEY), tracks_of(absent)) == (0, (), frozenset())
    assert tail(absent, KEY, "vehicle", since=0) == ()


@pytest.mark.parametrize("sealed", [False, True])
def test_the_last_seconds_of_a_long_call_are_had_without_opening_the_rest(tmp_path, sealed):
    made = recorded(tmp_path, seconds=30)
    if sealed:
        made.seal()
    since = 28 * RATE_HZ

    heard = tail(tmp_path, KEY, "vehicle", since=since, until=29 * RATE_HZ)
    opened = Tail(tmp_path, KEY, since=since).read()

    assert [packet.timestamp for packet in heard] == list(range(since, 29 * RATE_HZ, 960))
    assert min(chunk.header["first"] for chunk in opened) >= since - LATE_SAMPLES - RATE_HZ
    assert newest(tmp_path) == 30 * RATE_HZ - 960 + 2
    assert [json.loads(mark.payload)["n"] for mark in marks(tmp_path, KEY)] == list(range(0, 60, 2))
    assert tracks_of(tmp_path) == {*TRACKS, EVENTS}


@settings(max_examples=150, deadline=None)
@given(
    halves=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    killed_at=st.integers(0, 12_000),
    since_s=st.floats(0, 4),
    looks=st.sets(st.integers(0, 5)),
)
def test_killed_at_any_byte_everything_complete_is_read_and_nothing_is_invented(halves, killed_at, since_s, looks):
    disk, given_packets = Disk(killed_at), []
    with TemporaryDirectory() as place:
        directory = Path(place) / "r"
        follower, followed = Tail(directory, KEY), []
        try:
            made = Recorder(directory, "rec-1", KEY, started_at=STARTED, write=disk.write)
            for half, packets in enumerate(halves):
                talk(made, begin=half * 24_000, packets=packets)
                given_packets += [half * 24_000 + number * 960 for number in range(packets)]
                made.flush()
                if half in looks:
                    followed += follower.read()
        except PulledPlug:
            pass
        followed += follower.read()
        whole = [path for path in chunk_files(directory) if path.name in disk.complete]
        since = round(since_s * RATE_HZ)
        heard = tail(directory, KEY, "vehicle", since=since)

    assert [chunk.header["seq"] for chunk in followed] == list(range(len(whole))) == list(range(len(disk.complete)))
    read = [packet.timestamp for packet in packets_of(followed).get("vehicle", [])]
    assert read == given_packets[: len(read)]
    assert [packet.timestamp for packet in heard] == [each for each in read if each >= since]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_noticed_and_nothing_after_it_is_given(data):
    with TemporaryDirectory() as place:
        directory = Path(place) / "r"
        recorded(directory, seconds=2)
        files = chunk_files(directory)
        victim = data.draw(st.integers(0, len(files) - 1))
        content = bytearray(files[victim].read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        files[victim].write_bytes(content)
        follower = Tail(directory, KEY)
        if victim == len(files) - 1:  # it may look like one that is being written, and is never given
            read = _read_or_nothing(follower)
            assert len(read) in (0, victim)
        else:
            with pytest.raises(Tampered):
                follower.read()


def _read_or_nothing(follower: Tail) -> list:
    try:
        return follower.read()
    except Tampered:
        return []


@pytest.mark.parametrize("change", ["taken out", "swapped", "borrowed"])
def test_chunks_cannot_be_taken_out_swapped_or_borrowed(tmp_path, change):
    recorded(tmp_path / "one", seconds=2)
    recorded(tmp_path / "other", seconds=2)
    third = chunk_files(tmp_path / "one")[3]
    if change == "taken out":
        third.unlink()
    elif change == "swapped":
        third.write_bytes(chunk_files(tmp_path / "one")[7].read_bytes())
    else:  # the same number and track of another recording under the same key
        shutil.copy(tmp_path / "other" / third.name, third)

    with pytest.raises(Tampered):
        Tail(tmp_path / "one", KEY).read()


def test_the_wrong_key_hears_nothing(tmp_path):
    recorded(tmp_path, seconds=1)

    with pytest.raises(Tampered):
        Tail(tmp_path, bytes(32)).read()
    with pytest.raises(Tampered):
        marks(tmp_path, bytes(32))


def test_what_a_killed_writer_left_is_heard_after_its_recovery_with_the_hole_that_its_manifest_names(tmp_path):
    recorded(tmp_path, seconds=4)
    lost = chunk_files(tmp_path)[5]
    lost.write_bytes(lost.read_bytes()[:-9])
    with pytest.raises(Tampered, match="torn"):
        Tail(tmp_path, KEY).read()

    left = recover(tmp_path, KEY)
    chunks = Tail(tmp_path, KEY).read()

    assert left.missing == (5,)
    assert len(chunks) == left.chunks


def test_a_file_that_becomes_whole_while_it_is_looked_at_is_read_the_next_time(tmp_path):
    recorded(tmp_path, seconds=1)
    last = chunk_files(tmp_path)[-1]
    content = last.read_bytes()
    last.write_bytes(content[:-1])
    follower = Tail(tmp_path, KEY)

    before = follower.read()
    last.write_bytes(content)
    after = follower.read()

    assert [chunk.header["seq"] for chunk in (*before, *after)] == list(range(len(chunk_files(tmp_path))))
    assert len(after) == 1
