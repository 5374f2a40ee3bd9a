"""What the people in a simulated car do, step by step, as a text file with one step a line.

    wait 2                  let time pass; what plays in the background goes on
    say Help, we are stuck  speak a text (needs speech synthesis)
    play crash.wav          play a sound file, once
    silence 5               say nothing at all for so many seconds
    press 1                 press keys of the telephone
    loss 5                  from now on lose 5 % of the packets, both ways
    drop 4                  no network for 4 seconds, and nobody is told
    hang up                 end the call; the car can still be called back

Empty lines and lines that begin with ``#`` count for nothing.  Reading is pure; ``voice.CarVoice`` acts it out.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from sos.errors import Malformed

LONGEST_S = 3600.0
"""A step of more than an hour is a slip of the pen."""


class Wait(Struct, frozen=True):
    seconds: float


class Say(Struct, frozen=True):
    text: str


class Play(Struct, frozen=True):
    sound: Path


class Silence(Struct, frozen=True):
    seconds: float


class Press(Struct, frozen=True):
    keys: str


class Loss(Struct, frozen=True):
    share: float
    """Of packets, 0 to 1."""


class Drop(Struct, frozen=True):
    seconds: float


class HangUp(Struct, frozen=True):
    """The car ends the call."""


Step = Wait | Say | Play | Silence | Press | Loss | Drop | HangUp


def parse(text: str, *, beside: Path = Path()) -> tuple[Step, ...]:
    """The steps of a script; files are looked for in ``beside``.

    ``Malformed`` (the writer's fault) names the line and what is expected there.
    """
    steps = []
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        word, _, rest = written.partition(" ")
        read = _STEPS.get(word)
        if read is None:
            raise Malformed(f"line {number}: a step is one of {', '.join(sorted(_STEPS))}", field=f"line {number}")
        steps.append(read(rest.strip(), number, beside))
    return tuple(steps)


def _seconds(text: str, line: int) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or float(text) > LONGEST_S:
        raise Malformed(f"line {line}: seconds are a number up to {LONGEST_S:.0f}", field=f"line {line}")
    return float(text)


def _say(text: str, line: int, _: Path) -> Say:
    if not text:
        raise Malformed(f"line {line}: say what?", field=f"line {line}")
    return Say(text)


def _play(text: str, line: int, beside: Path) -> Play:
    sound = beside / text
    if not text or not sound.is_file():
        raise Malformed(f"line {line}: there is no such sound file", field=f"line {line}")
    return Play(sound)


def _press(text: str, line: int, _: Path) -> Press:
    if not re.fullmatch(r"[0-9*#A-D]{1,32}", text):
        raise Malformed(f"line {line}: keys are 0 to 9, *, # and A to D", field=f"line {line}")
    return Press(text)


def _loss(text: str, line: int, _: Path) -> Loss:
    percent = text.removesuffix("%").strip()
    if not re.fullmatch(r"\d{1,3}(\.\d)?", percent) or float(percent) > 100:
        raise Malformed(f"line {line}: loss is 0 to 100 percent", field=f"line {line}")
    return Loss(float(percent) / 100)


def _hang_up(text: str, line: int, _: Path) -> HangUp:
    if text != "up":
        raise Malformed(f"line {line}: only `hang up` is known", field=f"line {line}")
    return HangUp()


_STEPS: Mapping[str, Callable[[str, int, Path], Step]] = MappingProxyType(
    {
        "wait": lambda text, line, _: Wait(_seconds(text, line)),
        "say": _say,
        "play": _play,
        "silence": lambda text, line, _: Silence(_seconds(text, line)),
        "press": _press,
        "loss": _loss,
        "drop": lambda text, line, _: Drop(_seconds(text, line)),
        "hang": _hang_up,
    }
)
