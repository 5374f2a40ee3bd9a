"""One view of a crash: the worst that is known of it, in every form of the brief, and the desk's page has the same."""

import io
import json
from pathlib import Path

import pypdf
import pytest

from routing.brief import render_text
from routing.brief.crash import Hazard, crash_facts, joined
from routing.brief.crash_words import HAZARDS
from routing.brief.eido import write_eido
from routing.brief.fax import write_fax
from routing.brief.pidf import write_pidf
from routing.brief.spoken import AT_MOST_S, aloud, seconds, speak
from routing.categories import Category

CASES = json.loads((Path(__file__).parent / "crash_facts.json").read_text())
"""The desk's page is held to the same table (``crash.test.ts``)."""

HIT = {
    "impact": "driverSide",
    "deltaVX": -5.0,
    "deltaVY": 95.12345678901234,
    "deltaVLimit": 255.0,
    "speedBefore": 62.13712345,
    "rollover": "DETECTED",
    "fuelLeak": True,
    "trapped": True,
    "ejected": True,
    "pedestrian": True,
    "submersed": True,
    "fire": True,
    "airbagDeployed": True,
    "multipleImpacts": True,
    "severeInjury": True,
    "injuryLevel": "severe",
    "injuryRisk": 0.8234567890123456,
}
CAR = {"energy": ["electric", "hydrogen", "lpg"]}

READ = {
    "text": lambda brief: render_text(brief, "en"),
    "eido": lambda brief: " ".join(
        note["notesActionComments"] for note in json.loads(write_eido(brief))["notesComponent"]
    ),
    "additional": lambda brief: write_pidf(brief).decode(),
}
HEARD = {"spoken_en": lambda brief: aloud(speak(brief, "en"))}
JAPANESE = {
    "text_ja": lambda brief: render_text(brief, "ja"),
    "fax": lambda brief: pypdf.PdfReader(io.BytesIO(write_fax(brief))).pages[0].extract_text(),
}

STANDS: dict[str, tuple[tuple[str, str, str, str], bool]] = {
    "delta_v": (("95 km/h", "Delta V 95 kilometres per hour", "95 km/h", "時速95キロ"), True),
    "direction": (
        ("from the left (9 o'clock)", "from the left, 9 o'clock", "左から(9時方向)", "左から、9時方向"),
        True,
    ),
    "impact": (("driver's side", "Impact: driver's side", "運転席側", "衝突は運転席側"), True),
    "sender": (
        ("Sender's verdict (severe injury): yes", "The vehicle reports a severe injury", "あり", "重傷者ありと判定"),
        True,
    ),
    "ours": (
        (
            "Severe injury (our estimate): likely / 82 %",
            "By our estimate a severe injury is likely",
            "82 %",
            "推定では",
        ),
        True,
    ),
    "airbag": (("Airbag deployed: yes", "Airbags have deployed", "エアバッグ展開", "エアバッグが開いて"), True),
    "speed": (("Speed before (km/h): 62", "", "62", ""), False),
}
"""By what is known: its words in the English forms that are read, in the spoken English one, in the Japanese ones that
are read, in the spoken Japanese one; and whether it is spoken at all."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_view_takes_the_worst_with_its_direction_and_every_hazard(case):
    facts = crash_facts(case["SEV"], case["VEH"], case.get("heard", ()))

    assert {
        "deltaV": facts.delta_v_kmh,
        "atLeast": facts.at_least,
        "clock": facts.clock,
        "side": facts.side,
        "hazards": list(facts.hazards),
        "severe": facts.sender_severe,
        "heardSevere": facts.heard_severe,
        "occupants": facts.occupants,
        "injured": facts.injured,
    } == case["facts"]


@pytest.fixture(scope="session")
def hit(made):
    return made(Category.LOC, Category.SEV, Category.VEH, SEV=HIT, VEH=CAR)


@pytest.fixture(scope="session")
def struck(made):
    """With fewer hazards, so that there is time for all that is read aloud."""
    fewer = HIT | dict.fromkeys(("ejected", "pedestrian", "submersed", "trapped", "rollover"))
    return made(Category.LOC, Category.SEV, Category.VEH, SEV=fewer, VEH={"energy": ["electric"]})


def squeezed(text):
    return "".join(text.replace("\u200b", "").split())


@pytest.mark.parametrize("fact", STANDS)
def test_every_fact_stands_in_every_form(struck, fact):
    (read, heard, japanese, heard_japanese), spoken = STANDS[fact]

    assert [form for form, write in READ.items() if read not in write(struck)] == []
    assert [form for form, write in JAPANESE.items() if squeezed(japanese) not in squeezed(write(struck))] == []
    if spoken:
        assert heard in aloud(speak(struck, "en"))
        assert heard_japanese in aloud(speak(struck, "ja"))


@pytest.mark.parametrize("hazard", Hazard)
def test_every_hazard_stands_in_every_form_and_in_the_first_sentence_that_is_read(hit, hazard):
    japanese, english = HAZARDS[hazard]

    assert [form for form, write in READ.items() if english not in write(hit)] == []
    assert [form for form, write in JAPANESE.items() if japanese not in squeezed(write(hit))] == []
    assert english in aloud(speak(hit, "en")).splitlines()[0]
    assert japanese in aloud(speak(hit, "ja")).splitlines()[0]


@pytest.mark.parametrize("language", ["ja", "en"])
def test_all_of_it_is_read_within_the_time(hit, language):
    assert seconds(aloud(speak(hit, language)), language) <= AT_MOST_S


def test_no_form_says_a_number_with_more_digits_than_it_has_nor_any_json(made):
    odd = {"recent": [{"latitude": 35.681236000000004, "longitude": 139.7, "ageSeconds": 5.000000001}], "x": {"a": [1]}}
    brief = made(Category.LOC, Category.SEV, Category.VEH, LOC=odd, SEV=HIT)

    for form, write in (READ | HEARD | JAPANESE).items():
        text = write(brief)
        shown = text if form not in ("additional", "eido") else text.partition("Crash at a glance")[2]
        assert [digits for digits in ("5678901", "0000000004", "62.1", "95.1") if digits in shown] == [], form
    assert "Latitude 35.681236, Longitude 139.7, Seconds before 5" in render_text(brief, "en")
    assert '{"' not in render_text(brief, "en") + render_text(brief, "ja")


@pytest.mark.parametrize(
    ("told", "english", "japanese"),
    [
        ({"deltaVX": -125.0, "deltaVY": 0.0, "deltaVLimit": 125.0}, "at least 125 kilo", "時速125キロ以上"),
        ({"deltaV": 64.37}, "Delta V 64 kilometres per hour.", "時速64キロ。"),
        ({"principalDirectionClock": 4}, "The force came from the right, 4 o'clock.", "右から、4時方向"),
    ],
)
def test_what_is_less_than_whole_is_said_as_what_it_is(made, told, english, japanese):
    brief = made(Category.SEV, SEV=dict.fromkeys(("deltaVX", "deltaVY")) | told)

    assert english in aloud(speak(brief, "en"))
    assert japanese in aloud(speak(brief, "ja"))


def test_a_verdict_that_nobody_is_hurt_is_shown_as_the_senders_and_never_read_aloud(made):
    brief = made(Category.SEV, SEV={"severeInjury": False, "fire": False})

    assert "Sender's verdict (severe injury): no" in render_text(brief, "en")
    assert "Fire: no" in render_text(brief, "en")
    assert "injur" not in aloud(speak(brief, "en"))


def test_a_hazard_of_a_category_that_is_withheld_is_in_no_form(made):
    brief = made(Category.LOC, Category.SEV, SEV=HIT)

    assert [form for form, write in READ.items() if "high-voltage" in write(brief)] == []


def test_what_the_car_carries_is_no_danger_where_nothing_tells_of_a_crash(made):
    assert "Danger" not in speak(made(Category.VEH), "en")


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [
        ({"deltaVX": -5, "deltaVY": 95}, {"deltaVX": -8, "fire": True}, {"deltaVX": -5, "deltaVY": 95, "fire": True}),
        ({"deltaVX": -5, "deltaVY": 9}, {"deltaV": 60}, {"deltaV": 60}),
        ({"deltaV": 60, "fire": True}, {"impact": "rear"}, {"deltaV": 60, "fire": True, "impact": "rear"}),
        ({"principalDirectionClock": 3}, {"deltaV": 20}, {"deltaV": 20}),
    ],
)
def test_of_two_reports_the_harder_impact_stands_whole(before, now, then):
    assert joined(before, now) == then
