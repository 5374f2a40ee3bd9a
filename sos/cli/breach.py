"""``sos rights breach``: the register of what happened to whose data, and the clocks of who has to be told of it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from routing.categories import Category
from sos.cli.options import AsJson, ConfigFile
from sos.cli.persons import Digits, TokenFile, Who, proved_supervisor
from sos.cli.rights_room import with_room
from sos.clock import SystemClock, timestamp
from sos.errors import Misconfigured
from sos.incident.events import BreachFound
from sos.rights.breach import Breach
from sos.rights.configured import Rights
from sos.settings import load

app = typer.Typer(no_args_is_help=True, help="The breach register: whose data, by when to be reported, who they are.")

Named = Annotated[str, typer.Argument(metavar="BREACH", help="As `sos rights breach open` printed it.")]
Why = Annotated[str, typer.Option("--why", help="In your own words; they are sealed.")]


@app.command("open")
def open_(
    what: Annotated[str, typer.Option(help="wrong_recipient, too_much_told, lost_device, intrusion, ransomware ...")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    known_at: Annotated[datetime | None, typer.Option(help="UTC, when the house knew; now without.")] = None,
    category: Annotated[list[Category] | None, typer.Option(help="What of it; repeatable.")] = None,
    malicious: Annotated[bool, typer.Option("--malicious", help="Somebody meant it.")] = False,
    encrypted: Annotated[bool, typer.Option("--encrypted", help="Nobody who has it can open it.")] = False,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Take a breach down; prints its id and by when it is to be reported."""
    settings = load(config_file)
    found = BreachFound(
        what=what,
        known_at=SystemClock().now() if known_at is None else known_at.replace(tzinfo=UTC),
        categories=tuple(category or ()),
        malicious=malicious,
        encrypted=encrypted,
        by=proved_supervisor(settings, operator, token_file, second_factor),
    )
    _show(with_room(settings, lambda rights: rights.breaches.found(found, words=why)))


@app.command()
def affects(
    breach: Named,
    streams: Annotated[list[str], typer.Argument(help="Incidents and subjects of the registry.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say whose data it was."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    _show(with_room(settings, lambda rights: rights.breaches.affects(breach, streams, words=why, by=by)))


@app.command()
def persons(
    breach: Named,
    file: Annotated[Path, typer.Argument(help="Where to write the list as JSON; must not exist.")],
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Write who is affected and how they are reached; that you look is on the record first."""
    if file.exists():
        raise Misconfigured(f"{file} exists already; name a new file")
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    os.umask(0o077)  # what is opened for one person is not left to everybody on this machine
    found = with_room(settings, lambda rights: rights.breaches.persons(breach, by=by))
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    typer.echo(f"{file}: {len(found)} people")


@app.command()
def reported(
    breach: Named,
    stage: Annotated[str, typer.Option(help="preliminary, final or persons.")],
    why: Why,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Say that it was reported, to whom and under which reference."""
    settings = load(config_file)
    by = proved_supervisor(settings, operator, token_file, second_factor)
    _show(with_room(settings, lambda rights: rights.breaches.reported(breach, stage=stage, words=why, by=by)))


@app.command("list")
def listed(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """The register, the oldest first."""

    async def work(rights: Rights) -> list[Breach]:
        return list(await rights.breaches.ledger.all())

    found = with_room(load(config_file), work)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        _show(each)


def _show(state: Breach) -> None:
    typer.echo(f"{state.breach}  {state.what}  {len(state.streams)} streams")
    for stage in state.waiting:
        late = f"  LATE {state.late[stage]}" if state.late.get(stage) else ""
        typer.echo(f"  {stage:12} due {timestamp(state.due[stage])}{late}")
    if not state.due:
        typer.echo("  to be reported to nobody")
