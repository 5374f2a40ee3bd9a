"""Requests and frames into every door of the running service, while a neighbour asks for help and must be heard.

The service is the real one, in this process, so that the probe sits on its loop.  A door may answer with anything that
is documented, and never with a 500; whatever it acknowledges must be kept, and filed.
"""

import asyncio
import gc
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from ops.fuzz.figures import Figures
from ops.fuzz.mutate import Mutator
from ops.fuzz.stall import Probe
from sos.app import Service, running
from sos.incident.events import ReportFiled
from sos.incident.model import AgencyId, IncidentId
from sos.settings import AuditorSettings, OperatorSettings, RegistrarSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash
from tests.ports import free_port

NEIGHBOUR_EVERY = 20
"""Inputs between two cries for help of the neighbour."""

WITHIN_S = 30.0
"""For an answer, on a machine that does other things as well; a loop that stands still answers nobody."""

_FIELDS = ("Content-Type", "Idempotency-Key", "Signature-Input", "Signature", "Content-Digest", "Authorization",
           "Cookie", "Leg-Id", "If-Match", "Vehicle-Id", "Call-Back", "Call-Language", "Sos-Acting-Subscriber",
           "Content-Encoding", "Transfer-Encoding", "Expect", "Range", "Origin", "Upgrade", "Host")  # fmt: skip
_MEANT = (("/registry/", "registrar"), ("/console/", "operator"), ("/exports", "auditor"), ("/log/", "auditor"))
_PEOPLE = ("stranger", "tenant", "operator", "auditor", "registrar")


class _Fault(msgspec.Struct):
    type: str = ""


class _Told(msgspec.Struct):
    """What the run wants to know of a socket's message.  Building the whole of it, five hundred incidents, would be
    the longest stall that the probe finds."""

    t: str = ""
    error: _Fault | None = None
    unsubscribed: Mapping[str, object] | None = msgspec.field(default=None, name="unsubscribeResponse")


_told = msgspec.json.Decoder(_Told)

_SESSION = "/console/session"
_LOG_OUT = f"DELETE {_SESSION}"


@dataclass
class House:
    """The service and who may come in."""

    service: Service
    keys: Mapping[str, str]
    routes: Sequence[tuple[str, str]]
    url: str
    port: int
    cookie: str = ""
    known: dict[str, str] = field(default_factory=dict)
    """What stands for a name in a path, now and then: an incident of ours, an agency, its token."""

    async def log_in(self) -> None:
        """The operator comes in; what was sent may have been a log-out."""
        async with aiohttp.request("POST", f"{self.url}{_SESSION}", json={"token": self.keys["operator"]}) as answer:
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]


@asynccontextmanager
async def house(data: Path) -> AsyncIterator[House]:
    keys = {name: secrets.token_urlsafe(24) for name in (*_PEOPLE, "neighbour")}
    port = free_port()
    settings = Settings(
        data_dir=str(data),
        port=port,
        directory=str(resources.files("routing") / "data" / "demo_agencies.toml"),
        connections_per_address=4096,
        lost_strangers_per_s=10_000.0,
        tenants=(
            TenantSettings(id="demo", domain="demo.example", key_digests=(_digest(keys["tenant"]),), drill=True),
            TenantSettings(id="near", domain="near.example", key_digests=(_digest(keys["neighbour"]),), drill=True),
        ),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest(keys["operator"])),),
        auditors=(
            AuditorSettings(id="auditor", token_digest=_digest(keys["auditor"]), brands=("*",), categories=("*",)),
        ),
        registrars=(
            RegistrarSettings(id="registrar", tenant="demo", role="oem", token_digest=_digest(keys["registrar"])),
        ),
    )
    async with running(settings) as service:
        opened = House(service, keys, _routes(), service.url, port)
        await opened.log_in()
        agency = AgencyId(next(iter(service.directory.agencies)))
        opened.known["token"] = service.links.inbox(agency).rpartition("/")[2]
        opened.known["eido"] = service.links.eido(agency).rpartition("/")[2]
        opened.known["agency"] = agency
        yield opened


def _routes() -> Sequence[tuple[str, str]]:
    """Method and path of every route of the application that is running in this process."""
    found = [
        sorted({(route.method, route.resource.canonical) for route in app.router.routes() if route.resource})
        for app in gc.get_objects()
        if isinstance(app, web.Application) and app.frozen
    ]
    return max(found, key=len)


@dataclass
class Outcome:
    """Of a run through the doors, beside the figures."""

    kept: set[str] = field(default_factory=set)
    """Incidents that were acknowledged."""
    lost: int = 0
    unfiled: int = 0
    cries: int = 0
    unanswered: int = 0
    slowest_cry_s: float = 0.0


class Doors:
    """One run."""

    def __init__(self, house: House, samples: Mapping[str, Sequence[bytes]], figures: Figures, *, seed: int) -> None:
        self._house = house
        self._samples = samples
        self._figures = figures
        self._mutator = Mutator(seed)
        self.outcome = Outcome()
        self._now: tuple[str, bytes] = ("", b"")

    async def run(self, inputs: int, *, told: Callable[[int], None] = lambda _: None) -> Probe:
        """Send ``inputs``; then look whether everything acknowledged is kept and filed."""
        async with AsyncExitStack() as stack:
            probe = await stack.enter_async_context(Probe(lambda: self._now))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            for done in range(inputs):
                cry = asyncio.create_task(self._cry(session, done)) if done % NEIGHBOUR_EVERY == 0 else None
                if done % 10 == 9:
                    await self._frames(session)
                else:
                    await self._request()
                if cry is not None:
                    await cry
                self._figures.took(self._now[0], probe.lately_s, self._now[1])
                probe.lately_s = 0.0
                if done % 500 == 0:
                    told(done)
        await self._look()
        return probe

    # --- requests ---

    async def _request(self) -> None:
        choose = self._mutator
        method, path = self._house.routes[choose.whole(len(self._house.routes))]
        if choose.whole(6) == 0:  # the door that matters most
            method, path = "POST", "/v1/events"
        target = f"{method} {path}"
        head, body = self._head(method, path, self._who(path)), self._body(path)
        sent = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self._now = (target, sent)
        try:
            async with asyncio.timeout(WITHIN_S):
                status, answer = await _exchange(self._house.port, sent)
        except TimeoutError:
            self._figures.fault(target, "no answer", "-", sent)
            return
        self._count(target, status, answer, sent)
        if target == _LOG_OUT and status < 400:
            await self._house.log_in()

    def _count(self, target: str, status: int, answer: bytes, sent: bytes) -> None:
        figures = self._figures.of(target)
        if status >= 500 and status != 503:
            self._figures.fault(target, f"status {status}", "-", sent)
        elif 0 < status < 400:
            figures.read += 1
            if target == "POST /v1/events":
                told = json.loads(answer)
                self.outcome.kept.update(each["incident"] for each in told.get("events", (told,)) if "incident" in each)
        else:
            figures.refused += 1

    def _head(self, method: str, path: str, who: str) -> bytes:
        choose, known = self._mutator, self._house.known
        pieces = [f"{method} ".encode()]
        for step in path.split("/")[1:]:
            name = step.strip("{}").partition(".")[0]
            value = step.encode()
            if step.startswith("{"):
                plain = known.get(name, "0198c0de-0000-7000-8000-000000000001").encode()
                value = plain if choose.whole(2) else _in_path(choose.of((plain,), most=2000))
            pieces.append(b"/" + value)
        if choose.whole(4) == 0:
            pieces.append(b"?" + _in_path(choose.of((b"after=1", b"kind=vehicle"), most=500)))
        fields = {"Host": f"127.0.0.1:{self._house.port}", "Connection": "close"} | self._shown(who)
        lines = [f"{name}: {value}".encode() for name, value in fields.items()]
        for _ in range(choose.whole(3)):
            line = choose.of(self._samples["headers"], most=4000).split(b"\r\n")[0]
            name = _FIELDS[choose.whole(len(_FIELDS))].encode()
            value = line.partition(b":")[2] if choose.whole(2) else choose.of((b"application/json",), most=1000)
            lines.append(name + b": " + value.replace(b"\r", b"").replace(b"\n", b""))
        return b"".join(pieces) + b" HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n"

    def _who(self, path: str) -> str:
        """As a rule somebody who may come in there."""
        meant = next((who for part, who in _MEANT if part in path), "tenant")
        return meant if self._mutator.whole(3) else _PEOPLE[self._mutator.whole(len(_PEOPLE))]

    def _shown(self, who: str) -> Mapping[str, str]:
        if who == "operator":
            return {"Cookie": self._house.cookie, "Origin": self._house.url}
        return {} if who == "stranger" else {"Authorization": f"Bearer {self._house.keys[who]}"}

    def _body(self, path: str) -> bytes:
        kind = next((kind for part, kind in _BODIES if part in path), "report")
        kind = kind if self._mutator.whole(8) else tuple(self._samples)[self._mutator.whole(len(self._samples))]
        return self._mutator.of(self._samples[kind], most=300_000)

    # --- frames of the two sockets ---

    async def _frames(self, session: aiohttp.ClientSession) -> None:
        desk = self._mutator.whole(2) == 0
        target = "frame of a desk" if desk else "frame of an agency"
        known = self._house.known
        url = "/console/socket" if desk else f"/agency/eido/{known['agency']}/{self._house.known['eido']}"
        headers = {"Cookie": self._house.cookie, "Origin": self._house.url} if desk else {}
        frame = self._mutator.of(self._samples["orders" if desk else "eido"], most=60_000)
        self._now = (target, frame)
        async with session.ws_connect(self._house.url + url, headers=headers) as ws:
            await ws.send_str(frame.decode(errors="replace"))
            await ws.send_str(
                '{"id":7,"do":"beat"}' if desk else '{"unsubscribe":{"requestId":"z","subscriptionId":"z"}}'
            )
            try:
                async with asyncio.timeout(WITHIN_S):
                    await self._until(ws, target, frame)
            except TimeoutError:
                self._figures.fault(target, "no answer", "-", frame)

    async def _until(self, ws: aiohttp.ClientWebSocketResponse, target: str, frame: bytes) -> None:
        """Until the socket has answered the frame after the hostile one."""
        async for message in ws:
            told = _told.decode(message.data) if message.type is aiohttp.WSMsgType.TEXT else _Told()
            if told.error is not None and told.error.type == "Bug":
                self._figures.fault(target, "Bug", "-", frame)
                return
            if told.t == "beat" or told.unsubscribed is not None:
                self._figures.of(target).read += 1
                return
        self._figures.fault(target, "socket closed", str(ws.close_code), frame)

    # --- the neighbour, and what was promised ---

    async def _cry(self, session: aiohttp.ClientSession, number: int) -> None:
        event = crash(Car(), at=self._house.service.journal.clock.now(), seed=number)
        headers = {"Authorization": f"Bearer {self._house.keys['neighbour']}", "Content-Type": "application/json"}
        begun = time.perf_counter()
        self.outcome.cries += 1
        try:
            async with (
                asyncio.timeout(WITHIN_S),
                session.post(f"{self._house.url}/v1/events", data=event.body, headers=headers) as answer,
            ):
                if answer.status in (200, 202):
                    self.outcome.kept.add((await answer.json())["incident"])
                else:
                    self.outcome.unanswered += 1
        except (TimeoutError, aiohttp.ClientError):
            self.outcome.unanswered += 1
        self.outcome.slowest_cry_s = max(self.outcome.slowest_cry_s, time.perf_counter() - begun)

    async def _look(self) -> None:
        """Every acknowledged incident is there, and its reports become filed."""
        store, end = self._house.service.journal.store, time.monotonic() + 120
        for incident in sorted(self.outcome.kept):
            stream: Sequence[Any] = await store.stream(IncidentId(incident))
            if not stream:
                self.outcome.lost += 1
                continue
            while not any(isinstance(each.event, ReportFiled) for each in stream) and time.monotonic() < end:
                await asyncio.sleep(0.05)
                stream = await store.stream(IncidentId(incident))
            self.outcome.unfiled += not any(isinstance(each.event, ReportFiled) for each in stream)


_BODIES = (
    ("/lost", "lost"), ("/events", "report"), ("import", "sheet"), ("registry", "registry"), ("callback", "answer"),
    ("/brief", "answer"), ("voice", "sdp"), ("/calls", "sdp"), ("legs", "fragment"), ("session", "orders"),
)  # fmt: skip


def _in_path(value: bytes) -> bytes:
    """Octets as a request line may carry them; the parser refuses the others itself."""
    return b"".join(
        b"%%%02X" % octet if octet in b" \r\n\0\x7f#?" or octet < 33 else bytes((octet,)) for octet in value
    )


async def _exchange(port: int, sent: bytes) -> tuple[int, bytes]:
    """Status and body of what comes back; 0 when the connection was closed without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        answer = await reader.read(-1)
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 else 0), body


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
