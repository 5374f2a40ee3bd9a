"""Comparing what was played with what was heard."""

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float64]


def correlate(played: npt.ArrayLike, heard: npt.ArrayLike, rate: int) -> tuple[float, float]:
    """The best normalised correlation of ``played`` anywhere in ``heard``, and its lag in seconds.

    1.0 is a perfect copy at any loudness; unrelated speech stays below 0.2.  ``heard`` is normalised over the
    stretch that ``played`` would cover, so silence or a ring tone around it does not count.
    """
    reference, signal = (np.asarray(each, dtype=np.float64).ravel() for each in (played, heard))
    reference = reference - reference.mean()
    if reference.size < rate // 10:
        raise ValueError("a tenth of a second is the least that says anything")
    signal = np.concatenate((signal, np.zeros(reference.size)))
    size = 1 << (signal.size + reference.size).bit_length()
    product = np.fft.irfft(np.fft.rfft(signal, size) * np.conj(np.fft.rfft(reference, size)), size)
    lags = signal.size - reference.size + 1
    squares = np.concatenate(([0.0], np.cumsum(signal**2)))
    energy = squares[reference.size : reference.size + lags] - squares[:lags]
    floor = 1e-6 * max(float(energy.max()), 1e-12)
    scores = product[:lags] / np.sqrt(np.maximum(energy, floor) * float(np.sum(reference**2)))
    best = int(np.argmax(np.abs(scores)))
    return float(abs(scores[best])), best / rate
