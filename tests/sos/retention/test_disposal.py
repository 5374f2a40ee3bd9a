"""From what is due to its certificate: two people, every item looked at again, nothing early and nothing left."""

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from recording.disposal import ClockDoubted
from recording.errors import OutOfOrder
from recording.keys import KeyStore
from recording.retention import Period, Terms
from recording.retention import house as tags
from routing.categories import Category
from sos.clock import ManualClock
from sos.errors import Refused, Unknown
from sos.incident import commands as c
from sos.incident.events import DataDestroyed
from sos.incident.model import Disposition, TenantId
from sos.journal.journal import Journal
from sos.journal.keyring import Shut
from sos.retention.configured import Retention
from sos.retention.disposals import Stage
from tests.journeys import story as s
from tests.rest import settled
from tests.sos.retention.conftest import DAY, HANAKO, JIRO, Brands, Closed, agreed, believed

SECOND = timedelta(seconds=1)
FOUR_WEEKS = Period.parse("P4W")


async def _until(house: Retention, clock: ManualClock, instant) -> None:
    await believed(house, clock, instant - clock.now())


async def test_what_is_due_is_destroyed_the_second_it_must_be_and_not_before(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed
):
    none, real = await closed(), await closed(Disposition.HANDED_OVER)
    due_at = FOUR_WEEKS.after(clock.now())
    await settled(journal.store)

    await _until(house, clock, due_at - SECOND)
    assert await house.executor.list_due(actor="system:test") is None
    await clock.advance(SECOND)
    done = await house.executor.run((await agreed(house, journal)).disposal)

    assert (done.stage, done.left) == (Stage.DONE, 0)
    assert await journal.unseal(none, tuple(Category)) == []
    assert {
        each.why for each in (await journal.read(none, tuple(Category), reader="auditor:a", purpose="x")).unread
    } == {Shut.DESTROYED}
    assert {part.category for part in await journal.unseal(real, tuple(Category))} >= {Category.OBS, Category.RAW}
    assert (await house.rows.waits(clock.now())).categories == 0


async def test_a_stub_stays_and_says_what_was_here_and_by_which_promise(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed
):
    none = await closed()
    await believed(house, clock, 29 * DAY)
    state = await agreed(house, journal)

    await house.executor.run(state.disposal)

    stub = (await journal.store.stream(none))[-1].event
    assert isinstance(stub, DataDestroyed)
    assert (stub.disposal, stub.approved) == (state.disposal, (HANAKO, JIRO))
    assert {(each.tag, each.version) for each in stub.disposed} == {("nonincident-4w", tags().version)}
    assert all(each.keks and each.due_at <= clock.now() for each in stub.disposed)


async def test_the_certificate_lists_digests_and_never_content(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed, tmp_path: Path
):
    none = await closed()
    commitments = {digest for each in await journal.store.stream(none) for digest in each.commitments.values()}
    await believed(house, clock, 29 * DAY)

    done = await house.executor.run((await agreed(house, journal)).disposal)

    content = (tmp_path / "retention" / f"{done.disposal}.certificate.jsonl").read_bytes()
    (line,) = [json.loads(each) for each in content.splitlines()]
    assert sha256(content).hexdigest() == done.certificate
    assert {digest for _, _, digest in line["commitments"]} == commitments
    assert line["incident"] == none
    assert b"bleeding" not in content


@pytest.mark.parametrize("when", ["before the list", "after two people agreed"])
async def test_with_a_hold_nothing_is_destroyed_and_the_rest_of_the_list_is(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed, when: str
):
    held, other = await closed(), await closed()
    await believed(house, clock, 29 * DAY)
    if when == "before the list":
        await journal.execute(held, s.hold(), actor=HANAKO)
    state = await agreed(house, journal)
    if when != "before the list":
        await journal.execute(held, s.hold(), actor=HANAKO)

    done = await house.executor.run(state.disposal)

    assert Category.RAW in {part.category for part in await journal.unseal(held, tuple(Category))}
    assert await journal.unseal(other, (Category.RAW,)) == []
    assert bool(done.left) is (when != "before the list")
    await journal.execute(held, s.release_hold(), actor=HANAKO)
    assert (await house.executor.run((await agreed(house, journal)).disposal)).left == 0
    assert await journal.unseal(held, tuple(Category)) == []


async def test_one_person_alone_destroys_nothing(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed
):
    none = await closed()
    await believed(house, clock, 29 * DAY)
    listed = await house.executor.list_due(actor="system:test")
    disposal = listed.disposal.disposal

    with pytest.raises(Refused, match="two different people"):
        await house.executor.run(disposal)
    await house.executor.approve(disposal, by=HANAKO)
    with pytest.raises(Refused, match="agreed already"):
        await house.executor.approve(disposal, by=HANAKO)
    with pytest.raises(Refused, match="two different people"):
        await house.executor.run(disposal)
    with pytest.raises(Unknown):
        await house.executor.approve("none", by=HANAKO)

    assert await journal.unseal(none, (Category.RAW,)) != []


async def test_a_list_that_was_changed_is_agreed_to_by_nobody(
    house: Retention, clock: ManualClock, closed: Closed, journal: Journal
):
    await closed()
    await believed(house, clock, 29 * DAY)
    await settled(journal.store)
    listed = await house.executor.list_due(actor="system:test")
    listed.file.write_bytes(listed.file.read_bytes().replace(b"nonincident", b"nonIncident"))

    with pytest.raises(OutOfOrder, match="not the one that was made"):
        await house.executor.approve(listed.disposal.disposal, by=HANAKO)


async def test_what_was_opened_again_after_the_list_stays(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed
):
    again = await closed()
    await believed(house, clock, 29 * DAY)
    state = await agreed(house, journal)
    await journal.execute(again, c.ReopenIncident(reason="again"), actor=HANAKO)

    done = await house.executor.run(state.disposal)

    assert done.left == done.items
    assert await journal.unseal(again, (Category.RAW,)) != []


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=36_500), timedelta(days=-1)])
async def test_a_clock_that_jumps_destroys_nothing_until_a_person_has_looked(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed, jump: timedelta, keys: KeyStore, store
):
    none = await closed()
    await believed(house, clock, 29 * DAY)
    state = await agreed(house, journal)
    wrong = ManualClock(clock.now() + jump)

    async def database():
        return wrong.now()

    jumped = Journal(store, keys, journal._spool, clock=wrong)
    other = Retention.of(
        jumped, keys, house.rows, data=house.executor._directory.parent, terms=Brands(), database=database
    )
    for attempt in (other.executor.list_due(actor="x"), other.executor.run(state.disposal)):
        with pytest.raises(ClockDoubted):
            await attempt
    with pytest.raises(ClockDoubted, match="nobody has said"):
        await house.executor.run(state.disposal)
    await other.overseer.look()
    assert other.overseer.state() == {"retention": "down"}
    assert other.overseer.figures.get_sample_value("sos_retention_clock_doubted") == 1
    assert await journal.unseal(none, (Category.RAW,)) != []

    await house.clocks.settle()
    assert (await house.executor.run(state.disposal)).left == 0


async def test_a_clock_that_the_database_contradicts_is_not_believed(house: Retention, clock: ManualClock):
    async def database():
        return clock.now() + timedelta(hours=1)

    house.clocks._database = database

    with pytest.raises(ClockDoubted, match="and the database"):
        await house.clocks.believed()


async def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_certificate(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed, tmp_path: Path
):
    streams = [await closed() for _ in range(3)]
    sound = tmp_path / "recordings" / streams[0] / "rec-1"
    sound.mkdir(parents=True)
    (sound / "chunk").write_bytes(b"sealed")
    await journal.execute(streams[0], s.invite(), actor=HANAKO)  # reserves a key for sound
    await believed(house, clock, 29 * DAY)
    state = await agreed(house, journal)
    lines = house.executor._list(state.listed)
    await house.executor._destroy(state, lines[0], now=clock.now())  # and killed

    done = await house.executor.run(state.disposal)

    assert done.left == 0
    assert (tmp_path / "retention" / f"{state.disposal}.certificate.jsonl").read_bytes().count(b"\n") == 3
    assert not (tmp_path / "recordings" / streams[0]).exists()
    assert await house.executor.run(state.disposal) == done
    stubs = [each for stream in streams for each in await journal.store.stream(stream)]
    assert len([each for each in stubs if isinstance(each.event, DataDestroyed)]) == 3


async def test_dates_are_rows_and_can_be_computed_anew(house: Retention, journal: Journal, closed: Closed):
    stream = await closed(Disposition.HANDED_OVER)
    await settled(journal.store)
    await house.clerk.catch_up()
    before = await house.rows.of(stream)
    await house.rows.replace([stream], [])

    await house.clerk.again()

    assert before
    assert await house.rows.of(stream) == before
    assert {(row.category, row.tag) for row in before} >= {
        (Category.OBS, "incident-case-3y"),
        (Category.RAW, "incident-raw-1y"),
    }


async def test_a_shorter_promise_holds_once_two_people_have_agreed_and_a_longer_one_at_once(
    house: Retention, journal: Journal, closed: Closed, brands: Brands, clock: ManualClock
):
    stream = await closed(Disposition.HANDED_OVER)
    tenant = (await journal.state(stream)).tenant

    async def due(terms: Terms):
        brands[TenantId(tenant)] = terms
        await settled(journal.store)
        await house.clerk.again()
        return {row.category: row.due_at for row in await house.rows.of(stream)}[Category.OBS]

    closed_at = clock.now()
    longer = Terms(brand="b", periods={"incident-case-3y": Period.parse("P5Y")}, version="b@5")
    shorter = Terms(brand="b", periods={"incident-case-3y": Period.parse("P1Y")}, version="b@1")
    assert await due(longer) == Period.parse("P5Y").after(closed_at)
    assert await due(shorter) == Period.parse("P5Y").after(closed_at)
    await house.rows.agree("b@1", HANAKO)
    await house.rows.agree("b@1", HANAKO)
    assert await due(shorter) == Period.parse("P5Y").after(closed_at)
    await house.rows.agree("b@1", JIRO)
    assert await due(shorter) == Period.parse("P1Y").after(closed_at)


async def test_what_is_late_is_a_figure_and_an_alarm(
    house: Retention, journal: Journal, clock: ManualClock, closed: Closed
):
    await closed()
    due_at = FOUR_WEEKS.after(clock.now())
    await settled(journal.store)
    await house.clerk.catch_up()
    await _until(house, clock, due_at + 7 * DAY)
    await house.overseer.look()
    assert house.overseer.state() == {}

    await clock.advance(SECOND)
    await house.overseer.look()

    assert house.overseer.state() == {"retention": "down"}
    assert house.overseer.figures.get_sample_value("sos_retention_lag_seconds") == 7 * 86_400 + 1
    assert house.overseer.figures.get_sample_value("sos_retention_due") == 4
