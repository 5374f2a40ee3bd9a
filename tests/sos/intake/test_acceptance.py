"""Where a report belongs: repeats, updates, cancels, names used twice, and what came as an MSD."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sos.clock import SystemClock
from sos.errors import Malformed, Unavailable
from sos.formats import msd
from sos.incident import commands as c
from sos.incident.model import Disposition, Incident, IncidentId, Mode, State, TenantId, Trigger
from sos.incident.report import Vehicle
from sos.intake.acceptance import Acceptance, Accepted, Came
from sos.intake.receipts import Receipts
from sos.intake.recent import JOIN_WITHIN, Recent
from sos.intake.simulated import MemoryReception
from sos.intake.spooling import SpoolReception
from sos.intake.tenants import Tenant
from sos.intake.voice import CallsWithoutData
from sos.journal.spool import Spool
from sos.problems import UnsupportedMedia
from tests.journeys import story as s

WIRE = Path(__file__).resolve().parents[2] / "wire"
CRASH = json.loads((WIRE / "crash.json").read_bytes())
NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
OTHER = Tenant(id=TenantId("other"), domain="other.example")
CLOUD = "application/cloudevents+json"


class House:
    """An acceptance with everything it needs in memory."""

    def __init__(self) -> None:
        self.reception, self.recent = MemoryReception(), Recent()
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        """Forget all that is only in memory."""
        self.recent = Recent()
        self.receipts = Receipts(b"a secret for tests, 32 bytes long")
        self.acceptance = Acceptance(self.reception, self.receipts, self.recent)

    async def take(
        self, body: bytes, media_type: str = CLOUD, *, tenant: Tenant = ACME, key: str | None = None
    ) -> Accepted:
        return await self.acceptance.take(body, content_type=media_type, tenant=tenant, received_at=self.now, key=key)

    def orders(self, kind: type[c.Command]) -> list[Any]:
        return [command for _, command in self.reception.executed if isinstance(command, kind)]


@pytest.fixture
def house() -> House:
    return House()


def event(kind: str = "crash", *, id: str = "1", **data: Any) -> bytes:
    """The wire sample's crash with another name, type and content; a None leaves it out."""
    body = CRASH | {"id": id, "type": f"jp.example.sos.{kind}.v1"}
    body["data"] = {name: value for name, value in (CRASH["data"] | data).items() if value is not None}
    return json.dumps(body).encode()


UPDATE = (WIRE / "update.json").read_bytes()


async def test_an_update_joins_the_incident_of_its_vehicle(house: House) -> None:
    crash = await house.take(event())

    update = await house.take(UPDATE)
    again = await house.take(UPDATE)

    assert (update.incident, update.joined, update.new, update.findings) == (crash.incident, "update", False, ())
    assert (again.incident, again.repeat, again.joined) == (crash.incident, True, None)
    assert len(house.reception.opened) == 1
    (joined,) = house.orders(c.JoinReport)
    assert (joined.report, joined.reason, joined.readable) == (UPDATE, "update", True)


class Slow(MemoryReception):
    """A journal under load: what an incident's state is takes longer than a new report may."""

    async def state(self, incident: IncidentId) -> Incident:
        await SystemClock().wait(timedelta(milliseconds=500))
        return await super().state(incident)


async def test_a_report_that_is_sent_again_after_a_restart_is_a_repeat_however_loaded_the_database_is(
    house: House,
) -> None:
    house.reception = Slow()
    house.restart()
    first = await house.take(event())
    house.restart()

    again = await house.take(event())

    assert (again.incident, again.repeat) == (first.incident, True)
    assert len(house.reception.opened) == 1


@pytest.mark.parametrize(("other", "repeat"), [({}, True), ({"crash": {"deltaV": 1}}, False)])
async def test_what_waits_in_a_spool_is_known_by_its_bytes_after_a_restart(
    house: House, tmp_path: Path, other: dict[str, Any], repeat: bool
) -> None:
    spool = Spool(tmp_path, b"k" * 32)
    house.acceptance = Acceptance(SpoolReception(spool), house.receipts, Recent())
    first = await house.take(event())
    spool = Spool(tmp_path, b"k" * 32)
    await spool.open()
    house.acceptance = Acceptance(SpoolReception(spool), house.receipts, Recent())

    again = await house.take(event(**other))

    assert again.repeat is repeat
    assert (again.incident == first.incident) is repeat
    assert ("id_reused:$.id" in again.findings) is not repeat


async def test_an_update_that_is_sent_again_after_a_restart_is_a_repeat(house: House) -> None:
    await house.take(event())
    first = await house.take(UPDATE)
    house.restart()

    again = await house.take(UPDATE)

    assert (again.incident, again.repeat) == (first.incident, True)
    assert len(house.orders(c.JoinReport)) == 1


async def test_a_crash_with_a_risen_sequence_and_a_new_name_joins(house: House) -> None:
    crash = await house.take(event(id="1"))

    later = await house.take(event(id="2", sequence=2))

    assert (later.incident, later.joined) == (crash.incident, "update")


async def test_an_update_names_its_incident_by_id_or_urn(house: House) -> None:
    crash = await house.take(event())
    vehicle = {"vehicle": {"id": {"scheme": "oem_id", "value": "another name"}}}

    by_id = await house.take(event("update", id="2", incident=crash.incident, **vehicle))
    urn = f"urn:emergency:uid:incidentid:{crash.incident}:acme.example"
    by_urn = await house.take(event("update", id="3", incident=urn, **vehicle))
    stranger = await house.take(event("update", id="4", incident=crash.incident, **vehicle), tenant=OTHER)

    assert by_id.incident == by_urn.incident == crash.incident
    assert stranger.new
    assert stranger.findings == ("update:$.type",)


async def test_an_update_that_belongs_nowhere_is_an_incident_and_says_so(house: House) -> None:
    update = await house.take(UPDATE)

    assert update.new
    assert update.findings == ("update:$.type",)


async def test_an_update_long_after_or_of_another_crash_is_an_incident_of_its_own(house: House) -> None:
    crash = await house.take(event())

    second = await house.take(event("update", id="2", eventTime="2026-01-01T10:30:00Z"))
    house.now += JOIN_WITHIN + timedelta(minutes=1)
    late = await house.take(event("update", id="3"))

    assert second.new
    assert late.new
    assert len({crash.incident, second.incident, late.incident}) == 3


async def test_a_cancel_keeps_its_reason_and_closes_nothing(house: House) -> None:
    crash = await house.take(event())

    coded = await house.take(event("cancel", id="2", reason="false_alarm"))
    spoken = await house.take(event("cancel", id="3", reason="driver says all is well"))

    assert (coded.incident, coded.joined) == (spoken.incident, spoken.joined) == (crash.incident, "cancel")
    orders = house.orders(c.RecordCancel)
    assert [(order.reason, order.words) for order in orders] == [
        ("false_alarm", ""),
        ("other", "driver says all is well"),
    ]
    state = await house.reception.state(crash.incident)
    assert (state.state, state.cancelled, "cancel_requested" in state.flags) == (State.RECEIVED, "other", True)


async def test_a_cancel_of_nothing_we_know_rings_like_any_report(house: House) -> None:
    cancel = await house.take(event("cancel", reason="false_alarm"))

    assert cancel.new
    assert cancel.findings == ("cancel:$.type",)


async def test_the_same_name_with_more_about_the_same_crash_is_kept_in_the_incident(house: House) -> None:
    first = await house.take(event())
    more = event(sequence=2, callback={"tel": "+15550100", "language": "ja"})

    second = await house.take(more)
    third = await house.take(more)
    house.restart()
    fourth = await house.take(more)

    assert (second.incident, second.joined) == (first.incident, "changed_repeat")
    assert (third.repeat, fourth.repeat) == (True, True)
    assert [order.report for order in house.orders(c.JoinReport)] == [more]
    assert len(house.reception.opened) == 1


@pytest.mark.parametrize(
    "another",
    [
        {"vehicle": {"id": {"scheme": "vin", "value": "JTMZZ3TESTEC00002"}}},
        {"eventTime": "2026-01-01T06:00:00Z"},
    ],
)
async def test_the_same_name_for_another_crash_is_neither_lost_nor_merged(
    house: House, another: dict[str, Any]
) -> None:
    first = await house.take(event())

    second = await house.take(event(**another))
    again = await house.take(event(**another))

    assert second.incident != first.incident
    assert (second.new, second.findings) == (True, ("id_reused:$.id",))
    assert (again.incident, again.repeat) == (second.incident, True)
    assert "id_reused" in (await house.reception.state(second.incident)).flags


async def test_a_closed_incident_takes_no_further_report_and_the_report_rings_anew(house: House) -> None:
    first = await house.take(event())
    for order in (
        c.TakeIncident(operator="hanako", desk="d"),
        s.close(Disposition.NO_HELP_NEEDED),
    ):
        await house.reception.execute(first.incident, order, actor="operator:hanako")

    second = await house.take(event(sequence=2))

    assert second.new
    assert second.findings == ("incident_closed:$",)


async def test_an_update_is_an_incident_when_the_database_cannot_join_it(house: House) -> None:
    crash = await house.take(event())
    house.reception.failing.append(Unavailable("away"))

    update = await house.take(UPDATE)

    assert update.new
    assert update.incident != crash.incident
    assert update.findings == ("update:$.type",)


# MSD and VEDS


def message(**changes: Any) -> msd.Msd:
    base: dict[str, Any] = {
        "version": 2,
        "message_identifier": 1,
        "automatic_activation": True,
        "test_call": False,
        "position_can_be_trusted": True,
        "vehicle_type": msd.VehicleType.M1,
        "vin": "WM9VDSVDSYA123456",
        "propulsion": (msd.Energy.GASOLINE,),
        "timestamp": int(NOW.timestamp()) - 3,
        "latitude_mas": 128_452_450,
        "longitude_mas": 503_161_650,
        "direction": 45,
    }
    return msd.Msd(**(base | changes))


def octets(**changes: Any) -> bytes:
    return msd.write(message(**changes))


async def test_an_msd_in_its_octets_opens_an_incident(house: House) -> None:
    accepted = await house.take(octets(), msd.MEDIA_TYPE)

    command = house.reception.last
    assert (accepted.new, command.readable, command.trigger, command.mode) == (
        True,
        True,
        Trigger.AUTOMATIC,
        Mode.LIVE,
    )
    assert (command.format, command.report) == (msd.MEDIA_TYPE, octets())


async def test_retransmissions_of_an_msd_are_one_incident(house: House) -> None:
    first = await house.take(octets(), msd.MEDIA_TYPE)

    same = await house.take(octets(), msd.MEDIA_TYPE)
    raised = await house.take(octets(message_identifier=2), msd.MEDIA_TYPE)
    by_key = await house.take(octets(message_identifier=3), msd.MEDIA_TYPE, key="another")
    another_crash = await house.take(octets(timestamp=int(NOW.timestamp()) + 4000), msd.MEDIA_TYPE)

    assert (same.repeat, same.incident) == (True, first.incident)
    assert (raised.incident, raised.joined) == (first.incident, "changed_repeat")
    assert (by_key.incident, by_key.joined) == (first.incident, "update")
    assert another_crash.new


async def test_two_cars_whose_clock_was_never_set_are_two_incidents(house: House) -> None:
    one = await house.take(octets(timestamp=0), msd.MEDIA_TYPE)
    other = await house.take(octets(timestamp=0, vin="WM9VDSVDSYA654321"), msd.MEDIA_TYPE)

    assert one.incident != other.incident


async def test_the_idempotency_key_names_an_msd(house: House) -> None:
    first = await house.take(octets(timestamp=0), msd.MEDIA_TYPE, key="call-1")
    again = await house.take(octets(timestamp=0), msd.MEDIA_TYPE, key="call-1")

    assert (again.repeat, again.incident) == (True, first.incident)


async def test_a_test_call_by_msd_is_a_test(house: House) -> None:
    await house.take(octets(test_call=True), msd.MEDIA_TYPE)

    assert house.reception.last.mode is Mode.TEST


@pytest.mark.parametrize("garbage", [b"\x02\x05\x00", b"\xff" * 40, b"\x02"])
async def test_octets_that_nobody_can_decode_are_an_incident(house: House, garbage: bytes) -> None:
    accepted = await house.take(garbage, msd.MEDIA_TYPE)

    assert accepted.new
    assert not house.reception.last.readable
    assert "undecodable:$" in accepted.findings
    assert house.reception.last.report == garbage


async def test_an_msd_spelt_out_in_text_is_taken_and_told(house: House) -> None:
    accepted = await house.take(octets().hex().encode(), msd.MEDIA_TYPE)

    assert accepted.new
    assert "as_text:$" in accepted.findings
    assert house.reception.last.readable


@pytest.mark.parametrize("text", [b"00ff00", b"hello", b"<xml/>", b"{}"])
async def test_text_that_spells_no_msd_is_refused_with_the_way_out(house: House, text: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="raw octets"):
        await house.take(text, msd.MEDIA_TYPE)

    assert house.reception.opened == []


async def test_json_under_the_msd_type_is_an_emergency_when_it_is_one(house: House) -> None:
    accepted = await house.take(event(), msd.MEDIA_TYPE)

    assert accepted.new
    assert "content_type:$" in accepted.findings


@pytest.mark.parametrize("media_type", [msd.MEDIA_TYPE, "application/EmergencyCallData.VEDS+xml", CLOUD])
async def test_an_empty_body_is_refused(house: House, media_type: str) -> None:
    with pytest.raises(Malformed):
        await house.take(b"", media_type)


async def test_damaged_xml_under_the_veds_type_is_an_incident(house: House) -> None:
    accepted = await house.take(b"<AutomatedCrashNotification><Cra", "Application/EmergencyCallData.VEDS+xml")

    assert accepted.new
    assert accepted.findings == ("undecodable:$",)
    assert house.reception.last.format == "application/EmergencyCallData.VEDS+xml"


REPORTS = st.sampled_from(
    [
        event(id="1"),
        event(id="1", sequence=2),
        event(id="1", eventTime="2026-01-01T12:00:00Z"),
        event("update", id="2"),
        event("cancel", id="3", reason="test"),
        event("manual", id="4", vehicle=None),
        UPDATE,
    ]
)


@settings(max_examples=150, deadline=None)
@given(sent=st.lists(st.tuples(REPORTS, st.sampled_from(("", "restart", "outage"))), max_size=12))
async def test_whatever_comes_in_whatever_order_every_report_is_kept_exactly_once(
    sent: list[tuple[bytes, str]],
) -> None:
    house = House()
    kept: dict[bytes, str] = {}

    for body, before in sent:
        if before == "restart":
            house.restart()
        if before == "outage":
            house.reception.failing.append(Unavailable("away"))
        try:
            accepted = await house.take(body)
        except Unavailable:
            continue
        assert kept.setdefault(body, accepted.incident) == accepted.incident
        assert (body in kept) or not accepted.repeat

    filed = [opened.command.report for opened in house.reception.opened]
    filed += [order.report for _, order in house.reception.executed]
    assert sorted(filed) == sorted(kept)


class Broken(Recent):
    """A memory with a mistake in it."""

    def call_without_data(self, *_: Any, **__: Any) -> None:
        raise LookupError("a mistake of ours")


async def test_a_fault_of_ours_on_the_way_costs_no_emergency_its_incident(house: House) -> None:
    house.acceptance = Acceptance(house.reception, house.receipts, Broken())

    first, again = await house.take(event()), await house.take(event())
    other = await house.take(event(id="2"))

    assert (first.new, again.repeat, again.incident) == (True, True, first.incident)
    assert other.incident != first.incident
    command = house.reception.opened[0].command
    assert (command.readable, command.findings, command.report) == (False, ("undecodable:$",), event())
    assert command.format == CLOUD


async def test_a_fault_of_ours_acknowledges_nothing_that_is_not_kept(house: House) -> None:
    house.acceptance = Acceptance(house.reception, house.receipts, Broken())
    house.reception.failing = [Unavailable("neither database nor spool")]

    with pytest.raises(Unavailable):
        await house.take(event())

    assert house.reception.opened == []


@pytest.mark.parametrize("seconds", [1, 60, 119])
async def test_a_nameless_report_sent_again_after_a_restart_is_a_repeat_over_every_edge_of_the_clock(
    house: House, seconds: int
) -> None:
    body = event(id="")
    for edge in range(0, 120, 5):
        house.now = NOW + timedelta(days=1, minutes=4 * edge, seconds=edge)
        first = await house.take(body)
        house.restart()
        house.now += timedelta(seconds=seconds)

        again = await house.take(body)

        assert (again.incident, again.repeat) == (first.incident, True)


async def test_a_nameless_report_is_another_after_its_time_and_where_nobody_can_look(house: House) -> None:
    body = event(id="")
    house.now = NOW.replace(minute=1, second=59)
    first = await house.take(body)
    house.restart()
    house.now += timedelta(seconds=2)
    house.reception.failing_states = [Unavailable("the database is away")]

    in_doubt = await house.take(body)
    house.now += timedelta(minutes=3)
    later = await house.take(body)

    assert in_doubt.new
    assert later.new
    assert len({first.incident, in_doubt.incident, later.incident}) == 3


async def test_after_two_minutes_the_same_nameless_bytes_are_another_press_whatever_the_journal_has(
    house: House,
) -> None:
    house.now = NOW.replace(minute=0, second=1)
    first = await house.take(event(id=""))
    house.restart()
    house.now += timedelta(seconds=125)  # in the stretch behind, and too late

    later = await house.take(event(id=""))

    assert later.new
    assert later.incident != first.incident


async def test_a_vehicle_has_one_turn_whatever_becomes_of_its_reports(house: House) -> None:
    vehicle = CRASH["data"]["vehicle"]["id"]
    by = Came(channel="mqtt", vehicle=Vehicle(id_scheme=vehicle["scheme"], id_value=vehicle["value"]), always=True)
    calls = CallsWithoutData(house.reception, house.receipts, Recent())
    named = f"{vehicle['scheme']}:{vehicle['value']}"

    await house.take(event(id="1"))
    await calls.incident(ACME, leg="a", vehicle=named, tel=None, language=None, received_at=house.now)
    await house.acceptance.take_unread(b"one", tenant=ACME, received_at=house.now, by=by)
    await house.acceptance.take_unread(b"two", tenant=ACME, received_at=house.now)

    said, called, unread, nobody = (each.sender for each in house.reception.opened)
    assert said == called == unread != ""
    assert nobody == ""
