"""Keyed digests under which reports are recognised: the same for every repeat, and nothing can be guessed from them.

A report that its sender has named is recognised by that name.  One without a name is recognised by its bytes, by all
that the door knows of who sent them, and for a short time only: the same few bytes again may be another car, or the
same one in trouble again.
"""

import hmac
from collections import OrderedDict
from datetime import datetime, timedelta

from sos.incident.model import TenantId

SENT_AGAIN_WITHIN = timedelta(minutes=2)
"""How long the same nameless bytes from one connection are one report that is sent again.  Clients give up a request
after 10 to 60 s and try a few times; what comes later is somebody pressing again, or somebody else."""

VEHICLE_SENDS_AGAIN_WITHIN = timedelta(minutes=10)
"""The same where the door knows the vehicle: a broker redelivers after a reconnection, and no other car is meant."""

_REMEMBERED = 16_384
"""Nameless reports whose first arrival is remembered: the first minutes of a great earthquake, about 4 MB."""


def sent_again_within(*, one_vehicle: bool) -> timedelta:
    """How long the same nameless bytes are one report."""
    return VEHICLE_SENDS_AGAIN_WITHIN if one_vehicle else SENT_AGAIN_WITHIN


class Receipts:
    """Made from the house's intake secret; without it nothing can be guessed from a receipt or a digest."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("the intake secret must have at least 16 bytes")
        self._receipt = hmac.new(secret, digestmod="sha256")
        self._digest = hmac.new(hmac.digest(secret, b"sos intake report digest", "sha256"), digestmod="sha256")

    def receipt(self, tenant: TenantId, source: str, event: str) -> bytes:
        """HMAC-SHA256 of ``tenant ‖ 0 ‖ source ‖ 0 ‖ id``: 32 bytes, the same for every repeat."""
        keyed = self._receipt.copy()
        keyed.update(f"{tenant}\0{source}\0{event}".encode())
        return keyed.digest()

    def sender(self, tenant: TenantId, vehicle: str) -> str:
        """A vehicle as 16 hex digits, under the receipts' key: enough to give vehicles their turns."""
        return self.receipt(tenant, "urn:sos:sender", vehicle).hex()[:16]

    def report_digest(self, body: bytes) -> str:
        """Hex HMAC-SHA256 of the bytes as received, under a key of its own."""
        keyed = self._digest.copy()
        keyed.update(body)
        return keyed.hexdigest()


class Nameless:
    """Names for reports without one: stretches of time, counted from the first arrival.

    What this process does not remember (it was started anew, or another one took the first) falls into stretches of the
    clock, and may be a repeat of what came in the stretch before: ``before`` names that, and the journal knows whether
    it came.
    """

    def __init__(self) -> None:
        self._since: OrderedDict[str, tuple[datetime, str]] = OrderedDict()

    def event(self, known: str, *, one_vehicle: bool, at: datetime) -> str:
        """The same for every repeat of what is ``known`` of a report, its bytes and its sender, within its time."""
        within = sent_again_within(one_vehicle=one_vehicle)
        earlier = self._since.get(known)
        if earlier is not None and abs(at - earlier[0]) <= within:
            return earlier[1]
        event = f"{known}\0{at.timestamp() // within.total_seconds():.0f}"
        self.note(known, event, at=at)
        return event

    def before(self, known: str, *, one_vehicle: bool, at: datetime) -> str | None:
        """The name that a first arrival in the stretch before has; None when this process knows of a first arrival."""
        within = sent_again_within(one_vehicle=one_vehicle)
        earlier = self._since.get(known)
        if earlier is not None and abs(at - earlier[0]) <= within:
            return None
        return f"{known}\0{at.timestamp() // within.total_seconds() - 1:.0f}"

    def note(self, known: str, event: str, *, at: datetime) -> None:
        """``event`` is the name since ``at``."""
        self._since[known] = at, event
        self._since.move_to_end(known)
        if len(self._since) > _REMEMBERED:
            self._since.popitem(last=False)
