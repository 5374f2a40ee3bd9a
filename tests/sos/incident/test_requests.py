"""Somebody outside asks: what is taken down, found out and agreed to, and by whom, before anything is given out."""

import msgspec
import pytest

from routing.categories import Category
from routing.law.codes import Fact, Path
from routing.services import Recipient
from sos.errors import Forbidden, Refused
from sos.incident import commands as c
from sos.incident import requests
from sos.incident.model import AlarmKind, Disposition
from tests.journeys import story as s
from tests.journeys.story import Story


def asked(*commands: c.Command, ask: c.ReceiveRequest | None = None) -> Story:
    made = Story()
    for command in (s.open_incident(), ask or s.ask(), *commands):
        made.do(command, after_s=1)
    return made


def facts(made: Story, home: str = "JP") -> frozenset[Fact]:
    return requests.facts(made.incident.asked[0], home=home)


def test_a_request_names_who_asks_for_which_body_and_where_they_can_be_called_back():
    for missing in ("issuer", "person", "call_back"):
        with pytest.raises(Refused, match="called back"):
            asked(ask=msgspec.structs.replace(s.ask(), **{missing: " "}))


@pytest.mark.parametrize("path", [Path.INQUIRY, Path.COURT_ORDER])
@pytest.mark.parametrize("missing", ["document", "reference"])
def test_an_inquiry_or_an_order_is_a_document_with_a_number(path: Path, missing: str):
    with pytest.raises(Refused, match="a document with a number"):
        asked(ask=msgspec.structs.replace(s.ask(path=path), **{missing: ""}))


def test_what_was_written_down_is_sealed_and_in_no_header():
    made = asked()

    header = msgspec.json.encode(made.recorded[-1])
    assert not [word for word in (b"sergeant", b"station", b"no. 17", b"+8130") if word in header]


def test_a_fact_is_found_out_by_somebody_in_words_and_never_ticked():
    made = asked()
    assert Fact.DOCUMENT_ON_FILE not in facts(made)

    with pytest.raises(Refused, match="written down"):
        made.do(msgspec.structs.replace(s.check(), words=""))
    made.do(s.check())

    assert Fact.DOCUMENT_ON_FILE in facts(made)
    assert made.recorded[-1].event.by == "hanako"
    assert made.do(s.check()) == ()


@pytest.mark.parametrize("fact", sorted(requests.ON_PAPER))
def test_without_a_document_nothing_is_found_that_stands_on_paper(fact: Fact):
    made = asked(ask=s.ask(path=Path.PUBLIC_TASK, document=""))

    with pytest.raises(Refused, match="no document"):
        made.do(s.check(fact, supervises=True))


@pytest.mark.parametrize("fact", sorted(requests.BY_SUPERVISOR))
def test_some_things_only_a_supervisor_can_say(fact: Fact):
    with pytest.raises(Forbidden):
        asked().do(s.check(fact))
    assert fact in facts(asked(s.check(fact, supervises=True)))


@pytest.mark.parametrize("fact", [Fact.TWO_PERSON_APPROVAL, Fact.PUBLIC_BODY_ASKS, Fact.PERSON_AGREES])
def test_what_follows_from_the_record_cannot_be_said_beside_it(fact: Fact):
    with pytest.raises(Refused, match="not found out by asking"):
        asked().do(s.check(fact, supervises=True))


def test_what_follows_from_the_request_itself():
    police = asked(ask=s.ask(recipient=Recipient.POL, path=Path.PUBLIC_TASK, document=""))
    assert facts(police) == {Fact.PUBLIC_BODY_ASKS, Fact.RESCUE_BODY_REQUESTS, Fact.STATUTORY_TASK_STATED}
    carrier = asked(ask=s.ask(recipient=Recipient.DHQ, path=Path.CARRIER_REQUEST))
    assert Fact.CARRIER_DATA in facts(carrier)
    abroad = asked(ask=s.ask(country="KR"))
    assert Fact.RECIPIENT_ABROAD in facts(abroad)
    unnamed = asked(ask=msgspec.structs.replace(s.ask(), provision=""))
    assert Fact.STATUTORY_TASK_STATED not in facts(unnamed)


def test_two_people_are_two_different_ones_and_one_is_a_supervisor():
    made = asked(s.approve("hanako"), s.approve("hanako", supervises=True))
    assert Fact.TWO_PERSON_APPROVAL not in facts(made)
    made.do(s.approve("jiro"))
    assert Fact.TWO_PERSON_APPROVAL not in facts(made)
    made.do(s.approve("saburo", supervises=True))
    assert Fact.TWO_PERSON_APPROVAL in facts(made)


@pytest.mark.parametrize("recipient", sorted(requests.TWO_PERSONS))
def test_an_investigator_or_a_court_is_answered_by_two_whatever_a_row_says(recipient: Recipient):
    made = asked(s.approve("hanako"), ask=s.ask(recipient=recipient, path=Path.COURT_ORDER))
    with pytest.raises(Refused, match="two people"):
        made.do(s.answer_request())
    made.do(s.approve("jiro", supervises=True))

    assert made.do(s.answer_request()) == ("RequestAnswered",)


def test_no_more_is_given_out_than_was_asked_for_and_nothing_where_it_is_not_permitted():
    made = asked(s.approve("hanako"), s.approve("jiro", supervises=True))

    with pytest.raises(Refused, match="nobody asked for SEV"):
        made.do(s.answer_request(sections=(Category.LOC, Category.SEV)))
    with pytest.raises(Refused, match="not given out"):
        made.do(s.answer_request(outcome="refer"))
    with pytest.raises(Refused, match="never disclosed"):
        asked(ask=s.ask(scope=(Category.RAW,)))


def test_an_answer_that_permits_is_the_last_and_one_that_does_not_is_not():
    made = asked(s.approve("hanako"), s.approve("jiro", supervises=True))
    made.do(s.answer_request(outcome="refer", sections=()))
    made.do(s.check())
    made.do(s.answer_request())

    for late in (s.answer_request(), s.check(Fact.RISK_OF_DEATH), s.approve("saburo")):
        with pytest.raises(Refused, match="has been answered"):
            made.do(late)


def test_a_request_may_come_and_be_answered_after_the_closing():
    made = Story()
    for command in (s.open_incident(), s.take(), s.close(Disposition.NO_HELP_NEEDED), s.ask()):
        made.do(command, after_s=1)
    for command in (s.check(), s.approve("hanako"), s.approve("jiro", supervises=True)):
        made.do(command, after_s=1)

    assert made.do(s.answer_request(obligations=("data_protection_officer",)), after_s=99_999) == ("RequestAnswered",)
    assert [each.obligation for each in made.incident.owed] == ["data_protection_officer"]


def test_a_request_that_nobody_answers_alarms_again_and_again_until_somebody_does():
    made = asked()
    made.do(c.PassDeadline(name="asked:q1"), after_s=7 * 86_400)
    assert [(one.why, one.about) for one in made.incident.alarms] == [(AlarmKind.OWED, "request:q1")]
    made.do(c.PassDeadline(name="asked:q1"), after_s=86_400)
    assert made.incident.asked[0].late == 2

    made.do(s.refuse_request())

    assert [one.operator for one in made.incident.alarms] == ["hanako"]
    assert dict(requests.due(made.incident)) == {}
    with pytest.raises(Refused, match="has been refused"):
        made.do(s.approve())


@pytest.mark.parametrize("outcome", ["refer", "deny"])
def test_a_request_that_the_law_does_not_permit_waits_for_a_person_as_before(outcome: str):
    """Nobody has told whoever asked anything: it stands on the list, and goes on alarming."""
    made = asked()
    made.do(c.PassDeadline(name="asked:q1"), after_s=7 * 86_400)

    made.do(s.answer_request(outcome=outcome, sections=()))

    assert [one.operator for one in made.incident.alarms] == [None]
    assert list(dict(requests.due(made.incident))) == ["asked:q1"]
    made.do(s.refuse_request())
    assert dict(requests.due(made.incident)) == {}
