"""``sos journal``: what readers of the journal could not handle, and one more try of it.

The commands work on the database the settings name and may run beside a running service, which makes the tries.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from sos.cli.database import opened
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.clock import timestamp
from sos.errors import Malformed
from sos.journal.asides import LISTED
from sos.journal.store import Aside
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="The journal: what its readers could not handle.")
set_aside = typer.Typer(no_args_is_help=True, help="Events that a reader could not handle and went on without.")
app.add_typer(set_aside, name="set-aside")


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
