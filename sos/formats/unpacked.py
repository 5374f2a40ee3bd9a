"""A request's body with its ``Content-Encoding`` undone as it is read, and digested as it came.

``Content-Digest`` is over the content as it was sent (RFC 9530 2), so whoever checks it needs the bytes before they
are unpacked.  Nothing is unpacked ahead of the reader, and never more than ``PIECE`` at once, so that a small body
that unpacks to gigabytes costs no more than its reader's own bound.
"""

import zlib
from hashlib import sha256
from typing import Any

from aiohttp.streams import AsyncStreamIterator, StreamReader

from sos.errors import Malformed

PIECE = 65_536
"""Bytes unpacked at once."""


class NotUnpacked(Malformed):
    """The body ended early, or is not encoded as ``Content-Encoding`` says."""


class Unpacked:
    """As much of ``aiohttp.StreamReader`` as requests and our doors use."""

    def __init__(self, sent: StreamReader, coding: str) -> None:
        self._sent = sent
        self._coding = coding.lower()
        self._unpacker: Any = None
        self._left = b""
        self._digest = sha256()
        self._ended = False
        self.total_bytes = 0
        """Unpacked so far."""

    @property
    def sent_digest(self) -> bytes:
        """SHA-256 of what has come, as it came."""
        return self._digest.digest()

    def is_eof(self) -> bool:
        return self._ended

    at_eof = is_eof

    def set_exception(self, error: BaseException) -> None:
        self._sent.set_exception(error)

    def set_read_chunk_size(self, size: int) -> None:
        """Asked for by who reads it whole; a piece stays a piece."""

    def iter_any(self) -> AsyncStreamIterator[bytes]:
        return AsyncStreamIterator(self.readany)

    async def read(self, n: int = -1) -> bytes:
        """All of it; ``n`` is for those who read in pieces, and is not needed here."""
        whole = bytearray()
        while piece := await self.readany():
            whole += piece
        return bytes(whole)

    async def readany(self) -> bytes:
        """The next piece; empty at the end.  ``NotUnpacked`` when it is not what its coding says."""
        while not self._ended:
            packed = self._left or await self._more()
            try:
                piece = self._unpack(packed)
            except zlib.error as wrong:
                self._ended = True
                raise NotUnpacked("The body is not encoded as `Content-Encoding` says; send it again.") from wrong
            self.total_bytes += len(piece)
            if piece:
                return piece
        return b""

    async def _more(self) -> bytes:
        packed = await self._sent.readany()
        self._digest.update(packed)
        if not packed and not (self._unpacker is not None and self._unpacker.eof):
            self._ended = True
            if self._unpacker is not None:
                raise NotUnpacked("The body ended early; send it again, whole.")
        elif not packed:
            self._ended = True
        return packed

    def _unpack(self, packed: bytes) -> bytes:
        if not packed:
            return b""
        if self._unpacker is None:
            self._unpacker = _unpacker(self._coding, packed)
        if self._unpacker.eof:  # what follows the end is no part of it, and is digested all the same
            self._left = b""
            return b""
        piece: bytes = self._unpacker.decompress(packed, PIECE)
        self._left = self._unpacker.unconsumed_tail
        return piece


def _unpacker(coding: str, begins: bytes) -> Any:
    """RFC 9110 8.4.1; ``deflate`` is sent with and without its frame."""
    if coding == "gzip":
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    if coding == "deflate":
        framed = begins[0] & 0x0F == zlib.DEFLATED
        return zlib.decompressobj(wbits=zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
    raise NotUnpacked("Send `Content-Encoding: gzip`, `deflate`, or none.", field="Content-Encoding")


def sent_digest(content: object, body: bytes) -> bytes:
    """SHA-256 of a request's content as it was sent; ``body`` is what was read of it."""
    return content.sent_digest if isinstance(content, Unpacked) else sha256(body).digest()
