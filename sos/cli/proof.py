"""``sos proof``: one event of the log with its proof, for somebody who is shown that one and no package.

The command works on the data directory that the settings name and may run beside a running service.  What it writes is
the header, which holds no personal data, and a c2sp.org/tlog-proof.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from recording import note
from recording.anchors import AnchorStore
from recording.durable import write_new
from recording.proof import ENTRY_SUFFIX, SUFFIX
from recording.tiles import TileStore
from sos.cli.database import opened
from sos.cli.options import ConfigFile
from sos.errors import Malformed, Unavailable, Unknown
from sos.incident.model import IncidentId
from sos.settings import Settings, load


def prove(
    event: Annotated[str, typer.Argument(help="INCIDENT/N, the Nth event of an incident; or its position in the log.")],
    directory: Annotated[Path, typer.Argument(help="Where to write the two files.", exists=True, file_okay=False)],
    config_file: ConfigFile = None,
) -> None:
    """Write one event and the proof that it is in the log: check them with `sos verify FILE.tlog-proof`."""
    settings = load(config_file)
    position = asyncio.run(_position(settings, event))
    tiles = TileStore(settings.data / "log")
    published = tiles.checkpoint()
    if published is None or note.read_checkpoint(published).size <= position:
        raise Unavailable("the published log does not reach that far yet")
    vouched = AnchorStore(settings.data / "anchors").newest(position)
    checkpoint = vouched.checkpoint if vouched is not None and _continued(tiles, vouched.checkpoint) else published
    proof = note.log_proof(position, tiles.inclusion_proof(position, note.read_checkpoint(checkpoint).size), checkpoint)
    write_new(directory / f"{position}{ENTRY_SUFFIX}", tiles.entries(position, 1)[0])
    write_new(directory / f"{position}{SUFFIX}", proof)
    typer.echo(str(directory / f"{position}{SUFFIX}"))


def _continued(tiles: TileStore, checkpoint: bytes) -> bool:
    """Whether it is of the log as it is: another one may have ended."""
    head, published = note.read_checkpoint(checkpoint), tiles.checkpoint()
    current = note.read_checkpoint(published) if published else None
    return current is not None and (head.origin, head.size <= current.size) == (current.origin, True)


async def _position(settings: Settings, event: str) -> int:
    if event.isdecimal():
        return int(event)
    stream, _, number = event.rpartition("/")
    if not stream or not number.isdecimal():
        raise Malformed("name an event as INCIDENT/N, or by its position in the log")
    async with opened(settings) as store:
        for each in await store.whole(IncidentId(stream)):
            if each.n == int(number):
                if each.position is None:
                    raise Unavailable("this event has no place in the log yet; try again shortly")
                return each.position
    raise Unknown("there is no such event")
