"""Who sends: a static key, a signed request, a signed token or a client certificate, each bound to one tenant.

Four ways, one outcome (``Sender``):

- ``Authorization: Bearer <key>``: a static key, of which only the SHA-256 is held (``tenants``).
- ``Signature-Input`` and ``Signature``: HTTP message signatures (RFC 9421) with ``hmac-sha256`` over method, authority,
  path, query, ``Content-Digest`` (RFC 9530) and the headers that change a request's meaning, with ``created`` and a
  ``nonce`` that is taken once.
- ``Authorization: Bearer <JWT>`` (RFC 7519, 8725): asymmetric algorithms only, ``exp``, ``iat``, ``iss`` and ``aud``
  required, and a lifetime that is capped.
- a client certificate by its SHA-256, from our own TLS or from a header of a proxy that the settings trust.

Every refusal is ``Unauthenticated`` and names the rule.  A tenant over its rate is never refused: it is flagged.
"""

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import unquote

import jwt
from msgspec import Struct
from msgspec.structs import replace
from multidict import CIMultiDictProxy

from sos.errors import Misconfigured
from sos.formats.unpacked import sent_digest
from sos.incident.model import TenantId
from sos.intake.nonces import Nonces
from sos.intake.signature import Signature, content_digest, needed, unsigned
from sos.intake.tenants import Tenant, TenantKeys
from sos.intake.tenants import digest as key_digest
from sos.problems import Unauthenticated

LEEWAY = timedelta(seconds=60)
"""How far a sender's clock may differ from ours, either way: the usual figure of gateways (AWS SigV4 allows 300 s)."""

NONCES_KEPT = 2 * LEEWAY
"""From a signature's earliest to its latest moment."""

LONGEST_TOKEN = timedelta(hours=2)
"""From ``iat`` to ``exp`` of a token, where an issuer's settings say nothing else: a stolen one is soon worth nothing.
Large issuers give 60 to 90 minutes by default."""

ALGORITHMS = frozenset({"ES256", "ES384", "RS256", "PS256", "EdDSA"})
"""Of a token.  No ``none`` and no shared secrets (RFC 8725 3.1, 3.2)."""


class Request(Protocol):
    """What is looked at of an HTTP request; ``aiohttp.web.Request`` is one."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def raw_path(self) -> str: ...
    @property
    def query_string(self) -> str: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def remote(self) -> str | None: ...
    @property
    def transport(self) -> Any: ...


class Sender(Struct, frozen=True, kw_only=True, gc=False):
    """Who sends a request, and what must still hold once its body is here."""

    tenant: Tenant
    content_digest: bytes | None = None
    """SHA-256 that the signed request promises for its body."""
    findings: tuple[str, ...] = ()
    connection: str = ""
    """All that is known of where it comes from: a name of what it presented, and the address.  Not for the journal."""

    @property
    def tenant_id(self) -> TenantId:
        return self.tenant.id

    def check(self, body: bytes, *, content: object = None) -> None:
        """``Unauthenticated`` when ``body`` is not the one that was signed.

        ``content``: what it was read from, which knows the bytes as they were sent, before any unpacking (RFC 9530 2).
        """
        promised = self.content_digest
        if promised is not None and not hmac.compare_digest(promised, sent_digest(content, body)):
            raise Unauthenticated(
                "The body is not the one that `Content-Digest` was made of (RFC 9530).",
                rule="content-digest",
                field="Content-Digest",
                tenant=self.tenant.id,
            )


class SigningKey(Struct, frozen=True, kw_only=True):
    """A secret shared with one tenant's cloud."""

    tenant: Tenant
    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < 32:
            raise Misconfigured(f"tenant {self.tenant.id}: a signing key must have at least 32 bytes")


class TokenIssuer(Struct, frozen=True, kw_only=True):
    """Whose tokens speak for a tenant."""

    tenant: Tenant
    issuer: str
    audience: str
    keys: tuple[jwt.PyJWK, ...]
    """Public keys; a token with a ``kid`` is checked against the key of that name only."""
    longest: timedelta = LONGEST_TOKEN


class Rate(Struct, frozen=True, kw_only=True):
    """How many reports a tenant is expected to send."""

    per_s: float
    burst: float


class Credentials:
    """Everything by which a sender is known."""

    def __init__(
        self,
        keys: TenantKeys,
        *,
        signing: Mapping[str, SigningKey] = MappingProxyType({}),
        issuers: Sequence[TokenIssuer] = (),
        certificates: Mapping[bytes, Tenant] = MappingProxyType({}),
        proxies: frozenset[str] = frozenset(),
        certificate_header: str = "",
        rates: Mapping[str, Rate] = MappingProxyType({}),
        nonces: Nonces | None = None,
    ) -> None:
        """``certificates`` by SHA-256 of the DER form; ``proxies`` are the addresses whose ``certificate_header``
        (the PEM form, percent-encoded, as nginx and HAProxy write it) is believed."""
        self._keys = keys
        self._signing = dict(signing)
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._certificates = dict(certificates)
        self._proxies = proxies if certificate_header else frozenset()
        self._certificate_header = certificate_header
        self._rates = {tenant: _Bucket(rate) for tenant, rate in rates.items()}
        self._nonces = nonces or Nonces(NONCES_KEPT)

    def close(self) -> None:
        self._nonces.close()

    def sender(self, request: Request, *, at: datetime) -> Sender:
        """Who sends ``request``; ``Unauthenticated`` with the rule that it fails."""
        known = self.identify(request, at=at)
        sender = replace(known, connection=f"{known.connection} {request.remote or ''}")
        bucket = self._rates.get(sender.tenant.id)
        if bucket is None or bucket.take(at):
            return sender
        return replace(sender, findings=("over_rate:$",))

    def tenant(self, request: Request, *, at: datetime) -> Tenant:
        """The tenant of a request without a body that matters, such as a call or a question."""
        return self.identify(request, at=at).tenant

    def over_rate(self, tenant: Tenant, *, at: datetime) -> tuple[str, ...]:
        """The finding for one more report that came by another way than HTTP."""
        bucket = self._rates.get(tenant.id)
        return () if bucket is None or bucket.take(at) else ("over_rate:$",)

    def identify(self, request: Request, *, at: datetime) -> Sender:
        """As ``sender``, for a request that is no report and counts towards no rate."""
        headers = request.headers
        if "Signature-Input" in headers:
            return self._signed(request, at)
        authorization = headers.get("Authorization")
        if authorization is not None and self._issuers and authorization.count(".") == 2:
            return self._token(authorization, at)
        if authorization is None and (sender := self._certificate(request)) is not None:
            return sender
        tenant = self._keys.tenant(authorization)
        return Sender(tenant=tenant, connection=key_digest(authorization or "").hex())

    # --- signed requests ---

    def _signed(self, request: Request, at: datetime) -> Sender:
        signature = Signature.of(request.headers, known=self._signing)
        known = self._signing.get(signature.key_id)
        if known is None:
            raise unsigned("keyid", f"No signing key {signature.key_id[:64]!r} is known here.")
        tenant = known.tenant.id
        if signature.algorithm not in (None, "hmac-sha256"):
            raise unsigned("alg", "Sign with `hmac-sha256` (RFC 9421 3.3.3).", tenant)
        if missing := needed(request.headers, query=bool(request.query_string)) - set(signature.components):
            raise unsigned("components", f"The signature must cover {', '.join(sorted(missing))} as well.", tenant)
        age = at.timestamp() - signature.created
        if abs(age) > LEEWAY.total_seconds():
            raise unsigned(
                "created",
                f"The signature's clock and ours differ by {abs(age):.0f} s; at most "
                f"{LEEWAY.total_seconds():.0f} s are allowed. Set the clock and sign again.",
                tenant,
            )
        if signature.expires is not None and signature.expires < at.timestamp():
            raise unsigned("expires", "The signature has expired by its own word; sign each request anew.", tenant)
        signed = signature.base(method=request.method, target=request.raw_path, headers=request.headers)
        made = hmac.digest(known.secret, signed, "sha256")
        if not hmac.compare_digest(made, signature.value):
            raise unsigned("signature", "The signature does not fit the request and the key.", tenant)
        if not self._nonces.first(signature.key_id, signature.nonce, at=at):
            raise unsigned("nonce", "This nonce was used before; sign each request, also a retry, anew.", tenant)
        digest = content_digest(request.headers, tenant)
        return Sender(tenant=known.tenant, content_digest=digest, connection=f"key {signature.key_id}")

    # --- tokens ---

    def _token(self, authorization: str, at: datetime) -> Sender:
        token = authorization[7:].strip()
        try:
            claimed = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, RecursionError, UnicodeError):
            raise _untrusted("format", "The bearer token is neither a tenant key nor a readable JWT.") from None
        issuer = self._issuers.get(str(claimed["payload"].get("iss")))
        if issuer is None:
            raise _untrusted("iss", "No tenant's tokens come from this issuer.")
        named = claimed["header"].get("kid")
        keys = [known for known in issuer.keys if named is None or known.key_id in (None, named)]
        if not keys:
            raise _untrusted("kid", "The issuer has no key of this name here.", issuer)
        for number, key in enumerate(keys, 1):
            try:
                self._verify(token, key, issuer, at)
            except jwt.InvalidSignatureError:
                if number == len(keys):
                    raise _untrusted("signature", "The token was not signed with the issuer's key.", issuer) from None
                continue
            except jwt.InvalidTokenError as wrong:
                raise _untrusted(*_token_fault(wrong), issuer) from None
            subject = str(claimed["payload"].get("sub", ""))
            return Sender(tenant=issuer.tenant, connection=f"token {issuer.issuer} {subject}")
        raise AssertionError("unreachable")

    def _verify(self, token: str, key: jwt.PyJWK, issuer: TokenIssuer, at: datetime) -> None:
        """``jwt.InvalidTokenError`` when it does not hold; times are compared with ``at``, not with the machine's."""
        payload = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options={
                "require": ["exp", "iat", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        now, leeway = at.timestamp(), LEEWAY.total_seconds()
        if not _is_time(payload["exp"]) or now > payload["exp"] + leeway:
            raise jwt.ExpiredSignatureError
        for early in ("nbf", "iat"):
            if early in payload and (not _is_time(payload[early]) or now < payload[early] - leeway):
                raise jwt.ImmatureSignatureError(early)
        if payload["exp"] - payload["iat"] > issuer.longest.total_seconds():
            raise _LivesTooLong

    # --- certificates ---

    def _certificate(self, request: Request) -> Sender | None:
        """The sender whose client certificate the connection, or a trusted proxy, shows."""
        if not self._certificates:
            return None
        der = _peer_certificate(request)
        if der is None and request.remote in self._proxies:
            der = _pem(request.headers.get(self._certificate_header, ""))
        if der is None:
            return None
        fingerprint = hashlib.sha256(der).digest()
        tenant = self._certificates.get(fingerprint)
        if tenant is None:
            raise Unauthenticated("This client certificate is no tenant's.", rule="certificate")
        return Sender(tenant=tenant, connection=f"certificate {fingerprint.hex()}")


def _untrusted(rule: str, why: str, issuer: TokenIssuer | None = None) -> Unauthenticated:
    return Unauthenticated(why, rule=rule, field="Authorization", tenant=issuer.tenant.id if issuer else None)


_TIMES_ARE_OURS = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


class _LivesTooLong(jwt.InvalidTokenError):
    """From ``iat`` to ``exp`` is more than the settings allow."""


def _token_fault(wrong: jwt.InvalidTokenError) -> tuple[str, str]:
    match wrong:
        case jwt.ExpiredSignatureError():
            return "exp", "The token has expired; get a new one."
        case jwt.ImmatureSignatureError():
            return "nbf", "The token is not valid yet; check the issuer's clock."
        case _LivesTooLong():
            return "lifetime", "The token lives longer than we allow its issuer; ask for one with an earlier `exp`."
        case jwt.InvalidAudienceError():
            return "aud", "The token is meant for another service."
        case jwt.MissingRequiredClaimError():
            return "claims", f"The token lacks the claim `{wrong.claim}`."
        case jwt.InvalidAlgorithmError():
            return "alg", "The token is signed with another algorithm than the issuer's key has."
        case _:
            return "format", "The token cannot be read (RFC 7519)."


def _is_time(value: object) -> bool:
    """Seconds since 1970 (RFC 7519 2); what is beyond the year 33,000, or no number, is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _peer_certificate(request: Request) -> bytes | None:
    transport = request.transport
    connection = transport.get_extra_info("ssl_object") if transport is not None else None
    der: bytes | None = connection.getpeercert(binary_form=True) if connection is not None else None
    return der


def _pem(header: str) -> bytes | None:
    """The DER form in a header that holds a certificate in PEM, percent-encoded or on one line."""
    text = unquote(header)
    found = re.search(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", text)
    try:
        return b64decode("".join(found[1].split()), validate=True) if found else None
    except NotBase64:
        return None


class _Bucket:
    """A token bucket: ``burst`` at once, then ``per_s``."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at: datetime | None = None

    def take(self, at: datetime) -> bool:
        if self._at is not None:
            gone = max(0.0, (at - self._at).total_seconds())
            self._left = min(self._rate.burst, self._left + gone * self._rate.per_s)
        self._at = at
        if self._left < 1:
            return False
        self._left -= 1
        return True
