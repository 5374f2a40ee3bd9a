"""A text as speech, for a simulated car: with whatever speech synthesis is installed on this machine.

Japanese is spoken by the Python package ``pyopenjtalk`` when it is there; everything else, and Japanese without it, by
the program ``espeak-ng``.  Neither is needed to run the service.
"""

import re
import shutil
import subprocess
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np

from recording.opus import RATE_HZ
from sos.errors import Unavailable
from sos.media.opus import Pcm

_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_WITHIN_S = 30.0
_WORDS_A_MINUTE = "150"


def speak(text: str) -> Pcm:
    """48 kHz mono.  ``Unavailable`` when nothing on this machine can speak; the message says what to install."""
    japanese = _JAPANESE.search(text) is not None
    if japanese and find_spec("pyopenjtalk") is not None:
        return _pyopenjtalk(text)
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        raise Unavailable("to speak a text install espeak-ng (or `pip install pyopenjtalk-plus`), or play a sound file")
    with tempfile.TemporaryDirectory() as directory:
        spoken = Path(directory) / "said.wav"
        command = [espeak, "-v", "ja" if japanese else "en", "-s", _WORDS_A_MINUTE, "-w", str(spoken), "--", text]
        done = subprocess.run(command, timeout=_WITHIN_S, capture_output=True, check=False)  # noqa: S603
        if done.returncode != 0 or not spoken.is_file():
            raise Unavailable("espeak-ng could not speak the text; play a sound file instead")
        return load(spoken)


def load(path: Path) -> Pcm:
    """Any audio file FFmpeg can read, as PCM; ``OSError`` or ``ValueError`` when it cannot."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    if not frames:
        raise ValueError(f"{path.name} holds no sound")
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)


def _pyopenjtalk(text: str) -> Pcm:
    wave, rate = import_module("pyopenjtalk").tts(text)
    if rate != RATE_HZ:
        raise Unavailable(f"pyopenjtalk speaks at {rate} Hz; install pyopenjtalk-plus")
    spoken: Pcm = np.clip(wave, -32_768, 32_767).astype(np.int16)
    return spoken
