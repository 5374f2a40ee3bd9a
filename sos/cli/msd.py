"""``sos msd``: eCall messages between octets and JSON, for looking into a log or making a test message."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from sos.cli.options import AsJson, Exit
from sos.clock import SystemClock
from sos.errors import Malformed
from sos.formats import mapping, msd, msd_json, text_encoding
from sos.incident.plausible import judged

app = typer.Typer(no_args_is_help=True, help="Look into eCall messages (MSD, EN 15722), or make one.")


@app.command()
def decode(
    source: Annotated[str, typer.Argument(metavar="HEX|FILE|-", help="The message, or where it is; - is the input.")],
    lines: Annotated[
        bool, typer.Option("--lines", help="One message in hex per line; one JSON line for each.")
    ] = False,
    salvage: Annotated[bool, typer.Option("--salvage", help="Show the base data of a damaged message.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print an MSD as JSON, with what is odd about it in `findings`.

    A file may hold raw octets, hexadecimal text or Base64.  Exit code 1 and the reason when it is no MSD; with --lines
    that line becomes {"error", "line"}, and the exit code 1 comes after the last line.
    """
    if lines:
        raise typer.Exit(Exit.REFUSED if _decode_lines(source) else 0)
    read = mapping.read_msd if salvage else msd.read
    found = read(_octets(source))
    encoded = msgspec.json.encode(_shown(found))
    typer.echo(encoded if as_json else msgspec.json.format(encoded, indent=2))


@app.command()
def encode(
    source: Annotated[str, typer.Argument(metavar="JSON|FILE|-", help="What `decode` prints, or where it is.")],
) -> None:
    """Print the canonical MSD of a JSON object, in hexadecimal."""
    content = source.encode("utf-8", "surrogateescape") if source.lstrip().startswith("{") else _content(source)
    typer.echo(msd.write(msd_json.taken(content)).hex().upper())


def _shown(found: msd.Msd) -> msd_json.MsdShape:
    """With the findings that the service would have had: a message in a log is judged as if it came when it says."""
    now, said = SystemClock().now(), found.happened_at
    at = said if said is not None and msd.FIRST_POSSIBLE <= said <= now else now
    return msd_json.shown(found, judged(mapping.report_of_msd(found).report, at=at).findings)


def _octets(source: str) -> bytes:
    if source == "-" or os.path.isfile(source):
        return text_encoding.octets_of(_content(source))
    try:
        return text_encoding.from_hex(source)
    except Malformed as error:
        raise Malformed(f"the argument is neither a file nor hexadecimal digits: {error}") from None


def _content(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    return Path(source).read_bytes() if os.path.isfile(source) else source.encode("utf-8", "surrogateescape")


def _decode_lines(source: str) -> int:
    """Decode line by line, as they come; the number of malformed ones."""
    malformed = 0
    for number, line in enumerate(_lines(source), start=1):
        try:
            told: object = _shown(msd.read(text_encoding.from_hex(line.decode("ascii", "replace"))))
        except Malformed as error:
            malformed += 1
            told = {"error": str(error), "line": number}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    return malformed


def _lines(source: str) -> Iterator[bytes]:
    if source == "-":
        yield from _without_ends(sys.stdin.buffer)
    elif os.path.isfile(source):
        with open(source, "rb") as file:
            yield from _without_ends(file)
    else:
        yield from source.encode("utf-8", "surrogateescape").splitlines()


def _without_ends(file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        yield line.rstrip(b"\r\n")
