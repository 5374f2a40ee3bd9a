"""What a car sends after its crash: later data, the wish to cancel, the question how a test went."""

import asyncio
import json
import secrets
from typing import Annotated, Any

import aiohttp
import msgspec
import typer

from sos.cli.options import LOCAL, AsJson, Exit, Key, KeyFile, Seed, Url, held_key
from sos.clock import SystemClock
from sos.vehicle import report
from sos.vehicle.report import Car, VehicleEvent

Incident = Annotated[str | None, typer.Option("--incident", help="As acknowledged; without it that of the same car.")]
_CAR = Car()

Vin = Annotated[str, typer.Option(help="Of the car that crashed.")]


def update(
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    incident: Incident = None,
    sequence: Annotated[int, typer.Option(help="Rises with every later report.")] = 2,
    lat: Annotated[float, typer.Option(help="WGS-84 degrees.")] = _CAR.latitude or 0.0,
    lon: Annotated[float, typer.Option(help="WGS-84 degrees.")] = _CAR.longitude or 0.0,
    vin: Vin = _CAR.vin,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Send later data of a crash; it joins the incident."""
    car = Car(latitude=lat, longitude=lon, vin=vin)
    event = report.update(car, at=SystemClock().now(), seed=_seed(seed), sequence=sequence, incident=incident)
    _send(event, url=url, key=held_key(key, key_file), as_json=as_json)


def cancel(
    reason: Annotated[str, typer.Argument(help="false_alarm, occupant_cancelled, test, or words.")],
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    incident: Incident = None,
    vin: Vin = _CAR.vin,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Ask that no help be sent; an operator decides."""
    event = report.cancel(Car(vin=vin), at=SystemClock().now(), seed=_seed(seed), reason=reason, incident=incident)
    _send(event, url=url, key=held_key(key, key_file), as_json=as_json)


def receipt(
    incident: Annotated[str, typer.Argument(help="Incident id of a test call.")],
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Pass or fail of a test call; exit code 1 unless it passed."""
    told = asyncio.run(_asked(f"/v1/events/{incident}/receipt", url=url, key=held_key(key, key_file)))
    if as_json:
        typer.echo(json.dumps(told))
    elif "passed" not in told:
        typer.echo(f"sos: {told.get('detail') or told.get('title')}", err=True)
    else:
        typer.echo({True: "passed", False: "failed", None: "not judged yet"}[told["passed"]])
        for name, good in told["checks"].items():
            typer.echo(f"  {'ok  ' if good else 'FAIL'}  {name}")
    raise typer.Exit(0 if told.get("passed") else Exit.REFUSED)


def _send(event: VehicleEvent, *, url: str, key: str, as_json: bool) -> None:
    taken = report.run_report(event, base_url=url, key=key, clock=SystemClock())
    if as_json:
        typer.echo(msgspec.json.encode(taken).decode())
    else:
        how = f"joined ({taken.joined})" if taken.joined else ("repeat" if taken.repeat else "opened an incident")
        typer.echo(f"{how}: {taken.urn} ({taken.durability})")


async def _asked(path: str, *, url: str, key: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(base_url=url) as session,
        session.get(path, headers={"Authorization": f"Bearer {key}"}) as answer,
    ):
        told: dict[str, Any] = await answer.json(content_type=None)
        return told


def _seed(given: int | None) -> int:
    return secrets.randbits(63) if given is None else given
