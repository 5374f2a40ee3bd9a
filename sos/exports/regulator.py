"""A regulator's package on its way: asked for, counted, agreed to by two, built, fetched, received, destroyed.

1. Who asks, and the recipient, are bound to brands and categories.  2. A dry run counts as of one checkpoint and opens
nothing.  3. Two people who did not ask agree to that dry run's digest.  4. Before building it is counted again: what
is not what they saw is not built.  5. Limits.  6. The journal says that it is built, and at each incident that it is
opened, before anything is.  7. Nothing of it lies on the disk in clear: it is encrypted to the recipient as it is made.
8. Its file ends when its time is over.

What is in it follows from scope, checkpoint and recipient alone, to the byte; whatever this room writes stands behind
the checkpoint.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path

from recording import note
from recording.anchors import Anchored
from recording.durable import replace, sync_directory
from sos.clock import Clock
from sos.errors import RuleBroken, Unavailable, Unknown
from sos.exports.auditors import Scope
from sos.exports.making import Making, Parts
from sos.exports.requests import Request, Step
from sos.exports.scope import JAPAN, Wanted
from sos.exports.selection import Counted, Selection, Told
from sos.incident import events as e
from sos.incident.model import IncidentId
from sos.settings import EVERY, RecipientSettings

ACTOR = "system:export"

DAY = timedelta(days=1)

ASKED_A_DAY = 50
"""Requests of one who asks: the register is read whole, and it is everybody's."""


class Regulator:
    def __init__(self, parts: Parts) -> None:
        self._of = parts
        self.requests = parts.requests

    @property
    def _clock(self) -> Clock:
        return self._of.journal.clock

    async def request(self, asked: Wanted, *, words: str, by: str, scope: Scope) -> Request:
        """Ask for a package; ``scope``: what whoever asks may have.  ``RuleBroken`` by the rule's name."""
        asked.check()
        if not words.strip():
            raise RuleBroken("purpose", "say what it is for, and on whose word")
        asked.within(scope, whose="who asks")
        self._recipient(asked)
        await self._check_names(asked)
        await self._check_asked(by)
        return await self.requests.begin(asked, words=words, by=by)

    async def dry_run(self, request: str, *, by: str, size: int | None = None, told: Told = lambda *_: None) -> Counted:
        """Count what the package would hold as of now, or as of ``size`` events, and put it to those who agree."""
        state = await self._live(request)
        self._recipient(state.scope)
        anchored = await self._of.head(size)
        head = note.read_checkpoint(anchored.checkpoint)
        counted = await self._selection(head.size).count(state.scope, anchored.checkpoint, told)
        event = e.ExportCounted(
            digest=counted.digest,
            size=head.size,
            checkpoint=self._keep(state, anchored),
            lines=counted.chosen.lines,
            opened=counted.opened,
            incidents=counted.incidents,
            recordings=counted.recordings,
        )
        await self.requests.add(request, event, actor=by)
        return counted

    async def approve(self, request: str, *, digest: str, by: str) -> Request:
        """Agree to the dry run of that digest, as one of two people who did not ask."""
        await self._live(request)

        def may(state: Request) -> None:
            if state.approved and not self._of.supervisors & {*state.approved, by} and by not in state.approved:
                raise RuleBroken("no-supervisor", "one of the two must be a supervisor")

        return await self.requests.add(request, e.ExportApproved(digest=digest, by=by), actor=by, may=may)

    async def build(self, request: str, *, by: str, accept_lost: bool = False, told: Told = lambda *_: None) -> Request:
        """Make what two people have agreed to; one that was killed begins again.

        ``KeyLost`` when something of it cannot be opened although nobody destroyed it; with ``accept_lost`` the package
        says so instead.  ``Unavailable`` while another is built, in whichever process.
        """
        with self._alone():
            return await self._build(request, by=by, accept_lost=accept_lost, told=told)

    async def _build(self, request: str, *, by: str, accept_lost: bool, told: Told) -> Request:
        state = await self._live(request)
        if state.stage not in (Step.APPROVED, Step.BEGUN):
            raise RuleBroken("approvals-missing", f"two people must agree to the dry run first; it is {state.stage}")
        recipient = self._recipient(state.scope)
        await self._check_limits(state)
        anchored = self._kept(state)
        selection = self._selection(state.size)
        counted = await selection.count(state.scope, anchored.checkpoint, lambda done, of: told(done, 2 * of))
        if counted.digest != state.digest:
            raise RuleBroken("dry-run-changed", "it is not what they agreed to any more: make another dry run")
        await self.requests.add(request, e.ExportBegun(digest=state.digest, by=by), actor=by)
        making = Making(self._of, state, selection, anchored, by=by, accept_lost=accept_lost)
        built = await making.to(self._file(state), recipient, counted, lambda done, of: told(of + done, 2 * of))
        until = self._clock.now() + timedelta(days=self._of.limits.package_days)
        event = e.ExportBuilt(
            digest=state.digest, package=built.package, encrypted=built.encrypted, bytes=built.bytes, until=until
        )
        return await self.requests.add(request, event, actor=by)

    async def fetch(self, request: str, *, by: str) -> tuple[Request, Path]:
        """The encrypted file; that it is given out is in the journal before."""
        state = await self._live(request)
        if by.startswith("auditor:") and by != state.by:
            raise Unknown("there is no such request")
        if state.stage is not Step.BUILT:
            raise RuleBroken("not-built", f"there is no package yet; it is {state.stage}")
        state = await self.requests.add(request, e.ExportFetched(by=by, encrypted=state.encrypted), actor=by)
        return state, self._file(state)

    async def receive(self, request: str, *, encrypted: str, by: str) -> Request:
        """Whoever fetched it says that it arrived; ``encrypted``: hex SHA-256 of what arrived."""
        await self._live(request)
        return await self.requests.add(request, e.ExportReceived(by=by, encrypted=encrypted), actor=by)

    async def withdraw(self, request: str, *, by: str) -> Request:
        """End a request before its time; its file is destroyed."""
        state = await self.requests.add(request, e.ExportEnded(why="withdrawn"), actor=by)
        await asyncio.to_thread(self._destroy, state)
        return state

    async def expire(self) -> Sequence[Request]:
        """End what is over, and destroy the files of all that ended: also what a killed process left."""
        ended = []
        for state in await self.requests.all():
            over = state.over_at(timedelta(days=self._of.limits.request_days))
            if over is not None and over <= self._clock.now():
                ended.append(await self.requests.add(state.request, e.ExportEnded(why="expired"), actor=ACTOR))
            if state.stage is Step.ENDED or state.request in (each.request for each in ended):
                await asyncio.to_thread(self._destroy, state)
        return ended

    async def _live(self, request: str) -> Request:
        state = await self.requests.load(request)
        over = state.over_at(timedelta(days=self._of.limits.request_days))
        if over is None or over <= self._clock.now():
            raise RuleBroken("request-expired", "the time of this request is over, or it was withdrawn: ask again")
        return state

    def _recipient(self, asked: Wanted) -> RecipientSettings:
        """Who it is for, if that is somebody and may have it."""
        found = next((each for each in self._of.recipients if each.id == asked.recipient), None)
        if found is None:
            raise RuleBroken("unknown-recipient", "packages are made for the recipients of the settings alone")
        if found.until and self._clock.now() >= _end_of(found.until):
            raise RuleBroken("recipient-key-expired", f"the key of {found.id} was valid until {found.until}")
        scope = Scope(brands=frozenset(found.brands), categories=frozenset(found.categories))
        asked.within(scope, whose=f"the recipient {found.id}")
        return found

    async def _check_names(self, asked: Wanted) -> None:
        """What stands in the request's header is the name of something, and nobody's words."""
        if strange := sorted(set(asked.brands) - self._of.brands - {EVERY}):
            raise RuleBroken(
                "unknown-brand", f"brand {list(asked.brands).index(strange[0]) + 1} is none of the settings"
            )
        if asked.subject and await self._of.journal.store.load(IncidentId(asked.subject)) is None:
            raise RuleBroken("unknown-subject", "name an incident or a subject of the registry by its id")

    async def _check_asked(self, by: str) -> None:
        since = self._clock.now() - DAY
        today = sum(each.by == by and each.at is not None and each.at > since for each in await self.requests.all())
        if today >= ASKED_A_DAY:
            raise RuleBroken("requests-per-day", f"{ASKED_A_DAY} were asked for within a day: ask again tomorrow")

    async def _check_limits(self, state: Request) -> None:
        limits, since = self._of.limits, self._clock.now() - DAY
        others = [each for each in await self.requests.all() if each.request != state.request]
        today = sum(each.incidents for each in others if each.begun_at is not None and each.begun_at > since)
        for rule, found, most in (
            ("incidents-per-package", state.incidents, limits.incidents_per_package),
            ("recordings-per-package", state.recordings, limits.recordings_per_package),
            ("events-per-package", state.lines, limits.events_per_package),
            ("incidents-per-day", today + state.incidents, limits.incidents_per_day),
        ):
            if found > most:
                raise RuleBroken(rule, f"{found} are more than {most}: ask for less, or on another day")

    def _selection(self, size: int) -> Selection:
        return Selection(self._of.tiles, self._of.journal.store, size=size)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two at once would write one file, and each count the day's limit without the other."""
        self._of.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._of.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as busy:
            raise Unavailable("another package is being built") from busy
        finally:
            os.close(descriptor)

    def _home(self, state: Request) -> Path:
        return self._of.directory / state.request

    def _file(self, state: Request) -> Path:
        return self._home(state) / "package.tar.age"

    def _keep(self, state: Request, anchored: Anchored) -> str:
        """Keep the checkpoint as it goes into the package; its digest."""
        digest, home = sha256(anchored.checkpoint).hexdigest(), self._home(state)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if anchored.stamp is not None:
            replace(home / f"{digest}.tsr", anchored.stamp, mode=0o600)
        replace(home / f"{digest}.witnesses", "\n".join(anchored.witnesses).encode(), mode=0o600)
        replace(home / f"{digest}.checkpoint", anchored.checkpoint, mode=0o600)
        sync_directory(home)
        return digest

    def _kept(self, state: Request) -> Anchored:
        place = self._home(state) / f"{state.checkpoint}.checkpoint"
        try:
            checkpoint = place.read_bytes()
        except FileNotFoundError:
            checkpoint = b""
        if sha256(checkpoint).hexdigest() != state.checkpoint:
            raise RuleBroken("dry-run-changed", "the checkpoint it was counted at is not there: make another dry run")
        stamp = place.with_suffix(".tsr")
        witnesses = place.with_suffix(".witnesses").read_text().split()
        return Anchored(checkpoint, stamp.read_bytes() if stamp.exists() else None, tuple(witnesses))

    def _destroy(self, state: Request) -> None:
        if self._home(state).is_dir():
            shutil.rmtree(self._home(state))
            sync_directory(self._of.directory)


def _end_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day) + DAY, time(), tzinfo=JAPAN)
