"""Makes the spoken notices of ``sos/calls/notices`` anew; they are kept in the repository, so this is seldom run.

    python ops/notices.py        needs pyopenjtalk-plus (PyPI), av, numpy and espeak-ng (Debian)

Japanese is spoken by Open JTalk with the voice «Mei» of the HTS Working Group, Nagoya Institute of Technology
(CC BY 3.0), English by eSpeak NG.  Each notice lies there three times: in Japanese, in English, and for a caller whose
language nobody knows its Japanese and then its English sentence; 16 kb/s Opus, mono.
"""

import io
import subprocess
import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pyopenjtalk

RATE_HZ = 48_000
FOLDER = Path(__file__).resolve().parents[1] / "sos/calls/notices"
PAUSE_S = 0.4
LEVEL = 10_000
"""Peak; about -10 dB, as loud as a person on the line."""

NOTICES = {
    "wait": (
        "こちらは緊急通報センターです。オペレーターがまもなく出ます。このまま切らずにお待ちください。",
        "This is the emergency call centre. An operator will be with you shortly. Please stay on the line.",
    ),
    "hold": (
        "少しお待ちください。回線はつながったままです。",
        "One moment please. You are still connected.",
    ),
    "joining": (
        "消防または警察の担当者がこの通話に加わります。",
        "The fire brigade or the police will now join this call.",
    ),
    "silent": (
        "お話しになれない場合は、はいのときは一、いいえのときは二を押してください。",
        "If you cannot speak, press one for yes and two for no.",
    ),
    "on_call": (
        "緊急通報です。出る場合は一、消防へ知らせる場合は続けて九を押してください。",
        "Emergency call. Press one to take it, then nine to tell the fire brigade.",
    ),
    "told": (
        "消防への連絡を始めました。",
        "The fire brigade is being told.",
    ),
    "not_told": (
        "消防へはまだ知らせていません。電話で話を続け、必要なら監督者に知らせてください。",
        "The fire brigade has not been told. Go on talking, and call a supervisor if it is needed.",
    ),
    "nobody": (
        "係員が出られません。可能であれば、ご自身で緊急通報してください。呼び出しは続けています。",
        "Nobody can answer just now. If you can, call the emergency services yourself. We keep trying.",
    ),
    "test": (
        "これはテスト通報です。聞こえたら一を押して、お切りください。かけ直します。助けが必要なときは九を押してください。",
        "This is a test call. If you hear this, press one and hang up; we call you back. If you need help, press nine.",
    ),
    "lost": (
        "通話が途切れました。こちらからかけ直します。",
        "The call was cut off. We will call you back.",
    ),
}

Pcm = npt.NDArray[np.float64]


def japanese(text: str) -> Pcm:
    sound, rate = pyopenjtalk.tts(text)
    return at_48_khz(np.asarray(sound), rate)


def english(text: str) -> Pcm:
    spoken = subprocess.run(
        ["espeak-ng", "-v", "en-gb", "-s", "150", "--stdout", text], capture_output=True, check=True
    )
    with wave.open(io.BytesIO(spoken.stdout)) as file:
        sound = np.frombuffer(file.readframes(len(spoken.stdout)), np.int16)
        return at_48_khz(sound.astype(np.float64), file.getframerate())


def at_48_khz(sound: Pcm, rate: int) -> Pcm:
    resampled = np.interp(np.arange(0, sound.size, rate / RATE_HZ), np.arange(sound.size), sound)
    return resampled / max(1.0, np.abs(resampled).max()) * LEVEL


def write(path: Path, sound: Pcm) -> None:
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.bit_rate = 16_000
        pcm = np.concatenate((sound, np.zeros(-sound.size % 960))).astype(np.int16)
        for number, piece in enumerate(pcm.reshape(-1, 960)):
            frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, number * 960
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    pause = np.zeros(round(PAUSE_S * RATE_HZ))
    for name, (ja, en) in NOTICES.items():
        both = (japanese(ja), english(en))
        made = {name: (pause, both[0], pause, both[1]), f"{name}.ja": (pause, both[0]), f"{name}.en": (pause, both[1])}
        for file, pieces in made.items():
            sound = np.concatenate(pieces)
            write(FOLDER / f"{file}.opus", sound)
            print(f"{file:12} {sound.size / RATE_HZ:5.1f} s  {(FOLDER / f'{file}.opus').stat().st_size} bytes")


if __name__ == "__main__":
    main()
