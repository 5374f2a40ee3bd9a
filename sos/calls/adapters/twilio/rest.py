"""Twilio's REST interface through its own client library, with timeouts that hold and no repetition behind our back.

Of every failure it says whether the order may have been carried out: ``Unclear`` when it may, plain ``Unavailable``
when it was not.  Nothing here posts twice; who repeats asks first (``provider``).
"""

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from msgspec import Struct
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from sos.errors import Refused, Unavailable, Unknown

Result = TypeVar("Result")

MOST_BYTES = 512 * 1024 * 1024
"""Of one recording: over four hours of two channels at 8 kHz and 16 bit."""
_MOST_LISTED = 1000
_quiet = logging.getLogger("sos.calls.twilio.client")
_quiet.setLevel(logging.CRITICAL)
"""The library logs every request with its numbers, which are people's."""


class Unclear(Unavailable):
    """Twilio did not say whether it has done this."""


class Account(Struct, frozen=True, kw_only=True):
    sid: str
    user: str
    """API key, or the account's own id."""
    secret: str
    base: str = ""
    """Another address than api.twilio.com (a test bench); empty in production."""
    edge: str = ""
    region: str = ""
    within_s: float = 4.0
    """For one request; Twilio's own answers take 0.1 to 0.5 s."""

    def __repr__(self) -> str:
        return f"Account(sid={self.sid!r})"


class Placed(Struct, frozen=True, kw_only=True):
    """A call that Twilio has taken on."""

    call: str
    conference: str
    status: str
    queued_ms: int
    """How long it will wait for its turn; the default is one new call a second for a whole account."""


class Seen(Struct, frozen=True, kw_only=True):
    """A participant as Twilio has it now."""

    call: str
    conference: str
    label: str
    status: str
    held: bool
    muted: bool
    coaching: str
    """Call id of the one who hears it; empty: everybody."""


class Copy(Struct, frozen=True, kw_only=True):
    """A recording at Twilio."""

    sid: str
    call: str
    status: str
    began: datetime | None
    """To the second; Twilio tells no finer."""
    duration_s: int


class Wire(AsyncHttpClient):  # type: ignore[misc]  # the library has no types
    """The library's transport on a session of ours.

    The library's own ignores the timeout it is constructed with, uses what aiohttp has deprecated, and can be told to
    repeat a POST after a 500, which would be a second call to the fire brigade.
    """

    def __init__(self, session: aiohttp.ClientSession, account: Account) -> None:
        super().__init__(_quiet, True, account.within_s)
        self._session = session
        self._account = account

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        allow_redirects: bool = False,
    ) -> Response:
        """One exchange.  ``Unavailable`` when nothing was asked, ``Unclear`` when it was and no answer came."""
        wanted = {"Authorization": authorization(self._account), **(headers or {})}
        within = aiohttp.ClientTimeout(total=timeout or self._account.within_s)
        try:
            async with self._session.request(
                method,
                rebased(uri, self._account.base),
                params=_flat(params),
                data=_flat(data),
                headers=wanted,
                timeout=within,
                allow_redirects=allow_redirects,
            ) as answer:
                text = await answer.text()
        except aiohttp.ClientConnectorError as away:
            raise Unavailable("Twilio cannot be reached") from away
        except (aiohttp.ClientError, TimeoutError) as lost:
            raise Unclear("Twilio did not answer in time") from lost
        if answer.status == 429:
            raise Unavailable("Twilio wants fewer requests just now")
        if answer.status >= 500:
            raise Unclear(f"Twilio answered {answer.status}")
        return Response(answer.status, text, answer.headers)


class Rest:
    """The part of the interface that is used.  Opened, it holds one pool of connections."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._session: aiohttp.ClientSession | None = None
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._client = Client(
            self._account.user,
            self._account.secret,
            self._account.sid,
            http_client=Wire(self._session, self._account),
            edge=self._account.edge or None,
            region=self._account.region or None,
        ).api.v2010.account
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def dial(self, conference: str, options: Mapping[str, Any]) -> Placed:
        """Call somebody into the conference of that name, which begins with it."""
        made = await _asked(self._client.conferences(conference).participants.create_async(**options))
        return Placed(
            call=made.call_sid,
            conference=made.conference_sid,
            status=str(made.status),
            queued_ms=_number(made.queue_time),
        )

    async def participants(self, conference: str) -> list[Seen]:
        """Who is in a conference, by its id."""
        try:
            listed = await _asked(self._client.conferences(conference).participants.list_async(limit=_MOST_LISTED))
        except Unknown:
            return []
        return [_seen(each) for each in listed]

    async def participant(self, conference: str, label: str) -> Seen | None:
        try:
            return _seen(await _asked(self._client.conferences(conference).participants(label).fetch_async()))
        except Unknown:
            return None

    async def change(self, conference: str, label: str, **changes: object) -> Seen | None:
        """Change a participant; None when it is not there."""
        try:
            updated = self._client.conferences(conference).participants(label).update_async(**changes)
            return _seen(await _asked(updated))
        except Unknown:
            return None

    async def conferences(self, name: str | None = None, *, live: bool = True) -> list[tuple[str, str]]:
        """Id and name of the conferences in progress (and of those about to begin), newest first."""
        found: list[tuple[str, str]] = []
        for status in ("in-progress", "init") if live else (None,):
            wanted = {k: v for k, v in (("friendly_name", name), ("status", status)) if v is not None}
            listed = await _asked(self._client.conferences.list_async(limit=_MOST_LISTED, **wanted))
            found += [(each.sid, each.friendly_name) for each in listed]
        return found

    async def end_conference(self, conference: str) -> None:
        await _unless_gone(self._client.conferences(conference).update_async(status="completed"))

    async def call_status(self, call: str) -> str | None:
        """``CallStatus`` of a call; None when Twilio knows none of that id."""
        try:
            return str((await _asked(self._client.calls(call).fetch_async())).status)
        except Unknown:
            return None

    async def calls_to(self, number: str, *, since: datetime) -> list[tuple[str, str]]:
        """Id and status of the calls to ``number`` made since then, to the second, oldest first."""
        listed = await _asked(self._client.calls.list_async(to=number, limit=_MOST_LISTED))
        young = [each for each in listed if each.date_created is not None and each.date_created >= since]
        return [(each.sid, str(each.status)) for each in sorted(young, key=lambda each: each.date_created)]

    async def redirect(self, call: str, twiml: str) -> None:
        """Have a call do ``twiml`` from now on.  ``Unknown`` when it is over."""
        await _asked(self._client.calls(call).update_async(twiml=twiml))

    async def stop_recording(self, call: str, recording: str) -> None:
        """End one recording of a call that goes on; nothing when it has ended."""
        await _unless_gone(self._client.calls(call).recordings(recording).update_async(status="stopped"))

    async def hang_up(self, call: str) -> None:
        """End a call, ringing or not; nothing when it is over."""
        await _unless_gone(self._client.calls(call).update_async(status="completed"))

    async def fork(self, call: str, *, url: str, name: str) -> None:
        """Send a copy of what the party says to ``url``; nothing when the call is over or the fork is there."""
        created = self._client.calls(call).streams.create_async(url=url, name=name, track="inbound_track")
        await _unless_gone(created)

    async def copies(self, call: str) -> list[Copy]:
        """The recordings of a call."""
        listed = await _asked(self._client.recordings.list_async(call_sid=call, limit=_MOST_LISTED))
        return [
            Copy(
                sid=each.sid,
                call=each.call_sid,
                status=str(each.status),
                began=each.start_time,
                duration_s=_number(each.duration),
            )
            for each in listed
        ]

    async def sound_of(self, copy: Copy) -> bytes:
        """The recording's WAV, both channels, whole: its length is the one announced.

        The address is made here and not taken from a callback.  ``Unknown`` when Twilio has it no more, ``Unavailable``
        when it does not come whole.
        """
        path = f"/2010-04-01/Accounts/{self._account.sid}/Recordings/{copy.sid}.wav"
        async with self._getting(path) as answer:
            if answer.status == 404:
                raise Unknown("Twilio has no such recording any more")
            if answer.status != 200:
                raise Unavailable(f"Twilio answered {answer.status} for a recording")
            if (answer.content_length or 0) > MOST_BYTES:
                raise Unavailable("a recording is larger than anything we take")
            sound = await answer.read()
            if answer.content_length is not None and len(sound) != answer.content_length:
                raise Unavailable("a recording came in part only")
        return sound

    async def delete_copy(self, sid: str) -> None:
        """Delete a recording at Twilio; nothing when it is gone."""
        await _unless_gone(self._client.recordings(sid).delete_async())

    # --- how the account is set up ----------------------------------------------------------------------------------

    async def phone_numbers(self) -> list[dict[str, object]]:
        """The account's numbers with where their calls go."""
        listed = await _asked(self._client.incoming_phone_numbers.list_async(limit=_MOST_LISTED))
        wanted = ("phone_number", "voice_application_sid", "trunk_sid", *_VOICE)
        return [_fields(each, wanted) | {"voice": _takes_voice(each)} for each in listed]

    async def sip_domains(self) -> list[dict[str, object]]:
        """The account's SIP domains with where their calls go and who gets in."""
        listed = await _asked(self._client.sip.domains.list_async(limit=_MOST_LISTED))
        return [_fields(each, ("domain_name", "auth_type", "secure", *_VOICE)) for each in listed]

    async def application(self, sid: str) -> dict[str, object] | None:
        """A TwiML application; None when the account has none of that id."""
        try:
            return _fields(await _asked(self._client.applications(sid).fetch_async()), ("sid", *_VOICE))
        except Unknown:
            return None

    async def newest_recording_is_sealed(self) -> bool:
        """Whether the newest recording was encrypted with a key of the account's; False when there is none."""
        listed = await _asked(self._client.recordings.list_async(limit=1))
        return any(each.encryption_details for each in listed)

    @asynccontextmanager
    async def _getting(self, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise Unavailable("the connection to Twilio is closed")
        within = aiohttp.ClientTimeout(total=120.0, sock_connect=5.0, sock_read=15.0)
        try:
            async with self._session.get(
                rebased(f"https://api.twilio.com{path}?RequestedChannels=2", self._account.base),
                headers={"Authorization": authorization(self._account)},
                timeout=within,
            ) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError) as lost:
            raise Unavailable("Twilio does not give a recording") from lost


def authorization(account: Account) -> str:
    """RFC 7617, as aiohttp no longer builds it."""
    return "Basic " + b64encode(f"{account.user}:{account.secret}".encode()).decode()


def rebased(url: str, base: str) -> str:
    """``url`` with scheme and host of ``base``, where there is one."""
    if not base:
        return url
    wanted, given = urlsplit(base), urlsplit(url)
    return urlunsplit((wanted.scheme, wanted.netloc, given.path, given.query, ""))


def _flat(fields: Mapping[str, object] | None) -> list[tuple[str, str]] | None:
    """Parameters as Twilio reads them: a list is its name repeated."""
    if fields is None:
        return None
    flat: list[tuple[str, str]] = []
    for name, value in fields.items():
        each = value if isinstance(value, list) else [value]
        flat += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in each]
    return flat


def _seen(participant: Any) -> Seen:
    return Seen(
        call=participant.call_sid,
        conference=participant.conference_sid,
        label=participant.label or "",
        status=str(participant.status),
        held=bool(participant.hold),
        muted=bool(participant.muted),
        coaching=(participant.call_sid_to_coach or "") if participant.coaching else "",
    )


_VOICE = ("voice_url", "voice_method", "voice_fallback_url")


def _fields(resource: Any, names: tuple[str, ...]) -> dict[str, object]:
    return {name: getattr(resource, name) for name in names}


def _takes_voice(number: Any) -> bool:
    able = number.capabilities
    return bool(able.get("voice") if isinstance(able, dict) else getattr(able, "voice", False))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


async def _unless_gone(order: Awaitable[Any]) -> None:
    try:
        await _asked(order)
    except Unknown:
        return


async def _asked(order: Awaitable[Result]) -> Result:
    """``order``'s result.  ``Unknown`` for what is not there or is over, ``Refused`` for what Twilio will not do.

    A page that fails comes as a plain ``TwilioException`` with the answer as its second argument.
    """
    try:
        return await order
    except TwilioRestException as refused:
        raise _fault(refused.status, refused.code) from refused
    except TwilioException as refused:
        status = getattr(refused.args[1], "status_code", 0) if len(refused.args) > 1 else 0
        raise _fault(status, 0) from refused
    except TimeoutError as late:
        raise Unclear("Twilio did not answer in time") from late


_OVER = frozenset({21220, 21218, 20404, 31902})
"""Error codes: the call is not in progress, the call is over, there is no such thing, the stream is there already."""


def _fault(status: int, code: int) -> Refused | Unavailable:
    if status == 404 or code in _OVER:
        return Unknown("Twilio has no such thing any more")
    if status in (401, 403):
        return Unavailable(f"Twilio does not let us in ({code}): see the settings of group twilio")
    return Refused(f"Twilio refuses this ({code})")
