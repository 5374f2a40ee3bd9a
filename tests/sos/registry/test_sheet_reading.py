"""A sheet is read in a process of its own: as in ours, within limits, and the loop turns meanwhile."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from ops.fuzz.stall import Probe
from sos.errors import Malformed
from sos.registry.sheet import MOST_ROWS, read
from sos.registry.sheet_reading import Limits, SheetReading
from tests.sos.registry.conftest import DEMO
from tests.sos.registry.test_sheet_and_import import GOOD, HEAD

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
ROWS = "".join(
    f"demo,JTMZZ3TESTEC{at:05},,C-{at},架空 太郎,+81300001234,sos,2026-01-01,,demo-terms/1\n" for at in range(20_000)
)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + GOOD,
        HEAD + GOOD + "other,JTMZZ3TESTEC00002,,,,,,,,\ndemo,short,,,,,,,,\n" + GOOD,
        HEAD,
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
async def test_a_sheet_is_what_it_would_be_here(text: str, encoding: str):
    content = text.encode(encoding)

    assert await SheetReading().read(content, brands=(DEMO,), now=NOW) == read(content, brands=(DEMO,), now=NOW)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x81", b"brand,colour\n", b'brand,vin\ndemo,"x'])
async def test_what_is_no_sheet_is_refused_in_the_same_words(content: bytes):
    with pytest.raises(Malformed) as here:
        read(content, brands=(DEMO,), now=NOW)
    with pytest.raises(Malformed) as there:
        await SheetReading().read(content, brands=(DEMO,), now=NOW)

    assert (str(there.value), there.value.field) == (str(here.value), here.value.field)


async def test_more_rows_than_one_import_takes_are_refused_before_they_are_all_read():
    content = b"brand,vin\n" + b"demo,x\n" * (MOST_ROWS + 1)

    with pytest.raises(Malformed, match="split it"):
        await SheetReading().read(content, brands=(DEMO,), now=NOW)


@pytest.mark.parametrize(
    "limits",
    [Limits(within=timedelta(seconds=1)), Limits(cpu_s=1), Limits(memory_bytes=256 * 1024 * 1024)],
    ids=["time", "cpu", "memory"],
)
async def test_what_takes_too_much_is_killed_and_refused_in_words(limits: Limits):
    content = (HEAD + ROWS.replace("太郎", "太" * 300)).encode() * 2

    with pytest.raises(Malformed, match="split it"):
        await SheetReading(limits).read(content, brands=(DEMO,), now=NOW)


async def test_the_loop_turns_while_a_large_sheet_is_read():
    content = (HEAD + ROWS * 3).encode()
    begun = time.thread_time()
    read(content, brands=(DEMO,), now=NOW)
    alone = time.thread_time() - begun

    async with Probe() as probe:
        sheet = await SheetReading().read(content, brands=(DEMO,), now=NOW)

    assert sheet.total == 60_000
    assert probe.longest[0] < alone / 8
