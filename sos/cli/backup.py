"""``sos backup``, ``sos restore`` and ``sos drill restore``: copies of everything, the way back, and practising it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import msgspec
import typer

from sos.backups import manifest as manifests
from sos.backups.backup import Backup, Where
from sos.backups.drill import Drill, Drilled
from sos.backups.postgres import Tools
from sos.backups.restore import Restore, Restored, Source
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.clock import SystemClock
from sos.settings import load

drill = typer.Typer(no_args_is_help=True, help="Practise what must work on the worst day.")

Backups = Annotated[Path, typer.Argument(help="Where the backups are.")]
Keys = Annotated[Path, typer.Option("--keys", help="Where the copies of the keys are: another place than the backups.")]
Identity = Annotated[
    Path | None, typer.Option("--identity", help="File with the age identity that the copy of the keys is for.")
]
PostgresBin = Annotated[
    Path | None, typer.Option("--postgres-bin", help="Folder of pg_dump and pg_restore, where the shell finds none.")
]


def backup(
    to: Backups,
    keys: Keys,
    recipient: Annotated[
        str, typer.Option(help="age recipient (age1...) that the copy of the keys is encrypted to.")
    ] = "",
    postgres_bin: PostgresBin = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Copy journal, recordings and log to one place and the keys to another, while the service runs or stands."""
    where = Where(backups=to, keys=keys, recipient=recipient)
    work = Backup(load(config_file), where, clock=SystemClock(), tools=Tools(postgres_bin))
    made = asyncio.run(work.make())
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())
        return
    typer.echo(f"{made.directory}: {made.events} events, {made.files} files, {made.seconds} s\nkeys: {made.keys}")


def restore(
    backups: Annotated[Path, typer.Argument(help="A backup, or the directory of backups: then the newest.")],
    keys: Keys,
    identity: Identity = None,
    postgres_bin: PostgresBin = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup into the data directory and the database of the settings, and say what is missing.

    What was there is put beside.  Exit code 1 when a key is missing; the service can be started all the same.
    """
    source = _source(backups, keys, identity)
    work = Restore(load(config_file), source, clock=SystemClock(), tools=Tools(postgres_bin))
    restored = asyncio.run(work.make())
    typer.echo(msgspec.json.encode(restored).decode() if as_json else _told(restored))
    raise typer.Exit(Exit.REFUSED if restored.keys.missing else 0)


@drill.command("restore")
def drill_restore(
    backups: Backups,
    keys: Keys,
    identity: Identity = None,
    scratch: Annotated[
        Path | None, typer.Option(help="Where to restore to; beside the data directory without it.")
    ] = None,
    rpo: Annotated[float, typer.Option("--rpo", help="Seconds of the past that may be missing.")] = 86_400,
    rto: Annotated[float, typer.Option("--rto", help="Seconds that restoring may take.")] = 900,
    postgres_bin: PostgresBin = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Restore the newest backup beside the running service, check it, measure it, and throw it away.

    Exit code 1 when something of it is missing or does not open, or when it took longer or is older than allowed.
    """
    settings = load(config_file)
    at = scratch or settings.data.with_name(f"{settings.data.name}.drill-{token_hex(4)}")
    work = Drill(settings, clock=SystemClock(), tools=Tools(postgres_bin))
    drilled = asyncio.run(work.restore(_source(backups, keys, identity), scratch=at))
    restored = drilled.restored
    well = drilled.well and restored.rpo_s <= rpo and restored.rto_s <= rto
    typer.echo(_drill_json(drilled, well=well) if as_json else _drill_told(drilled, well=well))
    raise typer.Exit(0 if well else Exit.REFUSED)


def _source(backups: Path, keys: Path, identity: Path | None) -> Source:
    held = identity.read_text() if identity is not None else ""
    return Source(backup=manifests.newest(backups), keys=keys, identity=held)


def _told(restored: Restored) -> str:
    lines = [
        f"restored {restored.events} events from the backup of {restored.made_at:%Y-%m-%d %H:%M:%S %Z}",
        _measures(restored),
        f"log: {restored.log}" + (" (new: it names the one before)" if restored.new_log else " (goes on)"),
    ]
    if restored.lost.events:
        lost = restored.lost
        lines.append(
            f"LOST: {lost.events} events of {len(lost.streams)} streams are in the log and not here, to {lost.last}"
        )
        lines += [f"  {stream}" for stream in lost.streams]
    lines += [f"key {'changed' if name in restored.keys.changed else 'lost'}: {name}" for name in restored.keys.missing]
    if restored.aside:
        lines.append(f"what was there before: {restored.aside}")
    return "\n".join(lines)


def _measures(restored: Restored) -> str:
    return f"RPO {_span(restored.rpo_s)} (age of the newest event), RTO {_span(restored.rto_s)}"


def _drill_told(drilled: Drilled, *, well: bool) -> str:
    restored, verdict = drilled.restored, "restored well" if well else "NOT WELL"
    return "\n".join(
        (
            f"{verdict}: {restored.events} events, keys of {drilled.opened} incidents opened",
            _measures(restored),
            f"missing: {drilled.missing} events since the backup, {len(restored.keys.missing)} keys,"
            f" {drilled.shut} incidents that do not open",
        )
    )


def _drill_json(drilled: Drilled, *, well: bool) -> str:
    return msgspec.json.encode({**msgspec.to_builtins(drilled), "well": well}).decode()


def _span(seconds: float) -> str:
    return f"{seconds} s" if seconds < 600 else str(timedelta(seconds=round(seconds)))
