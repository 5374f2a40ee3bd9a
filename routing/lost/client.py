"""Asking the LoST servers of others (RFC 5222), for agencies and countries that run their own.

A hung, wrong or hostile server costs a bounded wait and nothing else: ``find`` raises only ``Unanswered``, and
``hedged`` not even that, because it is given our own answer before it asks.  Answers are kept while they hold and for
the places they hold for, so a moving car asks once for each service boundary.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import shapely
from msgspec import Struct

from routing.breaker import Breaker
from routing.errors import Malformed, RoutingError
from routing.lost.codec import MAX_ANSWER_BYTES, read_answer, write_request
from routing.lost.messages import (
    MEDIA_TYPE,
    Answer,
    Boundary,
    Errors,
    Fault,
    FindService,
    FindServiceResponse,
    Location,
    Redirect,
    Request,
    Unusable,
)
from routing.lost.messages import Mapping as Mapped
from routing.position.gml import Civic
from routing.position.shapes import Shape, region

WITHIN_S = 0.4
"""How long somebody with a caller on the line waits for another server."""

TIMEOUT_S = 2.0
"""How long one question may take in all: a late answer is kept for the next one."""

MAX_REDIRECTS = 2
MAX_KEPT = 1_000
"""Mappings remembered over all servers."""


class Cause(StrEnum):
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    """It answered with something else than LoST."""
    REFUSED = "refused"
    """It answered with an error of RFC 5222, or wants us to be somebody else."""
    LOOP = "loop"
    RESTING = "resting"
    """It failed too often lately and was not asked."""


FAULT_OF: Mapping[Cause, Fault] = {
    Cause.TIMEOUT: Fault.SERVER_TIMEOUT,
    Cause.UNREACHABLE: Fault.SERVER_TIMEOUT,
    Cause.RESTING: Fault.SERVER_TIMEOUT,
    Cause.UNREADABLE: Fault.SERVER_ERROR,
    Cause.REFUSED: Fault.FORBIDDEN,
    Cause.LOOP: Fault.LOOP,
}
"""What a server says to its own asker when the one it asked failed so (RFC 5222 section 13.1)."""


class Unanswered(RoutingError):
    """The other server gave no answer that can be used; the cause is its fault or the network's."""

    def __init__(self, cause: Cause, message: str, *, errors: Errors | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.errors = errors
        """Its own words, with REFUSED."""


class _Wanted(Struct, frozen=True):
    """A question as far as it decides which kept answer fits."""

    of: tuple[str, str, str, bool, datetime | None]
    """Server, service, form of the boundary, whether the address is to be validated, the day asked about."""
    place: bytes
    outline: Any
    """None for an address, and for a shape that has no outline."""

    @classmethod
    def of_request(cls, domain: str, request: FindService) -> "_Wanted":
        usable = [each.value for each in request.locations if not isinstance(each.value, Unusable)]
        place = usable[0] if usable else None
        try:
            outline = None if place is None or isinstance(place, Civic) else region(place)
        except Malformed:
            outline = None
        of = (domain, request.service, request.boundary, request.validate, request.as_of)
        return cls(of, msgspec.msgpack.encode((type(place).__name__, place)), outline)


class _Kept(Struct, frozen=True):
    of: tuple[str, str, str, bool, datetime | None]
    response: FindServiceResponse
    area: Any
    """Prepared shapely geometry; None when the answer holds for the very place asked about only."""
    place: bytes
    expires: datetime | None
    """None: never."""


class Client:
    """Asks; and keeps what it heard.  ``async with`` closes what is still under way."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        source: str,
        urls: Mapping[str, str],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``source``: our own domain; ``urls``: domain to address of every server that may be asked.

        A redirect to any other domain is not followed: a stranger must not be able to send us anywhere.
        """
        self._session = session
        self._source = source
        self._urls = dict(urls)
        self._now = now
        self._timeout_s = timeout_s
        self._breakers = {domain: Breaker(monotonic) for domain in urls}
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._number = 0
        self._late: set[asyncio.Task[FindServiceResponse]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def find(self, domain: str, request: FindService) -> FindServiceResponse:
        """The answer of a server, kept or fresh; an expired one when there is no other (RFC 5222 section 5.2).

        ``Unanswered`` within ``timeout_s`` for each server asked; never anything else.
        """
        wanted = _Wanted.of_request(domain, request)
        if known := self._known(wanted, fresh=True):
            return known
        try:
            said = await self._follow(domain, request)
        except Unanswered:
            if stale := self._known(wanted, fresh=False):
                return stale
            raise
        self._keep(wanted, said)
        return said

    async def soon(self, domain: str, request: FindService, *, within_s: float = WITHIN_S) -> FindServiceResponse:
        """As ``find``, with ``Unanswered`` after ``within_s`` seconds.

        A late answer is not thrown away: it is kept for the next question about that place.
        """
        task = asyncio.create_task(self.find(domain, request), name=f"lost {domain}")
        self._late.add(task)
        task.add_done_callback(self._finished)
        done, _ = await asyncio.wait({task}, timeout=within_s)
        if not done:
            raise Unanswered(Cause.TIMEOUT, f"no answer in {within_s} s")
        return task.result()

    async def hedged(
        self, own: FindServiceResponse, domain: str, request: FindService, *, within_s: float = WITHIN_S
    ) -> FindServiceResponse:
        """The other server's answer if it comes ``within_s`` seconds, else our ``own``.  Never raises."""
        try:
            return await self.soon(domain, request, within_s=within_s)
        except Unanswered:
            return own

    async def ask(self, domain: str, request: Request) -> Answer:
        """One question, one answer, nothing kept.  ``Unanswered`` within ``timeout_s``; never anything else."""
        breaker = self._breakers.get(domain)
        if breaker is None:
            raise Unanswered(Cause.UNREACHABLE, f"no address is configured for {domain}")
        if domain in getattr(request, "path", ()):
            raise Unanswered(Cause.LOOP, f"{domain} has been asked already")
        if not breaker.closed:
            raise Unanswered(Cause.RESTING, f"{domain} failed too often")
        try:
            said = await self._post(self._urls[domain], write_request(request))
        except Unanswered:
            breaker.failed()
            raise
        breaker.worked()
        return said

    async def _follow(self, domain: str, request: FindService) -> FindServiceResponse:
        path = request.path if self._source in request.path else (*request.path, self._source)
        onward = msgspec.structs.replace(request, path=path)
        asked: list[str] = []
        for _ in range(MAX_REDIRECTS + 1):
            said = await self.ask(domain, onward)
            asked.append(domain)
            if isinstance(said, FindServiceResponse):
                return said
            if isinstance(said, Errors):
                cause = Cause.LOOP if said.fault is Fault.LOOP else Cause.REFUSED
                raise Unanswered(cause, f"{domain} answered {said.fault.value}", errors=said)
            if not isinstance(said, Redirect):
                raise Unanswered(Cause.UNREADABLE, f"{domain} answered another question")
            if said.target in (*asked, self._source):
                raise Unanswered(Cause.LOOP, f"{domain} sent us back")
            domain = said.target
        raise Unanswered(Cause.LOOP, f"more than {MAX_REDIRECTS} redirections")

    async def _post(self, url: str, body: bytes) -> Answer:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    url, data=body, headers={"Content-Type": MEDIA_TYPE}, allow_redirects=False
                ) as response,
            ):
                if response.status in (401, 403):
                    raise Unanswered(Cause.REFUSED, f"refused with status {response.status}")
                if response.status != 200:
                    raise Unanswered(Cause.UNREADABLE, f"answered with status {response.status}")
                data = await _bounded(response)
        except TimeoutError:
            raise Unanswered(Cause.TIMEOUT, f"no answer in {self._timeout_s} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: headers that are none
            raise Unanswered(Cause.UNREACHABLE, type(fault).__name__) from fault
        try:
            return read_answer(data)
        except Malformed as fault:
            raise Unanswered(Cause.UNREADABLE, f"{fault} ({fault.field})") from fault

    def _finished(self, task: asyncio.Task[FindServiceResponse]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that asyncio does not complain of what nobody waits for

    def _known(self, wanted: _Wanted, *, fresh: bool) -> FindServiceResponse | None:
        now = self._now()
        for number in reversed(self._kept):
            kept = self._kept[number]
            if kept.of != wanted.of or (fresh and kept.expires is not None and kept.expires <= now):
                continue
            inside = wanted.outline is not None and kept.area is not None and kept.area.covers(wanted.outline)
            if inside or kept.place == wanted.place:
                self._kept.move_to_end(number)
                return kept.response
        return None

    def _keep(self, wanted: _Wanted, said: FindServiceResponse) -> None:
        first = said.mappings[0]
        if first.expires == "NO-CACHE":
            return
        expires = None if first.expires == "NO-EXPIRATION" else first.expires
        self._number += 1
        self._kept[self._number] = _Kept(wanted.of, said, _area(first), wanted.place, expires)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


def locate(shape: Shape) -> tuple[Location, ...]:
    """The locations of a request about ``shape``."""
    return (Location("here", "geodetic-2d", shape),)


def _area(mapping: Mapped) -> Any:
    """Where the mapping holds, as far as it says so by value."""
    if not isinstance(mapping.boundary, Boundary) or not mapping.boundary.polygons:
        return None
    area = shapely.union_all([region(polygon) for polygon in mapping.boundary.polygons])
    shapely.prepare(area)
    return area


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = await response.content.read(MAX_ANSWER_BYTES + 1)
    while not response.content.at_eof() and len(data) <= MAX_ANSWER_BYTES:
        data += await response.content.read(MAX_ANSWER_BYTES + 1 - len(data))
    return data
