"""The brief and its forms: canonical JSON first, and from its bytes alone EIDO, PIDF-LO, fax and the spoken brief.

The forms are ``eido``, ``pidf``, ``fax`` and ``spoken``; ``crash`` and ``crash_words`` are what they say of a crash,
``heard`` what was answered on the call; ``mass_list`` makes one list of many briefs.  Words for a page of one's own:
``kind_words``, ``times`` and ``words``.
"""

from routing.brief.document import SCHEMA, Before, Brief, Change, OneCrash, Sender, changes, compose, read
from routing.brief.language import Language
from routing.brief.words import render_text, spaced

__all__ = [
    "SCHEMA",
    "Before",
    "Brief",
    "Change",
    "Language",
    "OneCrash",
    "Sender",
    "changes",
    "compose",
    "read",
    "render_text",
    "spaced",
]
