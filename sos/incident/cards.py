"""What was answered of the question card (``routing.cards``): the last answer to each question stands, all are kept.

Part of ``lifecycle``: its decider and effects for answers, pure like all of it.

**Theory.**  An answer is a fact of its category, sealed; what stands in clear is which question it was, whom it calls
for and whether it makes the call more urgent.  Of somebody's health even that would tell, so nothing of it stands
there, and who says so is written down as for every word about it (``MedicalTaken``).  A later answer takes the place
of the earlier one with all that it had fed; what a report says is never taken back by it.  Whoever was told before
hears of it once they have taken over, and no oftener than once a minute (``place.CORRECT``).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from routing.categories import Category
from routing.services import Service
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import urgency
from sos.incident.model import Disclosure, Heard, Incident, State

IN = frozenset({Category.PER, Category.MED, Category.OBS})
"""Categories an answer can be of."""

Decision = tuple[e.Draft, ...]


def needed(incident: Incident) -> tuple[Service, ...]:
    """Who is needed by what was answered."""
    return tuple(dict.fromkeys(service for heard in incident.heard for service in heard.needs))


def last(incident: Incident) -> int:
    """Number of the newest event with an answer; 0 where nothing was answered."""
    return max((heard.at_n for heard in incident.heard), default=0)


def untold(incident: Incident, told: Disclosure) -> bool:
    """Whether an agency that has taken over has not been told what was answered since."""
    taken = {known.agency for known in incident.disclosures if known.taken_over}
    return told.unheard and not told.superseded and told.agency in taken


def _answer(incident: Incident, command: c.AnswerCard, _: datetime) -> Decision:
    if incident.operator != command.operator:
        raise Refused("only the operator who has the incident writes down what is answered: answer it first")
    if incident.state is State.CLOSED:
        raise Refused("the incident is closed")
    if command.category not in IN:
        raise Refused(f"an answer cannot be kept as {command.category}")
    if command.category is Category.MED:
        if not command.source:
            raise Refused("who says so of the person's health?")
        if command.urgent or command.needs:
            raise Refused("nothing of somebody's health may stand in clear")
    answered = e.CardAnswered(
        question=command.question,
        category=command.category,
        operator=command.operator,
        urgent=urgency.ordered(command.urgent),
        needs=command.needs,
        source=command.source,
        rule=command.rule,
        ground=command.ground,
        law_version=command.law_version,
        rules=command.rules,
        necessity=command.necessity,
        consent=command.consent,
        obligations=command.obligations,
    )
    return (e.Draft(event=answered, parts={command.category: command.answer}),)


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.AnswerCard: _answer}
)

# --- effects ---


def grounds(incident: Incident, reported: tuple[str, ...]) -> dict[str, Any]:
    """Why the call goes before others: by what is ``reported``, and by what was answered."""
    heard = (ground for each in incident.heard for ground in each.urgent)
    return {"urgent": urgency.ordered((*reported, *heard)), "urgent_reported": reported}


def _answered(incident: Incident, event: e.CardAnswered) -> dict[str, Any]:
    made = Heard(
        question=event.question,
        category=event.category,
        at_n=incident.version + 1,
        urgent=event.urgent,
        needs=event.needs,
    )
    others = tuple(known for known in incident.heard if known.question != event.question)
    heard = (*others, made)
    return grounds(replace(incident, heard=heard), incident.urgent_reported) | {
        "heard": heard,
        "declined": tuple(each for each in incident.declined if each not in event.needs),
        "disclosures": tuple(_before_that(told, event.category) for told in incident.disclosures),
    }


def _before_that(told: Disclosure, category: Category) -> Disclosure:
    current = not told.superseded and told.rejected is None and category in told.categories
    return replace(told, unheard=True) if current else told


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.CardAnswered: _answered,
    }
)
