"""A time-stamping authority of our own: real ``openssl ts`` with certificates as a test wants them, and a forger."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from recording import der

DAY = timedelta(days=1)
_CONFIG = """\
[tsa]
default_tsa = one
[one]
dir = {directory}
serial = {directory}/serial
crypto_device = builtin
signer_cert = {directory}/tsa.pem
certs = {directory}/chain.pem
signer_key = {directory}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """Root, intermediate and signer in ``directory``; ``root.pem`` is what a checker is given."""

    def __init__(
        self,
        directory: Path,
        *,
        lasts: tuple[timedelta, timedelta] = (-DAY, DAY),
        usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
        issues: bool = True,
        ess: str = "sha256",
    ) -> None:
        """``lasts``: of the signer's certificate, from now; ``issues``: whether the intermediate is an authority."""
        directory.mkdir()
        self._directory = directory
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        self.key = keys[2]
        now = datetime.now(UTC)
        always = (now - 30 * DAY, now + 30 * DAY)
        root = _certificate("root.example", keys[0], "root.example", keys[0], always, authority=True)
        middle = _certificate("middle.example", keys[1], "root.example", keys[0], always, authority=issues)
        self.certificate = _certificate(
            "tsa.example", keys[2], "middle.example", keys[1], (now + lasts[0], now + lasts[1]), authority=False,
            usage=x509.ExtendedKeyUsage(usages), critical=critical,
        )  # fmt: skip
        self.chain = (middle,)
        self.root = directory / "root.pem"
        self.root.write_bytes(root.public_bytes(Encoding.PEM))
        (directory / "chain.pem").write_bytes(middle.public_bytes(Encoding.PEM))
        (directory / "tsa.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        key = keys[2].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / "tsa.key").write_bytes(key)
        (directory / "serial").write_text("01\n")
        (directory / "tsa.cnf").write_text(_CONFIG.format(directory=directory, ess=ess))

    def answer(self, query: bytes) -> bytes:
        """What openssl answers."""
        (self._directory / "query").write_bytes(query)
        self._openssl("-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "answer")
        return (self._directory / "answer").read_bytes()

    def believes(self, answer: bytes, message: bytes) -> bool:
        """Whether openssl takes ``answer`` for a stamp of ``message``."""
        (self._directory / "shown").write_bytes(answer)
        (self._directory / "message").write_bytes(message)
        command = ["openssl", "ts", "-verify", "-in", "shown", "-data", "message", "-CAfile", "root.pem"]
        return not subprocess.run(command, cwd=self._directory, capture_output=True, check=False).returncode

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", "ts", *arguments], cwd=self._directory, capture_output=True, check=True)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    lasts: tuple[datetime, datetime],
    *,
    authority: bool,
    usage: x509.ExtendedKeyUsage | None = None,
    critical: bool = True,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(lasts[0])
        .not_valid_after(lasts[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=critical)
    return builder.sign(by, hashes.SHA256())


def forged(
    authority: Authority,
    message: bytes,
    *,
    nonce: int = 7,
    status: int = 0,
    at: bytes = b"",
    kind: str = "1.2.840.113549.1.9.16.1.4",
    names: bool = True,
    of: bytes = b"",
    strange: bool = False,
) -> bytes:
    """An answer made by hand with the authority's own key, so that only what the arguments spoil is wrong.

    ``kind``: what is said to be signed; ``names``: whether the certificate is; ``of``: another content that is signed;
    ``strange``: signed by another key.
    """
    algorithm = der.write(der.SEQUENCE, der.oid("2.16.840.1.101.3.4.2.1"))
    imprint = der.write(der.SEQUENCE, algorithm, der.write(der.OCTETS, sha256(message).digest()))
    time = der.write(der.GENERALIZED_TIME, at or f"{datetime.now(UTC):%Y%m%d%H%M%SZ}".encode())
    info = der.write(
        der.SEQUENCE, der.integer(1), der.oid("1.2.3.4.1"), imprint, der.integer(5), time, der.integer(nonce)
    )
    encoded = authority.certificate.public_bytes(Encoding.DER)
    ess = der.write(der.SEQUENCE, der.write(der.OCTETS, sha256(encoded).digest()))
    attributes = [
        _attribute("1.2.840.113549.1.9.3", der.oid(kind)),
        _attribute("1.2.840.113549.1.9.4", der.write(der.OCTETS, sha256(of or info).digest())),
    ]
    if names:
        named = der.write(der.SEQUENCE, der.write(der.SEQUENCE, ess))
        attributes.append(_attribute("1.2.840.113549.1.9.16.2.47", named))
    signed = b"".join(sorted(attributes))
    key = ec.generate_private_key(ec.SECP256R1()) if strange else authority.key
    signature = key.sign(der.write(der.SET, signed), ec.ECDSA(hashes.SHA256()))
    sid = der.write(
        der.SEQUENCE, authority.certificate.issuer.public_bytes(), der.integer(authority.certificate.serial_number)
    )
    ecdsa = der.write(der.SEQUENCE, der.oid("1.2.840.10045.4.3.2"))
    signer = der.write(
        der.SEQUENCE, der.integer(1), sid, algorithm, der.write(0xA0, signed), ecdsa, der.write(der.OCTETS, signature)
    )
    certificates = der.write(0xA0, encoded, *(each.public_bytes(Encoding.DER) for each in authority.chain))
    content = der.write(
        der.SEQUENCE, der.oid("1.2.840.113549.1.9.16.1.4"), der.write(0xA0, der.write(der.OCTETS, info))
    )
    data = der.write(
        der.SEQUENCE, der.integer(3), der.write(der.SET, algorithm), content, certificates, der.write(der.SET, signer)
    )
    token = der.write(der.SEQUENCE, der.oid("1.2.840.113549.1.7.2"), der.write(0xA0, data))
    return der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.integer(status)), token)


def _attribute(kind: str, value: bytes) -> bytes:
    return der.write(der.SEQUENCE, der.oid(kind), der.write(der.SET, value))
