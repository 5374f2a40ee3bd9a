"""Is the account at Twilio set up as the service needs it?  It is read, and never changed from here.

``judged`` is pure: what the settings want beside what the account has.  Some of it the interface does not tell
(``UNTOLD``); that is said as well, so that nobody takes silence for a yes.
"""

from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import urldefrag, urlsplit

from msgspec import Struct

from sos.calls.adapters.twilio.rest import Rest
from sos.calls.adapters.twilio.twiml import OVERRIDES


class Verdict(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    LOOK = "look"
    """Cannot be read here: somebody must look at it in Twilio's console."""


class Finding(Struct, frozen=True, kw_only=True):
    about: str
    """A number, a SIP domain, an application, or a part of the account."""
    verdict: Verdict
    says: str


class Wanted(Struct, frozen=True, kw_only=True):
    """What the settings say."""

    base: str
    """Our public address, without a trailing slash."""
    numbers: tuple[str, ...]
    """E.164 numbers that vehicles call."""
    domains: tuple[str, ...]
    """SIP domains that they call."""
    caller: str
    application: str = ""
    """TwiML application of desks; empty: none uses the Voice SDK."""


class Entrance(Struct, frozen=True, kw_only=True):
    """Where a call comes in, as the account has it."""

    name: str
    voice_url: str
    method: str
    fallback_url: str
    elsewhere: str = ""
    """What stands over the voice URL: an application or a trunk."""
    voice: bool = True
    """Whether it takes voice calls at all."""
    guarded: bool = True
    """Whether only known callers get in (SIP domains)."""
    encrypted: bool = True
    """Whether it asks for TLS and SRTP (SIP domains)."""


class Found(Struct, frozen=True, kw_only=True):
    """What the account has of it."""

    numbers: tuple[Entrance, ...]
    domains: tuple[Entrance, ...]
    application: Entrance | None
    sealed_recordings: bool = False
    """The newest recording was encrypted with a key of the account's: the service could not read it."""


UNTOLD = (
    Finding(
        about="calls per second",
        verdict=Verdict.LOOK,
        says="cannot be read; with the default of 1 calls wait in silence (metric sos_twilio_queued_legs_total)",
    ),
    Finding(
        about="recordings",
        verdict=Verdict.LOOK,
        says='cannot be read: "HTTP authentication for media" must be on, PCI mode off',
    ),
    Finding(
        about="geographic permissions",
        verdict=Verdict.LOOK,
        says="are not read here: only the countries that are called",
    ),
)


async def found(rest: Rest, wanted: Wanted) -> Found:
    """Read the account.  ``Unavailable`` when Twilio does not answer or does not let us in."""
    return Found(
        numbers=tuple(_number(each) for each in await rest.phone_numbers()),
        domains=tuple(_domain(each) for each in await rest.sip_domains()) if wanted.domains else (),
        application=_application(await rest.application(wanted.application)) if wanted.application else None,
        sealed_recordings=await rest.newest_recording_is_sealed(),
    )


def judged(wanted: Wanted, account: Found) -> list[Finding]:
    """Everything that is right, wrong, or to be looked at; numbers first, in the order of the settings."""
    findings: list[Finding] = []
    for names, entrances, what in (
        (wanted.numbers, account.numbers, "number"),
        (wanted.domains, account.domains, "SIP domain"),
    ):
        by_name = {each.name: each for each in entrances}
        for name in names:
            findings += _judge(name, by_name.get(name), address=f"{wanted.base}/twilio/voice", what=what)
    if wanted.caller not in {each.name for each in account.numbers}:
        findings.append(_wrong(wanted.caller, "twilio.caller is no number of this account: calls would be refused"))
    if wanted.application:
        desk = f"{wanted.base}/twilio/desk"
        findings += _judge(wanted.application, account.application, address=desk, what="TwiML application")
    if account.sealed_recordings:
        findings.append(_wrong("recordings", "public-key encryption is on: the service cannot read what it fetches"))
    return [*findings, *UNTOLD]


def _judge(name: str, entrance: Entrance | None, *, address: str, what: str) -> list[Finding]:
    if entrance is None:
        return [_wrong(name, f"this account has no such {what}")]
    faults = [_wrong(name, fault) for fault in _faults(entrance, address, falls_back=what != "TwiML application")]
    return faults or [
        Finding(about=name, verdict=Verdict.RIGHT, says=f"{what}: voice and fallback URL as they should be")
    ]


def _faults(entrance: Entrance, address: str, *, falls_back: bool) -> Iterator[str]:
    url, overrides = urldefrag(entrance.voice_url)
    if not entrance.voice:
        yield "takes no voice calls"
    if entrance.elsewhere:
        yield f"its voice URL does not count: {entrance.elsewhere} stands over it"
    elif url != address:
        yield f"voice URL is {entrance.voice_url or 'empty'}, and should be {address}{OVERRIDES}"
    elif f"#{overrides}" != OVERRIDES:
        yield f"voice URL lacks the connection overrides {OVERRIDES}: Twilio's own wait half a minute for us"
    if entrance.method != "POST":
        yield f"voice URL is asked by {entrance.method}, and should be by POST"
    if falls_back and not entrance.fallback_url:
        yield "has no fallback URL: nobody answers when this service does not"
    elif falls_back and urlsplit(entrance.fallback_url).hostname == urlsplit(address).hostname:
        yield "its fallback URL is on this service's own site, and falls with it"
    if not entrance.guarded:
        yield "anybody may call it: give it credentials or an IP access list"
    if not entrance.encrypted:
        yield "takes calls in the clear: switch on secure media"


def _wrong(about: str, says: str) -> Finding:
    return Finding(about=about, verdict=Verdict.WRONG, says=says)


def _number(each: dict[str, object]) -> Entrance:
    over = next((name for name in ("trunk_sid", "voice_application_sid") if each[name]), "")
    return Entrance(
        name=str(each["phone_number"]),
        voice_url=str(each["voice_url"] or ""),
        method=str(each["voice_method"] or ""),
        fallback_url=str(each["voice_fallback_url"] or ""),
        elsewhere=f"{over.removesuffix('_sid').replace('_', ' ')} {each[over]}" if over else "",
        voice=bool(each["voice"]),
    )


def _domain(each: dict[str, object]) -> Entrance:
    return Entrance(
        name=str(each["domain_name"]),
        voice_url=str(each["voice_url"] or ""),
        method=str(each["voice_method"] or ""),
        fallback_url=str(each["voice_fallback_url"] or ""),
        guarded=bool(each["auth_type"]),
        encrypted=bool(each["secure"]),
    )


def _application(each: dict[str, object] | None) -> Entrance | None:
    if each is None:
        return None
    return Entrance(
        name=str(each["sid"]),
        voice_url=str(each["voice_url"] or ""),
        method=str(each["voice_method"] or ""),
        fallback_url="",
    )
