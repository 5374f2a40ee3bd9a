"""The LoST door, ``POST /lost`` (RFC 5222 over HTTP): which agency answers for a place.

Anybody may ask, because a car without a contract may need the answer and who answers for a place is no secret.  The
direct lines of command centres are one: a stranger learns what the directory marks as ``listed`` and the number a
person dials; a tenant's cloud learns all.  Strangers share one bounded rate, so that no flood of questions takes time
from calls.  Whatever can be read gets a LoST answer with status 200, errors of the protocol too (section 14).

Answers are ``routing.lost.server``'s; here are limits, access, and asking the servers of others.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from routing.boundaries import PrefectureLayer
from routing.errors import Malformed as Unreadable
from routing.errors import Misconfigured as NotConfigured
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer
from routing.lost.client import FAULT_OF, WITHIN_S, Client, Unanswered
from routing.lost.codec import MAX_REQUEST_BYTES, read_request, write_answer
from routing.lost.messages import MEDIA_TYPE, Answer, Errors, FindServiceResponse, Notice, Unusable, Warn
from routing.lost.server import Ask, Peer, Sources, answer, unreadable
from routing.plan import Sources as PlanSources
from sos.clock import Clock
from sos.dispatch.sources import layer_file
from sos.errors import Misconfigured, Refused
from sos.problems import Problem, TooLarge, TooSlow, UnsupportedMedia, respond, type_uri
from sos.settings import Settings

log = structlog.get_logger(__name__)

BODY_TIMEOUT_S = 5.0
MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/xml", "text/xml", ""})
"""What a body may call itself; senders without a type exist."""

TenantOf = Callable[[web.Request], object]
"""Raises ``Refused`` for a request of nobody we know."""


class Rate(Struct, frozen=True):
    """A token bucket's measure: ``burst`` questions at once, then ``per_s``."""

    per_s: float
    burst: float


class LostEndpoint:
    """``POST /lost``."""

    def __init__(
        self,
        sources: Sources,
        client: Client,
        *,
        clock: Clock,
        tenant_of: TenantOf,
        strangers: Rate,
        everybody_is_told: bool = False,
        peers_within_s: float = WITHIN_S,
    ) -> None:
        """``everybody_is_told``: nothing here is real (a demonstration), so unlisted lines need no protection."""
        self._sources = sources
        self._client = client
        self._clock = clock
        self._tenant_of = tenant_of
        self._bucket = _Bucket(strangers)
        self._closed = strangers.burst < 1.0
        self._open = everybody_is_told
        self._within_s = peers_within_s
        self._one_at_a_time = asyncio.Semaphore(1)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: Settings, plan: PlanSources, *, clock: Clock, tenant_of: TenantOf
    ) -> AsyncIterator["LostEndpoint"]:
        """The door as the settings say.  ``Misconfigured`` names a setting that is wrong."""
        try:
            sources = _sources(settings, plan)
        except NotConfigured as fault:
            raise Misconfigured(f"lost_source or lost_peers: {fault}") from fault
        async with (
            aiohttp.ClientSession() as session,
            Client(
                session,
                source=sources.source,
                urls={peer.domain: peer.url for peer in sources.peers},
                now=clock.now,
                monotonic=time.monotonic,
            ) as client,
        ):
            per_s = settings.lost_strangers_per_s
            yield cls(
                sources,
                client,
                clock=clock,
                tenant_of=tenant_of,
                strangers=Rate(per_s, 2.0 * per_s),
                everybody_is_told=settings.demo,
            )

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/lost", self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """200 with a LoST answer; 413, 415 and 408 for what is not read, 429 for strangers beyond their rate.

        Credentials that are shown and wrong are refused: who errs about them must not take a thinner answer for the
        whole one.
        """
        partner = self._is_partner(request)
        if not partner and not self._bucket.take(self._clock.now()):
            return _too_many()
        data = await _body(request)
        said = await self._answer(data, partner=partner or self._open)
        return web.Response(body=write_answer(said), content_type=MEDIA_TYPE, charset="utf-8")

    def _is_partner(self, request: web.Request) -> bool:
        try:
            self._tenant_of(request)
        except Refused:
            if self._closed or "Authorization" in request.headers or "Signature-Input" in request.headers:
                raise
            return False
        return True

    async def _answer(self, data: bytes, *, partner: bool) -> Answer:
        try:
            # A thread, because a shape with a thousand corners takes milliseconds that a call would miss.
            async with self._one_at_a_time:
                said = await asyncio.to_thread(self._think, data, partner)
        except Unreadable as fault:
            return unreadable(self._sources.source, f"{fault} ({fault.field})")
        return await self._asked(said) if isinstance(said, Ask) else said

    def _think(self, data: bytes, partner: bool) -> Answer | Ask:
        return answer(read_request(data), self._sources, now=self._clock.now(), partner=partner)

    async def _asked(self, ask: Ask) -> Answer:
        """The peer's answer in the asker's terms; our own, with a warning, when the peer gives none."""
        used = next((each.id for each in ask.request.locations if not isinstance(each.value, Unusable)), None)
        path = ask.request.path
        try:
            theirs = await self._client.soon(ask.peer.domain, ask.request, within_s=self._within_s)
        except Unanswered as failed:
            log.warning("lost_peer_unanswered", peer=ask.peer.domain, cause=failed.cause.value)
            return self._instead(ask, failed)
        told = theirs.path if theirs.path[: len(path)] == path else (*path, *theirs.path)
        return msgspec.structs.replace(
            theirs, path=tuple(dict.fromkeys(told)), location_used=used, extensions=ask.request.extensions
        )

    def _instead(self, ask: Ask, failed: Unanswered) -> FindServiceResponse | Errors:
        source = self._sources.source
        if ask.instead is None:
            return failed.errors or Errors(
                fault=FAULT_OF[failed.cause], message=f"{ask.peer.domain}: {failed}", source=source
            )
        if any(each.kind is Warn.DEFAULT for each in ask.instead.warnings):
            return ask.instead
        warning = Notice(
            kind=Warn.DEFAULT, message=f"{ask.peer.domain} does not answer; this is our own knowledge.", source=source
        )
        mappings = tuple(msgspec.structs.replace(each, expires="NO-CACHE") for each in ask.instead.mappings)
        return msgspec.structs.replace(ask.instead, mappings=mappings, warnings=(*ask.instead.warnings, warning))


def _sources(settings: Settings, plan: PlanSources) -> Sources:
    prefectures = PrefectureLayer.load()
    layer = plan.layer or prefectures
    return Sources(
        layer=layer,
        directory=plan.directory,
        gazetteer=Gazetteer(layer.names, prefectures.names),
        areas=Areas(layer),
        crossings=plan.crossings,
        source=settings.lost_source,
        updated=_changed(settings),
        peers=tuple(Peer(domain=each.domain, url=each.url, areas=each.areas) for each in settings.lost_peers),
    )


def _changed(settings: Settings) -> datetime:
    """When the files that answers are made of were last written."""
    shipped = resources.files("routing") / "data"
    boundaries = layer_file(settings)
    directory = Path(settings.directory) if settings.directory else Path(str(shipped / "demo_agencies.toml"))
    used = (boundaries if boundaries.is_file() else Path(str(shipped / "jp_prefectures.geojson")), directory)
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in used if file.is_file()), UTC)


class _Bucket:
    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at: datetime | None = None

    def take(self, at: datetime) -> bool:
        gone = timedelta(0) if self._at is None else max(timedelta(0), at - self._at)
        self._left = min(self._rate.burst, self._left + gone.total_seconds() * self._rate.per_s)
        self._at = at
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


async def _body(request: web.Request) -> bytes:
    """``UnsupportedMedia``, ``TooLarge`` or ``TooSlow``: the sender's fault."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise UnsupportedMedia(f"a LoST request is {MEDIA_TYPE}", field="Content-Type")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > MAX_REQUEST_BYTES:
                    raise TooLarge(f"a LoST request has at most {MAX_REQUEST_BYTES} bytes")
    except TimeoutError:
        raise TooSlow(f"the body did not arrive in {BODY_TIMEOUT_S:.0f} s") from None
    return bytes(data)


def _too_many() -> web.Response:
    told = Problem(
        type=type_uri("too-many-questions"),
        title="Too many questions",
        status=429,
        detail="Strangers share one rate here; a tenant's key has none.",
    )
    headers: dict[str, Any] = {"Retry-After": "1"}
    return respond(told, headers=headers)
