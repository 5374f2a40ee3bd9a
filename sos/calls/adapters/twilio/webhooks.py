"""Twilio's door: every webhook signed or refused, answered at once, worked on later; and a desk's voice token.

A request counts only with a signature over the address that *we* gave Twilio (public base from the settings, path and
query as received, never the Host header) under the account's present or previous auth token.  What is told is then
matched against the calls we know (``Exchange``), so that even a signed callback moves no leg but its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit
from uuid import NAMESPACE_URL, uuid5

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Struct
from multidict import MultiDict
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant
from twilio.request_validator import SIGNATURE_SETTINGS_HEADER, RequestValidator, get_signature_algorithm

from routing.text import clean
from sos.calls.agency_callers import CallsBack
from sos.calls.http import IncidentOfCall
from sos.clock import Clock
from sos.errors import Forbidden, SosError, Unavailable
from sos.formats.body import read
from sos.incident.model import IncidentId, LegId, OperatorId, Party, RecordingId, TenantId
from sos.incident.telephone import caller

log = structlog.get_logger()

SIGNATURE = "X-Twilio-Signature"
IDEMPOTENCY = "I-Twilio-Idempotency-Token"
OVERRIDES = "#ct=2000&rt=3000&rc=2&rp=all"
"""Connection overrides on our addresses.  Whether the fragment is part of what is signed is said differently in
different places, so both are taken; either needs the token."""

TOKEN_LASTS_S = 3600
"""Of a desk's voice token; the SDK asks for the next before it ends."""

MOST_FRAME = 64 * 1024
"""Bytes of one Media Streams message; Twilio's have under 400."""


class Expects(Protocol):
    """Puts on the record that somebody is about to be taken in (``sos.calls.bridge``)."""

    def expect(
        self, incident: IncidentId, *, leg: LegId, party: Party, who: str, called_in: bool = False
    ) -> Coroutine[Any, Any, bytes]: ...


class Finds(Protocol):
    """Which agency telephones us back, and about what (``sos.calls.agency_callers``)."""

    def find(self, tel: str | None) -> Coroutine[Any, Any, CallsBack | None]: ...


class Fork(Protocol):
    def take(self, text: str) -> bool: ...


class Exchange(Protocol):
    """What is asked of the telephone exchange here (``adapters.twilio.provider``)."""

    async def admit(
        self, *, incident: IncidentId, leg: LegId, party: Party, who: str, call: str, key: bytes | None
    ) -> str: ...

    def keep_key(self, incident: IncidentId, key: bytes) -> None: ...

    def new_to_us(self, token: str) -> bool: ...

    def heard_of_leg(self, leg: LegId, form: Mapping[str, str]) -> None: ...

    def heard_of_conference(self, recording: RecordingId, form: Mapping[str, str]) -> None: ...

    def heard_of_recording(self, leg: LegId, form: Mapping[str, str]) -> None: ...

    def fork(self, leg: LegId) -> Fork: ...

    def while_waiting(self) -> str: ...

    def while_held(self) -> str: ...

    def notice(self, name: str) -> str: ...

    def sound(self, name: str) -> bytes: ...

    def played(self, name: str) -> str: ...

    def played_sound(self, name: str) -> bytes: ...

    def to_people(self) -> str: ...

    def turned_away(self) -> str: ...


class Trust(Struct, frozen=True, kw_only=True):
    """Who is believed to be Twilio."""

    account: str
    tokens: tuple[str, ...]
    """Auth tokens: the present one, and the previous one while it is being replaced."""
    base: str
    """Our public address as Twilio was told it, without a trailing slash."""

    def __repr__(self) -> str:
        return f"Trust(account={self.account!r}, base={self.base!r})"


class VoiceKeys(Struct, frozen=True, kw_only=True):
    """What a desk's voice token is made with (an API key, never the auth token)."""

    account: str
    key: str
    secret: str
    application: str
    """TwiML application whose voice URL is ``/twilio/desk``."""
    edges: tuple[str, ...] = ("roaming",)
    """Edge locations that desks try in this order."""

    def __repr__(self) -> str:
        return f"VoiceKeys(key={self.key!r})"


_json_form: msgspec.json.Decoder[Mapping[str, Any]] = msgspec.json.Decoder(dict[str, Any])

OperatorOf = Callable[[web.Request], OperatorId]
"""The operator whose desk asks; ``Forbidden`` when it is nobody's."""


class TwilioEndpoint:
    """The routes below ``/twilio``, and ``/console/voice-token``."""

    def __init__(
        self,
        exchange: Exchange,
        bridge: Expects,
        *,
        trust: Trust,
        tenants: Mapping[str, TenantId],
        incident_of_call: IncidentOfCall,
        agencies: Finds,
        operator_of: OperatorOf,
        voice_keys: VoiceKeys | None,
        clock: Clock,
    ) -> None:
        """``tenants``: whose vehicles call a number (E.164) or a SIP domain."""
        self._exchange = exchange
        self._bridge = bridge
        self._trust = trust
        self._validators = tuple(RequestValidator(token) for token in trust.tokens)
        self._tenants = tenants
        self._incident_of_call = incident_of_call
        self._agencies = agencies
        self._operator_of = operator_of
        self._voice_keys = voice_keys
        self._clock = clock
        self._later: set[asyncio.Task[bytes]] = set()
        self._streams: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        signed = {
            "/twilio/voice": self._called_in,
            "/twilio/desk": self._desk_calls,
            "/twilio/legs/{incident}/{leg}": self._leg,
            "/twilio/conferences/{incident}/{recording}": self._conference,
            "/twilio/recordings/{incident}/{leg}": self._recording,
            "/twilio/wait": self._wait,
            "/twilio/hold": self._hold,
            "/twilio/notices/{name}": self._notice,
            "/twilio/said/{name}": self._play,
        }
        posts = [web.post(path, self._signed(handler)) for path, handler in signed.items()]
        return [
            *posts,
            web.get("/twilio/sounds/{name}.wav", self._signed(self._sound)),
            web.get("/twilio/said/{name}.wav", self._signed(self._played_sound)),
            web.get("/twilio/stream/{incident}/{leg}", self._stream),
            web.get("/console/voice-token", self._voice_token),
        ]

    async def close(self, _: web.Application | None = None) -> None:
        """End the streams, so that nobody waits for them when the service stops; the calls go on."""
        for socket in tuple(self._streams):
            await socket.close(code=WSCloseCode.GOING_AWAY)

    # --- who asks ---------------------------------------------------------------------------------------------------

    def _signed(
        self, handler: Callable[[web.Request, Mapping[str, str]], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            form = await self._believed(request)
            repeat = _repeat_of(request, form)
            if repeat and not self._exchange.new_to_us(repeat):
                return web.Response(status=204)
            return await handler(request, form)

        return answer

    async def _believed(self, request: web.Request) -> Mapping[str, str]:
        """The form of a request of Twilio's for our account; ``Forbidden`` for any other."""
        text = await _text(request)
        form: Mapping[str, Any]
        if request.content_type == "application/json" and "bodySHA256" in request.query:
            self._check(request, text)
            form = read(_json_form, text)
        else:  # JSON without its digest in the address is signed by nobody, and the validator cannot read it
            form = MultiDict(parse_qsl(text, keep_blank_values=True))
            self._check(request, form)
        if form.get("AccountSid", self._trust.account) != self._trust.account:
            log.warning("twilio_webhook_of_another_account", path=_route(request))
            raise Forbidden("this is not our account")
        return {clean(str(name)): clean(str(value)) for name, value in form.items()}

    def _check(self, request: web.Request, body: Any) -> None:
        signature = request.headers.get(SIGNATURE, "")
        algorithm = get_signature_algorithm(request.headers.get(SIGNATURE_SETTINGS_HEADER))
        address = self._trust.base + request.raw_path
        addresses = [address, address + OVERRIDES]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            addresses += [f"ws{each.removeprefix('http')}" for each in addresses]
        believed = any(
            validator.validate(each, body, signature, algorithm) for validator in self._validators for each in addresses
        )
        if not believed:
            log.warning("twilio_webhook_refused", path=_route(request), signed=bool(signature))
            raise Forbidden("this webhook is not signed by Twilio for this address")

    # --- who calls --------------------------------------------------------------------------------------------------

    async def _called_in(self, _: web.Request, form: Mapping[str, str]) -> web.Response:
        """Somebody has dialled one of our numbers or a SIP domain: into its incident's conference, whatever is down.

        An agency that was told calls back about that; everybody else is a vehicle.  A retry of the same call gives the
        same incident and the same leg, since both come from the call's id.
        """
        call = form.get("CallSid", "")
        leg = _leg_of(call)
        try:
            incident, party, who = await self._about(form, leg)
            key = None
            if party is Party.VEHICLE:  # no slow journal holds a car up
                self._write(incident, self._bridge.expect(incident, leg=leg, party=party, who=who))
            else:  # that it is known by its number alone stands in the journal before it is in the call
                key = await self._bridge.expect(incident, leg=leg, party=party, who=who, called_in=True)
            answer = await self._exchange.admit(incident=incident, leg=leg, party=party, who=who, call=call, key=key)
            return _twiml(answer)
        except SosError as away:  # rescue is never blocked: people are reached without us
            log.error("twilio_call_to_people", leg=leg, reason=str(away))
            return _twiml(self._exchange.to_people())

    async def _about(self, form: Mapping[str, str], leg: LegId) -> tuple[IncidentId, Party, str]:
        """Which incident the call belongs to, and who calls.  ``Unavailable`` when nothing can keep it."""
        tel = caller(form.get("From", ""))
        back = await self._agencies.find(tel)
        if back is not None:
            return back.incident, Party.AGENCY, back.agency
        tenant = self._tenants.get(_called(form.get("To", "")))
        if tenant is None:
            raise Unavailable("nobody's vehicles call this number")
        incident = await self._incident_of_call(
            tenant, leg=leg, vehicle=None, tel=tel, language=None, received_at=self._clock.now()
        )
        return incident, Party.VEHICLE, "vehicle"

    async def _desk_calls(self, _: web.Request, form: Mapping[str, str]) -> web.Response:
        """A desk joins by the Voice SDK; who it is, Twilio knows from the token that we gave."""
        who = form.get("From", "").removeprefix("client:")
        incident, leg = IncidentId(form.get("incident", "")), LegId(form.get("leg", ""))
        try:
            key = await self._bridge.expect(incident, leg=leg, party=Party.OPERATOR, who=who)
            return _twiml(
                await self._exchange.admit(
                    incident=incident, leg=leg, party=Party.OPERATOR, who=who, call=form.get("CallSid", ""), key=key
                )
            )
        except SosError as refused:
            log.warning("twilio_desk_refused", leg=leg, reason=str(refused))
            return _twiml(self._exchange.turned_away())

    def _write(self, incident: IncidentId, writing: Coroutine[Any, Any, bytes]) -> None:
        """Put a leg on the record beside its answer: the incident with its call is kept already, and nobody waits for
        more.  The key of what it says follows when the journal has it."""
        task = asyncio.create_task(writing)
        self._later.add(task)
        task.add_done_callback(partial(self._written, incident))

    def _written(self, incident: IncidentId, task: "asyncio.Task[bytes]") -> None:
        self._later.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.warning("twilio_leg_unwritten", incident=incident, error=type(error).__name__)
        else:
            self._exchange.keep_key(incident, task.result())

    # --- what is told -----------------------------------------------------------------------------------------------

    async def _leg(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        self._exchange.heard_of_leg(LegId(request.match_info["leg"]), form)
        return web.Response(status=204)

    async def _conference(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        self._exchange.heard_of_conference(RecordingId(request.match_info["recording"]), form)
        return web.Response(status=204)

    async def _recording(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        self._exchange.heard_of_recording(LegId(request.match_info["leg"]), form)
        return web.Response(status=204)

    # --- what is asked for ------------------------------------------------------------------------------------------

    async def _wait(self, _: web.Request, __: Mapping[str, str]) -> web.Response:
        return _twiml(self._exchange.while_waiting())

    async def _hold(self, _: web.Request, __: Mapping[str, str]) -> web.Response:
        return _twiml(self._exchange.while_held())

    async def _notice(self, request: web.Request, _: Mapping[str, str]) -> web.Response:
        return _twiml(self._exchange.notice(request.match_info["name"]))

    async def _sound(self, request: web.Request, _: Mapping[str, str]) -> web.Response:
        sound = await asyncio.to_thread(self._exchange.sound, request.match_info["name"])
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "max-age=86400"})

    async def _play(self, request: web.Request, _: Mapping[str, str]) -> web.Response:
        return _twiml(self._exchange.played(request.match_info["name"]))

    async def _played_sound(self, request: web.Request, _: Mapping[str, str]) -> web.Response:
        """Speech made of personal data: nobody on the way may keep it."""
        sound = self._exchange.played_sound(request.match_info["name"])
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """A copy of a leg's sound (Media Streams); whatever happens to it, the call goes on at Twilio."""
        self._check(request, {})
        leg = LegId(request.match_info["leg"])
        socket = web.WebSocketResponse(max_msg_size=MOST_FRAME, heartbeat=20.0, timeout=1.0)
        await socket.prepare(request)
        self._streams.add(socket)
        fork = self._exchange.fork(leg)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or not fork.take(message.data):
                    break
        except SosError as refused:
            log.warning("twilio_stream_refused", leg=leg, reason=str(refused))
        finally:
            self._streams.discard(socket)
        await socket.close()
        return socket

    async def _voice_token(self, request: web.Request) -> web.Response:
        """An access token with which this desk, and nobody else, may join by the Voice SDK."""
        operator = self._operator_of(request)
        keys = self._voice_keys
        if keys is None:
            raise Unavailable("desks of this house join by telephone: there is no twilio.api_key")
        token = AccessToken(keys.account, keys.key, keys.secret, identity=operator, ttl=TOKEN_LASTS_S)
        token.add_grant(VoiceGrant(outgoing_application_sid=keys.application, incoming_allow=False))
        told = {"token": token.to_jwt(), "identity": operator, "lasts_s": TOKEN_LASTS_S, "edges": keys.edges}
        body = msgspec.json.encode(told)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


async def _text(request: web.Request) -> str:
    """The body; ``Forbidden`` for one that is no text, since Twilio sends none such."""
    try:
        return (await request.read()).decode()
    except UnicodeDecodeError as wrong:
        raise Forbidden("this webhook is not signed by Twilio for this address") from wrong


def _repeat_of(request: web.Request, form: Mapping[str, str]) -> str:
    """What two deliveries of one callback share; empty when each delivery must be answered in full (TwiML)."""
    if request.path in ("/twilio/voice", "/twilio/desk") or "SequenceNumber" not in form:
        return ""
    told = form.get("StatusCallbackEvent") or form.get("CallStatus", "")
    by_number = f"{form.get('CallSid', '')}|{form.get('ConferenceSid', '')}|{told}|{form['SequenceNumber']}"
    return request.headers.get(IDEMPOTENCY) or by_number


def _leg_of(call: str) -> LegId:
    """Our leg of a call that reached us: the same for every try, and unknown to whoever knows only the call's id."""
    return LegId(str(uuid5(NAMESPACE_URL, f"twilio:{call}")))


def _called(to: str) -> str:
    """The number, or the domain of a SIP address."""
    if to.startswith(("sip:", "sips:")):
        try:
            return urlsplit(f"//{to.split(':', 1)[1].split(';', maxsplit=1)[0]}").hostname or ""
        except ValueError:  # no address, such as an open bracket: nobody's
            return ""
    return to


def _route(request: web.Request) -> str:
    """Which of our addresses: without the ids in it, which a stranger chose."""
    return request.match_info.route.resource.canonical if request.match_info.route.resource else ""


def _twiml(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/xml")
