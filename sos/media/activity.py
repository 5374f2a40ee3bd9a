"""Who speaks, told from loudness alone: ten figures a second, a floor that follows the noise, and hysteresis.

Speech stands out above what is always there and pauses every few seconds; the faintest twentieth of what was heard
lately is the noise.  No sound is decoded for it and it costs nothing (``ops/bench/activity.py``).  What it says is
shown to people and cuts speech into pieces for transcripts.  It decides nothing: no rule of the lifecycle and no clock
asks it.
"""

from collections import deque

READINGS_PER_S = 10
ABOVE_DB = 9
"""How far above the noise somebody begins to speak."""
STILL_ABOVE_DB = 6
"""How far above it somebody speaks on."""
FAINTEST_DBOV = -52
"""What is fainter is nobody near this microphone, however quiet the place is."""
PAUSE_READINGS = 5
"""Half a second: shorter pauses are between words."""

_REMEMBERED = 6 * READINGS_PER_S
"""Readings the noise is taken from; nobody speaks for six seconds without a breath."""
_FAINTEST_SHARE = 0.05
"""Of them.  The very faintest would follow every lull of a car's rumble: then a fifth of the rumble is taken for voice,
now a hundredth."""
_QUIETEST_DBOV = -70
_LOUDEST_NOISE_DBOV = -30
_UNKNOWN_DBOV = -60
"""Taken for the noise until half a second was heard."""


class Activity:
    """One leg's microphone.  ``hear`` its mean loudness ten times a second, in dBov."""

    def __init__(self) -> None:
        self._lately: deque[int] = deque(maxlen=_REMEMBERED)
        self._pause = PAUSE_READINGS
        self.speaking = False

    def hear(self, rms_dbov: int) -> bool:
        """Whether somebody speaks, up to half a second after the last word."""
        self._lately.append(rms_dbov)
        noise = self._noise()
        step = STILL_ABOVE_DB if self.speaking else ABOVE_DB
        loud = rms_dbov >= max(FAINTEST_DBOV, noise + step)
        self._pause = 0 if loud else self._pause + 1
        self.speaking = loud or (self.speaking and self._pause < PAUSE_READINGS)
        return self.speaking

    def _noise(self) -> int:
        if len(self._lately) < PAUSE_READINGS:
            return _UNKNOWN_DBOV
        faint = sorted(self._lately)[int(len(self._lately) * _FAINTEST_SHARE)]
        return max(_QUIETEST_DBOV, min(_LOUDEST_NOISE_DBOV, faint))
