"""What two reports of one crash say together is the harder impact, whole, with all that endangers."""

from collections.abc import Callable
from typing import Any

import msgspec

from routing.categories import Category
from sos.incident import commands as c
from sos.incident.report import Crash, canonical
from sos.journal.journal import Journal
from sos.journal.sections import sections

SIDE = Crash(impact="driverSide", delta_v_x=-5.0, delta_v_y=95.0, fuel_leak=True, severe_injury=True)
BUMP = Crash(delta_v=12.0, principal_direction_clock=12, fire=True)


async def test_a_milder_report_undoes_nothing_and_leaves_no_field_of_its_own_impact(
    journal: Journal, arrive: Callable[..., Any]
):
    incident = await arrive()
    for sequence, crash in enumerate((SIDE, BUMP), 1):
        filed = c.FileReport(
            sequence=sequence,
            located=False,
            parts={Category.SEV: canonical(crash)},
            findings=(),
            report_digest=f"{sequence:064x}",
        )
        await journal.execute(incident, filed, actor="system:filer")

    told = msgspec.json.decode(sections(await journal.unseal(incident, (Category.SEV,)))[Category.SEV])

    assert (told["deltaVX"], told["deltaVY"], told["impact"]) == (-5.0, 95.0, "driverSide")
    assert {"deltaV", "principalDirectionClock"}.isdisjoint(told)
    assert (told["fuelLeak"], told["severeInjury"], told["fire"]) == (True, True, True)
