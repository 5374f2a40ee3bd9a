"""What is still to be done about an incident, and who has asked for what, as its state holds it: no personal data."""

from datetime import datetime

from msgspec import Struct

from routing.categories import Category
from routing.law.codes import Fact, Path
from routing.services import Recipient


class Owed(Struct, frozen=True, kw_only=True, gc=False):
    """An obligation that somebody has to meet (``obligations.DOERS`` says who)."""

    obligation: str
    """``routing.law.Obligation``."""
    about: str
    """The id of what it follows from; ``obligations.PERSON`` where one word to the person answers for all."""
    since: datetime
    due_at: datetime
    """When it falls due next: an obligation that is late falls due again and again."""
    by: str = ""
    """Who decided what it follows from; a review is somebody else's."""
    late: int = 0
    """How often it has fallen due and was not met."""


class Asked(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody outside wants to know something, and what has been found out about that."""

    request: str
    recipient: Recipient
    path: Path
    scope: tuple[Category, ...]
    provision: bool
    """A provision or a task was named."""
    document: bool
    """There is a document."""
    country: str
    checked: tuple[Fact, ...] = ()
    """What somebody of ours has found to be so, each with an event of its own."""
    approved: tuple[str, ...] = ()
    """Who agrees that it is answered; two different people count as two."""
    supervised: bool = False
    """One of them is a supervisor."""
    outcome: str = ""
    """``routing.law.Outcome`` of the answer; empty while it is open."""
    refused: str = ""
    """Why a person of ours has refused it; empty: nobody has."""
    received_at: datetime | None = None
    due_at: datetime | None = None
    """By when it is to be answered or refused; None once it is, and for requests from before this was counted."""
    late: int = 0
    """How often that time has passed."""
