"""How a log-in ends: by its operator, an administrator, idleness or age, never in a call; and at every process."""

from datetime import timedelta

import pytest

from sos.clock import ManualClock, epoch_ms
from sos.console.desks import Desks
from sos.console.sessions import IDLE, LASTS, MOST, Session, Sessions
from sos.errors import Forbidden
from sos.incident.model import DeskId, Disposition, IncidentId, LegId, OperatorId, Party, TenantId
from sos.journal.desk_access import DeskAccess
from sos.journal.journal import Journal
from tests.conftest import NEW_YEAR
from tests.journeys import story as s

HANAKO, TARO = OperatorId("hanako"), OperatorId("taro")
DESK = DeskId("desk-hanako")
MOMENT = timedelta(seconds=1)


class Process:
    """One process of the house, with its desks."""

    def __init__(self, journal: Journal, wall: ManualClock) -> None:
        self.kept = DeskAccess(journal.store.engine)
        self.desks = Desks(wall)
        self.hung_up: list[LegId] = []
        self.told: list[tuple[str, str, str]] = []
        self.sessions = Sessions(self.kept, journal, self.desks, clock=wall, hang_up=self._hang_up)
        self.sessions.note = self._note

    async def _hang_up(self, leg: LegId) -> None:
        self.hung_up.append(leg)

    def _note(self, what: str, *, who: str, about: str = "", reason: str = "") -> None:
        self.told.append((what, who, reason))

    def live(self, session: Session) -> bool:
        try:
            self.sessions.known(session.id, session.operator, session.since)
        except Forbidden:
            return False
        return True


@pytest.fixture
def wall() -> ManualClock:
    """Another clock than the journal's, whose own work would be done a thousand times over in a day."""
    return ManualClock(NEW_YEAR)


@pytest.fixture
def house(journal: Journal, wall: ManualClock) -> Process:
    return Process(journal, wall)


async def _in_call(journal: Journal, *, leg: bool = True) -> IncidentId:
    """An incident that hanako has answered, with her voice in it."""
    opened = await journal.open(
        s.open_incident(), tenant=TenantId("acme"), receipt=bytes(32), received_at=journal.clock.now()
    )
    orders = [s.plan(), s.take("hanako")]
    if leg:
        orders += [s.invite("leg-own", Party.OPERATOR, "hanako"), s.join("leg-own", Party.OPERATOR, "hanako")]
    for command in orders:
        await journal.execute(opened.incident, command, actor="system:test")
    return opened.incident


async def test_who_is_away_and_touches_nothing_is_logged_out_and_told_why(house: Process, wall: ManualClock):
    idle, working = house.sessions.begin(HANAKO), house.sessions.begin(TARO)
    heard: list[str] = []
    idle.windows["window"] = heard.append
    await wall.advance(IDLE)
    working.worked(wall.now())
    await house.sessions.look()
    assert house.live(idle)

    await wall.advance(MOMENT)
    await house.sessions.look()

    assert (house.live(idle), house.live(working), heard) == (False, True, ["idle"])
    assert house.told == [("session_ended", "operator:hanako", "idle")]


async def test_a_desk_that_is_ready_is_no_idle_one_and_its_log_in_ends_after_a_day(house: Process, wall: ManualClock):
    session = house.sessions.begin(HANAKO)
    session.windows["window"] = lambda _: None
    house.desks.arrive(DESK, HANAKO)
    house.desks.set_ready(DESK, True)
    for _ in range(48):
        await wall.advance(LASTS / 48)
        await house.sessions.look()
    assert house.live(session)

    await wall.advance(MOMENT)
    await house.sessions.look()

    assert not house.live(session)
    assert house.told[0][2] == "over"


@pytest.mark.parametrize("leg", [True, False])
async def test_nobody_is_logged_out_of_a_call_or_with_an_incident_in_hand(
    house: Process, journal: Journal, wall: ManualClock, leg: bool
):
    session, close = house.sessions.begin(HANAKO), s.close(Disposition.FALSE_ALARM)
    incident = await _in_call(journal, leg=leg)
    await wall.advance(LASTS + IDLE)
    await house.sessions.look()
    during = house.live(session), await house.sessions.in_call(HANAKO)
    for command in (*((s.leave("leg-own"),) if leg else ()), close):
        await journal.execute(incident, command, actor="system:test")
    await house.sessions.look()

    assert during == (True, leg)
    assert not house.live(session)


async def test_an_administrator_ends_it_at_every_process_also_in_a_call_and_the_voice_with_it(
    journal: Journal, wall: ManualClock
):
    one, other = Process(journal, wall), Process(journal, wall)
    session = one.sessions.begin(HANAKO)
    await one.sessions.look()
    await other.sessions.look()
    await _in_call(journal)
    known = other.live(session)

    ended = await other.kept.revoke(HANAKO, now_ms=epoch_ms(wall.now()))
    for process in (one, other):
        await process.sessions.look()
    await wall.advance(MOMENT)
    anew = one.sessions.begin(HANAKO)
    await one.sessions.look()

    assert (known, ended) == (True, 1)
    assert (one.live(session), other.live(session), one.live(anew)) == (False, False, True)
    assert one.hung_up == [LegId("leg-own")]
    assert one.told == [("session_ended", "operator:hanako", "revoked")]


async def test_a_revoked_operator_is_out_also_by_a_log_in_that_no_database_has_heard_of(
    journal: Journal, wall: ManualClock
):
    made_in_an_outage = Process(journal, wall).sessions.begin(HANAKO)
    house = Process(journal, wall)
    await wall.advance(MOMENT)
    await house.kept.revoke(HANAKO, now_ms=epoch_ms(wall.now()))
    await house.sessions.look()

    assert not house.live(made_in_an_outage)
    assert house.live(house.sessions.begin(TARO))


async def test_one_session_can_be_ended_and_the_others_stay(house: Process, wall: ManualClock):
    first, second = house.sessions.begin(HANAKO), house.sessions.begin(HANAKO)
    await house.sessions.look()

    known = await house.kept.revoke_one(first.id, now_ms=epoch_ms(wall.now()))
    unknown = await house.kept.revoke_one("nothing", now_ms=epoch_ms(wall.now()))
    await house.sessions.look()

    assert (known, unknown) == (1, 0)
    assert (house.live(first), house.live(second)) == (False, True)


async def test_who_logged_out_is_out_after_a_restart_and_at_the_other_process(journal: Journal, wall: ManualClock):
    one, other = Process(journal, wall), Process(journal, wall)
    session, stays = one.sessions.begin(HANAKO), one.sessions.begin(HANAKO)
    await one.sessions.look()
    one.sessions.end(session, "logged_out")
    await one.sessions.look()
    for process in (other, Process(journal, wall)):
        await process.sessions.look()
        assert (process.live(session), process.live(stays)) == (False, True)

    assert one.told == []


async def test_a_desk_at_another_process_is_not_idle_here(journal: Journal, wall: ManualClock):
    here, there = Process(journal, wall), Process(journal, wall)
    session = here.sessions.begin(HANAKO)
    await here.sessions.look()
    await there.sessions.look()
    for _ in range(4):
        await wall.advance(IDLE / 2)
        session.worked(wall.now())
        await here.sessions.look()
        await there.sessions.look()

    assert (here.live(session), there.live(session)) == (True, True)


async def test_a_house_that_was_down_for_hours_logs_nobody_out_for_it(journal: Journal, wall: ManualClock):
    before = Process(journal, wall)
    session = before.sessions.begin(HANAKO)
    await before.sessions.look()
    await wall.advance(IDLE * 3)

    after = Process(journal, wall)
    await after.sessions.look()
    there = after.live(session)
    await wall.advance(IDLE + MOMENT)
    await after.sessions.look()

    assert (there, after.live(session)) == (True, False)


async def test_an_operator_has_so_many_log_ins_and_one_more_ends_the_idlest_without_a_window(
    house: Process, wall: ManualClock
):
    made = []
    for _ in range(MOST):
        made.append(house.sessions.begin(HANAKO))
        await wall.advance(MOMENT)
    made[0].windows["window"] = lambda _: None

    house.sessions.begin(HANAKO)

    assert [house.live(each) for each in made] == [True, False, *[True] * (MOST - 2)]


async def test_old_log_ins_are_forgotten(house: Process, wall: ManualClock):
    house.sessions.begin(HANAKO)
    await house.sessions.look()
    await wall.advance(3 * LASTS)
    await house.sessions.look()

    assert await house.kept.sessions() == []
