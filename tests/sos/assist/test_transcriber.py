"""The program that writes along, with a library that dreams, prints and fails in the place of the real one."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from sos.assist.child import Child
from sos.assist.transcriber import MOST_CHARACTERS, Said, Written
from sos.clock import ManualClock

LIBRARY = Path(__file__).with_name("standin_library")
SOUND = np.full(16_000, 16_384, "<i2").tobytes()


@pytest.fixture
async def writer(clock: ManualClock, tmp_path: Path) -> AsyncIterator[Child[Written]]:
    program = (sys.executable, "-m", "sos.assist.transcriber", str(tmp_path))
    command = ("/usr/bin/env", f"PYTHONPATH={LIBRARY}", *program)
    async with Child(command, Written, clock=clock, ready_within_s=30, answer_within_s=30) as opened:
        yield opened


async def test_what_was_said_is_written_in_its_language_and_an_unknown_one_is_the_house_s(writer: Child[Written]):
    assert await writer.ask(Said(n=1, language="en", pcm=SOUND)) == Written(n=1, text="en 16000 0.50 and more")
    assert await writer.ask(Said(n=2, language="tlh", pcm=SOUND)) == Written(n=2, text="ja 16000 0.50 and more")


@pytest.mark.parametrize("dream", ["silence", "guess", "again"])
async def test_what_a_machine_dreams_of_silence_is_left_out(writer: Child[Written], dream: str):
    assert (await writer.ask(Said(n=1, language=dream, pcm=SOUND))).text == f"{dream} 16000 0.50"


async def test_a_failure_is_told_by_its_kind_alone_and_the_next_utterance_is_written(writer: Child[Written]):
    assert await writer.ask(Said(n=1, language="fails", pcm=SOUND)) == Written(n=1, fault="RuntimeError")
    assert len((await writer.ask(Said(n=2, language="long", pcm=SOUND))).text) == MOST_CHARACTERS
    assert writer.starts == 1


async def test_it_gives_way_to_everything_else_and_leaves_no_core(writer: Child[Written]):
    await writer.ask(Said(n=1, language="ja", pcm=SOUND))

    status = Path(f"/proc/{writer.pid}/stat").read_text().rpartition(")")[2].split()
    limits = Path(f"/proc/{writer.pid}/limits").read_text()

    assert int(status[16]) >= 15
    assert next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core")) == "0"
