"""Two emergencies are never one: what is nameless, named alike or sent again after the end is told apart, or rings."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sos.errors import Unavailable
from sos.formats import msd, veds
from sos.incident import commands as c
from sos.incident.model import IncidentId, Trigger
from sos.incident.report import Vehicle
from sos.intake.acceptance import KEY_LASTS, Accepted, Came
from sos.intake.receipts import SENT_AGAIN_WITHIN, VEHICLE_SENDS_AGAIN_WITHIN
from sos.intake.voice import CallsWithoutData
from tests.sos.intake.test_acceptance import ACME, CLOUD, WIRE, House, event, octets

PRESS = b'{"type": "jp.example.sos.manual.v1", "data": {"trigger": "manual"}}'
VEDS = (WIRE / "formats" / "veds.xml").read_bytes()


@pytest.fixture
def house() -> House:
    return House()


def over_mqtt(name: str, scheme: str = "vin") -> Came:
    return Came(channel="mqtt", vehicle=Vehicle(id_scheme=scheme, id_value=name), always=True)


async def take(house: House, body: bytes, media_type: str = CLOUD, **more: Any) -> Accepted:
    return await house.acceptance.take(body, content_type=media_type, tenant=ACME, received_at=house.now, **more)


async def close(house: House, incident: IncidentId) -> None:
    for order in (c.TakeIncident(operator="hanako", desk="d"), c.CloseIncident(disposition="no_help_needed")):
        await house.reception.execute(incident, order, actor="operator:hanako")
    house.recent.forget(incident)


NAMELESS = {
    "a press": (PRESS, CLOUD),
    "a cancel": (PRESS.replace(b"manual.v1", b"cancel.v1"), CLOUD),
    "an MSD without clock and fix": (
        octets(timestamp=0, latitude_mas=0x7FFFFFFF, longitude_mas=0x7FFFFFFF),
        msd.MEDIA_TYPE,
    ),
    "three octets": (b"\x02\x05\x00", msd.MEDIA_TYPE),
}
ALIKE = NAMELESS | {
    "a VEDS of the same name": (VEDS, veds.MEDIA_TYPE),
    "an MSD of the same car and time": (octets(), msd.MEDIA_TYPE),
    "an event of the same id": (event(), CLOUD),
}


@pytest.mark.parametrize("alike", ALIKE)
async def test_the_same_bytes_over_the_topics_of_two_cars_are_two_incidents(house: House, alike: str) -> None:
    body, media_type = ALIKE[alike]

    one = await take(house, body, media_type, by=over_mqtt("JTMZZ3TESTEC00008"))
    other = await take(house, body, media_type, by=over_mqtt("JTMZZ3TESTEC00009"))

    assert (one.new, other.new) == (True, True)
    assert one.incident != other.incident


@pytest.mark.parametrize("alike", ALIKE)
async def test_the_same_bytes_sent_again_by_one_car_are_one_incident(house: House, alike: str) -> None:
    body, media_type = ALIKE[alike]
    car = over_mqtt("JTMZZ3TESTEC00008")

    first = await take(house, body, media_type, by=car)
    house.now += VEHICLE_SENDS_AGAIN_WITHIN
    again = await take(house, body, media_type, by=car)

    assert (again.incident, again.repeat) == (first.incident, True)


async def test_a_press_is_one_for_as_long_as_a_client_tries_and_another_afterwards(house: House) -> None:
    house.now -= timedelta(seconds=house.now.timestamp() % SENT_AGAIN_WITHIN.total_seconds() - 119)
    first = await house.take(PRESS)
    house.now += SENT_AGAIN_WITHIN  # across the end of a stretch of the clock
    retry = await house.take(PRESS)
    house.now += timedelta(seconds=1)
    later = await house.take(PRESS)

    assert (retry.incident, retry.repeat) == (first.incident, True)
    assert later.new


async def test_a_press_that_is_sent_again_to_a_house_started_anew_is_one(house: House) -> None:
    first = await house.take(PRESS)
    house.restart()

    again = await house.take(PRESS)

    assert (again.incident, again.repeat) == (first.incident, True)


async def test_the_same_press_from_two_connections_is_two_incidents(house: House) -> None:
    one = await take(house, PRESS, by=Came(connection="key 192.0.2.1"))
    other = await take(house, PRESS, by=Came(connection="key 192.0.2.2"))
    again = await take(house, PRESS, by=Came(connection="key 192.0.2.1"))

    assert other.new
    assert (again.incident, again.repeat) == (one.incident, True)


NAMED_BY_NOTHING_SURE = {
    "nameless": (PRESS, {}),
    "one id for every press, and no clock": (event("manual", eventTime=None), {}),
    "over MQTT": (PRESS, {"by": over_mqtt("JTMZZ3TESTEC00008")}),
}


@pytest.mark.parametrize("case", NAMED_BY_NOTHING_SURE)
async def test_a_car_that_presses_again_after_closing_rings_again_and_its_retries_are_one(
    house: House, case: str
) -> None:
    body, how = NAMED_BY_NOTHING_SURE[case]
    met = []
    for _ in range(12):
        pressed = await take(house, body, **how)
        retried = await take(house, body, **how)
        assert (pressed.new, retried.repeat, retried.incident) == (True, True, pressed.incident)
        met.append(pressed)
        await close(house, pressed.incident)
        house.now += timedelta(seconds=7)

    assert len({each.incident for each in met}) == 12
    assert {each.findings[-1:] for each in met[1:9]} == {("incident_closed:$",)}


async def test_a_press_after_closing_rings_although_nobody_can_say_that_it_is_closed(house: House) -> None:
    first = await house.take(PRESS)
    await close(house, first.incident)
    house.reception.failing_states.append(Unavailable("away"))

    again = await house.take(PRESS)

    assert again.new


@pytest.mark.parametrize("named", ["id and time", "vehicle and time"])
async def test_a_late_retry_that_says_its_time_stays_in_its_closed_incident(house: House, named: str) -> None:
    body, media_type = {"id and time": (event(), CLOUD), "vehicle and time": (octets(), msd.MEDIA_TYPE)}[named]
    first = await house.take(body, media_type)
    await close(house, first.incident)

    late = await house.take(body, media_type)

    assert (late.incident, late.repeat) == (first.incident, True)


async def test_an_idempotency_key_holds_for_a_day_and_then_names_another_request(house: House) -> None:
    first = await house.take(PRESS, key="5f0c")
    await close(house, first.incident)
    house.now += KEY_LASTS
    same = await house.take(PRESS, key="5f0c")
    house.now += timedelta(seconds=1)
    another = await house.take(PRESS, key="5f0c")
    its_retry = await house.take(PRESS, key="5f0c")

    assert (same.incident, same.repeat) == (first.incident, True)
    assert another.new
    assert (its_retry.incident, its_retry.repeat) == (another.incident, True)


ELSEWHERE = {"latitude": 43.0687, "longitude": 141.3508, "horizontalAccuracy": 8}
CLEARLY_ANOTHER = {
    "another VIN": {"vehicle": {"id": {"scheme": "vin", "value": "JTMZZ3TESTEC00002"}}},
    "another time": {"eventTime": "2026-01-01T12:00:00Z"},
    "the same VIN and time, 800 km away": {"location": ELSEWHERE},
    "no VIN and no time, 800 km away": {"location": ELSEWHERE, "vehicle": None, "eventTime": None},
}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("another", CLEARLY_ANOTHER)
@pytest.mark.parametrize("by_key", [False, True])
async def test_an_equal_name_swallows_no_second_emergency(
    house: House, another: str, by_key: bool, restarted: bool
) -> None:
    made = {"id": "" if by_key else "1"}
    key = "5f0c" if by_key else None
    first = await house.take(event(**made), key=key)
    if restarted:
        house.restart()

    second = await house.take(event(**made, **CLEARLY_ANOTHER[another]), key=key)

    assert second.new
    assert second.incident != first.incident
    assert "id_reused:$.id" in second.findings


async def test_an_update_of_one_vin_from_another_island_opens_its_own_incident(house: House) -> None:
    first = await house.take(event())

    moved = await house.take(event("update", id="2", location=ELSEWHERE | {"latitude": 35.66, "longitude": 139.70}))
    far = await house.take(event("update", id="3", location=ELSEWHERE))

    assert (moved.incident, moved.joined) == (first.incident, "update")
    assert far.new


async def test_an_update_of_a_car_that_did_not_trust_its_place_belongs_to_it_from_another_town_and_no_further(
    house: House,
) -> None:
    tokyo = {"latitude": 35.68124, "longitude": 139.76712, "trusted": False}
    first = await house.take(event(location=tokyo))

    moved = await house.take(event("update", id="2", location={"latitude": 35.4437, "longitude": 139.638}))
    far = await house.take(event("update", id="3", location=ELSEWHERE))

    assert (moved.incident, moved.joined) == (first.incident, "update")
    assert far.new


async def test_a_report_belongs_to_the_car_whose_topic_it_came_by(house: House) -> None:
    here = await take(house, event(), by=over_mqtt("JTMZZ3TESTEC00001"))
    there = await take(house, event(id="2"), by=over_mqtt("JTMZZ3TESTEC00009"))

    cancel = await take(house, event("cancel", id="3"), by=over_mqtt("JTMZZ3TESTEC00009"))

    assert here.incident != there.incident
    assert (cancel.incident, cancel.joined) == (there.incident, "cancel")
    assert "vehicle_mismatch:$.data.vehicle" in cancel.findings


async def test_two_cars_that_count_their_calls_alike_are_two_calls(house: House) -> None:
    calls = CallsWithoutData(house.reception, house.receipts, house.recent)

    async def call(vehicle: str | None = None, tel: str | None = None) -> str:
        return await calls.incident(
            ACME, leg="leg-0001", vehicle=vehicle, tel=tel, language=None, received_at=house.now
        )

    one, other = await call(vehicle="oem_id:4f2a"), await call(vehicle="oem_id:4f2b")
    again = await call(vehicle="oem_id:4f2a")
    await close(house, one)
    after = await call(vehicle="oem_id:4f2a")

    assert one != other
    assert again == one
    assert after not in (one, other)
    assert await call(vehicle="oem_id:4f2a") == after
    assert house.reception.last.trigger is Trigger.UNKNOWN


# Placeholders over every door


def veds_of(vin: str, crash_id: str) -> bytes:
    text = VEDS.decode()
    vehicle, crash = "<nc:IdentificationID>", ("nc:ActivityIdentification", "nc:VehicleIdentification")
    made = re.sub(rf"(<{crash[0]}>\s*{vehicle})[^<]*", rf"\g<1>{crash_id}", text)
    return re.sub(rf"(<{crash[1]}>\s*{vehicle})[^<]*", rf"\g<1>{vin}", made).encode()


def json_of(vin: str, id: str, kind: str = "crash") -> bytes:
    return event(kind, id=id, vehicle={"id": {"scheme": "vin", "value": vin}})


def of_no_subject(body: bytes) -> bytes:
    """``body`` without the vehicle that its envelope names."""
    return json.dumps({name: value for name, value in json.loads(body).items() if name != "subject"}).encode()


NOUGHTS = "0" * 17
DOORS: dict[str, tuple[tuple[bytes, ...], str, tuple[Came, Came]]] = {
    "events over HTTP": ((json_of(NOUGHTS, "1"), json_of(NOUGHTS, "2", "update")), CLOUD, (Came(), Came())),
    "a cancel over HTTP": ((json_of(NOUGHTS, "1"), json_of(NOUGHTS, "2", "cancel")), CLOUD, (Came(), Came())),
    "events over MQTT": (
        (json_of(NOUGHTS, "1"), json_of(NOUGHTS, "2", "update")),
        CLOUD,
        (over_mqtt("4f2a", "oem_id"), over_mqtt("4f2b", "oem_id")),
    ),
    "a topic of noughts": (
        tuple(of_no_subject(event(kind, id=kind, vehicle=None)) for kind in ("manual", "update")),
        CLOUD,
        (over_mqtt(NOUGHTS), over_mqtt(NOUGHTS)),
    ),
    "MSD over HTTP": (
        (octets(vin=NOUGHTS), octets(vin=NOUGHTS, message_identifier=2)),
        msd.MEDIA_TYPE,
        (Came(), Came()),
    ),
    "MSD over MQTT": (
        (octets(vin=NOUGHTS), octets(vin=NOUGHTS)),
        msd.MEDIA_TYPE,
        (over_mqtt("4f2a", "oem_id"), over_mqtt("4f2b", "oem_id")),
    ),
    "VEDS over HTTP": ((veds_of(NOUGHTS, "a"), veds_of(NOUGHTS, "b")), veds.MEDIA_TYPE, (Came(), Came())),
    "one IMEI in two cars": (
        (
            event(id="1", vehicle={"id": {"scheme": "oem_id", "value": "490154203237518"}}),
            event("update", id="2", vehicle={"id": {"scheme": "oem_id", "value": "490154203237518"}}),
        ),
        CLOUD,
        (Came(), Came()),
    ),
    "one plate of no car": (
        tuple(
            of_no_subject(event(kind, id=kind, vehicle={"licensePlate": "・・・・"})) for kind in ("crash", "update")
        ),
        CLOUD,
        (Came(), Came()),
    ),
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_placeholder_joins_no_two_cars(house: House, door: str) -> None:
    (one, other), media_type, (by_one, by_other) = DOORS[door]

    first = await take(house, one, media_type, by=by_one)
    second = await take(house, other, media_type, by=by_other)

    assert (first.new, second.new) == (True, True)
    assert first.incident != second.incident


async def test_calls_of_two_cars_of_one_placeholder_are_no_conference(house: House) -> None:
    calls = CallsWithoutData(house.reception, house.receipts, house.recent)
    crash = await house.take(json_of(NOUGHTS, "1"))

    legs = [
        await calls.incident(
            ACME, leg=f"leg-000{car}", vehicle=f"vin:{NOUGHTS}", tel=None, language=None, received_at=house.now
        )
        for car in (1, 2)
    ]

    assert len({crash.incident, *legs}) == 3


FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"


@pytest.mark.skipif(not FIELD.exists(), reason="the field inputs are not here")
async def test_two_cars_of_the_field_with_one_placeholder_are_two_incidents(house: House) -> None:
    house.now = datetime(2026, 11, 30, 7, 0, 2, tzinfo=UTC)

    one = await house.take((FIELD / "placeholder_vin_carA.json").read_bytes())
    other = await house.take((FIELD / "placeholder_vin_carB_update.json").read_bytes())

    assert (one.new, other.new) == (True, True)
    assert one.incident != other.incident
