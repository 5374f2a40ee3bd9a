"""The emulated Twilio's two sides: the REST interface it offers, and the webhooks it calls."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urldefrag, urljoin
from uuid import uuid4
from xml.etree import ElementTree as Xml

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.twilio_emulator.schema import Described
from tests.twilio_emulator.sounds import FRAME, mu_law, said
from tests.twilio_emulator.world import Call, Conference, Participant, Recording, World, _rfc2822, sid

ROOT = "/2010-04-01/Accounts/{account}"


class Emulator:
    """An account at an emulated Twilio.  ``down`` and ``up`` take its edge away and back; its world goes on."""

    def __init__(
        self, *, account: str = "", token: str = "emulated", described: Path | None = None, port: int = 0
    ) -> None:
        self.account = account or sid("AC")
        self.token = token
        self.user, self.secret = sid("SK"), "an-emulated-secret-of-32-letters"
        self.voice_url = ""
        """What an incoming call is asked for."""
        self.fallback_url = ""
        self.desk_url = ""
        """Voice URL of the TwiML application of desks."""
        self.world = World(self.account, send=self._send, now=lambda: asyncio.get_running_loop().time())
        self.faults: list[str] = []
        """Where requests or answers are not as Twilio's description says."""
        self.refusals: list[tuple[str, int]] = []
        """Webhooks that were not answered with success."""
        self.told: list[tuple[str, Mapping[str, str]]] = []
        """Every callback, before anything went wrong with it."""
        self.posted: list[str] = []
        self.numbers: dict[str, dict[str, Any]] = {}
        """How the account's numbers are set up, by number; ``domains`` and ``applications`` by name and id."""
        self.domains: dict[str, dict[str, Any]] = {}
        self.applications: dict[str, dict[str, Any]] = {}
        self.refuse_deletions = 0
        self.hanging = False
        """It takes every request and answers none."""
        self.hanging_on: set[str] = set()
        """Conferences (by name) whose orders it takes and does not answer."""
        self.damage: Callable[[bytes], bytes] = lambda wav: wav
        """What becomes of a recording on its way."""
        self._described = Described(described) if described is not None and described.exists() else None
        self._port = port
        self._open = False
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._turn: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        for call in self.world.calls.values():
            for task in tuple(call.work):
                task.cancel()
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self.down()
        if self._session is not None:
            await self._session.close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def answers(self) -> bool:
        """Whether its edge is there."""
        return self._open

    async def up(self) -> None:
        """Answer again."""
        root = ROOT.format(account="{account}")
        app = web.Application(middlewares=[self._edge])
        app.add_routes(
            [
                web.get(f"{root}/Conferences.json", self._list_conferences),
                web.get(f"{root}/Conferences/{{conference}}.json", self._conference),
                web.post(f"{root}/Conferences/{{conference}}.json", self._end_conference),
                web.get(f"{root}/Conferences/{{conference}}/Participants.json", self._list_participants),
                web.post(f"{root}/Conferences/{{conference}}/Participants.json", self._invite),
                web.get(f"{root}/Conferences/{{conference}}/Participants/{{name}}.json", self._participant),
                web.post(f"{root}/Conferences/{{conference}}/Participants/{{name}}.json", self._change),
                web.get(f"{root}/Calls.json", self._list_calls),
                web.get(f"{root}/Calls/{{call}}.json", self._call),
                web.post(f"{root}/Calls/{{call}}.json", self._change_call),
                web.post(f"{root}/Calls/{{call}}/Streams.json", self._start_stream),
                web.post(f"{root}/Calls/{{call}}/Recordings/{{recording}}.json", self._stop_recording),
                web.get(f"{root}/Recordings.json", self._list_recordings),
                web.get(f"{root}/Recordings/{{recording}}.wav", self._sound),
                web.get(f"{root}/Recordings/{{recording}}.json", self._recording),
                web.delete(f"{root}/Recordings/{{recording}}.json", self._delete),
                web.get(f"{root}/IncomingPhoneNumbers.json", self._list_numbers),
                web.get(f"{root}/SIP/Domains.json", self._list_domains),
                web.get(f"{root}/Applications/{{application}}.json", self._application),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._open = True

    async def down(self) -> None:
        """Answer nothing and call nobody back, from one moment to the next."""
        self._open = False
        if self._runner is not None:
            for connection in tuple(self._runner.server.connections if self._runner.server else ()):
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    async def settled(self) -> None:
        """Return when every callback that is under way has been delivered or lost."""
        while self._sending:
            await asyncio.wait(tuple(self._sending))

    # --- people -----------------------------------------------------------------------------------------------------

    async def call_in(self, number: str, *, to: str, seed: int = 7) -> Call:
        """Somebody calls one of the account's numbers."""
        call = Call(sid=sid("CA"), to=to, from_=number, direction="inbound", seed=seed)
        self.world.calls[call.sid] = call
        await self._run(call, (self.voice_url, self.fallback_url), {})
        return call

    async def desk(self, identity: str, **parameters: str) -> Call:
        """A desk joins by the Voice SDK."""
        call = Call(sid=sid("CA"), to="", from_=f"client:{identity}", direction="inbound", seed=9)
        self.world.calls[call.sid] = call
        await self._run(call, (self.desk_url,), parameters)
        return call

    def hang_up(self, label: str) -> None:
        """The person on a leg puts the receiver down."""
        self.world.finish(self.call_of(label))

    def press(self, label: str, digit: str) -> None:
        for socket in self.call_of(label).sockets:
            self._later(_send_json(socket, {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}}))

    def participant(self, label: str) -> Participant:
        """Who is in a conference, or on the way into it, under ``label``."""
        conferences = self.world.conferences.values()
        return [each for room in conferences for each in room.participants.values() if each.label == label][-1]

    def call_of(self, label: str) -> Call:
        return self.participant(label).call

    def label_of(self, call: str) -> str:
        """The label of a call's participant; empty when there is none."""
        conferences = self.world.conferences.values()
        return next((room.participants[call].label for room in conferences if call in room.participants), "")

    async def _run(self, call: Call, addresses: tuple[str, ...], parameters: Mapping[str, str]) -> None:
        form = {
            "CallSid": call.sid,
            "AccountSid": self.account,
            "From": call.from_,
            "To": call.to,
            "CallStatus": "ringing",
            "ApiVersion": "2010-04-01",
            "Direction": "inbound",
            "ForwardedFrom": "",
            **parameters,
        }
        for address in filter(None, addresses):
            status, text = await self._post(address, form, token=str(uuid4()))
            if call.over:  # the caller has gone meanwhile: nothing is done for nobody
                return
            if status == 200:
                self._obey(call, Xml.fromstring(text), address)
                return
        self.world.finish(call, "failed")

    def _obey(self, call: Call, response: Xml.Element, address: str) -> None:
        """Run a TwiML document as far as this emulator knows it; a verb it does not know is a fault."""
        if response[0].tag == "Reject":
            self.world.finish(call, "busy")
            return
        if call.answered is None:
            self.world.answer(call)
        for verb in response:
            match verb.tag:
                case "Start":
                    for noun in verb:
                        self._fork(call, noun)
                case "Dial":
                    for noun in verb:
                        self._dialled(call, noun)
                case "Play" | "Say" | "Pause":
                    self.told.append((urljoin(address, verb.text or ""), {}))
                case _:
                    self.faults.append(f"TwiML {verb.tag} is not known here")

    def _fork(self, call: Call, noun: Xml.Element) -> None:
        match noun.tag:
            case "Recording":
                self.world.record(call, noun.get("recordingStatusCallback", ""), source="StartCallRecordingAPI")
            case "Stream":
                self._stream(call, noun.attrib["url"], noun.get("name", ""))
            case _:
                self.faults.append(f"TwiML Start/{noun.tag} is not known here")

    def _dialled(self, call: Call, noun: Xml.Element) -> None:
        if noun.tag == "Number":
            self.world.dialled.append(("", noun.text or ""))
            return
        conference = self.world.conference(noun.text or "")
        if not conference.callback:
            conference.callback = noun.get("statusCallback", "")
            conference.events = tuple(noun.get("statusCallbackEvent", "start end").split())
        participant = Participant(call=call, label=noun.get("participantLabel", ""))
        conference.participants[call.sid] = participant
        self.world.join(conference, participant)

    # --- webhooks ---------------------------------------------------------------------------------------------------

    def _send(self, address: str, form: Mapping[str, str]) -> None:
        self.told.append((address, form))
        mischief = self.world.mischief
        if not self._open or mischief.random.random() < mischief.lose:
            return
        token = str(uuid4())
        for _ in range(2 if mischief.random.random() < mischief.double else 1):
            late = mischief.random.random() * mischief.late_s
            turn = None if mischief.shuffle or mischief.late_s else self._turn.get(address)
            self._turn[address] = self._later(self._deliver(address, form, token=token, late=late, turn=turn))

    async def _deliver(
        self, address: str, form: Mapping[str, str], *, token: str, late: float, turn: "asyncio.Task[None] | None"
    ) -> None:
        if turn is not None:
            await asyncio.wait((turn,))
        await self.world.pass_time(late)
        if self._open:
            status, _ = await self._post(address, form, token=token)
            if status >= 300:
                self.refusals.append((address, status))

    async def _post(self, address: str, form: Mapping[str, str], *, token: str) -> tuple[int, str]:
        """As Twilio: signed without the fragment, tried again as the fragment asks."""
        url, overrides = urldefrag(address)
        tries = 1 + int(dict(parse_qsl(overrides)).get("rc", "1"))
        headers = {
            "X-Twilio-Signature": RequestValidator(self.token).compute_signature(url, dict(form)),
            "I-Twilio-Idempotency-Token": token,
        }
        assert self._session is not None
        for _ in range(tries):
            try:
                async with self._session.post(url, data=form, headers=headers) as answer:
                    text = await answer.text()
                    if answer.status < 500:
                        return answer.status, text
            except (aiohttp.ClientError, TimeoutError):
                continue
        return 503, ""

    # --- media streams ----------------------------------------------------------------------------------------------

    def _stream(self, call: Call, address: str, name: str) -> None:
        self.world.started.append((call.sid, address, name))
        self.world.work(call, self._talk(call, address))

    async def _talk(self, call: Call, address: str) -> None:
        assert self._session is not None
        signature = RequestValidator(self.token).compute_signature(address, {})
        stream = sid("MZ")
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with self._session.ws_connect(address, headers={"X-Twilio-Signature": signature}) as socket:
                await socket.send_json({"event": "connected", "protocol": "Call", "version": "1.0.0"})
                start = {
                    "accountSid": self.account,
                    "callSid": call.sid,
                    "streamSid": stream,
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    "customParameters": {},
                }
                await socket.send_json({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": stream})
                call.sockets.append(socket)
                for number in count():
                    if socket.closed or call.over:
                        break
                    frame = said(call.seed, begin=number * FRAME / 8000, end=(number + 1) * FRAME / 8000)
                    media = {
                        "track": "inbound",
                        "chunk": str(number + 1),
                        "timestamp": str(number * 20),
                        "payload": b64encode(mu_law(frame)).decode(),
                    }
                    await socket.send_json({"event": "media", "media": media, "streamSid": stream})
                    await self.world.pass_time(0.02)

    # --- the REST interface -----------------------------------------------------------------------------------------

    @web.middleware
    async def _edge(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Who asks, what goes wrong, and whether all of it is as Twilio describes."""
        given = b64decode(request.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        if given != f"{self.user}:{self.secret}" or request.match_info.get("account") not in (None, self.account):
            return _error(401, 20003, "Authenticate")
        form = await request.post()
        if request.method == "POST":
            self.posted.append(request.path)
        stuck = request.method == "POST" and request.match_info.get("conference") in self.hanging_on
        if self.hanging or stuck:
            await self.world.pass_time(3600)
        mischief, order = self.world.mischief, request.method == "POST"
        if order and mischief.fail_before_doing > 0:
            mischief.fail_before_doing -= 1
            return _error(500, 20500, "Internal Server Error")
        answer: web.StreamResponse = await handler(request)
        self._judge(request, list(form) if order else list(request.query), answer)
        if order and mischief.fail_after_doing > 0:
            mischief.fail_after_doing -= 1
            return _error(500, 20500, "Internal Server Error")
        if order and mischief.silent > 0:
            mischief.silent -= 1
            await self.world.pass_time(3600)
        return answer

    def _judge(self, request: web.Request, names: list[str], answer: web.StreamResponse) -> None:
        if self._described is None or not isinstance(answer, web.Response) or request.path.endswith(".wav"):
            return
        known = [name.rstrip("<>") for name in names]
        self.faults += self._described.faults_of_request(request.method, request.path, known)
        if answer.status < 400:
            body = json.loads(answer.body) if answer.body else None  # type: ignore[arg-type]
            self.faults += self._described.faults_of_answer(request.method, request.path, answer.status, body)

    async def _list_conferences(self, request: web.Request) -> web.Response:
        found = [
            each
            for each in reversed(self.world.conferences.values())
            if request.query.get("FriendlyName", each.name) == each.name
            and request.query.get("Status", each.status) == each.status
        ]
        return self._page(request, "conferences", [self._of_conference(each) for each in found])

    async def _conference(self, request: web.Request) -> web.Response:
        conference = self.world.conferences.get(request.match_info["conference"])
        return _missing() if conference is None else web.json_response(self._of_conference(conference))

    async def _end_conference(self, request: web.Request) -> web.Response:
        conference = self.world.conferences.get(request.match_info["conference"])
        if conference is None:
            return _missing()
        if (await request.post()).get("Status") == "completed":
            self.world.end(conference, "conference-ended-via-api")
        return web.json_response(self._of_conference(conference))

    async def _list_participants(self, request: web.Request) -> web.Response:
        conference = self.world.conferences.get(request.match_info["conference"])
        if conference is None:
            return _missing()
        listed = [self._of_participant(conference, each) for each in conference.participants.values()]
        return self._page(request, "participants", listed)

    async def _invite(self, request: web.Request) -> web.Response:
        form = await request.post()
        events = {name: tuple(str(each) for each in form.getall(name)) for name in form if name.endswith("Event")}
        name = request.match_info["conference"]
        made = self.world.invite(name, {key: str(value) for key, value in form.items()}, events)
        return web.json_response(self._of_participant(self.world.conference(name), made), status=201)

    async def _participant(self, request: web.Request) -> web.Response:
        conference = self.world.conferences.get(request.match_info["conference"])
        found = conference.by(request.match_info["name"]) if conference is not None else None
        if conference is None or found is None:
            return _missing()
        return web.json_response(self._of_participant(conference, found))

    async def _change(self, request: web.Request) -> web.Response:
        conference = self.world.conferences.get(request.match_info["conference"])
        found = conference.by(request.match_info["name"]) if conference is not None else None
        if conference is None or found is None or not found.joined:
            return _missing()
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.world.change(conference, found, form)
        return web.json_response(self._of_participant(conference, found))

    async def _list_calls(self, request: web.Request) -> web.Response:
        found = [each for each in self.world.calls.values() if request.query.get("To", each.to) == each.to]
        return self._page(request, "calls", [self._of_call(each) for each in found])

    async def _call(self, request: web.Request) -> web.Response:
        call = self.world.calls.get(request.match_info["call"])
        return _missing() if call is None else web.json_response(self._of_call(call))

    async def _change_call(self, request: web.Request) -> web.Response:
        call = self.world.calls.get(request.match_info["call"])
        if call is None:
            return _missing()
        if call.over:
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        form = await request.post()
        if form.get("Status") == "completed":
            self.world.finish(call, "completed" if call.answered is not None else "canceled")
        elif "Twiml" in form:
            self.world.leave_conferences(call)
            self._obey(call, Xml.fromstring(str(form["Twiml"])), "")
        return web.json_response(self._of_call(call))

    async def _stop_recording(self, request: web.Request) -> web.Response:
        call = self.world.calls.get(request.match_info["call"])
        found = self.world.recordings.get(request.match_info["recording"])
        if call is None or found is None or call.recording is not found:
            return _missing()
        if (await request.post()).get("Status") == "stopped":
            self.world.stop_recording(call)
        return web.json_response(self._of_call_recording(found))

    async def _start_stream(self, request: web.Request) -> web.Response:
        call = self.world.calls.get(request.match_info["call"])
        if call is None or call.over:
            return _missing()
        form = await request.post()
        self._stream(call, str(form["Url"]), str(form.get("Name", "")))
        body = {
            "sid": sid("MZ"),
            "account_sid": self.account,
            "call_sid": call.sid,
            "name": form.get("Name"),
            "status": "in-progress",
            "date_updated": _rfc2822(datetime.now(UTC)),
            "uri": request.path,
        }
        return web.json_response(body)

    async def _list_recordings(self, request: web.Request) -> web.Response:
        wanted = request.query.get("CallSid")
        found = [each for each in self.world.recordings.values() if wanted in (None, each.call)]
        return self._page(request, "recordings", [self._of_recording(each) for each in found])

    async def _recording(self, request: web.Request) -> web.Response:
        found = self.world.recordings.get(request.match_info["recording"])
        return _missing() if found is None else web.json_response(self._of_recording(found))

    async def _sound(self, request: web.Request) -> web.Response:
        found = self.world.recordings.get(request.match_info["recording"])
        if found is None or found.status != "completed":
            return _missing()
        return web.Response(body=self.damage(found.wav), content_type="audio/x-wav")

    async def _delete(self, request: web.Request) -> web.Response:
        if self.refuse_deletions > 0:
            self.refuse_deletions -= 1
            return _error(500, 20500, "Internal Server Error")
        if self.world.recordings.pop(request.match_info["recording"], None) is None:
            return _missing()
        self.world.deleted.append(request.match_info["recording"])
        return web.Response(status=204)

    # --- how the account is set up ------------------------------------------------------------------------------------

    def own_number(self, number: str, **changes: Any) -> None:
        """Have a number, set up as a new one is but for ``changes``."""
        capabilities = {"voice": True, "sms": False, "mms": False, "fax": False}
        more = {"phone_number": number, "capabilities": capabilities, "trunk_sid": None, "voice_application_sid": None}
        self.numbers[number] = self._entrance("PN", "IncomingPhoneNumbers") | more | changes

    def own_domain(self, name: str, **changes: Any) -> None:
        more = {"domain_name": name, "auth_type": "", "secure": False, "sip_registration": False}
        self.domains[name] = self._entrance("SD", "SIP/Domains") | more | changes

    def own_application(self, application: str, **changes: Any) -> None:
        self.applications[application] = self._entrance("AP", "Applications") | {"sid": application} | changes

    def _entrance(self, prefix: str, folder: str) -> dict[str, Any]:
        made = sid(prefix)
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "date_created": _rfc2822(datetime.now(UTC)),
            "date_updated": _rfc2822(datetime.now(UTC)),
            "friendly_name": "emulated",
            "sid": made,
            "uri": f"/2010-04-01/Accounts/{self.account}/{folder}/{made}.json",
            "voice_fallback_method": "POST",
            "voice_fallback_url": None,
            "voice_method": "POST",
            "voice_url": None,
        }

    async def _list_numbers(self, request: web.Request) -> web.Response:
        return self._page(request, "incoming_phone_numbers", list(self.numbers.values()))

    async def _list_domains(self, request: web.Request) -> web.Response:
        return self._page(request, "domains", list(self.domains.values()))

    async def _application(self, request: web.Request) -> web.Response:
        found = self.applications.get(request.match_info["application"])
        return _missing() if found is None else web.json_response(found)

    # --- how things look --------------------------------------------------------------------------------------------

    def _page(self, request: web.Request, name: str, each: list[dict[str, Any]]) -> web.Response:
        listed = {
            "end": max(0, len(each) - 1),
            "first_page_uri": f"{request.path}?Page=0",
            "next_page_uri": None,
            "page": 0,
            "page_size": int(request.query.get("PageSize", "50")),
            "previous_page_uri": None,
            "start": 0,
            "uri": request.path_qs,
            name: each,
        }
        return web.json_response(listed)

    def _of_conference(self, conference: Conference) -> dict[str, Any]:
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "call_sid_ending_conference": None,
            "date_created": _rfc2822(conference.created),
            "date_updated": _rfc2822(datetime.now(UTC)),
            "friendly_name": conference.name,
            "reason_conference_ended": conference.reason,
            "region": "jp1",
            "sid": conference.sid,
            "status": conference.status,
            "subresource_uris": {},
            "uri": f"/2010-04-01/Accounts/{self.account}/Conferences/{conference.sid}.json",
        }

    def _of_participant(self, conference: Conference, participant: Participant) -> dict[str, Any]:
        call = participant.call.sid
        return {
            "account_sid": self.account,
            "call_sid": call,
            "call_sid_to_coach": participant.coaching or None,
            "coaching": bool(participant.coaching),
            "conference_sid": conference.sid,
            "date_created": _rfc2822(participant.created),
            "date_updated": _rfc2822(datetime.now(UTC)),
            "end_conference_on_exit": False,
            "hold": participant.hold,
            "label": participant.label or None,
            "muted": participant.muted,
            "queue_time": str(participant.call.queue_ms),
            "start_conference_on_enter": True,
            "status": participant.status,
            "uri": f"/2010-04-01/Accounts/{self.account}/Conferences/{conference.sid}/Participants/{call}.json",
        }

    def _of_call(self, call: Call) -> dict[str, Any]:
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "date_created": _rfc2822(call.created),
            "date_updated": _rfc2822(datetime.now(UTC)),
            "direction": call.direction,
            "duration": None if call.ended is None else "1",
            "end_time": None,
            "from": call.from_,
            "parent_call_sid": None,
            "queue_time": str(call.queue_ms),
            "sid": call.sid,
            "start_time": _rfc2822(call.answered_at) if call.answered_at else None,
            "status": call.status,
            "subresource_uris": {},
            "to": call.to,
            "uri": f"/2010-04-01/Accounts/{self.account}/Calls/{call.sid}.json",
        }

    def _of_recording(self, recording: Recording) -> dict[str, Any]:
        address = f"/2010-04-01/Accounts/{self.account}/Recordings/{recording.sid}"
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "call_sid": recording.call,
            "channels": 2,
            "conference_sid": None,
            "date_created": _rfc2822(recording.began),
            "date_updated": _rfc2822(datetime.now(UTC)),
            "duration": str(recording.duration_s),
            "encryption_details": None,
            "error_code": None,
            "media_url": f"https://api.twilio.com{address}",
            "price": None,
            "price_unit": "USD",
            "sid": recording.sid,
            "source": recording.source,
            "start_time": _rfc2822(recording.began),
            "status": recording.status,
            "subresource_uris": {},
            "uri": f"{address}.json",
        }

    def _of_call_recording(self, recording: Recording) -> dict[str, Any]:
        dropped = ("media_url", "subresource_uris")
        uri = f"/2010-04-01/Accounts/{self.account}/Calls/{recording.call}/Recordings/{recording.sid}.json"
        whole = self._of_recording(recording) | {"uri": uri, "track": "both"}
        return {name: value for name, value in whole.items() if name not in dropped}

    def _later(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task


async def _send_json(socket: aiohttp.ClientWebSocketResponse, message: Mapping[str, Any]) -> None:
    await socket.send_json(message)


def _error(status: int, code: int, message: str) -> web.Response:
    body = {"code": code, "message": message, "more_info": "", "status": status}
    return web.json_response(body, status=status)


def _missing() -> web.Response:
    return _error(404, 20404, "The requested resource was not found")
