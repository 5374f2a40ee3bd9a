"""The live transcript as the settings describe it; without a model there is none, and nothing is missing."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sos.assist.child import Child
from sos.assist.listening.transcripts import Sounds, Tell, Transcripts
from sos.assist.transcriber import Written
from sos.errors import Misconfigured
from sos.incident.model import IncidentId
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.media.heard import Line
from sos.settings import AssistSettings

READY_WITHIN_S = 60.0
"""To read a model of 150 MB at the lowest priority, on a machine that is busy."""
ANSWER_WITHIN_S = 30.0
"""Twice the longest utterance: a machine that is slower than people talk is no help."""


class Listening:
    """What the rest of the house sees of it."""

    def __init__(self, transcripts: Transcripts | None) -> None:
        self._transcripts = transcripts

    def lines(self, incident: IncidentId) -> Sequence[Line]:
        return self._transcripts.lines(incident) if self._transcripts is not None else ()

    def readers(self) -> tuple[Reader, ...]:
        if self._transcripts is None:
            return ()
        return (Reader(name="transcript", handle=self._transcripts.handle, from_now=True),)

    @property
    def work(self) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever."""
        return (("transcript", self._transcripts.run),) if self._transcripts is not None else ()

    def state(self) -> Mapping[str, str]:
        return {"transcript": self._transcripts.state if self._transcripts is not None else "off"}


@asynccontextmanager
async def listening(
    settings: AssistSettings, journal: Journal, sounds: Sounds, *, tell: Tell
) -> AsyncIterator[Listening]:
    """``Misconfigured`` when ``assist.transcript_model`` holds no model; without the extra it answers nothing."""
    if not settings.transcript_model:
        yield Listening(None)
        return
    command = (sys.executable, "-m", "sos.assist.transcriber", _model(settings.transcript_model))
    writer = Child(
        command, Written, clock=journal.clock, ready_within_s=READY_WITHIN_S, answer_within_s=ANSWER_WITHIN_S
    )
    async with writer:
        yield Listening(Transcripts(journal, sounds, writer, tell=tell))


def _model(directory: str) -> str:
    model = Path(directory).resolve()
    if not (model / "model.bin").is_file():
        raise Misconfigured("assist.transcript_model: there is no model.bin (CTranslate2) in that directory")
    return str(model)
