"""Periods by the calendar, tags with their mandate, and brands that promise more or less than the law allows."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording.errors import Malformed
from recording.retention import HOUSE, JST, Period, Schedule, Tag, Terms, Trigger, due, house, longer, read_schedule

SECOND = timedelta(seconds=1)


def jst(*at: int) -> datetime:
    return datetime(*at, tzinfo=JST)


@pytest.mark.parametrize(
    ("period", "began", "over"),
    [
        ("P4W", jst(2026, 11, 2, 13, 5), jst(2026, 12, 1)),
        ("P4W", jst(2026, 11, 2), jst(2026, 11, 30)),
        ("P1Y", jst(2026, 3, 31, 23, 59, 59), jst(2027, 4, 1)),
        ("P1Y", jst(2024, 2, 28, 9), jst(2025, 3, 1)),
        ("P10Y", jst(2026, 6, 30, 9), jst(2036, 7, 1)),
        ("P10Y", jst(2024, 2, 28, 9), jst(2034, 3, 1)),
        ("P1M", jst(2026, 1, 30, 9), jst(2026, 3, 1)),
        ("P1M", jst(2026, 12, 30, 9), jst(2027, 1, 31)),
        ("P1M", jst(2026, 11, 30), jst(2026, 12, 30)),
        ("P2M", jst(2026, 12, 30, 9), jst(2027, 3, 1)),
        ("PT0S", jst(2026, 1, 30, 9, 0, 1), jst(2026, 1, 30, 9, 0, 1)),
    ],
)
def test_a_period_ends_with_its_last_day_as_the_civil_code_counts(period: str, began: datetime, over: datetime):
    assert Period.parse(period).after(began) == over


def test_ten_years_are_ten_calendar_years_and_not_3650_days():
    began = jst(2026, 1, 1, 9)

    assert Period.parse("P10Y").after(began) == jst(2036, 1, 2)
    assert Period.parse("P10Y").after(began) - began > timedelta(days=3651)
    assert longer(Period.parse("P10Y"), Period.parse("P3650D"))
    assert not longer(Period.parse("P3650D"), Period.parse("P10Y"))


INSTANTS = st.integers(0, 120 * 365 * 86_400).map(lambda seconds: jst(1990, 1, 1) + seconds * SECOND)


@given(INSTANTS, st.integers(0, 60), st.integers(0, 60), st.integers(0, 4000))
def test_nothing_is_due_before_its_whole_days_are_over_and_later_beginnings_are_due_later(began, years, months, days):
    period = Period(years, months, days)

    over = period.after(began)

    assert over >= began + timedelta(days=days)
    assert period.after(began + timedelta(days=1)) >= over
    assert period == Period() or over.astimezone(JST).time() == datetime.min.time()


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 999))
def test_a_period_is_read_as_it_is_written(years, months, days):
    period = Period(years, months, days)

    assert Period.parse(str(period)) == period


@pytest.mark.parametrize("text", ["", "P", "4W", "P-1Y", "PT5H", "P1Y2", "36500", "P1.5Y", "p1y", "P4W\n"])
def test_what_is_no_period_is_refused_in_words(text: str):
    with pytest.raises(Malformed, match="is no period"):
        Period.parse(text)


def test_every_tag_of_the_house_has_a_mandate_and_a_period_within_its_bounds():
    for tag in house().tags.values():
        assert len(tag.mandate) > 20
        assert not longer(tag.period, tag.most)
        assert not longer(tag.least, tag.period)


def test_a_brand_that_keeps_for_36500_days_is_refused_in_words():
    terms = Terms(brand="invented", periods={"incident-case-3y": Period.parse("P36500D")})

    with pytest.raises(Malformed, match="invented: incident-case-3y is kept for P36500D, and P10Y is the longest"):
        house().check(terms)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (Terms(brand="b", periods={"incident-case-3y": Period.parse("P1D")}), "P1Y is the shortest"),
        (Terms(brand="b", periods={"finance-10y": Period.parse("P6Y")}), "P7Y is the shortest"),
        (Terms(brand="b", periods={"for-ever": Period.parse("P1Y")}), "there is no retention class for-ever"),
        (Terms(brand="b", instead={"LOC": "incident-case-3y"}), "which replaces no class"),
        (Terms(brand="b", instead={"LOC": "gone"}), "there is no retention class gone"),
    ],
)
def test_a_brand_outside_the_bounds_is_refused_in_words(terms: Terms, told: str):
    with pytest.raises(Malformed, match=told):
        house().check(terms)


def test_a_brand_may_shorten_within_the_bounds_and_its_tag_says_whose_it_is():
    terms = Terms(brand="b", periods={"incident-audio-1y": Period.parse("P6M")}, version="b@1")
    house().check(terms)

    tag = house().tag("incident-audio-1y", terms=terms)

    assert tag.period == Period.parse("P6M")
    assert tag.version == f"{house().version}+b@1"
    assert house().tag("incident-audio-1y").version == house().version


def test_minis_position_goes_four_weeks_after_use_and_its_notes_stay_a_case():
    mini = Terms(brand="mini", instead={"LOC": "telematics-4w"})
    house().check(mini)

    assert house().tag("incident-case-3y", category="LOC", terms=mini).name == "telematics-4w"
    assert house().tag("incident-case-3y", category="LOC", terms=mini).trigger is Trigger.USE
    assert house().tag("incident-case-3y", category="OBS", terms=mini).name == "incident-case-3y"


@pytest.mark.parametrize("name", ["nonincident-4w", "incident-audio-1y", "incident-case-3y"])
def test_a_european_brand_keeps_nothing_beyond_the_rescue(name: str):
    tag = house().tag(name, category="LOC", terms=Terms(brand="eu", jurisdiction="DE"))

    assert (tag.name, tag.period) == ("eu-rescue", Period())


def test_a_class_that_nobody_knows_is_kept_as_long_as_any():
    assert house().tag("of-a-later-release").period == house().longest.period
    assert house().stricter("of-a-later-release", "nonincident-4w") == "of-a-later-release"
    assert house().stricter("nonincident-4w", "of-a-later-release") == "of-a-later-release"


def test_the_longer_of_two_classes_wins_whichever_comes_first():
    for one, other in (("nonincident-4w", "incident-case-3y"), ("incident-case-3y", "nonincident-4w")):
        assert house().stricter(one, other) == "incident-case-3y"


def test_the_clock_counts_from_the_latest_of_what_may_have_started_it():
    tag = house().tag("telematics-4w")
    closed, opened = jst(2026, 11, 2, 9), jst(2026, 11, 9, 9)

    assert due(tag, (closed, opened)) == due(tag, (opened, None, closed)) == jst(2026, 12, 8)
    assert due(tag, (None,)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tags = []", "version"),
        ("version = 1\ntags = [{class = 'a'}]", "mandate"),
        ("version = ", "cannot be read"),
        (
            "version = 'v'\ntags = [{class = 'a', mandate = 'm', trigger = 'close', period = 'P1Y', least = 'P2Y',"
            " most = 'P3Y'}]",
            "is not between",
        ),
        (
            "version = 'v'\ntags = [{class = 'a', mandate = 'm', trigger = 'moon', period = 'P1Y', least = 'P1Y',"
            " most = 'P3Y'}]",
            "moon",
        ),
        (
            "version = 'v'\ntags = [{class = 'a', mandate = 'm', trigger = 'close', period = 'P1Y', least = 'P1Y',"
            " most = 'P3Y', after = 'all'}]",
            "has no after",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(text: str, told: str):
    with pytest.raises(Malformed, match=told):
        read_schedule(text)


def test_a_class_stands_once():
    tag: Tag = house().tag("finance-10y", terms=HOUSE)
    with pytest.raises(Malformed, match="stands twice"):
        Schedule([tag, tag], version="v")
