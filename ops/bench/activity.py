"""Who speaks, told from loudness (``sos.media.activity``), beside WebRTC's detector, on the same sound in one run.

    python ops/bench/activity.py [--seconds 120] [--path DIRECTORY]

Voices: a signal like speech, and eSpeak NG where it is installed, each over no noise, the hiss and the rumble of a car.
The peer is the package ``webrtcvad-wheels`` (not a dependency; ``--path`` names a directory it was installed into with
``pip install --target``); without it only our own figures are printed.  Both see the same sound; the peer decides every
20 ms and is given the same half second of hang-over.  Printed for each: how much of the voice was lit, how much of what
is no voice was lit, and the time taken, with that of the decoding which the peer needs and loudness does not.
"""

import argparse
import importlib
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from sos.media import opus  # noqa: E402
from sos.media.activity import PAUSE_READINGS, Activity  # noqa: E402
from sos.media.heard import rms_dbov  # noqa: E402
from sos.vehicle.voice import speech_like  # noqa: E402

RATE_HZ = 16_000
READING = RATE_HZ // 10
FRAME = RATE_HZ // 50
Sound = npt.NDArray[np.int16]
Lamp = npt.NDArray[np.bool_]

SENTENCES = (
    "My car has hit the barrier. I cannot open the door. "
    "There are two of us, my wife is bleeding. Please hurry, I can smell petrol. "
)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=int, default=120)
    asked.add_argument("--path", default="")
    options = asked.parse_args()
    if options.path:
        sys.path.insert(0, options.path)
    detectors: dict[str, Callable[[Sound], Lamp]] = {"loudness": by_loudness}
    try:
        library = importlib.import_module("webrtcvad")
        detectors |= {f"webrtcvad {mode}": by_webrtc(library, mode) for mode in (1, 3)}
    except ImportError:
        print("webrtcvad is not installed: no peer")
    print(f"{'voice':8} {'noise':18} {'detector':12} {'voice lit':>9} {'else lit':>9} {'us a minute':>12}")
    for voice, said in voices(options.seconds).items():
        for noise, added in noises(said.size).items():
            truth = voiced(said)
            for name, detector in detectors.items():
                row(voice, noise, name, detector, heard=mixed(said, added), truth=truth)
    print(f"decoding Opus at 16 kHz: {decoding_us(options.seconds):.0f} us a minute of sound")


def row(voice: str, noise: str, name: str, detector: Callable[[Sound], Lamp], *, heard: Sound, truth: Lamp) -> None:
    begun = time.process_time()
    lamp = detector(heard)
    took_us = (time.process_time() - begun) * 1e6 / (heard.size / RATE_HZ / 60)
    settled = slice(100, None)  # ten seconds to learn the noise
    clear = ~hung_over(truth)[settled]
    lit, wrong = lamp[settled][truth[settled]].mean(), lamp[settled][clear].mean()
    print(f"{voice:8} {noise:18} {name:12} {lit:9.1%} {wrong:9.1%} {took_us:12.0f}")


def voices(seconds: int) -> dict[str, Sound]:
    made = {"like": turns(speech_like(float(seconds), seed=1).reshape(-1, 3).mean(axis=1).astype(np.int16))}
    if shutil.which("espeak-ng"):
        said = subprocess.run(["espeak-ng", "--stdout", SENTENCES], stdout=subprocess.PIPE, check=True).stdout
        with wave.open(BytesIO(said)) as file:
            spoken = np.frombuffer(file.readframes(len(said)), np.int16)
            at = np.arange(0, spoken.size, file.getframerate() / RATE_HZ)
        resampled = np.interp(at, np.arange(spoken.size), spoken).astype(np.int16)
        made["eSpeak"] = turns(np.resize(resampled, seconds * RATE_HZ))
    return made


def turns(voice: Sound) -> Sound:
    """Four seconds of voice, four of nothing, as in a conversation."""
    quiet = (np.arange(voice.size) // (4 * RATE_HZ)) % 2 == 0
    return np.where(quiet, 0, voice).astype(np.int16)


def noises(size: int) -> dict[str, npt.NDArray[np.float64]]:
    random = np.random.default_rng(7)
    hiss = random.standard_normal(size)
    rumble = np.convolve(random.standard_normal(size), np.ones(64) / 8, "same")
    slow = 1 + 0.3 * np.sin(2 * np.pi * np.arange(size) / RATE_HZ / 7)
    level = {"-60": 10 ** (-60 / 20), "-45": 10 ** (-45 / 20), "-38": 10 ** (-38 / 20)}
    return {
        "none": np.zeros(size),
        "hiss -60 dBov": hiss * 32_768 * level["-60"],
        "rumble -45 dBov": rumble * slow * 32_768 * level["-45"],
        "rumble -38 dBov": rumble * slow * 32_768 * level["-38"],
    }


def mixed(voice: Sound, noise: npt.NDArray[np.float64]) -> Sound:
    return np.clip(voice + noise, -32_768, 32_767).astype(np.int16)


def voiced(clean: Sound) -> Lamp:
    """Where there is a voice, told from the voice alone."""
    readings = clean[: clean.size // READING * READING].reshape(-1, READING)
    return np.array([rms_dbov(reading) > -45 for reading in readings])


def hung_over(lamp: Lamp) -> Lamp:
    """Lit for half a second longer, as both detectors may be."""
    padded = np.concatenate([np.zeros(PAUSE_READINGS, bool), lamp])
    return np.array([padded[at : at + PAUSE_READINGS + 1].any() for at in range(lamp.size)])


def by_loudness(sound: Sound) -> Lamp:
    activity = Activity()
    readings = sound[: sound.size // READING * READING].reshape(-1, READING)
    return np.array([activity.hear(rms_dbov(reading)) for reading in readings])


def by_webrtc(library: Any, mode: int) -> Callable[[Sound], Lamp]:
    def detect(sound: Sound) -> Lamp:
        detector = library.Vad(mode)
        frames = sound[: sound.size // READING * READING].reshape(-1, 5, FRAME)
        spoken = [sum(detector.is_speech(frame.tobytes(), RATE_HZ) for frame in five) >= 3 for five in frames]
        return hung_over(np.array(spoken))

    return detect


def decoding_us(seconds: int) -> float:
    encoder, decoder = opus.Encoder(), opus.Decoder(RATE_HZ)
    packets = [encoder.encode(frame) for frame in speech_like(float(seconds), seed=2).reshape(-1, opus.FRAME)]
    begun = time.process_time()
    for packet in packets:
        decoder.decode(packet)
    return (time.process_time() - begun) * 1e6 / (seconds / 60)


if __name__ == "__main__":
    main()
