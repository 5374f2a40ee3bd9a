"""Twilio as the settings describe it, with its door and the way desks reach it."""

import re
from pathlib import Path
from typing import Literal

from sos.calls.adapters.twilio.account import Finding, Wanted, found, judged
from sos.calls.adapters.twilio.context import Options
from sos.calls.adapters.twilio.provider import TwilioProvider
from sos.calls.adapters.twilio.rest import Account, Rest
from sos.calls.adapters.twilio.twiml import Urls
from sos.calls.adapters.twilio.webhooks import OperatorOf, Trust, TwilioEndpoint, VoiceKeys
from sos.calls.agency_callers import AgencyCallers
from sos.calls.bridge import DESK, Bridge, NumberOf
from sos.calls.http import IncidentOfCall
from sos.clock import Clock
from sos.errors import Misconfigured
from sos.incident.model import AgencyId, TenantId
from sos.settings import Settings, TwilioSettings

DeskVoice = Literal["webrtc", "sdk", "telephone", "none"]
"""How a desk takes part in a call: by an offer to this machine, by Twilio's Voice SDK, by the telephone on it."""

EDGES = ("ashburn", "dublin", "frankfurt", "roaming", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla")
"""Edge locations that ``roaming`` may lead to: the public ones of Voice SDK 2.18."""

_IDENTITY = re.compile(r"[A-Za-z0-9_]{1,121}\Z")
"""What a Voice SDK client may be called; anything else reaches us changed, and as nobody we know."""


def provider(settings: Settings, group: TwilioSettings, *, recordings: Path, clock: Clock) -> TwilioProvider:
    """The exchange, to be opened.  ``Misconfigured`` names a secret that cannot be read, or a tenant that is not there.

    All that the door needs is looked at here, before anything runs.
    """
    _trust(settings, group)
    for operator in settings.operators:
        if desk_voice(settings, operator.id) == "sdk" and not _IDENTITY.match(operator.id):
            raise Misconfigured(f"operators.{operator.id}: the Voice SDK takes letters, digits and _ in an id alone")
    known = {tenant.id for tenant in settings.tenants}
    for number in group.numbers:
        if number.tenant not in known:
            raise Misconfigured(f"twilio.numbers: there is no tenant {number.tenant}")
    options = Options(
        account=_account(group),
        caller=group.caller,
        urls=Urls(base=settings.url.rstrip("/")),
        fallback=group.fallback,
        mixing_region=group.mixing_region,
        ring_s=group.ring_s,
    )
    return TwilioProvider(options, recordings=recordings, store=settings.data / "twilio", clock=clock)


async def account_findings(settings: Settings) -> list[Finding]:
    """What is right and wrong with the account at Twilio.

    ``Misconfigured`` without a group ``twilio``, ``Unavailable`` when Twilio does not answer or does not let us in.
    """
    group = settings.twilio
    if group is None:
        raise Misconfigured("there is no group twilio in the settings")
    called = [number.called for number in group.numbers]
    wanted = Wanted(
        base=settings.url.rstrip("/"),
        numbers=tuple(each for each in called if each.startswith("+")),
        domains=tuple(each for each in called if not each.startswith("+")),
        caller=group.caller,
        application=group.desk_application_sid,
    )
    async with Rest(_account(group)) as rest:
        return judged(wanted, await found(rest, wanted))


def door(
    settings: Settings,
    group: TwilioSettings,
    *,
    exchange: TwilioProvider,
    bridge: Bridge,
    incident_of_call: IncidentOfCall,
    agencies: AgencyCallers,
    operator_of: OperatorOf,
    clock: Clock,
) -> TwilioEndpoint:
    """Where Twilio comes in."""
    secret = _secret("api_key_secret_file", group.api_key_secret_file)
    keys = VoiceKeys(
        account=group.account_sid,
        key=group.api_key_sid,
        secret=secret,
        application=group.desk_application_sid,
        edges=group.desk_edges,
    )
    return TwilioEndpoint(
        exchange,
        bridge,
        trust=_trust(settings, group),
        tenants={number.called: TenantId(number.tenant) for number in group.numbers},
        incident_of_call=incident_of_call,
        agencies=agencies,
        operator_of=operator_of,
        voice_keys=keys if group.desk_application_sid else None,
        clock=clock,
    )


def desk_voice(settings: Settings, operator: str) -> DeskVoice:
    """How the desk of ``operator`` takes part in calls."""
    if settings.telephony != "twilio" or settings.twilio is None:
        return "webrtc"
    if any(line.operator == operator for line in settings.twilio.desk_lines):
        return "telephone"
    return "sdk" if settings.twilio.desk_application_sid else "none"


def desk_sources(settings: Settings) -> tuple[str, ...]:
    """Where the console's page must reach the SDK's signalling (CSP ``connect-src``); nowhere when no desk uses it.

    After it was connected once the SDK goes back to the edge that took it, so ``roaming`` stands for all of them.
    """
    if settings.telephony != "twilio" or settings.twilio is None or not settings.twilio.desk_application_sid:
        return ()
    wanted = settings.twilio.desk_edges
    return tuple(f"wss://voice-js.{edge}.twilio.com" for edge in (EDGES if "roaming" in wanted else wanted))


def _account(group: TwilioSettings) -> Account:
    return Account(
        sid=group.account_sid,
        user=group.api_key_sid,
        secret=_secret("api_key_secret_file", group.api_key_secret_file),
        base=group.base_url,
        edge=group.edge,
        region=group.region,
        within_s=group.within_s,
    )


def _trust(settings: Settings, group: TwilioSettings) -> Trust:
    files = {"auth_token_file": group.auth_token_file, "previous_auth_token_file": group.previous_auth_token_file}
    return Trust(
        account=group.account_sid,
        tokens=tuple(_secret(name, file) for name, file in files.items() if file),
        base=settings.url.rstrip("/"),
    )


def with_desks(agencies: NumberOf, group: TwilioSettings | None) -> NumberOf:
    """Numbers of agencies, and of the desks that have a telephone."""
    desks = {line.operator: line.number for line in group.desk_lines} if group is not None else {}

    def number_of(who: AgencyId, line: str) -> str | None:
        return desks.get(who) if line == DESK else agencies(who, line)

    return number_of


def _secret(name: str, file: str) -> str:
    try:
        text = Path(file).read_text().strip()
    except OSError as wrong:
        raise Misconfigured(f"twilio.{name}: {file} cannot be read ({wrong.strerror})") from wrong
    if not text:
        raise Misconfigured(f"twilio.{name}: {file} is empty")
    return text
