"""Each form of a brief: what it must hold, what it must never hold, and that others can read it."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import msgspec
import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from routing.brief import render_text
from routing.brief.eido import write_eido
from routing.brief.fax import FACTS, _page, _shown, japanese, write_fax
from routing.brief.pidf import write_pidf
from routing.brief.spelling import digits
from routing.brief.spoken import AT_MOST_S, aloud, grid, seconds, speak, telephone
from routing.categories import DISCLOSABLE, Category
from routing.errors import Misconfigured
from routing.position import pidf
from routing.position.shapes import Circle, Point

from .conftest import MARKS

ROOT = Path(__file__).resolve().parents[3]
EIDO = jsonschema_rs.validator_for(
    json.loads((ROOT / "routing" / "brief" / "eido.schema.json").read_text()), validate_formats=True
)
TOLD = (Category.LOC, Category.VEH, Category.SEV, Category.TEL, Category.PER, Category.OBS)

WRITTEN = {
    "eido": lambda brief: write_eido(brief).decode(),
    "pidf": lambda brief: (write_pidf(brief) or b"").decode(),
    "spoken_ja": lambda brief: speak(brief, "ja"),
    "spoken_en": lambda brief: speak(brief, "en"),
    "text_ja": lambda brief: render_text(brief, "ja"),
    "text_en": lambda brief: render_text(brief, "en"),
}


def page_of(brief):
    (page,) = pypdf.PdfReader(io.BytesIO(write_fax(brief))).pages
    return page


@pytest.mark.parametrize("form", WRITTEN)
def test_every_form_names_incident_disclosure_version_ground_and_time(made, form):
    text = WRITTEN[form](made(*TOLD))

    assert "urn:emergency:uid:incidentid:01a1fdec-8e60-73ad-8e54-ec6fd8eec267:demo.sos.example" in text
    assert "0192-d" in text
    assert "JP-01 / JP-27-1-ii / APPI-2024-04-01" in text
    assert "2026-11-21" in text


def _asked(made):
    until = datetime(2026, 11, 21, 4, 12, 30, tzinfo=UTC)
    return replace(made(*TOLD), code="40219876", call_back_until=until)


@pytest.mark.parametrize("form", sorted({*WRITTEN, "json", "pdf"} - {"pidf"}))
def test_every_form_that_a_person_reads_says_what_to_quote_on_the_telephone_and_until_when_the_car_answers(made, form):
    brief = _asked(made)
    language = "en" if form.endswith("en") or form == "eido" else "ja"
    if form == "json":
        text = msgspec.json.encode(brief).decode()
    else:
        text = page_of(brief).extract_text() if form == "pdf" else WRITTEN[form](brief)

    if form.startswith("spoken"):
        assert digits("4021", language) in text
        assert digits("9876", language) in text
        assert "13時12分まで" in text if language == "ja" else "until 13 12" in text
    elif form == "json":
        assert '"code":"40219876"' in text
        assert "2026-11-21T04:12:30Z" in text
    else:
        assert "4021 9876" in text
        assert "2026-11-21 13:12:30" in text


@given(categories=st.sets(st.sampled_from(sorted(DISCLOSABLE)), max_size=6))
def test_what_is_withheld_is_in_no_form_whatever_is_told(made, categories):
    brief = made(*categories) if categories else made(Category.SEV, SEV={"summary": ""})
    withheld = [mark for category in DISCLOSABLE if category.value not in brief.sections for mark in MARKS[category]]

    for form, write in WRITTEN.items():
        text = write(brief)
        assert not [mark for mark in withheld if mark in text], form


@pytest.mark.parametrize("withheld", sorted(DISCLOSABLE))
def test_what_is_withheld_is_not_on_the_page_for_the_fax(made, withheld):
    text = page_of(made(*(each for each in DISCLOSABLE if each is not withheld))).extract_text()

    assert not [mark for mark in MARKS[withheld] if mark in text]


def test_a_version_after_the_first_says_in_every_form_what_changed(made):
    first = made(*TOLD)
    second = made(*TOLD, before=first, VEH={"occupants": 3}, OBS={"notes": ["意識なし", "MarkOBS", "呼吸あり"]})

    assert "乗員数 (2 → 3)" in render_text(second, "ja")
    assert "+ MarkOBS、呼吸あり" in render_text(second, "ja")
    assert "Occupants (2 → 3)" in write_eido(second).decode()
    assert "Occupants (2 → 3)" in write_pidf(second).decode()
    assert "変わったのは、乗員数、聴取内容です。" in speak(second, "ja")
    assert "乗員数(2→3)" in page_of(second).extract_text().replace(" ", "")


def test_changes_tell_nothing_of_a_category_that_is_withheld_now(made):
    second = made(Category.LOC, before=made(*TOLD), LOC={"latitude": 35.7})

    assert [(change.category, change.field, change.how, change.was) for change in second.changes] == [
        ("LOC", "latitude", "changed", 35.681236)
    ]


def test_an_exercise_says_so_in_every_form(made):
    brief = made(*TOLD, exercise=True)

    assert "EXERCISE: send nobody" in write_eido(brief).decode()
    assert "EXERCISE: send nobody" in write_pidf(brief).decode()
    assert aloud(speak(brief, "ja")).startswith("訓練、訓練です。")
    assert aloud(speak(brief, "en")).startswith("Exercise, exercise.")
    assert "訓練" in page_of(brief).extract_text()


# --- EIDO ---


@given(categories=st.sets(st.sampled_from(sorted(DISCLOSABLE))))
def test_an_eido_is_valid_and_every_reference_in_it_leads_somewhere(made, categories):
    document = json.loads(write_eido(made(*categories)))

    assert not [fault.message for fault in EIDO.iter_errors(document)]
    components = [
        each
        for name, part in document.items()
        if name.endswith("Component") and isinstance(part, list)
        for each in part
    ]
    known = {component["$id"] for component in components}
    asked = set(re.findall(r'"\$ref":"([^"]+)"', json.dumps(document, separators=(",", ":"))))
    assert asked <= known


def test_an_eido_of_another_shape_is_refused_by_the_schema():
    assert not EIDO.is_valid({"$id": "urn:emergency:uid:incidentid:a:b", "eidoVersion": "1.0"})


def test_an_eido_holds_the_place_as_pidf_the_vehicle_as_niem_and_the_call_back_as_a_uri(made):
    document = json.loads(write_eido(made(*TOLD)))

    place = pidf.read(document["locationComponent"][0]["locationByValue"].encode())
    assert place.locations[0].shape == Circle(35.681236, 139.767125, 12.0)
    vehicle = document["vehicleComponent"][0]["ncVehicleComponent"]
    assert vehicle["ncVehicleIdentification"] == {"ncIdentificationId": "WM9VDSVDSYA123456"}
    assert vehicle["ncConveyancePassengerQuantity"] == 2
    assert document["callbackComponent"][0]["callBackInformationUri"] == ["tel:+81300007733"]
    assert {each["$id"] for each in document["agencyComponent"]} == {"demo.sos.example", "jp-13-fire"}


def test_what_people_typed_is_no_markup_in_an_eido(made):
    document = json.loads(write_eido(made(Category.OBS, OBS={"notes": ["<img src=x onerror=alert(1)> & more"]})))

    assert not [note for note in document["notesComponent"] if "<" in note["notesActionComments"]]


# --- PIDF-LO with Additional Data ---


def test_a_pidf_reads_back_as_the_place_with_its_uncertainty(made):
    read = pidf.read(write_pidf(made(*TOLD)))

    assert read.entity == "pres:01a1fdec-8e60-73ad-8e54-ec6fd8eec267@demo.sos.example"
    assert read.locations[0].shape == Circle(35.681236, 139.767125, 12.0)
    plain = pidf.read(write_pidf(made(Category.LOC, LOC={"horizontalAccuracy": None, "timestamp": "soon"})))
    assert (plain.locations[0].shape, plain.locations[0].timestamp) == (Point(35.681236, 139.767125), None)


def test_there_is_no_pidf_without_a_place(made):
    assert write_pidf(made(Category.VEH)) is None
    assert write_pidf(made(Category.LOC, LOC={"latitude": None, "longitude": None})) is None


def block(brief, name):
    namespace = f"urn:ietf:params:xml:ns:EmergencyCallData:{name}"
    found = etree.fromstring(write_pidf(brief)).iter(f"{{{namespace}}}EmergencyCallData.{name}")
    return next(found, None)


def texts(element):
    return [(etree.QName(each).localname, each.text) for each in element.iter() if each.text]


def test_the_provider_is_a_telematics_provider_and_all_its_blocks_share_its_reference(made):
    brief = made(*TOLD)

    provider = dict(texts(block(brief, "ProviderInfo")))
    assert provider["TypeOfProvider"] == "Telematics Provider"
    assert provider["ContactURI"] == "tel:+81300000009"
    names = ("ProviderInfo", "ServiceInfo", "DeviceInfo", "SubscriberInfo", "Comment")
    references = {dict(texts(block(brief, name)))["DataProviderReference"] for name in names}
    assert references == {"0192-d.1@demo.sos.example"}


def test_a_subscriber_is_named_only_where_a_person_may_be_named(made):
    assert "MarkPER 太郎" in dict(texts(block(made(Category.LOC, Category.PER), "SubscriberInfo"))).values()
    assert block(made(Category.LOC, Category.VEH, Category.TEL), "SubscriberInfo") is None
    assert block(made(Category.LOC), "DeviceInfo") is None


def test_a_control_character_that_somebody_typed_does_not_break_the_document(made):
    brief = made(Category.LOC, Category.OBS, OBS={"notes": ["a\x00b\x0b\ud7ffc"]})

    assert "ab" in dict(texts(block(brief, "Comment")))["Comment"]


# --- spoken ---


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_spoken_brief_takes_at_most_45_seconds_whatever_was_heard(made, language):
    long = made(*TOLD, OBS={"notes": [f"とても長い記録です。{n}" * 20 for n in range(30)]})

    for brief in (made(*TOLD), long, made(*TOLD, before=made(Category.LOC))):
        assert 10 < seconds(aloud(speak(brief, language)), language) <= AT_MOST_S


def test_the_place_is_said_first_and_what_is_left_out_is_said_to_be_in_writing(made):
    said = aloud(speak(made(*TOLD, OBS={"notes": ["とても長い記録です。" * 20] * 9}), "ja")).splitlines()

    assert said[1].startswith("場所は、東京都。格子、")
    assert said[-1] == "以上、続きは書面で送ります。"


def test_the_newest_words_are_said_before_the_older_ones(made):
    said = aloud(speak(made(Category.OBS), "ja"))

    assert said.index("MarkOBS") < said.index("意識なし")


def test_registered_medical_data_is_read_aloud_where_it_is_told_and_not_mentioned_where_it_is_withheld(made):
    told = made(MED={"medical": "ペニシリン禁"})

    assert "登録された医療情報は、ペニシリン禁。" in aloud(speak(told, "ja"))
    assert "Registered medical data" in aloud(speak(told, "en"))
    assert "医療" not in aloud(speak(made(Category.LOC, Category.OBS), "ja"))


def test_telephone_numbers_are_read_in_groups_and_letters_by_name():
    assert telephone("+81 3-0000-1234", "ja") == "ゼロ サン、ゼロ ゼロ ゼロ ゼロ、イチ ニ サン ヨン"
    assert telephone("+819000001234", "ja") == "ゼロ キュー ゼロ、ゼロ ゼロ ゼロ ゼロ、イチ ニ サン ヨン"
    assert telephone("+1 555 0100", "en") == "one five five, five, zero one zero zero"
    assert digits("54SUE", "en") == "five four Sierra Uniform Echo"
    assert digits("54SUE", "ja") == "ゴー ヨン エス ユー イー"
    assert grid(35.681236, 139.767125, "en").startswith("five four Sierra, Uniform Echo, eight eight four three, ")


def test_an_unknown_position_is_said_and_a_withheld_one_is_not_mentioned(made):
    assert "場所は分かりません。" in speak(made(Category.LOC, LOC={"latitude": None}), "ja")
    assert "場所" not in speak(made(Category.VEH), "ja")


def test_that_nobody_answers_is_read_aloud_and_that_nobody_was_asked_is_not(made):
    silent, asked = made(Category.OBS, OBS={"response": "noResponse"}), made(Category.OBS, OBS={"response": "answered"})

    assert "呼びかけに反応がありません。" in speak(silent, "ja")
    assert "Nobody in the vehicle answers." in speak(silent, "en")
    assert "呼びかけへの反応: なし" in render_text(silent, "ja")
    assert "反応" not in speak(asked, "ja") + speak(made(Category.OBS, OBS={}), "ja")


# --- fax ---


def test_the_fax_is_one_page_of_a4_with_its_fonts_embedded(made):
    page = page_of(made(*TOLD))

    assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]
    for font in page["/Resources"]["/Font"].values():
        (inner,) = font.get_object()["/DescendantFonts"]
        described = inner.get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(described)
    text = page.extract_text()
    assert "架空東京消防本部" in text
    assert "35.681236" in text
    assert "+81 3-0000-7733" in text


@pytest.mark.parametrize(
    "notes",
    [
        ["とても長い記録です。" * 300, "second"],
        ["行\n" * 400],
        ["x" * 5000],
        ["#set page(height: 10cm) *bold* $x^2$ @ref <label> [content] \\ //"],
    ],
)
def test_however_long_or_odd_the_notes_are_the_page_stays_one_and_says_where_the_rest_is(made, notes):
    page = page_of(made(*DISCLOSABLE, OBS={"notes": notes}, SEV={f"field{n}": "y" * 90 for n in range(40)}))

    text = page.extract_text().replace("\n", "").replace(" ", "")
    assert "続きあり" in text
    assert "提供番号0192-d版1にて照会ください" in text
    assert "受信の確認は折り返しの電話で" in text


@pytest.mark.parametrize("note", ["🚗💥 衝突", "a\x00\x07b\u202ec", "مرحبا", "한국어 中文 𠮷野家 髙橋"])
def test_no_character_that_somebody_typed_keeps_the_page_from_being_made(made, note):
    assert "架空東京消防本部" in page_of(made(Category.OBS, OBS={"notes": [note]})).extract_text()


@pytest.mark.parametrize("colour", ["white", "White"])
@pytest.mark.parametrize("form", ["spoken", "text", "fax"])
def test_a_colour_is_said_in_the_language_of_the_form(made, form, colour):
    brief = made(*TOLD, VEH={"exteriorColor": colour})

    said = {"spoken": lambda: speak(brief, "ja"), "text": lambda: render_text(brief, "ja")}
    words = said[form]() if form in said else page_of(brief).extract_text()

    assert "白" in words
    assert "white" not in words.lower()
    assert "white" in WRITTEN["text_en"](brief)


LONGEST = {
    "ja": "鹿児島県薩摩川内市上甑町中甑字長い名前の集落三丁目四番五号の付近にある高速道路の下り線",
    "en": "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch Metropolitan Borough",
    "capitals": "W" * 90,
}


@pytest.mark.parametrize("longest", LONGEST)
def test_the_longest_values_stay_in_their_cells_and_leave_room_for_number_and_words(made, longest):
    text = LONGEST[longest]
    brief = made(
        *TOLD,
        LOC={"prefectureName": text, "municipalityName": text, "reported": text, "trusted": False},
        VEH={"brand": text, "model": text, "exteriorColor": text, "licensePlate": text[:40]},
        SEV={"summary": text * 4, "deltaVX": -41.512345678901234},
        OBS={"notes": [text * 3, "最後の言葉"]},
    )
    seen = []

    def look(part, _, matrix, __, size):
        if part.strip():
            seen.append((matrix[4], part.strip(), abs(matrix[3]) * size))

    page_of(brief).extract_text(visitor_text=look)

    whole = "".join(part for _, part, _ in seen)
    assert "+81 3-0000-7733" in whole
    assert "最後の言葉" in whole
    assert "受信の確認は折り返しの電話で" in whole
    assert not re.search(r"\d{16}|\{\"", whole)
    facts = _page(brief)["facts"]
    for name, value in facts:
        assert all(len(run) <= 20 for run in re.findall(r"[!-~]+", name + "\u200b" + value)), value


def test_the_table_of_the_sheet_has_room_for_whole_rows_and_no_more():
    short, long = ("名称", "値"), ("名称", "鹿児島県薩摩川内市上甑町" * 20)

    room = _shown([long] * FACTS)

    assert _shown([short] * FACTS) == FACTS
    assert room % 2 == 0
    assert 0 < room < FACTS
    assert _shown([long] * room) == FACTS
    assert _shown([*[long] * room, long, short]) == room


def test_the_same_brief_gives_the_same_bytes_so_that_its_digest_can_be_checked(made):
    assert write_fax(made(*TOLD)) == write_fax(made(*TOLD))


def test_nothing_on_the_page_is_smaller_than_ten_points(made):
    sizes = []

    def look(text, _, matrix, __, size):
        if text.strip():
            sizes.append(abs(matrix[3]) * size)

    page_of(made(*TOLD, exercise=True)).extract_text(visitor_text=look)

    assert min(sizes) >= 10


def test_a_machine_without_a_japanese_font_says_what_to_install():
    assert japanese(["DejaVu Sans", "IPAexGothic", "Noto Sans CJK JP"]) == ("Noto Sans CJK JP", "IPAexGothic")
    with pytest.raises(Misconfigured, match="fonts-noto-cjk"):
        japanese(["DejaVu Sans"])
