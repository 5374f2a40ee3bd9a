"""A helper program that hangs, dies or talks nonsense: whoever asked is told so in time, and the next one starts."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from sos.assist.child import Child, body_length, framed
from sos.assist.transcriber import Said, Written
from sos.clock import ManualClock
from sos.errors import Unavailable

STANDIN = str(Path(__file__).with_name("standin_transcriber.py"))
SECOND = bytes(2 * 16_000)
NUMBERS = count(1)


@asynccontextmanager
async def child(clock: ManualClock, how: str = "", *, within_s: float = 10.0) -> AsyncIterator[Child[Written]]:
    command = (sys.executable, STANDIN, how)
    async with Child(command, Written, clock=clock, ready_within_s=within_s, answer_within_s=within_s) as made:
        yield made


async def asked(made: Child[Written], language: str = "ja") -> str:
    said = Said(n=next(NUMBERS), language=language, pcm=SECOND)
    return (await made.ask(said)).text


async def test_it_is_started_with_the_first_question_and_answers_one_after_the_other(clock: ManualClock) -> None:
    async with child(clock) as made:
        assert made.pid is None
        assert [await asked(made), await asked(made, "en")] == ["ja 1.0 s, 0", "en 1.0 s, 0"]
        assert made.starts == 1
        pid = made.pid

    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


async def test_it_can_be_started_before_anybody_asks(clock: ManualClock) -> None:
    async with child(clock) as made:
        await made.wake()
        pid = made.pid
        await made.wake()

        assert await asked(made) == "ja 1.0 s, 0"
        assert (made.pid, made.starts) == (pid, 1)


@pytest.mark.parametrize("how", ["die", "garbage", "huge", "nonsense", "another"])
async def test_one_that_dies_or_talks_nonsense_is_replaced(clock: ManualClock, how: str) -> None:
    async with child(clock) as made:
        assert await asked(made) == "ja 1.0 s, 0"
        first = made.pid

        with pytest.raises(Unavailable, match="died"):
            await asked(made, how)

        assert not made.well
        assert await asked(made) == "ja 1.0 s, 0"
        assert made.well
        assert made.pid != first
        assert not Path(f"/proc/{first}").exists()


async def test_one_that_hangs_is_killed_in_time(clock: ManualClock) -> None:
    async with child(clock) as made:
        await asked(made)
        hung, made._answer_within_s = made.pid, 0.2

        with pytest.raises(Unavailable, match="too long"):
            await asked(made, "hang")

        assert not Path(f"/proc/{hung}").exists()


async def test_one_that_never_gets_ready_is_killed_in_time(clock: ManualClock) -> None:
    async with child(clock, "never_ready", within_s=0.3) as made:
        with pytest.raises(Unavailable, match="too long"):
            await asked(made)
        assert made.pid is None


async def test_one_that_fails_again_and_again_rests_before_it_is_started_anew(clock: ManualClock) -> None:
    async with child(clock, "dies_at_once") as made:
        for _ in range(2):
            with pytest.raises(Unavailable, match="died"):
                await asked(made)
        for _ in range(5):
            with pytest.raises(Unavailable, match="rests"):
                await asked(made)
        assert made.starts == 2

        await clock.advance(timedelta(minutes=3))
        with pytest.raises(Unavailable, match="died"):
            await asked(made)
        assert made.starts == 3


async def test_a_program_that_is_not_there_is_no_more_than_unavailable(clock: ManualClock) -> None:
    missing = Child(("/nowhere/at-all",), Written, clock=clock, ready_within_s=5, answer_within_s=5)

    with pytest.raises(Unavailable, match="cannot be started"):
        await missing.ask(Said(n=1, language="ja", pcm=SECOND))


def test_a_frame_that_no_message_is_as_long_as_is_refused() -> None:
    assert body_length(framed(Written(text="はい"))[:4]) == len(framed(Written(text="はい"))) - 4
    with pytest.raises(ValueError, match="longer"):
        body_length(b"\x7f\xff\xff\xff")


def test_what_is_said_stands_in_no_representation() -> None:
    assert "secret" not in repr(Written(text="a secret"))
    assert repr(Said(n=1, language="ja", pcm=b"secret")) == "Said('ja', 6 bytes)"
