"""The newest checkpoint is cosigned and stamped outside the house: every minute, at each export, in no call's way.

That it is done is an obligation: who has not answered for longer than the settings allow is an alarm
(``sos_anchor_late``, ``anchors`` in ``/readyz``), and everything else goes on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from recording import note
from recording.anchors import Anchored, AnchorStore
from recording.errors import RecordingError
from recording.stamp import StampRefused, stamped_at
from recording.witness import CosignatureRefused
from sos.anchors.stamps import Stamps
from sos.anchors.witnesses import Witness
from sos.clock import Clock
from sos.errors import Unavailable

log = structlog.get_logger()

EVERY = timedelta(minutes=1)

Kind = Literal["stamp", "witness"]


class Anchoring:
    def __init__(
        self,
        head: Callable[[], bytes | None],
        store: AnchorStore,
        *,
        clock: Clock,
        stamps: Stamps | None = None,
        stamp_every: timedelta = timedelta(minutes=10),
        witnesses: Sequence[Witness] = (),
        quorum: int = 0,
        late_after: Mapping[Kind, timedelta],
    ) -> None:
        """``head``: the published checkpoint; ``quorum``: how many of ``witnesses`` must have cosigned."""
        self._head = head
        self._store = store
        self._clock = clock
        self._stamps = stamps
        self._stamp_every = stamp_every
        self._witnesses = tuple(witnesses)
        self._quorum = quorum
        self._late_after = late_after
        self._lock = asyncio.Lock()
        self._stamped: datetime | None = None
        self._since: dict[Kind, datetime] = {}
        """From when on something has waited for an anchor; nothing does where there is no entry."""
        self._said: dict[str, str] = {}
        self.figures = CollectorRegistry()
        self._lag = Gauge(
            "sos_anchor_lag_seconds", "How long the log has waited for an anchor", ["kind"], registry=self.figures
        )
        self._late = Gauge(
            "sos_anchor_late", "1 while an anchor is missing for longer than allowed", ["kind"], registry=self.figures
        )
        self._refused = Counter(
            "sos_anchor_refused", "Answers of anchors that were not believed", ["kind", "rule"], registry=self.figures
        )
        for kind in self._kinds():
            self._tell(kind, timedelta())

    def state(self) -> Mapping[str, str]:
        """``ok`` or ``late`` of each kind that is set."""
        return {kind: "late" if self._lateness(kind) > self._late_after[kind] else "ok" for kind in self._kinds()}

    async def watch(self) -> None:
        """Anchor what is new, for ever."""
        while self._kinds():
            await self.look()
            await self._clock.wait(EVERY)

    async def look(self) -> None:
        """One round."""
        head = self._head()
        if head is not None:
            due = self._stamped is None or self._clock.now() - self._stamped >= self._stamp_every
            await self._anchor(head, stamped=due)
        for kind in self._kinds():
            self._tell(kind, lag := self._lateness(kind))
            if lag > self._late_after[kind]:
                log.error("anchor_late", kind=kind, minutes=int(lag / timedelta(minutes=1)))

    async def anchor(self, checkpoint: bytes) -> Anchored:
        """``checkpoint`` with whatever can be had of its anchors now; the same as before where they were complete."""
        return await self._anchor(checkpoint, stamped=True)

    async def _anchor(self, checkpoint: bytes, *, stamped: bool) -> Anchored:
        async with self._lock:
            known = await asyncio.to_thread(self._store.of, checkpoint)
            cosigned = await self._cosigned(known)
            stamp = known.stamp if cosigned == known.checkpoint else None
            if stamp is None and stamped and self._stamps is not None:
                stamp = await self._stamp(self._stamps, cosigned)
            if cosigned == known.checkpoint and stamp == known.stamp:
                return known
            return await asyncio.to_thread(self._store.keep, cosigned, stamp)

    async def _cosigned(self, known: Anchored) -> bytes:
        missing = [each for each in self._witnesses if each.verifier.vkey not in known.witnesses]
        if not missing or len(known.witnesses) >= self._quorum > 0:
            self._since.pop("witness", None)
            return known.checkpoint
        answers = await asyncio.gather(*(self._ask(each, known.checkpoint) for each in missing))
        cosigned = known.checkpoint
        for each in answers:
            if each is not None:
                cosigned = note.with_signatures(cosigned, _lines(each))
        self._met("witness", len(self._store.described(cosigned, None).witnesses) >= self._quorum)
        return cosigned

    async def _ask(self, witness: Witness, checkpoint: bytes) -> bytes | None:
        name = witness.verifier.name
        try:
            cosigned = await witness.cosign(checkpoint)
        except (Unavailable, RecordingError) as failed:
            self._say("witness", name, failed)
            return None
        self._said.pop(name, None)
        return cosigned

    async def _stamp(self, stamps: Stamps, checkpoint: bytes) -> bytes | None:
        try:
            answer = await stamps.stamp(checkpoint)
        except (Unavailable, RecordingError) as failed:
            self._say("stamp", "authority", failed)
            self._met("stamp", False)
            return None
        self._said.pop("authority", None)
        self._stamped = stamped_at(answer)
        self._met("stamp", True)
        return answer

    def _say(self, kind: Kind, name: str, failed: Exception) -> None:
        """A lie is counted each time; a line is written once for each reason."""
        if isinstance(failed, RecordingError):
            rule = failed.rule if isinstance(failed, StampRefused | CosignatureRefused) else "form"
            self._refused.labels(kind, rule).inc()
        if self._said.get(name) != (reason := str(failed)):
            log.warning("anchor_missing", kind=kind, by=name, reason=reason)
            self._said[name] = reason

    def _met(self, kind: Kind, met: bool) -> None:
        if met:
            self._since.pop(kind, None)
        elif kind not in self._since:
            self._since[kind] = self._clock.now()

    def _kinds(self) -> tuple[Kind, ...]:
        kinds: tuple[tuple[Kind, object], ...] = (("stamp", self._stamps), ("witness", self._witnesses))
        return tuple(kind for kind, there in kinds if there)

    def _lateness(self, kind: Kind) -> timedelta:
        since = self._since.get(kind)
        return timedelta() if since is None else self._clock.now() - since

    def _tell(self, kind: Kind, lag: timedelta) -> None:
        self._lag.labels(kind).set(lag.total_seconds())
        self._late.labels(kind).set(int(lag > self._late_after[kind]))


def _lines(checkpoint: bytes) -> bytes:
    return b"".join(note.line(each) for each in note.signatures(checkpoint))
