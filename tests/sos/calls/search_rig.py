"""A house in which nobody answers: the real readers of the search over a journal, a provider and a clock by hand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.law import RuleBook
from routing.plan import Sources
from routing.services import ALWAYS
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.bridge import DESK, Bridge
from sos.calls.on_call import OnCall, Person, with_people
from sos.clock import ManualClock
from sos.console.acd import Distribution
from sos.console.desks import Desks
from sos.dispatch.adapters.simulated import SimulatedChannel
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.handoff import Handoff
from sos.dispatch.ladder import number
from sos.dispatch.mass_tellings import MassTellings
from sos.dispatch.planner import Planner
from sos.dispatch.unattended import Practice, Unattended
from sos.incident.commands import OpenIncident, TakeIncident
from sos.incident.events import Event, Recorded
from sos.incident.model import AgencyId, DeskId, Incident, IncidentId, LegId, Mode, OperatorId, Party, TenantId, Trigger
from sos.intake.reader import Filer
from sos.intake.testcalls import TestCalls
from sos.journal.deadlines import Deadlines
from sos.journal.journal import Journal
from sos.journal.readers import Follower, Reader
from sos.vehicle.report import Car, crash
from tests.rest import at_rest

TENANT = TenantId("acme")
SABURO = Person(id=OperatorId("saburo"), number="+81300000031")
SHIRO = Person(id=OperatorId("shiro"), number="+81300000041")
OFFER = "v=0"

_E = TypeVar("_E", bound=Event)


class SearchHouse:
    """``people`` are on call, ``desks`` have telephones.  Legs come up and keys are pressed by hand."""

    def __init__(
        self,
        journal: Journal,
        clock: ManualClock,
        *,
        people: Sequence[Person] = (SABURO, SHIRO),
        practice: Practice | None = None,
        directory: Directory | None = None,
        desks: Mapping[str, str] = MappingProxyType({}),
        seed: int = 0,
        mass: MassTellings | None = None,
    ) -> None:
        self._mass = mass
        self.journal, self.clock = journal, clock
        self.directory = directory or Directory.demo()
        self.provider = SimulatedProvider(clock=clock, misbehaviour=0, seed=seed, answering=False)
        self.channel = SimulatedChannel(name="portal", misbehaviour=0)
        self.disclosures = Disclosures(
            journal, directory=self.directory, rules=RuleBook.shipped(), domains={TENANT: "acme.sos.example"}
        )
        self._people = tuple(people)
        self._desk_lines = desks
        self._practice = practice
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        journal = self.journal
        self.bridge = Bridge(journal, self.provider, number_of=with_people(self._number, self._people))
        self.desks = Desks(self.clock)
        self.distribution = Distribution(journal, self.desks)
        dials = self._practice is None or not self._practice.invites  # nobody is let in who is dialled
        on_call = OnCall(journal, self._people, hang_up=self.provider.end)
        unattended = Unattended(journal, self.disclosures, self.directory, practice=self._practice, mass=self._mass)
        handoff = Handoff(journal, directory=self.directory, channels={"portal": self.channel}, dials=dials)
        await self.bridge.settle()
        readers = {
            "distribution": self.distribution.handle,
            "on-call": on_call.handle,
            "unattended": unattended.handle,
            "handoff": handoff.handle,
            "bridge": self.bridge.handle,
            "receipts": TestCalls(journal).handle,
        }
        self._followers = [
            Follower(Reader(name=name, handle=handle), journal.store, clock=self.clock)
            for name, handle in readers.items()
        ]
        works = [follower.run() for follower in self._followers]
        rings = (self.distribution.ring(), self.distribution.hurry(), self.distribution.watch())
        for work in (*works, *rings, self.bridge.run(), Deadlines(journal).watch()):
            self._tasks.append(asyncio.create_task(work))
        if self._mass is not None:
            self._tasks.append(asyncio.create_task(unattended.watch()))

    def _number(self, who: AgencyId, line: str) -> str | None:
        return self._desk_lines.get(who) if line == DESK else number(who, line, self.directory)

    async def stop(self) -> None:
        """As a process that is killed: nothing but the journal and the provider is left."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def crash(
        self,
        *,
        mode: Mode = Mode.LIVE,
        trigger: Trigger = Trigger.AUTOMATIC,
        speaks: bool = True,
        seed: int = 1,
        body: bytes = b"",
        readable: bool = True,
        findings: tuple[str, ...] = (),
    ) -> IncidentId:
        """A car reports a crash, or ``body``; where it ``speaks``, its voice is in the conference."""
        sent = body or crash(Car(), at=self.clock.now(), seed=seed).body
        opened = OpenIncident(
            mode=mode,
            trigger=trigger,
            format="application/cloudevents+json",
            report=sent,
            report_digest="00" * 32,
            readable=readable,
            findings=findings,
        )
        receipt = seed.to_bytes(32)
        incident = (
            await self.journal.open(opened, tenant=TENANT, receipt=receipt, received_at=self.clock.now())
        ).incident
        planner = Planner(self.journal, Sources(layer=PrefectureLayer.load(), directory=self.directory))
        await Filer(self.journal).handle(await self.journal.store.stream(incident))
        await planner.handle(await self.journal.store.stream(incident))
        if speaks:
            await self.call_in(incident)
        return incident

    async def call_in(self, incident: IncidentId) -> LegId:
        leg = LegId(f"{incident[:30]}-car")
        await self.bridge.connect(incident, leg=leg, party=Party.VEHICLE, who="vehicle", offer=OFFER)
        self.provider.bring_up(leg)
        await self.until(lambda: self.up(incident, Party.VEHICLE))
        return leg

    async def take(self, incident: IncidentId, operator: str = "hanako") -> None:
        order = TakeIncident(operator=OperatorId(operator), desk=DeskId(f"desk-{operator}"))
        await self.journal.execute(incident, order, actor=f"operator:{operator}")

    # --- what is asked ---

    async def until(self, met: Callable[[], Awaitable[bool]], *, within_s: int = 90) -> None:
        for _ in range(within_s * 2):
            await at_rest(self.journal.store, self._followers)
            if await met():
                return
            await self.clock.advance(timedelta(milliseconds=500))
        raise AssertionError(f"not within {within_s} s")

    async def pass_time(self, seconds: float) -> None:
        """In half-seconds, and where it is long in sixty pieces: after each the house comes to rest."""
        until = self.clock.now() + timedelta(seconds=seconds)
        piece = max(timedelta(milliseconds=500), timedelta(seconds=seconds) / 60)
        while (left := until - self.clock.now()) > timedelta():
            await at_rest(self.journal.store, self._followers)
            await self.clock.advance(min(piece, left))
        await at_rest(self.journal.store, self._followers)

    async def state(self, incident: IncidentId) -> Incident:
        return await self.journal.state(incident)

    async def up(self, incident: IncidentId, party: Party) -> bool:
        return any(leg.party is party and leg.up for leg in (await self.state(incident)).legs)

    def dialled(self, number: str) -> list[LegId]:
        """The legs under which ``number`` was dialled."""
        return [leg for leg, called in self.provider.dialled.items() if called == number]

    def told(self, leg: LegId) -> list[str]:
        """The notices that a leg was played, in whichever language."""
        return [notice.partition(".")[0] for heard, notice in self.provider.announced if heard == leg]

    async def rings_at(self, person: Person) -> LegId:
        """The leg of the call to ``person``, once it is dialled."""

        async def dialled() -> bool:
            return bool(self.dialled(person.number))

        await self.until(dialled)
        return self.dialled(person.number)[-1]

    async def happened(self, incident: IncidentId, kind: type[_E]) -> list[_E]:
        return [each.event for each in await self.journal.store.stream(incident) if isinstance(each.event, kind)]

    async def recorded(self, incident: IncidentId, kind: type[Event]) -> list[Recorded]:
        return [each for each in await self.journal.store.stream(incident) if isinstance(each.event, kind)]

    async def until_happened(self, incident: IncidentId, kind: type[_E], *, least: int = 1) -> list[_E]:
        async def met() -> bool:
            return len(await self.happened(incident, kind)) >= least

        await self.until(met)
        return await self.happened(incident, kind)

    def number_of(self, agency: AgencyId) -> str:
        found = number(agency, "first", self.directory)
        assert found is not None
        return found


def abroad(country: str) -> Directory:
    """A directory of invented agencies that answer for the whole of ``country``."""
    rows = [
        f"""
[[agency]]
id = "{country.lower()}-{service.value}"
service = "{service.value}"
name_ja = "架空{service.value}"
name_en = "Demo {service.value}"
jurisdiction = "default"
country = "{country}"
channels = {{ portal = {{}}, voice = {{ number = "+81300000{number}" }} }}
"""
        for number, service in enumerate(ALWAYS, 111)
    ]
    return Directory.read(('name = "abroad"\n' + "".join(rows)).encode())
