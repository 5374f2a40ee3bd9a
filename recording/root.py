"""The root key: what key-encryption keys lie under on the disk, so that the key directory alone opens nothing.

A KEK file holds its 32 bytes, or, where there is a root key, one line and what the root made of them:

    sos-root/1 <id of the root> <check value of the KEK> <check value of what follows>

The check values (``keys.check_value``) tell a damaged file and another key apart from the right one without the root,
which may be a device that does not answer now.  Roots may follow each other: each file names its own.
"""

import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recording.errors import RootAway, Tampered

ROOT_BYTES = 32
NONCE_BYTES = 12

_HEAD = re.compile(rb"sos-root/1 ([A-Za-z0-9_-]{1,64}) ([0-9a-f]{16}) ([0-9a-f]{16})\n")


class RootKey(Protocol):
    """One root.  ``context`` is what is wrapped for: what one file holds opens as no other's."""

    @property
    def id(self) -> str:
        """Letters, digits, hyphens and underscores, at most 64: by it a file names its root for years."""
        ...

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        """``content`` encrypted and authenticated; ``RootAway`` when this root cannot be asked now."""
        ...

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        """What ``wrap`` was given; ``Tampered`` when it is not this root's, ``RootAway`` when it cannot be asked."""
        ...


class HeldRoot:
    """A root key in this process's memory: from a file on another volume, or from the environment."""

    def __init__(self, key: bytes, *, id: str) -> None:
        if len(key) != ROOT_BYTES:
            raise ValueError(f"a root key has {ROOT_BYTES} bytes")
        self.id = id
        self._cipher = AESGCM(key)

    def wrap(self, content: bytes, *, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, context)

    def unwrap(self, wrapped: bytes, *, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise Tampered("not wrapped under this root key") from error


class Held(NamedTuple):
    """What a file says of itself, read without any root."""

    root: str
    """Id of its root; empty: it lies there as it is."""
    check: str
    """Check value of the key in it, as far as can be told; of what stands there when that is damaged."""


class Roots:
    """The root that is in force, and those before it whose files still open; with none, keys lie as they are."""

    def __init__(self, current: RootKey | None = None, former: Sequence[RootKey] = ()) -> None:
        self.current = current
        self._by_id = {root.id: root for root in (*former, *((current,) if current else ()))}

    def close(self, key: bytes, *, name: str, check: Callable[[bytes], str]) -> bytes:
        """What the file ``name`` is to hold; ``RootAway`` when the root in force cannot be asked."""
        if self.current is None:
            return key
        wrapped = self.current.wrap(key, context=_context(name))
        return f"sos-root/1 {self.current.id} {check(key)} {check(wrapped)}\n".encode() + wrapped

    def open(self, stored: bytes, *, name: str, check: Callable[[bytes], str]) -> bytes:
        """The key in a file; ``Tampered`` when it is damaged, ``RootAway`` when its root cannot be asked."""
        head = _HEAD.match(stored)
        if head is None:
            return stored
        wrapped, root = stored[head.end() :], self._by_id.get(head[1].decode())
        if check(wrapped) != head[3].decode():
            raise Tampered(f"key file {name} is damaged")
        if root is None:
            raise RootAway(f"key file {name} lies under the root key {head[1].decode()}, which is not in the settings")
        key: bytes = root.unwrap(wrapped, context=_context(name))
        if check(key) != head[2].decode():
            raise Tampered(f"key file {name} holds another key than it says")
        return key

    def held(self, stored: bytes, *, check: Callable[[bytes], str]) -> Held:
        """What can be told of a file without asking a root."""
        head = _HEAD.match(stored)
        if head is None:
            return Held("", check(stored))
        whole = check(stored[head.end() :]) == head[3].decode()
        return Held(head[1].decode(), head[2].decode() if whole else check(stored))

    def answers(self) -> bool:
        """Whether the root in force can be asked now."""
        try:
            return self.current is None or bool(self.current.wrap(b"\0", context=b""))
        except RootAway:
            return False

    def in_force(self, stored: bytes) -> bool:
        """Whether a file lies as the root in force wants it."""
        head = _HEAD.match(stored)
        return (head[1].decode() if head else "") == (self.current.id if self.current else "")


def _context(name: str) -> bytes:
    return b"sos-root/1\0" + name.encode()
