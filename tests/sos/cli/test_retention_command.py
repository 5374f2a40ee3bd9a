"""``sos retention``: one person lists, two agree, and what has had its time ends; nobody agrees in another's name."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recording.keys import KeyStore
from routing.categories import Category
from sos.cli import app
from sos.clock import ManualClock, SystemClock
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident.model import Disposition, IncidentId
from sos.journal.journal import Journal
from sos.journal.migrate import upgrade
from sos.journal.retention_rows import RetentionRows
from sos.journal.spool import Spool
from sos.journal.sqlite import SqliteStore
from tests.journeys import story as s
from tests.sos.journal.reports import incident

TOKENS = {"hanako": "h" * 40, "jiro": "j" * 40, "saburo": "s" * 40}


async def _closed_forty_days_ago(data: Path) -> IncidentId:
    keys = KeyStore(data / "keys")
    clock = ManualClock(SystemClock().now() - timedelta(days=40))
    async with SqliteStore(data / "journal.db") as store:
        await upgrade(store.engine)
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=clock)
        opened = await incident(journal)
        for command in (s.take(), s.note(), c.CloseIncident(disposition=Disposition.FALSE_ALARM)):
            await journal.execute(opened, command, actor="operator:hanako")
    return opened


async def _what_opens(data: Path, stream: IncidentId) -> set[Category]:
    keys = KeyStore(data / "keys")
    async with SqliteStore(data / "journal.db") as store:
        journal = Journal(store, keys, Spool(data / "spool", keys.secret("spool")), clock=SystemClock())
        return {part.category for part in await journal.unseal(stream, tuple(Category))}


class House:
    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir()
        operators = "".join(
            f'[[operators]]\nid = "{name}"\nname = "{name}"\ntoken_digest = "{sha256(token.encode()).hexdigest()}"\n'
            f"supervisor = {str(name == 'jiro').lower()}\n"
            for name, token in TOKENS.items()
        )
        self._config = directory / "sos.toml"
        self._config.write_text(f'data_dir = "{self.data}"\n{operators}')
        for name, token in TOKENS.items():
            (directory / name).write_text(token + "\n")
        self._directory = directory

    def say(self, *words: str, by: str = "", token_of: str = ""):
        proof = ["--operator", by, "--token-file", str(self._directory / (token_of or by))] if by else []
        return CliRunner().invoke(app, ["retention", *words, *proof, "--config", str(self._config)])


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_one_lists_two_agree_and_what_had_its_time_ends(house: House):
    stream = asyncio.run(_closed_forty_days_ago(house.data))
    listed = json.loads(house.say("due", "--json").output)
    disposal = listed["disposal"]

    alone = house.say("run", disposal)
    first = house.say("approve", disposal, by="hanako")
    another = house.say("approve", disposal, by="jiro", token_of="hanako")
    no_supervisor = house.say("approve", disposal, by="saburo")
    second = house.say("approve", disposal, by="jiro")
    dry = house.say("run", disposal, "--dry-run")
    there = asyncio.run(_what_opens(house.data, stream))
    done = house.say("run", disposal)

    assert listed["classes"] == {"nonincident-4w": 2}
    assert isinstance(alone.exception, Refused)
    assert first.exit_code == second.exit_code == 0
    assert isinstance(another.exception, Forbidden)
    assert isinstance(no_supervisor.exception, Refused)
    assert "2 categories of 1 incidents would be destroyed: approved" in dry.output
    assert there == {Category.OBS, Category.RAW}
    assert "destroyed 2 of 2" in done.output
    assert asyncio.run(_what_opens(house.data, stream)) == set()
    assert "nothing is due" in house.say("due").output
    assert "done" in house.say("list").output


def test_a_hold_keeps_one_incident_off_the_list_until_its_own_id_ends_it(house: House):
    stream = asyncio.run(_closed_forty_days_ago(house.data))

    held = house.say("hold", stream, "--ground", "litigation", "--why", "架空の訴訟", by="hanako")
    off = house.say("due")
    wrong = house.say("release", stream, "another-hold", "--why", "settled", by="hanako")
    released = house.say("release", stream, held.output.strip(), "--why", "settled", by="hanako")

    assert held.exit_code == released.exit_code == 0
    assert "nothing is due" in off.output
    assert isinstance(wrong.exception, Refused)
    assert "categories of 1 incidents" in house.say("due").output


def test_a_clock_that_was_doubted_is_believed_again_when_an_operator_says_so(house: House):
    asyncio.run(_closed_forty_days_ago(house.data))
    asyncio.run(_doubt(house.data))

    doubted = house.say("due")
    settled = house.say("clock", by="hanako")

    assert isinstance(doubted.exception, Refused)
    assert "nothing was destroyed" in str(doubted.exception)
    assert settled.output.startswith("believed: ")
    assert house.say("due").exit_code == 0


async def _doubt(data: Path) -> None:
    async with SqliteStore(data / "journal.db") as store:
        await RetentionRows(store.engine).set_clock(None, doubted=True)
