"""The agency directory: complete or refused, with the name of what is wrong."""

import re
from importlib import resources

import pytest

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.errors import Misconfigured
from routing.services import ALWAYS, Service

DEMO = Directory.demo()

DEFAULTS = {service: f"x-{service.value}" for service in ALWAYS}


def agency(agency_id, service, jurisdiction='"default"', channels="{ portal = {} }", extra=""):
    return (
        f'[[agency]]\nid = "{agency_id}"\nservice = "{service}"\nname_ja = "架空"\nname_en = "Demo"\n'
        f"jurisdiction = {jurisdiction}\nchannels = {channels}\n{extra}\n"
    )


def directory(*rows, without=None):
    defaults = [agency(name, service.value) for service, name in DEFAULTS.items() if service != without]
    return Directory.read(('name = "t"\n' + "".join([*defaults, *rows])).encode())


def test_every_prefecture_has_its_own_fire_and_police_in_the_demo_directory():
    for code in PrefectureLayer.load().codes:
        for service in (Service.FIRE, Service.POLICE):
            found = DEMO.responsible(service, code)

            assert found.jurisdiction == (code,)
            assert not found.default


@pytest.mark.parametrize("service", ALWAYS)
def test_every_service_that_must_answer_everywhere_has_a_default_agency_for_an_unknown_place(service):
    assert DEMO.responsible(service, None).default
    assert DEMO.responsible(service, "XX-99").default


def test_the_demo_agencies_are_visibly_invented_and_have_invented_numbers():
    text = (resources.files("routing") / "data" / "demo_agencies.toml").read_text(encoding="utf-8")

    assert all(
        found.name_ja.startswith("架空") and found.name_en.startswith("Demo ") for found in DEMO.agencies.values()
    )
    numbers = re.findall(r'number = "(.*?)"', text)
    assert len(set(numbers)) == len(DEMO.agencies) + len(DEMO.centres)
    assert all(re.fullmatch(r"\+81355500[12]\d\d", number) for number in numbers)


def test_some_demo_agencies_are_exercise_partners_and_most_are_not():
    partners = [found.id for found in DEMO.agencies.values() if found.exercise_partner]

    assert partners == ["jp-13-fire", "jp-13-police", "jp-18-fire", "jp-18-police"]


def test_the_agency_of_a_prefecture_comes_before_the_default():
    found = directory(agency("tokyo", "fire", '["JP-13"]')).responsible(Service.FIRE, "JP-13")

    assert found.id == "tokyo"


@pytest.mark.parametrize(
    ("rows", "without", "words"),
    [
        ([agency("x-fire", "fire", '["JP-13"]')], None, "'x-fire' occurs twice"),
        ([], Service.POLICE, "'police' has no default agency"),
        ([agency("two", "fire")], None, "'x-fire' and 'two' are both default fire"),
        (
            [agency("a", "fire", '["JP-13"]'), agency("b", "fire", '["JP-13"]')],
            None,
            "'a' and 'b' both claim fire in JP-13",
        ),
        ([agency("a", "fire", '["JP-13"]', channels="{}")], None, "'a' has no channel"),
        ([agency("a", "fire", "[]")], None, "'a' has no jurisdiction"),
        ([agency("a", "fire", '["Tokyo"]')], None, "'Tokyo' is no ISO 3166-2 code"),
        ([agency("A B", "fire", '["JP-13"]')], None, "'A B'"),
        ([agency("a", "fire", '"anywhere"')], None, "jurisdiction"),
        ([agency("a", "mountain", '["JP-13"]')], None, "mountain"),
        ([agency("a", "fire", '["JP-13"]', extra='telephone = "1"')], None, "unknown field `telephone`"),
        ([agency("a", "fire", '["JP-13"]', extra='exercise_partner = "yes"')], None, "exercise_partner"),
    ],
)
def test_an_incomplete_directory_is_refused_and_the_message_names_the_place(rows, without, words):
    with pytest.raises(Misconfigured, match=re.escape(words)):
        directory(*rows, without=without)


@pytest.mark.parametrize("data", [b"", b"\xff", b"name = ", b'name = "t"', b'name = "t"\nagency = []'])
def test_a_file_that_is_no_directory_is_refused(data):
    with pytest.raises(Misconfigured):
        Directory.read(data)
