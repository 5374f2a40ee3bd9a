"""Bringing a database to the schema of this release: Alembic migrations, expand first and contract later.

The scripts lie in ``ops/migrations`` and travel in the wheel beside the package.
"""

from pathlib import Path

import alembic.command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from sos.errors import Misconfigured
from sos.journal.connections import begun

_PLACES = (
    Path(__file__).resolve().parent / "migrations",
    Path(__file__).resolve().parents[2] / "ops" / "migrations",
)
"""In a wheel, and in a checkout."""


def scripts() -> Path:
    for place in _PLACES:
        if (place / "env.py").is_file():
            return place
    raise Misconfigured("the migration scripts are missing from this installation")


async def upgrade(engine: AsyncEngine) -> None:
    """Bring the database to the newest schema; does nothing when it is there already.

    ``Unavailable`` when the database does not answer.
    """
    async with begun(engine) as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
