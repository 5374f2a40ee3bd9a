"""The assists as the settings describe them, with what each is able to do just now."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct

from sos.assist.announcer import Announcer, LanguagesOf, Say
from sos.assist.speech import RATE_HZ, Speech
from sos.incident.model import AgencyId
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.settings import AssistSettings

READER = "assist"


class Announcing(Struct, frozen=True, kw_only=True):
    """Briefs read by machine; nothing of it where ``assist.speech`` is off."""

    speech: Speech | None = None
    announcer: Announcer | None = None

    def language(self, agency: AgencyId) -> str | None:
        """In which language the agency's brief can be read to it; None: it cannot."""
        return self.announcer.language(agency) if self.announcer is not None else None

    def state(self) -> Mapping[str, str]:
        """``ok`` or ``off`` by name; an assist that is off is nobody's fault and no alarm."""
        return self.speech.state if self.speech is not None else {"speech": "off"}

    def readers(self) -> tuple[Reader, ...]:
        if self.announcer is None:
            return ()
        handle, wants = self.announcer.handle, self.announcer.WANTS
        return (Reader(name=READER, handle=handle, wants=wants, alone=True, within=self.announcer.run),)


@asynccontextmanager
async def announcing(
    settings: AssistSettings, journal: Journal, *, say: Say, languages_of: LanguagesOf, keys: bool
) -> AsyncIterator[Announcing]:
    """Speech and who reads with it, until the context is left.  Returns at once; what is missing is told in the log."""
    if not settings.speech:
        yield Announcing()
        return
    async with Speech(clock=journal.clock, within_s=settings.speech_within_s) as speech:
        announcer = Announcer(journal, speech, say, languages_of=languages_of, keys=keys, rate_hz=RATE_HZ)
        yield Announcing(speech=speech, announcer=announcer)
