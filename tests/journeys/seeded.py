"""Seeded stories: whatever anybody orders in whatever sequence, as data for the console's reducer.

``python -m tests.journeys.seeded FILE`` writes them; ``ops/check_console.py`` does so before the page's own tests.
They are not kept: the seeds are.  Each story is told in chapters; after each the incident is what ``expect`` says.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.lifecycle import evolve
from sos.incident.model import Incident, Mode
from tests.journeys import story as s
from tests.journeys.make import expected, happened
from tests.journeys.story import Story
from tests.sos.incident.test_lifecycle_properties import any_command

STORIES = 400
ORDERS = 120
"""In each story; most are refused."""

CHAPTER = 8
"""Events in it."""


def story(seed: int) -> dict[str, Any]:
    """One incident as random orders make it."""
    pick, told = random.Random(seed), Story()
    told.do(s.open_incident(pick.choice((Mode.LIVE, Mode.LIVE, Mode.DRILL, Mode.TEST))))
    for _ in range(ORDERS):
        _try(told, any_command(pick), after_s=pick.choice((0, 1, 6, 61)))
    return {"seed": seed, "chapters": list(_chapters(told))}


def _try(told: Story, command: c.Command, *, after_s: float) -> None:
    with suppress(Refused):
        told.do(command, after_s=after_s)


def _chapters(told: Story) -> Iterator[dict[str, Any]]:
    incident = Incident(id=told.incident.id, tenant=told.incident.tenant)
    for start in range(0, len(told.recorded), CHAPTER):
        chapter = told.recorded[start : start + CHAPTER]
        for recorded in chapter:
            incident = evolve(incident, recorded.event, at=recorded.at)
        yield {"events": [happened(recorded) for recorded in chapter], "expect": expected(incident)}


def main(file: Path) -> None:
    file.write_bytes(msgspec.json.encode([story(seed) for seed in range(STORIES)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
