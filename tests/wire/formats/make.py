"""Makes the samples of this folder that a program can make: MSDs in hexadecimal and a complete VEDS, all invented.

Run ``python -m tests.wire.formats.make`` from the root of the repository after a deliberate change.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from routing.position.pidf import Located, PidfLo
from routing.position.shapes import Circle
from sos.formats import ncap, veds
from sos.formats.msd import AdditionalData, Delta, Energy, Msd, VehicleType, write

HERE = Path(__file__).resolve().parent
AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)

CAR = Msd(
    version=2,
    message_identifier=1,
    automatic_activation=True,
    test_call=False,
    position_can_be_trusted=True,
    vehicle_type=VehicleType.M1,
    vin="JTMZZ3TESTEC00001",
    propulsion=(Energy.GASOLINE, Energy.ELECTRIC),
    timestamp=int(AT.timestamp()),
    latitude_mas=128_452_450,
    longitude_mas=503_161_650,
    direction=45,
    recent_n1=Delta(0, -10),
    recent_n2=Delta(0, -30),
    occupants=2,
)
FRONTAL = ncap.EuroNcap(
    location_of_impact=ncap.Impact.FRONT, rollover_detected=False, range_limit=125, delta_v_x=-45, delta_v_y=10
)
WITH_NCAP = structs.replace(CAR, additional=AdditionalData(b"\x08\x01", ncap.write(FRONTAL)))

NOTIFICATION = veds.Veds(
    crash_id="CR-0001",
    happened_at=AT,
    sent_at=AT,
    device="AIRBAG",
    call_back="+1 202-555-0143",
    passengers=2,
    heading=90.0,
    vehicle=veds.CrashVehicle(
        vin="JTMZZ3TESTEC00001",
        plate="試験 300 あ 12-34",
        make="Acme",
        model="Kestrel",
        model_year="2025",
        colour="white",
        energies=("GASOLINE", "ELECTRIC"),
        airbags=(veds.Airbag(category="FRONT", deployed=True), veds.Airbag(category="CURTAIN", deployed=False)),
        seats=(
            veds.Seat(location="1", occupied=True, belted=True, monitored=True),
            veds.Seat(location="2", occupied=True, belted=False, monitored=True),
            veds.Seat(location="9", occupied=False, belted=True, monitored=False),
        ),
        pulses=(
            veds.Pulse(delta_v=12.5, unit="KPH", direction_clock=6, quarter_turns=0),
            veds.Pulse(delta_v=-48.0, unit="KPH", direction_clock=3, quarter_turns=0),
        ),
        rollover=False,
    ),
    fuel_leaking=False,
    multiple_impacts=True,
    severe_injury=False,
    fire=False,
    final_rest="Normal",
    latitude=35.681236,
    longitude=139.767125,
    pidf=PidfLo(
        entity="pres:car@example.com",
        locations=(Located(id="car", shape=Circle(35.6812, 139.7671, 8.0), method="GPS", timestamp=AT),),
    ),
)


def samples() -> Mapping[str, bytes]:
    """File name -> content."""
    cut = write(WITH_NCAP)[:-3]
    mislabelled = b"\x03" + write(CAR)[1:]
    swapped = structs.replace(CAR, latitude_mas=CAR.longitude_mas, longitude_mas=CAR.latitude_mas)
    messages = {
        "msd_v1": write(structs.replace(CAR, version=1)),
        "msd_v2": write(CAR),
        "msd_v3": write(structs.replace(CAR, version=3)),
        "msd_euro_ncap": write(WITH_NCAP),
        "msd_test_call": write(structs.replace(CAR, automatic_activation=False, test_call=True)),
        "msd_swapped": write(swapped),
        "msd_cut_off": cut,
        "msd_mislabelled": mislabelled,
    }
    hexed = {f"{name}.hex": octets.hex().upper().encode() + b"\n" for name, octets in messages.items()}
    return {**hexed, "veds.xml": veds.write(NOTIFICATION) + b"\n"}


if __name__ == "__main__":
    for name, content in samples().items():
        (HERE / name).write_bytes(content)
