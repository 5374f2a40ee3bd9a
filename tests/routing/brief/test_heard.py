"""What was answered on the call: in which form each answer stands, and that it is in none where its category is not."""

import io
import json

import pypdf
import pytest

from routing.brief import render_text
from routing.brief.document import changes
from routing.brief.eido import write_eido
from routing.brief.fax import write_fax
from routing.brief.pidf import write_pidf
from routing.brief.spoken import aloud, speak
from routing.brief.words import changed_lines
from routing.categories import Category

BURNS = {
    "question": "fire", "ja": "火・煙", "en": "Fire or smoke", "value": "yes", "saidJa": "はい", "saidEn": "yes",
    "hazard": "fire",
}  # fmt: skip
BREATH = {
    "question": "breathing", "ja": "全員の呼吸", "en": "Everybody breathing", "value": "no", "saidJa": "いいえ",
    "saidEn": "no", "severe": True,
}  # fmt: skip
PEOPLE = {
    "question": "occupants", "ja": "乗員", "en": "People", "value": 3, "saidJa": "3", "saidEn": "3",
    "counts": "occupants",
}  # fmt: skip
HURT = PEOPLE | {"question": "injured", "ja": "負傷者", "en": "Hurt", "value": 2, "saidJa": "2", "saidEn": "2"}
AGE = {
    "question": "age_group", "ja": "年齢層", "en": "Age group", "value": "child", "saidJa": "子ども", "saidEn": "child",
}  # fmt: skip
CHEST = {
    "question": "chest_pain", "ja": "胸痛", "en": "Chest pain", "value": "yes", "saidJa": "はい", "saidEn": "yes",
    "severe": True,
}  # fmt: skip
NOT_KNOWN = {
    "question": "weapon", "ja": "凶器", "en": "Weapon seen", "value": "unknown", "saidJa": "不明",
    "saidEn": "not known",
}  # fmt: skip

TOLD = {
    "OBS": {"answers": [NOT_KNOWN, BURNS, BREATH, PEOPLE, HURT | {"counts": "injured"}]},
    "PER": {"answers": [AGE]},
    "MED": {"answers": [CHEST]},
}


def squeezed(text: str) -> str:
    return "".join(text.replace("\u200b", "").split())


READ = {
    "text": lambda brief: render_text(brief, "en"),
    "eido": lambda brief: " ".join(
        note["notesActionComments"] for note in json.loads(write_eido(brief))["notesComponent"]
    ),
    "additional": lambda brief: write_pidf(brief).decode(),
}
JAPANESE = {
    "text_ja": lambda brief: render_text(brief, "ja"),
    "fax": lambda brief: pypdf.PdfReader(io.BytesIO(write_fax(brief))).pages[0].extract_text(),
}

STANDS = {
    "OBS": [("Fire or smoke: yes", "火・煙:はい"), ("Everybody breathing: no", "全員の呼吸:いいえ")],
    "PER": [("Age group: child", "年齢層")],
    "MED": [("Chest pain: yes", "胸痛:はい")],
    "glance": [
        ("Hazards: fire", "火災"),
        ("Danger to life (as heard on the call): yes", "命の危険(通話で確認)"),
        ("People in the car (as heard): 3", "乗員数(通話で確認)"),
        ("People hurt (as heard): 2", "負傷者数(通話で確認)"),
    ],
}
"""By category, and of what is told at a glance: the words in the English forms that are read, and in the Japanese."""


@pytest.fixture(scope="session")
def answered(made):
    sections = (Category.LOC, Category.OBS, Category.PER, Category.MED)
    return made(*sections, LOC={"latitude": 35.6, "longitude": 139.7}, **TOLD)


@pytest.mark.parametrize("of", STANDS)
def test_every_answer_stands_in_every_form_that_is_read(answered, of):
    for english, japanese in STANDS[of]:
        assert [form for form, write in READ.items() if english not in write(answered)] == []
        assert [form for form, write in JAPANESE.items() if squeezed(japanese) not in squeezed(write(answered))] == []


@pytest.mark.parametrize(
    ("language", "first", "then"),
    [
        (
            "en",
            "Danger: fire, somebody's life.",
            ("Everybody breathing: no.", "Chest pain: yes.", "Fire or smoke: yes."),
        ),
        ("ja", "危険、火災、命の危険がある人。", ("全員の呼吸、いいえ。", "胸痛、はい。", "火・煙、はい。")),
    ],
)
def test_what_endangers_is_read_in_the_first_sentence_and_what_nobody_knows_is_not_read(
    answered, language, first, then
):
    heard = aloud(speak(answered, language))

    assert first in heard.splitlines()[0]
    assert [each for each in then if each not in heard] == []
    assert "Weapon" not in heard
    assert "凶器" not in heard


@pytest.mark.parametrize("category", [Category.OBS, Category.PER, Category.MED])
def test_an_answer_of_a_category_that_is_withheld_is_in_no_form_and_feeds_none(made, category):
    others = [each for each in (Category.OBS, Category.PER, Category.MED) if each is not category]
    brief = made(Category.LOC, *others, **{name: told for name, told in TOLD.items() if name != category})
    said = "".join(squeezed(write(brief)) for write in (READ | JAPANESE).values()) + speak(brief, "en")

    assert [pair for pair in STANDS[category.value] if squeezed(pair[0]) in said or squeezed(pair[1]) in said] == []
    if category is Category.OBS:
        assert "Peopleinthecar" not in said
        assert "火災" not in said


def test_danger_to_life_that_only_a_withheld_answer_tells_of_is_in_no_form(made):
    brief = made(Category.LOC, Category.OBS, OBS={"answers": [PEOPLE]})

    assert [form for form, write in READ.items() if "Danger to life" in write(brief)] == []


def test_a_newer_version_says_what_was_answered_since_and_what_it_was_before(made):
    before, now = {"OBS": {"answers": [BREATH | {"saidEn": "yes"}]}}, {"OBS": {"answers": [BREATH, BURNS]}}
    (change,) = changes(before, now)
    brief = made(Category.OBS, OBS=now["OBS"])

    lines = changed_lines(type(brief)(**{n: getattr(brief, n) for n in brief.__struct_fields__ if n != "changes"},
                                      changes=(change,)), "en")  # fmt: skip

    assert lines == ["* changed: Everybody breathing: no (yes → no)", "* changed: Fire or smoke: yes"]


def test_what_is_no_answer_is_passed_over(made):
    odd = made(Category.OBS, OBS={"answers": [{"question": 3}, "x", BURNS | {"hazard": "earthquake"}]})

    assert "Fire or smoke: yes" in render_text(odd, "en")
    assert "Hazards" not in render_text(odd, "en")
