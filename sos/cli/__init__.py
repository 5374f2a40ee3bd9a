"""One command, ``sos``.  Every subcommand has ``--help``; what a program would read has ``--json``."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import aiohttp
import msgspec
import structlog
import typer

from recording.errors import RecordingError
from recording.proof import SUFFIX as PROOF_SUFFIX
from recording.proof import verify_file
from recording.report import Report
from recording.shown import shown
from recording.verify import verify_package
from routing.categories import Category
from sos import demo as demonstration
from sos import logs
from sos.app import running
from sos.cli import backup as backups
from sos.cli import desk, followup, journal, keys, msd, registry, regulator, retention, rights, severity
from sos.cli.directory import app as agencies
from sos.cli.door import door
from sos.cli.geo import geo
from sos.cli.health import health
from sos.cli.law import law
from sos.cli.lost import lost
from sos.cli.mqtt import publish
from sos.cli.options import LOCAL, AsJson, ConfigFile, Exit, Key, KeyFile, Url, held_key, run
from sos.cli.proof import prove
from sos.cli.route import SETTINGS as NEGATIVE_NUMBERS
from sos.cli.route import route
from sos.cli.twilio import app as exchange
from sos.cli.vehicle import vehicle_crash, vehicle_manual
from sos.clock import SystemClock
from sos.errors import Misconfigured, SosError
from sos.exports.archive import unpack
from sos.settings import Settings, load
from sos.vehicle.replay import run_replay
from sos.watchdog import Watchdog

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print the variables of every frame, keys among them
    help="A private emergency call centre for vehicles.",
)
vehicle = typer.Typer(no_args_is_help=True, help="Be a vehicle: report, call, replay records.")
config = typer.Typer(no_args_is_help=True, help="Look at the settings.")
app.add_typer(vehicle, name="vehicle")
app.add_typer(config, name="config")
app.add_typer(geo, name="geo")
app.add_typer(law, name="law")
app.add_typer(agencies, name="directory")
app.command()(door)
app.command()(health)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.add_typer(backups.drill, name="drill")
app.command(context_settings=NEGATIVE_NUMBERS)(route)
app.command(context_settings=NEGATIVE_NUMBERS)(lost)
app.add_typer(desk.app, name="desk")
app.add_typer(keys.app, name="keys")
app.add_typer(msd.app, name="msd")
app.add_typer(registry.app, name="registry")
app.add_typer(journal.app, name="journal")
app.add_typer(regulator.app, name="regulator")
app.add_typer(retention.app, name="retention")
app.add_typer(rights.app, name="rights")
app.add_typer(severity.app, name="severity")
app.add_typer(exchange, name="twilio")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sos {metadata.version('sos-service')}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which release this is.")
    ] = False,
) -> None:
    """A private emergency call centre for vehicles."""


@app.command()
def serve(config_file: ConfigFile = None) -> None:
    """Run the service until it is told to stop (SIGTERM or Ctrl+C)."""
    settings = _settings(config_file)
    settings.require_for_service()
    run(_serve(settings))


@app.command()
def demo(
    data: Annotated[Path, typer.Option(help="Where the demonstration keeps everything.")] = Path("var/demo"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8080,
    crashes: Annotated[bool, typer.Option(help="Let a car crash once the operator is ready.")] = True,
    twilio: Annotated[bool, typer.Option("--twilio", help="Call telephones, at an emulated Twilio.")] = False,
) -> None:
    """Run the service with an invented brand, agencies, operator and car, and print where to click."""
    base = Settings(data_dir=str(data), port=port)
    run(demonstration.run(base, tell=typer.echo, crashes=crashes, twilio=twilio))


vehicle.command("crash")(vehicle_crash)
vehicle.command("manual")(vehicle_manual)
vehicle.command("publish")(publish)
vehicle.command("update")(followup.update)
vehicle.command("cancel")(followup.cancel)
vehicle.command("receipt")(followup.receipt)


@vehicle.command("replay")
def vehicle_replay(
    files: Annotated[list[Path], typer.Argument(help="Crash records of Japan's National Police Agency (CSV).")],
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    rate: Annotated[float | None, typer.Option(help="Reports per second; as fast as possible without.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay real crash records as crash events, with a progress bar."""
    code = run_replay(
        files, base_url=url, key=held_key(key, key_file), clock=SystemClock(), rate_per_s=rate, as_json=as_json
    )
    raise typer.Exit(code)


@app.command()
def export(
    incident: Annotated[str, typer.Argument(help="Incident id; with --subject that of a vehicle or a customer.")],
    directory: Annotated[Path, typer.Argument(help="Where to write the package; must not exist.")],
    subject: Annotated[bool, typer.Option("--subject", help="It is a subject of the registry.")] = False,
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    reveal: Annotated[
        list[str] | None,
        typer.Option(help=f"What to open: {', '.join(Category)} or all. Repeatable; without it nothing is opened."),
    ] = None,
    purpose: Annotated[str, typer.Option(help="Why; stands in the journal.")] = "regulator_request",
    as_json: AsJson = False,
) -> None:
    """Export one incident as a sealed package that anybody can verify offline."""
    if directory.exists():
        raise Misconfigured(f"{directory} exists already; name a new directory")
    categories = _categories(reveal or [])
    os.umask(0o077)  # what is opened for one person is not left to everybody on this machine
    token = held_key(key, key_file, role="auditor")
    named = {"subject" if subject else "incident": incident}
    run(_export(named, directory, url=url, token=token, categories=categories, purpose=purpose, as_json=as_json))


app.command("proof")(prove)


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="The package, or a .tlog-proof with its .entry.", exists=True)],
    log_key: Annotated[str | None, typer.Option(help="The log's verifier key, got by another way.")] = None,
    seal_key: Annotated[str | None, typer.Option(help="The seal's verifier key, got by another way.")] = None,
    witness_key: Annotated[
        list[str] | None, typer.Option(help="Key of a witness that must have cosigned. Repeatable.")
    ] = None,
    tsa_ca: Annotated[
        Path | None, typer.Option(help="Root certificate (PEM) of a time stamp that must be there.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an exported package, offline, step by step.

    Exit code 0: it holds, and both keys came from you. 1: do not rely on it. 2: a key is none. 3: it agrees with
    itself, but a key was taken from the package, so that its origin is not proved.
    """
    try:
        if directory.suffix == PROOF_SUFFIX:
            proved = verify_file(directory, log_vkey=log_key, witness_vkeys=witness_key or ())
            typer.echo(json.dumps({"ok": proved.ok, "told": str(proved)}) if as_json else str(proved))
            raise typer.Exit(proved.code)
        report = verify_package(
            directory,
            log_vkey=log_key,
            seal_vkey=seal_key,
            witness_vkeys=witness_key or (),
            stamp_roots=tsa_ca.read_bytes() if tsa_ca else b"",
        )
    except OSError as wrong:
        raise typer.BadParameter(f"{tsa_ca} cannot be read: {wrong.strerror}") from wrong
    except RecordingError as wrong:
        raise typer.BadParameter(f"this is no key or certificate: {shown(str(wrong))}") from wrong
    typer.echo(_report_json(report) if as_json else str(report))
    raise typer.Exit(report.code)


@config.command("check")
def config_check(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """Read the settings and say what they are; exit code 78 when one is wrong, or a file lacks what a service needs."""
    settings = _settings(config_file)
    in_force = msgspec.to_builtins(settings.without_secrets())
    typer.echo(json.dumps(in_force, ensure_ascii=False, indent=None if as_json else 2))
    if config_file is not None:
        settings.require_for_service()


def main() -> None:
    """The entry point: known faults become one line and an exit code, others a line of the log; never a stack trace."""
    logs.configure()
    try:
        app()
    except Misconfigured as wrong:
        typer.echo(f"sos: {wrong}", err=True)
        sys.exit(Exit.SETTINGS)
    except SosError as failed:
        typer.echo(f"sos: {failed}", err=True)
        sys.exit(Exit.REFUSED)
    except Exception as bug:  # noqa: BLE001  the edge of the program
        structlog.get_logger().critical("died", exc_info=bug)
        sys.exit(Exit.BUG)


# --- what the commands do ---


async def _serve(settings: Settings) -> None:
    watchdog = Watchdog.of()
    turning = asyncio.create_task(watchdog.run(SystemClock()), name="watchdog")
    async with running(settings, waits=watchdog.ready) as service:  # one that waits for another is in order too
        watchdog.ready()
        await service.journal.store.deposed.wait()
        turning.cancel()
        os._exit(Exit.DEPOSED)  # another one leads: nothing of this one may be tidied up, not even a call


async def _export(
    named: dict[str, str],
    directory: Path,
    *,
    url: str,
    token: str,
    categories: tuple[Category, ...],
    purpose: str,
    as_json: bool,
) -> None:
    wanted = {**named, "categories": [str(category) for category in categories], "purpose": purpose}
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(base_url=url) as session,
        session.post("/v1/exports", json=wanted, headers=headers) as response,
    ):
        body = await response.read()
        if response.status != 200:
            raise SosError(f"the service refused: {msgspec.json.decode(body).get('title', response.status)}")
        told = {name: response.headers[f"Sos-{name}"] for name in ("Export", "Log-Key", "Seal-Key")}
    unpack(body, directory)
    if as_json:
        typer.echo(json.dumps({"directory": str(directory), **told}))
    else:
        typer.echo(
            f"{directory}: export {told['Export']}\n  log key   {told['Log-Key']}\n  seal key  {told['Seal-Key']}"
        )


def _report_json(report: Report) -> str:
    steps = [{"number": s.number, "title": s.title, "ok": s.ok, "detail": s.detail} for s in report.steps]
    return json.dumps({"ok": report.ok, "origin_proved": report.origin_proved, "steps": steps}, ensure_ascii=False)


def _settings(config_file: Path | None) -> Settings:
    return load(config_file)


def _categories(named: Sequence[str]) -> tuple[Category, ...]:
    """The categories named; ``all`` names every one, and nothing names none."""
    if unknown := set(named) - {*Category, "all"}:
        raise typer.BadParameter(f"{min(unknown)!r} is none of {', '.join(Category)}, all", param_hint="--reveal")
    return tuple(category for category in Category if category in named or "all" in named)
