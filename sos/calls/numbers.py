"""Which telephone numbers may be dialled: full E.164 numbers, and nothing that a network could take for an emergency.

A call centre's call to 110 or 119 would reach the centre of *its own* switch, not of the car's place, and providers
refuse or misroute short codes; agencies are called on the ordinary lines of their agreements.  Only a route that is
declared emergency-capable may carry a short emergency number.
"""

import re

from sos.errors import Refused
from sos.incident.telephone import WITHHELD

_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
"""ITU-T E.164: at most 15 digits; under 7 no country has subscriber numbers."""

_COUNTRY = re.compile(r"\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9][0-9]{2})([0-9]+)\Z")
"""Country code and national number; the exact list of three-digit codes is not needed to see a short code."""

EMERGENCY = frozenset(
    {"000", "100", "101", "108", "110", "111", "112", "113", "115", "118", "119", "122", "911", "999"}
)
"""Emergency numbers of the countries we know of, with or without a trunk zero."""

SHORTEST_NATIONAL = 5
"""Digits of a national number below which it is a service code everywhere."""


def dialable(number: str, *, emergency_capable: bool = False) -> str:
    """``number`` as it may be dialled.

    ``Refused`` for everything else; the message names no digit of it, since it may be a person's.
    """
    if number in EMERGENCY:
        if emergency_capable:
            return number
        raise Refused("an emergency number is dialled only over a route that is declared emergency-capable")
    if number.removeprefix("+") in WITHHELD:
        raise Refused("this number stands for a caller who withholds theirs")
    if not _E164.fullmatch(number):
        raise Refused("a number is dialled in full, as +country and number (E.164)")
    found = _COUNTRY.match(number)
    national = found.group(2) if found else ""
    if len(national) < SHORTEST_NATIONAL or national.lstrip("0") in EMERGENCY or national in EMERGENCY:
        raise Refused("a short code of another country is not dialled")
    return number
