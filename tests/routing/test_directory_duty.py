"""Who is on duty: municipality before prefecture before default, on a day, reachable or with somebody in the stead."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.directory import Agency, Agreement, Directory, Duty, Hours
from routing.directory.duty import DutyTable, Kind
from routing.directory.jis import CITIES, check_digit, city_of
from routing.errors import Misconfigured
from routing.services import ALWAYS, Service

JST = timezone(timedelta(hours=9))
PHONE = {"voice": {"number": "+81300000001"}}


def agency(name, service=Service.FIRE, jurisdiction=(), **more):
    fields = {"channels": PHONE, "name_ja": "架空", "name_en": "Demo", **more}
    return Agency(id=name, service=service, jurisdiction=jurisdiction, **fields)


DEFAULTS = tuple(agency(f"last-{service.value}", service, "default") for service in ALWAYS)


def directory(*agencies, **more):
    return Directory((*DEFAULTS, *agencies), name="t", digest="0", **more)


def fire(book, municipality, *, prefecture="JP-13", on=None):
    return book.assign(Service.FIRE, prefecture=prefecture, municipality=municipality, on=on)


def test_the_duty_of_a_municipality_comes_before_its_prefecture():
    book = directory(
        agency("town"), agency("whole", jurisdiction=("JP-13",)), duties=(Duty(code="13101", agency="town"),)
    )

    assert (fire(book, "13101").agency.id, fire(book, "13101").how) == ("town", "municipality")
    assert (fire(book, "13102").agency.id, fire(book, "13102").how) == ("whole", "prefecture")
    assert fire(book, None, prefecture="JP-14").how == "default_agency"


def test_a_designated_city_answers_for_all_its_wards_and_for_no_others():
    book = directory(agency("city"), duties=(Duty(code="14100", agency="city"),))

    assert fire(book, "14118").agency.id == "city"
    assert fire(book, "14131").how == "default_agency"
    assert fire(book, "14201").how == "default_agency"


def test_a_ward_with_a_row_of_its_own_has_that_one():
    duties = (Duty(code="14100", agency="city"), Duty(code="14104", agency="ward"))
    book = directory(agency("city"), agency("ward"), duties=duties)

    assert fire(book, "14104").agency.id == "ward"


def test_a_merger_changes_who_answers_from_its_day_on():
    duties = (
        Duty(code="11202", agency="old", valid_to=date(2024, 3, 31)),
        Duty(code="11202", agency="new", valid_from=date(2024, 4, 1)),
    )
    book = directory(agency("old"), agency("new"), duties=duties)

    assert fire(book, "11202", on=date(2024, 3, 31)).agency.id == "old"
    assert fire(book, "11202", on=date(2024, 4, 1)).agency.id == "new"
    assert fire(book, "11202").agency.id == "new"


def test_the_reform_of_hamamatsu_is_answered_by_date_and_by_its_city_on_both_sides():
    last, first = date(2023, 12, 31), date(2024, 1, 1)
    duties = (
        *(Duty(code=f"2213{n}", agency="before", valid_to=last) for n in range(1, 8)),
        *(Duty(code=code, agency="after", valid_from=first) for code in ("22138", "22139", "22140")),
    )
    by_ward = directory(agency("before"), agency("after"), duties=duties)
    by_city = directory(agency("city"), duties=(Duty(code="22130", agency="city"),))

    assert fire(by_ward, "22131", prefecture="JP-22", on=last).agency.id == "before"
    assert fire(by_ward, "22131", prefecture="JP-22", on=first).how == "default_agency"
    assert fire(by_ward, "22138", prefecture="JP-22", on=first).agency.id == "after"
    for code, day in (("22131", last), ("22140", first), ("22131", first)):
        assert fire(by_city, code, prefecture="JP-22", on=day).agency.id == "city"


def test_a_delegated_duty_and_a_town_without_a_service_are_said():
    duties = (
        Duty(code="13208", agency="tokyo", kind=Kind.DELEGATED),
        Duty(code="13362", agency=None, kind=Kind.NONE),
        Duty(code="13363", agency="tokyo", kind=Kind.NONE),
    )
    book = directory(agency("tokyo"), duties=duties)

    assert fire(book, "13208").flags == ("delegated",)
    assert (fire(book, "13362").how, fire(book, "13362").flags) == ("default_agency", ("no_permanent_service",))
    assert (fire(book, "13363").agency.id, fire(book, "13363").flags) == ("tokyo", ("no_permanent_service",))


def test_who_is_responsible_without_a_channel_is_named_and_another_is_called():
    book = directory(
        agency("town", channels={}, listed_only=True),
        agency("whole", jurisdiction=("JP-13",)),
        duties=(Duty(code="13101", agency="town"),),
    )

    found = fire(book, "13101")

    assert (found.agency.id, found.responsible.id, found.flags) == ("whole", "town", ("agency_without_channel",))


def test_an_agency_is_reached_through_its_command_centre_when_it_has_no_channel_of_its_own():
    text = (
        'name = "t"\n[[centre]]\nid = "joint"\nname_ja = "架空"\nname_en = "Demo"\nchannels = { voice = {} }\n'
        + "".join(
            f'[[agency]]\nid = "d-{service}"\nservice = "{service}"\nname_ja = "架空"\nname_en = "Demo"\n'
            'jurisdiction = "default"\nchannels = { portal = {} }\n'
            for service in ALWAYS
        )
        + '[[agency]]\nid = "a"\nservice = "fire"\nname_ja = "架空"\nname_en = "Demo"\n'
        'jurisdiction = ["11202"]\nchannels = {}\ncommand_centre = "joint"\n'
        'stations = [{ name = "架空署", latitude = 35.0, longitude = 139.0 }]\n'
    )

    book = Directory.read(text.encode())

    found = fire(book, "11202").agency
    assert found.id == "a"
    assert book.centre_of(found).id == "joint"
    assert found.stations[0].name == "架空署"


def test_an_agreement_that_ran_out_is_flagged_and_the_agency_is_called_all_the_same():
    old = (Agreement(name="協定", valid_to=date(2025, 3, 31)),)
    book = directory(agency("a", jurisdiction=("JP-13",), agreements=old))

    assert fire(book, None, on=date(2025, 3, 31)).flags == ()
    expired = fire(book, None, on=date(2025, 4, 1))
    assert (expired.agency.id, expired.flags) == ("a", ("agreement_expired",))


def test_a_road_has_its_own_duty_before_any_place():
    book = directory(agency("e4", Service.ROAD, ("road:E4",)), agency("all", Service.ROAD, "default"))

    assert book.assign(Service.ROAD, prefecture="JP-03", road="E4", on=None).agency.id == "e4"
    assert book.assign(Service.ROAD, prefecture="JP-03", road="E1", on=None).agency.id == "all"


def test_an_area_of_a_foreign_layer_has_its_agency_by_the_code_of_that_layer():
    book = directory(agency("county", jurisdiction=("area:US-06-037", "06059"), country="US"))

    assert fire(book, "US-06-037", prefecture=None).agency.id == "county"
    assert fire(book, "06059", prefecture="US-CA").agency.id == "county"


def test_a_service_that_need_not_answer_everywhere_may_have_nobody():
    assert directory().assign(Service.HELICOPTER, prefecture="JP-13") is None
    with pytest.raises(Misconfigured, match="helicopter"):
        directory().responsible(Service.HELICOPTER, "JP-13")


@pytest.mark.parametrize(
    ("agencies", "more", "words"),
    [
        ((agency("a", jurisdiction=("JP-13",)), agency("b", jurisdiction=("JP-13",))), {}, "both claim fire in JP-13"),
        (
            (agency("a"), agency("b")),
            {"duties": (Duty(code="1", agency="a"), Duty(code="1", agency="b"))},
            "both claim",
        ),
        ((), {"duties": (Duty(code="13101", agency="nobody"),)}, "names no agency: 'nobody'"),
        ((), {"duties": (Duty(code="13101", agency=None),)}, "needs an agency"),
        (
            (agency("a"),),
            {"duties": (Duty(code="1", agency="a", valid_from=date(2025, 1, 2), valid_to=date(2025, 1, 1)),)},
            "ends before it begins",
        ),
        ((agency("a", jurisdiction=("JP-13",), command_centre="x"),), {}, "there is no centre 'x'"),
        ((agency("a", jurisdiction=("JP-13",), hours=Hours(mon=("9-17",))),), {}, "'9-17' is no window"),
        ((agency("a", jurisdiction=("JP-13",), hours=Hours(zone="Mars/Base")),), {}, "'Mars/Base' is no time zone"),
        ((agency("b", jurisdiction=("JP-13",), channels={}),), {}, "'b' has no channel"),
    ],
)
def test_a_directory_that_contradicts_itself_is_refused(agencies, more, words):
    with pytest.raises(Misconfigured, match=re.escape(words)):
        directory(*agencies, **more)


def test_opening_hours_know_weekdays_holidays_and_nights():
    hours = Hours(mon=("08:30-17:30",), fri=("22:00-06:00",), holidays=())
    day = date(2026, 11, 23)  # 勤労感謝の日, a Monday

    assert hours.open(datetime(2026, 11, 16, 8, 30, tzinfo=JST))
    assert not hours.open(datetime(2026, 11, 16, 17, 30, tzinfo=JST))
    assert hours.open(datetime(2026, 11, 23, 9, 0, tzinfo=JST))
    assert not hours.open(datetime(2026, 11, 23, 9, 0, tzinfo=JST), holidays={day})
    assert hours.open(datetime(2026, 11, 20, 20, 0, tzinfo=UTC))  # Saturday 05:00 in Tokyo: still Friday's night
    assert not hours.open(datetime(2026, 11, 20, 21, 0, tzinfo=UTC))


def test_an_agency_without_hours_is_there_round_the_clock():
    assert agency("a").open(datetime(2026, 1, 1, 3, 0, tzinfo=JST))


days = st.none() | st.dates(date(2020, 1, 1), date(2020, 1, 20))
rows = st.builds(Duty, code=st.just("11202"), agency=st.sampled_from("abc"), valid_from=days, valid_to=days)


@given(st.lists(rows, max_size=4))
def test_rows_clash_exactly_when_two_hold_on_the_same_day(duties):
    duties = [d for d in duties if not (d.valid_from and d.valid_to and d.valid_to < d.valid_from)]
    every_day = [date(2019, 12, 31) + timedelta(days=n) for n in range(22)]

    clash = DutyTable(tuple(duties)).clash()

    assert (clash is not None) == any(sum(duty.holds(day) for duty in duties) > 1 for day in every_day)


@given(st.lists(rows, max_size=3), st.dates(date(2020, 1, 1), date(2020, 1, 20)))
def test_the_row_found_holds_on_that_day_and_none_is_missed(duties, day):
    found = DutyTable(tuple(duties)).on_duty(Service.FIRE, "11202", on=day)

    assert (found is None) == (not any(duty.holds(day) for duty in duties))
    assert found is None or found.holds(day)


def test_the_check_digit_is_that_of_the_published_rule():
    assert [check_digit(code) for code in ("01100", "14100", "13104", "20203")] == ["2", "3", "1", "7"]


@pytest.mark.parametrize(
    ("code", "city"),
    [("14118", "14100"), ("14131", "14130"), ("22138", "22130"), ("13123", "13100"), ("01110", "01100"),
     ("14100", None), ("14201", None), ("47201", None), ("02101", None), ("JP-13", None)],
)  # fmt: skip
def test_wards_know_their_city(code, city):
    assert city_of(code) == city
    assert all(each == city_of(str(int(each) + 1).zfill(5)) for each in CITIES)
