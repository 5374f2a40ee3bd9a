"""A channel that misbehaves: the twin of every real one, for tests, drills and demonstrations.

It loses requests before they arrive and answers after they have, which are the two faults a sender cannot tell apart.
"""

from collections import Counter
from random import Random

from sos.dispatch.port import Parcel, Receipt
from sos.errors import Unavailable
from sos.incident.model import Acknowledgement, DisclosureId


class SimulatedChannel:
    """``AgencyChannel`` in memory.  ``misbehaviour`` is the share of calls that go wrong; ``seed`` repeats a run."""

    name = "simulated"

    def __init__(self, *, misbehaviour: float = 0.05, seed: int = 0) -> None:
        self._dice = Random(seed)  # noqa: S311  (repeats faults, keeps no secret)
        self._misbehaviour = misbehaviour
        self.arrived: Counter[DisclosureId] = Counter()
        """How often each disclosure reached the agency: more than once is a fault of the sender."""
        self.briefs: dict[DisclosureId, bytes] = {}

    async def find(self, disclosure: DisclosureId) -> Receipt | None:
        self._perhaps_fail()
        return self._receipt(disclosure) if disclosure in self.arrived else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        self._perhaps_fail()
        self.arrived[parcel.disclosure] += 1
        self.briefs[parcel.disclosure] = parcel.brief
        self._perhaps_fail()
        return self._receipt(parcel.disclosure)

    def _perhaps_fail(self) -> None:
        if self._dice.random() < self._misbehaviour:
            raise Unavailable("the agency's system does not answer")

    def _receipt(self, disclosure: DisclosureId) -> Receipt:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"simulated:{disclosure}")
