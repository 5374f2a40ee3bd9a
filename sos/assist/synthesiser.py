"""The process that speaks: text comes in on standard input, sound goes out on standard output, nothing anywhere else.

Japanese by Open JTalk (package ``pyopenjtalk-plus``, extra ``assist``), English by eSpeak NG (the program
``espeak-ng``).  What is read holds personal data: it is in no argument that other users could list, in no file, in no
log, and a crash leaves no core.  The process gives way to every other one and is ended by whoever started it
(``sos.assist.speech``) when it takes too long.  ONNX Runtime, which pyopenjtalk-plus uses where it finds it, is kept
out: it writes and sends figures of its own, and what is read must not depend on what else is installed.
"""

import importlib
import io
import re
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import BinaryIO, TypeAlias, cast

import av
import msgspec
import numpy as np
import numpy.typing as npt

from sos.assist.child import HEAD_BYTES, Numbered, body_length, framed, withdraw

RATE_HZ = 16_000
"""What conferences are mixed at, and twice what a telephone carries: more would be made and thrown away."""

LEVEL = 10_000
"""Peak; about -10 dB, as loud as a person on the line and as the notices."""

SPEED_JA = 1.15
"""Of the Japanese voice, which by itself reads a brief of 45 s (``routing.brief.spoken``) in a minute."""

LONGEST_S = 150
"""After so long over one text the process ends by itself: whoever should have ended it is dead."""

_BETWEEN_S = 0.35
"""Between two sentences, of which each stands on a line of its own."""

MOST_SOUND_BYTES = 16 * 1024 * 1024
"""Eight minutes of sound; a brief is read in 45 s."""

_JAPANESE = re.compile(r"([ぁ-ヿ㐀-鿿々〆〇ー、。「」]+)")

Pcm: TypeAlias = npt.NDArray[np.int16]
Voice: TypeAlias = Callable[[str], Pcm]


class Wanted(Numbered, frozen=True, tag=True, kw_only=True):
    language: str
    text: str

    def __repr__(self) -> str:
        return f"Wanted({self.language!r}, {len(self.text)} characters)"


class Spoken(Numbered, frozen=True, tag=True, kw_only=True):
    """The answer to one ``Wanted``: 16 bit, little-endian, mono, ``RATE_HZ``; or the name of what went wrong."""

    pcm: bytes = b""
    fault: str = ""
    languages: tuple[str, ...] = ()
    """In the first one, which nobody has asked for: what can be spoken."""

    def __repr__(self) -> str:
        return f"Spoken({len(self.pcm)} bytes, fault={self.fault!r})"


_wanted = msgspec.msgpack.Decoder(Wanted)


# --- voices ---


def voices() -> Mapping[str, Voice]:
    """The voices that are installed, by language."""
    sys.modules.setdefault("onnxruntime", cast(ModuleType, None))  # it would be used where another extra brought it
    found: dict[str, Voice] = {}
    with suppress(ImportError):  # the extra is not installed: its language is off, and said to be so
        found["ja"] = _japanese(importlib.import_module("pyopenjtalk").tts)
    if shutil.which("espeak-ng") is not None:
        found["en"] = _english(found.get("ja"))
    return found


def _japanese(tts: Callable[..., tuple[npt.NDArray[np.float64], int]]) -> Voice:
    def say(text: str) -> Pcm:
        sound, rate = tts(text, speed=SPEED_JA)
        return at_rate(np.asarray(sound, np.float64), rate)

    return say


def _english(japanese: Voice | None) -> Voice:
    """English, with what stands in Japanese letters (an address, a note) read by the Japanese voice where there is
    one: eSpeak would say «Chinese letter» for each."""

    def say(text: str) -> Pcm:
        pieces = [piece for piece in _JAPANESE.split(text) if piece.strip()]
        return _joined([_piece(piece) for piece in pieces], pause_s=0.1)

    def _piece(piece: str) -> Pcm:
        if _JAPANESE.fullmatch(piece):
            return japanese(piece) if japanese is not None else espeak("words in Japanese")
        return espeak(piece)

    return say


def espeak(text: str) -> Pcm:
    """``text`` in English; ``OSError`` or ``subprocess.SubprocessError`` when the program does not do it."""
    plain = text.replace("[[", "[ [")  # two brackets would begin phoneme names
    spoken = subprocess.run(
        ["espeak-ng", "-v", "en-gb", "-s", "180", "-b", "1", "--stdin", "--stdout"],  # noqa: S607 - where PATH has it
        input=plain.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    with wave.open(io.BytesIO(spoken.stdout)) as file:
        sound = np.frombuffer(file.readframes(len(spoken.stdout)), np.int16)
        return at_rate(sound.astype(np.float64), file.getframerate())


def at_rate(sound: npt.NDArray[np.float64], rate_hz: int) -> Pcm:
    """``sound`` at ``RATE_HZ`` and 16 bit, as loud as it came; what is louder than can be is cut off."""
    frame = av.AudioFrame.from_ndarray(
        sound.clip(-32_768, 32_767).astype(np.int16).reshape(1, -1), format="s16", layout="mono"
    )
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    made = [out.to_ndarray().reshape(-1) for out in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(made).astype(np.int16) if made else np.zeros(0, np.int16)


def read(text: str, voice: Voice) -> Pcm:
    """The lines of ``text`` read one after the other, each followed by a short pause, at ``LEVEL``."""
    sound = _joined([voice(line) for line in text.splitlines() if line.strip()], pause_s=_BETWEEN_S)
    loudest = int(np.abs(sound.astype(np.int32)).max()) if sound.size else 0
    return (sound.astype(np.float64) * (LEVEL / loudest)).astype(np.int16) if loudest else sound


def _joined(pieces: list[Pcm], *, pause_s: float) -> Pcm:
    pause = np.zeros(round(pause_s * RATE_HZ), np.int16)
    return np.concatenate([part for piece in pieces for part in (piece, pause)] or [pause])


# --- the process ---


def serve(incoming: BinaryIO, outgoing: BinaryIO, known: Mapping[str, Voice]) -> None:
    """Answer one request after the other until there are no more."""
    outgoing.write(framed(Spoken(languages=tuple(known))))
    outgoing.flush()
    while head := incoming.read(HEAD_BYTES):
        wanted = _wanted.decode(incoming.read(body_length(head)))
        signal.alarm(LONGEST_S)
        outgoing.write(framed(msgspec.structs.replace(_made(wanted, known), n=wanted.n)))
        outgoing.flush()
        signal.alarm(0)


def _made(wanted: Wanted, known: Mapping[str, Voice]) -> Spoken:
    voice = known.get(wanted.language)
    if voice is None:
        return Spoken(fault="no_voice")
    try:
        return Spoken(pcm=read(wanted.text, voice).tobytes())
    except Exception as failed:  # noqa: BLE001  (the edge of one request: its kind alone is told, for the text is personal)
        return Spoken(fault=type(failed).__name__)


def main() -> None:
    """``python -m sos.assist.synthesiser``: started by the service, never by hand."""
    outgoing = withdraw()
    known = voices()
    for voice in known.values():  # dictionaries are loaded with the first word: not while somebody waits
        voice("0")
    serve(sys.stdin.buffer, outgoing, known)


if __name__ == "__main__":
    main()
