"""The process that reads one sheet: its order and the file on standard input, a line of JSON for each row on the other.

It limits itself before it looks at the file, and knows neither keys nor database.
"""

import resource
import sys
from typing import BinaryIO

import msgspec

from sos.errors import Malformed
from sos.registry.sheet import read
from sos.registry.sheet_reading import Done, Line, Not, Odd, Took, Wanted


def main() -> None:
    wanted = msgspec.json.decode(sys.stdin.buffer.readline(), type=Wanted)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted.cpu_s, wanted.cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (wanted.memory_bytes, wanted.memory_bytes))
    try:
        _tell(wanted, sys.stdin.buffer.read(), sys.stdout.buffer)
    except Malformed as wrong:
        _say(sys.stdout.buffer, Not(why=str(wrong), field=wrong.field))
    except MemoryError:
        _say(sys.stdout.buffer, Not(why="the file takes more memory to read than there is for one; split it"))


def _tell(wanted: Wanted, content: bytes, out: BinaryIO) -> None:
    sheet = read(content, brands=wanted.brands, now=wanted.now)
    for row in sheet.rows:
        _say(out, Took(row=row))
    for finding in sheet.findings:
        _say(out, Odd(finding=finding))
    _say(out, Done(encoding=sheet.encoding, total=sheet.total))


def _say(out: BinaryIO, line: Line) -> None:
    out.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
