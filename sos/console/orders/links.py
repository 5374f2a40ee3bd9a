"""Which incidents are one crash: a proposal answered, a link made by hand, one of them taken out."""

from typing import ClassVar

from sos.console.crash import CrashView, view
from sos.console.earlier import EarlierCalls, earlier_calls
from sos.console.orders.order import Id, May, OfIncident
from sos.console.window import Window
from sos.incident import linking
from sos.incident.commands import UndoMatch
from sos.incident.model import IncidentId, Relation, Share
from sos.journal import links


class Match(OfIncident, frozen=True, kw_only=True, tag="match"):
    """Say that another incident belongs to this one, or (``approved`` is false) that it does not."""

    may: ClassVar = May.ANY_DESK
    other: Id[IncidentId]
    relation: Relation
    approved: bool

    async def obey(self, window: Window) -> None:
        journal, actor = window.room.journal, window.actor
        if self.approved:
            await links.confirm(journal, self.incident, self.other, relation=self.relation, actor=actor)
        elif self.other in linking.others(await window.state(self.incident)):
            await links.unlink(journal, self.other, actor=actor)
        else:
            await window.execute(self.incident, UndoMatch(other=self.other, relation=self.relation))


class Link(OfIncident, frozen=True, kw_only=True, tag="link"):
    """Make another incident one crash with this one, although no software has proposed it."""

    may: ClassVar = May.ANY_DESK
    other: Id[IncidentId]
    share: Share
    """What the other is of it: a vehicle, more of this one's, or somebody who reports it."""

    async def obey(self, window: Window) -> None:
        await links.link(window.room.journal, self.incident, self.other, share=self.share, actor=window.actor)


class Unlink(OfIncident, frozen=True, tag="unlink"):
    """Take this one out of the crash; the others stay together."""

    may: ClassVar = May.ANY_DESK

    async def obey(self, window: Window) -> None:
        await links.unlink(window.room.journal, self.incident, actor=window.actor)


class Crash(OfIncident, frozen=True, kw_only=True, tag="crash"):
    """Show all cars of the crash beside each other, and who has been told of which."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False
    anew: bool
    """True: the operator opens it, which is written down in each incident; false: something has come in."""

    async def obey(self, window: Window) -> CrashView:
        return await view(window, self.incident, anew=self.anew)


class Earlier(OfIncident, frozen=True, tag="earlier"):
    """Show how earlier calls of the same vehicle ended, without personal data."""

    may: ClassVar = May.ANY_DESK
    works: ClassVar = False

    async def obey(self, window: Window) -> EarlierCalls:
        return await earlier_calls(window, self.incident)
