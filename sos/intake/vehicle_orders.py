"""What the vehicle shall get: waiting answers, for a vehicle that asks for them and for the door that delivers them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from routing.categories import Category
from sos.clock import timestamp
from sos.incident.commands import ConfirmAnswer
from sos.incident.events import AnswerDelivered, AnswerGiven, Recorded
from sos.incident.model import AnswerAction, AnswerId, IncidentId
from sos.journal.journal import Journal

LONGEST_WAIT = timedelta(seconds=30)
"""A request is held open for at most so long: mobile networks and proxies cut idle ones after about a minute."""


class VehicleOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer as a vehicle gets it."""

    id: AnswerId
    command: AnswerAction
    incident: IncidentId
    at: Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    text: str | None = None


class VehicleOrders:
    """``AnswerGiven`` wakes whoever waits for it; ``async`` questions are answered from the journal."""

    WANTS = (AnswerGiven,)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: dict[IncidentId, asyncio.Event] = {}

    async def handle(self, batch: Sequence[Recorded]) -> None:
        """As a reader that starts at the end."""
        for recorded in batch:
            if isinstance(recorded.event, AnswerGiven) and recorded.incident in self._waiting:
                self._waiting.pop(recorded.incident).set()

    async def pending(self, incident: IncidentId, *, wait: timedelta) -> Sequence[VehicleOrder]:
        """What has not been delivered; none after ``wait`` (at most ``LONGEST_WAIT``) without news."""
        given = self._waiting.setdefault(incident, asyncio.Event())
        orders = await self._orders(incident)
        if orders or wait <= timedelta(0):
            return orders
        try:
            async with asyncio.timeout(min(wait, LONGEST_WAIT).total_seconds()):
                await given.wait()
        except TimeoutError:
            self._waiting.pop(incident, None)
        return await self._orders(incident)

    async def order(self, given: Recorded) -> VehicleOrder:
        """One answer with its text."""
        assert isinstance(given.event, AnswerGiven)
        text = (await self._journal.parts_of(given)).get(Category.OBS)
        return VehicleOrder(
            id=given.event.answer,
            command=given.event.action,
            incident=given.incident,
            at=timestamp(given.at),
            text=None if text is None else text.decode(),
        )

    async def confirm(self, incident: IncidentId, answer: AnswerId, *, channel: str) -> None:
        """The vehicle, or what carries to it, has the answer.  ``Refused`` when none was given under this id."""
        await self._journal.execute(incident, ConfirmAnswer(answer=answer, channel=channel), actor=f"channel:{channel}")

    async def _orders(self, incident: IncidentId) -> Sequence[VehicleOrder]:
        stream = await self._journal.store.stream(incident)  # the state in memory may be a moment behind
        return [
            await self.order(each)
            for each in stream
            if isinstance(each.event, AnswerGiven) and not delivered(stream, each.event.answer)
        ]


def delivered(stream: Sequence[Recorded], answer: AnswerId) -> bool:
    """Whether the vehicle has the answer."""
    return any(isinstance(each.event, AnswerDelivered) and each.event.answer == answer for each in stream)
