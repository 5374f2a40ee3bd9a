"""What a simulated car says: a text by whatever can speak on this machine, or a sound file of any kind."""

import importlib.util
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from recording.opus import RATE_HZ
from sos.errors import Unavailable
from sos.vehicle.speech import load, speak
from sos.vehicle.voice import speech_like


@pytest.mark.parametrize(("text", "speaks"), [("We are stuck", None), ("助けてください", "pyopenjtalk")])
def test_a_text_is_spoken_or_what_to_install_is_said(text: str, speaks: str | None) -> None:
    if shutil.which("espeak-ng") is None and (speaks is None or importlib.util.find_spec(speaks) is None):
        with pytest.raises(Unavailable, match="espeak-ng"):
            speak(text)
        return

    spoken = speak(text)

    assert spoken.dtype == np.int16
    assert 0.4 * RATE_HZ < spoken.size < 10 * RATE_HZ
    assert np.abs(spoken).max() > 1000


@pytest.mark.parametrize("rate", [8_000, 44_100, RATE_HZ])
def test_a_sound_of_any_rate_is_played_as_long_as_it_is(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "bang.wav"
    _write(path, speech_like(1.0, seed=5)[:rate], rate=rate)

    assert load(path).size == pytest.approx(RATE_HZ * min(1.0, RATE_HZ / rate), rel=0.01)


def test_a_file_that_is_no_sound_or_holds_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not a sound")
    _write(tmp_path / "empty.wav", np.zeros(0, np.int16), rate=RATE_HZ)

    for name in ("text.wav", "empty.wav", "missing.wav"):
        with pytest.raises((OSError, ValueError)):
            load(tmp_path / name)


def _write(path: Path, pcm: np.ndarray, *, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
