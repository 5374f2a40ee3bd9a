"""Somebody outside asks: what they are given, by which row, and what no row gives them."""

import hashlib

import msgspec
import pytest

from routing.categories import Category
from routing.law import Fact, Path, RuleBook
from routing.services import Recipient
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.policy import Policy
from sos.errors import Refused
from sos.incident.events import RequestAnswered
from sos.incident.model import Disposition, OperatorId, RequestId, TenantId
from tests.journeys import story as s

HANAKO, Q = OperatorId("hanako"), RequestId("q1")
BOTH = (s.approve("hanako"), s.approve("jiro", supervises=True))


@pytest.fixture
def disclosures(journal, directory) -> Disclosures:
    return Disclosures(
        journal,
        directory=directory,
        rules=RuleBook.shipped(),
        domains={TenantId("acme"): "acme.sos.example"},
        policies={TenantId("acme"): Policy(terms="demo-terms")},
    )


@pytest.fixture
async def incident(journal, arrive):
    made = await arrive()
    copied = msgspec.structs.replace(s.copy_registered(), parts={Category.MED: b'{"medical":"Mark-MED"}'})
    await journal.execute(made, copied, actor="system:registry")
    return made


async def _do(journal, incident, *commands):
    for command in commands:
        await journal.execute(incident, command, actor="operator:hanako")


async def _answers(journal, incident) -> list[RequestAnswered]:
    events = [recorded.event for recorded in await journal.store.stream(incident)]
    return [event for event in events if isinstance(event, RequestAnswered)]


async def test_an_inquiry_is_answered_with_what_was_named_and_the_record_holds_the_document(
    journal, disclosures, incident
):
    asked = s.ask(scope=(Category.LOC, Category.MED))
    await _do(journal, incident, asked, s.check(Fact.DOCUMENT_ON_FILE), *BOTH)

    answer = await disclosures.requests.answer(incident, Q, operator=HANAKO)

    (event,) = await _answers(journal, incident)
    assert (event.outcome, event.rule, event.ground) == ("permit", "JP-07", "JP-27-1-i")
    assert (event.categories, event.recipient, event.clause) == (
        (Category.LOC,),
        Recipient.INV,
        "demo-terms/1#4.3",
    )
    assert Category.MED in event.withheld
    assert event.digest == hashlib.sha256(answer.document).hexdigest()
    handed = msgspec.json.decode(answer.document)
    assert (handed["inventory"], set(handed["sections"])) == (["LOC"], {"LOC"})
    assert b"Mark-MED" not in answer.document
    kept = [part.payload for part in await journal.unseal(incident, (Category.RAW,))]
    assert answer.document in kept


NEAREST = {
    "nobody has seen the document": ((s.ask(), *BOTH), "refer", "missing:document_on_file"),
    "one person agrees": (
        (s.ask(), s.check(Fact.DOCUMENT_ON_FILE), s.approve("hanako")),
        "refer",
        "missing:two_person_approval",
    ),
    "two agree and neither is a supervisor": (
        (s.ask(), s.check(Fact.DOCUMENT_ON_FILE), s.approve("hanako"), s.approve("saburo")),
        "refer",
        "missing:two_person_approval",
    ),
}


@pytest.mark.parametrize("case", NEAREST)
async def test_the_nearest_inquiry_is_not_answered_and_it_is_said_why(case, journal, disclosures, incident):
    commands, outcome, why = NEAREST[case]
    await _do(journal, incident, *commands)

    answer = await disclosures.requests.answer(incident, Q, operator=HANAKO)

    assert (answer.outcome, answer.document, answer.sections) == (outcome, b"", {})
    assert ("JP-07", why) in answer.tried


async def test_police_who_ask_by_word_of_mouth_are_logged_and_given_nothing(journal, disclosures, incident):
    oral = s.ask(recipient=Recipient.POL, path=Path.ORAL_REQUEST, document="")
    await _do(journal, incident, oral)
    live = await disclosures.requests.answer(incident, Q, operator=HANAKO)
    assert {each.obligation for each in (await journal.state(incident)).owed} == {"supervisor_within_a_minute"}
    await _do(journal, incident, s.close(Disposition.FALSE_ALARM))
    over = await disclosures.requests.answer(incident, Q, operator=HANAKO)

    assert [(each.outcome, each.rule) for each in (live, over)] == [("refer", "JP-09-L"), ("deny", "JP-09")]


async def test_a_court_gets_medical_data_after_the_closing_and_by_two_people(journal, disclosures, incident):
    await _do(journal, incident, s.close(Disposition.FALSE_ALARM))
    court = s.ask(recipient=Recipient.CRT, path=Path.COURT_ORDER, scope=(Category.MED,))
    await _do(journal, incident, court, s.check(Fact.DOCUMENT_ON_FILE), s.approve("hanako"))
    with pytest.raises(Refused, match="two people"):
        await disclosures.requests.answer(incident, Q, operator=HANAKO)
    await _do(journal, incident, s.approve("jiro", supervises=True))

    answer = await disclosures.requests.answer(incident, Q, operator=HANAKO)

    assert (answer.rule, tuple(answer.sections)) == ("JP-08", (Category.MED,))
    assert b"Mark-MED" in answer.document


async def test_family_is_told_in_words_and_only_once_questions_were_asked(journal, disclosures, incident, clock):
    family = s.ask(recipient=Recipient.FAM, path=Path.FAMILY_ENQUIRY, document="", scope=())
    await _do(journal, incident, family)
    before = await disclosures.requests.answer(incident, Q, operator=HANAKO)
    assert (before.outcome, before.statements) == ("refer", ())
    await _do(journal, incident, s.check(Fact.RELATION_PLAUSIBLE))
    conscious = await disclosures.requests.answer(incident, Q, operator=HANAKO)

    assert conscious.outcome == "refer"  # the person can be asked
    assert ("JP-10", "no_consent_difficulty") in conscious.tried


async def test_commerce_is_stopped_by_the_customer_s_wish_and_needs_its_paper(journal, directory, incident):
    stopped = Disclosures(
        journal,
        directory=directory,
        rules=RuleBook.shipped(),
        domains={TenantId("acme"): "acme.sos.example"},
        policies={TenantId("acme"): Policy(terms="demo-terms", opt_out=True)},
    )
    asked = s.ask(recipient=Recipient.INS, path=Path.COMMERCIAL)
    await _do(journal, incident, asked, s.check(Fact.CONSENT_ON_FILE))

    answer = await stopped.requests.answer(incident, Q, operator=HANAKO)

    assert (answer.outcome, answer.rule) == ("deny", "JP-12")
    assert ("JP-12-C", "opt_out") in answer.tried
