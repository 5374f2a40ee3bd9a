"""The question cards: one for each kind, a brand's words and questions on them, and a wrong card refused in words."""

import tomllib
from typing import Any

import msgspec
import pytest

from routing.brief.crash import Hazard
from routing.cards import AnswerForm, BrandCards, Cards, ToAsk, read_cards, shipped
from routing.categories import Category
from routing.errors import Malformed, Misconfigured
from routing.kinds import EmergencyKind
from routing.services import Service

QUESTION = """
[[question]]
id = "fire"
kinds = ["unknown", "crash", "illness", "fire", "crime", "breakdown", "disaster", "other"]
category = "OBS"
form = "yes_no"
ask = { ja = "火は", en = "Fire?" }
told = { ja = "火", en = "Fire" }
feeds = { yes = { hazard = "fire", needs = ["fire"] } }
"""


def question(id: str) -> ToAsk:
    found = shipped().question(id)
    assert found is not None
    return found


def further(**otherwise: Any) -> dict[str, Any]:
    """A brand's own question, as its pack has it."""
    (made,) = tomllib.loads(QUESTION)["question"]
    return made | {"id": "charging", "kinds": ["breakdown"]} | otherwise


@pytest.mark.parametrize("kind", EmergencyKind)
def test_each_kind_has_a_card_and_every_question_its_words_in_both_languages(kind: EmergencyKind):
    card = shipped().of(kind)

    assert card
    for each in card:
        assert all((each.ask.ja, each.ask.en, each.told.ja, each.told.en))


def test_what_may_kill_is_asked_first_and_of_every_crash_and_illness():
    for kind in (EmergencyKind.UNKNOWN, EmergencyKind.CRASH, EmergencyKind.ILLNESS):
        first = [each.id for each in shipped().of(kind)[:3]]
        assert {"conscious", "breathing"} <= set(first)


@pytest.mark.parametrize(
    ("id", "value", "hazard", "severe", "needs"),
    [
        ("fire", "yes", Hazard.FIRE, False, (Service.FIRE,)),
        ("fire", "no", None, False, ()),
        ("fire", "unknown", None, False, ()),
        ("breathing", "no", None, True, (Service.FIRE,)),
        ("breathing", "yes", None, False, ()),
        ("in_traffic", "yes", None, False, (Service.POLICE,)),
        ("injured", 2, None, False, (Service.FIRE,)),
        ("injured", 0, None, False, ()),
        ("chest_pain", "yes", None, True, ()),
    ],
)
def test_an_answer_says_what_it_feeds(id: str, value: str | int, hazard: Hazard | None, severe: bool, needs: Any):
    answered = question(id).answered(value)

    assert (answered.hazard, answered.severe, question(id).needs(value)) == (hazard, severe, needs)


def test_an_answer_is_sealed_with_its_words():
    sealed = msgspec.json.decode(msgspec.json.encode(question("who_is_ill").answered("driver")))

    assert sealed == {
        "question": "who_is_ill",
        "ja": "具合の悪い人",
        "en": "Who is ill",
        "value": "driver",
        "saidJa": "運転者",
        "saidEn": "the driver",
    }


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("fire", "maybe"), ("fire", 1), ("fire", ""), ("who_is_ill", "nobody"), ("occupants", -1), ("occupants", 100),
        ("occupants", "three"), ("conditions", " "), ("conditions", "a" * 301), ("conditions", 3),
    ],
)  # fmt: skip
def test_what_is_no_answer_to_a_question_is_refused(id: str, value: str | int):
    with pytest.raises(Malformed):
        question(id).answered(value)


def test_nothing_that_stands_in_clear_can_come_of_a_question_about_health():
    about_health = [each for each in shipped().questions if each.category is Category.MED]

    assert about_health
    assert [each.id for each in about_health if any(feeds.needs for feeds in each.feeds.values())] == []


def test_a_brand_words_a_question_otherwise_and_asks_one_of_its_own_and_nothing_else_changes():
    words = {"fire": {"ja": "お車から煙は出ていますか", "en": "Any smoke from your car?"}}
    brand = msgspec.convert({"words": words, "further": [further()]}, BrandCards)

    cards = shipped().with_brand(brand)

    asked = cards.question("fire")
    assert asked is not None
    assert asked.ask.en == "Any smoke from your car?"
    assert msgspec.structs.replace(asked, ask=question("fire").ask) == question("fire")
    assert [each.id for each in cards.questions] == [*(each.id for each in shipped().questions), "charging"]
    assert cards.of(EmergencyKind.BREAKDOWN)[-1].id == "charging"


@pytest.mark.parametrize(
    ("brand", "why"),
    [
        ({"words": {"weather": {"ja": "天気は", "en": "Rain?"}}}, "the house asks no weather"),
        ({"further": [further(id="fire")]}, "fire stands twice"),
    ],
)
def test_a_brand_that_words_or_replaces_what_it_may_not_is_refused(brand: dict[str, Any], why: str):
    with pytest.raises(Misconfigured, match=why):
        shipped().with_brand(msgspec.convert(brand, BrandCards))


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('category = "OBS"', 'category = "FAM"', "PER, MED or OBS, not of FAM"),
        ('category = "OBS"', 'category = "MED"', "stands in clear"),
        ('form = "yes_no"', 'form = "choice"', "a choice needs some"),
        ('form = "yes_no"', 'form = "number"', "nobody can answer yes"),
        ('form = "yes_no"', 'form = "words"', "nobody can answer yes"),
        ("feeds = { yes", "feeds = { perhaps", "nobody can answer perhaps"),
        ('hazard = "fire"', 'hazard = "dragon"', "dragon"),
        ('needs = ["fire"]', 'needs = ["army"]', "army"),
        (', en = "Fire?"', "", "missing required field `en`"),
        ('kinds = ["unknown", ', "kinds = [", "there is no question for unknown"),
        ('id = "fire"', 'id = "Fire!"', "id"),
        ('form = "yes_no"', 'form = "yes_no"\ncounts = "injured"', "only a number counts"),
        ('form = "yes_no"', 'form = "yes_no"\nweight = 3', "weight"),
        ("[[question]]", "[[question", "question cards"),
    ],
)
def test_a_wrong_card_is_refused_in_words(before: str, after: str, why: str):
    assert before in QUESTION
    read_cards(QUESTION)

    with pytest.raises(Misconfigured, match=why):
        read_cards(QUESTION.replace(before, after, 1))


def test_a_question_that_stands_twice_is_refused():
    with pytest.raises(Misconfigured, match="fire stands twice"):
        read_cards(QUESTION + QUESTION)


def test_every_form_of_answer_is_on_a_shipped_card():
    assert {each.form for each in shipped().questions} == set(AnswerForm)
    assert isinstance(shipped(), Cards)
