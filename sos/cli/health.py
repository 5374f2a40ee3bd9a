"""``sos health``: is the service answering, for a container's health check and for scripts; the exit code says it."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sos.cli.options import LOCAL, Url

ANSWERS, SILENT = 0, 1


def health(
    url: Url = LOCAL,
    within: Annotated[float, typer.Option(help="Seconds that the answer may take.", min=0.1, max=60.0)] = 3.0,
) -> None:
    """Ask the service whether it is alive; exit code 1 when it does not answer in time."""
    asked = urlsplit(url)
    connection = (HTTPSConnection if asked.scheme == "https" else HTTPConnection)(
        asked.hostname or "", asked.port, timeout=within
    )
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as failed:
        typer.echo(f"no answer from {url}: {type(failed).__name__}", err=True)
        raise typer.Exit(SILENT) from None
    finally:
        connection.close()
    typer.echo(f"{url}/healthz: {status}")
    raise typer.Exit(ANSWERS if status == 200 else SILENT)
