"""``sos regulator``: a package for an authority, from the request to its end; a dry run before, two people between.

The commands work on the database and the published log that the settings name and may run beside a running service:
building is this process's work, and costs no call anything.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from recording.age import decrypt
from recording.durable import write_new
from recording.errors import RecordingError
from recording.note import Signer
from recording.tiles import TileStore
from routing.categories import Category
from sos.cli.database import opened
from sos.cli.options import AsJson, ConfigFile
from sos.cli.persons import Digits, TokenFile, Who, asking, proved
from sos.clock import SystemClock
from sos.errors import Malformed, Refused
from sos.exports.archive import unpack
from sos.exports.configured import head_of, supervisors
from sos.exports.making import Parts
from sos.exports.regulator import Regulator
from sos.exports.requests import Request, Requests
from sos.exports.scope import JAPAN, Wanted
from sos.exports.selection import Counted, Told
from sos.journal.journal import Journal
from sos.journal.root_keys import key_store
from sos.journal.spool import Spool
from sos.journal.succession import published_in
from sos.registry.index import Index
from sos.registry.registry import Registry
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="A package for an authority: request, dry run, two people, build, fetch.")

Result = TypeVar("Result")
Work = Callable[[Regulator], Awaitable[Result]]

Named = Annotated[str, typer.Argument(metavar="REQUEST", help="As `sos regulator request` printed it.")]
Lost = Annotated[bool, typer.Option("--accept-lost", help="Build it although something is lost; the package says so.")]


@app.command()
def request(
    recipient: Annotated[str, typer.Option(help="The authority, by its id in the settings.")],
    brand: Annotated[list[str], typer.Option(help="A tenant; * for all of them and the house. Repeatable.")],
    since: Annotated[str, typer.Option(help="Day in Japan, or an instant with its offset.")],
    until: Annotated[str, typer.Option(help="Last day in Japan, or an instant with its offset, not included.")],
    why: Annotated[str, typer.Option(help="What for and on whose word; sealed.")],
    token_file: TokenFile,
    operator: Annotated[str, typer.Option(help="Your id, as one of the house.")] = "",
    auditor: Annotated[str, typer.Option(help="Your id, as an auditor.")] = "",
    second_factor: Digits = "",
    subject: Annotated[str, typer.Option(help="A vehicle or customer of the registry, or one incident.")] = "",
    kind: Annotated[list[str] | None, typer.Option(help="A kind of event, such as PartsRead. Repeatable.")] = None,
    reveal: Annotated[list[Category] | None, typer.Option(help="A category to be opened. Repeatable.")] = None,
    config_file: ConfigFile = None,
) -> None:
    """Ask for a package; prints the id of the request.  Nothing is read yet."""
    settings = load(config_file)
    by, scope = asking(settings, operator=operator, auditor=auditor, token_file=token_file, digits=second_factor)
    asked = Wanted(
        recipient=recipient,
        brands=tuple(brand),
        since=_instant(since, end=False),
        until=_instant(until, end=True),
        subject=subject,
        kinds=tuple(kind or ()),
        categories=tuple(reveal or ()),
    )
    made = _run(settings, lambda house: house.request(asked, words=why, by=by, scope=scope))
    typer.echo(made.request)


@app.command("dry-run")
def dry_run(
    named: Named,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    size: Annotated[int | None, typer.Option(help="As of so many events of the log; now without.")] = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Count what the package would hold, by kind, brand and category.  Nothing is opened."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)

    async def count(house: Regulator) -> Counted:
        with _progress(quiet=as_json) as bar:
            return await house.dry_run(named, by=by, size=size, told=_bar(bar, "events"))

    _show(_run(settings, count), as_json=as_json)


@app.command("list")
def requests(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """The requests there are, and how far each is."""
    found = _run(load(config_file), lambda house: house.requests.all())
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        typer.echo(_line(each))


@app.command()
def approve(
    named: Named,
    digest: Annotated[str, typer.Option(help="Of the dry run that you have looked at.")],
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Agree to a dry run, as one of two people who did not ask; the first of them or the second is a supervisor."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    typer.echo(_line(_run(settings, lambda house: house.approve(named, digest=digest, by=by))))


@app.command()
def build(
    named: Named,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    accept_lost: Lost = False,
    config_file: ConfigFile = None,
) -> None:
    """Build what two people have agreed to, encrypted to its recipient.  One that was killed begins again."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)

    async def make(house: Regulator) -> Request:
        with _progress(quiet=False) as bar:
            return await house.build(named, by=by, accept_lost=accept_lost, told=_bar(bar, "events"))

    built = _run(settings, make)
    typer.echo(f"{_line(built)}\nencrypted {built.encrypted}\npackage   {built.package}")


@app.command()
def fetch(
    named: Named,
    file: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")],
    token_file: TokenFile,
    operator: Annotated[str, typer.Option(help="Your id, as one of the house.")] = "",
    auditor: Annotated[str, typer.Option(help="Your id, as the auditor who asked.")] = "",
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Write the encrypted package to a file, and its receipt into the journal."""
    if file.exists():
        raise Malformed(f"{file} exists already; name a new file")
    settings = load(config_file)
    by, _ = asking(settings, operator=operator, auditor=auditor, token_file=token_file, digits=second_factor)
    typer.echo(_line(_run(settings, lambda house: _fetch(house, named, file, by))))


@app.command()
def withdraw(
    named: Named, operator: Who, token_file: TokenFile, second_factor: Digits = "", config_file: ConfigFile = None
) -> None:
    """End a request before its time; its package is destroyed."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    typer.echo(_line(_run(settings, lambda house: house.withdraw(named, by=by))))


@app.command()
def expire(config_file: ConfigFile = None) -> None:
    """End what is over and destroy its files; the running service does so every hour."""
    for each in _run(load(config_file), lambda house: house.expire()):
        typer.echo(_line(each))


@app.command("open")
def open_package(
    file: Annotated[Path, typer.Argument(help="The encrypted package.", exists=True, dir_okay=False)],
    directory: Annotated[Path, typer.Argument(help="Where to write it; must not exist.")],
    identity: Annotated[Path, typer.Option(help="The recipient's age identity.", exists=True, dir_okay=False)],
) -> None:
    """Decrypt and unpack a package, as its recipient; `age -d | tar x` does the same."""
    if directory.exists():
        raise Malformed(f"{directory} exists already; name a new directory")
    os.umask(0o077)
    try:
        unpack(decrypt(file.read_bytes(), identity.read_text()), directory)
    except RecordingError as wrong:
        raise Refused(str(wrong)) from wrong
    typer.echo(str(directory))


# --- what the commands do ---


def _run(settings: Settings, work: Work[Result]) -> Result:
    async def within() -> Result:
        async with _opened(settings) as house:
            return await work(house)

    return asyncio.run(within())


def _instant(text: str, *, end: bool) -> datetime:
    """A day is Japan's: its first instant, or the first after it."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text) + timedelta(days=end), time(), JAPAN).astimezone(UTC)
        instant = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise Malformed("a day is such as 2026-11-30, an instant such as 2026-11-30T09:00:00+09:00") from wrong
    if instant.tzinfo is None:
        raise Malformed("an instant needs its offset, such as +09:00")
    return instant.astimezone(UTC)


def _progress(*, quiet: bool) -> Progress:
    return Progress(console=Console(stderr=True), disable=quiet or not sys.stderr.isatty())


def _bar(bar: Progress, what: str) -> Told:
    task = bar.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return told


def _line(state: Request) -> str:
    agreed = ", ".join(state.approved) or "nobody yet"
    more = f"; {state.why}" if state.why else f"; received by {', '.join(state.received)}" if state.received else ""
    return (
        f"{state.request}  {state.stage:9} for {state.scope.recipient}, asked by {state.by}, agreed by {agreed}{more}"
    )


def _show(counted: Counted, *, as_json: bool) -> None:
    told = msgspec.to_builtins(counted) | {"chosen": {"streams": len(counted.chosen.streams)}}
    told |= {"lines": counted.chosen.lines, "opened": counted.opened}
    if as_json:
        typer.echo(json.dumps(told))
        return
    for title, counts in (("kind", counted.kinds), ("brand", counted.brands), ("opened", counted.categories)):
        for name, count in counts.items():
            typer.echo(f"{title:8} {count:7} {name}")
    typer.echo(f"{counted.chosen.lines} lines of {len(counted.chosen.streams)} incidents and subjects")
    typer.echo(f"{counted.opened} parts of {counted.incidents} would be opened, {counted.recordings} recordings")
    typer.echo(f"{counted.destroyed} parts were destroyed, their time being over")
    typer.echo(f"digest {counted.digest}")


async def _fetch(house: Regulator, named: str, file: Path, by: str) -> Request:
    _, lies = await house.fetch(named, by=by)
    content = lies.read_bytes()
    write_new(file, content, mode=0o600)
    return await house.receive(named, encrypted=sha256(content).hexdigest(), by=by)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Regulator]:
    """Beside a running service, whose spool and log are left alone: what it has published is read."""
    keys, clock = key_store(settings), SystemClock()
    async with opened(settings) as store:
        journal = Journal(store, keys, Spool(settings.data / "spool", keys.secret("spool")), clock=clock)
        published = await published_in(store, settings.log_origin)
        log_signer, tiles = Signer(published.origin, keys.signing_key("log")), TileStore(settings.data / "log")
        yield Regulator(
            Parts(
                journal=journal,
                requests=Requests(store, keys, clock),
                tiles=tiles,
                head=head_of(settings, tiles, log_signer),
                log_signer=log_signer,
                seal_signer=Signer(f"{settings.log_origin.split('/')[0]}/seal", keys.signing_key("seal")),
                directory=settings.data / "exports",
                recordings=settings.data / "recordings",
                subjects=Registry(store, Index(store.engine), keys, clock=clock),
                brands=frozenset(each.id for each in settings.tenants),
                recipients=settings.recipients,
                limits=settings.export,
                supervisors=supervisors(settings),
            )
        )
