"""Which addresses of a peer we send connectivity checks to (RFC 8839 5.1): a candidate is a wish of whoever sends it.

A peer that shows none we may use is not lost.  It checks our candidates, and the address its checks come from is
learned then (RFC 8445 7.3.1.3): so do browsers that name a host as ``<uuid>.local`` and nothing else.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

MOST_CANDIDATES = 16
"""Of one peer, however it sends them; one with many interfaces and a relay on each has a dozen."""
_TYPES = {"host", "srflx", "prflx", "relay"}
_LOWEST_PORT = 1024
_WEB_PORTS = {80, 443}
"""Below 1024 only relays listen, and on these."""


def usable(candidates: Iterable[str], *, ours: frozenset[str]) -> tuple[str, ...]:
    """Of ``candidates`` (values of the attribute) those we check, the first of them at most ``MOST_CANDIDATES``.

    ``ours`` are the addresses of this machine: with a checked one a peer would knock at our own doors.
    """
    kept = (each for each in candidates if _is_usable(each.split(), ours))
    return tuple(each for each, _ in zip(kept, range(MOST_CANDIDATES), strict=False))


def _is_usable(words: list[str], ours: frozenset[str]) -> bool:
    if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[6] != "typ" or words[7] not in _TYPES:
        return False
    if not (words[5].isascii() and words[5].isdigit() and _is_port(int(words[5][:6])) and words[3].isdigit()):
        return False
    try:
        address = ip_address(words[4])
    except ValueError:  # a name: of mDNS, or one that we were to look up
        return False
    return _is_elsewhere(address, ours)


def _is_port(port: int) -> bool:
    return _LOWEST_PORT <= port <= 65_535 or port in _WEB_PORTS


def _is_elsewhere(address: IPv4Address | IPv6Address, ours: frozenset[str]) -> bool:
    """Loopback counts as elsewhere only for a machine that has nothing else."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return all(ip_address(each).is_loopback for each in ours)
    nobody = address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved
    return not nobody and str(address) not in ours
