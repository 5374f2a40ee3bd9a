"""Medical data and family contact are taken into a live emergency where the law lets them be used."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from recording.keys import KeyStore
from routing.categories import Category
from routing.law import RuleBook
from sos.clock import ManualClock
from sos.incident import commands as c
from sos.incident.events import RegisteredDataCopied, RegistryRead
from sos.incident.model import DeskId, Disposition, IncidentId, LegId, Mode, OperatorId, Party, SubjectId, Trigger
from sos.incident.report import Vehicle, canonical
from sos.journal.journal import Journal
from sos.journal.store import Store
from sos.registry.emergency import EmergencyCopies
from sos.registry.orders import ChangeProfile, RecordConsent
from sos.registry.recogniser import Recogniser
from sos.registry.registry import Registry
from tests.journeys import story as s
from tests.sos.registry.conftest import DEMO, VIN, by

MEDICAL, FAMILY = "架空の持病、ペニシリン禁", "架空 花子 +81300005678"
Come = Callable[..., Awaitable[IncidentId]]


@pytest.fixture
def copies(journal: Journal, registry: Registry) -> EmergencyCopies:
    return EmergencyCopies(journal, registry, RuleBook.shipped())


@pytest.fixture
async def owner(car, registry: Registry) -> SubjectId:
    _, owner = await car()
    profile = {"medical": MEDICAL, "family_contact": FAMILY}
    await registry.change_subscriber(owner, ChangeProfile(profile=profile, source="test"), by=by())
    return owner


@pytest.fixture
def come(journal: Journal, registry: Registry, copies: EmergencyCopies, clock: ManualClock, owner: SubjectId) -> Come:
    """The owner's car reports a crash and is recognised; the incident's id."""

    async def crash(*, mode: Mode = Mode.LIVE, trigger: Trigger = Trigger.AUTOMATIC, copy: bool = True) -> IncidentId:
        command = c.OpenIncident(
            mode=mode, trigger=trigger, format="application/json", report=b"{}", report_digest="00" * 32, readable=True
        )
        received = await journal.open(command, tenant=DEMO, receipt=b"r" * 32, received_at=clock.now())
        named = canonical(Vehicle(id_scheme="vin", id_value=VIN.value))
        filed = c.FileReport(sequence=1, located=False, parts={Category.VEH: named})
        await journal.execute(received.incident, filed, actor="system:filer")
        for handle in (Recogniser(journal, registry).handle, *([copies.handle] if copy else [])):
            await handle(await journal.store.stream(received.incident))
        return received.incident

    return crash


async def copied(journal: Journal, incident: IncidentId) -> list[RegisteredDataCopied]:
    events = [recorded.event for recorded in await journal.store.stream(incident)]
    return [event for event in events if isinstance(event, RegisteredDataCopied)]


async def held(journal: Journal, incident: IncidentId) -> dict[Category, dict[str, str]]:
    parts = await journal.unseal(incident, (Category.MED, Category.FAM))
    return {part.category: msgspec.json.decode(part.payload) for part in parts}


async def test_what_was_registered_lies_in_the_incident_under_the_law_s_row(journal: Journal, come: Come, owner):
    incident = await come()

    (event,) = await copied(journal, incident)
    assert (event.rule, event.ground, event.holder) == ("JP-16", "JP-18-3-ii", owner)
    assert (event.necessity, event.consent) == ("automatic_crash", "delay")
    assert (event.categories, event.withheld) == ((Category.MED, Category.FAM), ())
    assert await held(journal, incident) == {
        Category.MED: {"medical": MEDICAL},
        Category.FAM: {"familyContact": FAMILY},
    }


async def test_the_copy_has_keys_of_the_incident_and_outlives_the_registry_s(journal, come: Come, owner, registry):
    incident = await come()

    await registry._index.destroy_keys(owner, (Category.MED, Category.FAM))

    assert (await held(journal, incident))[Category.MED] == {"medical": MEDICAL}


async def test_each_category_was_opened_on_the_record_for_this_emergency_and_only_once(
    journal: Journal, come: Come, copies: EmergencyCopies, store: Store, owner
):
    incident = await come()
    await copies.handle(await journal.store.stream(incident))

    reads = [each.event for each in await store.stream(owner) if isinstance(each.event, RegistryRead)]
    opened = [read.categories for read in reads if read.purpose == f"emergency:{incident}"]
    assert opened.count((Category.MED,)) == opened.count((Category.FAM,)) == 1
    assert len(await copied(journal, incident)) == 1


@pytest.mark.parametrize("mode", [Mode.TEST, Mode.DRILL])
async def test_nobody_looks_into_a_registry_for_what_is_no_emergency(mode: Mode, journal, come: Come, store, owner):
    incident = await come(mode=mode)

    assert await copied(journal, incident) == []
    reads = [each.event for each in await store.stream(owner) if isinstance(each.event, RegistryRead)]
    assert not {category for read in reads for category in read.categories} & {Category.MED, Category.FAM}


async def test_an_opt_out_does_not_keep_it_from_a_live_emergency(journal, come: Come, registry, owner):
    stop = RecordConsent(purpose="third_party_provision", given=False, text="demo-terms/1", consequence_shown=True)
    await registry.change_subscriber(owner, stop, by=by())

    (event,) = await copied(journal, await come())

    assert event.categories == (Category.MED, Category.FAM)


async def test_under_the_gdpr_health_data_waits_until_nobody_in_the_car_can_be_asked(
    journal: Journal, come: Come, copies: EmergencyCopies, registry: Registry, clock: ManualClock
):
    registry._packs[DEMO] = msgspec.structs.replace(registry.packs[DEMO], jurisdiction="DE")
    incident = await come()
    (first,) = await copied(journal, incident)
    assert (first.rule, first.categories, first.withheld) == ("EU-16", (Category.FAM,), (Category.MED,))
    assert set(await held(journal, incident)) == {Category.FAM}

    hanako = OperatorId("hanako")
    for command in (
        c.TakeIncident(operator=hanako, desk=DeskId("d")),
        c.JoinLeg(leg=LegId("v"), party=Party.VEHICLE, who="vehicle"),
        c.JoinLeg(leg=LegId("o"), party=Party.OPERATOR, who=hanako),
    ):
        await journal.execute(incident, command, actor="system:test")
    await clock.advance(timedelta(seconds=31))
    await journal.execute(incident, c.PassDeadline(name="no_response"), actor="timer")
    await copies.handle((await journal.store.stream(incident))[-1:])

    second = (await copied(journal, incident))[-1]
    assert (second.categories, second.withheld) == ((Category.MED,), ())
    assert second.grounds == ("GDPR-6-1-d", "GDPR-9-2-c")
    assert (await journal.state(incident)).registered == (Category.MED, Category.FAM)


async def test_where_no_table_holds_it_is_said_that_it_is_there_and_nothing_is_opened(
    journal: Journal, come: Come, registry: Registry, store: Store, owner
):
    registry._packs.pop(DEMO)

    incident = await come()

    (event,) = await copied(journal, incident)
    assert (event.rule, event.categories, event.withheld) == ("XX-99", (), (Category.MED, Category.FAM))
    reads = [each.event for each in await store.stream(owner) if isinstance(each.event, RegistryRead)]
    assert not {category for read in reads for category in read.categories} & {Category.MED, Category.FAM}


async def test_a_lost_key_hides_the_one_and_not_the_other(
    journal: Journal, come: Come, store: Store, keys: KeyStore, owner: SubjectId, registry: Registry, clock
):
    await registry._index.destroy_keys(owner, (Category.MED,))
    registry._ledger.forget(owner)

    (event,) = await copied(journal, await come())

    assert event.categories == (Category.FAM,)
    assert event.withheld == (Category.MED,)


async def test_a_closed_incident_takes_nothing_in(journal: Journal, come: Come, copies: EmergencyCopies):
    incident = await come(copy=False)
    take = c.TakeIncident(operator=OperatorId("hanako"), desk=DeskId("d"))
    await journal.execute(incident, take, actor="system:test")
    await journal.execute(incident, s.close(Disposition.FALSE_ALARM), actor="system:test")

    await copies.handle(await journal.store.stream(incident))

    assert await copied(journal, incident) == []
