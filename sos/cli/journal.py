"""``sos journal``: what readers of the journal could not handle, and one more try of it.

The commands work on the database the settings name and may run beside a running service, which makes the tries.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from recording.note import Signer
from recording.succession import Succession
from sos.cli.database import opened
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.clock import timestamp
from sos.errors import Malformed, Refused
from sos.journal.asides import LISTED
from sos.journal.proving import Proof, prove
from sos.journal.root_keys import key_store
from sos.journal.sole import Sole
from sos.journal.store import Aside
from sos.journal.succession import goes_on, published_in, succeed
from sos.settings import Settings, load

app = typer.Typer(
    no_args_is_help=True, help="The journal: what its readers could not handle, and the log it is published in."
)
set_aside = typer.Typer(no_args_is_help=True, help="Events that a reader could not handle and went on without.")
app.add_typer(set_aside, name="set-aside")


@app.command("new-log")
def new_log(config_file: ConfigFile = None) -> None:
    """Begin the next published log, where this one is further than the database or has other events.

    For a database that was restored by other means than `sos restore`.  The service must stand; it publishes in the new
    log from its next start on.  Refused while the log can go on.
    """
    begun = asyncio.run(_new_log(load(config_file)))
    typer.echo(f"{begun.origin} goes on after {begun.before}; both have the first {begun.same} events")


@app.command("verify")
def verify(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Hash the whole journal anew where it lies, and compare it with what was published, cosigned and stamped.

    May run beside a running service. Exit code 1 when something differs; each place is named.
    """
    found = asyncio.run(_verify(load(config_file), quiet=as_json))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for place in found.wrong[:LISTED]:
            typer.echo(f"FAIL {place}")
        typer.echo(f"{found.entries} entries, {found.checkpoints} checkpoints agree, {len(found.wrong)} faults")
    raise typer.Exit(Exit.REFUSED if found.wrong else 0)


@set_aside.command("list")
def list_asides(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """What lies there, the oldest event first; exit code 1 when there is anything."""
    asides = asyncio.run(_list(load(config_file)))
    if as_json:
        typer.echo(msgspec.json.encode(asides).decode())
    else:
        for each in asides:
            typer.echo(_line(each))
    raise typer.Exit(Exit.REFUSED if asides else 0)


@set_aside.command("again")
def again(
    reader: Annotated[str, typer.Argument(help="The reader's name; with --all, all of its events.")],
    position: Annotated[int | None, typer.Argument(help="Position of the event in the journal.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that this reader could not handle.")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Have the running service try again, within seconds; what goes well leaves the list."""
    if (position is None) is not every:
        raise Malformed("name the position of one event, or --all")
    asked = asyncio.run(_again(load(config_file), reader, position))
    typer.echo(f"{asked} to be tried again" if asked else "nothing of that kind was set aside")
    raise typer.Exit(0 if asked else Exit.REFUSED)


# --- what the commands do ---


async def _new_log(settings: Settings) -> Succession:
    sole, directory, keys = Sole(settings.data), settings.data / "log", key_store(settings)
    async with opened(settings) as store:
        if not sole.take():
            raise Refused("a service runs on this data directory: stop it first")
        try:
            if await goes_on(store, directory):
                raise Refused("the published log can go on: nothing is in it that the database has not")
            return await succeed(store, directory, keys, wanted=settings.log_origin)
        finally:
            sole.release()


async def _verify(settings: Settings, *, quiet: bool) -> Proof:
    keys = key_store(settings)
    async with opened(settings) as store:
        published = await published_in(store, settings.log_origin)
        log = Signer(published.origin, keys.signing_key("log")).verifier
        with Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as bar:
            task = bar.add_task("entries", total=None)
            return await prove(
                store, settings.data, log, progress=lambda at, of: bar.update(task, completed=at, total=of)
            )


async def _list(settings: Settings) -> Sequence[Aside]:
    async with opened(settings) as store:
        return await store.asides(limit=LISTED)


async def _again(settings: Settings, reader: str, position: int | None) -> int:
    async with opened(settings) as store:
        if position is not None:
            return int(await store.ask_again(reader, position))
        of_it = [each.position for each in await store.asides(limit=LISTED) if each.reader == reader]
        return sum([await store.ask_again(reader, each) for each in of_it])


def _line(aside: Aside) -> str:
    at = timestamp(datetime.fromtimestamp(aside.at_ms / 1000, UTC))
    asked = ", to be tried again" if aside.again else ""
    where = f"{aside.reader} {aside.position}"
    return f"{where}: incident {aside.stream} event {aside.n}, {aside.error} after {aside.tries} tries, {at}{asked}"
