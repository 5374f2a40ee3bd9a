"""A JSON body from outside as a shape of ours: what every door but intake's own reads through.

Intake salvages what a strict decoder refuses (``sos.intake.salvage``); everybody else sends what was agreed, and is
told in words where it was not.  Either way the text in it is clean (``routing.text``).
"""

from typing import TypeVar

import msgspec

from routing.text import cleaned
from sos.errors import Malformed

Some = TypeVar("Some")

_NO_SHAPE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""Invalid UTF-8 raises the second, nesting without end the third; neither is a fault of ours."""


def read(decoder: msgspec.json.Decoder[Some], body: bytes | str, *, expected: str = "", field: str = "$") -> Some:
    """``body`` as the decoder's shape.  ``Malformed`` names the field and what is ``expected``, never what was sent."""
    try:
        return cleaned(decoder.decode(body))
    except _NO_SHAPE as wrong:
        message, _, path = str(wrong).partition(" - at `")
        if not isinstance(wrong, msgspec.ValidationError):
            message = "the body is not JSON"
        raise Malformed(expected or message, field=path.rstrip("`") or field) from None
