"""A bounded run of ``ops.fuzz``: every decoder and door, with the corpus and a seed; an hour of it is a campaign."""

import time
from pathlib import Path

from ops.fuzz import direct
from ops.fuzz.decoders import Decoder, corpus, decoders
from ops.fuzz.doors import Doors, house
from ops.fuzz.figures import STALL_S, Figures, table
from ops.fuzz.mutate import Mutator
from ops.fuzz.stall import Probe
from sos.errors import Malformed
from tests.wire.fuzz import make

SEED = 20260101


def test_no_input_ends_otherwise_than_documented_or_takes_the_loop():
    figures = Figures()

    for _ in direct.run(decoders(), figures, inputs=30_000, seed=SEED):
        pass

    assert figures.inputs >= 30_000
    assert not figures.failed, table(figures)
    assert not figures.stalls(), table(figures)


async def test_every_door_answers_a_neighbour_is_heard_and_what_was_acknowledged_is_kept(tmp_path: Path):
    figures = Figures()

    async with house(tmp_path) as opened:
        doors = Doors(opened, corpus(), figures, seed=SEED)
        probe = await doors.run(1000)

    outcome = doors.outcome
    assert not figures.failed, table(figures)
    assert len(figures.targets) > 60
    assert (outcome.cries, outcome.unanswered) == (50, 0)
    assert len(outcome.kept) > 1
    assert (outcome.lost, outcome.unfiled) == (0, 0)
    assert probe.longest[0] <= 4 * STALL_S, probe.longest  # a busy machine slows the clock of CPU time as well


def test_a_fault_and_a_stall_are_told_with_what_was_sent():
    def broken(data: bytes) -> object:
        if data == b"stall":
            until = time.thread_time() + 2 * STALL_S
            while time.thread_time() < until:
                pass
        if data == b"refused":
            raise Malformed("as it says")
        return {}[data] if data == b"broken" else None

    figures = Figures()
    known = {"reader": Decoder(read=broken, samples=(b"good", b"refused", b"broken", b"stall"))}
    list(direct.run(known, figures, inputs=4, seed=1))
    told = figures.targets["reader"]

    assert (told.read, told.refused, told.failed) == (2, 1, 1)
    assert [(fault.kind, fault.sent) for fault in figures.faults] == [("KeyError", b"broken")]
    assert figures.faults[0].where.startswith("tests/journeys/test_hostile_input.py:")
    assert figures.stalls()["reader"][1] == b"stall"
    assert "FAULT reader: KeyError" in table(figures)


async def test_the_probe_sees_who_keeps_the_loop():
    async with Probe(lambda: ("culprit", b"input")) as probe:
        until = time.thread_time() + 2 * STALL_S
        while time.thread_time() < until:
            pass

    assert probe.longest[0] >= 2 * STALL_S
    assert probe.longest[1:] == ("culprit", b"input")
    assert probe.lately_s == probe.longest[0]


def test_the_same_seed_makes_the_same_input_within_the_bound():
    first, second, other = Mutator(1), Mutator(1), Mutator(2)
    samples = corpus()["report"]
    made = [first.of(samples, most=1000) for _ in range(200)]

    assert made == [second.of(samples, most=1000) for _ in range(200)]
    assert made != [other.of(samples, most=1000) for _ in range(200)]
    assert max(map(len, made)) <= 1000


def test_the_corpus_is_what_its_script_makes():
    assert {file.name: file.read_bytes() for file in make.HERE.glob("*--*")} == make.files()
