"""Made speech for Twilio to fetch: kept in memory, under an address that nobody can guess and that soon leads nowhere.

The speech holds personal data.  It goes to Twilio as sound over the same trust as the call itself: the address is told
to Twilio alone, every request for it must carry Twilio's signature, and no cache may keep it.  ``<Say>`` would send the
text instead, to be read by a third party's voice and to stand in Twilio's request log.
"""

import asyncio
import secrets
from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct

from sos.calls.adapters.twilio import sounds
from sos.calls.port import SOUND_RATE_HZ, Sound
from sos.clock import Clock
from sos.errors import Unknown

FETCH_WITHIN = timedelta(seconds=60)
"""Twilio fetches at once, and twice again when it fails (``twiml.OVERRIDES``)."""

MOST_KEPT = 64
"""Sounds, at most 1.2 MB each."""


class _Kept(Struct, frozen=True):
    wav: bytes
    until: datetime


class PlayedSounds:
    """What Twilio has been told to play and may still come for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def keep(self, sound: Sound) -> str:
        """The name under which ``sound`` can be fetched for a minute."""
        pcm = np.frombuffer(sound.pcm, np.int16)
        wav = await asyncio.to_thread(sounds.mu_law, pcm, SOUND_RATE_HZ) if pcm.size else b""
        name = secrets.token_hex(24)
        self._forget_old()
        self._kept[name] = _Kept(wav, self._clock.now() + FETCH_WITHIN)
        return name

    def wav(self, name: str) -> bytes:
        """The sound (WAV, mu-law, 8 kHz), empty where nothing is to be said; ``Unknown`` once its time is over."""
        self._forget_old()
        if name not in self._kept:
            raise Unknown("there is no sound of this name")
        return self._kept[name].wav

    def _forget_old(self) -> None:
        now = self._clock.now()
        newest = list(self._kept.items())[-MOST_KEPT:]
        self._kept = {name: kept for name, kept in newest if kept.until > now}
