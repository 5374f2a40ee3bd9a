"""``sos desk``: how operators get in, who is in, and how somebody is put out.

The commands work on the database the settings name and may run beside a running service, which hears of them within
seconds.
"""

import asyncio
import os
from base64 import b32encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

import msgspec
import typer

from sos.cli.database import opened
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.clock import SystemClock, epoch_ms, timestamp
from sos.console.access import CODE_LASTS, address, new_code
from sos.console.totp import SECRET_BYTES, uri
from sos.errors import Malformed, Misconfigured, Unknown
from sos.incident.model import OperatorId
from sos.journal.desk_access import ALL, DeskAccess, SessionRow
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="Operators' desks: links, log-ins, second factors.")

Who = Annotated[str, typer.Argument(metavar="OPERATOR", help="The operator's id in the settings.")]


@app.command("link")
def link(
    operator: Who,
    minutes: Annotated[float, typer.Option(help="How long it can be used.", min=1, max=60)] = CODE_LASTS.seconds / 60,
    config_file: ConfigFile = None,
) -> None:
    """Print an address that opens a desk as this operator, once and soon."""
    settings = load(config_file)
    if settings.operators and operator not in {each.id for each in settings.operators}:
        raise Unknown(f"the settings name no operator {operator!r}")
    code = asyncio.run(_code(settings, OperatorId(operator), timedelta(minutes=minutes)))
    typer.echo(address(settings.url, code))


@app.command("sessions")
def sessions(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Who is logged in, and since when; ended log-ins of the last days too."""
    found = asyncio.run(_sessions(load(config_file)))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        typer.echo(_line(each))


@app.command("revoke")
def revoke(
    operator: Annotated[str, typer.Argument(metavar="OPERATOR", help="All log-ins of this operator.")] = "",
    session: Annotated[str, typer.Option(help="Only this one, by its id in `sos desk sessions`.")] = "",
    config_file: ConfigFile = None,
) -> None:
    """End log-ins within seconds, also in a call; the operator may log in again while the settings name them."""
    if bool(operator) is bool(session):
        raise Malformed("name an operator, or --session ID")
    ended = asyncio.run(_revoke(load(config_file), OperatorId(operator), session))
    typer.echo(f"{ended} ended")
    raise typer.Exit(0 if ended or operator else Exit.REFUSED)


@app.command("second-factor")
def second_factor(
    operator: Who, file: Annotated[Path, typer.Argument(help="Where the secret shall lie; must not exist.")]
) -> None:
    """Make the secret of a second factor, and print what an authenticator reads (as a QR code, or typed)."""
    secret = b32encode(token_bytes(SECRET_BYTES)).decode()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as failed:
        raise Misconfigured(f"{file} cannot be made: {failed.strerror}") from failed
    with os.fdopen(descriptor, "w") as made:
        made.write(secret + "\n")
    typer.echo(uri(secret, account=operator, issuer="SOS"))


# --- what the commands do ---


async def _code(settings: Settings, operator: OperatorId, lasts: timedelta) -> str:
    async with opened(settings) as store:
        return await new_code(DeskAccess(store.engine), operator, now=SystemClock().now(), lasts=lasts)


async def _sessions(settings: Settings) -> Sequence[SessionRow]:
    async with opened(settings) as store:
        return [each for each in await DeskAccess(store.engine).sessions() if not each.id.startswith(ALL)]


async def _revoke(settings: Settings, operator: OperatorId, session: str) -> int:
    now_ms = epoch_ms(SystemClock().now())
    async with opened(settings) as store:
        known = DeskAccess(store.engine)
        if session:
            return await known.revoke_one(session, now_ms=now_ms)
        return await known.revoke(operator, now_ms=now_ms)


def _line(session: SessionRow) -> str:
    ended = "in" if session.ended_ms is None else f"{session.why} {_at(session.ended_ms)}"
    return f"{session.id} {session.operator}: since {_at(session.since_ms)}, active {_at(session.active_ms)}, {ended}"


def _at(ms: int) -> str:
    return timestamp(datetime.fromtimestamp(ms / 1000, UTC))
