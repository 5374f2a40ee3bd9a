"""Octets that somebody wrote as text: hexadecimal as in specifications and logs, or Base64 as in JSON.

Senders do so even where raw octets are asked for, so the way back is guessed from the content alone.
"""

import base64
import binascii
import re

from sos.errors import Malformed

_HEX = re.compile(r"(?:0[xX])?([0-9A-Fa-f\s]*)\Z")
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f\v"


def is_text(content: bytes) -> bool:
    """Whether all of ``content`` is printable ASCII, which nothing that begins with an MSD's version octet is."""
    return not content.translate(None, _TEXT)


def octets_of(content: bytes) -> bytes:
    """The octets meant by ``content``: itself when it is no text, else what its hexadecimal digits or Base64 say.

    ``Malformed`` when it is text and neither.
    """
    if not is_text(content):
        return content
    text = content.decode("ascii")
    return from_hex(text) if _HEX.match(text) else from_base64(text)


def from_hex(text: str) -> bytes:
    """The octets of hexadecimal ``text``; spaces and a leading ``0x`` do not count.  ``Malformed`` when it is none."""
    found = _HEX.match(text)
    if found is None:
        raise Malformed("expected hexadecimal digits")
    digits = "".join(found[1].split())
    if len(digits) % 2:
        raise Malformed("expected an even number of hexadecimal digits: half an octet is missing")
    return bytes.fromhex(digits)


def from_base64(text: str) -> bytes:
    """The octets of Base64 ``text`` (RFC 4648 4 or 5), with or without its padding.  ``Malformed`` when it is none."""
    joined = re.sub(r"={1,2}\Z", "", "".join(text.split()).replace("-", "+").replace("_", "/"))
    try:
        return base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True)
    except binascii.Error:
        raise Malformed("expected octets, hexadecimal digits or Base64") from None
