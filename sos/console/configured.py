"""The desks as the settings want them: who may sit there, and what every desk works with."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from msgspec import Struct

from recording.keys import KeyStore
from sos.console.access import Access, Operator
from sos.console.acd import Distribution
from sos.console.alarms import Alarms
from sos.console.desks import Desks
from sos.console.finding import Finder
from sos.console.hub import Hub
from sos.console.mass_events import MassEventBoard
from sos.console.outage import Outage
from sos.console.sessions import Sessions
from sos.console.skills import Skills
from sos.console.totp import read_secret
from sos.console.transcript import Transcript
from sos.incident.languages import Interpreter
from sos.incident.model import LegId, OperatorId, TenantId
from sos.journal.configured import Kept
from sos.journal.desk_access import DeskAccess
from sos.journal.found_by import FoundBy, SearchRecord
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.settings import OperatorSettings, Settings


class ControlRoom(Struct, frozen=True, kw_only=True):
    """What the desks share."""

    hub: Hub
    desks: Desks
    distribution: Distribution
    alarms: Alarms
    outage: Outage
    transcript: Transcript
    mass_events: MassEventBoard
    finder: Finder
    access: Access

    @classmethod
    async def of(
        cls,
        settings: Settings,
        kept: Kept,
        *,
        hang_up: Callable[[LegId], Awaitable[None]],
        names: Mapping[str, tuple[str, str]],
    ) -> "ControlRoom":
        """``hang_up``: ends the voice of whose log-in was revoked; ``names``: of places, by their codes."""
        hub, desks = Hub(seen=(await kept.store.tree())[0] - 1), Desks(kept.clock, skills=_skills(settings))
        access = desk_access(
            settings, kept.journal, desks, DeskAccess(kept.store.engine), keys=kept.keys, hang_up=hang_up
        )
        await access.sessions.look()  # what was ended before this start is over from the first request on
        return cls(
            hub=hub,
            desks=desks,
            distribution=Distribution(kept.journal, desks),
            alarms=Alarms(kept.journal, desks, supervisors=_supervisors(settings)),
            outage=Outage(kept.journal, hub),
            transcript=Transcript(kept.journal, hub),
            mass_events=MassEventBoard(
                kept.mass_events,
                kept.journal,
                hub,
                desks,
                supervisors=_supervisors(settings),
                renewed_after_h=settings.mass_event.renewed_after_h,
                names=names,
            ),
            finder=Finder(
                kept.journal,
                FoundBy(kept.store.engine),
                SearchRecord(kept.store, kept.keys, kept.clock),
                secret=kept.keys.secret("search"),
            ),
            access=access,
        )

    def shared(self) -> dict[str, Any]:
        """What of it every window works with, as fields of ``Room``."""
        names = ("hub", "outage", "desks", "distribution", "transcript", "finder", "mass_events")
        return {name: getattr(self, name) for name in names}

    def readers(self) -> Iterator[Reader]:
        yield Reader(name="distribution", handle=self.distribution.handle, wants=self.distribution.WANTS)
        yield Reader(name="alarms", handle=self.alarms.handle, wants=self.alarms.WANTS, by_incident=True)
        yield Reader(name="finder", handle=self.finder.handle, wants=self.finder.WANTS)
        yield Reader(name="hub", handle=self.hub.handle, from_now=True)

    def work(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """What runs for ever."""
        yield "ringing", self.distribution.ring
        yield "ringing-unplanned", self.distribution.hurry
        yield "desk-watch", self.distribution.watch
        yield "alarms-watch", self.alarms.watch
        yield "outage", self.outage.watch
        yield "mass-events-told", self.mass_events.watch
        yield "sessions", self.access.sessions.watch


def desk_access(
    settings: Settings,
    journal: Journal,
    desks: Desks,
    rows: DeskAccess,
    *,
    keys: KeyStore,
    hang_up: Callable[[LegId], Awaitable[None]],
) -> Access:
    """Who may come in.  It is made without asking the database."""
    idle = timedelta(minutes=settings.desk_idle_min)
    return Access(
        tuple(_operator(each) for each in settings.operators),
        Sessions(rows, journal, desks, clock=journal.clock, hang_up=hang_up, idle=idle),
        rows,
        secret=keys.secret("session"),
        secure=settings.secure,
    )


def desks_know(settings: Settings) -> dict[str, Any]:
    """What of the settings every desk works with, as fields of ``Room``."""
    return {
        "demo": settings.demo,
        "colleagues": {OperatorId(each.id): each.name for each in settings.operators},
        "interpreters": interpreters(settings),
        "nuisance": timedelta(days=settings.nuisance_days),
    }


def interpreters(settings: Settings) -> tuple[Interpreter, ...]:
    return tuple(
        Interpreter(id=each.id, languages=each.languages, number=each.number) for each in settings.interpreters
    )


def base_map() -> bytes:
    return (resources.files("routing") / "data" / "japan_base.geojson").read_bytes()


def _supervisors(settings: Settings) -> frozenset[OperatorId]:
    return frozenset(OperatorId(each.id) for each in settings.operators if each.supervisor)


def _skills(settings: Settings) -> dict[OperatorId, Skills]:
    return {
        OperatorId(each.id): Skills(languages=each.languages, brands=frozenset(map(TenantId, each.brands)))
        for each in settings.operators
    }


def _operator(given: OperatorSettings) -> Operator:
    return Operator(
        id=OperatorId(given.id),
        name=given.name,
        token_digest=given.token_digest,
        supervisor=given.supervisor,
        second_factor=read_secret(Path(given.second_factor_file)) if given.second_factor_file else b"",
    )
