"""The telephone exchange as the settings describe it, with its door."""

from pathlib import Path

from sos.calls.adapters.twilio.provider import Options, TwilioProvider
from sos.calls.adapters.twilio.rest import Account
from sos.calls.adapters.twilio.twiml import Urls
from sos.calls.bridge import DESK, Bridge, NumberOf
from sos.calls.http import IncidentOfCall
from sos.calls.webhooks import OperatorOf, Trust, TwilioDoor, VoiceKeys
from sos.clock import Clock
from sos.errors import Misconfigured
from sos.incident.model import AgencyId, TenantId
from sos.settings import Settings, TwilioSettings


def provider(settings: Settings, group: TwilioSettings, *, recordings: Path, clock: Clock) -> TwilioProvider:
    """The exchange, to be opened.  ``Misconfigured`` names a secret that cannot be read, or a tenant that is not there.

    All that the door needs is looked at here, before anything runs.
    """
    _trust(settings, group)
    known = {tenant.id for tenant in settings.tenants}
    for number in group.numbers:
        if number.tenant not in known:
            raise Misconfigured(f"twilio.numbers: there is no tenant {number.tenant}")
    account = Account(
        sid=group.account_sid,
        user=group.api_key_sid,
        secret=_secret("api_key_secret_file", group.api_key_secret_file),
        base=group.base_url,
        edge=group.edge,
        region=group.region,
        within_s=group.within_s,
    )
    options = Options(
        account=account,
        caller=group.caller,
        urls=Urls(base=settings.url.rstrip("/")),
        fallback=group.fallback,
        mixing_region=group.mixing_region,
        ring_s=group.ring_s,
    )
    return TwilioProvider(options, recordings=recordings, book=settings.data / "twilio", clock=clock)


def door(
    settings: Settings,
    group: TwilioSettings,
    *,
    exchange: TwilioProvider,
    bridge: Bridge,
    incident_of_call: IncidentOfCall,
    operator_of: OperatorOf,
    clock: Clock,
) -> TwilioDoor:
    """Where Twilio comes in."""
    secret = _secret("api_key_secret_file", group.api_key_secret_file)
    keys = VoiceKeys(
        account=group.account_sid, key=group.api_key_sid, secret=secret, application=group.desk_application_sid
    )
    return TwilioDoor(
        exchange,
        bridge,
        trust=_trust(settings, group),
        tenants={number.called: TenantId(number.tenant) for number in group.numbers},
        incident_of_call=incident_of_call,
        operator_of=operator_of,
        voice_keys=keys if group.desk_application_sid else None,
        clock=clock,
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
