"""``sos retention``: what is due, two people who agree, and the end of it; holds, agreements, and the clocks.

The commands work on the database the settings name and may run beside a running service.  Who agrees shows the token of
an operator of the settings, and the second factor where one is set.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.progress import Progress

from recording.errors import RecordingError
from recording.retention import HOUSE, Terms, house
from sos.cli.database import opened
from sos.cli.options import AsJson, ConfigFile
from sos.cli.persons import Digits, TokenFile, Who, proved
from sos.clock import SystemClock, timestamp
from sos.errors import Misconfigured, Refused
from sos.incident.commands import PlaceHold, ReleaseHold
from sos.incident.events import RetentionAgreed
from sos.incident.model import HoldGround, HoldId, IncidentId, TenantId, new_id
from sos.journal.journal import Journal
from sos.journal.retention_rows import RetentionRows
from sos.journal.root_keys import key_store
from sos.journal.spool import Spool
from sos.journal.subject_rows import SubjectRows
from sos.registry.pack import BrandPack, configured
from sos.retention.configured import Retention
from sos.retention.disposals import Disposal, Told
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="What is kept until when, holds, and destroying what has had its time.")

Result = TypeVar("Result")

Words = Annotated[str, typer.Option("--why", help="In your own words; they are sealed.")]


@app.command()
def due(
    config_file: ConfigFile = None,
    as_json: AsJson = False,
    again: Annotated[bool, typer.Option("--again", help="Compute every date anew, from the first event on.")] = False,
) -> None:
    """List what is due and not held, for two people to look at.  Nothing is destroyed."""
    asyncio.run(_due(load(config_file), as_json=as_json, again=again))


@app.command("list")
def disposals(config_file: ConfigFile = None, as_json: AsJson = False) -> None:
    """The review lists there are, who has agreed, and what became of them."""
    _print(asyncio.run(_all(load(config_file))), as_json=as_json)


@app.command()
def approve(
    disposal: Annotated[str, typer.Argument(help="As `sos retention due` printed it.")],
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Agree to a review list, as one of two different people; the first of them or the second is a supervisor."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    state = asyncio.run(_approve(settings, disposal, by))
    typer.echo(f"{state.disposal}: {state.stage}, agreed by {', '.join(state.approved)}")


@app.command("run")
def run_disposal(
    disposal: Annotated[str, typer.Argument(help="As `sos retention due` printed it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be destroyed.")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Destroy what two people have agreed to, and write the certificate.  One that was killed goes on."""
    asyncio.run(_run(load(config_file), disposal, dry_run=dry_run))


@app.command()
def hold(
    incident: Annotated[str, typer.Argument(help="Incident id.")],
    ground: Annotated[HoldGround, typer.Option(help="Why, as a code.")],
    why: Words,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Keep all of an incident beyond its time; prints the id that ends the hold."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    placed = PlaceHold(hold=HoldId(new_id()), ground=ground, words=why, by=by)
    asyncio.run(_execute(settings, incident, placed, by))
    typer.echo(placed.hold)


@app.command()
def release(
    incident: Annotated[str, typer.Argument(help="Incident id.")],
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="As `sos retention hold` printed it.")],
    why: Words,
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """End one hold of an incident; others go on."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    asyncio.run(_execute(settings, incident, ReleaseHold(hold=HoldId(hold_id), words=why, by=by), by))


@app.command()
def agree(
    brand: Annotated[str, typer.Argument(help="The brand whose shorter periods shall hold; `house` for the table.")],
    operator: Who,
    token_file: TokenFile,
    second_factor: Digits = "",
    config_file: ConfigFile = None,
) -> None:
    """Agree that periods become shorter than they were.  It takes two people; without them the longer ones hold."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    terms = brand_terms(settings)
    if brand != "house" and TenantId(brand) not in terms:
        raise Misconfigured(f"there is no brand pack of {brand}")
    version = house().version if brand == "house" else terms[TenantId(brand)].version
    agreed = asyncio.run(_agree(settings, "periods", version, by))
    typer.echo(f"{version}: agreed by {', '.join(sorted(agreed))}")


@app.command()
def clock(operator: Who, token_file: TokenFile, second_factor: Digits = "", config_file: ConfigFile = None) -> None:
    """Say that the clocks are right, after they were doubted or the service did not run for days."""
    settings = load(config_file)
    by = proved(settings, operator, token_file, second_factor)
    typer.echo(f"believed: {asyncio.run(_settle(settings, by))}")


# --- what the commands do ---


async def _due(settings: Settings, *, as_json: bool, again: bool) -> None:
    async with _opened(settings) as rooms:
        with Progress(transient=True) as bar:
            told = _bar(bar, "events")
            if again:
                await rooms.clerk.again(told)
            listed = await _believing(rooms.executor.list_due(actor="system:cli", told=told))
        waits = await rooms.rows.waits(SystemClock().now())
    if listed is None:
        typer.echo(json.dumps(None) if as_json else "nothing is due")
        return
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(listed.disposal) | {"classes": dict(listed.classes)}))
        return
    for name, count in sorted(listed.classes.items()):
        typer.echo(f"{count:7} {name}")
    oldest = "" if waits.oldest is None else f", the oldest since {timestamp(waits.oldest)}"
    typer.echo(f"{listed.disposal.items} categories of {listed.disposal.incidents} incidents{oldest}")
    typer.echo(f"list     {listed.file}")
    typer.echo(f"disposal {listed.disposal.disposal}")


async def _all(settings: Settings) -> list[Disposal]:
    async with _opened(settings) as rooms:
        return list(await rooms.disposals.all())


async def _approve(settings: Settings, disposal: str, by: str) -> Disposal:
    async with _opened(settings) as rooms:
        state = await rooms.disposals.load(disposal)
        supervisors = {f"operator:{each.id}" for each in settings.operators if each.supervisor}
        if state.approved and not supervisors & {*state.approved, by}:
            raise Refused("one of the two must be a supervisor")
        return await rooms.executor.approve(disposal, by=by)


async def _run(settings: Settings, disposal: str, *, dry_run: bool) -> None:
    async with _opened(settings) as rooms:
        if dry_run:
            state = await rooms.disposals.load(disposal)
            typer.echo(f"{state.items} categories of {state.incidents} incidents would be destroyed: {state.stage}")
            return
        with Progress(transient=True) as bar:
            done = await _believing(rooms.executor.run(disposal, told=_bar(bar, "incidents")))
        ended = await rooms.overseer.end_keys()
    typer.echo(f"destroyed {done.items - done.left} of {done.items}; certificate {done.certificate}")
    if done.left:
        typer.echo(f"left      {done.left}: held, open, closed again or not due meanwhile")
    typer.echo(f"keys      {len(ended)} ended now; the others within two hours by the running service")


async def _execute(settings: Settings, incident: str, command: PlaceHold | ReleaseHold, by: str) -> None:
    async with _opened(settings) as rooms:
        await rooms.journal.execute(IncidentId(incident), command, actor=by)
        await rooms.clerk.catch_up()


async def _agree(settings: Settings, about: str, version: str, by: str) -> frozenset[str]:
    async with _opened(settings) as rooms:
        await rooms.disposals.begin(RetentionAgreed(about=about, version=version, by=by), actor=by)
        await rooms.rows.agree(version, by)
        return await rooms.rows.agreed(version)


async def _settle(settings: Settings, by: str) -> str:
    async with _opened(settings) as rooms:
        believed = timestamp(await _believing(rooms.clocks.settle()))
        await rooms.disposals.begin(RetentionAgreed(about="clock", version=believed, by=by), actor=by)
        return believed


async def made_due(settings: Settings, incidents: Iterable[str]) -> None:
    """Compute the dates of these anew: somebody has asked that something of them goes."""
    async with _opened(settings) as rooms:
        for incident in incidents:
            await rooms.clerk.again_of(IncidentId(incident))


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Retention]:
    """Beside a running service, whose spool is left alone: the journal is not opened for reports."""
    terms, keys, clock = brand_terms(settings), key_store(settings), SystemClock()
    async with opened(settings) as store:
        journal = Journal(store, keys, Spool(settings.data / "spool", keys.secret("spool")), clock=clock)
        rows = RetentionRows(store.engine)
        yield Retention.of(
            journal,
            keys,
            rows,
            data=settings.data,
            terms=lambda tenant: terms.get(tenant, HOUSE),
            asked=SubjectRows(store.engine).erasures,
        )


def brand_terms(settings: Settings) -> dict[TenantId, Terms]:
    """What the brands of the settings promise otherwise than the house."""
    directory = Path(settings.brand_packs) if settings.brand_packs else None
    packs: tuple[BrandPack, ...] = configured(directory, [TenantId(each.id) for each in settings.tenants])
    return {pack.tenant: pack.terms for pack in packs}


async def _believing(work: Awaitable[Result]) -> Result:
    """What ``work`` gives; a doubt of the time, or a list that was changed, ends the command in words."""
    try:
        return await work
    except RecordingError as doubt:
        raise Refused(f"nothing was destroyed: {doubt}") from doubt


def _bar(bar: Progress, what: str) -> Told:
    task = bar.add_task(what, total=None)

    def told(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return told


def _print(found: list[Disposal], *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        agreed = ", ".join(each.approved) or "nobody yet"
        typer.echo(f"{each.disposal}  {each.stage:8} {each.items:7} categories, {each.left} left; agreed by {agreed}")
