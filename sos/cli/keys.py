"""``sos keys``: whether every key is where it must be, which there are, and new ones for what comes next."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from recording import age
from recording.durable import write_new
from recording.keys import KeyStore
from sos.cli.options import AsJson, ConfigFile
from sos.clock import SystemClock
from sos.errors import Misconfigured
from sos.journal.custody import Custody, Found, month_of
from sos.journal.keyring import RETENTIONS
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.sqlite import SqliteStore
from sos.registry.ledger import RETENTION
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="The keys: whether they are there, which there are, new ones.")

CLASSES = (*RETENTIONS, RETENTION)


@app.command()
def check(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for every key that something depends on.  Exit code 1 when one is lost; destroyed ones are not missed."""
    found = asyncio.run(_compare(load(config_file)))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        for name in found.lost:
            typer.echo(f"lost     {name}: look for it in every backup of the key directory (ops/runbooks/keys.md)")
        for name in found.changed:
            typer.echo(f"changed  {name}: not the key that was there before; look for that one")
        typer.echo(f"{len(found.present)} present, {len(found.destroyed)} destroyed, {len(found.missing)} missing")
    raise typer.Exit(1 if found.missing else 0)


@app.command()
def status(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the keys by name, each present, destroyed, lost or changed.  No key is shown."""
    found = asyncio.run(_compare(load(config_file)))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found)))
        return
    table = Table("key", "state")
    told = dict.fromkeys(found.present, "present") | dict.fromkeys(found.destroyed, "destroyed")
    told |= dict.fromkeys(found.lost, "lost") | dict.fromkeys(found.changed, "changed")
    for name, state in sorted(told.items()):
        table.add_row(name, state)
    Console().print(table)


@app.command()
def rotate(
    config_file: ConfigFile = None,
    ahead_only: Annotated[bool, typer.Option("--ahead", help="Only make those of the months to come.")] = False,
) -> None:
    """Make new key-encryption keys of this month, and those of the months to come.  What is sealed opens as before.

    A service that runs uses the new ones from its next start on.
    """
    keys, month = KeyStore(load(config_file).data / "keys"), month_of(SystemClock().now())
    made = () if ahead_only else keys.rotate(CLASSES, month)
    for kek in (*made, *keys.ahead(CLASSES, month)):
        typer.echo(kek)


@app.command()
def identity(file: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")]) -> None:
    """Make an age identity for copies of the keys and print its recipient, for `sos backup --recipient`.

    Keep the file away from this machine: who has it and a copy of the keys can read everything.
    """
    made = age.new_identity()
    try:
        write_new(file, f"# recipient: {age.recipient_of(made)}\n{made}\n".encode(), mode=0o600)
    except FileExistsError as there:
        raise Misconfigured(f"{file} exists already; name a new file") from there
    typer.echo(age.recipient_of(made))


async def _compare(settings: Settings) -> Found:
    async with _custody(settings) as custody:
        return await custody.compare(thorough=True)


@asynccontextmanager
async def _custody(settings: Settings) -> AsyncIterator[Custody]:
    settings.data.mkdir(parents=True, exist_ok=True)
    store = PostgresStore(settings.database_url) if settings.database_url else SqliteStore(settings.data / "journal.db")
    async with store:
        await upgrade(store.engine)
        yield Custody(KeyStore(settings.data / "keys"), store, retentions=CLASSES, clock=SystemClock())
