"""Time stamps of a third party (RFC 3161): that something was there at a time, told by an authority outside the house.

``request`` asks, ``token`` takes the answer, ``check`` says what it proves.  Checking needs ``cryptography`` only and
goes beyond ``openssl ts -verify`` in one point: weak digests are refused.  Steps of ``check``, in this order:

 1. status: the authority granted it
 2. imprint: it is over these bytes, by SHA-256 or stronger
 3. nonce: it answers this request, where one is given
 4. attributes: what was signed names the content and the certificate of the signer (RFC 5816)
 5. signature: by that certificate's key
 6. usage: the certificate is for time stamping and nothing else (RFC 3161 2.3)
 7. chain: every certificate was in force at the stamped time, up to a root that came another way
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import new as digest_of
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from recording import der
from recording.der import Reader, Value
from recording.errors import Malformed, RecordingError, Tampered

MOST_BYTES = 64 * 1024
"""Of an answer; one with a chain of three certificates has six thousand."""

MOST_CERTIFICATES = 8

_SIGNED_DATA, _TST_INFO = der.oid("1.2.840.113549.1.7.2"), der.oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE, _MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.3"), der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE = der.oid("1.2.840.113549.1.9.16.2.12")
_SIGNING_CERTIFICATE_V2 = der.oid("1.2.840.113549.1.9.16.2.47")
_SHA256 = der.oid("2.16.840.1.101.3.4.2.1")
_DIGESTS: "MappingProxyType[bytes, HashAlgorithm]" = MappingProxyType(
    {
        _SHA256: SHA256(),
        der.oid("2.16.840.1.101.3.4.2.2"): SHA384(),
        der.oid("2.16.840.1.101.3.4.2.3"): SHA512(),
    }
)
_CONSTRUCTED_0 = 0xA0


class StampRefused(Tampered):
    """``rule`` names the step of ``check`` that it failed."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"time stamp, {rule}: {what}")
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a checked stamp says."""

    at: datetime
    authority: str
    """Subject of the certificate that signed."""
    serial: int
    rooted: bool
    """Whether it leads to a root that was given; without that anybody may have made it."""


@dataclass(frozen=True, slots=True)
class _Token:
    """The parts of a token (CMS SignedData with one signer), none of them checked."""

    info: bytes
    """DER of the TSTInfo."""
    certificates: tuple[x509.Certificate, ...]
    issuer: bytes
    serial: int
    digest: HashAlgorithm
    attributes: bytes
    """As they are signed: under the tag of a set."""
    signature: bytes


def request(message: bytes, *, nonce: int) -> bytes:
    """The DER of a TimeStampReq over ``message``, which asks for the certificates too; ``nonce`` is not negative."""
    algorithm = der.write(der.SEQUENCE, _SHA256, der.write(der.NULL))
    imprint = der.write(der.SEQUENCE, algorithm, der.write(der.OCTETS, digest_of("sha256", message).digest()))
    wanted = der.write(der.BOOLEAN, b"\xff")
    return der.write(der.SEQUENCE, der.integer(1), imprint, der.integer(nonce), wanted)


def check(answer: bytes, message: bytes, *, roots: Iterable[x509.Certificate] = (), nonce: int | None = None) -> Stamp:
    """What ``answer`` (a TimeStampResp) proves of ``message``.

    ``StampRefused`` names the step that failed, ``Malformed`` means that it is no answer at all.  Without ``roots`` the
    chain is not looked at, and ``Stamp.rooted`` is false.
    """
    try:
        return _check(answer, message, tuple(roots), nonce)
    except RecordingError:
        raise
    except Exception as error:  # hostile input: certificates have more ways to be wrong than their reader has errors
        raise Malformed(f"a time stamp that cannot be read ({type(error).__name__})") from error


def _check(answer: bytes, message: bytes, trusted: tuple[x509.Certificate, ...], nonce: int | None) -> Stamp:
    token = _token(_granted(answer))
    at, serial, given = _read_info(token.info, message)
    if nonce is not None and given != nonce:
        raise StampRefused("nonce", "it answers another request")
    signer = _signer(token)
    _check_attributes(token, signer)
    _check_signature(token, signer)
    _check_usage(signer)
    if trusted:
        _check_chain(signer, token.certificates, trusted, at)
    return Stamp(at, signer.subject.rfc4514_string(), serial, bool(trusted))


def stamped_at(answer: bytes) -> datetime:
    """When an answer says it was made, nothing of it checked: for one's own files only."""
    return _time(_info(_token(_granted(answer)).info)[4])


def roots(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in ``pem``; ``Malformed`` when there are none."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise Malformed("no certificates in PEM") from error


# 1
def _granted(answer: bytes) -> Value:
    if len(answer) > MOST_BYTES:
        raise Malformed(f"an answer of more than {MOST_BYTES} bytes")
    fields = der.only(answer, der.SEQUENCE).inside
    status = fields.take(der.SEQUENCE).inside.take(der.INTEGER).number
    if status not in (0, 1):
        raise StampRefused("status", f"the authority answered with status {status}")
    token = fields.take(der.SEQUENCE)
    fields.end()
    return token


# 2
def _read_info(info: bytes, message: bytes) -> tuple[datetime, int, int | None]:
    version, _, imprint, serial, at, *others = _info(info)
    parts = imprint.inside
    algorithm, hashed = _digest(parts.take(der.SEQUENCE), "imprint"), parts.take(der.OCTETS).content
    if version.number != 1 or hashed != digest_of(algorithm.name, message).digest():
        raise StampRefused("imprint", "it is over other bytes")
    nonces = [each.number for each in others if each.tag == der.INTEGER]
    return _time(at), serial.number, nonces[0] if nonces else None


def _info(info: bytes) -> list[Value]:
    values = list(der.only(info, der.SEQUENCE).inside)
    kinds = (der.INTEGER, der.OID, der.SEQUENCE, der.INTEGER, der.GENERALIZED_TIME)
    if tuple(each.tag for each in values[:5]) != kinds:
        raise Malformed("what was stamped is no TSTInfo")
    return values


def _time(value: Value) -> datetime:
    text = value.expect(der.GENERALIZED_TIME).decode("ascii", "replace")
    form = "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ"
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed("a time of a time stamp is in UTC, with seconds") from error


# 4
def _signer(token: _Token) -> x509.Certificate:
    for each in token.certificates:
        if each.serial_number == token.serial and each.issuer.public_bytes() == token.issuer:
            return each
    raise StampRefused("attributes", "the certificate of its signer is not in it")


def _check_attributes(token: _Token, signer: x509.Certificate) -> None:
    found = dict[bytes, Value]()
    for attribute in der.only(token.attributes, der.SET).inside:
        fields = attribute.inside
        kind, values = fields.take(der.OID).whole, list(fields.take(der.SET).inside)
        if len(values) != 1 or kind in found:
            raise StampRefused("attributes", "an attribute is there twice, or has not one value")
        found[kind] = values[0]
    if _CONTENT_TYPE not in found or found[_CONTENT_TYPE].whole != _TST_INFO:
        raise StampRefused("attributes", "what was signed is not said to be a time stamp")
    expected = digest_of(token.digest.name, token.info).digest()
    if _MESSAGE_DIGEST not in found or found[_MESSAGE_DIGEST].expect(der.OCTETS) != expected:
        raise StampRefused("attributes", "the signature is over another content")
    if not _names(found, signer):
        raise StampRefused("attributes", "the signature does not name the certificate of its signer")


def _names(found: dict[bytes, Value], signer: x509.Certificate) -> bool:
    """Whether the first certificate that the attribute names is ``signer`` (RFC 5035)."""
    encoded = signer.public_bytes(Encoding.DER)
    if (newer := found.get(_SIGNING_CERTIFICATE_V2)) is not None:
        first = newer.inside.take(der.SEQUENCE).inside.take(der.SEQUENCE).inside
        algorithm = first.maybe(der.SEQUENCE)
        name = "sha256" if algorithm is None else _digest(algorithm, "attributes").name
        return first.take(der.OCTETS).content == digest_of(name, encoded).digest()
    if (older := found.get(_SIGNING_CERTIFICATE)) is not None:
        first = older.inside.take(der.SEQUENCE).inside.take(der.SEQUENCE).inside
        return first.take(der.OCTETS).content == digest_of("sha1", encoded).digest()  # noqa: S324  RFC 3161 has no other
    return False


# 5
def _check_signature(token: _Token, signer: x509.Certificate) -> None:
    key: Any = signer.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(token.signature, token.attributes, padding.PKCS1v15(), token.digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(token.signature, token.attributes, ec.ECDSA(token.digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(token.signature, token.attributes)
        else:
            raise StampRefused("signature", "by a sort of key that is not known here")
    except InvalidSignature as error:
        raise StampRefused("signature", "it is not by the key of its certificate") from error


# 6
def _check_usage(signer: x509.Certificate) -> None:
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise StampRefused("usage", "the certificate is not for time stamping") from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise StampRefused("usage", "the certificate is not for time stamping alone")


# 7
def _check_chain(
    signer: x509.Certificate, others: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], at: datetime
) -> None:
    current = signer
    for below in range(MOST_CERTIFICATES):
        if not current.not_valid_before_utc <= at <= current.not_valid_after_utc:
            raise StampRefused("chain", f"{current.subject.rfc4514_string()} was not in force at the stamped time")
        if current in trusted:
            return
        issuer = next((each for each in (*trusted, *others) if _issued(current, each, below=below)), None)
        if issuer is None:
            raise StampRefused("chain", "it leads to no root that was given")
        current = issuer
    raise StampRefused("chain", "it is longer than any")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, *, below: int) -> bool:
    """Whether ``issuer`` may issue, did, and allows ``below`` authorities between itself and the signer."""
    try:
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return limits.ca and (limits.path_length is None or below <= limits.path_length) and _may_sign(issuer)


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


# --- the form of a token (RFC 5652) ---


def _token(content_info: Value) -> _Token:
    fields = content_info.inside
    if fields.take(der.OID).whole != _SIGNED_DATA:
        raise Malformed("a token is signed data")
    signed = fields.take(_CONSTRUCTED_0).inside.take(der.SEQUENCE).inside
    signed.take(der.INTEGER)
    signed.take(der.SET)
    content = signed.take(der.SEQUENCE).inside
    if content.take(der.OID).whole != _TST_INFO:
        raise StampRefused("attributes", "what was signed is not a time stamp")
    info = content.take(_CONSTRUCTED_0).inside.take(der.OCTETS).content
    certificates = signed.maybe(_CONSTRUCTED_0)
    signed.maybe(0xA1)  # revocation lists: what was revoked later was in force then
    signers = list(signed.take(der.SET).inside)
    if len(signers) != 1:
        raise StampRefused("attributes", "it has not one signer")
    return _signed(info, _certificates(certificates), signers[0].inside)


def _certificates(given: Value | None) -> tuple[x509.Certificate, ...]:
    found = [] if given is None else list(given.inside)
    if len(found) > MOST_CERTIFICATES:
        raise Malformed(f"a token with more than {MOST_CERTIFICATES} certificates")
    try:
        return tuple(x509.load_der_x509_certificate(each.whole) for each in found)
    except ValueError as error:
        raise Malformed("a certificate in the token that is none") from error


def _signed(info: bytes, certificates: tuple[x509.Certificate, ...], fields: Reader) -> _Token:
    fields.take(der.INTEGER)
    sid = fields.take(der.SEQUENCE).inside
    issuer, serial = sid.take(der.SEQUENCE).whole, sid.take(der.INTEGER).number
    digest = _digest(fields.take(der.SEQUENCE), "signature")
    attributes = fields.take(_CONSTRUCTED_0)
    fields.take(der.SEQUENCE)
    signature = fields.take(der.OCTETS).content
    signed = der.write(der.SET, attributes.content)
    return _Token(info, certificates, issuer, serial, digest, signed, signature)


def _digest(algorithm: Value, rule: str) -> HashAlgorithm:
    known = _DIGESTS.get(algorithm.inside.take(der.OID).whole)
    if known is None:
        raise StampRefused(rule, "a digest that is none of SHA-256, SHA-384 and SHA-512")
    return known
