"""``sos rights``: a subject's walk from the letter to the answer, and everybody who gets nothing."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from pypdf import PdfReader
from typer.testing import CliRunner

from sos.cli import app
from sos.errors import Forbidden, Misconfigured, Refused
from tests.journeys import story as s
from tests.sos.rights.town import (
    HANA,
    HANA_TEL,
    HANA_VIN,
    PASSER_BY,
    TARO,
    TARO_TEL,
    VIN,
    Town,
    call_of_taro,
    kinds,
    settle,
    told_with,
)

TOKENS = {"hanako": "h" * 40, "jiro": "j" * 40, "saburo": "s" * 40}
SUPERVISORS = ("jiro", "saburo")
BLACK = "■■■"


class Desk:
    def __init__(self, directory: Path) -> None:
        self.data, self.directory = directory / "data", directory
        self.data.mkdir()
        operators = "".join(
            f'[[operators]]\nid = "{name}"\nname = "{name}"\ntoken_digest = "{sha256(token.encode()).hexdigest()}"\n'
            f"supervisor = {str(name in SUPERVISORS).lower()}\n"
            for name, token in TOKENS.items()
        )
        tenant = f'[[tenants]]\nid = "demo"\ndomain = "demo.example"\nkey_digests = ["{"0" * 64}"]\n'
        self.config = directory / "sos.toml"
        self.config.write_text(f'data_dir = "{self.data}"\n{operators}{tenant}')
        for name, token in TOKENS.items():
            (directory / name).write_text(token + "\n")

    def say(self, *words: str, by: str = "jiro", given: str | None = None):
        proof = ["--operator", by, "--token-file", str(self.directory / by)] if by else []
        return CliRunner().invoke(app, ["rights", *words, *proof, "--config", str(self.config)], input=given)

    def retention(self, *words: str, by: str = ""):
        proof = ["--operator", by, "--token-file", str(self.directory / by)] if by else []
        return CliRunner().invoke(app, ["retention", *words, *proof, "--config", str(self.config)])

    def walked(self, right: str) -> str:
        """A request of which everything is found; its id."""
        request = self.ask(right)
        self.prove(request)
        self.find(request)
        return request

    def ask(self, right: str = "disclosure", name: str = TARO, tel: str = TARO_TEL, vin: str = VIN) -> str:
        """A request that was taken in; its id."""
        vehicles = [{"scheme": "vin", "value": vin}] if vin else []
        person = {"name": name, "tel": [tel], "vehicles": vehicles, "words": "全部見せてください"}
        asked = self.say("receive", "--right", right, "--person", "-", "--brand", "demo", given=json.dumps(person))
        assert asked.exit_code == 0, asked.output
        return str(asked.output.splitlines()[0])

    def prove(self, request: str) -> None:
        checked = self.say("check", request, "--shown", "driving_licence", "--why", "looked at it at the counter")
        assert checked.exit_code == 0, checked.output

    def find(self, request: str) -> dict[str, Any]:
        found = self.say("find", request, "--json")
        assert found.exit_code == 0, found.output
        told: dict[str, Any] = json.loads(found.output)
        return told

    def answer(self, request: str, *words: str) -> dict[str, Any]:
        where = self.directory / f"answer-{len(list(self.directory.glob('answer-*')))}"
        made = self.say("answer", request, str(where), *words)
        assert made.exit_code == 0, made.output
        told: dict[str, Any] = json.loads((where / "answer.json").read_text())
        self.pdf = where / "answer.pdf"
        return told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def town(desk: Desk) -> Town:
    return asyncio.run(settle(desk.data))


def _streams(hits: list[dict[str, Any]]) -> set[str]:
    return {each["stream"] for each in hits}


def test_a_person_asks_is_known_and_gets_everything_that_is_theirs_and_nothing_else(desk: Desk, town: Town):
    request = desk.ask()
    desk.prove(request)
    found = desk.find(request)

    assert _streams(found["sure"]) == {town.taro, town.taros_car, town.taros_crash}
    assert _streams(found["maybe"]) == {town.call_from_taros_number}

    told = desk.answer(request)
    crash = next(each for each in told["held"] if each["stream"] == town.taros_crash)
    text = json.dumps(told, ensure_ascii=False)

    assert {each["category"] for each in crash["given"]} == {"LOC", "VEH", "TEL", "OWN"}
    assert {"category": "VEH", "what": "ReportFiled", "said": {"idScheme": "vin", "idValue": VIN}}.items() <= next(
        each for each in crash["given"] if each["category"] == "VEH"
    ).items()
    assert {(each["category"], each["why"]) for each in crash["withheld"]} == {
        ("OBS", "words_not_read"),
        ("RAW", "mixed_document"),
    }
    for other in (HANA, HANA_TEL, HANA_VIN):
        assert other not in text
    assert told["complaints"]["en"].startswith("Personal Information Protection Commission")
    assert asyncio.run(kinds(desk.data, town.taros_crash))[-1] == "PartsRead"
    assert asyncio.run(kinds(desk.data, town.taro))[-1] == "RegistryRead"
    assert asyncio.run(kinds(desk.data, request)) == [
        "RightAsked",
        "AskerChecked",
        "AskersDataSearched",
        "RightAnswered",
    ]


def test_the_answer_says_who_was_told_what_on_which_ground_and_that_the_opt_out_was_set_aside(desk: Desk, town: Town):
    request = desk.ask("provision_records")
    desk.prove(request)
    desk.find(request)

    told = desk.answer(request)

    (disclosure,) = told["disclosures"]
    assert disclosure["incident"] == town.taros_crash
    assert disclosure["to"]["id"] == "jp-13-fire"
    assert disclosure["to"]["name"] != "jp-13-fire"
    assert disclosure["ground"]["code"] == "JP-27-1-ii"
    assert "27条1項2号" in disclosure["ground"]["ja"]
    assert disclosure["opt_out"]["clause"] == "demo-terms/1#4.4"
    assert "set aside" in disclosure["opt_out"]["en"]
    assert disclosure["categories"] == ["LOC", "SEV"]
    assert "held" not in told
    assert asyncio.run(kinds(desk.data, town.taros_crash))[-1] == "IncidentClosed"  # headers alone were needed
    page = "".join("".join(each.extract_text() for each in PdfReader(desk.pdf).pages).split())
    assert "27条1項2号" in page
    assert "".join(TARO.split()) in page


def test_words_are_given_once_somebody_has_read_them_and_without_others(desk: Desk, town: Town):
    request = desk.ask()
    desk.prove(request)
    desk.find(request)

    told = desk.answer(request, "--words-read")

    crash = next(each for each in told["held"] if each["stream"] == town.taros_crash)
    (words,) = [each["said"] for each in crash["given"] if each["category"] == "OBS"]
    assert HANA_TEL not in words
    assert BLACK in words


def test_what_is_only_a_hint_is_opened_once_a_person_says_that_it_is_theirs(desk: Desk, town: Town):
    request = desk.ask()
    desk.prove(request)
    desk.find(request)

    silent = desk.say("confirm", request, town.call_from_taros_number, "--why", " ")
    foreign = desk.say("confirm", request, town.hanas_crash, "--why", "says so")
    said = desk.say("confirm", request, town.call_from_taros_number, "--why", "it was their own number, called back")

    assert isinstance(silent.exception, Refused)
    assert isinstance(foreign.exception, Refused)
    assert said.output == "4 are theirs\n"
    told = desk.answer(request)
    assert town.call_from_taros_number in {each["stream"] for each in told["held"]}
    assert not {town.hanas_crash, town.hana} & {each["stream"] for each in told["held"]}


def test_who_is_not_the_person_is_refused_with_the_rule_and_gets_nothing(desk: Desk, town: Town):
    request = desk.ask()
    before = desk.say("find", request)
    refused = desk.say("check", request, "--not-the-person", "--why", "the photograph is of somebody else")
    after = desk.say("find", request)
    answer = desk.say("answer", request, str(desk.directory / "none"))

    assert isinstance(before.exception, Forbidden)
    assert "identity-not-checked" in str(before.exception)
    assert "refused, identity-not-proved (APPI 37(1))" in refused.output
    assert "個人情報保護委員会" in refused.output
    assert isinstance(after.exception, Forbidden)
    assert isinstance(answer.exception, Forbidden)
    assert not (desk.directory / "none").exists()
    assert "PartsRead" not in asyncio.run(kinds(desk.data, town.taros_crash))


def test_somebody_with_the_right_name_and_anothers_number_or_car_gets_no_stream_of_theirs(desk: Desk, town: Town):
    request = desk.ask(name=HANA, tel=TARO_TEL, vin=VIN)
    desk.prove(request)

    found = desk.find(request)

    assert found["sure"] == []
    assert town.taros_crash in _streams(found["maybe"])
    assert desk.answer(request)["held"] == []


def test_the_first_copy_is_free_and_a_further_one_costs_what_the_terms_say(desk: Desk, town: Town):
    request = desk.ask()
    desk.prove(request)
    early = desk.say("answer", request, str(desk.directory / "early"))
    desk.find(request)

    first = desk.answer(request)
    unpaid = desk.say("answer", request, str(desk.directory / "unpaid"))
    second = desk.answer(request, "--fee-paid")

    assert isinstance(early.exception, Refused)
    assert (first["copy"], first["fee_yen"]) == (1, 0)
    assert isinstance(unpaid.exception, Refused)
    assert "fee-not-paid" in str(unpaid.exception)
    assert (second["copy"], second["fee_yen"]) == (2, 500)


def test_it_is_prolonged_once_with_a_reason_and_refused_only_with_a_rule_of_that_right(desk: Desk, town: Town):
    request = desk.ask()

    silent = desk.say("extend", request, "--reason", "much-data", "--why", "")
    longer = desk.say("extend", request, "--reason", "much-data", "--why", "300 records")
    twice = desk.say("extend", request, "--reason", "much-data", "--why", "300 records more")
    wrong = desk.say("refuse", request, "--rule", "not-wrong", "--why", "looked into")
    right = desk.say("refuse", request, "--rule", "other-law", "--why", "a court forbids it")

    assert isinstance(silent.exception, Refused)
    assert longer.exit_code == 0
    assert "記録が多い" in longer.output
    assert isinstance(twice.exception, Refused)
    assert wrong.exit_code != 0
    assert "refused, other-law (APPI 33(2)(iii))" in right.output
    assert json.loads(desk.say("list", "--json", by="").output) == []
    assert json.loads(desk.say("list", "--all", "--json", by="").output)[0]["rule"] == "other-law"


def test_only_a_supervisor_works_at_it_and_a_brand_must_be_one(desk: Desk, town: Town):
    person = json.dumps({"name": TARO})
    operator = desk.say("receive", "--right", "disclosure", "--person", "-", by="hanako", given=person)
    brand = desk.say("receive", "--right", "disclosure", "--person", "-", "--brand", "none", given=person)

    assert isinstance(operator.exception, Forbidden)
    assert isinstance(brand.exception, Misconfigured)


def test_who_asked_is_shown_on_the_record(desk: Desk, town: Town):
    request = desk.ask()

    shown = json.loads(desk.say("show", request).output)

    assert shown["claim"]["name"] == TARO
    assert asyncio.run(kinds(desk.data, request)) == ["RightAsked", "RightRead"]
    assert TARO not in desk.say("list", by="").output


def test_the_index_made_anew_finds_the_same(desk: Desk, town: Town):
    request = desk.ask()
    desk.prove(request)
    before = desk.find(request)

    again = desk.say("index", "--again", by="")

    assert again.exit_code == 0
    assert desk.find(request) == before
    assert PASSER_BY not in json.dumps(before)


def _owed(desk: Desk, queue: str) -> list[tuple[str, str, str]]:
    told = json.loads(desk.say(queue, "due", "--json", by="").output)
    return [(each["incident"], each["owed"]["obligation"], each["owed"]["about"]) for each in told]


def test_the_later_notice_and_the_second_look_wait_until_somebody_says_how_they_ended(desk: Desk):
    codes = ("later_notification", "review_within_a_day")
    stream = asyncio.run(told_with(desk.data, *codes, supervisor="jiro"))
    assert _owed(desk, "notices") == [(stream, "later_notification", "person")]
    assert _owed(desk, "reviews") == [(stream, "review_within_a_day", "d1")]

    letter = desk.say("notices", "letter", stream, by="")
    silent = desk.say("notices", "sent", stream, "--why", " ")
    sent = desk.say("notices", "sent", stream, "--why", "a letter to the address of the contract")
    again = desk.say("notices", "sent", stream, "--why", "a letter")
    own = desk.say("reviews", "done", stream, "d1", "--outcome", "in_order", "--why", "looked at it")
    other = desk.say(
        "reviews", "done", stream, "d1", "--outcome", "too_much", "--why", "more than was needed", by="saburo"
    )

    assert "27条1項2号" in letter.output
    assert "jp-13-fire" not in letter.output
    assert isinstance(silent.exception, Refused)
    assert sent.exit_code == other.exit_code == 0
    assert isinstance(again.exception, Refused)
    assert isinstance(own.exception, Refused)
    assert "nobody reviews their own decision" in str(own.exception)
    assert "A breach" in other.output
    assert _owed(desk, "notices") == _owed(desk, "reviews") == []


def test_an_operator_who_is_no_supervisor_ends_neither(desk: Desk):
    stream = asyncio.run(told_with(desk.data, "later_notification"))

    assert isinstance(desk.say("notices", "sent", stream, "--why", "sent", by="hanako").exception, Forbidden)
    assert _owed(desk, "notices") != []


def test_a_correction_keeps_both_values_and_every_later_answer_shows_them(desk: Desk, town: Town):
    request = desk.walked("correction")
    change = ("--category", "OWN", "--field", "name", "--value-file", "-", "--why", "the driving licence")

    foreign = desk.say("correct", request, town.hana, *change, given="架空 太朗")
    nothing = desk.say("correct", request, town.taro, *change[:3], "nickname", *change[4:], given="太郎")
    early = desk.say("done", request, "--why", "told")
    right = desk.say("correct", request, town.taro, *change, given="架空 太朗")
    done = desk.say("done", request, "--why", "a letter says so")
    later = desk.answer(desk.walked("disclosure"))

    for refused in (foreign, nothing, early):
        assert isinstance(refused.exception, Refused)
    assert right.exit_code == done.exit_code == 0, right.output
    record = next(each for each in later["held"] if each["stream"] == town.taro)
    assert record["corrections"] == [{"category": "OWN", "field": "name", "held": TARO, "right": "架空 太朗"}]
    assert TARO in json.dumps(record["given"], ensure_ascii=False)
    page = "".join("".join(each.extract_text() for each in PdfReader(desk.pdf).pages).split())
    assert f"訂正name:登録{TARO}訂正後架空太朗".replace(" ", "") in page
    assert "ProfileChanged" not in json.dumps(record["changes"])


def test_what_no_duty_keeps_is_destroyed_by_two_people_and_is_a_stub_in_the_next_answer(desk: Desk, town: Town):
    request = desk.walked("deletion")

    said = desk.say("erase", request)
    listed = json.loads(desk.retention("due", "--json").output)
    alone = desk.retention("run", listed["disposal"])
    for person in ("hanako", "jiro"):
        assert desk.retention("approve", listed["disposal"], by=person).exit_code == 0
    done = desk.retention("run", listed["disposal"])
    desk.say("done", request, "--why", "a letter says what went and what is kept")
    crash = next(each for each in desk.answer(desk.walked("disclosure"))["held"] if each["stream"] == town.taros_crash)

    assert f"to go  {town.taros_crash}  RAW" in said.output
    assert f"kept   {town.taros_crash}  LOC  agency-told" in said.output
    assert f"kept   {town.taro}  OWN  own-period" in said.output
    assert town.hanas_crash not in said.output
    assert listed["classes"] == {"incident-raw-1y": 1}
    assert isinstance(alone.exception, Refused)
    assert "destroyed 1 of 1" in done.output
    assert [each["category"] for each in crash["destroyed"]] == ["RAW"]
    assert "RAW" not in {each["category"] for each in (*crash["given"], *crash["withheld"])}


def test_what_is_held_for_a_court_goes_nowhere(desk: Desk, town: Town):
    held = desk.retention("hold", town.taros_crash, "--ground", "litigation", "--why", "架空の訴訟", by="hanako")
    request = desk.walked("cease_use")

    said = desk.say("erase", request)
    refused = desk.say("refuse", request, "--rule", "duty-to-keep", "--why", "it is held for a court")

    assert held.exit_code == 0
    assert "0 are due from now" in said.output
    assert f"{town.taros_crash}  RAW  held" in said.output
    assert "nothing is due" in desk.retention("due").output
    assert "refused, duty-to-keep (APPI 35(6))" in refused.output


def test_nothing_is_erased_for_who_asks_for_something_else_or_is_not_known(desk: Desk, town: Town):
    access, unknown = desk.walked("disclosure"), desk.ask("deletion")

    assert isinstance(desk.say("erase", access).exception, Refused)
    assert isinstance(desk.say("erase", unknown).exception, Forbidden)
    assert "nothing is due" in desk.retention("due").output


def test_a_breach_names_the_people_and_is_over_once_all_that_wait_were_told(desk: Desk, town: Town):
    opened = desk.say(
        "breach",
        "open",
        "--what",
        "wrong_recipient",
        "--category",
        "MED",
        "--known-at",
        "2026-01-01",
        "--why",
        "誤送信",
    )
    breach = opened.output.split()[0]
    affected = desk.say("breach", "affects", breach, town.taros_crash, town.taros_car, town.hana, "--why", "the list")
    nobody = desk.say("breach", "affects", breach, "no-such-stream", "--why", "the list")
    listed = desk.directory / "people.json"
    assert desk.say("breach", "persons", breach, str(listed)).exit_code == 0
    people = json.loads(listed.read_text())
    stages = [
        desk.say("breach", "reported", breach, "--stage", stage, "--why", "PPC, number 1").exit_code
        for stage in ("preliminary", "persons", "final")
    ]
    twice = desk.say("breach", "reported", breach, "--stage", "final", "--why", "again")

    assert "preliminary  due 2026-01-04T00:00:00" in opened.output
    assert "final        due 2026-01-31T00:00:00" in opened.output
    assert affected.exit_code == 0, affected.output
    assert isinstance(nobody.exception, Refused)
    assert {each["person"]: (each["name"], each["tel"]) for each in people} == {
        town.taro: (TARO, TARO_TEL),
        town.hana: (HANA, HANA_TEL),
    }
    assert {*people[0]["because_of"], *people[1]["because_of"]} == {town.taros_crash, town.taros_car, town.hana}
    assert stages == [0, 0, 0]
    assert isinstance(twice.exception, Refused)
    happened = asyncio.run(kinds(desk.data, breach))
    assert happened.index("BreachListed") == 2
    assert asyncio.run(kinds(desk.data, town.taro))[-1] == "RegistryRead"


def test_malice_has_sixty_days_and_what_nobody_can_open_is_reported_to_nobody(desk: Desk, town: Town):
    said = ("breach", "open", "--known-at", "2026-01-01", "--why", "words")

    malice = desk.say(*said, "--what", "intrusion", "--malicious")
    shut = desk.say(*said, "--what", "lost_device", "--category", "MED", "--encrypted")
    slight = desk.say(*said, "--what", "wrong_recipient", "--category", "LOC")
    strange = desk.say(*said, "--what", "bad_luck")
    future = desk.say("breach", "open", "--known-at", "2199-01-01", "--what", "other", "--why", "words")
    silent = desk.say("breach", "open", "--what", "other", "--why", " ")

    assert "final        due 2026-03-02T00:00:00" in malice.output
    assert "to be reported to nobody" in shut.output
    assert "to be reported to nobody" in slight.output
    for refused in (strange, future, silent):
        assert isinstance(refused.exception, Refused)
    assert len(json.loads(desk.say("breach", "list", "--json", by="").output)) == 3


def test_what_went_altogether_is_known_of_by_the_request_that_had_it_erased(desk: Desk):
    stream = asyncio.run(call_of_taro(desk.data))
    request = desk.walked("cease_use")
    said = desk.say("erase", request)
    disposal = json.loads(desk.retention("due", "--json").output)["disposal"]
    for person in ("hanako", "jiro"):
        desk.retention("approve", disposal, by=person)
    desk.retention("run", disposal)

    later = desk.answer(desk.walked("disclosure"))

    assert "0 are kept" in said.output
    gone = next(each for each in later["held"] if each["stream"] == stream)
    assert (gone["given"], gone["withheld"]) == ([], [])
    assert {each["category"] for each in gone["destroyed"]} >= {"OWN", "RAW", "LOC"}


def test_an_inquiry_is_told_of_once_somebody_has_seen_that_it_hinders_nothing(desk: Desk):
    looked = s.read_parts(purpose="request", reason="the letter of the sergeant")
    agreed = (s.approve("hanako"), s.approve("jiro", supervises=True))
    asyncio.run(call_of_taro(desk.data, s.ask(), *agreed, s.answer_request(), looked))
    request = desk.walked("disclosure")

    quiet, open_ = desk.answer(request, "--words-read"), desk.answer(request, "--inquiries", "--fee-paid")

    assert quiet["disclosures"] == []
    assert not [each for each in ("Request", "sergeant", "197(2)") if each in json.dumps(quiet["held"])]
    assert "request" not in {each["purpose"] for each in quiet["looked_at"]}
    assert "request" in {each["purpose"] for each in open_["looked_at"]}
    assert [each["path"] for each in open_["disclosures"]] == ["inquiry"]


def test_what_was_said_of_a_persons_health_is_given_to_who_is_known_to_be_that_person(desk: Desk):
    heard = replace(s.answer_card(), answer=b'{"answer":"gasping"}')
    stream = asyncio.run(call_of_taro(desk.data, s.take_medical(), heard))
    request = desk.walked("disclosure")

    before = desk.answer(request, "--words-read")["held"]
    said = desk.say("confirm", request, stream, "--why", "was alone in the car, says the fire brigade")
    after = desk.answer(request, "--words-read", "--fee-paid")["held"]

    for words in ("allergic", "gasping"):
        assert words not in json.dumps(before)
        assert words in json.dumps(after)
    assert ("MED", "not_known_to_be_the_person") in {(w["category"], w["why"]) for w in before[0]["withheld"]}
    assert said.exit_code == 0
