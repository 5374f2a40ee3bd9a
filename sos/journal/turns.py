"""Whose turn it is: tenants one after the other, and within a tenant whoever has waited longest.

Pure.  However much one tenant has queued, another one's next piece of work comes after one piece of everybody else's.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def put(self, whose: Hashable, item: Item) -> None:
        self._queues.setdefault(whose, deque()).append(item)

    def take(self, *, but: Sequence[Hashable] = ()) -> Item | None:
        """The next one, of nobody in ``but``; None when nobody else has any."""
        whose = next((each for each in self._queues if each not in but), None)
        if whose is None:
            return None
        queue = self._queues[whose]
        item = queue.popleft()
        if queue:
            self._queues.move_to_end(whose)
        else:
            del self._queues[whose]
        return item

    def __iter__(self) -> Iterator[Item]:
        """All of them in the order of their turns, each taken as it comes."""
        while (item := self.take()) is not None:
            yield item
