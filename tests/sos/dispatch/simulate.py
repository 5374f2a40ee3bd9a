"""Thousands of hand-offs against agencies that misbehave, a house that is killed, and clocks that jump.

The hand-off is the real one, over the real ``decide`` and ``evolve``; only the journal is in memory and time is a heap.
One seed is one incident, in nearly half of them one car of a crash that others report as well, and repeats exactly.
``python -m tests.sos.dispatch.simulate 10000`` runs many and prints what was found; it ends with 1 when a promise was
broken.
"""

import asyncio
import heapq
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from routing.categories import Category
from routing.directory import Directory
from routing.services import Service
from sos.dispatch.adapters.simulated import SimulatedChannel, SimulatedLines
from sos.dispatch.handoff import WATCH, Handoff
from sos.dispatch.ladder import Times
from sos.dispatch.port import Parcel
from sos.errors import Refused, Unconfirmed
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident.escalation import called_for, climbing
from sos.incident.lifecycle import deadlines, evolve, propose
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    DeskId,
    DisclosureId,
    EventId,
    Incident,
    IncidentId,
    Mode,
    OperatorId,
    Rung,
    State,
    TenantId,
    Trigger,
)
from sos.journal.journal import Done
from sos.journal.sealing import Part
from tests.sos.dispatch.simulate_crash import Crash

START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
POLL = 0.2
"""How often the timers look, in seconds, as ``Deadlines`` does."""

LASTS = 330.0
"""Seconds that one incident is watched after the decision."""

HANAKO = OperatorId("hanako")

_DIRECTORY = """
name = "simulated"

[[centre]]
id = "joint"
name_ja = "架空指令センター"
name_en = "Demo Centre"
channels = { voice = { number = "+81300000009" } }
"""


def _agency(name: str, service: str, jurisdiction: str, *, second: bool, centre: bool) -> str:
    number = '"+81300000001"' + (', second = "+81300000002"' if second else "")
    return f"""
[[agency]]
id = "{name}"
service = "{service}"
name_ja = "架空{name}"
name_en = "Demo {name}"
jurisdiction = {jurisdiction}
channels = {{ simulated = {{}}, portal = {{}}, voice = {{ number = {number} }} }}
{'command_centre = "joint"' if centre else ""}
"""


def directory() -> Directory:
    rows = [
        _agency("fire", "fire", '["JP-13"]', second=True, centre=True),
        _agency("neighbour", "fire", '["JP-14"]', second=False, centre=False),
        _agency("police", "police", '["JP-13"]', second=True, centre=False),
        *(_agency(f"default-{s.value}", s.value, '"default"', second=False, centre=False) for s in Service),
    ]
    return Directory.read((_DIRECTORY + "".join(rows)).encode())


AGENCIES = directory()


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class _Clock:
    """The wall clock of the house: true time and whatever it has jumped by."""

    def __init__(self) -> None:
        self.true = 0.0
        self.jumped = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.true + self.jumped)

    async def wait(self, duration: timedelta) -> None:
        raise AssertionError("nothing waits in a simulation")


class MemoryLog:
    """``Log`` in memory.  It may kill whoever writes, before or after the event is durable."""

    def __init__(self, clock: _Clock, dice: Random, *, deadly: float) -> None:
        self.clock = clock
        self.events: list[e.Recorded] = []
        self.times: list[float] = []
        self.incident = Incident(id=IncidentId("incident"), tenant=TenantId("acme"))
        self.states = [self.incident]
        """Before the first event, and after each: what a new process makes of them is the same (``rebuild``)."""
        self.crash: Crash | None = None
        self.killed = False
        self._parts: dict[str, Mapping[Category, bytes]] = {}
        self._dice = dice
        self._deadly = deadly

    @property
    def store(self) -> "MemoryLog":
        return self

    async def stream(self, incident: IncidentId) -> Sequence[e.Recorded]:
        return tuple(self._log(incident).events)

    async def parts_of(self, recorded: e.Recorded) -> Mapping[Category, bytes]:
        return self._parts[recorded.id]

    async def state(self, incident: IncidentId) -> Incident:
        return self._log(incident).incident

    async def unseal(self, incident: IncidentId, _: Sequence[Category]) -> Sequence[Part]:
        log = self._log(incident)
        parts = ((each, log._parts[each.id]) for each in log.events)
        return [
            Part(recorded=each, category=Category.VEH, salt=b"", payload=part[Category.VEH])
            for each, part in parts
            if Category.VEH in part
        ]

    def _log(self, incident: IncidentId) -> "MemoryLog":
        return self.crash.logs[incident] if self.crash else self

    async def queue(self, *, limit: int, states: Sequence[State]) -> tuple[int, Sequence[Incident]]:
        found = [self.incident] if self.incident.state in states else []
        return len(found), found[:limit]

    async def execute(
        self, incident: IncidentId, command: c.Command, *, actor: str, causation: str | None = None
    ) -> Done:
        """As the journal does; the house alone is killed, nobody outside."""
        ours = actor.startswith(("system:", "channel:"))
        if self.killed and ours:
            raise Killed
        if ours and self._dice.random() < self._deadly:
            self.kill()
        done = self.write(command, actor=actor, causation=causation)
        if ours and self._dice.random() < self._deadly:
            self.kill()
        return done

    def kill(self) -> None:
        self.killed = True
        raise Killed

    def write(self, command: c.Command, *, actor: str, causation: str | None = None) -> Done:
        now, before = self.clock.now(), self.incident
        recorded: list[e.Recorded] = []
        drafts = propose(self.incident, command, now=now)
        for draft in drafts:
            self.incident = evolve(self.incident, draft.event, at=now)
            self.states.append(self.incident)
            made = e.Recorded(
                id=EventId(str(self.incident.version)),
                stream=self.incident.id,
                tenant=self.incident.tenant,
                n=self.incident.version,
                at=now,
                actor=actor,
                causation=causation,
                event=draft.event,
            )
            self._parts[made.id] = draft.parts
            recorded.append(made)
        self.events += recorded
        self.times += [self.clock.true] * len(recorded)
        if self.crash is not None:
            self.crash.heard(before, recorded, drafts)
        return Done(incident=self.incident, recorded=tuple(recorded))

    def rebuild(self) -> None:
        """What a new process knows: the events, and nothing else."""
        self.killed = False
        fresh = Incident(id=self.incident.id, tenant=self.incident.tenant)
        for recorded in self.events:
            fresh = evolve(fresh, recorded.event, at=recorded.at)
        assert fresh == self.incident
        self.incident = fresh


class _Mortal:
    """A channel whose sender may die before or after it has delivered."""

    def __init__(self, channel: SimulatedChannel, log: MemoryLog, dice: Random, *, deadly: float) -> None:
        self.name = channel.name
        self._channel = channel
        self._log = log
        self._dice = dice
        self._deadly = deadly

    async def find(self, parcel: Parcel):
        return await self._channel.find(parcel)

    async def deliver(self, parcel: Parcel):
        if self._dice.random() < self._deadly:
            self._log.kill()
        receipt = await self._channel.deliver(parcel)
        if self._dice.random() < self._deadly:
            self._log.kill()
        return receipt


class Found(Struct, frozen=True, kw_only=True):
    """What came of one incident."""

    seed: int
    ended: str
    broken: tuple[str, ...]
    kills: int
    jumps: int
    disclosures: int
    warnings: int
    alarms: int
    taken_over_s: float | None
    """From the decision until the first agency took over."""
    cars: int
    """Incidents of the crash, this one too."""
    links: int
    updates: int
    """Newer briefs that the house has sent by itself, since the crash was another one than was told."""
    warnings_across: int


class World:
    """One incident from the decision on: house, agencies, operator, timers."""

    def __init__(self, seed: int, *, misbehaviour: float | None = None) -> None:
        self.seed = seed
        self.dice = Random(seed)
        self.clock = _Clock()
        self.wrong = misbehaviour if misbehaviour is not None else self.dice.choice((0.05, 0.05, 0.05, 0.3, 0.7))
        deadly = self.dice.choice((0.0, 0.01, 0.05))
        self.log = MemoryLog(self.clock, self.dice, deadly=deadly)
        self.channels = {
            name: SimulatedChannel(name=name, misbehaviour=self.wrong, seed=seed, on_shown=self._shown)
            for name in ("simulated", "portal")
        }
        self.mortal = {n: _Mortal(ch, self.log, self.dice, deadly=deadly) for n, ch in self.channels.items()}
        self.lines = {
            agency: SimulatedLines(misbehaviour=self.wrong, seed=seed, silent=self.dice.random() < 0.2)
            for agency in AGENCIES.agencies
        }
        self.dials = self.dice.random() < 0.8
        self.times = Times()
        self.handoff = self._house()
        self.cursor = 0
        self.heap: list[tuple[float, int, Callable[[], Any]]] = []
        self.ticket = count()
        self.down_until = 0.0
        self.downs: list[tuple[float, float]] = []
        self.jumps: list[tuple[float, float]] = []
        self.kills = self.warnings = 0
        self.confirmed: set[DisclosureId] = set()
        self.names = count(1)
        others = self.dice.choice((0, 0, 0, 0, 1, 1, 2))
        self.crash = Crash(self, others) if others else None

    def _house(self) -> Handoff:
        return Handoff(self.log, directory=AGENCIES, channels=self.mortal, times=Times(), dials=self.dials)

    # --- what others do ---

    def later(self, after: float, act: Callable[[], Any]) -> None:
        heapq.heappush(self.heap, (self.clock.true + after, next(self.ticket), act))

    def _shown(self, parcel: Parcel) -> None:
        """Somebody may look at the screen, and may answer there."""
        if self.dice.random() < 0.4:
            level = self.dice.choice((Acknowledgement.HEARD, Acknowledgement.TAKEN_OVER))
            command = c.Acknowledge(disclosure=parcel.disclosure, agency=parcel.agency, level=level)
            actor = f"agency:{parcel.agency}"
            self.later(min(self.dice.expovariate(1 / 40), 100.0), lambda: self.outside(command, actor=actor))

    def outside(self, command: c.Command, *, actor: str) -> None:
        try:
            self.log.write(command, actor=actor)
        except Refused:
            return

    async def decide(self, agency: AgencyId, log: MemoryLog | None = None) -> None:
        """The operator tells an agency; warned of a second one, some confirm it and some think better of it."""
        if self.clock.true > LASTS - 220:  # what is decided late cannot be watched to its end
            return
        log = log or self.log
        disclosure = DisclosureId(f"d{next(self.names)}")
        decision = _decision(disclosure, agency)
        if self.crash is not None:
            decision = await self.crash.composed(log, decision)
        try:
            log.write(decision, actor="operator:hanako")
        except Unconfirmed as warned:
            self.warnings += 1
            if self.crash is not None:
                self.crash.warnings += "of this crash" in str(warned)
            if self.dice.random() < 0.7:
                self.confirmed.add(disclosure)
                try:
                    log.write(replace(decision, confirmed=True), actor="operator:hanako")
                except Refused:
                    return
        except Refused:
            return

    def decision(self, disclosure: DisclosureId, agency: AgencyId) -> c.DecideDisclosure:
        return _decision(disclosure, agency)

    def _react(self, recorded: e.Recorded) -> None:
        """What people and telephones outside make of an event."""
        match recorded.event:
            case e.AgencyCallRequested() as requested:
                for step in self.lines[requested.agency].call(requested):
                    command = step.command
                    self.later(
                        step.after.total_seconds(), lambda command=command: self.outside(command, actor="provider:sim")
                    )
            case e.RungTaken(rung=Rung.OTHERS | Rung.REFUSED, proposed=proposed) if proposed:
                if self.dice.random() < 0.6:
                    self.later(self.dice.uniform(3, 20), lambda: self.decide(proposed[0]))
            case e.RungTaken(rung=Rung.SUPERVISOR, disclosure=disclosure) if self.dice.random() < 0.4:
                told = self.log.incident.disclosure(disclosure)
                assert told is not None
                heard = c.Acknowledge(disclosure=disclosure, agency=told.agency, level=Acknowledgement.TAKEN_OVER)
                self.later(self.dice.uniform(5, 25), lambda: self.outside(heard, actor="operator:hanako"))

    # --- the house ---

    async def run(self) -> Found:
        await self._open()
        for _ in range(self.dice.choice((0, 0, 1, 2))):
            jump = self.dice.choice((-3600.0, -40.0, -9.0, 7.0, 120.0))
            self.later(self.dice.uniform(0, 90), lambda jump=jump: self._jump(jump))
        while self.clock.true < LASTS:
            await self._follow()
            if self.crash is not None:
                await self.crash.correct()
            act = self._advance()
            if (work := act()) is not None:
                await work
                if self.log.killed:
                    self._die()
        return self._found()

    async def _open(self) -> None:
        opened = c.OpenIncident(
            mode=Mode.LIVE,
            trigger=Trigger.AUTOMATIC,
            format="application/json",
            report=b"{}",
            report_digest="00" * 32,
            readable=True,
        )
        plan = c.RecordPlan(
            prefecture="JP-13",
            services=(Service.FIRE, Service.POLICE),
            agencies=(AgencyId("fire"), AgencyId("police"), AgencyId("neighbour")),
            reasons=(),
            flags=(),
            border_m=None,
            datasets=(),
        )
        self.log.write(opened, actor="vehicle")
        self.log.write(plan, actor="system:planner")
        self.log.write(c.TakeIncident(operator=HANAKO, desk=DeskId("desk")), actor="operator:hanako")
        if self.crash is not None:
            self.crash.open(opened)
        await self.decide(AgencyId("fire"))
        if self.dice.random() < 0.5:
            self.later(self.dice.uniform(0, 5), lambda: self.decide(AgencyId("police")))
        if self.dice.random() < 0.2:  # by accident
            self.later(self.dice.uniform(1, 60), lambda: self.decide(AgencyId("neighbour")))

    async def _follow(self) -> None:
        """The reader, while it lives; its cursor is saved now and then, so after a kill some events come again."""
        position = self.cursor
        while position < len(self.log.events) and self.clock.true >= self.down_until:
            recorded = self.log.events[position]
            await self._guarded(lambda recorded=recorded: self.handoff.handle([recorded]))
            if self.log.killed:
                self._die()
                return
            position += 1
            if self.dice.random() < 0.7:
                self.cursor = position
        if position == len(self.log.events):
            self.cursor = position

    async def _guarded(self, work) -> None:
        try:
            await work()
            await self.handoff.idle()
        except Killed:
            pass
        except Refused:  # as the follower does
            pass

    def _die(self) -> None:
        self.kills += 1
        self.log.rebuild()
        self.handoff = self._house()
        self.down_until = self.clock.true + self.dice.uniform(0.3, 8)
        self.downs.append((self.clock.true, self.down_until))
        self.later(self.down_until - self.clock.true, self._restarted)

    def _restarted(self):
        return self._guarded(self.handoff.look_again)

    def _jump(self, by: float):
        """The clock jumps; the house notices a step back at its next look, or takes it for granted when it starts."""
        self.jumps.append((self.clock.true, by))
        self.clock.jumped += by
        if by < 0:
            alive = self.handoff
            self.later(WATCH.total_seconds(), lambda: self._noticed(alive))

    def _noticed(self, alive: Handoff):
        return self._guarded(lambda: alive.look_again(hurry=True)) if alive is self.handoff else None

    def _advance(self) -> Callable[[], Any]:
        """To the next thing that happens: somebody acts, or a timer of the journal rings."""
        self._outside_reacts()
        if self.cursor < len(self.log.events):
            self.clock.true = max(self.clock.true, self.down_until)
        now = self.clock.now()
        rings = [(due - now).total_seconds() for _, due in deadlines(self.log.incident)]
        timer = self.clock.true + max(POLL, min(rings, default=LASTS))
        timer = min(max(timer, self.down_until + POLL), LASTS)
        if self.heap and self.heap[0][0] <= timer:
            at, _, act = heapq.heappop(self.heap)
            self.clock.true = max(self.clock.true, at)
            return act
        self.clock.true = timer
        return self._timers

    def _timers(self) -> None:
        for name, due in deadlines(self.log.incident):
            if due <= self.clock.now():
                self.log.write(c.PassDeadline(name=name), actor="timer")

    def _outside_reacts(self) -> None:
        for recorded in self.log.events[self._reacted :]:
            self._react(recorded)
        self._reacted = len(self.log.events)

    _reacted = 0

    # --- the promises ---

    def _found(self) -> Found:
        return Found(
            seed=self.seed,
            ended=self._ended(),
            cars=len(self.crash.logs) if self.crash else 1,
            links=self.crash.links if self.crash else 0,
            updates=self.crash.updates if self.crash else 0,
            warnings_across=self.crash.warnings if self.crash else 0,
            broken=tuple(self._broken()),
            kills=self.kills,
            jumps=len(self.jumps),
            disclosures=len(self.log.incident.disclosures),
            warnings=self.warnings,
            alarms=sum(told.alarms for told in self.log.incident.disclosures),
            taken_over_s=self._taken_over_after(),
        )

    def _ended(self) -> str:
        incident = self.log.incident
        if incident.state is State.HANDED_OVER:
            return "taken_over"
        return "escalated" if self._people_know() else "silent"

    def _people_know(self) -> bool:
        """Whether every disclosure that still looks for help has reached a person of this house."""
        asked = {
            event.event.disclosure
            for event in self.log.events
            if isinstance(event.event, e.RungTaken) and event.event.rung in (Rung.OTHERS, Rung.REFUSED, Rung.SUPERVISOR)
        }
        late = {
            recorded.event.disclosure  # a newer brief: 75 s until somebody hears, 90 s more until people are asked
            for at, recorded in zip(self.log.times, self.log.events, strict=True)
            if at > LASTS - 170 and isinstance(recorded.event, e.DisclosureDecided) and recorded.event.supersedes
        }
        return all(
            told.disclosure in asked | late
            for told in self.log.incident.disclosures
            if climbing(self.log.incident, told)
        )

    def _broken(self) -> list[str]:
        broken = [] if self._ended() != "silent" else ["neither taken over nor escalated"]
        broken += self._told_twice()
        broken += self.crash.broken() if self.crash else []
        for told in self.log.incident.disclosures:
            broken += self._too_silent(told.disclosure)
        return broken

    def _told_twice(self) -> list[str]:
        """A second agency of a service without a confirmed warning, a brief shown twice, a call placed twice."""
        broken: list[str] = []
        for recorded, seen in zip(self.log.events, self.log.states, strict=False):  # as it was before the event
            event = recorded.event
            if (
                isinstance(event, e.DisclosureDecided)
                and not event.supersedes
                and event.disclosure not in self.confirmed
            ):
                same = [d for d in seen.disclosures if d.service is event.service and (d.pending or d.taken_over)]
                if same:
                    broken.append(f"{event.agency} told beside {same[0].agency} without a warning")
        for lines in self.lines.values():
            broken += [f"call {leg} placed {n} times" for leg, n in lines.called.items() if n > 1]
        return broken

    def _too_silent(self, disclosure: DisclosureId) -> list[str]:
        """The time between two signs of life is never longer than was said when the first was given."""
        broken: list[str] = []
        promised: float | None = None
        for at, recorded, seen in zip(self.log.times, self.log.events, self.log.states[1:], strict=True):
            event = recorded.event
            told = seen.disclosure(disclosure)
            if told is not None and (told.rejected is not None or told.superseded) and not climbing(seen, told):
                promised = None  # another agency is being told, or this one of something newer
            if isinstance(event, e.LegJoined) and promised is not None and called_for(seen, event.leg) == disclosure:
                promised = max(promised, at + self.times.talk_for.total_seconds())
            if getattr(event, "disclosure", None) != disclosure:
                continue
            if promised is not None and at > promised + self._excused(promised, at):
                broken.append(f"{disclosure} was silent until {at:.1f}, {at - promised:.1f} s longer than said")
            if isinstance(event, e.DisclosureDecided):
                promised = at + 5
            elif isinstance(event, e.RungTaken):
                promised = None if event.next_after_ms is None else at + event.next_after_ms / 1000
            elif isinstance(event, e.AgencyAcknowledged | e.AgencyRejected):
                taken = getattr(event, "level", None) is Acknowledgement.TAKEN_OVER
                promised = None if taken else at + 1
        told = self.log.incident.disclosure(disclosure)
        if promised is not None and told is not None and climbing(self.log.incident, told):
            active = self.log.incident.state is State.HANDING_OVER
            if active and promised + self._excused(promised, LASTS) < LASTS:
                broken.append(f"{disclosure} is silent since {promised:.1f}")
        return broken

    def _excused(self, since: float, until: float) -> float:
        """Seconds that a silence may be longer: the timer's poll, the house being down, a clock set back unseen."""
        down = sum(max(0.0, min(until, end) - max(since - 30, begin)) for begin, end in self.downs)
        unseen = sum(-by for at, by in self.jumps if by < 0 and any(a <= at + 2 and at <= b for a, b in self.downs))
        noticed = sum(2.0 for at, by in self.jumps if by < 0 and since - 60 <= at <= until)
        return 2 * POLL + 5.0 + down + unseen + noticed

    def _taken_over_after(self) -> float | None:
        for at, recorded in zip(self.log.times, self.log.events, strict=True):
            event = recorded.event
            if isinstance(event, e.AgencyAcknowledged) and event.level is Acknowledgement.TAKEN_OVER:
                return at
        return None


def _decision(disclosure: DisclosureId, agency: AgencyId) -> c.DecideDisclosure:
    return c.DecideDisclosure(
        disclosure=disclosure,
        agency=agency,
        exercise_partner=False,
        service=AGENCIES.agencies[agency].service,
        rule="JP-01",
        ground="JP-27-1-ii",
        law_version="2026-04-01",
        clause="APPI Art. 27(1)(ii)",
        necessity="automatic_crash",
        consent="no_answer",
        opt_out_overridden=False,
        sections={},
        withheld=(),
        brief=b"{}",
    )


async def simulate(seeds: Sequence[int], *, told: Callable[[int], None] = lambda _: None) -> list[Found]:
    found = []
    for done, seed in enumerate(seeds, 1):
        found.append(await World(seed).run())
        told(done)
    return found


def main(incidents: int) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began = time.process_time()

    def told(done: int) -> None:
        if done % 500 == 0:
            print(f"{done}/{incidents}", file=sys.stderr)

    found = asyncio.run(simulate(range(incidents), told=told))
    seconds = time.process_time() - began
    print(f"{incidents} incidents in {seconds:.1f} s of one core ({1000 * seconds / incidents:.2f} ms each)")
    print(f"ended: {dict(Counter(each.ended for each in found))}")
    print(f"cars of one crash: {dict(sorted(Counter(each.cars for each in found).items()))}")
    for name in ("kills", "jumps", "disclosures", "warnings", "alarms", "links", "updates", "warnings_across"):
        print(f"{name}: {sum(getattr(each, name) for each in found)}")
    taken = sorted(each.taken_over_s for each in found if each.taken_over_s is not None)
    print(f"taken over after: p50 {taken[len(taken) // 2]:.1f} s, p99 {taken[len(taken) * 99 // 100]:.1f} s")
    broken = [each for each in found if each.broken]
    for each in broken[:20]:
        print(f"seed {each.seed}: {'; '.join(each.broken)}")
    print(f"promises broken: {len(broken)}")
    return 1 if broken else 0


def story(seed: int) -> None:
    """Print what happened under one seed."""
    world = World(seed)
    print(asyncio.run(world.run()))
    for at, recorded in zip(world.log.times, world.log.events, strict=True):
        print(f"{at:8.2f} {recorded.at:%H:%M:%S} {recorded.actor:18} {recorded.event}")
    print(f"down: {world.downs}; jumps: {world.jumps}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["story"]:
        sys.exit(story(int(sys.argv[2])))
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
