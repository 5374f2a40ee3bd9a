"""An incident that an operator has answered, on a journal of each database."""

from collections.abc import Awaitable, Callable

import pytest

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.law import RuleBook
from routing.plan import Sources
from sos.clock import ManualClock
from sos.dispatch.codes import code_of
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.planner import Planner
from sos.incident.commands import OpenIncident, TakeIncident
from sos.incident.model import DeskId, IncidentId, Mode, OperatorId, TenantId, Trigger
from sos.intake.reader import Filer
from sos.journal.journal import Journal
from sos.vehicle.report import Car, crash

TENANT = TenantId("acme")
HANAKO = OperatorId("hanako")


@pytest.fixture(scope="session")
def layer() -> PrefectureLayer:
    return PrefectureLayer.load()


@pytest.fixture(scope="session")
def directory() -> Directory:
    return Directory.demo()


@pytest.fixture
def disclosures(journal: Journal, directory: Directory) -> Disclosures:
    return Disclosures(
        journal,
        directory=directory,
        rules=RuleBook.shipped(),
        domains={TENANT: "acme.sos.example"},
        code_of=code_of(b"a secret of the house"),
    )


@pytest.fixture
def arrive(
    journal: Journal, clock: ManualClock, layer: PrefectureLayer, directory: Directory
) -> Callable[..., Awaitable[IncidentId]]:
    """A crash comes in, is filed, planned and answered; the incident's id."""
    planner = Planner(journal, Sources(layer=layer, directory=directory))

    async def come(*, car: Car | None = None, mode: Mode = Mode.LIVE, seed: int = 1) -> IncidentId:
        report = crash(car or Car(), at=clock.now(), seed=seed)
        command = OpenIncident(
            mode=mode,
            trigger=Trigger.AUTOMATIC,
            format="application/cloudevents+json",
            report=report.body,
            report_digest="00" * 32,
            readable=True,
        )
        received = await journal.open(command, tenant=TENANT, receipt=seed.to_bytes(32), received_at=clock.now())
        await Filer(journal).handle(await journal.store.stream(received.incident))
        await planner.handle(await journal.store.stream(received.incident))
        take = TakeIncident(operator=HANAKO, desk=DeskId("desk-1"))
        await journal.execute(received.incident, take, actor="operator:hanako")
        return received.incident

    return come
