"""A PostGIS of one's own for a while, as an outside judge: in tests of the boundary layers and in the benchmark.

Needs the Debian package ``postgresql-15-postgis-3`` (or another version's).  The server listens on a socket in its own
folder and nowhere else.
"""

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USER = "postgres"
"""PostgreSQL does not run as root; Debian's package makes this user."""


def programs() -> Path | None:
    """Where a PostgreSQL with PostGIS has its programs, or None."""
    for control in sorted(glob.glob("/usr/share/postgresql/*/extension/postgis.control"), reverse=True):
        found = Path("/usr/lib/postgresql") / control.split("/")[4] / "bin"
        if (found / "initdb").exists():
            return found
    return None


@contextmanager
def server() -> Iterator[str]:
    """The address of an empty database with PostGIS.  ``FileNotFoundError`` when there is none on this machine."""
    found = programs()
    if found is None:
        raise FileNotFoundError("no PostgreSQL with PostGIS (Debian: postgresql-15-postgis-3)")
    folder = Path(tempfile.mkdtemp(prefix="sos-postgis-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER, _USER)
        data = str(folder / "data")
        _run(folder, found / "initdb", "-D", data, "-A", "trust", "-U", _USER)
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c shared_buffers=256MB"
        _run(folder, found / "pg_ctl", "-D", data, "-w", "-o", options, "start")
        try:
            address = f"postgresql://{_USER}@/postgres?host={folder}"
            _run(folder, found / "psql", address, "-c", "CREATE EXTENSION postgis")
            yield address
        finally:
            _run(folder, found / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, *command: Path | str) -> None:
    """Run to its end; as root, as the user PostgreSQL is made for."""
    user = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    nowhere = subprocess.DEVNULL
    subprocess.run(command, check=True, stdout=nowhere, stderr=nowhere, cwd=folder, **user)
