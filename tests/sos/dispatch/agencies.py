"""The other ends of the channels: an agency's own system over HTTPS, its mail server, its dispatch system.

Real servers and a real client on loopback, which can be told to misbehave.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sos.clock import Clock
from sos.dispatch.adapters.eido import SUBPROTOCOL
from sos.signing import verify


class AgencySystem:
    """What a receiver of pushes must do: verify, keep by our id, answer with it, and say what it has."""

    def __init__(self, sender: Ed25519PublicKey, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock
        self.arrived: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.mood = "well"
        """``well``, ``loses_answer``, ``broken``, ``silent``, ``lies``, ``redirects``."""
        self.base = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/push", self._take), web.get("/push/{disclosure}", self._has)])
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.mood == "redirects":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if self.mood == "silent":
            await asyncio.Event().wait()
        if self.mood == "broken":
            return web.Response(status=500)
        if self.mood == "lies":
            return web.Response(text="<html>please log in</html>", content_type="text/html")
        verify(self._sender, method="POST", url=self.base, headers=request.headers, body=body, now=self._clock.now())
        disclosure = request.headers["Idempotency-Key"]
        self.arrived[disclosure] += 1
        self.bodies[disclosure] = body
        if self.mood == "loses_answer":
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"disclosure": disclosure, "reference": "case-7"}, status=201)

    async def _has(self, request: web.Request) -> web.Response:
        disclosure = request.match_info["disclosure"]
        url = f"{self.base}/{disclosure}"
        verify(self._sender, method="GET", url=url, headers=request.headers, body=b"", now=self._clock.now())
        if disclosure not in self.arrived:
            return web.Response(status=404)
        return web.json_response({"disclosure": disclosure, "reference": "case-7"})


class MailServer:
    """An SMTP server with STARTTLS that keeps what it takes."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.options: list[list[str]] = []
        self.mood = "well"
        """``well``, ``refuses``, ``dies`` (after it has taken the mail, before it says so)."""

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-DSN", responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        self.options.append(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return "550 no such mailbox" if self.mood == "refuses" else "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(BytesParser(_class=EmailMessage, policy=default).parsebytes(envelope.content))
        if self.mood == "dies":
            server.transport.abort()
        return "250 taken"


class _Port(Controller):
    def factory(self) -> SMTP:
        return _Lenient(self.handler, **self.SMTP_kwargs)


class _Lenient(SMTP):
    """Takes the DSN parameters (RFC 3461), which the library would refuse."""

    def _getparams(self, params: Any) -> dict[str, str | bool] | None:
        found = super()._getparams(params)
        return {k: v for k, v in found.items() if k not in ("RET", "ENVID", "NOTIFY")} if found else found

    async def smtp_RCPT(self, arg: str | None) -> None:
        await super().smtp_RCPT(arg.partition(" NOTIFY=")[0] if arg else arg)


@asynccontextmanager
async def mail_server(
    directory: Path, port: int, *, tls: bool = True
) -> AsyncIterator[tuple[MailServer, ssl.SSLContext]]:
    """The server, listening on ``port``, and a context that trusts its certificate."""
    certificate, key = self_signed(directory)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    handler = MailServer()
    options: dict[str, Any] = {"tls_context": serving, "require_starttls": True} if tls else {}
    controller = _Port(handler, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield handler, ssl.create_default_context(cafile=str(certificate))
    finally:
        controller.stop()


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = directory / "tls.pem", directory / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


class DispatchSystem:
    """A subscriber as NENA-STA-024.1a asks for: subscribes, answers each event, keeps what it got by transaction."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.came = asyncio.Event()
        self.answers = True

    async def listen(self) -> None:
        async for frame in self.socket:
            told = msgspec.json.decode(frame.data)
            if "event" not in told:
                await self.replies.put(told)
                continue
            if self.answers:
                response = {"transactionId": told["event"]["transactionId"], "statusCode": 200, "statusText": "OK"}
                await self.send({"eventResponse": response})
            self.events.append(told["event"])
            self.came.set()

    async def send(self, frame: dict[str, Any]) -> None:
        await self.socket.send_str(msgspec.json.encode(frame).decode())

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        await self.send(frame)
        async with asyncio.timeout(60):
            return await self.replies.get()

    async def subscribe(self, **options: Any) -> dict[str, Any]:
        asked = {"requestId": "r1", "requestType": "eido", "requestSubType": "new", "expires": 60, **options}
        return await self.ask({"subscribe": asked})

    async def until(self, number: int) -> None:
        """Wait for the ``number``-th event."""
        async with asyncio.timeout(60):
            while len(self.events) < number:
                self.came.clear()
                await self.came.wait()


@asynccontextmanager
async def dispatch_system(url: str) -> AsyncIterator[DispatchSystem]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=(SUBPROTOCOL,)) as socket:
        system = DispatchSystem(socket)
        listening = asyncio.create_task(system.listen())
        yield system
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
