"""``sos geo``: bring boundary layers and town points into the form the service maps, look at them, check them."""

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from routing.boundaries import MunicipalLayer
from routing.boundaries.build import build
from routing.boundaries.enclaves import opened
from routing.boundaries.index import KIND, Area, Finding, Header, Index, Source
from routing.boundaries.sources import FIELDS, Content, read
from routing.boundaries.survey import Survey, compared, examined, onto, shipped, succeeded, survey
from routing.container import read_header
from routing.directory import Directory
from routing.directory.jis import in_force
from routing.errors import RoutingError
from routing.plan.place import import_towns
from routing.position.posts import check
from routing.services import ALWAYS
from sos.cli.options import AsJson, ConfigFile, Exit
from sos.dispatch.sources import layer_file, open_directory, towns_file
from sos.errors import Misconfigured
from sos.settings import load

geo = typer.Typer(no_args_is_help=True, help="Boundary layers and town points: import, look, check.")

_OF = "Index file; the one that the settings name."
_SHOWN = 12

Out = Annotated[Path | None, typer.Option(help="The file to write; the one that the service reads without.")]


@geo.command("import")
def geo_import(
    sources: Annotated[
        list[Path],
        typer.Argument(help="GeoJSON (.gz, .zip), TopoJSON; Shapefile, GeoPackage, FlatGeobuf with the extra geo."),
    ],
    out: Out = None,
    name: Annotated[str, typer.Option(help="Name of the layer in every plan; the first source's without.")] = "",
    valid_from: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of all areas.")] = None,
    valid_to: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of all areas.")] = None,
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help=f"FIELD=THEIRS, for {', '.join(FIELDS)}; A+B joins. Repeatable.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Which layer of a file that has several.")] = None,
    sha256: Annotated[
        list[str] | None, typer.Option(help="The SHA-256 a source must have; once for each source, in their order.")
    ] = None,
    accuracy_m: Annotated[float, typer.Option(help="How far the borders may be wrong, in metres.", min=0)] = 30.0,
    onto_file: Annotated[
        Path | None, typer.Option("--onto", help="Keep the areas of this index; those covered by new ones end.")
    ] = None,
    succession: Annotated[
        bool, typer.Option(help="Apply the table of Japan's municipalities that became others.")
    ] = False,
    succession_file: Annotated[Path | None, typer.Option(help="Another table of changes (TOML).")] = None,
    strict: Annotated[bool, typer.Option(help="Refuse whatever would be repaired or left out.")] = False,
    directory: Annotated[
        Path | None, typer.Option(help="Agency directory (TOML) that answers in it; else the setting.")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write it although no agency answers in it.")] = False,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read boundary files, repair and report what is odd, and write the index the service maps.

    Exit code 1, and nothing is written, when no agency of the directory answers anywhere in it.
    """
    started = time.monotonic()
    settings = load(config_file)
    out, agencies = out or layer_file(settings), open_directory(str(directory or "") or settings.directory)
    with _faults(), _progress() as tell:
        fields = _mapping(mapping or [])
        contents = [read(source, mapping=fields, layer=layer) for source in sources]
        _as_published(contents, sha256 or [])
        found = survey(contents, valid_from=_day(valid_from), valid_to=_day(valid_to), tell=tell)
        read_before: tuple[Source, ...] = ()
        if onto_file is not None:
            old = Index(onto_file)
            found, read_before = onto(old, found), old.header.sources
        if succession or succession_file:
            found = succeeded(found, succession_file)
        found = examined(compared(opened(found, tell=tell), in_force()), tell=tell)
        if strict:
            _without_repair(found)
    answered = _answered(found, agencies)
    if not answered and not anyway:
        _tell_useless(found, agencies, as_json=as_json)
        raise typer.Exit(Exit.REFUSED)
    with _faults(), _progress() as tell:
        header = Header(
            name=name or sources[0].name.partition(".")[0],
            accuracy_m=accuracy_m,
            sources=(*read_before, *(content.source for content in contents)),
            areas=found.areas,
            findings=found.findings,
        )
        japanese = any((area.prefecture or "").startswith("JP-") for area in found.areas)
        build(header, found.shapes, out, abroad=shipped().abroad if japanese else None, tell=tell)
    _tell_import(out, found, answered=answered, seconds=time.monotonic() - started, as_json=as_json)


@geo.command("show")
def geo_show(
    file: Annotated[Path | None, typer.Argument(help=_OF)] = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What an index file says of itself: sources with checksums, areas, periods, findings.  Checks every section."""
    file = file or layer_file(load(config_file))
    with _faults():
        header, _, _, digest = read_header(file, kind=KIND, about=Header)
        Index(file)
    periods = sorted({(area.valid_from or date.min, area.valid_to or date.max) for area in header.areas})
    if as_json:
        told: dict[str, Any] = msgspec.to_builtins(header)
        told |= {"dataset": f"{header.name}@{digest}", "bytes": file.stat().st_size, "areas": len(header.areas)}
        del told["sets"]
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(f"{header.name}@{digest}")
    typer.echo(f"{len(header.areas)} areas, {file.stat().st_size / 1e6:.0f} MB, every section as made")
    for source in header.sources:
        typer.echo(f"  from {source.name} ({source.areas} rows), SHA-256 {source.sha256}")
    for first, last in periods:
        count = sum((area.valid_from or date.min, area.valid_to or date.max) == (first, last) for area in header.areas)
        begin = "the beginning" if first == date.min else str(first)
        typer.echo(f"  {count} areas valid from {begin} to {'further notice' if last == date.max else last}")
    _tell_findings(header.findings, every=True)


@geo.command("check")
def geo_check(
    towns: Annotated[Path, typer.Argument(help="Town points with their codes (CSV, also gzipped): code, lat, lon.")],
    boundaries: Annotated[Path | None, typer.Option(help=_OF)] = None,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="State of the layer to ask.")] = None,
    at_least: Annotated[float, typer.Option(help="Agreement in per cent below which the exit code is 1.")] = 99.98,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """How often the layer agrees with points whose municipality somebody else has published."""
    with _faults():
        layer = MunicipalLayer.load(boundaries or layer_file(load(config_file)))
        rows = list(_town_rows(towns))
        started = time.monotonic()
        matches = layer.find_many([row[1] for row in rows], [row[2] for row in rows], as_of=_day(as_of))
        seconds = time.monotonic() - started
    told = _agreement(rows, [match.municipality if match.how == "inside" else None for match in matches])
    told |= {"dataset": layer.dataset, "points_per_second": round(len(rows) / max(seconds, 1e-9))}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _tell_agreement(told)
    raise typer.Exit(0 if told["agree_percent"] >= at_least else Exit.REFUSED)


@geo.command("import-towns")
def geo_import_towns(
    source: Annotated[Path, typer.Argument(help="CSV, also gzipped, with the columns code, town, lat, lon.")],
    out: Out = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Town points, so that a place can be said in words."""
    out = out or towns_file(load(config_file))
    with _faults(), _progress() as tell:
        tell(source.name)
        about = import_towns(source, out)
    left_out = list(about.left_out)
    if as_json:
        told = {"file": str(out), "points": sum(about.counts), "municipalities": len(about.codes), "left_out": left_out}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(f"{out}: {sum(about.counts)} points in {len(about.codes)} municipalities")
    if left_out:
        rows = ", ".join(map(str, left_out[:_SHOWN]))
        typer.echo(f"  {len(left_out)} rows without a usable position, code or name left out: {rows}")


@geo.command("check-posts")
def geo_check_posts(
    source: Annotated[Path, typer.Argument(help="CSV with the columns road, km, direction, lat, lon.")],
    as_json: AsJson = False,
) -> None:
    """A dry run over a table of kilometre posts: what the service would know by it, and each row that it would refuse.

    Exit code 1 when there is any: the service starts with none.
    """
    with _faults():
        posts, faults = check(source)
    told = {"dataset": posts.dataset, "roads": list(posts.roads), "posts": posts.count}
    if as_json:
        typer.echo(json.dumps(told | {"faults": msgspec.to_builtins(faults)}, ensure_ascii=False))
    else:
        typer.echo(f"{posts.dataset}\n{posts.count} posts of {len(posts.roads)} roads: {', '.join(posts.roads)}")
        for fault in faults:
            typer.echo(f"  row {fault.row}: {fault.what}" if fault.row else f"  {fault.what}")
    if faults:
        raise typer.Exit(Exit.REFUSED)


def _agreement(rows: list[tuple[str, float, float, str]], found: list[str | None]) -> dict[str, Any]:
    """The figures, over the rows whose label could be placed at all (``label_agrees`` 0 or 1, or no such column)."""
    judged = [(row, code) for row, code in zip(rows, found, strict=True) if row[3] in ("0", "1", "-")]
    right = sum(row[0] == code for row, code in judged)
    nowhere = sum(code is None for _, code in judged)
    wrong = [(row, code) for row, code in judged if code is not None and row[0] != code]
    return {
        "points": len(rows),
        "judged": len(judged),
        "agree": right,
        "agree_percent": round(100.0 * right / max(1, len(judged)), 4),
        "no_area": nowhere,
        "other_municipality": len(wrong),
        "other_prefecture": sum(row[0][:2] != str(code)[:2] for row, code in wrong),
        "examples": [f"{row[1]:.6f} {row[2]:.6f}: {row[0]} is {code}" for row, code in wrong[:_SHOWN]],
    }


def _tell_agreement(told: dict[str, Any]) -> None:
    table = Table(title=f"Agreement with {told['dataset'][:40]}")
    table.add_column("points")
    table.add_column("number", justify="right")
    table.add_column("%", justify="right")
    for key in ("judged", "agree", "no_area", "other_municipality", "other_prefecture"):
        table.add_row(key.replace("_", " "), str(told[key]), f"{100 * told[key] / max(1, told['judged']):.4f}")
    Console().print(table)
    for example in told["examples"]:
        typer.echo(f"  {example}")
    typer.echo(f"{told['points']} points, {told['points_per_second']} a second")


def _town_rows(path: Path) -> Iterator[tuple[str, float, float, str]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")):
                yield row["code"], float(row["lat"]), float(row["lon"]), row.get("label_agrees", "-")
    except (OSError, KeyError, ValueError, EOFError) as fault:
        raise Misconfigured(f"{path.name}: no town points: {fault}") from fault


def _answered(found: Survey, directory: Directory) -> int:
    """Areas in which somebody but a default agency answers, for one service at least."""

    def own(area: Area) -> bool:
        named = (directory.assign(each, prefecture=area.prefecture, municipality=area.code) for each in ALWAYS)
        return any(each is not None and each.how != "default_agency" for each in named)

    return sum(map(own, found.areas))


def _tell_useless(found: Survey, directory: Directory, *, as_json: bool) -> None:
    words = (
        f"nobody of the directory {directory.name} answers in any of these {len(found.areas)} areas: every plan would"
        " name the default agencies.  Nothing was written.  Name their directory with --directory, or the fields with"
        " --map; --anyway writes it."
    )
    if as_json:
        told = {"refused": words, "areas": len(found.areas), "answered": 0}
        typer.echo(json.dumps(told | {"findings": msgspec.to_builtins(found.findings)}, ensure_ascii=False))
        return
    _tell_findings(found.findings)
    typer.echo(words, err=True)


def _tell_import(out: Path, found: Survey, *, answered: int, seconds: float, as_json: bool) -> None:
    header, _, _, digest = read_header(out, kind=KIND, about=Header)
    if as_json:
        told = {"file": str(out), "dataset": f"{header.name}@{digest}", "areas": len(found.areas), "answered": answered}
        typer.echo(json.dumps(told | {"findings": msgspec.to_builtins(found.findings)}, ensure_ascii=False))
        return
    _tell_findings(found.findings)
    if answered < len(found.areas):
        typer.echo(f"  {len(found.areas) - answered} areas have no agency of their own: the default ones answer there")
    size = out.stat().st_size / 1e6
    typer.echo(f"{out}: {len(found.areas)} areas, {size:.0f} MB, {seconds:.0f} s\n{header.name}@{digest}")


def _tell_findings(findings: tuple[Finding, ...], *, every: bool = False) -> None:
    kinds = {finding.kind for finding in findings}
    for kind in sorted(kinds):
        members = [finding for finding in findings if finding.kind == kind]
        for finding in members if every else members[:_SHOWN]:
            rows = f" (row {', '.join(map(str, finding.rows[:_SHOWN]))}{' ...' if len(finding.rows) > _SHOWN else ''})"
            typer.echo(f"  {kind}: {finding.text}{rows if finding.rows else ''}")
        if not every and len(members) > _SHOWN:
            typer.echo(f"  {kind}: {len(members) - _SHOWN} more; `sos geo show` lists all")


def _without_repair(found: Survey) -> None:
    faults = [finding for finding in found.findings if finding.kind not in ("made", "ended")]
    if faults:
        raise Misconfigured(f"refused, as --strict asks: {faults[0].text} ({len(faults)} findings)")


def _as_published(contents: list[Content], wanted: list[str]) -> None:
    if wanted and len(wanted) != len(contents):
        raise typer.BadParameter(f"{len(contents)} sources need {len(contents)} of them", param_hint="--sha256")
    for content, digest in zip(contents, wanted, strict=False):
        if content.source.sha256 != digest.lower():
            raise Misconfigured(f"{content.source.name}: SHA-256 is {content.source.sha256}, not as published")


def _mapping(given: list[str]) -> dict[str, str] | None:
    fields: dict[str, str] = {}
    for each in given:
        ours, _, theirs = each.partition("=")
        if ours not in FIELDS or not theirs:
            raise typer.BadParameter(
                f"{each!r}: write FIELD=THEIRS, FIELD one of {', '.join(FIELDS)}", param_hint="--map"
            )
        fields[ours] = theirs
    if fields and "code" not in fields:
        raise typer.BadParameter("name the field of the code: --map code=THEIRS", param_hint="--map")
    return fields or None


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


@contextmanager
def _faults() -> Iterator[None]:
    """A file that is wrong ends the command with its sentence."""
    try:
        yield
    except RoutingError as wrong:
        raise Misconfigured(str(wrong)) from wrong


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A moving line on standard error that says what is being done."""
    columns = (SpinnerColumn(), TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda what: bar.update(task, description=what)
