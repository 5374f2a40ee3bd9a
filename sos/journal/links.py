"""Linking incidents as one crash and taking one out: one append for all of them, for whoever asks for it.

What follows from it for each of them is ``sos.incident.linking``'s; here it is asked for on what the journal holds.
"""

from sos.incident import linking
from sos.incident.events import MatchProposed
from sos.incident.model import CrashId, IncidentId, Relation, Share, new_id
from sos.journal.journal import Journal


def number_of(crash: CrashId) -> str:
    """Six digits of a crash, for people to say; two crashes of one day have the same once in a thousand days or so,
    and what belongs together is decided by the id."""
    return f"{int(crash[-12:], 16) % 1_000_000:06d}"


async def link(
    journal: Journal,
    incident: IncidentId,
    other: IncidentId,
    *,
    actor: str,
    relation: Relation = Relation.SAME_CRASH,
    share: Share | None = None,
    reasons: tuple[str, ...] = (),
    causation: str | None = None,
) -> None:
    """Make ``other`` one crash with ``incident``; nothing where it is so.  ``Refused`` says why it cannot be."""
    crash = CrashId(new_id())

    def orders(states: linking.States) -> linking.Orders:
        return linking.link(
            states,
            incident,
            other,
            crash_id=crash,
            number=number_of(crash),
            relation=relation,
            share=share,
            reasons=reasons,
        )

    await journal.execute_together((incident, other), orders, actor=actor, causation=causation)


async def confirm(
    journal: Journal,
    incident: IncidentId,
    other: IncidentId,
    *,
    actor: str,
    relation: Relation,
    reasons: tuple[str, ...] = (),
    causation: str | None = None,
) -> None:
    """Answer a proposal with yes: a link as what it was proposed as.  Errors as of ``link``."""
    share = await _proposed_share(journal, incident, other, relation)
    await link(
        journal,
        incident,
        other,
        actor=actor,
        relation=relation,
        share=share,
        reasons=reasons,
        causation=causation,
    )


async def _proposed_share(
    journal: Journal, incident: IncidentId, other: IncidentId, relation: Relation
) -> Share | None:
    """One vehicle that reported twice, or its voice, is one vehicle."""
    if relation is Relation.SAME_CALL:
        return Share.SAME_VEHICLE
    proposed = [
        recorded.event
        for recorded in await journal.store.stream(incident)
        if isinstance(recorded.event, MatchProposed) and recorded.event.other == other
    ]
    return Share.SAME_VEHICLE if any("vehicle" in event.reasons for event in proposed) else None


async def unlink(journal: Journal, incident: IncidentId, *, actor: str, causation: str | None = None) -> None:
    """Take ``incident`` out of its crash; nothing where it is in none."""

    def orders(states: linking.States) -> linking.Orders:
        return linking.unlink(states, incident)

    await journal.execute_together((incident,), orders, actor=actor, causation=causation)
