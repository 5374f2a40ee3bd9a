"""``sos vehicle crash`` and ``sos vehicle manual``: a car that reports, calls, and does what a script says."""

import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from sos.cli.options import LOCAL, AsJson, Key, KeyFile, Seed, Url, held_key, run
from sos.clock import SystemClock
from sos.errors import Malformed
from sos.vehicle.report import Car, VehicleEvent, crash, manual, report_once
from sos.vehicle.script import Say, Step, parse
from sos.vehicle.voice import CarVoice

_CAR = Car()

Lat = Annotated[float, typer.Option(help="WGS-84 degrees.")]
Lon = Annotated[float, typer.Option(help="WGS-84 degrees.")]
Test = Annotated[bool, typer.Option("--test", help="Say that it is a test: it never leaves the house.")]
Voice = Annotated[bool, typer.Option(help="Call after reporting, until hung up.")]
PlayFile = Annotated[Path | None, typer.Option(help="Audio file the car plays; speech-like sounds without.")]
RecordFile = Annotated[Path | None, typer.Option(help="WAV file of what the car hears.")]
Words = Annotated[str, typer.Option("--say", help="A text to speak once the call is up (needs speech synthesis).")]
ScriptFile = Annotated[Path | None, typer.Option(help="What the people in the car do: a file of steps, one a line.")]
Silent = Annotated[bool, typer.Option("--silent", help="Nobody in the car says anything.")]
LossPercent = Annotated[float, typer.Option("--loss", min=0, max=100, help="Percent of packets lost, both ways.")]


class Call(Struct, frozen=True, kw_only=True):
    """How the car calls."""

    play: Path | None
    record: Path | None
    steps: tuple[Step, ...]
    silent: bool
    loss: float
    """Share of packets, 0 to 1."""


def vehicle_crash(
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    lat: Lat = _CAR.latitude or 0.0,
    lon: Lon = _CAR.longitude or 0.0,
    seed: Seed = None,
    test: Test = False,
    voice: Voice = True,
    play: PlayFile = None,
    record: RecordFile = None,
    say: Words = "",
    script: ScriptFile = None,
    silent: Silent = False,
    loss: LossPercent = 0.0,
    as_json: AsJson = False,
) -> None:
    """Report a crash automatically, and call."""
    event = crash(Car(latitude=lat, longitude=lon, test=test), at=_now(), seed=_seed(seed))
    call = _call(play=play, record=record, say=say, script=script, silent=silent, loss=loss)
    run(_report(event, url=url, key=held_key(key, key_file), call=call if voice else None, as_json=as_json))


def vehicle_manual(
    url: Url = LOCAL,
    key: Key = "",
    key_file: KeyFile = None,
    lat: Lat = _CAR.latitude or 0.0,
    lon: Lon = _CAR.longitude or 0.0,
    seed: Seed = None,
    test: Test = False,
    voice: Voice = True,
    play: PlayFile = None,
    record: RecordFile = None,
    say: Words = "",
    script: ScriptFile = None,
    silent: Silent = False,
    loss: LossPercent = 0.0,
    as_json: AsJson = False,
) -> None:
    """Press the SOS button, and call."""
    event = manual(Car(latitude=lat, longitude=lon, test=test), at=_now(), seed=_seed(seed))
    call = _call(play=play, record=record, say=say, script=script, silent=silent, loss=loss)
    run(_report(event, url=url, key=held_key(key, key_file), call=call if voice else None, as_json=as_json))


def _call(*, play: Path | None, record: Path | None, say: str, script: Path | None, silent: bool, loss: float) -> Call:
    steps: tuple[Step, ...] = (Say(say),) if say else ()
    if script is not None:
        try:
            steps += parse(script.read_text(encoding="utf-8"), beside=script.parent)
        except (OSError, UnicodeDecodeError, Malformed) as wrong:
            raise typer.BadParameter(f"{script}: {wrong}", param_hint="--script") from wrong
    return Call(play=play, record=record, steps=steps, silent=silent, loss=loss / 100)


async def _report(event: VehicleEvent, *, url: str, key: str, call: Call | None, as_json: bool) -> None:
    clock = SystemClock()
    taken = await report_once(event, base_url=url, key=key, clock=clock)
    shown = msgspec.json.encode(taken).decode() if as_json else f"accepted as {taken.urn} ({taken.durability})"
    typer.echo(shown)
    if call is None:
        return
    voice = CarVoice(
        url,
        taken.incident,
        token=key,
        clock=clock,
        sound=call.play,
        heard=call.record,
        script=call.steps,
        silent=call.silent,
        loss=call.loss,
        obeys=True,
    )
    async with voice as car:
        await car.until_stopped()


def _seed(given: int | None) -> int:
    return secrets.randbits(63) if given is None else given


def _now() -> datetime:
    return SystemClock().now()
