"""A transcriber without a model, as a program of its own, that misbehaves on request.

``python standin_transcriber.py [never_ready | dies_at_once]``; afterwards each utterance says by its language what is
to become of it: ``hang``, ``die``, ``garbage``, ``huge``, ``nonsense``, ``another``, ``flood``, ``fault`` or
``nothing``; anything else is written down as how long it lasted and how loud it was.
"""

import os
import signal
import sys

import msgspec
import numpy as np

from sos.assist.child import HEAD_BYTES, body_length, framed
from sos.assist.transcriber import MOST_QUESTION_BYTES, RATE_HZ, Said, Written


def main(how: str) -> None:
    if how == "never_ready":
        signal.pause()
    if how == "dies_at_once":
        os._exit(3)
    say(framed(Written()))
    while head := sys.stdin.buffer.read(HEAD_BYTES):
        body = sys.stdin.buffer.read(body_length(head, at_most=MOST_QUESTION_BYTES))
        answer(msgspec.msgpack.decode(body, type=Said))


def answer(said: Said) -> None:
    match said.language:
        case "hang":
            signal.pause()
        case "die":
            os._exit(3)
        case "garbage":
            say(framed(Written())[:HEAD_BYTES] + b" not MessagePack at all")
        case "huge":
            say(b"\xff\xff\xff\xff")
        case "nonsense":
            say(framed(Said(n=said.n, language="ja", pcm=b"what nobody asked for")))
        case "another":
            say(framed(Written(n=said.n + 1, text="what another call said")))
        case "flood":
            for _ in range(100):
                say(framed(Written(n=said.n, text="again and again")))
        case "fault":
            say(framed(Written(n=said.n, fault="RuntimeError")))
        case "nothing":
            say(framed(Written(n=said.n)))
        case language:
            pcm = np.frombuffer(said.pcm, "<i2")
            loud = int(np.abs(pcm.astype(np.int32)).max()) if pcm.size else 0
            say(framed(Written(n=said.n, text=f"{language} {pcm.size / RATE_HZ:.1f} s, {loud}")))


def say(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
