"""Run it: ``python -m ops.fuzz --inputs 1000000 --seed 1``.  A table at the end; 1 when anything failed or stalled."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from ops.fuzz import direct
from ops.fuzz.decoders import corpus, decoders
from ops.fuzz.doors import Doors, house
from ops.fuzz.figures import STALL_S, Figures, quantile, table
from ops.fuzz.stall import baseline
from sos.interpreter import spare_the_loop


def main() -> int:
    chosen = _arguments()
    _quiet()
    figures, begun = Figures(), time.monotonic()
    through_doors = round(chosen.inputs * chosen.doors)
    known = decoders()
    spare_the_loop()  # as the service is
    for done in direct.run(known, figures, inputs=chosen.inputs - through_doors, seed=chosen.seed):
        if done % 20_000 == 0:
            _tell(f"{done:,} inputs in {time.monotonic() - begun:.0f} s, {figures.failed} failed")
    sound = asyncio.run(_doors(figures, inputs=through_doors, seed=chosen.seed)) if through_doors else True
    print(table(figures))
    for name, (cpu_s, sent) in figures.stalls().items():
        print(f"STALL {name}: {1000 * cpu_s:.0f} ms for {len(sent):,} bytes, beginning {sent[:60]!r}")
    _keep(figures, chosen.keep)
    print(f"{figures.inputs:,} inputs, seed {chosen.seed}, {time.monotonic() - begun:.0f} s")
    return 0 if sound and not figures.failed and not figures.stalls() else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--doors", type=float, default=0.02, help="share of the inputs that goes through whole doors")
    parser.add_argument("--keep", type=Path, help="a directory for inputs that failed or stalled")
    return parser.parse_args()


async def _doors(figures: Figures, *, inputs: int, seed: int) -> bool:
    """Whether everything acknowledged was kept, every neighbour heard, and the loop never kept from its next turn."""
    idle = await baseline()
    with tempfile.TemporaryDirectory() as data:
        async with house(Path(data)) as opened:
            doors = Doors(opened, corpus(), figures, seed=seed)
            probe = await doors.run(inputs, told=lambda done: _tell(f"{done:,} inputs through the doors"))
    outcome, (longest_s, target, sent) = doors.outcome, probe.longest
    print(
        f"probe: {len(probe.own_s):,} turns; longest time of our own between two {1000 * longest_s:.1f} ms (p99.9 "
        f"{1000 * quantile(probe.own_s, 0.999):.1f}), of the whole process {1000 * probe.process_s:.1f}; waited "
        f"{1000 * max(probe.wall_s):.1f} ms at most, on the idle loop before {1000 * max(idle.wall_s):.1f}\n"
        f"longest at {target}: {sent[:80]!r}\n"
        f"neighbour: {outcome.cries} cries, {outcome.unanswered} unanswered, slowest {outcome.slowest_cry_s:.2f} s\n"
        f"acknowledged: {len(outcome.kept)} incidents, {outcome.lost} lost, {outcome.unfiled} not filed"
    )
    return longest_s <= STALL_S and not (outcome.unanswered or outcome.lost or outcome.unfiled)


def _keep(figures: Figures, directory: Path | None) -> None:
    if directory is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    for fault in figures.faults:
        (directory / fault.name.replace("/", "_").replace(" ", "_")).write_bytes(fault.sent)
    for name, (_, sent) in figures.stalls().items():
        (directory / f"stall--{name}".replace("/", "_").replace(" ", "_")).write_bytes(sent)


def _quiet() -> None:
    """What the service says to each refused input is not what this run is about."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
