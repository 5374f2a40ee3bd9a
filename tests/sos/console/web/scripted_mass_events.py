"""The mass events of the scripted service: decided by the house's own rules, told in the house's own frame."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from routing.categories import Category
from sos.clock import timestamp
from sos.console.frames import MassEventsTold, MassEventTold, MassTellingTold
from sos.console.orders import mass_event as orders
from sos.console.orders.order import Order
from sos.incident import mass_event as m
from sos.incident.model import Audience, MassEventId, OperatorId, new_id

ME = OperatorId("op1")
NAMES: Mapping[str, tuple[str, str]] = {
    "JP-13": ("東京都", "Tokyo"),
    "JP-12": ("千葉県", "Chiba"),
    "13104": ("新宿区", "Shinjuku-ku"),
}


class ScriptedMassEvents:
    def __init__(self) -> None:
        self.now = m.MassEvents()
        self.audience: Audience | None = None
        self.waiting = 0
        self.held = 0
        self._said: dict[MassEventId, dict[str, str]] = {}

    def happen(self, order: m.Order) -> None:
        at = datetime.now(UTC)
        for draft in m.decide(self.now, order, now=at):
            self.now = m.evolve(self.now, draft.event, at=at)
            if Category.OBS in draft.parts:
                self._said[draft.event.mass_event] = msgspec.json.decode(draft.parts[Category.OBS])  # type: ignore[attr-defined]

    def obey(self, order: Order) -> bool:
        """Whether it was about a mass event."""
        match order:
            case orders.DeclareMassEvent():
                self.happen(m.Declare(mass_event=order.mass_event or MassEventId(new_id()), **_whole(order)))
            case orders.ChangeMassEvent():
                self.happen(m.Change(mass_event=order.mass_event, **_whole(order)))
            case orders.EndMassEvent():
                self.happen(m.End(mass_event=order.mass_event, operator=ME, seen=order.seen, words=order.words))
            case orders.DismissMassEvent():
                self.happen(m.Dismiss(mass_event=order.mass_event, operator=ME, seen=order.seen, words=order.words))
            case orders.AnswerMassTelling():
                given = {name: getattr(order, name) for name in m.AnswerTelling.__struct_fields__ if name != "operator"}
                self.happen(m.AnswerTelling(operator=ME, **given))
            case _:
                return False
        return True

    def frame(self) -> dict[str, Any]:
        told = MassEventsTold(
            decisions=self.now.decisions,
            renewed_after_h=6.0,
            audience=self.audience,
            events=[self._told(each) for each in self.now.events],
        )
        frame: dict[str, Any] = msgspec.to_builtins(told)
        return frame

    def _told(self, event: m.MassEvent) -> MassEventTold:
        said = self._said.get(event.mass_event, {})
        return MassEventTold(
            mass_event=event.mass_event,
            in_force=event.in_force,
            name=said.get("name", ""),
            words=said.get("words", ""),
            since=timestamp(event.since),
            operator=event.operator,
            until=None if event.until is None else timestamp(event.until),
            overdue=event.overdue,
            area=event.area,
            area_names=[NAMES.get(code, (code, code)) for code in event.area.codes],
            emergencies=event.emergencies,
            tenants=event.tenants,
            within_s=event.within_s,
            waiting=self.waiting,
            held=self.held,
            tellings=[
                MassTellingTold(
                    agency=each.agency,
                    place=each.place,
                    place_name=NAMES.get(each.place, (each.place, each.place)),
                    asked_at=timestamp(each.asked_at),
                    how=each.how,
                    every_min=each.every_min,
                    operator=each.operator,
                    held=self.held,
                )
                for each in event.tellings
            ],
        )


def _whole(order: orders.DeclareMassEvent | orders.ChangeMassEvent) -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(hours=order.hours)
    return {
        "operator": ME,
        "seen": order.seen,
        "name": order.name,
        "words": order.words,
        "area": order.area,
        "until": until,
    }
