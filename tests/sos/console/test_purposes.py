"""Every order that says a purpose, for every purpose, by who has the incident, by another operator, by a supervisor."""

from itertools import product

import pytest

from sos.clock import ManualClock
from sos.console.orders import purposes
from sos.errors import Forbidden, SosError
from sos.incident.access import Purpose
from sos.incident.model import IncidentId, TenantId
from sos.journal.journal import Journal
from tests.journeys import story as s
from tests.sos.console.test_call_orders import Ears
from tests.sos.console.test_orders import ANYBODY, KINDS, WHOLE
from tests.sos.console.window import order, room, window

WITH_A_PURPOSE = sorted(do for do, kind in KINDS.items() if "purpose" in kind.__struct_fields__)

FORBIDDEN = {
    "open": {("hanako", "supervision"), ("taro", "supervision")},
    "find": {
        *(("hanako", "supervision"), ("taro", "supervision")),
        *(("hanako", "offered"), ("taro", "offered"), ("jiro", "offered")),
    },
    "reveal": {
        *(("hanako", "supervision"), ("hanako", "offered"), ("jiro", "offered")),
        *(("taro", purpose) for purpose in map(str, Purpose)),
    },
    "release": {
        ("jiro", "offered"),
        *product(("hanako", "taro"), map(str, Purpose)),
    },
}
"""Hanako has the incident, Taro has not, Jiro is a supervisor."""


@pytest.fixture
async def incident(journal: Journal, clock: ManualClock) -> IncidentId:
    opened = await journal.open(s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now())
    await journal.execute(opened.incident, s.take("hanako"), actor="operator:hanako")
    return opened.incident


@pytest.mark.parametrize("do", WITH_A_PURPOSE)
async def test_an_order_is_for_the_purposes_of_its_row_and_no_other(do: str, journal: Journal, incident: IncidentId):
    house = room(journal, Ears())
    given = dict(WHOLE[do], **({} if do in ANYBODY else {"incident": incident}), reason="invented")
    forbidden = set()
    for (who, supervisor), purpose in product((("hanako", False), ("taro", False), ("jiro", True)), map(str, Purpose)):
        try:
            await order(window(house, who, supervisor=supervisor), do, **{**given, "purpose": purpose})
        except Forbidden:
            forbidden.add((who, purpose))
        except (SosError, NotImplementedError):
            pass

    assert forbidden == FORBIDDEN[do]


def test_every_order_with_a_purpose_has_a_row_and_one_without_a_row_is_refused():
    assert sorted(purposes.PURPOSES) == WITH_A_PURPOSE == sorted(FORBIDDEN)
    with pytest.raises(Forbidden, match="this purpose"):
        purposes.check("an order without a row", Purpose.EMERGENCY, supervisor=True)
