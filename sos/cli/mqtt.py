"""``sos vehicle publish``: a car that reports over MQTT."""

import asyncio
import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sos.cli.options import AsJson, Exit, Seed
from sos.clock import SystemClock
from sos.vehicle.mqtt import MqttSender
from sos.vehicle.report import Car, NotAccepted, Patience, Taken, crash

PATIENCE = Patience(attempts=6, answer_within=timedelta(seconds=5))


def publish(
    broker: Annotated[str, typer.Option(help="mqtt://[user@]host[:port] of the broker.")] = "mqtt://127.0.0.1:1883",
    tenant: Annotated[str, typer.Option(help="Tenant in the topic.")] = "demo",
    password_file: Annotated[Path | None, typer.Option(help="File with the broker's password.")] = None,
    version: Annotated[int, typer.Option("--mqtt-version", help="5, or 4 for MQTT 3.1.1.")] = 4,
    lat: Annotated[float, typer.Option(help="WGS-84 degrees.")] = Car().latitude or 0.0,
    lon: Annotated[float, typer.Option(help="WGS-84 degrees.")] = Car().longitude or 0.0,
    vin: Annotated[str, typer.Option(help="Of the car.")] = Car().vin,
    seed: Seed = None,
    test: Annotated[bool, typer.Option("--test", help="Say that it is a test: it never leaves the house.")] = False,
    as_json: AsJson = False,
) -> None:
    """Report a crash over MQTT and wait until the service acknowledges it."""
    if version not in (4, 5):
        raise typer.BadParameter("5, or 4 for MQTT 3.1.1", param_hint="--mqtt-version")
    car = Car(latitude=lat, longitude=lon, vin=vin, test=test)
    password = password_file.read_text().strip() if password_file else None
    try:
        taken = asyncio.run(_publish(car, broker=broker, tenant=tenant, version=version, seed=seed, password=password))
    except NotAccepted as refused:
        typer.echo(json.dumps({"error": str(refused)}) if as_json else f"sos: {refused}", err=not as_json)
        raise typer.Exit(Exit.REFUSED) from refused
    shown = msgspec.json.encode(taken).decode() if as_json else f"accepted as {taken.urn} ({taken.durability})"
    typer.echo(shown)


async def _publish(
    car: Car, *, broker: str, tenant: str, version: int, seed: int | None, password: str | None
) -> Taken:
    clock = SystemClock()
    event = crash(car, at=clock.now(), seed=secrets.randbits(63) if seed is None else seed)
    sender = MqttSender(broker, tenant=tenant, clock=clock, version=version, patience=PATIENCE, password=password)
    async with sender, asyncio.timeout(60):
        return await sender.send(event, vehicle=f"vin:{car.vin}")
