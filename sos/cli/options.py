"""Options and exit codes that several subcommands of ``sos`` share."""

import asyncio
import json
import signal
from collections.abc import Coroutine
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sos.errors import Misconfigured


class Exit(IntEnum):
    REFUSED = 1
    USAGE = 2
    BUG = 70
    """EX_SOFTWARE of sysexits.h: our own mistake; where it happened stands on standard error."""
    DEPOSED = 75
    """EX_TEMPFAIL: another process leads; begun again, this one waits."""
    SETTINGS = 78
    """EX_CONFIG of sysexits.h."""


ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="SOS_CONFIG", help="Settings file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Url = Annotated[str, typer.Option("--url", help="Where the service is.")]
Key = Annotated[str, typer.Option("--key", envvar="SOS_KEY", help="Tenant key, or auditor token for export.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="The demonstration's key file, instead of --key.")]
Seed = Annotated[
    int | None,
    typer.Option(help="Draws what is invented; the same seed is the same report again. Each time another without."),
]

LOCAL = "http://127.0.0.1:8080"


def held_key(key: str, file: Path | None, *, role: str = "tenant") -> str:
    """The key given, or the one of ``role`` in the demonstration's key file."""
    if file is not None:
        return str(json.loads(file.read_text())[role])
    if not key:
        raise Misconfigured("give the key with --key, SOS_KEY or --key-file")
    return key


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done; SIGTERM and Ctrl+C end it in order."""

    async def until_told() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    asyncio.run(until_told())
