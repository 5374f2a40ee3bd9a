"""A house with an MQTT door and nothing else, that a test can kill at any moment and start again.

``python -m tests.sos.intake.mqtt_house DIRECTORY BROKER_URL VERSION``: one tenant, ``acme``.
"""

import asyncio
import sys
from pathlib import Path

from recording.keys import KeyStore
from sos.clock import SystemClock
from sos.intake.configured import Intake
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from sos.settings import Settings, TenantSettings


async def serve(directory: Path, url: str, version: int) -> None:
    keys = KeyStore(directory / "keys")
    settings = Settings(
        data_dir=str(directory),
        mqtt_url=url,
        mqtt_version=version,
        tenants=(TenantSettings(id="acme", domain="acme.example", mqtt=True),),
    )
    async with SqliteStore(directory / "journal.db") as store:
        await upgrade(store.engine)
        spool = Spool(directory / "spool", keys.secret("spool"))
        async with Journal(store, keys, spool, clock=SystemClock()) as journal:
            await journal.drain()
            intake = Intake.of(settings, journal, keys, store)
            assert intake.mqtt is not None
            await intake.mqtt.serve()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
