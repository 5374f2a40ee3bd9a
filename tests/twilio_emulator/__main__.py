"""``python -m tests.twilio_emulator``: the emulator as a process of its own, until it is told to stop.

It prints one line of JSON with its address and keys.  Whatever number is called answers after a second and speaks.
With ``--orders`` each line of its standard input, a number and one of the account's, is a call that comes in.
"""

import argparse
import asyncio
import json
import signal
import sys

from tests.twilio_emulator.server import Emulator
from tests.twilio_emulator.world import Person

ANSWERS_AFTER_S = 1.0


class _Everybody(dict[str, Person]):
    """Everyone has a telephone and a voice of their own."""

    def __missing__(self, number: str) -> Person:
        self[number] = Person(seed=1 + len(self), after_s=ANSWERS_AFTER_S)
        return self[number]

    def setdefault(self, number: str, _: Person | None = None) -> Person:  # type: ignore[override]
        return self[number]


async def _call_in(emulator: Emulator) -> None:
    """Whoever the standard input names calls."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    calls = set()
    while line := (await lines.readline()).split():
        caller, to = (each.decode() for each in line)
        calls.add(asyncio.create_task(emulator.call_in(caller, to=to)))


async def serve(port: int, *, voice_url: str, desk_url: str, orders: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Emulator(port=port) as emulator:
        emulator.voice_url, emulator.desk_url = voice_url, desk_url
        emulator.world.people = _Everybody()
        told = {
            "base": emulator.base,
            "account": emulator.account,
            "token": emulator.token,
            "key": emulator.user,
            "secret": emulator.secret,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        obeying = asyncio.create_task(_call_in(emulator)) if orders else None
        await stopped.wait()
        if obeying is not None:
            obeying.cancel()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0, help="On 127.0.0.1; 0: any.")
    options.add_argument("--voice-url", default="", help="What an incoming call is asked for.")
    options.add_argument("--desk-url", default="", help="What a desk's call is asked for.")
    options.add_argument("--orders", action="store_true", help="Lines of standard input are calls that come in.")
    given = options.parse_args()
    asyncio.run(serve(given.port, voice_url=given.voice_url, desk_url=given.desk_url, orders=given.orders))


if __name__ == "__main__":
    main()
