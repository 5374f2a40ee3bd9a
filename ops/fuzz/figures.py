"""What a run has found: per target how many were read, refused and failed, and how long the longest took."""

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STALL_S = 0.050
"""Nothing may keep the loop for longer."""

MOST_FAULTS = 50
"""Faults kept in full; of more only the number is told."""


@dataclass(frozen=True)
class Fault:
    """One input that ended otherwise than documented."""

    target: str
    kind: str
    where: str
    sent: bytes

    @property
    def name(self) -> str:
        return f"{self.target}--{hashlib.sha256(self.sent).hexdigest()[:12]}"


@dataclass
class Target:
    """One decoder, one door."""

    read: int = 0
    refused: int = 0
    failed: int = 0
    cpu_s: "array[float]" = field(default_factory=lambda: array("f"))
    longest: tuple[float, bytes] = (0.0, b"")

    @property
    def inputs(self) -> int:
        return self.read + self.refused + self.failed


class Figures:
    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}
        self.faults: list[Fault] = []
        self._known: set[tuple[str, str, str]] = set()

    def of(self, target: str) -> Target:
        return self.targets.setdefault(target, Target())

    def took(self, target: str, cpu_s: float, sent: bytes) -> None:
        figures = self.of(target)
        figures.cpu_s.append(cpu_s)
        if cpu_s > figures.longest[0]:
            figures.longest = (cpu_s, sent)

    def fault(self, target: str, kind: str, where: str, sent: bytes) -> None:
        """Each kind at each place is kept once: the next thousand of it say nothing new."""
        self.of(target).failed += 1
        if (target, kind, where) not in self._known and len(self.faults) < MOST_FAULTS:
            self._known.add((target, kind, where))
            self.faults.append(Fault(target, kind, where, sent))

    @property
    def inputs(self) -> int:
        return sum(each.inputs for each in self.targets.values())

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.targets.values())

    def stalls(self) -> Mapping[str, tuple[float, bytes]]:
        """Targets of which one input took longer than ``STALL_S`` of the loop's own time."""
        return {name: each.longest for name, each in self.targets.items() if each.longest[0] > STALL_S}


def quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def table(figures: Figures) -> str:
    lines = [f"{'target':34} {'inputs':>9} {'read':>9} {'refused':>9} {'failed':>7} {'p99.9 ms':>9} {'max ms':>8}"]
    for name, each in sorted(figures.targets.items()):
        lines.append(
            f"{name:34} {each.inputs:9,} {each.read:9,} {each.refused:9,} {each.failed:7,}"
            f" {1000 * quantile(each.cpu_s, 0.999):9.2f} {1000 * each.longest[0]:8.2f}"
        )
    everything = [value for each in figures.targets.values() for value in each.cpu_s]
    lines.append(
        f"{'all':34} {figures.inputs:9,} {'':9} {'':9} {figures.failed:7,}"
        f" {1000 * quantile(everything, 0.999):9.2f} {1000 * max(everything, default=0.0):8.2f}"
    )
    for fault in figures.faults:
        lines.append(f"FAULT {fault.target}: {fault.kind} at {fault.where}, input {fault.name}")
    return "\n".join(lines)
