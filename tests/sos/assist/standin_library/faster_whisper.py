"""In the place of ``faster_whisper``: what it is asked is what it hears, with the signs by which a dream is known.

It prints, as libraries do: nothing of that may reach whoever reads the answers.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple


class Segment(NamedTuple):
    text: str
    no_speech_prob: float = 0.1
    avg_logprob: float = -0.3
    compression_ratio: float = 1.2


DREAMS = {
    "silence": Segment("ご視聴ありがとうございました", no_speech_prob=0.9, avg_logprob=-0.8),
    "guess": Segment("guess", avg_logprob=-1.4),
    "again": Segment("again again again", compression_ratio=5.0),
}


class WhisperModel:
    supported_languages = ("ja", "en", *DREAMS, "fails", "long")

    def __init__(self, directory: str, **settings: Any) -> None:
        assert settings["local_files_only"]
        print("loading", directory, settings)

    def transcribe(self, sound: Any, *, language: str, **_: Any) -> tuple[Iterator[Segment], None]:
        print("heard", language, file=sys.stderr)
        if language == "fails":
            raise RuntimeError("what was said: a secret")
        if language == "long":
            return iter([Segment("x" * 10_000)]), None
        said = Segment(f" {language} {len(sound)} {float(abs(sound).max()):.2f} ")
        return iter([said, DREAMS.get(language, Segment("and more"))]), None
