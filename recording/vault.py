"""Sealing one part of personal data so that the log can commit to it, and destroy it, without ever holding it.

The ciphertext is ``nonce(12) ‖ AES-256-GCM(salt(16) ‖ payload)`` (NIST SP 800-38D) bound to a context; the commitment
``SHA-256(salt ‖ payload)`` goes into the log.  The salt lives inside the ciphertext, so whoever cannot open the part
cannot guess its content from the commitment either, even where there are few possible contents (telephone numbers).
Wrapping and destroying keys is left to ``keys``.
"""

from hashlib import sha256
from os import urandom
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recording.errors import Tampered

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 16
TAG_BYTES = 16


class Sealed(NamedTuple):
    """A part at rest: what goes into the store and what goes into the log."""

    ciphertext: bytes
    commitment: bytes


class Opened(NamedTuple):
    """A part in the clear, with the salt that a stranger needs to check its commitment."""

    salt: bytes
    payload: bytes


def new_key() -> bytes:
    """A fresh 256-bit data key.  One key seals far fewer than 2^32 parts, so random nonces are safe (800-38D 8.3)."""
    return urandom(KEY_BYTES)


def seal(key: bytes, payload: bytes, *, context: bytes) -> Sealed:
    """``payload`` sealed under ``key`` and bound to ``context``; opening needs the same context again."""
    fresh = urandom(NONCE_BYTES + SALT_BYTES)  # one system call instead of two: this runs on the accept path
    nonce = fresh[:NONCE_BYTES]
    salted = fresh[NONCE_BYTES:] + payload
    return Sealed(nonce + AESGCM(key).encrypt(nonce, salted, context), sha256(salted).digest())


def unseal(key: bytes, ciphertext: bytes, *, context: bytes) -> Opened:
    """Salt and payload of what ``seal`` made; ``Tampered`` when the key, the context or any byte differs."""
    if len(ciphertext) < NONCE_BYTES + SALT_BYTES + TAG_BYTES:
        raise Tampered("sealed part is too short to be one")
    try:
        salted = AESGCM(key).decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], context)
    except InvalidTag as error:
        raise Tampered("sealed part does not open with this key and context") from error
    return Opened(salted[:SALT_BYTES], salted[SALT_BYTES:])


def commitment(salt: bytes, payload: bytes) -> bytes:
    """The 32 bytes the log holds for ``payload``; the salt has a fixed length, so no two pairs share one encoding."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return sha256(salt + payload).digest()
