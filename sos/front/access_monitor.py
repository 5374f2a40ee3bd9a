"""The doors are monitored: every refusal, log-in and export is a line of the access log; many refusals are an alarm.

Who is wrong about who they are too often, from one address or about one account, is told to wait (429).  Nothing that
a life hangs on is refused unseen: whoever shows what is right comes in, whatever came from their address before.  Only
log-ins, exports and the registry are not even looked at from an address over its rate, and that not where somebody has
come in lately, so that a desk is not shut by who fails beside it.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from math import ceil

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from sos import accesses
from sos.clock import Clock, timestamp
from sos.errors import Forbidden, SosError
from sos.front.access_log import AccessLog
from sos.front.throttle import MOST, Failures, Throttle, network
from sos.problems import Handler, NoSuchLink, TooOften, Unauthenticated

log = structlog.get_logger(__name__)

PER_ADDRESS = Failures(burst=10, each_s=6.0)
"""A person who mistypes does so three times; a fleet behind one address whose key was changed sends again for hours."""
PER_ACCOUNT = Failures(burst=20, each_s=6.0)
"""The same account from many addresses."""
LINES = Failures(burst=500, each_s=0.1)
"""Of refusals: ten a second for ever is 128 MB in half a day, and what is left out is counted in the next line."""
KNOWN_FOR_S = 24 * 3600.0
"""An address from which somebody has come in: as long as a desk's log-in."""
ALARM_AT, ALARM_WITHIN_S = 20, 60.0
"""Wrong credentials within so long are more than mistakes."""

_UNSEEN = (("POST", "/console/session"), ("POST", "/v1/exports"))


class Alarm(Struct, frozen=True, kw_only=True):
    """Somebody tries to get in, or to do what they may not: a person of ours should look."""

    kind: str
    """Of the refusal that brought it over the edge."""
    count: int
    within_s: float


class AccessMonitor:
    """A middleware inside of the one that makes errors answers, since it reads the errors."""

    def __init__(
        self,
        lines: AccessLog,
        *,
        clock: Clock,
        proxies: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``proxies``: addresses whose last ``X-Forwarded-For`` is believed."""
        self._lines = lines
        self._clock = clock
        self._proxies = frozenset(proxies)
        self._monotonic = monotonic
        self._addresses = Throttle(PER_ADDRESS)
        self._accounts = Throttle(PER_ACCOUNT)
        self._pen = Throttle(LINES)
        self._known: OrderedDict[str, float] = OrderedDict()
        self._wrong: deque[float] = deque(maxlen=ALARM_AT)
        self._alarmed = False
        self.alarms: list[Callable[[Alarm], None]] = []
        """Told once when wrong credentials or forbidden orders begin to come faster than anybody mistypes."""
        self._left_out = 0
        self.figures = CollectorRegistry()
        self._refused = Counter("sos_access_refused", "Requests refused, by why", ["kind"], registry=self.figures)

    def state(self) -> str:
        """``alarm`` while wrong credentials come faster than anybody mistypes."""
        return "alarm" if self._many(self._monotonic()) else "ok"

    def middleware(self) -> Middleware:
        @web.middleware
        async def monitor(request: web.Request, handler: Handler) -> web.StreamResponse:
            address = network(self._address(request))
            try:
                self._look(request, address)
                answer = await handler(request)
            except SosError as error:
                self._failed(request, address, error)
                raise
            except web.HTTPException as error:
                if error.status in (401, 403):
                    self._refusal(request, address, "forbidden", status=error.status, reason="origin")
                raise
            self._came(request, address, answer.status)
            return answer

        return monitor

    # --- before ---

    def _look(self, request: web.Request, address: str) -> None:
        if not _unseen(request) or self._is_known(address):
            return
        wait = self._addresses.wait_s(address, self._monotonic())
        if wait > 0.0:
            raise TooOften("Too many wrong credentials came from here; wait and try again.", wait_s=ceil(wait))

    # --- after ---

    def _came(self, request: web.Request, address: str, status: int) -> None:
        if status >= 400 or not (who := accesses.who(request)):
            return
        self._known[address] = self._monotonic() + KNOWN_FOR_S
        self._known.move_to_end(address)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        if told := accesses.told(request):
            self._write(request, address, told.what, status=status, who=who, about=told.about)

    def _failed(self, request: web.Request, address: str, error: SosError) -> None:
        """Note the refusal; ``TooOften`` instead of it when there were too many."""
        kind = _kind(request, error)
        if kind is None:
            return
        reason = getattr(error, "rule", None) or kind
        account = getattr(error, "account", None) or getattr(error, "tenant", None) or accesses.who(request)
        if isinstance(error, TooOften):
            self._refusal(request, address, kind, status=429, reason=reason)
            return
        status = 401 if isinstance(error, Unauthenticated) else 404 if isinstance(error, NoSuchLink) else 403
        now = self._monotonic()
        if kind == "forbidden":
            self._count(kind, now)
        wait = self._wrong_again(kind, address, account, now) if kind in _CREDENTIALS else 0.0
        self._refusal(request, address, kind, status=429 if wait else status, reason=reason, who=account)
        if wait:
            raise TooOften("Too many wrong credentials came; wait and try again.", wait_s=ceil(wait)) from error

    def _count(self, kind: str, now: float) -> None:
        """One more that is wrong; an alarm when they are many."""
        self._wrong.append(now)
        many = self._many(now)
        if many and not self._alarmed:
            log.warning("access_alarm", wrong=len(self._wrong), within_s=ALARM_WITHIN_S, kind=kind)
            for tell in self.alarms:
                tell(Alarm(kind=kind, count=len(self._wrong), within_s=ALARM_WITHIN_S))
        self._alarmed = many

    def _wrong_again(self, kind: str, address: str, account: str, now: float) -> float:
        """Seconds to wait; 0 when one more may be wrong."""
        self._count(kind, now)
        allowed = self._addresses.failed(address, now)
        wait = 0.0 if allowed else self._addresses.wait_s(address, now)
        if account and not self._accounts.failed(account, now):
            wait = max(wait, self._accounts.wait_s(account, now))
        return wait

    def _refusal(
        self, request: web.Request, address: str, kind: str, *, status: int, reason: str, who: str = ""
    ) -> None:
        self._refused.labels(kind).inc()
        if not self._pen.failed("refusals", self._monotonic()):
            self._left_out += 1
            return
        self._write(request, address, "refused", kind=kind, status=status, reason=reason, who=who)

    # --- beside requests ---

    def refused(self, request: web.Request, kind: str, *, who: str, reason: str, about: str = "") -> None:
        """An order on an open connection was refused; what is forbidden counts towards the alarm (``accesses.Log``)."""
        now = self._monotonic()
        self._refused.labels(kind).inc()
        if reason != "malformed":
            self._count(kind, now)
        if not self._pen.failed("refusals", now):
            self._left_out += 1
            return
        address = network(self._address(request))
        self._write(request, address, "refused", kind=kind, reason=reason, who=who, about=about)

    def note(self, what: str, *, who: str, about: str = "", reason: str = "") -> None:
        """A line about what happened by itself, such as the end of a session."""
        self._line(what, who=who, about=about, reason=reason)

    def _write(self, request: web.Request, address: str, what: str, **fields: object) -> None:
        route = request.match_info.route.resource
        where = route.canonical if route is not None else ""
        self._line(what, method=request.method, route=where, address=address, **fields)

    def _line(self, what: str, **fields: object) -> None:
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        given = {name: value for name, value in fields.items() if value != ""}
        self._lines.write({"at": timestamp(self._clock.now()), "what": what, **given})

    # --- where from ---

    def _address(self, request: web.Request) -> str:
        peer = request.remote or ""
        passed_on = request.headers.get("X-Forwarded-For", "")
        if peer in self._proxies and passed_on:
            return passed_on.rpartition(",")[2].strip()
        return peer

    def _is_known(self, address: str) -> bool:
        return self._known.get(address, 0.0) > self._monotonic()

    def _many(self, now: float) -> bool:
        return len(self._wrong) == ALARM_AT and now - self._wrong[0] < ALARM_WITHIN_S


_CREDENTIALS = frozenset({"log-in", "session", "credential", "link"})
"""Refusals of somebody who showed something that is wrong; the others are right about who they are, or show nothing."""


def _kind(request: web.Request, error: SosError) -> str | None:
    """Why, in one word; None for what is no refusal of access."""
    match error:
        case TooOften():
            return "throttled"
        case Unauthenticated():
            shown = {"Authorization", "Signature", "Signature-Input"} & {name.title() for name in request.headers}
            return "credential" if shown or error.rule == "certificate" else "missing"
        case NoSuchLink():
            return "link"
        case Forbidden(rule="desk-token" | "desk-code" | "second-factor"):
            return "log-in"
        case Forbidden(rule="session" | "session-over" | "session-ended"):
            return "session"
        case Forbidden(rule="no-session" | "second-factor-wanted"):
            return "missing"
        case Forbidden():
            return "forbidden"
    return None


def _unseen(request: web.Request) -> bool:
    return (request.method, request.path) in _UNSEEN or request.path.startswith("/v1/registry/")
