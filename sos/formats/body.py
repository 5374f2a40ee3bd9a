"""A body from outside, whole, and a JSON body as a shape of ours: what every door but intake's own reads through.

Intake salvages what a strict decoder refuses (``sos.intake.salvage``); everybody else sends what was agreed, and is
told in words where it was not.  Either way the text in it is clean (``routing.text``).
"""

from typing import Protocol, TypeVar

import msgspec

from routing.text import cleaned
from sos.errors import Malformed

Some = TypeVar("Some")

_NO_SHAPE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Invalid UTF-8 raises the second, nesting without end the third; neither is a fault of ours."""


_LONGEST = 200
"""Characters of a complaint and of a path."""


class Arriving(Protocol):
    """What comes in pieces, as the network cuts them; ``aiohttp.StreamReader`` is one."""

    async def read(self, most: int, /) -> bytes:
        """The next piece; empty at the end."""
        ...


async def whole(arriving: Arriving, *, most: int) -> bytes:
    """All that comes.  ``Malformed`` when that is more than ``most`` bytes."""
    content = bytearray()
    while piece := await arriving.read(most + 1 - len(content)):
        content += piece
        if len(content) > most:
            raise Malformed(f"it has at most {most} bytes")
    return bytes(content)


def read(decoder: msgspec.json.Decoder[Some], body: bytes | str, *, expected: str = "", field: str = "$") -> Some:
    """``body`` as the decoder's shape.  ``Malformed`` names the field and what is ``expected``, never what was sent."""
    try:
        return cleaned(decoder.decode(body))
    except _NO_SHAPE as wrong:
        message, at, path = str(wrong).rpartition(" - at `")
        if not at:
            message, path = path, ""
        if not isinstance(wrong, msgspec.ValidationError):
            message = "the body is not JSON"
        raise Malformed(expected or _said(message), field=(path.rstrip("`") or field)[:_LONGEST]) from None


def _said(message: str) -> str:
    """``message`` without what was sent, which it quotes where a value is in no list; the name of a field stays."""
    rule, value, _ = message.partition("value ")
    return (f"{rule}value" if value and message.startswith("Invalid") else message)[:_LONGEST]
