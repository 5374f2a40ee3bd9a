"""The brief and its forms: canonical JSON first, and from its bytes alone EIDO, PIDF-LO, fax and the spoken brief."""

from routing.brief.document import SCHEMA, Brief, Change, Sender, changes, compose, read
from routing.brief.language import Language
from routing.brief.words import render_text

__all__ = ["SCHEMA", "Brief", "Change", "Language", "Sender", "changes", "compose", "read", "render_text"]
