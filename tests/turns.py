"""How many turns of the loop others get while something long is done: a stall is a long thing without any."""

import asyncio
from types import TracebackType
from typing import Self


class Turns:
    """``async with`` it around what is long; ``taken`` afterwards."""

    taken = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_soon(self._turn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._next.cancel()

    def _turn(self) -> None:
        self.taken += 1
        self._next = self._loop.call_soon(self._turn)
