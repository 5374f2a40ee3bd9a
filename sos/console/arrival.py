"""What a desk is told when it connects: who sits there, and where things stand (a snapshot, or what it missed)."""

import asyncio
from collections.abc import Mapping

from routing.cards import Cards
from routing.directory import Directory
from sos.clock import timestamp
from sos.console.acd import OWNED
from sos.console.frames import Agency, CardQuestion, Sitting, Welcome
from sos.console.hub import IN_ONE_GO, event_message, message, snapshot_message
from sos.console.room import LanguageOf, Room, no_voice
from sos.console.window import Window
from sos.incident.events import OF_NO_INCIDENT
from sos.incident.model import AgencyId, State, TenantId

SNAPSHOT = 500
"""Incidents in a snapshot at most; the desk is told how many there are in all."""

MISSED = 2000
"""Events sent again after a reconnection at most; beyond that a snapshot is shorter."""

MOST_DIGITS = 15
"""Of a position: a journal with a thousand events a second has that many after thirty thousand years."""

OPEN = tuple(state for state in State if state is not State.CLOSED)


NO_POSITION = f"after is a position of the journal, of at most {MOST_DIGITS} digits: everything is told afresh"


def position_of(sent: str) -> int | None:
    """A position of the journal; None asks for a snapshot, and so does what cannot be one."""
    return int(sent) if sent.isascii() and sent.isdecimal() and len(sent) <= MOST_DIGITS else None


def welcome(window: Window, *, active: bool) -> None:
    """Who sits there and what the house has, then what rings without the database."""
    room, operator = window.room, window.operator
    agencies = agencies_of(room.directory, room.lines, speaks=room.speaks)
    window.mailbox.put(
        message(
            Welcome(
                operator=Sitting(id=operator.id, name=operator.name, supervisor=operator.supervisor),
                desk=window.desk,
                active=active,
                now=timestamp(room.journal.clock.now()),
                demo=room.demo,
                boot=room.boot,
                agencies=agencies,
                languages=("ja", "en"),
                brands=room.brands(),
                cards=_cards(room),
                interpreters=sorted({language for each in room.interpreters for language in each.languages}),
                colleagues={id: name for id, name in room.colleagues.items() if id != operator.id},
                dials=room.dials,
                voice=room.voice_of(operator.id),
                roads=room.places.roads,
            )
        )
    )
    room.outage.tell(window.mailbox)
    room.mass_events.tell(window.mailbox)


def agencies_of(
    directory: Directory, lines: Mapping[str, Mapping[str, str]], *, speaks: LanguageOf = no_voice
) -> dict[str, Agency]:
    """The agencies as a desk knows them; ``lines`` are their telephone numbers."""
    return {
        agency.id: Agency(
            name_ja=agency.name_ja,
            name_en=agency.name_en,
            service=agency.service,
            exercise_partner=agency.exercise_partner,
            default=agency.default,
            lines=lines.get(agency.id, {}),
            speaks=speaks(AgencyId(agency.id)) is not None,
        )
        for agency in directory.agencies.values()
    }


def _cards(room: Room) -> dict[str, tuple[CardQuestion, ...]]:
    """What is asked in the name of each brand that asks otherwise than the house, and what the house asks."""
    house = room.cards(TenantId(""))
    brands = {tenant: room.cards(TenantId(tenant)) for tenant in room.brands()}
    return {"": asked(house)} | {tenant: asked(own) for tenant, own in brands.items() if own != house}


def asked(cards: Cards) -> tuple[CardQuestion, ...]:
    """The questions as a desk shows them: what an answer feeds is the service's to know."""
    return tuple(
        CardQuestion(
            id=each.id,
            kinds=each.kinds,
            category=each.category,
            form=each.form,
            ask=each.ask,
            told=each.told,
            choices=each.choices,
        )
        for each in cards.questions
    )


async def catch_up(window: Window, *, after: int | None) -> None:
    """Tell the desk where things stand and give it work.  ``Unavailable`` while the database is away."""
    if after is None or not await _resume(window, after):
        await _snapshot(window)
    await window.room.distribution.arrived(window.desk, window.operator.id)


async def _resume(window: Window, after: int) -> bool:
    """Send what came after position ``after``; False when that is too much, or when there is no such position: the
    page has seen a database that is not this one (restored, or the other side of a fail-over)."""
    store = window.room.journal.store
    size, _ = await store.tree()
    if after >= size or size - after > MISSED:
        return False
    while missed := await store.follow(after + 1, limit=IN_ONE_GO):
        for recorded in missed:
            if type(recorded.event) not in OF_NO_INCIDENT:
                window.mailbox.put(event_message(recorded))
        after += len(missed)
        await asyncio.sleep(0)
    return True


async def _snapshot(window: Window) -> None:
    room = window.room
    position = room.hub.seen  # read first: events that come meanwhile are told again and known by number
    total, urgent = await room.journal.queue(limit=SNAPSHOT, states=OPEN)
    _, owned = await room.journal.queue(limit=10_000, states=OWNED)
    own = [incident for incident in owned if incident.operator == window.operator.id]
    alarmed = await room.journal.alarmed(limit=SNAPSHOT)
    incidents = list({incident.id: incident for incident in (*own, *alarmed, *urgent)}.values())
    window.mailbox.put(await snapshot_message(incidents, position=position, total=total))
