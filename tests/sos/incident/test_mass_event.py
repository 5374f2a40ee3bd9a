"""Mass events: who may say what of them, what wins when two say it at once, and what lies inside an area."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from routing.categories import Category
from sos.errors import Refused
from sos.incident import events as e
from sos.incident import mass_event as m
from sos.incident.model import AgencyId, Area, HowToTell, IncidentId, MassEventId, OperatorId

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
HANAKO, JIRO = OperatorId("hanako"), OperatorId("jiro")
ONE, OTHER = MassEventId("m-1"), MassEventId("m-2")
TOKYO = Area(latitude=35.68, longitude=139.77, radius_km=30)
SPOT = m.Spot(latitude=35.69, longitude=139.70, prefecture="JP-13", municipality="13104")
FIRE, PLACE, CAR = AgencyId("jp-13-fire"), "13104", IncidentId("i-1")


class Stream:
    """The mass events, and the clock they are decided by."""

    def __init__(self) -> None:
        self.events = m.MassEvents()
        self.now = AT
        self.drafts: list[e.Draft] = []

    def do(self, order: m.Order) -> tuple[str, ...]:
        made = m.decide(self.events, order, now=self.now)
        for draft in made:
            self.events = m.evolve(self.events, draft.event, at=self.now)
        self.drafts += made
        return tuple(type(draft.event).__name__ for draft in made)

    def declare(self, mass_event: MassEventId = ONE, by: OperatorId = HANAKO, **changes: Any) -> tuple[str, ...]:
        told: dict[str, Any] = {
            "mass_event": mass_event,
            "operator": by,
            "seen": self.events.decisions,
            "name": "invented quake",
            "area": TOKYO,
            "until": self.now + timedelta(hours=6),
        }
        return self.do(m.Declare(**(told | changes)))

    @property
    def one(self) -> m.MassEvent:
        found = self.events.get(ONE)
        assert found is not None
        return found


@pytest.fixture
def stream() -> Stream:
    return Stream()


def propose(mass_event: MassEventId = ONE, spot: m.Spot = SPOT) -> m.Propose:
    area = Area(latitude=spot.latitude, longitude=spot.longitude, radius_km=20)
    return m.Propose(mass_event=mass_event, area=area, spot=spot, emergencies=12, tenants=3, within_s=600)


def test_the_house_proposes_and_a_supervisor_confirms_it_under_a_name(stream: Stream):
    assert stream.do(propose()) == ("MassEventProposed",)
    assert not stream.events.in_force
    assert m.holding(stream.events, SPOT) is None

    assert stream.declare(words="felt here") == ("MassEventDeclared",)

    assert [each.mass_event for each in stream.events.in_force] == [ONE]
    assert (stream.one.operator, stream.one.area, stream.one.emergencies) == (HANAKO, TOKYO, 12)
    assert stream.drafts[-1].parts == {Category.OBS: b'{"name":"invented quake","words":"felt here"}'}


def test_one_place_is_proposed_once_and_not_soon_after_a_supervisor_said_that_there_is_nothing(stream: Stream):
    stream.do(propose())
    assert stream.do(propose(OTHER)) == ()

    assert stream.do(m.Dismiss(mass_event=ONE, operator=JIRO, seen=0)) == ("MassEventDismissed",)
    assert stream.do(propose(OTHER)) == ()
    assert stream.do(propose(OTHER, m.Spot(latitude=43.06, longitude=141.35))) == ("MassEventProposed",)
    stream.now += m.QUIET
    assert stream.do(propose(MassEventId("m-3"))) == ("MassEventProposed",)


def test_the_house_proposes_no_more_than_a_banner_holds(stream: Stream):
    for number in range(20):
        stream.do(propose(MassEventId(f"m-{number}"), m.Spot(latitude=-40.0 + 4 * number, longitude=20.0)))

    assert len(stream.events.events) == m.AT_ONCE


def test_of_two_supervisors_at_once_the_second_hears_who_was_first(stream: Stream):
    seen = stream.events.decisions
    stream.declare(seen=seen)

    with pytest.raises(Refused, match="hanako has decided about mass events meanwhile"):
        stream.declare(OTHER, JIRO, seen=seen)
    with pytest.raises(Refused, match="hanako has declared it already"):
        stream.declare(ONE, JIRO)
    assert len(stream.events.events) == 1
    assert stream.declare(OTHER, JIRO) == ("MassEventDeclared",)  # once it has been seen


def test_it_runs_out_once_goes_on_all_the_same_and_is_renewed(stream: Stream):
    stream.declare()
    assert stream.do(m.RunOut(mass_event=ONE)) == ()
    stream.now += timedelta(hours=6)

    assert stream.do(m.RunOut(mass_event=ONE)) == ("MassEventOverdue",)
    assert stream.do(m.RunOut(mass_event=ONE)) == ()
    assert stream.one.overdue
    assert stream.events.in_force

    until = stream.now + timedelta(hours=1)
    again = m.Change(mass_event=ONE, operator=JIRO, seen=1, name="invented quake", area=TOKYO, until=until)
    assert stream.do(again) == ("MassEventChanged",)
    assert (stream.one.overdue, stream.one.until, stream.one.operator) == (False, until, HANAKO)
    assert stream.do(m.End(mass_event=ONE, operator=JIRO, seen=2)) == ("MassEventEnded",)
    assert stream.events.events == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"until": AT}, "within 24 hours"),
        ({"until": AT + timedelta(hours=25)}, "within 24 hours"),
        ({"name": " "}, "needs a name"),
        ({"area": Area()}, "a circle, or"),
        ({"area": Area(latitude=35.0, codes=("JP-13",))}, "a circle, or"),
        ({"area": Area(latitude=35.0, longitude=139.0, radius_km=20, codes=("JP-13",))}, "a circle, or"),
        ({"area": Area(latitude=35.0, longitude=139.0)}, "radius"),
        ({"area": Area(codes=("Tokyo",))}, "no prefecture"),
        ({"area": Area(codes=("13101\n",))}, "no prefecture"),
        ({"area": Area(codes=("13101",) * 201)}, "at most"),
    ],
)
def test_what_is_not_whole_is_refused(stream: Stream, changes: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        stream.declare(**changes)
    assert stream.events == m.MassEvents()


def test_what_is_not_there_is_neither_changed_nor_ended_nor_dismissed(stream: Stream):
    stream.do(propose())
    until = AT + timedelta(hours=1)
    orders: tuple[m.Order, ...] = (
        m.Change(mass_event=ONE, operator=JIRO, seen=0, name="n", area=TOKYO, until=until),
        m.End(mass_event=ONE, operator=JIRO, seen=0),
        m.Dismiss(mass_event=OTHER, operator=JIRO, seen=0),
        m.AnswerTelling(mass_event=ONE, operator=JIRO, agency=FIRE, place=PLACE, was=None, how=HowToTell.EACH),
    )
    for order in orders:
        with pytest.raises(Refused):
            stream.do(order)


def test_a_supervisor_is_asked_once_for_an_agency_and_a_place_and_of_two_answers_one_counts(stream: Stream):
    ask = m.AskTelling(mass_event=ONE, agency=FIRE, place=PLACE, incident=CAR)
    assert stream.do(ask) == ()
    stream.declare()
    assert stream.do(ask) == ("MassTellingAsked",)
    assert stream.do(ask) == ()

    def answer(by: OperatorId, how: HowToTell, was: HowToTell | None, every_min: int = 0) -> m.AnswerTelling:
        return m.AnswerTelling(
            mass_event=ONE, operator=by, agency=FIRE, place=PLACE, was=was, how=how, every_min=every_min
        )

    with pytest.raises(Refused, match="every 1 to 120 minutes"):
        stream.do(answer(JIRO, HowToTell.LIST, None))
    assert stream.do(answer(JIRO, HowToTell.LIST, None, 10)) == ("MassTellingAnswered",)
    with pytest.raises(Refused, match="jiro has answered meanwhile: list"):
        stream.do(answer(HANAKO, HowToTell.EACH, None))
    assert stream.do(answer(HANAKO, HowToTell.HOLD, HowToTell.LIST)) == ("MassTellingAnswered",)
    told = stream.one.telling(FIRE, PLACE)
    assert told is not None
    assert (told.how, told.every_min, told.operator) == (HowToTell.HOLD, 0, HANAKO)


def test_a_circle_holds_what_is_near_and_codes_what_has_them(stream: Stream):
    assert m.holds(TOKYO, SPOT)
    assert not m.holds(TOKYO, m.Spot(latitude=35.68, longitude=140.2))
    assert not m.holds(TOKYO, m.Spot(prefecture="JP-13", municipality="13104"))
    assert m.holds(Area(codes=("JP-13",)), SPOT)
    assert m.holds(Area(codes=("JP-12", "13104")), SPOT)
    assert not m.holds(Area(codes=("13101",)), SPOT)
    assert not m.holds(Area(codes=("JP-13",)), m.Spot())
    across = Area(latitude=0.0, longitude=179.9, radius_km=50)
    assert m.holds(across, m.Spot(latitude=0.0, longitude=-179.9))


def test_a_place_is_a_municipality_or_a_field_of_the_grid_or_a_prefecture():
    assert SPOT.place == "13104"
    assert m.Spot(latitude=35.69, longitude=139.70, prefecture="JP-13").place == "35.6,139.7"
    assert m.Spot(latitude=-0.01, longitude=-0.01).place == "-0.1,-0.1"
    assert m.Spot(prefecture="JP-13").place == "JP-13"


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_wanted_in_whichever_order_one_stream_says_the_same_to_everybody(seed: int):
    """Replay equals state; nothing that was refused leaves a trace; decisions count one by one."""
    pick, stream = random.Random(seed), Stream()
    for _ in range(60):
        stream.now += timedelta(minutes=pick.randrange(200))
        mass_event, by = pick.choice((ONE, OTHER)), pick.choice((HANAKO, JIRO))
        seen = stream.events.decisions - pick.choice((0, 0, 0, 1))
        until = stream.now + timedelta(hours=pick.randrange(1, 30))
        how = pick.choice(tuple(HowToTell))
        told: dict[str, Any] = {"mass_event": mass_event, "operator": by, "seen": seen}
        asked: dict[str, Any] = {"mass_event": mass_event, "agency": FIRE, "place": PLACE}
        before = stream.events
        try:
            made = stream.do(
                pick.choice(
                    (
                        propose(mass_event),
                        m.Declare(**told, name="n", area=TOKYO, until=until),
                        m.Change(**told, name="n", area=Area(codes=("JP-13",)), until=until),
                        m.End(**told),
                        m.Dismiss(**told),
                        m.RunOut(mass_event=mass_event),
                        m.AskTelling(**asked, incident=CAR),
                        m.AnswerTelling(**asked, operator=by, was=pick.choice((None, how)), how=how, every_min=10),
                    )
                )
            )
        except Refused:
            assert stream.events is before
            continue
        assert stream.events.version == before.version + len(made)
        assert stream.events.decisions - before.decisions in (0, 1)
        assert len({each.mass_event for each in stream.events.events}) == len(stream.events.events)
    again = m.MassEvents()
    assert stream.drafts
    for draft in stream.drafts:
        again = m.evolve(again, draft.event, at=AT)
    assert [each.mass_event for each in again.events] == [each.mass_event for each in stream.events.events]
    assert (again.version, again.decisions) == (stream.events.version, stream.events.decisions)
