"""The ways to tell an agency: life, a «yes», a third person, a refusal with a supervisor; and a newer brief."""

import msgspec
import pytest

from routing.brief import Sender, read
from routing.brief.eido import write_eido
from routing.categories import Category
from routing.law import Fact, Path, RuleBook
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.forms import digests, prepare
from sos.dispatch.policy import Policy
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import DisclosureDecided, DisclosureReferred
from sos.incident.model import AgencyId, ConsentAnswer, OperatorId, ReferralId, TenantId
from sos.incident.report import canonical

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
HANAKO, JIRO = OperatorId("hanako"), OperatorId("jiro")
TENANT = TenantId("acme")
LIFE = DisclosureRequest(necessity="automatic_crash", consent="no_answer")
SENDER = Sender(domain="acme.sos.example", name_ja="架空センター", name_en="Acme centre", desk_uri="tel:+81300000009")


@pytest.fixture
def disclosures(journal, directory):
    return _disclosures(journal, directory)


def _disclosures(journal, directory, **policy):
    return Disclosures(
        journal,
        directory=directory,
        rules=RuleBook.shipped(),
        domains={TENANT: "acme.sos.example"},
        policies={TENANT: Policy(**{"terms": "demo-terms"} | policy)},
        senders={TENANT: SENDER},
    )


async def _decided(journal, incident):
    stream = await journal.store.stream(incident)
    return [recorded.event for recorded in stream if isinstance(recorded.event, DisclosureDecided)]


async def _briefs(journal, incident):
    parts = await journal.unseal(incident, (Category.RAW,))
    return [(part.payload, read(part.payload)) for part in parts if isinstance(part.recorded.event, DisclosureDecided)]


async def _says(journal, incident, answer, *categories, agencies=()):
    command = c.RecordConsent(answer=answer, categories=categories, agencies=agencies)
    await journal.execute(incident, command, actor="operator:hanako")


async def _approves(journal, incident, *, approved=True):
    """A supervisor answers what was asked last."""
    asked = (await journal.state(incident)).referrals[-1]
    word = c.AnswerReferral(referral=asked.referral, supervisor=JIRO, approved=approved, reason="it is so")
    await journal.execute(incident, word, actor="operator:jiro")


async def test_the_record_names_law_rules_clause_obligations_and_the_digest_of_each_form(journal, arrive, disclosures):
    incident = await arrive()

    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=LIFE)

    (decided,) = await _decided(journal, incident)
    ((payload, brief),) = await _briefs(journal, incident)
    assert (decided.rule, decided.path, decided.clause) == ("JP-01", "life_protection", "demo-terms/1#4.2")
    assert {"necessity", "consent", "later_notification"} <= set(decided.obligations)
    forms = prepare(payload, ("json", "spoken_ja", "spoken_en"))
    assert decided.forms == digests(forms)
    assert decided.rules == RuleBook.shipped().dataset
    assert brief.sender == SENDER
    assert brief.trigger == "automatic"


async def test_what_the_person_agreed_to_is_told_and_no_more(journal, arrive, disclosures):
    incident = await arrive()
    await _says(journal, incident, ConsentAnswer.AGREED, Category.LOC, Category.VEH)

    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=DisclosureRequest(path=Path.AGREED))

    (decided,) = await _decided(journal, incident)
    assert (decided.rule, decided.ground) == ("JP-00", "JP-CONSENT")
    assert set(decided.categories) == {Category.LOC, Category.VEH}
    ((_, brief),) = await _briefs(journal, incident)
    assert set(brief.sections) == {"LOC", "VEH"}


async def test_nobody_agrees_by_a_tick(journal, arrive, disclosures):
    incident = await arrive()
    ticked = DisclosureRequest(path=Path.AGREED, facts=frozenset({Fact.PERSON_AGREES}))

    with pytest.raises(Refused, match="JP-00: missing:person_agrees"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=ticked)


async def test_a_person_who_named_the_fire_brigade_has_not_named_the_police(journal, arrive, disclosures):
    incident = await arrive()
    await _says(journal, incident, ConsentAnswer.AGREED, Category.LOC, agencies=(FIRE,))

    with pytest.raises(Refused, match="did not name"):
        await disclosures.decide(incident, agency=POLICE, operator=HANAKO, request=DisclosureRequest(path=Path.AGREED))


async def test_a_refusal_is_not_walked_around_by_choosing_another_reason(journal, arrive, disclosures):
    incident = await arrive()
    await _says(journal, incident, ConsentAnswer.REFUSED)

    with pytest.raises(Refused, match="the person has refused"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=LIFE)


async def test_against_a_refusal_a_supervisor_is_asked_and_only_another_person_can_approve(
    journal, arrive, disclosures
):
    incident = await arrive()
    await _says(journal, incident, ConsentAnswer.REFUSED)
    request = DisclosureRequest(
        path=Path.REFUSED, necessity="automatic_crash", consent="refused", reason="sounds confused"
    )

    with pytest.raises(Refused, match="JP-05 says refer: a question for a supervisor is on record"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=request)

    (asked,) = (await journal.state(incident)).referrals
    approval = {"referral": asked.referral, "approved": True, "facts": ("capacity_in_doubt",), "reason": "in shock"}
    with pytest.raises(Refused, match="their own request"):
        await journal.execute(incident, c.AnswerReferral(supervisor=HANAKO, **approval), actor="operator:hanako")
    await journal.execute(incident, c.AnswerReferral(supervisor=JIRO, **approval), actor="operator:jiro")
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=request)

    (decided,) = await _decided(journal, incident)
    assert (decided.rule, decided.review) == ("JP-05-C", True)
    assert (decided.referral, decided.supervisor) == (asked.referral, JIRO)
    assert set(decided.categories) <= {Category.LOC, Category.VEH, Category.SEV}


PROPERTY = DisclosureRequest(
    path=Path.PROPERTY,
    necessity="property",
    consent="no_answer",
    reason="the car is being driven away",
    facts=frozenset({Fact.CONSENT_ATTEMPTED}),
)


async def test_an_approval_works_on_the_path_it_was_asked_for(journal, directory, arrive):
    incident = await arrive()
    tells = _disclosures(journal, directory, terms="gmo-linkdrive")
    with pytest.raises(Refused, match=r"a question for a supervisor is on record .*terms_require:supervisor_approved"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)
    await _approves(journal, incident)

    await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)

    (decided,) = await _decided(journal, incident)
    (asked,) = (await journal.state(incident)).referrals
    assert (decided.rule, decided.clause) == ("JP-06", "gmo-linkdrive/2021-07-01#1.8")
    assert (decided.referral, decided.supervisor) == (asked.referral, JIRO)


async def test_an_approval_for_one_reason_serves_no_other(journal, directory, arrive):
    incident = await arrive()
    tells = _disclosures(journal, directory, terms="gmo-linkdrive")
    with pytest.raises(Refused, match="XX-99 says refer: a question for a supervisor is on record"):
        await tells.decide(
            incident, agency=POLICE, operator=HANAKO, request=DisclosureRequest(consent="delay", reason="unsure")
        )
    await _approves(journal, incident)

    with pytest.raises(Refused, match=r"a question for a supervisor is on record .*terms_require:supervisor_approved"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)


async def test_where_no_approval_can_help_nobody_is_asked_again_and_again(journal, directory, arrive):
    """G-Link's terms have no clause for property, so that a yes permits nothing."""
    incident = await arrive()
    tells = _disclosures(journal, directory, terms="g-link")
    with pytest.raises(Refused, match="a question for a supervisor is on record"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)
    await _approves(journal, incident)

    with pytest.raises(Refused, match=r"no approval permits this for property .*JP-06: terms"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)

    assert len((await journal.state(incident)).referrals) == 1


async def test_a_question_that_waits_is_not_asked_twice_and_a_later_no_ends_an_earlier_yes(journal, directory, arrive):
    incident = await arrive()
    tells = _disclosures(journal, directory, terms="gmo-linkdrive")
    with pytest.raises(Refused):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)
    with pytest.raises(Refused, match="on record already"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)
    await _approves(journal, incident)
    again = c.ReferDisclosure(
        referral=ReferralId("again"), agency=POLICE, rule="XX-99", path="property", necessity="", consent="", reason="x"
    )
    await journal.execute(incident, again, actor="operator:hanako")
    await _approves(journal, incident, approved=False)

    with pytest.raises(Refused, match="a question for a supervisor is on record"):
        await tells.decide(incident, agency=POLICE, operator=HANAKO, request=PROPERTY)

    assert await _decided(journal, incident) == []


async def test_the_reasons_given_to_a_supervisor_are_kept_as_personal_data_and_never_told(journal, arrive, disclosures):
    incident = await arrive()
    await _says(journal, incident, ConsentAnswer.REFUSED)
    request = DisclosureRequest(
        path=Path.REFUSED, necessity="automatic_crash", consent="refused", reason="smells of drink"
    )
    with pytest.raises(Refused):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=request)
    third = DisclosureRequest(
        path=Path.THIRD_PARTY,
        necessity="third_person",
        consent="refused",
        facts=frozenset({Fact.THIRD_PARTY_IN_DANGER, Fact.CUSTOMER_DATA_NEEDED}),
    )

    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=third)

    kept = await journal.unseal(incident, (Category.OBS,))
    assert [p.payload for p in kept if isinstance(p.recorded.event, DisclosureReferred)] == [
        canonical({"text": request.reason})
    ]
    ((payload, _),) = await _briefs(journal, incident)
    assert b"drink" not in payload
    assert (await _decided(journal, incident))[0].rule == "JP-02"


async def test_what_no_row_permits_is_asked_of_a_supervisor_when_a_reason_is_given(journal, arrive, disclosures):
    incident = await arrive()

    with pytest.raises(Refused, match=r"XX-99 says refer: .* for a supervisor is on record \(JP-01: no_danger"):
        await disclosures.decide(
            incident, agency=FIRE, operator=HANAKO, request=DisclosureRequest(consent="delay", reason="unsure")
        )
    with pytest.raises(Refused, match="XX-99 says refer"):
        await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=DisclosureRequest(consent="delay"))

    assert len((await journal.state(incident)).referrals) == 1


async def test_an_opt_out_is_overridden_in_an_emergency_and_the_record_shows_it_with_its_clause(
    journal, directory, arrive
):
    incident = await arrive()

    await _disclosures(journal, directory, opt_out=True).decide(incident, agency=FIRE, operator=HANAKO, request=LIFE)

    (decided,) = await _decided(journal, incident)
    assert decided.opt_out_overridden
    assert decided.opt_out_clause == "demo-terms/1#4.4"
    assert "opt_out_override" in decided.obligations


@pytest.mark.parametrize(
    ("terms", "clauses"),
    [("", ("acme-terms/7#12", "acme-terms/7#13")), ("demo-terms", ("demo-terms/1#4.2", "demo-terms/1#4.4"))],
)
async def test_the_vehicles_own_wish_counts_and_the_clause_is_of_the_terms_that_bind(
    journal, directory, arrive, terms, clauses
):
    incident = await arrive()
    disclosures = _disclosures(journal, directory, terms=terms)
    known = c.RecogniseVehicle(
        flags=(),
        pack="acme@0",
        entitlement="entitled",
        opt_out=True,
        profiling=False,
        call_back_window_s=3600,
        clauses=("life_protection=acme-terms/7#12", "opt_out_override=acme-terms/7#13"),
    )
    await journal.execute(incident, known, actor="system:registry")

    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=LIFE)

    (decided,) = await _decided(journal, incident)
    assert decided.opt_out_overridden
    assert (decided.clause, decided.opt_out_clause) == clauses


async def test_a_newer_brief_follows_the_first_and_says_what_changed(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=LIFE)
    note = c.AddNote(category=Category.OBS, text="車内に子ども")
    await journal.execute(incident, note, actor="operator:hanako")

    await disclosures.decide(incident, agency=FIRE, operator=HANAKO, request=msgspec.structs.replace(LIFE, update=True))

    first, second = await _decided(journal, incident)
    assert (second.supersedes, second.brief_version) == (first.disclosure, 2)
    (_, before), (_, after) = await _briefs(journal, incident)
    assert (after.version, after.supersedes) == (2, before.disclosure)
    assert [(change.category, change.field, change.how) for change in after.changes] == [("OBS", "notes", "added")]
    old, new = (await journal.state(incident)).disclosures
    assert (old.superseded, old.pending, new.pending) == (True, False, True)


async def test_there_is_nothing_to_bring_up_to_date_before_anything_was_told(arrive, disclosures):
    incident = await arrive()

    with pytest.raises(Refused, match="has not been told yet"):
        await disclosures.decide(
            incident, agency=FIRE, operator=HANAKO, request=msgspec.structs.replace(LIFE, update=True)
        )


async def test_fields_that_the_row_leaves_out_are_in_neither_the_brief_nor_the_parts(journal, arrive, directory):
    road = next(agency for agency in directory.agencies.values() if agency.service == "road")
    incident = await arrive()

    await _disclosures(journal, directory).decide(
        incident, agency=AgencyId(road.id), operator=HANAKO, request=DisclosureRequest()
    )

    ((_payload, brief),) = await _briefs(journal, incident)
    (decided,) = await _decided(journal, incident)
    assert decided.rule == "JP-11"
    assert set(brief.sections) == {"LOC", "VEH"}
    assert not {"licensePlate", "idScheme", "idValue"} & set(brief.sections["VEH"])
    for part in await journal.unseal(incident, (Category.VEH,)):
        if isinstance(part.recorded.event, DisclosureDecided):
            assert b"idValue" not in part.payload
    assert b"idValue" not in write_eido(brief)
