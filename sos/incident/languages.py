"""Which language is spoken, as a person has heard, and who interprets it: whose turn it is in one incident.

Part of ``lifecycle``: its decider for the language, pure like all of it.  What somebody speaks is sealed like every
other word about a person; nothing of it stands in a header.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from routing.categories import Category
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.model import Incident, Party, State
from sos.incident.report import canonical

LANGUAGE = re.compile(r"[a-z]{2,3}")
"""Primary subtag (BCP 47)."""

LINE = "interpreter"
"""The line of an interpreter: the only one there is."""


class Interpreter(Struct, frozen=True, kw_only=True):
    id: str
    languages: tuple[str, ...]
    """Primary subtags (BCP 47)."""
    number: str
    """E.164."""


def next_of(people: Sequence[Interpreter], language: str, incident: Incident) -> Interpreter | None:
    """Of those who interpret ``language`` the first who was not called yet, else the one who was called longest ago;
    None: nobody interprets it."""
    fit = [each for each in people if language in each.languages]
    called = [leg.who for leg in incident.legs if leg.party is Party.INTERPRETER]
    fresh = [each for each in fit if each.id not in called]
    if fresh:
        return fresh[0]
    return min(fit, key=lambda each: max(place for place, who in enumerate(called) if who == each.id), default=None)


Decision = tuple[e.Draft, ...]


def _state(incident: Incident, command: c.StateLanguage, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident says which language is spoken: answer it first")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    if not LANGUAGE.fullmatch(command.language):
        raise Refused("a language is named by its code, such as ja or en")
    told = canonical({"language": command.language})
    return (e.Draft(event=e.LanguageStated(operator=command.operator), parts={Category.TEL: told}),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.StateLanguage: _state}
)
