"""Hundreds of calls that nobody seems to want: desks die, telephones are picked up by machines, the service is killed.

The readers, the bridge and the law are the real ones, over the real ``decide`` and ``evolve``; only the journal is in
memory, and time is moved by hand.  One seed is one incident and repeats exactly.
``python -m tests.sos.calls.search_world 500`` runs many and prints what was found; it ends with 1 when a promise was
broken.

The provider loses, delays and doubles 5 % of what it tells.  As its real siblings do, it compares what it has told with
what is so now and then, and tells again.
"""

import asyncio
import heapq
import logging
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import structlog
from msgspec import Struct

from routing.boundaries import PrefectureLayer
from routing.categories import Category
from routing.directory import Directory
from routing.law import RuleBook
from routing.plan import Sources
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.bridge import Bridge
from sos.calls.on_call import OnCall, Person, with_people
from sos.calls.port import LegDown, LegUp
from sos.clock import ManualClock
from sos.console.acd import Distribution
from sos.console.alarms import Alarms
from sos.console.desks import SILENT, Desks
from sos.dispatch.adapters.simulated import SimulatedChannel
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.handoff import Handoff
from sos.dispatch.ladder import number
from sos.dispatch.planner import Planner
from sos.dispatch.unattended import Practice, Unattended
from sos.errors import Refused
from sos.incident import alarms, attendance, voiceless
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.escalation import called_for
from sos.incident.lifecycle import deadlines, evolve, propose
from sos.incident.model import (
    Acknowledgement,
    AlarmId,
    Audience,
    ConsentAnswer,
    DeskId,
    EventId,
    Incident,
    IncidentId,
    LegId,
    Mode,
    OperatorId,
    Party,
    State,
    TenantId,
    Trigger,
)
from sos.intake.reader import Filer
from sos.journal.journal import Done
from sos.journal.sealing import Part
from sos.vehicle.report import Car, crash

START = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
STEP = timedelta(milliseconds=500)
LASTS = timedelta(seconds=200)
COMPARES = timedelta(seconds=5)
ALONE_FOR = timedelta(seconds=60)
"""The promise: nobody who is up is left without anybody for longer, while a service runs.  What is left out is the time
without a process, and the ten seconds in which a new one cannot know yet whose desk is dead."""

UNHEARD_FOR = timedelta(seconds=15)
"""The promise: whoever hears nobody, although somebody has the incident by name, has had others alarmed by then."""

REACHES_A_DESK = timedelta(seconds=5)
REACHES_EVERY_DESK = timedelta(seconds=40)
"""The promises of an alarm that nobody acknowledges, while there is a desk: supervisors have thirty seconds."""

CAR = "+81300000001"
PEOPLE = tuple(Person(id=OperatorId(f"person-{n}"), number=f"+8130000004{n}") for n in range(3))
OPERATORS = ("hanako", "jiro", "saburo")
ME = IncidentId("019b7890-0000-7000-8000-000000000001")
TENANT = TenantId("acme")

DIRECTORY = Directory.demo()
LAYER = PrefectureLayer.load()
BOOK = RuleBook.shipped()


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class MemoryJournal:
    """One incident in memory.  It may kill whoever writes, before or after the event is durable."""

    def __init__(self, clock: ManualClock, dice: Random, *, deadly: float) -> None:
        self.clock = clock
        self.events: list[e.Recorded] = []
        self.incident = Incident(id=ME, tenant=TENANT)
        self.mortal = False
        self._parts: dict[str, Mapping[Category, bytes]] = {}
        self._dice = dice
        self._deadly = deadly

    @property
    def store(self) -> "MemoryJournal":
        return self

    async def stream(self, _: IncidentId) -> Sequence[e.Recorded]:
        return tuple(self.events)

    async def state(self, _: IncidentId) -> Incident:
        return self.incident

    async def queue(self, *, limit: int, states: Sequence[State]) -> tuple[int, Sequence[Incident]]:
        found = [self.incident] if self.incident.version and self.incident.state in states else []
        return len(found), found[:limit]

    async def alarmed(self, *, limit: int) -> Sequence[Incident]:
        return [self.incident][:limit] if alarms.standing(self.incident) else []

    async def parts_of(self, recorded: e.Recorded) -> Mapping[Category, bytes]:
        return self._parts[recorded.id]

    async def unseal(self, _: IncidentId, categories: Sequence[Category]) -> Sequence[Part]:
        return [
            Part(recorded=recorded, category=category, salt=b"", payload=payload)
            for recorded in self.events
            for category, payload in self._parts[recorded.id].items()
            if category in categories
        ]

    async def data_key(self, _: IncidentId, __: Category) -> bytes:
        return bytes(32)

    async def execute(self, _: IncidentId, command: c.Command, *, actor: str, causation: str | None = None) -> Done:
        self._perhaps_die()
        done = self.write(command, actor=actor, causation=causation)
        self._perhaps_die()
        return done

    def _perhaps_die(self) -> None:
        if self.mortal and self._dice.random() < self._deadly:
            raise Killed

    def write(self, command: c.Command, *, actor: str, causation: str | None = None) -> Done:
        now, recorded = self.clock.now(), []
        for draft in propose(self.incident, command, now=now):
            self.incident = evolve(self.incident, draft.event, at=now)
            made = e.Recorded(
                id=EventId(f"019b7890-0000-7000-8000-{self.incident.version:012x}"),
                stream=ME,
                tenant=TENANT,
                n=self.incident.version,
                at=now,
                actor=actor,
                causation=causation,
                event=draft.event,
                commitments=dict.fromkeys(draft.parts, "0" * 64),
            )
            self._parts[made.id] = draft.parts
            recorded.append(made)
        self.events += recorded
        return Done(incident=self.incident, recorded=tuple(recorded))


class Found(Struct, frozen=True, kw_only=True):
    seed: int
    broken: tuple[str, ...]
    kills: int
    unheard_s: float
    """The longest that a car heard nobody although somebody had the incident by name."""
    alarms: int
    longest_s: float
    """The longest that a car that was up had nobody, while a service ran."""
    outcome: str
    on_call: int
    """Calls to people on call."""


class World:
    """One call: the house and its kills, operators, people on call, the agency, the car."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.clock = ManualClock(START)
        self.journal = MemoryJournal(self.clock, self.dice, deadly=self.dice.choice((0.0, 0.0, 0.01, 0.04)))
        self.provider = SimulatedProvider(clock=self.clock, misbehaviour=0.05, seed=seed, answering=False)
        self.channel = SimulatedChannel(name="portal", misbehaviour=0.05, seed=seed)
        self.people = PEOPLE[: self.dice.choice((0, 0, 1, 2, 3))]
        self.practice = Practice(tells=self.dice.random() < 0.8)
        self.disclosures = Disclosures(self.journal, directory=DIRECTORY, rules=BOOK, domains={TENANT: "acme.example"})  # type: ignore[arg-type]
        self.alive: dict[str, bool] = dict.fromkeys(OPERATORS[: self.dice.choice((0, 0, 1, 2, 3))], True)
        self.keen = self.dice.choice((0.0, 0.1, 0.5, 0.9))
        self.cursors: Counter[str] = Counter()
        self.heap: list[tuple[datetime, int, Callable[[], object]]] = []
        self.ticket = count()
        self.seen = 0
        self.placed: set[LegId] = set()
        self.down_until = START
        self.watched_since = START
        self.alone = timedelta(0)
        self.longest = timedelta(0)
        self.kills = 0
        self.broken: list[str] = []
        self.missed: set[LegId] = set()
        self.moods = Random(seed + 1_000_003)
        """Of its own: whose voice comes, and which supervisor answers."""
        self.unheard = timedelta(0)
        self.longest_unheard = timedelta(0)
        self.standing: Counter[AlarmId] = Counter()

    # --- the house ---

    def build(self) -> None:
        journal = self.journal
        numbers = with_people(lambda agency, line: number(agency, line, DIRECTORY), self.people)
        self.bridge = Bridge(journal, self.provider, number_of=numbers)  # type: ignore[arg-type]
        self.desks = Desks(self.clock)
        self.distribution = Distribution(journal, self.desks)  # type: ignore[arg-type]
        self.handoff = Handoff(journal, directory=DIRECTORY, channels={"portal": self.channel}, dials=True)
        on_call = OnCall(journal, self.people, hang_up=self.provider.end)  # type: ignore[arg-type]
        unattended = Unattended(journal, self.disclosures, DIRECTORY, practice=self.practice)  # type: ignore[arg-type]
        self.alarms = Alarms(journal, self.desks, supervisors=(OperatorId("hanako"),))  # type: ignore[arg-type]
        self.readers = {
            "distribution": self._distribute,
            "alarms": self._alarm,
            "on-call": on_call.handle,
            "unattended": unattended.handle,
            "handoff": self.handoff.handle,
            "bridge": self.bridge.handle,
        }
        self.taking = asyncio.create_task(self.bridge.run())
        for operator, alive in self.alive.items():
            if alive:
                self.come(operator)

    async def _distribute(self, batch: Sequence[e.Recorded]) -> None:
        await self.distribution.handle(batch)
        await self.distribution.settle()

    async def _alarm(self, batch: Sequence[e.Recorded]) -> None:
        if wanted := [each for each in batch if isinstance(each.event, Alarms.WANTS)]:
            await self.alarms.handle(wanted)

    def come(self, operator: str) -> None:
        desk = DeskId(f"desk-{operator}")
        self.desks.arrive(desk, OperatorId(operator))
        self.desks.set_ready(desk, True)

    async def die(self) -> None:
        """Everything in memory is gone; some seconds later a new process begins."""
        self.kills += 1
        self.journal.mortal = False
        await self._stop()
        self.down_until = self.clock.now() + timedelta(seconds=self.dice.uniform(0.5, 6))

    async def _stop(self) -> None:
        self.taking.cancel()
        with suppress(asyncio.CancelledError, Killed):
            await self.taking
        with suppress(Killed):
            await self.handoff.idle()

    async def restart(self) -> None:
        with suppress(asyncio.CancelledError, Killed):
            await self.taking
        self.build()
        self.watched_since = self.clock.now() + SILENT
        await self._as_the_house(self.bridge.settle)
        await self._as_the_house(self.handoff.look_again)
        for operator, alive in self.alive.items():
            if alive:
                arrives = self.distribution.arrived
                desk, who = DeskId(f"desk-{operator}"), operator
                await self._as_the_house(lambda arrives=arrives, desk=desk, who=who: arrives(desk, who))

    async def _as_the_house(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do a piece of the house's work; False when it was killed in it."""
        if self.clock.now() < self.down_until:
            return False
        self.journal.mortal = True
        try:
            await work()
            await self.handoff.idle()
        except Killed:
            await self.die()
            return False
        except Refused:  # as the follower does
            pass
        finally:
            self.journal.mortal = False
        return True

    async def works(self) -> None:
        """A step of the house: timers, readers, and now and then its watches."""
        await self._as_the_house(self._timers)
        for name in self.readers:
            position = self.cursors[name]
            while position < len(self.journal.events):
                batch = [self.journal.events[position]]
                handle = self.readers[name]
                if not await self._as_the_house(lambda handle=handle, batch=batch: handle(batch)):
                    return
                position += 1
                if self.dice.random() < 0.8 or position == len(self.journal.events):
                    self.cursors[name] = position
        since = self.clock.now() - START
        if since % timedelta(seconds=2) < STEP:
            await self._as_the_house(self.distribution.release_silent)
            await self._as_the_house(self.distribution.release_voiceless)
            await self._as_the_house(self.alarms.look)
            await self._as_the_house(self.distribution.distribute)
        if since % COMPARES < STEP:
            await self._as_the_house(self._compare)

    async def _timers(self) -> None:
        for name, due in deadlines(self.journal.incident):
            if due <= self.clock.now():
                await self.journal.execute(ME, c.PassDeadline(name=name), actor="timer")

    async def _compare(self) -> None:
        """What a provider's own watch does: what was told and lost is told again, once it was so twice."""
        truth = {leg.leg: leg for leg in await self.provider.legs()}
        known = {leg.leg: leg for leg in self.journal.incident.legs}
        gone = {leg for leg, each in known.items() if each.up and leg not in truth}
        come = {leg for leg in truth if leg in known and not known[leg].up and known[leg].left is None}
        lost = (gone | come) & self.missed
        self.missed = gone | come
        for leg in lost & gone:
            down = LegDown(incident=ME, leg=leg, party=known[leg].party, reason="media_lost")
            await self._learn(c.LeaveLeg(leg=down.leg, reason=down.reason))
        for leg in lost & come:
            up: LegUp = truth[leg]
            await self._learn(c.JoinLeg(leg=up.leg, party=up.party, who=up.who))

    async def _learn(self, command: c.Command) -> None:
        await self.journal.execute(ME, command, actor="provider:simulated")

    # --- what others do ---

    def later(self, after_s: float, act: Callable[[], object]) -> None:
        heapq.heappush(self.heap, (self.clock.now() + timedelta(seconds=after_s), next(self.ticket), act))

    def outside(self, command: c.Command, *, actor: str) -> None:
        with suppress(Refused):
            self.journal.write(command, actor=actor)

    async def open(self) -> None:
        report = crash(Car(), at=self.clock.now(), seed=self.seed)
        opened = c.OpenIncident(
            mode=Mode.LIVE,
            trigger=self.dice.choice((Trigger.AUTOMATIC, Trigger.MANUAL)),
            format="application/cloudevents+json",
            report=report.body,
            report_digest="00" * 32,
            readable=True,
        )
        self.journal.write(opened, actor="vehicle")
        await Filer(self.journal).handle(self.journal.events)  # type: ignore[arg-type]
        if self.dice.random() < 0.9:  # else the planner is down
            planner = Planner(self.journal, Sources(layer=LAYER, directory=DIRECTORY))  # type: ignore[arg-type]
            await planner.handle(tuple(self.journal.events))
        self.later(self.dice.uniform(0.1, 3), self.car_calls)
        for operator in self.alive:
            if self.dice.random() < 0.6:
                self.later(self.dice.uniform(0, 120), lambda operator=operator: self.desk_dies(operator))
        for _ in range(self.dice.choice((0, 0, 1, 2))):
            self.later(self.dice.uniform(0, 100), self.die_soon)

    def die_soon(self) -> object:
        return self.die() if self.clock.now() >= self.down_until else None

    def car_calls(self) -> object:
        return self._connect(LegId("car"))

    async def _connect(self, leg: LegId) -> None:
        self.outside(c.InviteLeg(leg=leg, party=Party.VEHICLE, who="vehicle"), actor="vehicle")
        await self.provider.accept(incident=ME, leg=leg, party=Party.VEHICLE, who="vehicle", offer="v=0", key=bytes(32))
        self.provider.bring_up(leg)
        if self.dice.random() < 0.2:
            self.later(self.dice.uniform(5, 90), lambda: self.provider.drop(leg))

    def desk_dies(self, operator: str) -> None:
        self.alive[operator] = False
        if self.dice.random() < 0.5:
            self.desks.leave(DeskId(f"desk-{operator}"))
        if self.dice.random() < 0.3:
            self.later(self.dice.uniform(20, 60), lambda: self.desk_returns(operator))

    def desk_returns(self, operator: str) -> None:
        self.alive[operator] = True
        if self.clock.now() >= self.down_until:
            self.come(operator)

    def answers(self, operator: str) -> None:
        if self.alive.get(operator) and self.clock.now() >= self.down_until:
            take = c.TakeIncident(operator=OperatorId(operator), desk=DeskId(f"desk-{operator}"))
            self.outside(take, actor=f"operator:{operator}")
            if self.dice.random() < 0.05:
                said = c.RecordConsent(answer=ConsentAnswer.REFUSED)
                self.outside(said, actor=f"operator:{operator}")

    def react(self, recorded: e.Recorded) -> None:
        """What operators make of what rings."""
        match recorded.event:
            case e.DeskOffered(desks=desks):
                for operator, alive in self.alive.items():
                    rings = not desks or f"desk-{operator}" in desks
                    if alive and rings and self.dice.random() < self.keen:
                        self.later(self.dice.uniform(1, 12), lambda operator=operator: self.answers(operator))
            case e.OperatorLost():
                for operator, alive in self.alive.items():
                    if alive and self.dice.random() < self.keen:
                        self.later(self.dice.uniform(1, 12), lambda operator=operator: self.answers(operator))

    def speak_or_not(self, recorded: e.Recorded) -> None:
        """Whose voice comes, and who says that an alarm was heard."""
        match recorded.event:
            case e.OperatorAssigned(operator=operator) if operator in self.alive and self.moods.random() < 0.6:
                leg = LegId(f"desk-{operator}-{recorded.n}")
                self.later(self.moods.uniform(0.5, 14), lambda: self._speaks(leg, operator))
            case e.OperatorLost(operator=operator):
                for leg in self.journal.incident.legs:
                    if leg.party is Party.OPERATOR and leg.who == operator and leg.up:
                        self.provider.drop(leg.leg)
            case e.AlarmShown(alarm=alarm, supervisors=supervisors) if supervisors and self.moods.random() < 0.5:
                heard = c.AcknowledgeAlarm(alarm=alarm, operator=supervisors[0], supervisor=True)
                actor = f"operator:{supervisors[0]}"
                self.later(self.moods.uniform(3, 20), lambda: self.outside(heard, actor=actor))

    async def _speaks(self, leg: LegId, operator: str) -> None:
        if self.journal.incident.operator != operator or not self.alive[operator]:
            return
        self.outside(c.InviteLeg(leg=leg, party=Party.OPERATOR, who=operator), actor=f"operator:{operator}")
        await self.provider.accept(incident=ME, leg=leg, party=Party.OPERATOR, who=operator, offer="v=0", key=bytes(32))
        self.provider.bring_up(leg)

    def telephones(self) -> None:
        """Who has just been dialled, and what they do."""
        for leg, called in tuple(self.provider.dialled.items()):
            if leg in self.placed:
                continue
            self.placed.add(leg)
            if called in {person.number for person in self.people}:
                self._person(leg)
            elif called != CAR:
                self._agency(leg)
            elif self.dice.random() < 0.8:
                self.later(self.dice.uniform(1, 8), lambda leg=leg: self.provider.bring_up(leg))

    def _person(self, leg: LegId) -> None:
        does = self.dice.choice(("machine", "takes", "takes", "ignores", "hangs_up", "rejects"))
        picks_up = self.dice.uniform(2, 15)
        if does == "ignores":
            return
        if does == "rejects":
            self.later(picks_up, lambda: self.provider.drop(leg, reason="rejected"))
            self.outside(c.RingLeg(leg=leg), actor="provider:simulated")
            return
        self.later(picks_up, lambda: self.provider.bring_up(leg))
        if does == "hangs_up":
            self.later(picks_up + 3, lambda: self.provider.drop(leg, reason="ended"))
        if does != "takes":
            return
        for again in (0, 3, 6):  # a person presses again when nothing happens
            self.later(picks_up + 4 + again, lambda: self._presses(leg, "1"))
        if self.dice.random() < 0.3:
            self.later(picks_up + 14, lambda: self._presses(leg, "9"))
        if self.dice.random() < 0.4:
            self.later(picks_up + self.dice.uniform(12, 60), lambda: self.provider.drop(leg, reason="ended"))

    def _presses(self, leg: LegId, keys: str) -> None:
        known = self.journal.incident.leg(leg)
        if known is not None and (known.held or keys == "9"):
            self.provider.press(leg, keys)

    def _agency(self, leg: LegId) -> None:
        if self.dice.random() < 0.3:
            return
        picks_up = self.dice.uniform(2, 20)
        self.later(picks_up, lambda: self.provider.bring_up(leg))
        disclosure = called_for(self.journal.incident, leg)
        told = self.journal.incident.disclosure(disclosure) if disclosure else None
        if told is not None and self.dice.random() < 0.7:
            taken = c.Acknowledge(disclosure=told.disclosure, agency=told.agency, level=Acknowledgement.TAKEN_OVER)
            rejects = c.Reject(disclosure=told.disclosure, agency=told.agency, reason="no_unit_free")
            says = taken if self.dice.random() < 0.8 else rejects
            self.later(picks_up + 10, lambda: self.outside(says, actor=f"agency:{told.agency}"))
        self.later(picks_up + self.dice.uniform(20, 80), lambda: self.provider.drop(leg, reason="ended"))

    # --- the story and its promises ---

    async def run(self) -> Found:
        async with self.provider:
            await self.open()
            self.build()
            while self.clock.now() < START + LASTS:
                await self._step()
            await self._stop()
        self._check_dialling()
        return Found(
            seed=self.seed,
            broken=tuple(self.broken),
            kills=self.kills,
            unheard_s=self.longest_unheard.total_seconds(),
            alarms=self.journal.incident.alarms_raised,
            longest_s=self.longest.total_seconds(),
            outcome=self._outcome(),
            on_call=sum(
                isinstance(each.event, e.LegDialled) and each.event.party is Party.SUPERVISOR
                for each in self.journal.events
            ),
        )

    async def _step(self) -> None:
        while self.heap and self.heap[0][0] <= self.clock.now():
            did = heapq.heappop(self.heap)[2]()
            if isinstance(did, Awaitable):
                await did
        up = self.clock.now() >= self.down_until
        if up and self.taking.done():
            await self.restart()
        if up:
            for operator, alive in self.alive.items():
                if alive:
                    self.desks.beat(DeskId(f"desk-{operator}"))
            await self.works()
        self.telephones()
        while self.seen < len(self.journal.events):
            self.react(self.journal.events[self.seen])
            self.speak_or_not(self.journal.events[self.seen])
            self.seen += 1
        watched = up and self.clock.now() >= self.watched_since
        await self._check(up=watched)
        self._check_alarms(up=watched)
        await self.clock.advance(STEP)

    async def _check(self, *, up: bool) -> None:
        legs = await self.provider.legs()
        state = self.journal.incident
        for leg in legs:
            mode = self.provider.modes.get(leg.leg)
            if leg.party is Party.SUPERVISOR and not (mode and mode.held) and not self._ever_had(leg.who):
                self.broken.append("a telephone that nobody answered for was in the call")
        car = next((leg.leg for leg in legs if leg.party is Party.VEHICLE), None)
        if car is None or self._cared(state, legs, car):
            self.alone = timedelta(0)
        elif up:
            self.alone += STEP
            self.longest = max(self.longest, self.alone)
            if self.alone == ALONE_FOR + STEP:
                self.broken.append(f"alone for {self.alone.total_seconds()} s")

    def _check_alarms(self, *, up: bool) -> None:
        state = self.journal.incident
        if not voiceless.alone(state):
            self.unheard = timedelta(0)
        elif up:
            self.unheard += STEP
            self.longest_unheard = max(self.longest_unheard, self.unheard)
            alarmed = state.voiceless is not None and state.voiceless.alarmed
            if self.unheard == UNHEARD_FOR + STEP and not alarmed:
                self.broken.append("heard nobody, and nobody was alarmed")
        stands = {alarm.alarm: alarm for alarm in alarms.standing(state)}
        self.standing = Counter({alarm: steps for alarm, steps in self.standing.items() if alarm in stands})
        if not (up and any(self.alive.values())):
            return
        for alarm, known in stands.items():
            self.standing[alarm] += 1
            if self.standing[alarm] == REACHES_A_DESK // STEP and known.audience is None:
                self.broken.append(f"{known.why} reached no desk")
            if self.standing[alarm] == REACHES_EVERY_DESK // STEP and known.audience is not Audience.EVERYBODY:
                self.broken.append(f"{known.why}: supervisors said nothing, and nobody else heard")

    def _ever_had(self, who: str) -> bool:
        return any(
            isinstance(each.event, e.OperatorAssigned) and each.event.operator == who for each in self.journal.events
        )

    def _cared(self, state: Incident, legs: Sequence[LegUp], car: LegId) -> bool:
        operator = state.operator
        if operator is not None:
            phone = any(leg.party is Party.SUPERVISOR and leg.who == operator for leg in legs)
            if phone or self.alive.get(operator, False):
                return True
        if any(leg.party is Party.AGENCY for leg in legs) or any(
            told.pending or told.taken_over for told in state.disclosures
        ):
            return True
        alarmed = state.unattended_at is not None and attendance.NOBODY in state.sought
        told = [notice.partition(".")[0] for leg, notice in self.provider.announced if leg == car]
        return alarmed and "nobody" in told

    def _check_dialling(self) -> None:
        """Nobody is dialled twice for one rung."""
        this_round: set[str] = set()
        calls: Counter[LegId] = Counter()
        for recorded in self.journal.events:
            match recorded.event:
                case e.HelpEscalated(rung=attendance.ON_CALL):
                    this_round = set()
                case e.LegDialled(party=Party.SUPERVISOR, who=who):
                    if who in this_round:
                        self.broken.append(f"{who} was called twice in a round")
                    this_round.add(who)
                case e.AgencyCallRequested(leg=leg):
                    calls[leg] += 1
                case e.DisclosureDecided(unattended=True):
                    calls[LegId("unattended")] += 1
                case _:
                    pass
        self.broken += [f"{leg} more than once" for leg, times in calls.items() if times > 1]

    def _outcome(self) -> str:
        state = self.journal.incident
        if any(told.taken_over for told in state.disclosures):
            who = "unattended" if any(told.unattended for told in state.disclosures) else "attended"
            return f"taken over ({who})"
        if state.operator is not None:
            return "telephone" if state.operator.startswith("person") else "desk"
        if any(told.unattended for told in state.disclosures):
            return "agency told"
        return "notice" if attendance.UNTOLD in state.flags else "sought"


async def _many(seeds: range) -> list[Found]:
    return [await World(seed).run() for seed in seeds]


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    number_of_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    begin = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.process_time()
    found = asyncio.run(_many(range(begin, begin + number_of_seeds)))
    print(f"{len(found)} calls in {time.process_time() - began:.0f} s of one core")
    print(f"kills {sum(each.kills for each in found)}, calls to people on call {sum(each.on_call for each in found)}")
    longest = sorted(each.longest_s for each in found)
    print(f"longest without anybody: p50 {longest[len(longest) // 2]} s, max {longest[-1]} s")
    unheard = sorted(each.unheard_s for each in found)
    print(f"longest behind a name: p50 {unheard[len(unheard) // 2]} s, max {unheard[-1]} s")
    print(f"alarms {sum(each.alarms for each in found)}")
    for outcome, times in Counter(each.outcome for each in found).most_common():
        print(f"  {outcome:26} {times}")
    broken = [each for each in found if each.broken]
    for each in broken[:10]:
        print(f"seed {each.seed}: {each.broken[0]}")
    print(f"promises broken in {len(broken)} of {len(found)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
