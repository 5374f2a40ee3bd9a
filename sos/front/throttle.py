"""How often an address or an account may be wrong about who it is.

A bucket for each, of which the least recently used is forgotten: memory is bounded whatever the number of addresses.
IPv6 addresses count by their network, since a stranger has 2^64 of them.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from msgspec import Struct

MOST = 4_096
"""Buckets, and addresses that somebody has come in from; about a megabyte."""


class Failures(Struct, frozen=True, kw_only=True):
    """``burst`` failures at once, then one every ``each_s`` seconds."""

    burst: int
    each_s: float


class _Bucket(Struct):
    left: float
    at: float


class Throttle:
    """Token buckets by name.  ``now`` is a monotonic clock's reading."""

    def __init__(self, rate: Failures, *, most: int = MOST) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def failed(self, name: str, now: float) -> bool:
        """Count a failure of ``name``; whether it had one left."""
        bucket = self._now(name, now)
        self._buckets[name] = bucket
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.left < 1.0:
            return False
        bucket.left -= 1.0
        return True

    def wait_s(self, name: str, now: float) -> float:
        """Until ``name`` may be wrong again; 0 when it may now."""
        return max(0.0, (1.0 - self._now(name, now).left) * self._rate.each_s)

    def _now(self, name: str, now: float) -> _Bucket:
        known = self._buckets.get(name)
        if known is None:
            return _Bucket(float(self._rate.burst), now)
        left = min(float(self._rate.burst), known.left + max(0.0, now - known.at) / self._rate.each_s)
        return _Bucket(left, now)


def network(address: str) -> str:
    """The part of ``address`` that one stranger has: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(known, IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return f"{IPv6Address(int(known) >> 64 << 64)}/64"
    return str(known)
