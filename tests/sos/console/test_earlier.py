"""Earlier calls of the same vehicle at the desk, with how each was closed; a misused button is said until its date."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sos.clock import timestamp
from sos.console.earlier import misused_until
from sos.console.window import Window
from sos.incident import commands as c
from sos.incident.events import PartsRead
from sos.incident.model import Disposition, IncidentId, Mode, TenantId, Trigger
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.window import order, room, window

DAYS = timedelta(days=30)
CAR = "019b7890-0000-7000-8000-0000000000c1"


class Calls:
    """Calls of one car of the registry, one after the other."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._number = 0

    async def come(
        self,
        trigger: Trigger = Trigger.MANUAL,
        *,
        closed: Disposition | None = None,
        mode: Mode = Mode.LIVE,
        car: str | None = CAR,
        tenant: str = "acme",
    ) -> IncidentId:
        self._number += 1
        opened = await self.journal.open(
            s.open_incident(mode, trigger),
            tenant=TenantId(tenant),
            receipt=self._number.to_bytes(32),
            received_at=self.journal.clock.now(),
        )
        known = replace(s.recognise(), record=car)
        for command in (known, s.take(), *((c.CloseIncident(disposition=closed),) if closed else ())):
            await self.journal.execute(opened.incident, command, actor="operator:hanako")
        await self.journal.clock.advance(timedelta(minutes=1))
        return opened.incident


@pytest.fixture
def calls(journal: Journal) -> Calls:
    return Calls(journal)


@pytest.fixture
def desk(journal: Journal) -> Window:
    return window(room(journal, Ears()), "taro")


async def test_earlier_calls_are_shown_with_how_each_was_closed_the_newest_first(desk: Window, calls: Calls):
    first = await calls.come(closed=Disposition.FALSE_ALARM)
    second = await calls.come(Trigger.AUTOMATIC, closed=Disposition.NO_HELP_NEEDED)
    still = await calls.come()
    now = await calls.come()
    await calls.come()

    shown = await order(desk, "earlier", incident=now)

    assert [(each.incident, each.disposition) for each in shown.calls] == [
        (still, None),
        (second, Disposition.NO_HELP_NEEDED),
        (first, Disposition.FALSE_ALARM),
    ]
    assert shown.misused_until is None
    for each in (first, second, still, now):
        assert not [one for one in await calls.journal.store.stream(each) if isinstance(one.event, PartsRead)]


async def test_calls_of_another_vehicle_brand_or_of_nobody_known_are_not_among_them(desk: Window, calls: Calls):
    await calls.come(car="019b7890-0000-7000-8000-0000000000c2", closed=Disposition.MISUSE)
    await calls.come(tenant="bravo", closed=Disposition.MISUSE)
    await calls.come(car=None, closed=Disposition.MISUSE)

    for car in (CAR, None):
        shown = await order(desk, "earlier", incident=await calls.come(car=car))
        assert (shown.calls, shown.misused_until) == ((), None)


async def test_a_misused_button_is_said_until_its_date_and_then_no_more(desk: Window, calls: Calls):
    misused = await calls.come(closed=Disposition.MISUSE)
    now = await calls.come()
    known, pressed = await calls.journal.state(misused), await calls.journal.state(now)
    until = known.changed_at + DAYS

    assert (await order(desk, "earlier", incident=now)).misused_until == timestamp(until)
    for at, said in ((until - timedelta(seconds=1), until), (until, None)):
        assert misused_until(pressed, [known], now=at, lasts=DAYS) == said


@pytest.mark.parametrize(
    ("before", "disposition", "mode"),
    [
        (Trigger.AUTOMATIC, Disposition.MISUSE, Mode.LIVE),
        (Trigger.MANUAL, Disposition.FALSE_ALARM, Mode.LIVE),
        (Trigger.MANUAL, Disposition.DRILL, Mode.DRILL),
    ],
)
async def test_what_was_no_misuse_of_the_button_marks_nothing(
    desk: Window, calls: Calls, before: Trigger, disposition: Disposition, mode: Mode
):
    await calls.come(before, closed=disposition, mode=mode)

    assert (await order(desk, "earlier", incident=await calls.come())).misused_until is None


async def test_a_misuse_never_touches_an_automatic_crash(desk: Window, calls: Calls):
    await calls.come(closed=Disposition.MISUSE)
    crash = await calls.come(Trigger.AUTOMATIC)
    clean = await calls.come(Trigger.AUTOMATIC, car="019b7890-0000-7000-8000-0000000000c3")

    shown = await order(desk, "earlier", incident=crash)

    assert (len(shown.calls), shown.misused_until) == (1, None)
    one, other = [await calls.journal.state(each) for each in (crash, clean)]
    assert (one.flags, one.urgent) == (other.flags, other.urgent)


async def test_nobody_is_told_where_the_setting_is_nought(journal: Journal, calls: Calls):
    none = window(replace(room(journal, Ears()), nuisance=timedelta(0)), "taro")
    await calls.come(closed=Disposition.MISUSE)

    assert (await order(none, "earlier", incident=await calls.come())).misused_until is None
