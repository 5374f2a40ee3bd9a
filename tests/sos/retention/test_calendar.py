"""A frozen clock walks over every promise there is: due the second it must be, not before, and not with a hold."""

from datetime import UTC, datetime, timedelta

import pytest

from recording.retention import JST, Period, Terms, Trigger
from recording.retention import house as tags
from routing.categories import Category
from sos.incident.keeping import GIVEN
from sos.incident.model import Hold, HoldGround, HoldId, Incident, IncidentId, State, TenantId
from sos.journal.retention_rows import RetentionRows
from sos.journal.store import KeyRow, Store
from sos.retention.dates import dates
from tests.sos.retention.conftest import rows_of

CLOSED = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
"""Six in the evening in Japan: the first day that counts is the second of January."""

SECOND = timedelta(seconds=1)
MINI = Terms(brand="mini", instead=dict.fromkeys(("LOC", "SEV", "VEH", "TRK"), "telematics-4w"), version="mini@1")
EU = Terms(brand="eu", jurisdiction="DE", version="eu@1")
GMO = Terms(brand="gmo", periods={"incident-audio-1y": Period.parse("P6M")}, version="gmo@1")
BRANDS = {"house": Terms(), "mini": MINI, "eu": EU, "gmo": GMO}


def jst(*at: int) -> datetime:
    return datetime(*at, tzinfo=JST)


FOUR_WEEKS, HALF, YEAR, THREE = jst(2026, 1, 30), jst(2026, 7, 2), jst(2027, 1, 2), jst(2029, 1, 2)
_CASE = {Category.OBS: THREE, Category.LOC: THREE, Category.AUD: YEAR, Category.RAW: YEAR}

WALK: dict[tuple[str, bool], dict[Category, datetime]] = {
    ("house", False): dict.fromkeys(_CASE, FOUR_WEEKS),
    ("house", True): _CASE,
    ("mini", False): dict.fromkeys(_CASE, FOUR_WEEKS),
    ("mini", True): _CASE | {Category.LOC: FOUR_WEEKS},
    ("eu", False): dict.fromkeys(_CASE, CLOSED),
    ("eu", True): dict.fromkeys(_CASE, CLOSED),
    ("gmo", True): _CASE | {Category.AUD: HALF},
}
"""Brand, whether it was a real call -> when each category is due, counted by hand."""


def state(*, real: bool, holds: tuple[Hold, ...] = ()) -> Incident:
    given = {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
    return Incident(
        id=IncidentId("019b7890-0000-7000-8000-000000000001"),
        tenant=TenantId("demo"),
        version=9,
        state=State.CLOSED,
        changed_at=CLOSED,
        kept_as=tuple((each, given.get(each, "incident-case-3y") if real else "nonincident-4w") for each in Category),
        holds=holds,
    )


KEYS = [KeyRow(category, "nonincident-4w.2026-01.00", b"wrapped") for category in _CASE]
HOLD = Hold(hold=HoldId("h"), ground=HoldGround.LITIGATION, by="operator:hanako", at=CLOSED)


@pytest.mark.parametrize(("brand", "real"), list(WALK))
async def test_each_promise_is_due_the_second_it_must_be_not_before_and_not_with_a_hold(
    brand: str, real: bool, store: Store
):
    rows: RetentionRows = rows_of(store)
    terms = BRANDS[brand]
    found = dates(state(real=real), KEYS, schedule=tags(), terms=terms, agreed={terms.version})
    held = dates(state(real=real, holds=(HOLD,)), KEYS, schedule=tags(), terms=terms, agreed={terms.version})
    stream = state(real=real).id

    assert {row.category: row.due_at for row in found} == WALK[brand, real]
    for row in found:
        due_then = [each.due_at for each in found if each.due_at <= row.due_at]
        await rows.replace([stream], found)
        assert len(await rows.due(row.due_at, limit=9)) == len(due_then)
        assert row.category not in {each.category for each in await rows.due(row.due_at - SECOND, limit=9)}
        await rows.replace([stream], held)
        assert await rows.due(row.due_at + timedelta(days=99_999), limit=9) == []


@pytest.mark.parametrize("brand", ["mini", "eu", "gmo"])
@pytest.mark.parametrize("real", [True, False])
def test_nothing_becomes_due_earlier_on_a_brands_word_alone(brand: str, real: bool):
    ours = dates(state(real=real), KEYS, schedule=tags())

    unagreed = dates(state(real=real), KEYS, schedule=tags(), terms=BRANDS[brand])

    assert [row.due_at for row in unagreed] == [row.due_at for row in ours]


def test_every_tag_has_somebody_who_carries_it_out():
    closings = {*GIVEN, *(name for name, tag in tags().tags.items() if tag.instead_of)}
    of_the_registry = {
        name for name, tag in tags().tags.items() if tag.trigger in (Trigger.CONTRACT_END, Trigger.SCRAPPED)
    }

    assert closings | of_the_registry == set(tags().tags)


@pytest.mark.parametrize(
    ("name", "due_at"),
    [("contract-1y", jst(2027, 1, 2)), ("finance-10y", jst(2036, 1, 2)), ("vehicle-scrapped", CLOSED)],
)
def test_the_registrys_tags_by_the_calendar(name: str, due_at: datetime):
    assert tags().tag(name).period.after(CLOSED) == due_at


def test_what_is_open_has_no_dates_and_what_has_no_key_neither():
    opened = Incident(id=IncidentId("x"), tenant=TenantId("demo"), version=1, state=State.REOPENED, changed_at=CLOSED)

    assert dates(opened, KEYS, schedule=tags()) == ()
    assert dates(state(real=True), [KeyRow(Category.OBS, "", b"")], schedule=tags()) == []


def test_a_category_without_a_class_is_kept_as_long_as_any():
    (row,) = dates(
        Incident(
            id=IncidentId("x"), tenant=TenantId("demo"), version=1, state=State.CLOSED, changed_at=CLOSED, kept_as=()
        ),
        KEYS[:1],
        schedule=tags(),
    )

    assert row.tag == tags().longest.name
