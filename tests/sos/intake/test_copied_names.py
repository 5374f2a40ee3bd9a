"""A name that was copied stands in two cars: they are one only where nothing tells them apart, over every door."""

import json
import re
from typing import Any

import pytest

from sos.formats import veds
from sos.incident.report import Vehicle
from sos.intake.acceptance import Accepted, Came
from sos.intake.voice import CallsWithoutData
from tests.sos.intake.test_acceptance import ACME, CLOUD, CRASH, House, event
from tests.sos.intake.test_two_cars import veds_of

IMEI = "356938035643809"
"""That of a device that was really made: nothing in it says that it was copied."""

HERE = CRASH["data"]["location"]
NEAR = HERE | {"latitude": HERE["latitude"] + 0.003}
"""Some 330 m off."""


@pytest.fixture
def house() -> House:
    return House()


def sent(
    kind: str = "crash", *, id: str = "1", source: str = "/oem/acme/tcu/1", scheme: str = "oem_id", **data: Any
) -> bytes:
    vehicle = {"id": {"scheme": scheme, "value": IMEI if scheme == "oem_id" else "JTMZZ3TESTEC00001"}}
    vehicle |= data.pop("vehicle", {})
    body = json.loads(event(kind, id=id, vehicle=vehicle, **data)) | {"source": source}
    body.pop("subject")
    return json.dumps(body).encode()


def at(latitude: float, **more: Any) -> dict[str, Any]:
    return HERE | {"latitude": latitude} | more


BY_PLATE = {"licensePlate": "品川 300 あ 12-34"}, {"licensePlate": "練馬 500 い 56-78"}
TWO: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another plate": ({"vehicle": BY_PLATE[0]}, {"vehicle": BY_PLATE[1]}),
    "another control unit": ({}, {"source": "/oem/acme/tcu/2"}),
    "another telephone": ({"callback": {"tel": "+819000000001"}}, {"callback": {"tel": "+819000000002"}}),
    "another model": ({"vehicle": {"model": "X"}}, {"vehicle": {"model": "Y"}}),
    "another colour": ({"vehicle": {"exteriorColor": "white"}}, {"vehicle": {"exteriorColor": "red"}}),
    "three kilometres at one second": ({}, {"location": at(HERE["latitude"] + 0.027)}),
}


@pytest.mark.parametrize("kind", ["update", "cancel", "crash"])
@pytest.mark.parametrize("case", TWO)
async def test_a_copied_imei_joins_no_two_near_cars(house: House, case: str, kind: str) -> None:
    one, other = TWO[case]
    first = await house.take(sent(id="1", **({"location": HERE} | one)))

    second = await house.take(sent(kind, id="2", **({"location": NEAR} | other)))

    assert (first.new, second.new) == (True, True)
    assert first.incident != second.incident


@pytest.mark.parametrize("kind", ["update", "cancel"])
async def test_a_copied_imei_joins_no_two_cars_over_the_topic_of_it(house: House, kind: str) -> None:
    by = Came(channel="mqtt", vehicle=Vehicle(id_scheme="oem_id", id_value=IMEI), always=True)

    async def take(body: bytes) -> Accepted:
        return await house.acceptance.take(body, content_type=CLOUD, tenant=ACME, received_at=house.now, by=by)

    first = await take(sent(id="1", vehicle=BY_PLATE[0]))
    second = await take(sent(kind, id="2", vehicle=BY_PLATE[1]))

    assert first.incident != second.incident


async def test_one_name_for_two_crashes_of_two_plates_is_two_incidents(house: House) -> None:
    first = await house.take(sent(id="1", vehicle=BY_PLATE[0]))

    second = await house.take(sent(id="1", vehicle=BY_PLATE[1]))

    assert (second.new, second.incident != first.incident) == (True, True)
    assert "id_reused:$.id" in second.findings


@pytest.mark.parametrize("kind", ["update", "cancel"])
async def test_further_reports_of_one_car_still_find_it(house: House, kind: str) -> None:
    first = await house.take(sent(id="1"))

    later = await house.take(sent(kind, id="2", location=NEAR))

    assert later.incident == first.incident


async def test_a_stamped_number_is_one_car_whatever_sends_and_however_its_make_is_spelt(house: House) -> None:
    first = await house.take(sent(id="1", scheme="vin", vehicle={"brand": "Acme"}))

    later = await house.take(
        sent("update", id="2", scheme="vin", source="/oem/acme/app", vehicle={"brand": "アクメ"}, location=NEAR)
    )

    assert later.incident == first.incident


async def test_a_first_fix_by_a_radio_mast_is_still_the_same_car(house: House) -> None:
    first = await house.take(sent(id="1", location=at(HERE["latitude"], horizontalAccuracy=5000.0)))

    later = await house.take(sent("update", id="2", location=at(HERE["latitude"] + 0.06)))

    assert later.incident == first.incident


async def test_each_of_two_cars_under_one_number_gets_its_own_reports_and_what_names_neither_is_its_own(
    house: House,
) -> None:
    one = await house.take(sent(id="1", vehicle=BY_PLATE[0]))
    other = await house.take(sent(id="2", vehicle=BY_PLATE[1]))

    of_one = await house.take(sent("update", id="3", vehicle=BY_PLATE[0]))
    of_other = await house.take(sent("update", id="4", vehicle=BY_PLATE[1]))
    of_nobody = await house.take(sent("update", id="5", vehicle={"licensePlate": None}))

    assert (of_one.incident, of_other.incident) == (one.incident, other.incident)
    assert (of_nobody.new, of_nobody.findings[-1]) == (True, "update:$.type")


async def test_a_call_of_one_of_two_cars_under_one_number_goes_to_the_one_that_is_called_back_on_it(
    house: House,
) -> None:
    calls = CallsWithoutData(house.reception, house.receipts, house.recent)
    tels = ("+819000000001", "+819000000002")
    cars = [await house.take(sent(id=tel, callback={"tel": tel})) for tel in tels]

    async def call(leg: str, tel: str | None) -> str:
        return await calls.incident(
            ACME, leg=leg, vehicle=f"oem_id:{IMEI}", tel=tel, language=None, received_at=house.now
        )

    assert [await call(f"leg-{tel}", tel) for tel in tels] == [car.incident for car in cars]
    assert await call("leg-3", None) not in {car.incident for car in cars}
    assert await call("leg-4", "+819000000003") not in {car.incident for car in cars}


async def test_two_notifications_of_one_vin_and_two_plates_are_two(house: House) -> None:
    one = veds_of("JTMZZ3TESTEC00001", "a")
    other = re.sub(rb"(PlateIdentification>\s*<nc:IdentificationID>)[^<]*", rb"\g<1>TOKYO 500 5678", one)
    assert one != other

    first = await house.take(one, veds.MEDIA_TYPE)
    second = await house.take(other, veds.MEDIA_TYPE)

    assert first.incident != second.incident
