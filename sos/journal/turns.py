"""Whose turn it is: tenants one after the other, within a tenant its vehicles, and within one who has waited longest.

Pure.  However much one tenant has queued, another one's next piece of work comes after one piece of everybody else's;
and however much one vehicle sends, its tenant's others come after one piece of it.

Inside a mass event places take the turns instead of tenants, and nobody outside may wait longer for that.  So an item
with a place keeps its turn by tenant, and what comes in that turn is the next of all places: the turns of those inside
are dealt out anew among themselves, and everybody else's stay where they were.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")


class _Place:
    """Stands in a tenant's queue for whatever place comes next."""


_PLACE: Final = _Place()


class Turns(Generic[Item]):
    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, OrderedDict[Hashable, deque[Item | _Place]]] = OrderedDict()
        self._places: Turns[Item] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, whose: Hashable, item: Item, *, of: Hashable = None, place: Hashable = None) -> None:
        """``whose``: the tenant; ``of``: the vehicle, or what else is one thing within the tenant; ``place``: where it
        waits inside a mass event."""
        queue = self._queues.setdefault(whose, OrderedDict()).setdefault(of, deque())
        self._count += 1
        if place is None:
            queue.append(item)
            return
        if self._places is None:
            self._places = Turns()
        queue.append(_PLACE)
        self._places.put(place, item, of=(whose, of))

    def take(self, *, but: Sequence[Hashable] = ()) -> Item | None:
        """The next one, in the turn of nobody in ``but``; None when nobody else has any."""
        taken = self.take_turn(but=but)
        return None if taken is None else taken[1]

    def take_turn(self, *, but: Sequence[Hashable] = ()) -> tuple[Hashable, Item] | None:
        """The tenant whose turn it was, and what came in it."""
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
        if not isinstance(item, _Place):
            return whose, item
        assert self._places is not None
        placed = self._places.take()
        assert placed is not None  # each stands for one
        return whose, placed

    def __iter__(self) -> Iterator[Item]:
        """All of them in the order of their turns, each taken as it comes."""
        while (item := self.take()) is not None:
            yield item
