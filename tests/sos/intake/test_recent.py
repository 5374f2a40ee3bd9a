"""The index of what came in lately stays small and quick whatever a sender does."""

from datetime import UTC, datetime, timedelta

from sos.incident.model import IncidentId, TenantId
from sos.intake.arrival import About
from sos.intake.recent import KEPT, PER_VEHICLE, Recent, Seen

TENANT = TenantId("acme")
CAR = ("oem_id", "MAD-1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def seen(number: int, vehicle: tuple[str, str] = CAR) -> Seen:
    return Seen(incident=IncidentId(f"i{number}"), tenant=TENANT, at=NOON, about=About(vehicle=vehicle))


def test_of_a_vehicle_that_reports_without_end_the_newest_are_known_and_no_more_are_looked_at():
    recent = Recent()
    for number in range(200):
        recent.note(seen(number))

    assert recent.crash(TENANT, About(vehicle=CAR), at=NOON) == seen(199)
    assert len(recent._of(TENANT, CAR)) == PER_VEHICLE


def test_what_is_forgotten_is_found_no_more_and_forgetting_twice_is_no_fault():
    recent = Recent()
    for number in range(PER_VEHICLE + 3):
        recent.note(seen(number))

    for number in (*range(PER_VEHICLE + 3), 0):
        recent.forget(IncidentId(f"i{number}"))

    assert recent.all() == ()
    assert recent.data_without_call(TENANT, About(vehicle=CAR), at=NOON + timedelta(minutes=1)) is None


def test_no_more_incidents_are_kept_than_there_is_room_for():
    recent = Recent()
    for number in range(KEPT + 5):
        recent.note(seen(number, ("oem_id", str(number))))

    assert len(recent.all()) == KEPT
    assert recent.crash(TENANT, About(vehicle=("oem_id", "0")), at=NOON) is None
    assert recent.crash(TENANT, About(vehicle=("oem_id", str(KEPT))), at=NOON) is not None
