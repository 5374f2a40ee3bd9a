"""Files encrypted to a recipient, in the format of age (age-encryption.org/v1, C2SP), X25519 recipients only.

Whoever holds the recipient can write, only who holds the identity can read: a copy of keys may lie at somebody else's.
Chosen because a restore must be possible without us: ``age -d -i IDENTITY`` opens the same files.  What is small, a
directory of keys, is encrypted in one go; a package for a regulator piece by piece (``Encrypting``).
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from itertools import pairwise

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recording.errors import Malformed, Tampered

_VERSION = b"age-encryption.org/v1"
_STANZA = b"-> X25519 "
_END = b"---"
_CHUNK = 64 * 1024
_TAG = 16
_FILE_KEY_BYTES = 16
_RECIPIENT = "age"
_IDENTITY = "age-secret-key-"
_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def new_identity() -> str:
    """A new identity, as ``age-keygen`` writes it.  Who holds it can read."""
    return _bech32(_IDENTITY, os.urandom(32)).upper()


def recipient_of(identity: str) -> str:
    """The recipient of an identity: what may be given to anybody.  ``Malformed`` when it is no identity."""
    return _bech32(_RECIPIENT, _private(identity).public_key().public_bytes_raw())


def check_recipient(recipient: str) -> None:
    """``Malformed`` when that is no recipient."""
    _unbech32(recipient, _RECIPIENT)


def encrypt(content: bytes, recipient: str) -> bytes:
    """``content`` for ``recipient`` (``age1...``) alone; ``Malformed`` when that is none."""
    written: list[bytes] = []
    encrypting = Encrypting(recipient, written.append)
    encrypting.write(content)
    encrypting.close()
    return b"".join(written)


class Encrypting:
    """What is written here goes to ``write``, encrypted for ``recipient`` alone; a chunk is held and no more."""

    def __init__(self, recipient: str, write: Callable[[bytes], object]) -> None:
        """``Malformed`` when ``recipient`` is none."""
        to = _unbech32(recipient, _RECIPIENT)
        ephemeral, file_key, nonce = X25519PrivateKey.generate(), os.urandom(_FILE_KEY_BYTES), os.urandom(16)
        share = ephemeral.public_key().public_bytes_raw()
        wrapping = _wrapping_key(_exchange(ephemeral, to), share, to)
        wrapped = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
        header = b"\n".join((_VERSION, _STANZA + _base64(share), _base64(wrapped), _END))
        self._write = write
        self._cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
        self._count = 0
        self._waiting = bytearray()
        write(b"".join((header, b" ", _base64(_mac(file_key, header).finalize()), b"\n", nonce)))

    def write(self, content: bytes) -> None:
        self._waiting += content
        while len(self._waiting) > _CHUNK:  # a full one may be the last
            self._put(bytes(self._waiting[:_CHUNK]), last=False)
            del self._waiting[:_CHUNK]

    def close(self) -> None:
        """Without it the file is none: what was cut off does not decrypt."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._write(self._cipher.encrypt(_nonce(self._count, last=last), piece, None))
        self._count += 1


def decrypt(encrypted: bytes, identity: str) -> bytes:
    """What was encrypted to the recipient of ``identity``.

    ``Malformed`` when it is no such file or identity, ``Tampered`` when it is for others or has been changed.
    """
    private = _private(identity)
    head, end, rest = encrypted.partition(b"\n" + _END + b" ")
    mac, line_end, payload = rest.partition(b"\n")
    if not head.startswith(_VERSION + b"\n") or not end or not line_end or len(payload) < 16 + _TAG:
        raise Malformed("not a file of age-encryption.org/v1")
    file_key = _file_key(head.split(b"\n")[1:], private)
    try:
        _mac(file_key, head + b"\n" + _END).verify(_unbase64(mac))
        return _unstream(payload[16:], _derived(file_key, payload[:16], b"payload"))
    except (InvalidSignature, InvalidTag) as changed:
        raise Tampered("the encrypted file has been changed") from changed


def _file_key(lines: list[bytes], private: X25519PrivateKey) -> bytes:
    """The key of the file, from whichever stanza is ours."""
    mine = private.public_key().public_bytes_raw()
    for stanza, body in pairwise(lines):
        if not stanza.startswith(_STANZA):
            continue
        share = _unbase64(stanza.removeprefix(_STANZA))
        try:
            wrapping = _wrapping_key(_exchange(private, share), share, mine)
            return ChaCha20Poly1305(wrapping).decrypt(bytes(12), _unbase64(body), None)
        except InvalidTag:
            continue
    raise Tampered("the file is encrypted to somebody else")


def _unstream(sealed: bytes, key: bytes) -> bytes:
    cipher = ChaCha20Poly1305(key)
    pieces = [sealed[at : at + _CHUNK + _TAG] for at in range(0, len(sealed), _CHUNK + _TAG)]
    return b"".join(
        cipher.decrypt(_nonce(count, last=count == len(pieces) - 1), piece, None) for count, piece in enumerate(pieces)
    )


def _nonce(count: int, *, last: bool) -> bytes:
    return count.to_bytes(11) + bytes([last])


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as weak:
        raise Malformed("not a public key of X25519") from weak


def _wrapping_key(shared: bytes, share: bytes, recipient: bytes) -> bytes:
    return _derived(shared, share + recipient, _VERSION + b"/X25519")


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, purpose).derive(key)


def _mac(file_key: bytes, header: bytes) -> HMAC:
    mac = HMAC(_derived(file_key, b"", b"header"), SHA256())
    mac.update(header)
    return mac


def _private(identity: str) -> X25519PrivateKey:
    lines = [line for line in map(str.strip, identity.splitlines()) if line and not line.startswith("#")]
    if len(lines) != 1:
        raise Malformed("an identity file has one line AGE-SECRET-KEY-1... besides comments")
    return X25519PrivateKey.from_private_bytes(_unbech32(lines[0], _IDENTITY))


def _base64(content: bytes) -> bytes:
    return b64encode(content).rstrip(b"=")


def _unbase64(text: bytes) -> bytes:
    """Canonical base64 without padding, as age's format asks for: no two texts are the same bytes."""
    try:
        content = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise Malformed("not base64") from error
    if _base64(content) != text:
        raise Malformed("not base64 in its canonical form")
    return content


# --- Bech32 (BIP 173), without its limit of 90 characters ---


def _bech32(prefix: str, content: bytes) -> str:
    values = _regrouped(content, 8, 5)
    polymod = _polymod([*_expanded(prefix), *values, *[0] * 6]) ^ 1
    checksum = [polymod >> 5 * (5 - each) & 31 for each in range(6)]
    return f"{prefix}1{''.join(_CHARACTERS[value] for value in (*values, *checksum))}"


def _unbech32(text: str, prefix: str) -> bytes:
    """The 32 bytes in ``text``; a message never holds the text, which may be a secret."""
    written = text.strip()
    lower = written.lower()
    found, _, data = lower.rpartition("1")
    values = [_CHARACTERS.find(each) for each in data]
    if written not in (lower, lower.upper()) or found != prefix or -1 in values:
        raise Malformed(f"not a key that begins {prefix}1")
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise Malformed(f"a key that begins {prefix}1 has been mistyped")
    content = bytes(_regrouped(values[:-6], 5, 8))[:32]
    if len(content) != 32:
        raise Malformed(f"a key that begins {prefix}1 is cut short")
    return content


def _expanded(prefix: str) -> list[int]:
    return [*(ord(each) >> 5 for each in prefix), 0, *(ord(each) & 31 for each in prefix)]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check


def _regrouped(values: bytes | list[int], width: int, to: int) -> list[int]:
    """The same bits in groups of ``to``; the last group is filled with zeros."""
    bits = "".join(f"{value:0{width}b}" for value in values)
    if to == 8:
        return [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
    return [int(bits[at : at + to].ljust(to, "0"), 2) for at in range(0, len(bits), to)]
