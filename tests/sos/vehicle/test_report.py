"""What a simulated car says, and how stubbornly it says it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sos.clock import ManualClock
from sos.errors import Unavailable
from sos.incident.model import Mode, TenantId, Trigger
from sos.intake.acceptance import Acceptance
from sos.intake.arrival import Kind
from sos.intake.auth import Credentials
from sos.intake.cloudevents import decode, peek
from sos.intake.http import routes
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.simulated import MemoryReception
from sos.intake.tenants import Tenant, TenantKeys
from sos.problems import problems_middleware
from sos.vehicle.report import Car, NotAccepted, Patience, Sender, cancel, crash, manual, report_once, update

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
KEYS = TenantKeys.of({"acme-key": Tenant(id=TenantId("acme"), domain="acme.example")})


class EagerClock(ManualClock):
    """Time flies by as soon as somebody waits."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.waited: list[timedelta] = []

    async def wait(self, duration: timedelta) -> None:
        self.waited.append(duration)


@pytest.fixture
async def reception() -> MemoryReception:
    return MemoryReception()


@pytest.fixture
async def service(reception: MemoryReception) -> AsyncIterator[str]:
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(
        routes(Acceptance(reception, Receipts(b"a secret for tests"), Recent()), Credentials(KEYS), ManualClock(NOW))
    )
    async with TestServer(app) as server:
        yield str(server.make_url(""))


@pytest.mark.parametrize("seed", range(25))
def test_a_simulated_crash_is_read_without_findings(seed: int) -> None:
    event = crash(Car(occupants=seed % 6, tel="+81355500123"), at=NOW, seed=seed)

    seen, report = peek(event.body), decode(event.body)

    assert seen.findings == ()
    assert (seen.trigger, seen.mode, seen.idempotency) == (Trigger.AUTOMATIC, Mode.LIVE, (event.source, event.id))
    assert (report.vehicle.id_value, report.vehicle.occupants) == ("JTMZZ3TESTEC00001", seed % 6)
    assert report.crash.event_time == NOW
    assert report.crash.delta_v_x is not None


def test_the_button_tells_of_no_crash() -> None:
    event = manual(Car(test=True, latitude=None, longitude=None, occupants=None), at=NOW, seed=1)

    seen, report = peek(event.body), decode(event.body)

    assert (seen.findings, seen.trigger, seen.mode) == ((), Trigger.MANUAL, Mode.TEST)
    assert (report.location.known, report.vehicle.occupants, report.crash.impact) == (False, None, None)


def test_the_same_seed_gives_the_same_event_and_another_seed_another() -> None:
    assert crash(Car(), at=NOW, seed=1) == crash(Car(), at=NOW, seed=1)
    assert crash(Car(), at=NOW, seed=1).id != crash(Car(), at=NOW, seed=2).id != manual(Car(), at=NOW, seed=2).id


async def test_a_report_is_taken_and_a_second_sending_is_a_repeat(service: str, reception: MemoryReception) -> None:
    event = crash(Car(), at=NOW, seed=1)

    async with Sender(base_url=service, key="acme-key", clock=ManualClock(NOW)) as sender:
        first, second = await sender.send(event), await sender.send(event)

    assert (first.repeat, second.repeat, first.incident == second.incident) == (False, True, True)
    assert first.voice == f"/v1/incidents/{first.incident}/voice"
    assert reception.last.report == event.body


async def test_the_car_sends_again_while_the_service_cannot_keep_it(service: str, reception: MemoryReception) -> None:
    reception.failing.extend([Unavailable("disk full"), Unavailable("disk full"), Unavailable("disk full")])
    clock = EagerClock(NOW)

    taken = await report_once(crash(Car(), at=NOW, seed=1), base_url=service, key="acme-key", clock=clock)

    assert (taken.attempts, taken.repeat, len(reception.opened)) == (4, False, 1)
    assert clock.waited == [timedelta(seconds=1)] * 3


async def test_the_car_gives_up_when_nobody_answers() -> None:
    clock = EagerClock(NOW)
    patience = Patience(attempts=5, longest_wait=timedelta(seconds=1))

    async with Sender(base_url="http://127.0.0.1:9", key="k", clock=clock, patience=patience) as sender:
        with pytest.raises(NotAccepted) as gone:
            await sender.send(crash(Car(), at=NOW, seed=1))

    assert (gone.value.status, len(clock.waited)) == (None, 4)
    assert all(wait <= timedelta(seconds=1) for wait in clock.waited)


async def test_the_car_does_not_argue_with_a_refusal(service: str, reception: MemoryReception) -> None:
    clock = EagerClock(NOW)

    with pytest.raises(NotAccepted) as refused:
        await report_once(crash(Car(), at=NOW, seed=1), base_url=service, key="stranger", clock=clock)

    assert (refused.value.status, clock.waited, reception.opened) == (401, [], [])
    assert "not known" in refused.value.problem["detail"]


async def test_the_car_learns_what_was_odd_about_its_report(service: str) -> None:
    event = crash(Car(), at=NOW, seed=1)
    odd = json.loads(event.body)
    odd["data"]["colour"] = "blue"
    odd_event = msgspec.structs.replace(event, body=json.dumps(odd).encode())

    taken = await report_once(odd_event, base_url=service, key="acme-key", clock=ManualClock(NOW))

    assert [problem["field"] for problem in taken.problems] == ["$.data.colour"]


async def test_an_answer_that_is_no_acknowledgement_is_not_taken_for_one() -> None:
    async def portal(_: web.Request) -> web.Response:
        return web.Response(text="<html>Please log in to this network</html>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/events", portal)
    clock = EagerClock(NOW)
    async with TestServer(app) as server:
        with pytest.raises(NotAccepted):
            await report_once(crash(Car(), at=NOW, seed=1), base_url=str(server.make_url("")), key="k", clock=clock)

    assert len(clock.waited) == Patience().attempts - 1


def test_what_a_car_sends_later_is_about_the_same_car() -> None:
    car = Car(vin="JTMZZ3TESTEC00042")
    at = datetime(2026, 1, 1, 9, 5, tzinfo=UTC)

    later = peek(update(car, at=at, seed=1, sequence=3, incident="the-incident").body)
    gone = peek(cancel(car, at=at, seed=1, reason="all is well").body)

    assert (later.kind, later.about.sequence, later.about.incident) == (Kind.UPDATE, 3, "the-incident")
    assert (gone.kind, gone.about.reason, gone.about.incident) == (Kind.CANCEL, "all is well", None)
    assert later.about.vehicle == gone.about.vehicle == ("vin", "JTMZZ3TESTEC00042")
    assert later.findings == gone.findings == ()
