"""DTLS records (RFC 6347 4.1) as far as it must be known which of them anybody could have written."""

from struct import Struct as Layout

_RECORD = Layout("!BHH6xH")
"""Content type, version, epoch, sequence number, length."""
_ALERT = 21
_FIRST, _LAST = 20, 63
"""First bytes that are DTLS (RFC 7983 7)."""


def is_dtls(data: bytes) -> bool:
    return bool(data) and _FIRST <= data[0] <= _LAST


def without_plain_alerts(data: bytes) -> bytes:
    """``data`` without alerts of epoch 0, and without a rest that is no record.

    Such an alert is protected by nothing: whoever writes one would end a handshake (RFC 6347 4.1.2.7 lets us ignore
    it).  A peer that really gives up is missed when it does not come up in time.
    """
    kept: list[bytes] = []
    at = 0
    while at + _RECORD.size <= len(data):
        kind, _, epoch, length = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + length
        if end > len(data):
            break
        if kind != _ALERT or epoch != 0:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
