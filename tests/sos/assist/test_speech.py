"""The process that speaks: whatever becomes of it, the service goes on, and nothing of what is read is left behind."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from routing.brief import Brief, Language
from routing.brief.spoken import aloud, seconds, speak
from sos.assist.child import NICE
from sos.assist.speech import LANGUAGES, MOST_CHARACTERS, Speech, installed
from sos.assist.synthesiser import LEVEL, RATE_HZ, Spoken, Wanted, read
from sos.calls.port import MOST_SOUND_S, SOUND_RATE_HZ
from sos.clock import SystemClock
from sos.errors import Malformed, Unavailable
from tests.routing.brief.conftest import made
from tests.sos.calls.peers import met

__all__ = ["made"]

STAND_IN = (sys.executable, "-m", "tests.sos.assist.misbehaving")


def speech(*options: str, within_s: float = 20.0) -> Speech:
    return Speech(clock=SystemClock(), within_s=within_s, command=(*STAND_IN, *options))


@pytest.fixture
async def stand_in() -> AsyncIterator[Speech]:
    async with speech() as opened:
        yield opened


async def process_of(speech: Speech) -> int:
    return int((await speech.make("hello", "ja")).split()[0])


async def test_one_process_makes_one_text_after_the_other(stand_in: Speech):
    answers = await asyncio.gather(*(stand_in.make(f"text {number}", "ja") for number in range(20)))

    assert [answer.split(b" ", 1)[1] for answer in answers] == [f"text {number}".encode() for number in range(20)]
    assert len({answer.split()[0] for answer in answers}) == 1


@pytest.mark.parametrize("text", ["die", "garbage", "half"])
async def test_a_process_that_dies_or_talks_nonsense_is_replaced(stand_in: Speech, text: str):
    first = await process_of(stand_in)

    with pytest.raises(Unavailable):
        await stand_in.make(text, "ja")

    assert await process_of(stand_in) != first
    assert not alive(first)


async def test_what_is_said_again_and_again_is_never_taken_for_the_next_text(stand_in: Speech):
    first, flooded = await process_of(stand_in), (await stand_in.make("flood", "ja")).split()[1]

    with pytest.raises(Unavailable, match="nobody asked"):
        await stand_in.make("next", "ja")

    assert flooded == b"again"
    assert (await stand_in.make("after", "ja")).split()[1] == b"after"
    assert not alive(first)


@pytest.mark.parametrize("text", ["fault", "silence"])
async def test_a_speech_that_fails_is_unavailable_and_the_process_stays(stand_in: Speech, text: str):
    first = await process_of(stand_in)

    with pytest.raises(Unavailable):
        await stand_in.make(text, "ja")

    assert await process_of(stand_in) == first


async def test_a_process_that_hangs_is_killed_with_all_it_started(tmp_path: Path):
    note = tmp_path / "pids"
    async with speech(within_s=5) as hanging:
        with pytest.raises(Unavailable, match="too long"):
            await hanging.make(f"hang {note}", "ja")
        child, grandchild = map(int, note.read_text().split())
        await met(lambda: not alive(child) and not alive(grandchild))
        assert hanging.state["speech_ja"] == "degraded"
        assert await process_of(hanging) != child


async def test_whoever_stops_waiting_takes_the_process_with_them_and_leaves_no_answer_to_the_next(tmp_path: Path):
    note = tmp_path / "pids"
    async with speech() as hanging:
        waiting = asyncio.create_task(hanging.make(f"hang {note}", "ja"))
        await met(lambda: note.exists() and len(note.read_text().split()) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert (await hanging.make("next", "ja")).endswith(b" next")


async def test_a_process_that_never_gets_ready_or_is_not_there_is_unavailable():
    for broken in (speech("never-ready", within_s=0.5), Speech(clock=SystemClock(), command=("no-such-program",))):
        async with broken:
            with pytest.raises(Unavailable):
                await broken.make("hello", "ja")


async def test_a_language_that_the_process_does_not_speak_is_off_with_the_way_to_it():
    async with speech("only-ja") as half:
        await half.make("hello", "ja")
        with pytest.raises(Unavailable, match=r"espeak-ng"):
            await half.make("hello", "en")

        assert half.state == {"speech_ja": "ok", "speech_en": "off"}


async def test_a_text_that_is_too_long_is_malformed_before_anything_is_started(stand_in: Speech):
    with pytest.raises(Malformed):
        await stand_in.make("x" * (MOST_CHARACTERS + 1), "ja")


async def test_closing_ends_the_process_and_nothing_is_made_any_more(stand_in: Speech):
    process = await process_of(stand_in)

    await stand_in.__aexit__(None, None, None)

    await met(lambda: not alive(process))
    with pytest.raises(Unavailable):
        await stand_in.make("hello", "ja")


async def test_what_is_installed_is_told_in_the_log_and_started_by_nobody():
    with capture_logs() as logs:
        async with Speech(clock=SystemClock(), command=("no-such-program",)) as opened:
            assert opened.languages == installed()

    assert {(each["event"], each["assist"]) for each in logs} == {
        ("assist_on" if language in installed() else "assist_off", f"speech_{language}") for language in LANGUAGES
    }


def test_what_is_spoken_is_in_no_message_that_could_be_logged():
    secret = "東京都千代田区"

    shown = f"{Wanted(language='ja', text=secret)!r} {Spoken(pcm=secret.encode())!r}"

    assert secret not in shown
    assert secret.encode().hex() not in shown


def test_the_sound_fits_the_port_that_plays_it():
    assert RATE_HZ == SOUND_RATE_HZ
    assert MOST_SOUND_S > 2 * 45 * 1.3 + 15


def test_a_reading_is_as_loud_as_the_notices_whatever_the_voice_gives():
    quiet = read("one\n\ntwo\n", lambda _: np.full(RATE_HZ // 10, 100, np.int16))
    silent = read("one", lambda _: np.zeros(100, np.int16))

    assert np.abs(quiet).max() == LEVEL
    assert 0.2 * RATE_HZ < quiet.size < 1.0 * RATE_HZ
    assert not silent.any()
    assert read("", lambda _: quiet).size < RATE_HZ


# --- real voices ---


def needs(language: str) -> None:
    if language not in installed():
        pytest.skip(f"no voice for {language}: {LANGUAGES[language]}")


@pytest.fixture
async def voice() -> AsyncIterator[Speech]:
    """It gives way to everybody, so how long it takes beside other work says nothing."""
    async with Speech(clock=SystemClock(), within_s=600) as opened:
        yield opened


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_a_brief_is_read_as_long_and_as_loud_as_it_should_be(
    voice: Speech, made: Callable[..., Brief], language: Language
):
    needs(language)
    text = aloud(speak(made(), language))

    pcm = np.frombuffer(await voice.make(text, language), np.int16)

    expected_s = seconds(text, language)
    lasted_s = pcm.size / RATE_HZ
    loud = np.sqrt((pcm.astype(float) ** 2).mean())
    assert 0.7 * expected_s <= lasted_s <= 1.3 * expected_s, (lasted_s, expected_s)
    assert np.abs(pcm).max() in (LEVEL, LEVEL - 1)
    assert 20 * np.log10(loud / 32_768) > -35


@pytest.mark.parametrize("text", ["place: 東京都千代田区", "[[nonsense]] & <voice>", "1-2 3.4 😀", "-v en --stdout"])
@pytest.mark.parametrize("language", ["ja", "en"])
async def test_odd_texts_are_spoken_or_refused_and_the_voice_lives_on(voice: Speech, language: Language, text: str):
    needs(language)

    try:
        assert len(await voice.make(text, language)) > RATE_HZ
    except Unavailable:
        assert await voice.make("test", language)


@pytest.mark.parametrize(("language", "speaker"), [("ja", "sos.assist.synthesiser"), ("en", "espeak-ng")])
async def test_what_is_read_is_in_no_argument_and_no_file_and_gives_way_to_everybody(
    voice: Speech, language: Language, speaker: str
):
    needs(language)
    marker = "zanzibar"

    await voice.make("one", language)  # what it opens before, code and dictionaries, holds nothing of what is read
    process = voice.pid
    assert process is not None
    seen: set[str] = set()
    files: set[str] = set()
    while not any(speaker in arguments for arguments in seen):
        making = asyncio.create_task(voice.make(f"{marker} " * 20, language))
        while not making.done():
            await asyncio.wait((making,), timeout=0.01)
            seen |= {arguments for pid in family(process) if (arguments := command_line(pid))}
            files |= {name for pid in family(process) for name in open_for_writing(pid)}
        assert len(await making) > RATE_HZ

    assert voice.pid == process
    assert not [arguments for arguments in seen if marker in arguments]
    assert files <= {"/dev/null"}
    assert os.getpriority(os.PRIO_PROCESS, process) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)
    assert "core file size 0 0" in " ".join(limits(process).split())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def family(pid: int | None) -> list[int]:
    """A process and its children."""
    if pid is None or not Path(f"/proc/{pid}/task").exists():
        return []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *map(int, children)]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def open_for_writing(pid: int) -> list[str]:
    """Names of files that a process could write to; pipes and sockets are none."""
    found = []
    try:
        for each in Path(f"/proc/{pid}/fdinfo").iterdir():
            flags = int(each.read_text().split("flags:")[1].split()[0], 8)
            name = os.readlink(f"/proc/{pid}/fd/{each.name}")
            if flags & os.O_ACCMODE and name.startswith("/"):
                found.append(name)
    except OSError:
        return found
    return found


def limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text().replace("Max ", "").replace("bytes", "")
