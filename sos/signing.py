"""HTTP Message Signatures (RFC 9421) with Ed25519, in the one profile that agencies, brands and we use.

Covered, in this order: ``@method``, ``@target-uri``, ``content-digest`` (RFC 9530, SHA-256), ``content-type`` and
``idempotency-key``; parameters ``created``, ``keyid`` and ``alg="ed25519"`` (RFC 9421 3.3.6).  A public key signature
and not a shared secret: the directory then holds nothing that must be kept secret, and an agency cannot be impersonated
with what another agency knows.  Nonces are not needed: a delivery is recognised by its idempotency key, and an answer
that is sent again changes nothing.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from routing.text import octets
from sos.errors import Malformed, Misconfigured

LABEL = "sos"
COMPONENTS = ("@method", "@target-uri", "content-digest", "content-type", "idempotency-key")

SKEW = timedelta(minutes=5)
"""How far the sender's clock may be from ours, and so how long an answer can be sent again."""

_INPUT = re.compile(
    rf'{LABEL}=(?P<params>\((?P<components>[^)]*)\);created=(?P<created>\d{{1,12}});keyid="(?P<keyid>[^"]{{1,128}})"'
    r';alg="ed25519")'
)
_SIGNATURE = re.compile(rf"{LABEL}=:(?P<signature>[A-Za-z0-9+/=]{{1,128}}):")


def content_digest(body: bytes) -> str:
    """``body`` as the value of ``Content-Digest`` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def signed(
    key: Ed25519PrivateKey,
    *,
    keyid: str,
    method: str,
    url: str,
    body: bytes,
    content_type: str,
    idempotency_key: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a signed request."""
    headers = {
        "Content-Digest": content_digest(body),
        "Content-Type": content_type,
        "Idempotency-Key": idempotency_key,
    }
    covered = " ".join(f'"{name}"' for name in COMPONENTS)
    params = f'({covered});created={int(now.timestamp())};keyid="{keyid}";alg="ed25519"'
    signature = key.sign(_base(method, url, headers, params))
    return headers | {
        "Signature-Input": f"{LABEL}={params}",
        "Signature": f"{LABEL}=:{base64.b64encode(signature).decode()}:",
    }


def verify(
    key: Ed25519PublicKey, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> None:
    """Return when ``headers`` sign this request.  ``Malformed`` names the rule that does not hold, never a value."""
    given = {name.lower(): value for name, value in headers.items()}
    stated = _INPUT.fullmatch(given.get("signature-input", ""))
    signature = _SIGNATURE.fullmatch(given.get("signature", ""))
    if stated is None or signature is None:
        raise Malformed("sign the request as RFC 9421 with Ed25519", field="Signature-Input")
    if stated["components"] != " ".join(f'"{name}"' for name in COMPONENTS):
        raise Malformed(f"the signature must cover {' '.join(COMPONENTS)}", field="Signature-Input")
    if not hmac.compare_digest(octets(given.get("content-digest", "")), content_digest(body).encode()):
        raise Malformed("the digest is not that of the body", field="Content-Digest")
    if abs(now.timestamp() - int(stated["created"])) > SKEW.total_seconds():
        raise Malformed(f"created is more than {SKEW.seconds} s from our clock", field="Signature-Input")
    titled = {name: given.get(name.lower(), "") for name in ("Content-Digest", "Content-Type", "Idempotency-Key")}
    try:
        key.verify(base64.b64decode(signature["signature"]), _base(method, url, titled, stated["params"]))
    except (InvalidSignature, binascii.Error) as wrong:
        raise Malformed("the signature does not verify", field="Signature") from wrong


def _base(method: str, url: str, headers: Mapping[str, str], params: str) -> bytes:
    """The signature base (RFC 9421 2.5)."""
    values = (method, url, headers["Content-Digest"], headers["Content-Type"], headers["Idempotency-Key"])
    lines = [f'"{name}": {value.strip()}' for name, value in zip(COMPONENTS, values, strict=True)]
    return octets("\n".join((*lines, f'"@signature-params": {params}')))


def public_text(key: Ed25519PublicKey) -> str:
    """``key`` as it stands in a directory or a contract: its 32 bytes in base64."""
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def public_key(text: str, *, where: str) -> Ed25519PublicKey:
    """The key in ``text``.  ``Misconfigured`` names ``where`` it stands."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error) as wrong:
        raise Misconfigured(f"{where} must be an Ed25519 public key: 32 bytes in base64") from wrong
