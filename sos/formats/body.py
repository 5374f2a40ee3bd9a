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
        message, _, path = str(wrong).partition(" - at `")
        if not isinstance(wrong, msgspec.ValidationError):
            message = "the body is not JSON"
        raise Malformed(expected or message, field=path.rstrip("`") or field) from None
