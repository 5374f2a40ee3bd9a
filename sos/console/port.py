"""What the console needs from the rest of the house; the composition root hands it in."""

from collections.abc import Sequence
from typing import Literal, Protocol

from sos.console.hub import Mailbox
from sos.incident.commands import AnswerCard, AnswerRequest
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.mass_event import Order
from sos.incident.model import AgencyId, DisclosureId, Incident, IncidentId, LegId, OperatorId, Party, RequestId
from sos.journal.journal import Done


class Voice(Protocol):
    async def connect(self, incident: IncidentId, *, leg: LegId, party: Party, who: str, offer: str) -> str: ...

    async def hang_up(self, leg: LegId) -> None: ...

    async def finish(self, incident: IncidentId) -> None: ...


class Replay(Protocol):
    async def again(self, incident: Incident, leg: LegId, *, seconds: float) -> bytes:
        """The last ``seconds`` of one leg as WAV; ``Unavailable`` when they cannot be had just now."""
        ...


class Medical(Protocol):
    async def take(
        self,
        incident: IncidentId,
        *,
        operator: OperatorId,
        text: str,
        source: Literal["person", "family", "bystander", "medical_staff"],
        consent: str = "",
    ) -> Done:
        """Write down what somebody says of a person's health."""
        ...

    async def take_answer(
        self,
        incident: IncidentId,
        answer: AnswerCard,
        *,
        source: Literal["person", "family", "bystander", "medical_staff"],
    ) -> Done:
        """Write down what was answered of it."""
        ...


class Requests(Protocol):
    async def answer(self, incident: IncidentId, request: RequestId, *, operator: OperatorId) -> AnswerRequest:
        """Ask the law about a request from outside, and record what it says."""
        ...


class Disclose(Protocol):
    @property
    def medical(self) -> Medical: ...

    @property
    def requests(self) -> Requests: ...

    async def decide(
        self, incident: IncidentId, *, agency: AgencyId, operator: OperatorId, request: DisclosureRequest
    ) -> Done: ...


class MassEventsHere(Protocol):
    """``sos.console.mass_events``."""

    async def execute(self, order: Order, *, operator: OperatorId) -> None:
        """Have it decided, and tell every desk."""
        ...

    def tell(self, mailbox: Mailbox) -> None:
        """Tell a desk that joins what the others know."""
        ...


class Agencies(Protocol):
    async def record_spoken(
        self, operator: OperatorId, incident: IncidentId, disclosure: DisclosureId, answer: str, text: str = ""
    ) -> None:
        """Record what the operator heard an agency say on the telephone."""
        ...


class FoundPlace(Protocol):
    """Where our data say that something is."""

    @property
    def latitude(self) -> float: ...

    @property
    def longitude(self) -> float: ...

    @property
    def uncertainty_m(self) -> float: ...

    @property
    def by(self) -> str: ...

    @property
    def name(self) -> str: ...


class Places(Protocol):
    """``sos.dispatch.stated_places``."""

    @property
    def roads(self) -> Sequence[str]:
        """Of which kilometre posts are known."""
        ...

    def on_road(self, road: str, km: float, direction: str) -> FoundPlace | None: ...

    async def at_address(self, text: str) -> FoundPlace | None:
        """In bounded time; None where nothing here knows it."""
        ...


class Meant(Protocol):
    @property
    def incident(self) -> IncidentId: ...


class Codes(Protocol):
    async def join(self, call: IncidentId, code: str, *, actor: str) -> Meant:
        """Note that the call of ``call`` is about the incident that ``code`` means; ``Refused`` where it means none."""
        ...
