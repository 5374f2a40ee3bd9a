"""The telephony provider that needs nobody: WebRTC on this machine, in media workers of its own.

Each incident belongs to one worker (by its id), so a worker that dies costs few calls.  Workers outlive the service:
after a restart it finds them, asks what is up and is told what it missed.  One that dies is started again at once; its
legs are told as lost, and what it was recording is sealed from the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

import structlog

from recording.errors import OutOfOrder, RecordingError
from recording.tracks import duration_ms, recover
from sos.calls.adapters.embedded.control import (
    Accept,
    Announce,
    Ask,
    End,
    Finish,
    Order,
    Say,
    SetMode,
    Trickle,
)
from sos.calls.adapters.embedded.worker_handle import WorkerHandle, orders
from sos.calls.port import (
    TALKING,
    IceServer,
    LegMode,
    LegUp,
    Level,
    ProviderEvent,
    RecordingBroken,
    RecordingDone,
    Sound,
)
from sos.clock import Clock
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party, RecordingId

log = structlog.get_logger()


class EmbeddedProvider:
    """``TelephonyProvider`` over media workers.  Recordings lie in ``recordings/<incident>/<recording>/``.

    With ``outlive`` the workers go on when the provider is closed, and end by themselves when they are idle.
    """

    name = "embedded"
    dials = False

    def __init__(
        self,
        recordings: Path,
        *,
        clock: Clock,
        workers: int = 1,
        ports: tuple[int, int] = (0, 0),
        outlive: bool = True,
        relays: Callable[[], tuple[IceServer, ...]] = tuple,
        on_levels: Callable[[tuple[Level, ...]], None] = lambda _: None,
    ) -> None:
        """``ports`` are the first and last that calls may use, 0 for any; ``relays`` gives STUN and TURN servers for a
        leg of ours; ``on_levels`` hears how loud each leg is, ten times a second."""
        self._recordings = recordings
        self._relays = relays
        self._ports = ports
        self._events: asyncio.Queue[tuple[ProviderEvent, WorkerHandle | None, int] | None] = asyncio.Queue()
        self._outlive = outlive
        self._workers = [
            WorkerHandle(number, recordings, clock=clock, events=self._events, on_levels=on_levels)
            for number in range(workers)
        ]
        self._closed = False

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(worker.open() for worker in self._workers))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(worker.close(retire=not self._outlive) for worker in self._workers))
        self._events.put_nowait(None)

    @property
    def boot(self) -> str:
        """Differs after any worker has been started anew: the other end of some legs is gone."""
        return sha256("".join(worker.boot for worker in self._workers).encode()).hexdigest()[:16]

    def knows(self, leg: LegId) -> bool:
        """Whether this leg is up, as far as a worker has told."""
        return any(leg in worker.legs for worker in self._workers)

    async def accept(self, *, incident: IncidentId, leg: LegId, party: Party, who: str, offer: str, key: bytes) -> str:
        """See the port."""
        # A leg that another worker has is refused there: it belongs to another incident.
        worker = next((each for each in self._workers if leg in each.legs), self._worker_of(incident))
        order = Accept(
            order=next(orders),
            incident=incident,
            leg=leg,
            party=party,
            who=who,
            offer=offer,
            key=key,
            relays=self._relays(),
            ports=self._ports,
        )
        return (await worker.ask(order)).answer

    async def place(
        self,
        *,
        incident: IncidentId,
        leg: LegId,
        party: Party,
        who: str,
        number: str,
        key: bytes,
        mode: LegMode = TALKING,
    ) -> None:
        """It has no telephone line: always ``Unavailable``."""
        raise Unavailable("WebRTC reaches no telephone number; call it on another telephone")

    async def move(
        self, leg: LegId, *, incident: IncidentId, as_leg: LegId, party: Party, who: str, key: bytes
    ) -> None:
        """Nobody telephones here, and a browser's connection belongs to its incident: always ``Unavailable``."""
        raise Unavailable("WebRTC takes nobody into another call: the agency joins by its page")

    async def set_mode(self, leg: LegId, mode: LegMode) -> None:
        await self._of_leg(leg, SetMode(order=next(orders), leg=leg, mode=mode))

    async def announce(self, leg: LegId, notice: str) -> None:
        await self._of_leg(leg, Announce(order=next(orders), leg=leg, notice=notice))

    async def say(self, leg: LegId, sound: Sound) -> None:
        """See the port; also ``Unavailable`` while the leg is with a worker of the release before."""
        await self._of_leg(leg, Say(order=next(orders), leg=leg, sound=sound))

    async def trickle(self, leg: LegId, *, ufrag: str, candidates: tuple[str, ...]) -> None:
        """See the port."""
        await self._of_leg(leg, Trickle(order=next(orders), leg=leg, ufrag=ufrag, candidates=candidates))

    async def end(self, leg: LegId) -> None:
        await self._of_leg(leg, End(order=next(orders), leg=leg))

    async def finish(self, incident: IncidentId) -> None:
        await self._worker_of(incident).ask(Finish(order=next(orders), incident=incident))

    async def legs(self) -> tuple[LegUp, ...]:
        replies = await asyncio.gather(*(worker.ask(Ask(order=next(orders))) for worker in self._workers))
        return tuple(leg for reply in replies for leg in reply.legs)

    async def writing(self) -> frozenset[RecordingId]:
        """Recordings that a worker is writing just now."""
        replies = await asyncio.gather(*(worker.ask(Ask(order=next(orders))) for worker in self._workers))
        return frozenset(recording for reply in replies for _, recording in reply.writing)

    async def events(self) -> AsyncIterator[ProviderEvent]:
        """Everything that happens; an event is done with once the next one is asked for."""
        while (taken := await self._events.get()) is not None:
            event, worker, number = taken
            yield event
            if worker is not None:
                worker.acknowledge(number)

    async def recover(
        self, incident: IncidentId, recording: RecordingId, key: bytes
    ) -> RecordingDone | RecordingBroken:
        """See the port."""
        directory = self._recordings / incident / recording
        try:
            kept = await asyncio.to_thread(recover, directory, key)
        except (OutOfOrder, FileNotFoundError):  # killed within its first second: nothing of it had reached the disk
            return RecordingBroken(incident=incident, recording=recording, reason="nothing_on_disk")
        except (RecordingError, OSError) as lost:
            return RecordingBroken(incident=incident, recording=recording, reason=type(lost).__name__)
        return RecordingDone(
            incident=incident,
            recording=recording,
            manifest=kept.manifest,
            chunks=kept.chunks,
            duration_ms=duration_ms(kept.manifest),
            lost=len(kept.torn) + len(kept.missing),
        )

    async def unsealed(self) -> list[tuple[IncidentId, RecordingId]]:
        """Recordings on the disk without a manifest that nobody is writing: a killed worker left them."""
        writing = await self.writing()
        return [
            (IncidentId(directory.parent.name), RecordingId(directory.name))
            for directory in sorted(self._recordings.glob("*/*/"))
            if directory.name not in writing and not (directory / "manifest.json").exists() and any(directory.iterdir())
        ]

    def _worker_of(self, incident: IncidentId) -> "WorkerHandle":
        return self._workers[crc32(incident.encode()) % len(self._workers)]

    async def _of_leg(self, leg: LegId, order: Order) -> None:
        """To the worker that has the leg; to all of them while nobody is known to have it."""
        having = [worker for worker in self._workers if leg in worker.legs] or self._workers
        await asyncio.gather(*(worker.ask(order) for worker in having))
