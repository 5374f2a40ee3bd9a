"""``sos keys``: whether every key is where it must be, which there are, and new ones for what comes next."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from recording import age
from recording.durable import write_new
from recording.errors import RootAway
from recording.root import ROOT_BYTES
from sos.cli.options import AsJson, ConfigFile
from sos.clock import SystemClock
from sos.errors import Misconfigured, Unavailable
from sos.journal.custody import Custody, Found, month_of
from sos.journal.keyring import RETENTIONS
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.root_keys import key_store
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
    """List the keys by name, each present, destroyed, lost or changed, and its root key.  No key is shown."""
    settings = load(config_file)
    found, lying = asyncio.run(_compare(settings)), key_store(settings).lying()
    if as_json:
        typer.echo(json.dumps({**msgspec.to_builtins(found), "root": {kek: held.root for kek, held in lying.items()}}))
        return
    table = Table("key", "state", "root key")
    told = dict.fromkeys(found.present, "present") | dict.fromkeys(found.destroyed, "destroyed")
    told |= dict.fromkeys(found.lost, "lost") | dict.fromkeys(found.changed, "changed")
    for name, state in sorted(told.items()):
        held = lying.get(name.removesuffix(".kek"))
        table.add_row(name, state, held.root or "none" if held else "")
    Console().print(table)


@app.command()
def rotate(
    config_file: ConfigFile = None,
    ahead_only: Annotated[bool, typer.Option("--ahead", help="Only make those of the months to come.")] = False,
) -> None:
    """Make new key-encryption keys of this month, and those of the months to come.  What is sealed opens as before.

    A service that runs uses the new ones from its next start on.
    """
    keys, month = key_store(load(config_file)), month_of(SystemClock().now())
    made = () if ahead_only else keys.rotate(CLASSES, month)
    for kek in (*made, *keys.ahead(CLASSES, month)):
        typer.echo(kek)


@app.command()
def root(file: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")]) -> None:
    """Make a root key for `root_keys.file`: 64 hexadecimal digits, mode 0600.

    Keep copies apart from those of the key directory: who has both can read everything, who has lost it nothing.
    """
    try:
        write_new(file, f"{token_hex(ROOT_BYTES)}\n".encode(), mode=0o600)
    except FileExistsError as there:
        raise Misconfigured(f"{file} exists already; name a new file") from there


@app.command()
def rewrap(config_file: ConfigFile = None) -> None:
    """Put every key-encryption key under the first root key of the settings, or under none.

    The service may run meanwhile. Former root keys may leave the settings when `sos keys status` no longer names them,
    and must be kept as long as a backup of the key directory from before.
    """
    keys = key_store(load(config_file))
    names = track(
        keys.rewrap(), description="under the root key in force", total=len(keys.keks()), console=Console(stderr=True)
    )
    try:
        typer.echo(f"{sum(1 for _ in names)} moved")
    except RootAway as away:
        raise Unavailable(f"{away}; what was moved stays, begin again when it answers") from away


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
        yield Custody(key_store(settings), store, retentions=CLASSES, clock=SystemClock())
