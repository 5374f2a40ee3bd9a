"""A program that speaks as ``sos.assist.synthesiser`` does, and misbehaves when a text asks it to."""

import os
import subprocess
import sys
from pathlib import Path

from sos.assist.child import HEAD_BYTES, body_length, framed
from sos.assist.synthesiser import Spoken, Wanted, _wanted


def main() -> None:
    out = sys.stdout.buffer
    if "never-ready" in sys.argv:
        sys.stdin.read()
    out.write(framed(Spoken(languages=("ja",) if "only-ja" in sys.argv else ("ja", "en"))))
    out.flush()
    while head := sys.stdin.buffer.read(HEAD_BYTES):
        wanted: Wanted = _wanted.decode(sys.stdin.buffer.read(body_length(head)))
        match wanted.text.split():
            case ["die"]:
                os._exit(1)
            case ["hang", note]:
                helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
                Path(note).write_text(f"{os.getpid()} {helper.pid}")
                helper.wait()
            case ["garbage"]:
                out.write(b"\xff\xff\xff\xff" * 100)
            case ["half"]:
                out.write(framed(Spoken(n=wanted.n, pcm=bytes(1000)))[:500])
                out.flush()
                os._exit(0)
            case ["fault"]:
                out.write(framed(Spoken(n=wanted.n, fault="RuntimeError")))
            case ["silence"]:
                out.write(framed(Spoken(n=wanted.n)))
            case _ if wanted.language == "en" and "only-ja" in sys.argv:
                out.write(framed(Spoken(n=wanted.n, fault="no_voice")))
            case ["flood"]:
                out.write(3 * framed(Spoken(n=wanted.n, pcm=f"{os.getpid()} again".encode())))
            case _:
                out.write(framed(Spoken(n=wanted.n, pcm=f"{os.getpid()} {wanted.text}".encode())))
        out.flush()


if __name__ == "__main__":
    main()
