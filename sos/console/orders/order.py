"""What every order is: a number, a name (``do``), fields that are all known and bounded, who may give it, its doing.

A field that nobody knows is refused, so a slip of the sender's (``heldd``) is never an order that says something else.
A yes or no has no default, since there is none that is safe for everybody.
"""

from enum import Enum
from typing import Annotated, ClassVar, TypeVar

from msgspec import Meta, Struct

from sos.console.orders import purposes
from sos.console.window import Window
from sos.errors import Forbidden
from sos.incident.access import Purpose
from sos.incident.model import IncidentId

Some = TypeVar("Some", bound=str)

LONGEST_NAME = 128
"""Characters of an id or a code of ours."""

Id = Annotated[Some, Meta(max_length=LONGEST_NAME)]
Code = Annotated[str, Meta(max_length=LONGEST_NAME)]
Text = Annotated[str, Meta(max_length=4000)]
"""What somebody types: two pages of a note."""
Reason = Annotated[str, Meta(max_length=1000)]
"""The page's own fields hold 200 to 500."""

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""The page's own number of an order: what JavaScript can count to."""


class May(Enum):
    """Who may give an order."""

    ANY_DESK = "any desk"
    WHO_HAS_IT = "the operator who has the incident"
    SUPERVISOR = "a supervisor"
    EITHER = "the operator who has the incident, or a supervisor"


class Order(Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    id: Number

    may: ClassVar[May]
    works: ClassVar[bool] = True
    """Whether it says that somebody works in this window; a page gives the others by itself."""

    async def permit(self, window: Window) -> None:
        """``Forbidden`` where it is not this operator's to give."""
        if self.may is May.SUPERVISOR and not window.operator.supervisor:
            raise Forbidden("only a supervisor decides this", rule="supervisor")
        purpose = getattr(self, "purpose", None)
        if isinstance(purpose, Purpose):
            purposes.check(str(self.__struct_config__.tag), purpose, supervisor=window.operator.supervisor)

    async def obey(self, window: Window) -> object:
        """What it does; comes back with what the desk is told."""
        raise NotImplementedError


class OfIncident(Order, frozen=True, kw_only=True):
    """An order that concerns one incident."""

    incident: Id[IncidentId]

    async def permit(self, window: Window) -> None:
        await super().permit(window)
        if self.may is May.WHO_HAS_IT or (self.may is May.EITHER and not window.operator.supervisor):
            await window.own(self.incident)
