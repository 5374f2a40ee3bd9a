"""``sos route``: who is responsible for a point, or for every row of a file, by the same rules in the same words."""

import csv
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from routing.boundaries import PrefectureLayer
from routing.plan import Sources
from routing.plan.bulk import Answer, Bulk, Row
from routing.plan.routes import Crossings
from routing.services import Service
from sos.cli.options import AsJson, ConfigFile
from sos.clock import SystemClock
from sos.dispatch.sources import open_directory, open_layer
from sos.errors import Misconfigured, SosError
from sos.settings import load

CHUNK = 20_000
"""Rows answered at once: enough for bulk speed, few enough to keep memory and the first answer small."""

SETTINGS: dict[str, Any] = {"ignore_unknown_options": True}
"""For typer: so that ``-33.9`` is a latitude; a misspelt option is then no number and is refused as such."""

_COLUMNS = {"lat": ("lat", "latitude"), "lon": ("lon", "lng", "longitude"), "uncertainty": ("uncertainty_m",)}

Latitude = Annotated[str | None, typer.Argument(metavar="LAT", help="WGS-84 degrees.")]
Longitude = Annotated[str | None, typer.Argument(metavar="LON", help="WGS-84 degrees.")]
Uncertainty = Annotated[
    float | None, typer.Option("--uncertainty-m", help="Radius in metres; of rows that state none in a batch.")
]
Batch = Annotated[Path | None, typer.Option(help="CSV with columns lat, lon and perhaps uncertainty_m; - for stdin.")]
AsOf = Annotated[datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Day whose borders hold; today.")]
One = Annotated[Service | None, typer.Option("--service", help="Ask for this service alone.")]
Boundaries = Annotated[Path | None, typer.Option(help="Index made by sos geo import; else the setting.")]
Agencies = Annotated[Path | None, typer.Option("--directory", help="Agency directory (TOML); else the setting.")]


def route(
    lat: Latitude = None,
    lon: Longitude = None,
    uncertainty_m: Uncertainty = None,
    batch: Batch = None,
    as_of: AsOf = None,
    service: One = None,
    boundaries: Boundaries = None,
    directory: Agencies = None,
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say who is responsible for LAT LON, or for each row of a file as one line of JSON."""
    point = _point(lat, lon, batch)
    bulk = _bulk(config_file, boundaries, directory, on=as_of.date() if as_of else _today(), service=service)
    if batch is not None:
        _run_batch(bulk, batch, uncertainty_m)
        return
    line = bulk.lines([(*point, uncertainty_m)])[0]
    if as_json:
        typer.echo(line.decode())
    else:
        _show(msgspec.json.decode(line, type=Answer))


def _point(lat: str | None, lon: str | None, batch: Path | None) -> tuple[float, float]:
    """The position given; NaN for a batch.  A text that is no number is a mistake of whoever typed it."""
    if (batch is not None) == (lat is not None):
        raise typer.BadParameter("give LAT and LON, or --batch FILE")
    if batch is not None:
        return math.nan, math.nan
    found = [_number(text) for text in (lat, lon)]
    for text, value, name in zip((lat, lon), found, ("LAT", "LON"), strict=True):
        if value is None or (math.isnan(value) and (text or "").strip().lower() != "nan"):
            raise typer.BadParameter(f"{text!r} is no number of degrees", param_hint=name)
    return found[0] or 0.0, found[1] or 0.0


def _bulk(
    config_file: Path | None, boundaries: Path | None, directory: Path | None, *, on: date, service: Service | None
) -> Bulk:
    settings = load(config_file)
    if boundaries is not None:
        if not boundaries.is_file():
            raise Misconfigured(f"--boundaries: {boundaries} is no file")
        settings = msgspec.structs.replace(settings, boundaries=str(boundaries))
    layer = open_layer(settings)
    coarse = ("prefecture_layer_only",) if isinstance(layer, PrefectureLayer) else ()
    sources = Sources(
        layer=layer, directory=open_directory(str(directory or "") or settings.directory), crossings=Crossings.load()
    )
    return Bulk(sources, on=on, service=service, flags=coarse)


def _run_batch(bulk: Bulk, file: Path, uncertainty_m: float | None) -> None:
    """Answers on standard output in the order of the rows, progress on standard error."""
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=Console(stderr=True)))
        if str(file) == "-":
            source: TextIO = sys.stdin
            task = progress.add_task("route", total=None)
        else:
            try:
                source = stack.enter_context(file.open(encoding="utf-8-sig", errors="replace", newline=""))
            except OSError as fault:
                raise SosError(f"--batch: {file}: {fault.strerror}") from fault
            task = progress.add_task("route", total=file.stat().st_size)
        counted = _Counted(source)
        rows = _rows(counted, uncertainty_m)
        while chunk := list(islice(rows, CHUNK)):
            sys.stdout.buffer.write(b"\n".join(bulk.lines(chunk)) + b"\n")
            progress.update(task, completed=counted.characters)
        sys.stdout.buffer.flush()
        if str(file) != "-":
            progress.update(task, completed=file.stat().st_size)


class _Counted:
    """The lines of a text, and how much of it has gone by."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.characters += len(line)
            yield line


def _rows(lines: _Counted, uncertainty_m: float | None) -> Iterator[Row]:
    """The rows of a CSV; a row that cannot be read is one without a position.  Empty lines are no rows."""
    reader = csv.reader(iter(lines))
    header = [cell.strip().lower() for cell in next(reader, [])]
    place = {
        column: next((header.index(name) for name in names if name in header), -1) for column, names in _COLUMNS.items()
    }
    if place["lat"] < 0 or place["lon"] < 0:
        raise SosError("--batch: the first line must name the columns lat and lon")
    lat, lon, uncertainty = place["lat"], place["lon"], place["uncertainty"]
    while True:
        try:
            for cells in reader:
                if cells:
                    stated = _cell(cells, uncertainty) if uncertainty >= 0 else None
                    yield _cell(cells, lat), _cell(cells, lon), uncertainty_m if stated is None else stated
            return
        except csv.Error:
            yield math.nan, math.nan, None


def _cell(cells: list[str], place: int) -> float | None:
    try:
        return float(cells[place])
    except ValueError:
        return math.nan if cells[place].strip() else None
    except IndexError:
        return None


def _number(text: str | None) -> float | None:
    return None if text is None else _cell([text], 0)


def _show(answer: Answer) -> None:
    where = " ".join(filter(None, (answer.prefecture, answer.municipality, answer.municipality_name)))
    table = Table("service", "agency", "id", "why", title=where or "place unknown")
    for body in answer.agencies:
        table.add_row(body.service.value, body.name, body.id, body.reason if body.reachable else "no channel")
    console = Console()
    console.print(table)
    if answer.shares:
        console.print("circle: " + ", ".join(f"{each.code} {each.share:.1%}" for each in answer.shares), markup=False)
    if answer.flags:
        console.print("flags: " + ", ".join(answer.flags), markup=False)


def _today() -> date:
    return SystemClock().now().date()
