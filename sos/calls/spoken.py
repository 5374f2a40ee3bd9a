"""In which language a caller is told something by the machine: the caller's own where we have the words.

What is shipped is listed here; any other language falls back to English and then to Japanese, and a caller whose
language nobody knows hears both.  The language is personal data, so it stands in no header: it is looked up when
something is said.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

import structlog

from sos.calls.port import TelephonyProvider
from sos.errors import SosError
from sos.incident.model import IncidentId, LegId, Party
from sos.journal.journal import Journal
from sos.journal.languages import language_of

log = structlog.get_logger()

SHIPPED = ("ja", "en")
"""Languages in which every notice lies there."""

FALLBACK = ("en", "ja")
"""For a caller of a language in which we have nothing."""

KNOWN_WITHIN = timedelta(milliseconds=200)
"""How long a notice waits for the language of whoever is to hear it; then it is said in all."""

CALL_US = MappingProxyType(
    {
        "ja": "音声がつながっていません。けがはありませんか。電話に出るか、SOSボタンをもう一度押してください。",
        "en": "We cannot hear you. Is anybody hurt? Answer our call, or press the SOS button again.",
    }
)
"""What a car that sent data and does not speak is asked on its screen."""


def sound_of(notice: str, language: str) -> str:
    """The name of the sound of ``notice`` for a caller of ``language``; empty: nobody knows it."""
    if not language:
        return notice
    return next(f"{notice}.{code}" for code in (language, *FALLBACK) if code in SHIPPED)


def text_of(words: Mapping[str, str], language: str) -> str:
    """``words`` for a caller of ``language``; in every language where nobody knows it."""
    if not language:
        return " / ".join(words[code] for code in SHIPPED)
    return next(words[code] for code in (language, *FALLBACK) if code in words)


class Notices:
    """What is said by machine, in the language of whoever hears it."""

    def __init__(self, journal: Journal, provider: TelephonyProvider) -> None:
        self._journal = journal
        self._provider = provider

    async def play(self, incident: IncidentId, leg: LegId, notice: str) -> None:
        """Who is in the car is told in their own language; everybody else in all, and whoever that cannot be played to:
        a media worker of the release before has not every sound."""
        known = (await self._journal.state(incident)).leg(leg)
        if known is not None and known.party is Party.VEHICLE and (language := await self._language(incident)):
            try:
                await self._provider.announce(leg, sound_of(notice, language))
                return
            except SosError as failed:
                log.warning("notice_in_every_language", incident=incident, reason=str(failed))
        await self._provider.announce(leg, notice)

    async def in_words(self, incident: IncidentId, words: Mapping[str, str]) -> str:
        """``words`` for the screen of a car."""
        return text_of(words, await self._language(incident))

    async def _language(self, incident: IncidentId) -> str:
        """Of the people in the vehicle; empty where nobody knows it in time."""
        try:
            async with asyncio.timeout(KNOWN_WITHIN.total_seconds()):
                return await language_of(self._journal, incident)
        except TimeoutError:
            return ""
