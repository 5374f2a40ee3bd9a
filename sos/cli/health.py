"""``sos health``: is the service answering, for a container's health check and for scripts; the exit code says it."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sos.cli.options import ConfigFile
from sos.settings import load

ANSWERS, SILENT = 0, 1


def health(
    url: Annotated[str, typer.Option(help="Where the service is; without it, where the settings say.")] = "",
    config: ConfigFile = None,
    within: Annotated[float, typer.Option(help="Seconds that the answer may take.", min=0.1, max=60.0)] = 3.0,
) -> None:
    """Ask the service whether it is alive; exit code 1 when it does not answer in time."""
    url = url or _configured(config)
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


def _configured(config: Path | None) -> str:
    """Where a service with these settings listens, as seen from its own machine.  ``Misconfigured`` as ``load``."""
    settings = load(config)
    host = ip_address(settings.host) if settings.host[:1].isdigit() or ":" in settings.host else settings.host
    if not isinstance(host, str) and host.is_unspecified:
        host = ip_address("::1" if host.version == 6 else "127.0.0.1")
    return f"http://[{host}]:{settings.port}" if ":" in str(host) else f"http://{host}:{settings.port}"
