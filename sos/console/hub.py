"""The hub: everything the journal says, to every desk, through one bounded mailbox each.

Sending never waits for a desk.  A desk that does not keep up is closed; it reconnects and resumes from the last
position it has seen.  A message is encoded once for all desks.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from sos.clock import timestamp
from sos.console.frames import EventFrame, Frame, Levels, Snapshot
from sos.incident.events import OF_NO_INCIDENT, Recorded
from sos.incident.model import Incident, IncidentId, LegId, OperatorId

MAILBOX = 4096
"""Messages a desk may lag behind: about 1 MiB, or two seconds of the worst minute of a great earthquake."""

GLANCES_UNTIL = 64
"""Messages waiting for a desk above which it is not told how loud it is just now."""

IN_ONE_GO = 250
"""Incidents or events written before others have a turn: a few milliseconds of all that a desk is told at once."""

_encode = msgspec.json.Encoder().encode


class Mailbox:
    """What one desk has still to be sent."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()
        self.overflowed = False
        self.operator: OperatorId | None = None
        """Whose desk it is."""
        self.watching: Collection[IncidentId] = ()
        """Incidents that are open at this desk: it is told how loud their legs are."""

    def glance(self, message: str) -> None:
        """Something that is old in a moment: left out while the desk has enough to read."""
        if self._messages.qsize() < GLANCES_UNTIL:
            self.put(message)

    def put(self, message: str) -> None:
        if self.overflowed:
            return
        if self._messages.qsize() >= MAILBOX:
            self.overflowed = True
            self._messages.put_nowait(None)
            return
        self._messages.put_nowait(message)

    def close(self) -> None:
        self._messages.put_nowait(None)

    async def take(self) -> str | None:
        """The next message; None when the desk is to be closed."""
        return await self._messages.get()


class Hub:
    def __init__(self, *, seen: int = -1) -> None:
        self._mailboxes: set[Mailbox] = set()
        self.seen = seen
        """The last position that desks have been told of; -1 before there was any."""

    def join(self) -> Mailbox:
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        self._mailboxes.discard(mailbox)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader: tell every desk."""
        for recorded in batch:
            self.seen = recorded.position if recorded.position is not None else self.seen
            if self._mailboxes and type(recorded.event) not in OF_NO_INCIDENT:
                self.tell(event_message(recorded))

    def of(self, operator: OperatorId, incident: IncidentId) -> Iterator[Mailbox]:
        """The desks of this operator that have the incident open."""
        return (each for each in tuple(self._mailboxes) if each.operator == operator and incident in each.watching)

    def sound(self, loudness: Mapping[IncidentId, Mapping[LegId, object]]) -> None:
        """How loud the legs of each incident are (mean, peak in dBov, and whether somebody speaks), to the desks that
        have it open."""
        for incident, legs in loudness.items():
            desks = [mailbox for mailbox in self._mailboxes if incident in mailbox.watching]
            if desks:
                text = message(Levels(incident=incident, legs=legs))
                for mailbox in desks:
                    mailbox.glance(text)

    def tell(self, message: str) -> None:
        for mailbox in self._mailboxes:
            mailbox.put(message)

    def close(self) -> None:
        for mailbox in self._mailboxes:
            mailbox.close()


def event_message(recorded: Recorded) -> str:
    """One event as desks get it: the header, no personal data.  One that cannot be read is ``Unreadable``."""
    return message(
        EventFrame(
            position=recorded.position,
            incident=recorded.incident,
            tenant=recorded.tenant,
            id=recorded.id,
            n=recorded.n,
            kind="Unreadable" if recorded.damaged else type(recorded.event).__name__,
            at=timestamp(recorded.at),
            actor=recorded.actor,
            data=recorded.event,
        )
    )


async def snapshot_message(incidents: Sequence[Incident], *, position: int, total: int) -> str:
    """Where things stand, written in pieces: between them everybody else has a turn."""
    pieces: list[str] = []
    for start in range(0, len(incidents), IN_ONE_GO):
        pieces.append(_encode(incidents[start : start + IN_ONE_GO]).decode()[1:-1])
        await asyncio.sleep(0)
    told = message(Snapshot(position=position, incidents=(), total=total))
    return told.replace('"incidents":[]', f'"incidents":[{",".join(pieces)}]', 1)


def message(content: Frame) -> str:
    return _encode(content).decode()
