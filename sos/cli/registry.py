"""``sos registry``: brands, vehicles, customers and what they are entitled to.

The commands work on the database the settings name.  They may run beside a running service: on SQLite each waits for
the other's commit, and the service sees what was imported with its next own event.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sos.cli.options import AsJson, ConfigFile, Exit
from sos.clock import SystemClock
from sos.errors import Malformed, Misconfigured
from sos.incident.model import TenantId
from sos.journal.migrate import upgrade
from sos.journal.postgres import PostgresStore
from sos.journal.root_keys import key_store
from sos.journal.sqlite import SqliteStore
from sos.registry.importing import Imported, import_sheet
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.model import VehicleKey
from sos.registry.pack import configured, read_pack, shipped
from sos.registry.registry import By, Registry
from sos.registry.sheet import Sheet, read
from sos.settings import Settings, load

app = typer.Typer(no_args_is_help=True, help="Brands, vehicles, customers and what they are entitled to.")
pack = typer.Typer(no_args_is_help=True, help="Brand packs: everything that is one brand's own.")
app.add_typer(pack, name="pack")

Brands = Annotated[
    list[str] | None, typer.Option("--brand", help="A brand to take rows of besides those of the settings; repeatable.")
]


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 or cp932.", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and write nothing.")] = False,
    brand: Brands = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Import vehicles, customers and entitlements.  Rows that are wrong are named and left out: exit code 1."""
    settings = load(config_file)
    brands = _brands(settings, brand or ())
    sheet = read(file.read_bytes(), brands=brands, now=SystemClock().now())
    done = asyncio.run(_import(sheet, settings, brands, dry_run=dry_run, quiet=as_json))
    typer.echo(msgspec.json.encode(done).decode()) if as_json else _show(done)
    raise typer.Exit(Exit.REFUSED if done.findings else 0)


@app.command("standing")
def standing(
    brand: Annotated[str, typer.Option(help="The brand's tenant id.")],
    vin: Annotated[str, typer.Option(help="ISO 3779.")] = "",
    jp_frame: Annotated[str, typer.Option(help="車台番号.")] = "",
    oem_id: Annotated[str, typer.Option(help="The brand's own number.")] = "",
    plate: Annotated[str, typer.Option(help="ナンバープレート.")] = "",
    at: Annotated[datetime | None, typer.Option(help="UTC; now without.")] = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """How a vehicle stands.  Whatever it says, a person answers its call."""
    named = {"vin": vin, "jp_frame": jp_frame, "oem_id": oem_id, "plate": plate}
    keys = [VehicleKey.of(scheme, value) for scheme, value in named.items() if value]
    if not keys:
        raise Malformed("name the vehicle: --vin, --jp-frame, --oem-id or --plate")
    when = SystemClock().now() if at is None else at.replace(tzinfo=UTC)
    told = asyncio.run(_standing(load(config_file), TenantId(brand), keys, when))
    typer.echo(json.dumps(told, ensure_ascii=False, indent=None if as_json else 2))


@pack.command("check")
def pack_check(
    files: Annotated[list[Path], typer.Argument(help="Brand packs (TOML).", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Read brand packs and say what they are; exit code 78 when one is wrong."""
    packs = [read_pack(_text(file), name=file.name) for file in files]
    if as_json:
        typer.echo(msgspec.json.encode([{"name": each.name, "pack": each} for each in packs]).decode())
        return
    for each in packs:
        profiling = "severity may be scored" if each.profiling else "no profiling: severity is never scored"
        typer.echo(f"{each.name}: {each.name_en} ({each.jurisdiction}), {'/'.join(each.words)}; {profiling}")


# --- what the commands do ---


async def _import(
    sheet: Sheet, settings: Settings, brands: Collection[TenantId], *, dry_run: bool, quiet: bool
) -> Imported:
    if dry_run and not settings.database_url and not (settings.data / "journal.db").exists():
        return _as_if_empty(sheet)
    async with _opened(settings, brands, writes=not dry_run) as registry:
        with Progress(disable=quiet or not sys.stderr.isatty(), console=Console(stderr=True)) as progress:
            task = progress.add_task("import", total=len(sheet.rows))
            return await import_sheet(
                sheet,
                registry,
                by=lambda tenant: By(tenant=tenant, role=Role.SYSTEM, id="import"),
                dry_run=dry_run,
                advance=lambda: progress.advance(task),
            )


def _as_if_empty(sheet: Sheet) -> Imported:
    """A dry run before there is any database: every good row would be new, or add to one above it."""
    new = len({row.vehicle.keys for row in sheet.rows})
    return Imported(
        dry_run=True,
        encoding=sheet.encoding,
        rows=sheet.total,
        created=new,
        changed=len(sheet.rows) - new,
        unchanged=0,
        left_out=len(sheet.findings),
        findings=sheet.findings,
    )


async def _standing(settings: Settings, brand: TenantId, keys: Sequence[VehicleKey], at: datetime) -> dict[str, object]:
    async with _opened(settings, {brand}, writes=False) as registry:
        found = await registry.standing(keys, tenant=brand, at=at)
    told: dict[str, object] = msgspec.to_builtins(found)
    told["call_back_window_s"] = round(found.call_back_window.total_seconds())
    told.pop("call_back_window")
    return told


@asynccontextmanager
async def _opened(settings: Settings, brands: Collection[TenantId], *, writes: bool) -> AsyncIterator[Registry]:
    """The registry of the database that the settings name.  Unless it ``writes``, not even the schema is touched."""
    settings.data.mkdir(parents=True, exist_ok=True)
    keys = key_store(settings)
    store = PostgresStore(settings.database_url) if settings.database_url else SqliteStore(settings.data / "journal.db")
    async with store:
        registry = Registry(store, Index(store.engine), keys, clock=SystemClock())
        packs = configured(_pack_directory(settings), brands)
        if writes:
            await upgrade(store.engine)
            await registry.load_packs(packs, brands)
        else:
            await registry.assume_packs(packs, brands)
        yield registry


def _brands(settings: Settings, named: Sequence[str]) -> set[TenantId]:
    """The brands that rows may be of: of the settings, with a pack there, or named; else the demonstration's."""
    directory = _pack_directory(settings)
    packs = configured(directory, ()) if directory else ()
    told = {*(tenant.id for tenant in settings.tenants), *(each.id for each in packs), *named}
    return {TenantId(each) for each in told} or set(shipped())


def _pack_directory(settings: Settings) -> Path | None:
    return Path(settings.brand_packs) if settings.brand_packs else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as wrong:
        raise Misconfigured(f"brand pack {file.name}: is not UTF-8") from wrong


def _show(done: Imported) -> None:
    title = "Dry run: nothing was written" if done.dry_run else "Import"
    figures = Table(title=title, show_header=False)
    for name in ("encoding", "rows", "created", "changed", "unchanged", "left_out"):
        figures.add_row(name.replace("_", " "), str(getattr(done, name)))
    console = Console()
    console.print(figures)
    if done.findings:
        found = Table(title="Left out")
        for column in ("row", "what", "column", "expected"):
            found.add_column(column)
        for each in done.findings:
            found.add_row(str(each.row), each.code, each.field, each.message)
        console.print(found)
