"""The process that writes along: sound comes in on standard input, text goes out on standard output, nothing else.

Whisper by CTranslate2 (package ``faster-whisper``, extra ``transcript``), with the model in the directory that is its
only argument; nothing is downloaded.  What is said and what is written is in no argument, no file and no log, and a
crash leaves no core.  The process gives way to every other one and is ended by whoever started it when it takes too
long.
"""

import importlib
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from sos.assist.child import HEAD_BYTES, Numbered, body_length, framed, withdraw

RATE_HZ = 16_000
MOST_QUESTION_BYTES = 4 * 1024 * 1024
"""Two minutes of sound; an utterance has 15 s."""
MOST_CHARACTERS = 2_000
"""Of one utterance: nobody says so much in 15 s, but a machine that repeats itself writes it."""
DEFAULT_LANGUAGE = "ja"

_SILENT = 0.6
"""Above this the machine itself thinks that nobody spoke: what it writes then was in its training, not in the call."""
_UNSURE = -1.0
"""Mean logarithm of probability below which a text is a guess."""
_REPEATS = 2.4
"""A text that can be compressed so much says one thing over and over."""

Write = Callable[[npt.NDArray[np.int16], str], str]


class Said(Numbered, frozen=True, kw_only=True):
    """One utterance: 16 bit, little-endian, mono, ``RATE_HZ``."""

    language: str
    """ISO 639-1."""
    pcm: bytes

    def __repr__(self) -> str:
        return f"Said({self.language!r}, {len(self.pcm)} bytes)"


class Written(Numbered, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said, empty for nothing; or the name of what went wrong.  The first says that the model is there."""

    text: str = ""
    fault: str = ""

    def __repr__(self) -> str:
        return f"Written({len(self.text)} characters, fault={self.fault!r})"


_ALARM_S = 120
"""An utterance that takes longer ends the process, should whoever would end it be gone by then."""

_said = msgspec.msgpack.Decoder(Said)


def whisper(directory: str) -> Write:
    """The model in ``directory``; whatever the library raises when it is none."""
    library: Any = importlib.import_module("faster_whisper")
    model = library.WhisperModel(directory, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    known = frozenset(model.supported_languages)

    def write(pcm: npt.NDArray[np.int16], language: str) -> str:
        segments, _ = model.transcribe(
            pcm.astype(np.float32) / 32_768,
            language=language if language in known else DEFAULT_LANGUAGE,
            beam_size=3,
            temperature=(0.0, 0.4),  # by default a hard passage is tried six times
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments if _is_meant(segment))

    return write


def _is_meant(segment: Any) -> bool:
    """Whether the text is more than a machine's dream of silence."""
    heard = segment.no_speech_prob < _SILENT or segment.avg_logprob > _UNSURE / 2
    return bool(heard and segment.avg_logprob > _UNSURE and segment.compression_ratio < _REPEATS)


def serve(incoming: BinaryIO, outgoing: BinaryIO, write: Write) -> None:
    """Answer one utterance after the other until there are no more."""
    _answer(outgoing, Written())
    while head := incoming.read(HEAD_BYTES):
        said = _said.decode(incoming.read(body_length(head, at_most=MOST_QUESTION_BYTES)))
        signal.alarm(_ALARM_S)
        _answer(outgoing, _written(said, write))
        signal.alarm(0)


def _answer(outgoing: BinaryIO, written: Written) -> None:
    outgoing.write(framed(written))
    outgoing.flush()


def _written(said: Said, write: Write) -> Written:
    try:
        return Written(n=said.n, text=write(np.frombuffer(said.pcm, "<i2"), said.language)[:MOST_CHARACTERS])
    except Exception as failed:  # noqa: BLE001 - the edge of one utterance; its kind alone is told, the rest is personal
        return Written(n=said.n, fault=type(failed).__name__)


def main() -> None:
    """``python -m sos.assist.transcriber MODEL``: started by the service, never by hand."""
    serve(sys.stdin.buffer, withdraw(), whisper(sys.argv[1]))


if __name__ == "__main__":
    main()
