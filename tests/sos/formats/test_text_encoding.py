"""Octets written as text are recognised by what they look like."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.errors import Malformed
from sos.formats import text_encoding
from sos.formats.msd import write
from tests.sos.formats.strategies import msds


@given(msds())
@settings(deadline=None)
def test_a_message_is_found_again_in_every_clothing(message):
    octets = write(message)
    digits = octets.hex()

    for clothed in (
        octets,
        digits.encode(),
        digits.upper().encode() + b"\r\n",
        b"0x" + digits.encode(),
        octets.hex(" ", 2).encode(),
        base64.b64encode(octets),
        base64.encodebytes(octets),
        base64.urlsafe_b64encode(octets).rstrip(b"="),
    ):
        assert text_encoding.octets_of(clothed) == octets


@pytest.mark.parametrize("text", [b"0", b"02251", b"not base64!", b"{}", b"A"])
def test_text_that_is_neither_hexadecimal_nor_base64_is_refused(text):
    with pytest.raises(Malformed):
        text_encoding.octets_of(text)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_only_the_documented_error_comes_out(content):
    try:
        text_encoding.octets_of(content)
    except Malformed as error:
        assert "expected" in str(error)  # noqa: PT017
