"""Which language the people in a vehicle speak: as an operator has heard, else as the report says, else as registered.

It is of the category TEL and stands in no header, so it is read of the sealed parts each time that it is wanted.
"""

from collections.abc import Sequence

import msgspec
import structlog
from msgspec import Struct

from routing.categories import Category
from sos.errors import SosError
from sos.incident.events import LanguageStated, ReportFiled, VehicleRecognised
from sos.incident.model import IncidentId
from sos.journal.journal import Journal
from sos.journal.sealing import Part

log = structlog.get_logger()

_KINDS = (VehicleRecognised, ReportFiled, LanguageStated)
"""Who says so, the surest last."""


class _Named(Struct, rename="camel"):
    language: str | None = None
    registered_language: str | None = None


_decode = msgspec.json.Decoder(_Named).decode


async def language_of(journal: Journal, incident: IncidentId) -> str:
    """The primary subtag (BCP 47), such as ``ja``; empty where nobody knows it, or it cannot be opened."""
    try:
        return named(await journal.unseal(incident, (Category.TEL,)))
    except (SosError, msgspec.DecodeError) as shut:
        log.info("language_unknown", incident=incident, reason=type(shut).__name__)
        return ""


def named(parts: Sequence[Part]) -> str:
    """What the TEL parts of an incident say of it."""
    found: dict[type, str] = {}
    for part in parts:
        kind = type(part.recorded.event)
        if kind in _KINDS:
            told = _decode(part.payload)
            if language := (told.language or told.registered_language or "").split("-")[0].lower():
                found[kind] = language
    return next((found[kind] for kind in reversed(_KINDS) if kind in found), "")
