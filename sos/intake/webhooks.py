"""A tenant's cloud is told of each change of its incidents' status: a signed POST, tried again until it is taken.

A message holds the whole status as it is when it is sent (a CloudEvent, ``sos.intake.status``), so several changes are
one message, none that was missed leaves a gap, and one that comes late is told by its ``version``.  What is owed lies
in the database (``sos.journal.statuses_owed``): retries go on after a restart.  Each tenant is served by itself, one
message at a time, so a cloud that hangs keeps nobody else waiting.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

from sos.clock import epoch_ms, timestamp
from sos.errors import Unavailable, Unknown
from sos.incident.events import Recorded
from sos.incident.model import TenantId
from sos.intake import status
from sos.intake.cloudevents import MEDIA_TYPE
from sos.intake.replies import StatusEvent
from sos.intake.tenants import Tenant
from sos.journal.journal import Journal
from sos.journal.statuses_owed import Owed, StatusesOwed
from sos.signed_post import SignedPost

log = structlog.get_logger()

PAUSES = tuple(timedelta(seconds=each) for each in (1, 5, 30, 120, 600))
"""After each try of one message; the last one again and again."""

GIVEN_UP_AFTER = timedelta(hours=24)
"""Since the status changed: then whoever wants to know asks for it."""

REST = timedelta(seconds=5)
"""Of a cloud that has just not taken a message: others for it wait so long."""

POLL = timedelta(seconds=5)
"""How long news may be missed that another process has written down."""

AT_ONCE = 32
"""Read from the queue at a time."""


class Webhooks:
    """Follows incidents and notes whose status has changed; ``watch`` tells it."""

    WANTS = status.WANTS

    def __init__(
        self,
        journal: Journal,
        owed: StatusesOwed,
        *,
        tenants: Mapping[TenantId, Tenant],
        urls: Mapping[TenantId, str],
        source: str,
    ) -> None:
        """``urls``: where each tenant wants to be told; ``source``: of the events, a URI."""
        self._journal = journal
        self._owed = owed
        self._tenants = tenants
        self._urls = urls
        self._source = source
        self._news = {tenant: asyncio.Event() for tenant in urls}
        self.figures = CollectorRegistry()
        self._outcomes = Counter(
            "sos_webhooks", "Statuses told to clouds of tenants", ("tenant", "outcome"), registry=self.figures
        )

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if recorded.tenant in self._urls:
                await self._note(recorded)

    async def _note(self, recorded: Recorded) -> None:
        stream = await self._journal.store.stream(recorded.incident)
        if status.version([each for each in stream if each.n <= recorded.n]) != recorded.n:
            return
        dropped = await self._owed.owe(
            recorded.tenant, recorded.incident, version=recorded.n, at=self._journal.clock.now()
        )
        if dropped:
            self._outcomes.labels(recorded.tenant, "dropped").inc(dropped)
            log.warning("webhook_queue_full", tenant=recorded.tenant, dropped=dropped)
        self._news[recorded.tenant].set()

    async def watch(self, post: SignedPost) -> None:
        """Tell what is owed, for ever."""
        async with post, asyncio.TaskGroup() as group:
            await self._forget_others()
            for tenant in self._urls:
                group.create_task(self._serve(tenant, post), name=f"webhooks-{tenant}")

    async def _forget_others(self) -> None:
        while True:
            try:
                return await self._owed.forget(but=tuple(self._urls))
            except Unavailable:
                await self._journal.clock.wait(POLL)

    async def _serve(self, tenant: TenantId, post: SignedPost) -> None:
        while True:
            self._news[tenant].clear()
            try:
                took = await self.round(tenant, post)
            except Unavailable:  # the database: it is asked again
                took = None
            if took is None:
                await self._journal.clock.wait(REST)
            elif not took:
                await self._wait(tenant)

    async def _wait(self, tenant: TenantId) -> None:
        try:
            async with asyncio.timeout(POLL.total_seconds()):
                await self._news[tenant].wait()
        except TimeoutError:
            return

    async def round(self, tenant: TenantId, post: SignedPost) -> int | None:
        """Tell ``tenant`` what is due now; how many it took, None when it did not take one."""
        due = await self._owed.due(tenant, at=self._journal.clock.now(), limit=AT_ONCE)
        for owed in due:
            if not await self._tell(owed, post):
                return None
        return len(due)

    async def _tell(self, owed: Owed, post: SignedPost) -> bool:
        """Whether the cloud has it, or will never."""
        try:
            body, event = await self._event(owed)
        except Unknown:  # destroyed meanwhile
            await self._owed.told(owed)
            return True
        try:
            answered, _ = await post.ask(
                "POST", self._urls[owed.tenant], body, content_type=MEDIA_TYPE, idempotency_key=event
            )
            why = None if 200 <= answered < 300 else f"http_{answered}"
        except Unavailable as away:
            why = str(away)
        if why is None:
            await self._owed.told(owed)
            self._outcomes.labels(owed.tenant, "told").inc()
            return True
        await self._put_off(owed, why)
        return False

    async def _put_off(self, owed: Owed, why: str) -> None:
        now = self._journal.clock.now()
        tried = {"tenant": owed.tenant, "incident": owed.stream, "tries": owed.tries + 1, "reason": why}
        if epoch_ms(now - GIVEN_UP_AFTER) >= owed.since_ms:
            log.error("webhook_given_up", **tried)
            self._outcomes.labels(owed.tenant, "given_up").inc()
            await self._owed.told(owed)
            return
        log.warning("webhook_failed", **tried)
        self._outcomes.labels(owed.tenant, "failed").inc()
        await self._owed.failed(owed, due=now + PAUSES[min(owed.tries, len(PAUSES) - 1)])

    async def _event(self, owed: Owed) -> tuple[bytes, str]:
        """The message and its id, which every repeat of it has."""
        incident = await self._journal.state(owed.stream)
        stream = await self._journal.store.stream(owed.stream)
        told = status.status(incident, stream, domain=self._tenants[owed.tenant].domain)
        changed_at = next(each.at for each in stream if each.n == told.version)
        event = StatusEvent(
            id=f"{told.incident}:{told.version}",
            source=self._source,
            subject=told.incident,
            time=timestamp(changed_at),
            data=told,
        )
        return msgspec.json.encode(event), event.id
