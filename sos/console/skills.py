"""What operators are good at, and whose call is for whom: a preference among desks that are free anyway.

Nobody waits for a skill.  Where no desk that fits is free, whichever is free rings at once, as without any skills, and
a few seconds later the next one and then every desk (``sos.incident.attendance``).  What language a caller speaks
``sos.journal.languages`` knows; where nobody does, no desk is preferred for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from msgspec import Struct

from sos.incident.model import Incident, TenantId
from sos.journal.journal import Journal
from sos.journal.languages import language_of

log = structlog.get_logger()

KNOWN_WITHIN = timedelta(milliseconds=200)
"""How long ringing waits for what is known of the callers: then it rings without."""


class Skills(Struct, frozen=True, kw_only=True):
    """Of one operator."""

    languages: Mapping[str, int] = {}
    """By primary language subtag (BCP 47), such as ``ja``: how well, from 1 to 5."""
    brands: frozenset[TenantId] = frozenset()
    """Whose cars this operator was trained for; empty: for all alike."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a call would best be answered with."""

    language: str = ""
    """Primary subtag; empty while nobody knows it."""
    tenant: TenantId | None = None


ANYTHING = Wanted()
UNKNOWN = Skills()


def fit(skills: Skills, wanted: Wanted) -> tuple[int, bool]:
    """How well an operator is suited: the language first, since the two must understand each other, then the brand."""
    return skills.languages.get(wanted.language, 0), wanted.tenant in skills.brands


async def wanted_by(journal: Journal, incidents: Sequence[Incident]) -> list[Wanted]:
    """What each of ``incidents`` would best be answered with; nobody is kept waiting for it."""
    known = [Wanted(tenant=each.tenant) for each in incidents]

    async def learn(place: int) -> None:
        language = await language_of(journal, incidents[place].id)
        known[place] = Wanted(language=language, tenant=incidents[place].tenant)

    try:
        async with asyncio.timeout(KNOWN_WITHIN.total_seconds()):
            await asyncio.gather(*map(learn, range(len(incidents))))
    except TimeoutError:
        log.warning("rings_without_language", incidents=len(incidents))
    return known
