"""Inputs into decoders, one after another, each timed with the thread's own clock: what it takes, the loop is stalled.

The thread's CPU time and not the wall's, so that a busy machine says nothing about a reader.
"""

import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.fuzz.decoders import ROOT, Decoder, weighted
from ops.fuzz.figures import STALL_S, Figures
from ops.fuzz.mutate import Mutator

AGAIN = 3
"""Times that an input which took too long is tried again."""


def run(known: Mapping[str, Decoder], figures: Figures, *, inputs: int, seed: int) -> Iterator[int]:
    """Every sample once as it is, then made ones up to ``inputs``; yields how many are done, now and then."""
    mutator, names = Mutator(seed), weighted(known)
    done = 0
    for name, decoder in known.items():
        for sample in decoder.samples:
            one(name, decoder, sample[: decoder.most], figures)
            done += 1
    while done < inputs:
        name = names[mutator.whole(len(names))]
        decoder = known[name]
        one(name, decoder, mutator.of(decoder.samples, most=decoder.most), figures)
        done += 1
        if done % 1000 == 0:
            yield done
    yield done


def one(name: str, decoder: Decoder, data: bytes, figures: Figures) -> None:
    took, failed = _timed(decoder, data)
    for _ in range(AGAIN):  # a hiccup of the machine does not come again
        if took > STALL_S:
            took = min(took, _timed(decoder, data)[0])
    figures.took(name, took, data)
    if failed is None:
        figures.of(name).read += 1
    elif isinstance(failed, decoder.refuses):
        figures.of(name).refused += 1
    else:
        figures.fault(name, type(failed).__name__, place(failed), data)


def _timed(decoder: Decoder, data: bytes) -> tuple[float, Exception | None]:
    begun = time.thread_time()
    try:
        decoder.read(data)
    except Exception as failed:  # noqa: BLE001  what we are looking for, or a refusal
        return time.thread_time() - begun, failed
    return time.thread_time() - begun, None


def place(fault: BaseException) -> str:
    """The last line of ours that it went through."""
    ours = [
        f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}"
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename.startswith(str(ROOT)) and "/.venv/" not in frame.filename
    ]
    return ours[-1] if ours else "?"
