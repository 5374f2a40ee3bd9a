"""Text to speech, made by a process of its own (``sos.assist.synthesiser``) that may be missing, slow or dead.

One text at a time.  A process that takes longer than it may is killed with all it started, and the next text starts a
new one; whatever happens to it, whoever asked gets ``Unavailable`` and nobody else notices.
"""

import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import count
from types import MappingProxyType, TracebackType
from typing import Self

import structlog

from sos.assist.child import Child
from sos.assist.synthesiser import MOST_SOUND_BYTES, RATE_HZ, Spoken, Wanted
from sos.clock import Clock
from sos.errors import Malformed, Unavailable

log = structlog.get_logger()

__all__ = ["LANGUAGES", "MOST_CHARACTERS", "RATE_HZ", "Speech", "installed"]

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"ja": "install the extra assist (pyopenjtalk-plus)", "en": "install the program espeak-ng"}
)
"""What can be spoken, and the way to it."""

MOST_CHARACTERS = 4_000
"""Of one text: four times what is read in 45 s."""

COMMAND = (sys.executable, "-m", "sos.assist.synthesiser")


def installed() -> frozenset[str]:
    """The languages whose voices are there, as far as that shows without starting them."""
    found = {"ja": importlib.util.find_spec("pyopenjtalk") is not None, "en": shutil.which("espeak-ng") is not None}
    return frozenset(language for language, there in found.items() if there)


class Speech:
    """Opened, it says what can be spoken; its process starts with the first text and costs nothing before."""

    def __init__(self, *, clock: Clock, within_s: float = 20.0, command: Sequence[str] = COMMAND) -> None:
        """``within_s``: how long one text may take, and how long the process may take to start."""
        self._child = Child(
            command,
            Spoken,
            clock=clock,
            ready_within_s=within_s,
            answer_within_s=within_s,
            most_bytes=MOST_SOUND_BYTES,
        )
        self._installed = installed()
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        await self._child.__aenter__()
        for language, remedy in LANGUAGES.items():
            if language in self.languages:
                log.info("assist_on", assist=f"speech_{language}")
            else:
                log.warning("assist_off", assist=f"speech_{language}", remedy=remedy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.__aexit__(kind, error, trace)

    @property
    def languages(self) -> frozenset[str]:
        """What can be spoken: what is installed, and from the first text on what the process says."""
        greeting = self._child.greeting
        return self._installed if greeting is None else frozenset(greeting.languages)

    @property
    def state(self) -> Mapping[str, str]:
        """``ok`` or ``off`` for each language, by the name of the assist; ``degraded`` once the voice has failed."""
        there = "ok" if self._child.well else "degraded"
        return {f"speech_{each}": there if each in self.languages else "off" for each in LANGUAGES}

    @property
    def pid(self) -> int | None:
        """Of the process that speaks, while there is one."""
        return self._child.pid

    async def make(self, text: str, language: str) -> bytes:
        """``text`` as sound: 16 bit, little-endian, mono, ``RATE_HZ``.

        ``Malformed`` when it is too long; ``Unavailable`` when there is no such voice, or it did not speak in time.
        """
        if len(text) > MOST_CHARACTERS:
            raise Malformed(f"at most {MOST_CHARACTERS} characters are spoken at once", field="text")
        spoken = await self._child.ask(Wanted(n=next(self._numbers), language=language, text=text))
        if spoken.fault == "no_voice":
            raise Unavailable(f"there is no voice for {language}: {LANGUAGES.get(language, 'none can be had')}")
        if spoken.fault or not spoken.pcm:
            raise Unavailable(f"the speech could not be made ({spoken.fault or 'silence'})")
        return spoken.pcm
