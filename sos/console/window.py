"""One window in which an operator's desk is open: whoever gives orders there, and what is shown there.

Orders act through it: they find the house's parts in ``room``, and what they bring about stands in the journal as the
operator's own.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.clock import timestamp
from sos.console.access import Operator
from sos.console.frames import Parts, PartsItem
from sos.console.hub import Mailbox, message
from sos.console.room import Room
from sos.console.sessions import Session
from sos.errors import Forbidden, Refused
from sos.incident.access import AT_A_GLANCE, Purpose
from sos.incident.commands import Command
from sos.incident.events import (
    AnswerGiven,
    CancelReceived,
    CardAnswered,
    DisclosureDecided,
    ExportMade,
    IncidentReopened,
    MedicalTaken,
    NoteAdded,
    Recorded,
    RegisteredDataCopied,
)
from sos.incident.model import DeskId, Incident, IncidentId, State, new_id
from sos.journal.sealing import Contents, Part

SHOWN = (Category.LOC, Category.VEH, Category.SEV, Category.TEL, Category.PER, Category.OBS, Category.OWN)
"""What an operator sees of an incident in work."""

WORDS = (NoteAdded, MedicalTaken, CancelReceived, AnswerGiven, IncidentReopened, ExportMade)
"""Kinds whose part is somebody's own words, and nothing else."""


REVEALED = (NoteAdded, MedicalTaken, CardAnswered, RegisteredDataCopied)
"""Kinds that hold what is shown only to who asks for it."""


class Shown(Struct, frozen=True, kw_only=True):
    """Something that was revealed, with when it came and from whom."""

    at: str
    actor: str
    text: str
    fields: dict[str, str]


class Window:
    def __init__(self, room: Room, operator: Operator, mailbox: Mailbox, session: Session) -> None:
        self.room = room
        self.operator = operator
        self.mailbox = mailbox
        self.session = session
        self.desk = DeskId(f"desk-{operator.id}")
        self.seat = new_id()
        """This window: the operator may have the desk open in others."""
        self._shown: set[IncidentId] = set()
        mailbox.operator = operator.id
        mailbox.watching = self._shown

    async def execute(self, incident: IncidentId, command: Command) -> None:
        """Have it happen, as this operator's doing."""
        await self.room.journal.execute(incident, command, actor=self.actor)

    async def state(self, incident: IncidentId) -> Incident:
        return await self.room.journal.state(incident)

    async def own(self, incident: IncidentId) -> Incident:
        """The incident.  ``Forbidden`` unless this operator has it."""
        state = await self.state(incident)
        if state.operator is None:
            raise Forbidden("only the operator who has the incident does this: answer it first", rule="not-yours")
        if state.operator != self.operator.id:
            raise Forbidden("another operator has this incident", rule="not-yours")
        return state

    async def open(self, incident: IncidentId, *, purpose: Purpose, reason: str = "") -> None:
        """Serve what is known of the people and the place; that it was opened, and what for, is in the journal first,
        each time.  Of a call that is only offered, what it is about."""
        read = self.room.journal.read
        shown = tuple(sorted(AT_A_GLANCE)) if purpose is Purpose.OFFERED else SHOWN
        contents = await read(incident, shown, reader=self.actor, purpose=purpose, reason=reason, each_time=True)
        await self._serve(incident, contents)

    async def show(self, incident: IncidentId) -> None:
        """Serve it again, as the one who has it or has opened it: something has come in."""
        if not await self._sees(incident):
            raise Refused("open it first")
        read = self.room.journal.read
        contents = await read(incident, SHOWN, reader=self.actor, purpose=Purpose.EMERGENCY)
        await self._serve(incident, contents)

    async def show_done(self, incident: IncidentId) -> None:
        """As ``show``, after something was done; nothing for whom it was taken from meanwhile, since that is done."""
        if await self._sees(incident):
            await self.show(incident)

    async def _sees(self, incident: IncidentId) -> bool:
        state = await self.state(incident)
        mine = state.operator == self.operator.id and state.state is not State.CLOSED
        return mine or set(SHOWN) <= state.opened_by(self.actor)

    async def reveal(self, incident: IncidentId, category: Category, *, purpose: Purpose, reason: str) -> list[Shown]:
        """What lies in one category that is not shown unasked; on the record each time, before it is served."""
        parts = [
            part
            for part in await self.opened(incident, category, purpose=purpose, reason=reason)
            if isinstance(part.recorded.event, REVEALED)
        ]
        return [
            Shown(
                at=timestamp(part.recorded.at),
                actor=part.recorded.actor,
                text=part.payload.decode() if isinstance(part.recorded.event, WORDS) else "",
                fields=_fields(part),
            )
            for part in parts
        ]

    async def opened(
        self, incident: IncidentId, category: Category, *, purpose: Purpose, reason: str
    ) -> Sequence[Part]:
        """The parts of one category; that they were opened, and what for, is in the journal first, each time."""
        read = self.room.journal.read
        contents = await read(incident, (category,), reader=self.actor, purpose=purpose, reason=reason, each_time=True)
        return contents.parts

    async def _serve(self, incident: IncidentId, contents: Contents) -> None:
        items: dict[str, PartsItem] = {}
        for part in contents.parts:
            if isinstance(part.recorded.event, DisclosureDecided):
                continue
            text = isinstance(part.recorded.event, WORDS)
            item = items.setdefault(part.recorded.id, _item(part.recorded))
            item.parts[part.category] = {"text": part.payload.decode()} if text else msgspec.Raw(part.payload)
        told = Parts(incident=incident, items=tuple(items.values()), unreadable=contents.missing)
        self.mailbox.put(message(told))
        self._shown.add(incident)
        await self.room.transcript.show(await self.state(incident), self.operator.id, self.mailbox)

    @property
    def actor(self) -> str:
        return f"operator:{self.operator.id}"


def _fields(part: Part) -> dict[str, str]:
    """What is no text, by name."""
    if isinstance(part.recorded.event, WORDS):
        return {}
    told = msgspec.json.decode(part.payload, type=dict[str, Any])
    if isinstance(part.recorded.event, CardAnswered):
        return {f"{told['ja']} / {told['en']}": f"{told['saidJa']} / {told['saidEn']}"}
    return {name: str(value) for name, value in told.items()}


def _item(recorded: Recorded) -> PartsItem:
    return PartsItem(
        event=recorded.id,
        kind=type(recorded.event).__name__,
        n=recorded.n,
        at=timestamp(recorded.at),
        actor=recorded.actor,
        parts={},
    )
