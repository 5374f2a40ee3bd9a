"""A report comes in, the registry says how its vehicle stands, and severity is judged where the brand allows it."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from recording.keys import KeyStore
from routing.categories import Category
from routing.severity import DEFAULT, Facts, Impact, Level, model
from sos.clock import ManualClock
from sos.errors import Refused, Unavailable
from sos.incident.commands import FileReport, JudgeSeverity, OpenIncident
from sos.incident.events import RegistryRead, SeverityJudged, VehicleRecognised
from sos.incident.model import Disposition, Incident, IncidentId, Mode, TenantId, Trigger
from sos.incident.report import Crash, Vehicle, canonical
from sos.journal.journal import Journal
from sos.journal.store import Store
from sos.registry import orders as o
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.model import Acknowledged, Flag
from sos.registry.orders import RecordConsent, ResumeData, StopData, Suspend, Suspension
from sos.registry.recogniser import Recogniser, keys_of
from sos.registry.registry import Registry
from sos.registry.triage import Triage, facts_of
from tests.conftest import NEW_YEAR
from tests.journeys import story as s
from tests.sos.registry.conftest import DEMO, NO_PROFILING, PLATE, PROFILE, VIN, by

CRASHED = Crash(impact="front", delta_v_x=-60.0, delta_v_y=5.0, airbag_deployed=True, rollover="NONE", fire=False)
Report = Callable[..., Awaitable[IncidentId]]


@pytest.fixture
def report(journal: Journal, registry: Registry, clock: ManualClock) -> Report:
    """A report of a car comes in and all that follows the journal has followed; the incident's id."""
    recogniser, triage = Recogniser(journal, registry), Triage(journal, registry.packs.get)

    async def come(
        vehicle: Vehicle | None = None,
        crash: Crash = CRASHED,
        *,
        tenant: TenantId = DEMO,
        into: IncidentId | None = None,
        sequence: int = 1,
    ) -> IncidentId:
        named = vehicle or Vehicle(id_scheme="vin", id_value=VIN.value)
        incident = into or await _opened(journal, tenant, clock)
        before = len(await journal.store.stream(incident))
        parts = {Category.VEH: canonical(named), Category.SEV: canonical(crash)}
        filed = FileReport(sequence=sequence, located=True, parts=parts, report_digest=f"{sequence:064x}")
        await journal.execute(incident, filed, actor="system:filer")
        for handle in (recogniser.handle, triage.handle):
            await handle((await journal.store.stream(incident))[before:])
        return incident

    return come


async def _opened(journal: Journal, tenant: TenantId, clock: ManualClock) -> IncidentId:
    command = OpenIncident(
        mode=Mode.LIVE,
        trigger=Trigger.AUTOMATIC,
        format="application/json",
        report=b"{}",
        report_digest="00" * 32,
        readable=True,
    )
    received = await journal.open(command, tenant=tenant, receipt=b"r" * 32, received_at=clock.now())
    return received.incident


async def _judged(journal: Journal, incident: IncidentId) -> list[dict]:
    parts = await journal.unseal(incident, (Category.SEV,))
    kept = [part.payload for part in parts if isinstance(part.recorded.event, SeverityJudged)]
    return [msgspec.json.decode(payload)["prediction"] for payload in kept]


async def _recognised(journal: Journal, incident: IncidentId) -> list[VehicleRecognised]:
    events = [recorded.event for recorded in await journal.store.stream(incident)]
    return [event for event in events if isinstance(event, VehicleRecognised)]


async def test_a_known_car_is_recognised_with_its_brands_rules(report: Report, car, journal: Journal, registry):
    vehicle, owner = await car(unit="link-1")

    incident = await report()

    (found,) = await _recognised(journal, incident)
    assert (found.flags, found.entitlement, found.record, found.holder) == ((), "entitled", vehicle, owner)
    assert found.call_back_window_s == 600
    assert found.pack == registry.packs[DEMO].name
    assert "life_protection=demo-terms/1#4.2" in found.clauses


async def test_an_unknown_car_stays_an_incident_like_any_other_and_is_flagged(report: Report, journal: Journal):
    state = await journal.state(await report())

    assert state.flags == ("unknown_vehicle",)
    assert state.registry_flags == ("unknown_vehicle",)
    assert str(state.state) == "received"


async def test_sanctions_flag_a_live_call_and_nothing_else_happens_to_it(report: Report, car, journal, registry):
    vehicle, _ = await car()
    await registry.change_vehicle(vehicle, Suspend(reason=Suspension.SANCTIONS, document="d-1"), by=by())

    state = await journal.state(await report())

    assert state.flags == ("suspended_sanctions",)
    assert str(state.state) == "received"


TWICE: dict[str, tuple[tuple[o.VehicleOrder, ...], str]] = {
    "deactivated": (
        (o.Deactivate(document="seal-1", acknowledged=tuple(Acknowledged), effective_at=NEW_YEAR),),
        "deactivated",
    ),
    "sold": (
        (o.BeginTransfer(document="t-1"), o.UnlinkOwner(), o.CompleteTransfer(services_off_told=True)),
        "sold",
    ),
    "scrapped": ((o.Scrap(document="s-1"),), "scrapped"),
    "suspended": ((Suspend(reason=Suspension.UNPAID, document="d-1"),), "suspended"),
    "under sanctions": ((Suspend(reason=Suspension.SANCTIONS, document="d-1"),), "suspended_sanctions"),
    "data stopped": ((StopData(),), "data_stopped"),
}


@pytest.mark.parametrize("case", TWICE, ids=str)
async def test_a_person_answers_a_car_that_is(case: str, report: Report, car, journal: Journal, registry: Registry):
    """MINI 4.1, 5.1, 11: answered by a person, flagged with why."""
    orders, flag = TWICE[case]
    vehicle, _ = await car()
    for order in orders:
        await registry.change_vehicle(vehicle, order, by=by())

    incident = await report()
    await journal.execute(incident, s.offer("desk-hanako"), actor="system:acd")
    done = await journal.execute(incident, s.take(), actor="operator:hanako")

    assert flag in done.incident.flags
    assert str(done.incident.state) == "in_call"


async def test_a_person_answers_a_car_that_nobody_ever_registered(report: Report, journal: Journal):
    incident = await report()

    done = await journal.execute(incident, s.take(), actor="operator:hanako")

    assert (done.incident.flags, str(done.incident.state)) == (("unknown_vehicle",), "in_call")


async def test_the_opt_out_is_known_before_anybody_decides_what_to_tell(report: Report, car, journal, registry):
    _, owner = await car()
    refusal = RecordConsent(purpose="third_party_provision", given=False, text="demo-terms/1", consequence_shown=True)
    await registry.change_subscriber(owner, refusal, by=by(Role.PORTAL, acting=owner))

    state = await journal.state(await report())

    assert state.opt_out is True
    assert Flag.OPTED_OUT in state.flags


async def test_the_holders_name_is_copied_into_the_case_and_the_copying_is_on_record(report, car, journal, registry):
    _, owner = await car()

    incident = await report()

    (part,) = await journal.unseal(incident, (Category.OWN,))
    assert msgspec.json.decode(part.payload) == {"ownerName": PROFILE["name"], "ownerTel": PROFILE["phone"]}
    reads = [r.event for r in await registry.history(owner, by=by()) if isinstance(r.event, RegistryRead)]
    assert [read.purpose for read in reads] == [f"emergency:{incident}"]


async def test_a_later_report_that_names_the_car_takes_the_first_flag_back(report: Report, car, journal: Journal):
    await car()
    incident = await report(Vehicle(model="Kestrel"))
    assert (await journal.state(incident)).flags == ("no_vehicle_identity",)

    await report(into=incident, sequence=2)

    assert (await journal.state(incident)).flags == ()


async def test_the_same_report_handled_twice_says_nothing_twice(report: Report, car, journal: Journal, registry):
    await car()
    incident = await report()
    stream = await journal.store.stream(incident)

    for handle in (Recogniser(journal, registry).handle, Triage(journal, registry.packs.get).handle):
        await handle(stream)

    assert len(await journal.store.stream(incident)) == len(stream)


async def test_a_resumed_car_warns_until_a_test_call_has_passed(report: Report, car, journal, registry):
    vehicle, _ = await car()
    await registry.change_vehicle(vehicle, StopData(), by=by())
    await registry.change_vehicle(vehicle, ResumeData(), by=by())
    incident = await report()
    assert (await journal.state(incident)).flags == ("resumed_untested",)
    receipt = (await journal.store.stream(incident))[-1]

    passed = msgspec.structs.replace(receipt, event=_receipt())
    await Recogniser(journal, registry).handle([passed])

    assert not (await registry.vehicle(vehicle, by=by())).untested


def _receipt():
    told = s.Story()
    told.do(s.open_incident(Mode.TEST))
    told.do(s.issue_receipt())
    return told.recorded[-1].event


class _Gone(Index):
    async def find(self, digests):
        raise Unavailable("the registry's database does not answer (OSError)")


async def test_with_the_registry_down_the_call_is_flagged_and_nothing_is_scored(
    report: Report, car, journal: Journal, store: Store, keys: KeyStore, clock: ManualClock, registry: Registry
):
    await car()
    down = Registry(store, _Gone(store.engine), keys, clock=clock)
    await down.assume_packs(registry.packs.values(), ())
    incident = await _opened(journal, DEMO, clock)
    named = canonical(Vehicle(id_scheme="vin", id_value=VIN.value))
    parts = {Category.VEH: named, Category.SEV: canonical(CRASHED)}
    filed = FileReport(sequence=1, located=True, parts=parts, report_digest="0" * 64)
    await journal.execute(incident, filed, actor="system:filer")

    for handle in (Recogniser(journal, down).handle, Triage(journal, down.packs.get).handle):
        await handle(await journal.store.stream(incident))

    assert (await journal.state(incident)).flags == ("registry_unavailable",)
    assert await _judged(journal, incident) == []


# --- severity ---


async def test_severity_is_judged_and_kept_with_model_digest_inputs_and_reasons(report: Report, car, journal: Journal):
    await car()

    incident = await report()

    (judged,) = await _judged(journal, incident)
    assert judged["chosen"] == judged["score"]["model"] == DEFAULT
    assert judged["score"]["digest"] == model(DEFAULT).digest
    assert judged["score"]["inputs"]["delta_v_mph"] == pytest.approx(37.41, abs=0.01)
    assert judged["level"] == Level.SEVERE
    header = [r.event for r in await journal.store.stream(incident) if isinstance(r.event, SeverityJudged)]
    assert [(event.judged_by, event.coefficients, event.scored) for event in header] == [
        (DEFAULT, model(DEFAULT).digest, True)
    ]


async def test_no_score_is_computed_kept_or_shown_for_a_brand_without_profiling(report: Report, car, journal: Journal):
    """Mitsubishi Connect policy, Art. 7."""
    await car(tenant=NO_PROFILING)

    incident = await report(tenant=NO_PROFILING)

    assert (await journal.state(incident)).profiling is False
    assert not [r for r in await journal.store.stream(incident) if isinstance(r.event, SeverityJudged)]
    parts = await journal.unseal(incident, tuple(Category))
    assert not [part for part in parts if b"risk" in part.payload or b"prediction" in part.payload]
    forced = JudgeSeverity(
        judged_by=DEFAULT, coefficients="0" * 64, scored=True, report=99, severe=False, judgement=b"{}"
    )
    with pytest.raises(Refused, match="profiling"):
        await journal.execute(incident, forced, actor="system:severity")


async def test_an_unknown_delta_v_is_judged_unknown(report: Report, car, journal: Journal):
    await car()

    (judged,) = await _judged(journal, await report(crash=Crash(impact="front")))

    assert judged["level"] == Level.UNKNOWN
    assert judged.get("score") is None


async def test_a_low_score_changes_nothing_about_how_the_incident_rings(report: Report, car, journal: Journal):
    await car()
    before = Incident(id=IncidentId("i"), tenant=DEMO)

    state = await journal.state(await report(crash=Crash(impact="front", delta_v_x=-5.0)))

    assert state.flags == before.flags
    assert state.disclosures == ()
    assert str(state.state) == "received"


async def test_more_data_is_judged_again_with_what_was_known_before(report: Report, car, journal: Journal):
    await car()
    incident = await report(crash=Crash(impact="front", delta_v_x=-20.0))

    await report(crash=Crash(fire=True), into=incident, sequence=2)

    first, second = await _judged(journal, incident)
    assert first["level"] == Level.NOT_RAISED
    assert (second["level"], second["reasons"]) == (Level.SEVERE, ["fire"])
    assert second["score"]["inputs"] == first["score"]["inputs"]


async def test_an_operator_who_hears_nobody_makes_a_deployed_airbag_severe(report: Report, car, journal, registry):
    await car()
    incident = await report(crash=Crash(impact="front", airbag_deployed=True))
    await journal.execute(incident, s.take(), actor="operator:hanako")

    await journal.execute(incident, s.disclose(), actor="operator:hanako")  # consent: no_answer
    await Triage(journal, registry.packs.get).handle(await journal.store.stream(incident))

    levels = [(each["level"], each["reasons"]) for each in await _judged(journal, incident)]
    assert levels == [(Level.UNKNOWN, []), (Level.SEVERE, ["airbag_no_answer"])]


async def test_a_fire_that_somebody_tells_of_on_the_call_is_judged_and_taking_it_back_denies_no_sensor(
    report: Report, car, journal, registry
):
    await car()
    incident = await report(crash=Crash(impact="front", delta_v_x=-20.0))
    await journal.execute(incident, s.take(), actor="operator:hanako")
    triage = Triage(journal, registry.packs.get)

    for urgent in (("fire",), ()):
        answer = s.answer_card("fire", urgent=urgent, needs=())
        await triage.handle((await journal.execute(incident, answer, actor="operator:hanako")).recorded)

    levels = [(each["level"], each["reasons"]) for each in await _judged(journal, incident)]
    assert levels == [(Level.NOT_RAISED, []), (Level.SEVERE, ["fire"]), (Level.NOT_RAISED, [])]


async def test_an_incident_that_is_long_closed_is_left_as_it_is(report: Report, car, journal: Journal, registry):
    await car()
    incident = await report()
    await journal.execute(incident, s.take(), actor="operator:hanako")
    await journal.execute(incident, s.close(Disposition.FALSE_ALARM), actor="operator:hanako")
    before = await journal.store.stream(incident)
    vehicle = await registry.find((VIN,), tenant=DEMO)
    await registry.change_vehicle(vehicle, Suspend(reason=Suspension.UNPAID, document="d-1"), by=by())

    for handle in (Recogniser(journal, registry).handle, Triage(journal, registry.packs.get).handle):
        await handle(before)

    assert len(await journal.store.stream(incident)) == len(before)


@pytest.mark.parametrize(
    ("crash", "facts"),
    [
        (Crash(), Facts()),
        (Crash(delta_v_x=-30.0), Facts(delta_v_kmh=30.0, delta_v_partial=True)),
        (Crash(delta_v_x=-30.0, delta_v_y=40.0), Facts(delta_v_kmh=50.0)),
        (Crash(delta_v=50.0), Facts(delta_v_kmh=50.0)),
        (Crash(delta_v_x=125.0, delta_v_y=0.0, delta_v_limit=125.0), Facts(delta_v_kmh=125.0, delta_v_partial=True)),
        (Crash(impact="LEFT"), Facts(impact=Impact.SIDE)),
        (Crash(principal_direction_clock=12), Facts(impact=Impact.FRONT)),
        (Crash(principal_direction_clock=6), Facts(impact=Impact.REAR)),
        (Crash(principal_direction_clock=3), Facts(impact=Impact.SIDE)),
        (Crash(rollover="DETECTED"), Facts(rollover=True)),
        (Crash(rollover="NONE"), Facts(rollover=False)),
        (Crash(rollover="RISK"), Facts()),
        (Crash(rollover="UNKNOWN"), Facts()),
        (Crash(fire=True, submersed=False), Facts(fire=True, submersed=False)),
        (Crash(severe_injury=True), Facts()),
        (Crash(impact="driverSide"), Facts(impact=Impact.SIDE)),
        (Crash(impact="nonDriverSide"), Facts(impact=Impact.SIDE)),
        (Crash(ejected=True, pedestrian=False), Facts(ejected=True, pedestrian=False)),
    ],
)
def test_facts_are_read_from_a_report_and_the_unknown_stays_unknown(crash: Crash, facts: Facts):
    assert facts_of(crash) == facts


def test_silence_in_the_car_is_a_fact_once_an_operator_has_said_so():
    assert facts_of(Crash(airbag_deployed=True), answers=False) == Facts(airbag_deployed=True, answers=False)


@pytest.mark.parametrize(
    ("vehicle", "keys"),
    [
        (Vehicle(), ()),
        (Vehicle(id_scheme="vin", id_value="jtmzz3testec00001"), (VIN,)),
        (Vehicle(id_scheme="vin", id_value="too short"), ()),
        (Vehicle(id_scheme="colour", id_value="red", license_plate=PLATE.value), ("品川300あ1234",)),
    ],
)
def test_what_can_be_no_name_of_a_vehicle_is_left_out(vehicle: Vehicle, keys):
    assert [key.value for key in keys_of(vehicle)] == [getattr(key, "value", key) for key in keys]
