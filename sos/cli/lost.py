"""``sos lost``: ask a LoST server (RFC 5222), ours or anybody's, who answers for a place."""

import asyncio
import time
from typing import Annotated, Any

import aiohttp
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from routing.errors import RoutingError
from routing.lost.client import Client, Unanswered, locate
from routing.lost.codec import write_answer
from routing.lost.messages import Answer, Errors, FindService, FindServiceResponse, Mapping, Redirect
from routing.position.shapes import Circle, Point, Shape
from sos.cli.options import LOCAL, AsJson, Exit
from sos.clock import SystemClock

SOURCE = "sos-command-line.invalid"
TIMEOUT_S = 5.0
"""A person waits here, no caller."""

Radius = Annotated[float, typer.Option("--uncertainty-m", help="Radius of the place in metres.")]
AskedService = Annotated[str, typer.Option("--service", help="Last labels of the URN: sos, sos.fire, sos.police ...")]
Server = Annotated[str, typer.Option("--url", help="Address of the LoST server.")]
TenantKey = Annotated[str, typer.Option("--key", envvar="SOS_KEY", help="Tenant key; strangers see listed lines only.")]
ByValue = Annotated[bool, typer.Option("--boundary", help="With the boundary in which the answer is the same.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Let the server ask others.")]
AsXml = Annotated[bool, typer.Option("--xml", help="Print the answer as it is on the wire.")]


def lost(
    lat: Annotated[float, typer.Argument(metavar="LAT", help="WGS-84 degrees.")],
    lon: Annotated[float, typer.Argument(metavar="LON", help="WGS-84 degrees.")],
    uncertainty_m: Radius = 0.0,
    service: AskedService = "sos",
    url: Server = f"{LOCAL}/lost",
    key: TenantKey = "",
    boundary: ByValue = False,
    recursive: Recursive = False,
    xml: AsXml = False,
    as_json: AsJson = False,
) -> None:
    """Ask a LoST server who answers at LAT LON."""
    request = FindService(
        locations=locate(_place(lat, lon, uncertainty_m)),
        service=f"urn:service:{service}",
        boundary="value" if boundary else "reference",
        recursive=recursive,
    )
    try:
        said = asyncio.run(_ask(url, key, request))
    except Unanswered as failed:
        typer.echo(f"{url}: {failed.cause.value}: {failed}", err=True)
        raise typer.Exit(Exit.REFUSED) from failed
    if xml:
        typer.echo(write_answer(said).decode())
    elif as_json:
        typer.echo(msgspec.json.encode(said).decode())
    else:
        _show(said)
    if isinstance(said, Errors):
        raise typer.Exit(Exit.REFUSED)


def _place(latitude: float, longitude: float, uncertainty_m: float) -> Shape:
    try:
        if uncertainty_m == 0.0:
            return Point(latitude, longitude)
        return Circle(latitude, longitude, uncertainty_m)
    except RoutingError as wrong:
        raise typer.BadParameter(str(wrong)) from wrong


async def _ask(url: str, key: str, request: FindService) -> Answer:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        client = Client(
            session,
            source=SOURCE,
            urls={url: url},
            now=SystemClock().now,
            monotonic=time.monotonic,
            timeout_s=TIMEOUT_S,
        )
        return await client.ask(url, request)


def _show(said: Answer) -> None:
    console = Console(highlight=False, soft_wrap=True)
    match said:
        case FindServiceResponse():
            for warning in said.warnings:
                console.print(f"{warning.kind.value}: {warning.message} ({warning.source})")
            for mapping in said.mappings:
                console.print(_table(mapping))
            console.print(f"by {' > '.join(said.path)}")
        case Redirect():
            console.print(f"{said.source} says: ask {said.target}. {said.message}")
        case Errors():
            console.print(f"{said.source}: {said.fault.value}: {said.message}")
        case _:
            console.print(f"an answer to another question: {type(said).__name__}")


def _table(mapping: Mapping) -> Table:
    table = Table(show_header=False, box=None)
    rows: dict[str, Any] = {
        "service": mapping.service or "",
        "name": " / ".join(words for _, words in mapping.names),
        "dial": mapping.number or "",
        "addresses": ", ".join(mapping.uris) or "none that is listed",
        "until": mapping.expires,
        "id": f"{mapping.source_id} ({mapping.source})",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table
