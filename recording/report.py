"""What the verifier found: step by step, the places where something is wrong, and the result in words and as a code."""

from dataclasses import dataclass, field

from recording.errors import RecordingError
from recording.shown import shown

STEPS = 12
"""As ``recording.verify`` lists them; a report with fewer says nothing."""

MOST = 8
"""Problems told per step; the rest is counted."""

SUMMARY = 1_000
"""Characters of what a step found."""


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    title: str
    ok: bool
    detail: str
    """What was found, or where and what is wrong."""


@dataclass(frozen=True, slots=True)
class Report:
    steps: tuple[Step, ...]
    origin_proved: bool
    """Whether both keys came from outside the package; without that ``ok`` only says that it agrees with itself."""

    @property
    def ok(self) -> bool:
        return len(self.steps) == STEPS and all(step.ok for step in self.steps)

    def __str__(self) -> str:
        lines = [f"{'ok  ' if step.ok else 'FAIL'} {step.number:2d} {step.title}: {step.detail}" for step in self.steps]
        if not self.origin_proved:
            lines.append("The origin is NOT proved: a key was taken from the package itself, which anybody can make.")
        lines.append(f"Result: {self._result}")
        return "\n".join(lines)

    @property
    def code(self) -> int:
        """The exit code of a command that shows this report."""
        return 1 if not self.ok else 0 if self.origin_proved else 3

    @property
    def _result(self) -> str:
        if not self.ok:
            return "DO NOT RELY on this package"
        return "the package holds" if self.origin_proved else "it agrees with itself; who made it is NOT proved"


@dataclass(slots=True)
class Findings:
    """What one step has to say."""

    summary: str = ""
    problems: list[str] = field(default_factory=list)
    """The first of them."""
    count: int = 0

    def wrong(self, place: str, what: str) -> None:
        self.count += 1
        if len(self.problems) < MOST:
            self.problems.append(f"{place}: {what}")

    @property
    def told(self) -> str:
        """What a person reads, with everything from the package escaped."""
        told, more = "; ".join(map(shown, self.problems)), self.count - len(self.problems)
        return f"{told}; and {more} more" if more > 0 else told or shown(self.summary, most=SUMMARY)

    def trying(self, place: str) -> "_Trying":
        return _Trying(self, place)


class _Trying:
    """Turns a refusal inside the block into a problem at ``place``."""

    def __init__(self, findings: Findings, place: str) -> None:
        self._findings, self._place = findings, place

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, RecordingError):
            self._findings.wrong(self._place, str(error))
            return True
        return False
