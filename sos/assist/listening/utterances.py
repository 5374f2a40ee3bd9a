"""One party's sound cut where it pauses, into pieces that a machine can write down one by one."""

from collections import deque

import numpy as np
from msgspec import Struct

from sos.media.activity import PAUSE_READINGS, READINGS_PER_S, Activity
from sos.media.heard import Heard, rms_dbov
from sos.media.opus import MIX_RATE_HZ, Pcm

LONGEST_S = 15
"""Half of what the model hears at once: who speaks on and on is read while they speak."""
_READING = MIX_RATE_HZ // READINGS_PER_S
_SHORTEST_READINGS = 3 + PAUSE_READINGS
"""0.4 s of voice and the pause that ends it: «はい» has as much, a cough mostly less."""
_BEFORE_READINGS = 3
"""The first consonant is too faint to be noticed: what comes just before the voice belongs to it."""
_MOST_GAP = MIX_RATE_HZ
"""A second: after a longer gap something else is said."""


class Utterance(Struct, frozen=True, kw_only=True):
    begin: int
    """In samples of 16 kHz, on the track's clock."""
    pcm: Pcm


class Utterances:
    """``take`` the sound of one track as it comes, in any portions; ``finish`` when nothing comes any more."""

    def __init__(self) -> None:
        self._activity = Activity()
        self._rest: Pcm = np.zeros(0, np.int16)
        """Less than a tenth of a second that waits for its end."""
        self._at: int | None = None
        """Where ``_rest`` begins."""
        self._before: deque[Pcm] = deque(maxlen=_BEFORE_READINGS)
        self._said: list[Pcm] = []
        self._voiced = 0
        self._begin = 0

    def take(self, heard: Heard) -> list[Utterance]:
        """What has ended with this; what is still being said is kept."""
        done: list[Utterance] = []
        pcm = heard.pcm
        if self._at is not None:
            gap = heard.begin - (self._at + int(self._rest.size))
            if gap > _MOST_GAP:
                done += self.finish()
            elif gap >= 0:
                pcm = np.concatenate([self._rest, np.zeros(gap, np.int16), pcm])
            else:
                pcm = np.concatenate([self._rest, pcm[-gap:]])
        at = heard.begin if self._at is None else self._at
        whole = int(pcm.size) // _READING * _READING
        for reading in pcm[:whole].reshape(-1, _READING):
            done += self._read(reading, at)
            at += _READING
        self._at, self._rest = at, pcm[whole:]
        return done

    def finish(self) -> list[Utterance]:
        """What was being said."""
        done = self._end()
        self._at, self._rest = None, np.zeros(0, np.int16)
        self._before.clear()
        return done

    def _read(self, reading: Pcm, at: int) -> list[Utterance]:
        was_quiet = not self._said
        if not self._activity.hear(rms_dbov(reading)):
            done = self._end()
            self._before.append(reading)
            return done
        if was_quiet:
            self._begin = at - len(self._before) * _READING
            self._said = list(self._before)
            self._before.clear()
        self._said.append(reading)
        self._voiced += 1
        return self._end() if len(self._said) >= LONGEST_S * READINGS_PER_S else []

    def _end(self) -> list[Utterance]:
        said, voiced = self._said, self._voiced
        self._said, self._voiced = [], 0
        return [Utterance(begin=self._begin, pcm=np.concatenate(said))] if voiced >= _SHORTEST_READINGS else []
