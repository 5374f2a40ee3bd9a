"""PostgreSQL's own tools, ``pg_dump`` and ``pg_restore``: which of them there are, and how they are called.

The address is given to them without its password, which goes by the environment: arguments stand in every list of
processes.
"""

import asyncio
import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from sos.errors import Misconfigured, Unavailable


class Tools:
    """Those in ``directory``, or where the shell would find them."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def missing(self) -> str:
        """The first that is not there; empty when all are."""
        return next((name for name in ("pg_dump", "pg_restore") if self._find(name) is None), "")

    async def dump(self, url: str, to: Path, *, snapshot: str) -> None:
        """The whole database of ``snapshot``, written to ``to``; but not who leads: that is over with the house."""
        await self._run(
            "pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", "--exclude-table-data=public.leases",
            f"--snapshot={snapshot}", f"--file={to}",
        )  # fmt: skip

    async def restore(self, url: str, dump: Path) -> None:
        """``dump`` into a database that has none of it: all or nothing."""
        await self._run(
            "pg_restore", url, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(dump)
        )

    async def _run(self, name: str, url: str, *arguments: str) -> None:
        program = self._find(name)
        if program is None:
            raise Misconfigured(
                f"{name} is not there: install PostgreSQL's client, or name its folder (--postgres-bin)"
            )
        address, password = without_password(url)
        environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
        process = await asyncio.create_subprocess_exec(
            program, f"--dbname={address}", *arguments, env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or ["no reason"]
            raise Unavailable(f"{name} failed: {'; '.join(lines[:2])[:300]}")

    def _find(self, name: str) -> str | None:
        return shutil.which(name, path=str(self._directory) if self._directory else None)


def without_password(url: str) -> tuple[str, str]:
    """The address and the password in it, if any."""
    parts = urlsplit(url)
    if not parts.password:
        return url, ""
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{host}"
    return urlunsplit(parts._replace(netloc=netloc)), unquote(parts.password)
