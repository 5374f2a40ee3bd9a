"""An event that cannot be read any more stands in its incident's timeline as one, at its place and without a guess."""

import json

from sqlalchemy import update

from sos.clock import timestamp
from sos.journal.journal import Journal
from sos.journal.schema import events
from sos.journal.store import Store
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window
from tests.sos.journal.reports import incident, sequenced


async def test_an_event_that_cannot_be_read_is_shown_as_one_at_its_place(journal: Journal, store: Store) -> None:
    opened = await incident(journal)
    for note in ("one", "two"):
        await journal.execute(opened, s.note(note), actor="operator:hanako")
    await sequenced(store, 3)
    async with store.engine.begin() as connection:  # type: ignore[attr-defined]
        await connection.execute(update(events).where(events.c.n == 2).values(header=b"\0 no header"))

    told = await order(window(room(journal, Ears()), "hanako"), "history", incident=opened)

    shown = [json.loads(bytes(each)) for each in told]
    first = (await store.stream(opened))[0]
    assert [(each["n"], each["kind"]) for each in shown] == [
        (1, "IncidentOpened"),
        (2, "Unreadable"),
        (3, "NoteAdded"),
    ]
    assert (shown[1]["at"], shown[1]["data"], shown[1]["actor"]) == (timestamp(first.at), {}, "")
