"""A second factor: six digits that a telephone and the house work out of the same secret and the time (RFC 6238).

HMAC-SHA-1, 30 seconds and six digits, as every authenticator has them.
"""

import hmac
from base64 import b32decode
from binascii import Error as NotBase32
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

from sos.errors import Misconfigured

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""RFC 4226 4, R6: 160 bits."""


def read_secret(file: Path) -> bytes:
    """The secret in ``file``, in base32 as authenticators take it; ``Misconfigured`` when it is none."""
    try:
        secret = b32decode(file.read_text().strip().replace(" ", "").upper())
    except (OSError, ValueError, NotBase32) as wrong:
        raise Misconfigured(f"{file.name} holds no second factor: {type(wrong).__name__}") from wrong
    if len(secret) < 16:
        raise Misconfigured(f"{file.name}: a second factor has at least 16 bytes (RFC 4226 4, R6)")
    return secret


def code(secret: bytes, step: int) -> str:
    """The digits of a step of time (RFC 4226 5.3)."""
    made = hmac.digest(secret, step.to_bytes(8), "sha1")
    at = made[-1] & 15
    number = int.from_bytes(made[at : at + 4]) & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: bytes, given: str, *, now: datetime) -> int | None:
    """The step whose digits these are: this one, or the one before or after, for clocks that differ; None for none."""
    current = int(now.timestamp()) // STEP_S
    matching = [
        step
        for step in (current, current - 1, current + 1)
        if hmac.compare_digest(code(secret, step).encode(), given.encode("utf-8", "replace"))
    ]
    return matching[0] if matching else None


def uri(secret: str, *, account: str, issuer: str) -> str:
    """What an authenticator reads from a QR code (the ``otpauth`` scheme of Google Authenticator)."""
    asked = urlencode({"secret": secret, "issuer": issuer, "digits": DIGITS, "period": STEP_S}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{asked}"
