"""Keyed digests under which reports are recognised: the same for every repeat, and nothing can be guessed from them."""

import hmac

from sos.incident.model import TenantId


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

    def report_digest(self, body: bytes) -> str:
        """Hex HMAC-SHA256 of the bytes as received, under a key of its own."""
        keyed = self._digest.copy()
        keyed.update(body)
        return keyed.hexdigest()
