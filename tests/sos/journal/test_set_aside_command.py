"""``sos journal set-aside``: the list, and asking for one more try."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from sos.cli import app
from sos.incident.model import EventId, IncidentId, TenantId
from sos.journal.migrate import upgrade
from sos.journal.sqlite import SqliteStore
from sos.journal.store import Aside


def _aside(position: int) -> Aside:
    return Aside(
        reader="planner",
        position=position,
        event=EventId(f"event-{position}"),
        stream=IncidentId("incident"),
        n=3,
        tenant=TenantId("acme"),
        error="ValueError",
        tries=5,
        at_ms=1_767_258_000_000,
    )


def _run(config: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["journal", "set-aside", *arguments, "--config", str(config)])
    return done.exit_code, done.output


async def test_what_was_set_aside_is_listed_and_asked_for_again(tmp_path: Path):
    config = tmp_path / "sos.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    async with SqliteStore(tmp_path / "journal.db") as store:
        await upgrade(store.engine)
        for position in (7, 9):
            await store.set_aside(_aside(position))

    listed = await asyncio.to_thread(_run, config, "list")
    one = await asyncio.to_thread(_run, config, "again", "planner", "7")
    unknown = await asyncio.to_thread(_run, config, "again", "planner", "8")
    both = await asyncio.to_thread(_run, config, "again", "planner", "--all")
    unnamed = await asyncio.to_thread(_run, config, "again", "planner")
    as_json = await asyncio.to_thread(_run, config, "list", "--json")

    assert listed[0] == 1
    assert "planner 7: incident incident event 3, ValueError after 5 tries, 2026-01-01T09:00:00.000Z" in listed[1]
    assert one == (0, "1 to be tried again\n")
    assert unknown[0] == 1
    assert both == (0, "2 to be tried again\n")
    assert unnamed[0] != 0
    assert [each["again"] for each in json.loads(as_json[1])] == [True, True]
