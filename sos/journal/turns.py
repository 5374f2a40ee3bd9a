"""Whose turn it is: tenants one after the other, within a tenant its vehicles, and within one who has waited longest.

Pure.  However much one tenant has queued, another one's next piece of work comes after one piece of everybody else's;
and however much one vehicle sends, its tenant's others come after one piece of it.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, OrderedDict[Hashable, deque[Item]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, whose: Hashable, item: Item, *, of: Hashable = None) -> None:
        """``whose``: the tenant; ``of``: the vehicle, or what else is one thing within the tenant."""
        self._queues.setdefault(whose, OrderedDict()).setdefault(of, deque()).append(item)
        self._count += 1

    def take(self, *, but: Sequence[Hashable] = ()) -> Item | None:
        """The next one, of nobody in ``but``; None when nobody else has any."""
        whose = next((each for each in self._queues if each not in but), None)
        if whose is None:
            return None
        within = self._queues[whose]
        of, queue = next(iter(within.items()))
        item = queue.popleft()
        self._count -= 1
        if queue:
            within.move_to_end(of)
        else:
            del within[of]
        if within:
            self._queues.move_to_end(whose)
        else:
            del self._queues[whose]
        return item

    def __iter__(self) -> Iterator[Item]:
        """All of them in the order of their turns, each taken as it comes."""
        while (item := self.take()) is not None:
            yield item
