"""Spoken notices: what a caller is told by the machine while no person speaks.

The sounds lie beside this file, made once by ``ops/notices.py`` (speech synthesis needs no place in the service).
"""

from functools import cache
from importlib import resources

import av
import numpy as np

from recording.opus import RATE_HZ
from sos.errors import Malformed
from sos.media.opus import Pcm

_FOLDER = resources.files("sos.calls") / "notices"


def names() -> frozenset[str]:
    """Every notice there is."""
    return frozenset(each.name.removesuffix(".opus") for each in _FOLDER.iterdir() if each.name.endswith(".opus"))


@cache
def load_notice(name: str, rate_hz: int = RATE_HZ) -> Pcm:
    """The sound of a notice; ``Malformed`` when there is none of that name."""
    if name not in names():
        raise Malformed("there is no notice of this name", field="notice")
    with resources.as_file(_FOLDER / f"{name}.opus") as path, av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)
