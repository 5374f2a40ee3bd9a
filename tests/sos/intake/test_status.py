"""What a tenant sees of its incident: four things that happened, with their times, and nothing else of it."""

from datetime import timedelta
from pathlib import Path

import msgspec

from sos.clock import timestamp
from sos.incident.commands import CloseIncident, ReopenIncident, TakeIncident
from sos.incident.events import IncidentClosed, Recorded
from sos.incident.model import (
    Acknowledgement,
    DeclineReason,
    DeskId,
    Disposition,
    IncidentId,
    OperatorId,
    TenantId,
    new_id,
)
from sos.intake.replies import Reached, Status
from sos.intake.status import WANTS, status, version
from sos.journal.spool import Spooled
from tests.journeys import story as s
from tests.journeys.make import crash_handed_over
from tests.journeys.story import Story
from tests.sos.intake.test_doors import OTHER, bearer, house, report


def seen(told: Story, *, to: int | None = None) -> Status:
    return status(told.incident, told.recorded[:to], domain="demo.example")


def first(told: Story, kind: type) -> Recorded:
    return next(each for each in told.recorded if isinstance(each.event, kind))


def answered() -> Story:
    told = Story(1)
    told.do(s.open_incident())
    told.do(s.file_report())
    told.do(s.plan())
    told.do(s.offer("desk-hanako"))
    told.do(s.take())
    return told


def test_a_crash_that_was_handed_over_shows_when_each_thing_happened_first() -> None:
    told = crash_handed_over()

    shown = seen(told)

    assert shown.status is Reached.CLOSED
    assert [shown.answered_at, shown.told_at, shown.taken_over_at, shown.closed_at] == [
        "2026-01-01T09:00:03.600Z",
        "2026-01-01T09:00:17.100Z",
        "2026-01-01T09:00:28.300Z",
        timestamp(first(told, IncidentClosed).at),
    ]
    assert shown.opened_at == "2026-01-01T09:00:00.000Z"
    assert shown.urn == f"urn:emergency:uid:incidentid:{told.incident.id}:demo.example"


def test_the_status_goes_one_way_through_a_crash_and_its_version_grows_with_each_step_alone() -> None:
    told = crash_handed_over()

    steps = [seen(told, to=n) for n in range(1, len(told.recorded) + 1)]

    known = list(dict.fromkeys((each.status, each.version) for each in steps))
    assert [reached for reached, _ in known] == list(Reached)
    assert [number for _, number in known] == sorted({number for _, number in known})
    changed = {told.recorded[number - 1].event.__class__ for _, number in known[1:]}
    assert changed <= set(WANTS), "a reader of these kinds misses no change"


def test_nothing_but_what_a_tenant_may_know_is_in_it() -> None:
    shown = msgspec.json.encode(seen(crash_handed_over())).decode()

    for secret in ("hanako", "desk", "jp-13", "fire", "police", "handed_over", "portal", s.PERSONAL.decode()):
        assert secret not in shown
    assert set(msgspec.json.decode(shown)) == {
        "incident", "urn", "mode", "status", "version", "openedAt", "answeredAt", "toldAt", "takenOverAt", "closedAt",
    }  # fmt: skip


def test_a_server_that_took_the_bytes_has_told_nobody_and_who_takes_over_was_told() -> None:
    told = answered()
    told.do(s.disclose("d-fire", s.FIRE))
    told.do(s.start_delivery("d-fire"))
    told.do(s.confirm("d-fire", Acknowledgement.TRANSPORT), after_s=1)
    taken = seen(told)

    told.do(s.acknowledge("d-fire", s.FIRE), after_s=60)
    over = seen(told)

    assert (taken.status, taken.told_at) == (Reached.ANSWERED, None)
    assert (over.status, over.told_at) == (Reached.TAKEN_OVER, over.taken_over_at)


def test_what_is_reopened_is_closed_no_more_and_that_is_a_change() -> None:
    told = crash_handed_over()
    before = version(told.recorded)

    told.do(ReopenIncident(reason="called_again"), after_s=600)

    assert seen(told).closed_at is None
    assert seen(told).status is Reached.TAKEN_OVER
    assert version(told.recorded) > before


async def test_a_tenant_sees_its_own_incident_go_from_waiting_to_closed_and_another_sees_none(tmp_path: Path) -> None:
    async with house(tmp_path) as (service, session):
        incident = await report(session)
        path, told = f"/v1/incidents/{incident}", []
        take = TakeIncident(operator=OperatorId("hanako"), desk=DeskId("desk-1"))
        close = CloseIncident(disposition=Disposition.FALSE_ALARM, untold=DeclineReason.NOT_NEEDED, words="all is well")
        for order in (None, take, close):
            if order is not None:
                await service.journal.execute(incident, order, actor="operator:hanako")
            async with session.get(path, headers=bearer()) as answer:
                assert (answer.status, answer.content_type) == (200, "application/json")
                told.append(msgspec.convert(await answer.json(), Status))
        strangers = []
        for asked, headers in ((path, bearer(OTHER)), ("/v1/incidents/none", bearer()), (path, {})):
            async with session.get(asked, headers=headers) as answer:
                strangers.append(answer.status)

    assert [each.status for each in told] == [Reached.WAITING, Reached.ANSWERED, Reached.CLOSED]
    assert [each.version for each in told] == sorted({each.version for each in told})
    assert strangers == [404, 404, 401]


async def test_what_waits_in_the_spool_is_waiting_for_its_tenant_and_unknown_to_others(tmp_path: Path) -> None:
    async with house(tmp_path) as (service, session):
        incident, at = IncidentId(new_id()), service.journal.clock.now() - timedelta(minutes=5)
        waits = Spooled(
            incident=incident, tenant=TenantId("acme"), receipt=b"r" * 32, received_at=at, command=s.open_incident()
        )
        async with service.journal._draining:  # as while the database is away
            await service.journal._spool.put([waits])
            answers = []
            for headers in (bearer(), bearer(OTHER), {}):
                async with session.get(f"/v1/incidents/{incident}", headers=headers) as answer:
                    answers.append((answer.status, await answer.json()))
        await service.journal.drain()
        async with session.get(f"/v1/incidents/{incident}", headers=bearer()) as answer:
            after = msgspec.convert(await answer.json(), Status)

    assert [status for status, _ in answers] == [200, 404, 401]
    told = msgspec.convert(answers[0][1], Status)
    assert (told.incident, told.status, told.version, told.opened_at) == (incident, Reached.WAITING, 0, timestamp(at))
    assert (after.incident, after.status, after.opened_at) == (incident, Reached.WAITING, told.opened_at)
    assert after.version > told.version
