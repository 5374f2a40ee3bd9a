"""The sums of one conference, 20 ms at a time: one gain matrix, listener by speaker, times everybody's sound.

One product for all listeners costs a fifth of adding up for each of them, and the matrix is the theory of ``matrix``
in figures: 1 where a listener hears a speaker, 0 where not, and less where something is said over the others.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sos.media import opus
from sos.media.opus import Pcm

FRAME = opus.MIX_RATE_HZ // opus.FRAMES_PER_S
"""Samples in 20 ms of what is mixed."""
ASIDE = 0.25
"""Gain of the others for who is told something at length: 12 dB down, heard and not in the way."""
_LOUDEST, _LOWEST = np.float32(32_767), np.float32(-32_768)


class Mixer:
    """``hear`` every speaker's 20 ms, by row, then take what every listener is to be sent with ``mixed``."""

    def __init__(self, speakers: int, hears: Sequence[Mapping[int, float]]) -> None:
        """``hears``: for each listener the gain of each speaker heard, by row."""
        self._heard = np.zeros((speakers, FRAME), np.float32)
        self._gains = np.zeros((len(hears), speakers), np.float32)
        for listener, gains in enumerate(hears):
            for speaker, gain in gains.items():
                self._gains[listener, speaker] = gain

    def hear(self, speaker: int, pcm: Pcm) -> None:
        """20 ms of ``speaker``; a shorter piece is followed by silence."""
        row = self._heard[speaker]
        row[: pcm.size] = pcm
        row[pcm.size :] = 0

    def powers(self) -> npt.NDArray[np.float32]:
        """Mean power of each speaker's 20 ms, in squared samples."""
        squared: npt.NDArray[np.float32] = np.einsum("ij,ij->i", self._heard, self._heard)
        return squared / np.float32(FRAME)

    def mixed(self) -> npt.NDArray[np.int16]:
        """20 ms for each listener, a row each; what is louder than can be is cut off."""
        sums = self._gains @ self._heard
        np.minimum(sums, _LOUDEST, out=sums)
        np.maximum(sums, _LOWEST, out=sums)
        return sums.astype(np.int16)
