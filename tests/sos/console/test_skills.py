"""Whose call is for whom: of the desks that are free the best suited rings, and nobody waits for it."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.categories import Category
from sos.clock import SystemClock
from sos.console.acd import Distribution
from sos.console.configured import _skills
from sos.console.desks import Desks
from sos.console.skills import Skills, Wanted, wanted_by
from sos.errors import Misconfigured
from sos.incident import attendance
from sos.incident import commands as c
from sos.incident.model import DeskId, IncidentId, OperatorId, State, TenantId
from sos.incident.report import CallBack, canonical
from sos.journal.journal import Journal
from sos.settings import load
from tests.journeys import story as s

ACME, OKURA = TenantId("acme"), TenantId("okura")
SKILLS = {
    OperatorId("hanako"): Skills(languages={"ja": 5}),
    OperatorId("jiro"): Skills(languages={"ja": 5, "en": 2}, brands=frozenset({OKURA})),
    OperatorId("mary"): Skills(languages={"en": 5, "ja": 3}),
}
LANGUAGES = st.sampled_from(["", "ja", "en", "zh"])
TENANTS = st.sampled_from([ACME, OKURA])


def _sits(desks: Desks, *names: str) -> None:
    for name in names:
        desks.arrive(DeskId(f"desk-{name}"), OperatorId(name))
        desks.set_ready(DeskId(f"desk-{name}"), True)


async def _call(journal: Journal, language: str | None, *, tenant: TenantId = ACME, number: int = 1) -> IncidentId:
    opened = await journal.open(
        s.open_incident(), tenant=tenant, receipt=number.to_bytes(32), received_at=journal.clock.now()
    )
    filed = c.FileReport(
        sequence=0, located=True, parts={Category.TEL: canonical(CallBack(tel="+81300000001", language=language))}
    )
    await journal.execute(opened.incident, filed, actor="system:filer")
    await journal.execute(opened.incident, s.plan(), actor="system:planner")
    return opened.incident


@pytest.mark.parametrize(
    ("language", "tenant", "rings"),
    [
        ("en-GB", ACME, "mary"),  # who speaks it best, although the others have waited longer
        ("ja-JP", ACME, "hanako"),  # of equals the one who has waited longest
        ("ja", OKURA, "jiro"),  # of equals the one who knows the brand
        ("zh-Hans", ACME, "hanako"),  # nobody speaks it: at once all the same
        (None, ACME, "hanako"),
        (None, OKURA, "jiro"),
        ("en", OKURA, "mary"),  # the two must understand each other first of all
    ],
)
async def test_the_best_suited_of_the_free_desks_rings_first(
    journal: Journal, language: str | None, tenant: TenantId, rings: str
):
    desks = Desks(journal.clock, skills=SKILLS)
    _sits(desks, "hanako", "jiro", "mary")
    incident = await _call(journal, language, tenant=tenant)

    await Distribution(journal, desks).distribute()

    assert (await journal.state(incident)).desks == (f"desk-{rings}",)


async def test_who_does_not_answer_is_followed_by_the_next_best_and_then_by_everybody(journal: Journal):
    desks = Desks(journal.clock, skills=SKILLS)
    _sits(desks, "hanako", "jiro", "mary")
    incident = await _call(journal, "en")
    distribution = Distribution(journal, desks)
    await distribution.distribute()

    await distribution._pass_on(incident)

    assert (await journal.state(incident)).desks == ("desk-jiro",)
    assert attendance.STEPS[1].after <= timedelta(seconds=10)  # then it rings everywhere, whoever speaks what


async def test_a_call_rings_at_once_where_nobody_fits(journal: Journal):
    desks = Desks(journal.clock, skills=SKILLS)
    _sits(desks, "hanako")
    before = journal.clock.now()
    incident = await _call(journal, "en")

    await Distribution(journal, desks).distribute()

    state = await journal.state(incident)
    assert (state.state, state.desks, state.changed_at) == (State.RINGING, ("desk-hanako",), before)


async def test_nothing_is_opened_where_no_language_could_decide(journal: Journal):
    clock, taro = journal.clock, Skills(brands=frozenset({ACME}))
    plain, busy, skilled = Desks(clock), Desks(clock, skills=SKILLS), Desks(clock, skills=SKILLS)
    trained = Desks(clock, skills={OperatorId("taro"): taro})
    for desks in (plain, skilled, trained):
        _sits(desks, "taro")

    assert [desks.chooses for desks in (plain, busy, trained, skilled)] == [False, False, False, True]


async def test_what_cannot_be_opened_is_a_language_that_nobody_knows(journal: Journal):
    incident = await journal.state(await _call(journal, "en"))
    lost = s.replace(incident, id=IncidentId(s.OTHER))

    known, unknown = await wanted_by(journal, (incident, lost))

    assert known == Wanted(language="en", tenant=ACME)
    assert unknown == Wanted(language="", tenant=ACME)


@given(
    seats=st.lists(st.tuples(st.sampled_from(["hanako", "jiro", "mary", "taro"]), st.booleans()), max_size=4),
    calls=st.lists(st.tuples(LANGUAGES, TENANTS), min_size=1, max_size=6),
)
def test_no_call_waits_that_would_ring_without_skills(seats: list[tuple[str, bool]], calls: list[tuple[str, TenantId]]):
    """Call by call: a desk rings exactly when one would without any skills, and it is one that is free."""
    clock = SystemClock()
    with_skills, without = Desks(clock, skills=SKILLS), Desks(clock)
    for desks in (with_skills, without):
        _sits(desks, *(name for name, _ in seats))
        for name, ready in seats:
            desks.set_ready(DeskId(f"desk-{name}"), ready)

    for number, (language, tenant) in enumerate(calls):
        wanted = Wanted(language=language, tenant=tenant)
        chosen, other = with_skills.free(wanted=wanted), without.free(wanted=wanted)
        assert (chosen is None) == (other is None)
        if chosen is None or other is None:
            continue
        assert chosen.ready
        assert chosen.offered is None
        chosen.offered = other.offered = IncidentId(str(number))


def _settings(tmp_path: Path, operator: str) -> Path:
    file = tmp_path / "sos.toml"
    file.write_text(
        f'[[tenants]]\nid = "okura"\ndomain = "okura.sos.example"\n'
        f'[[operators]]\nid = "mary"\nname = "Mary"\ntoken_digest = "{"ab" * 32}"\n{operator}\n'
    )
    return file


def test_skills_stand_in_the_settings(tmp_path: Path):
    settings = load(_settings(tmp_path, 'languages = { en = 5, ja = 3 }\nbrands = ["okura"]'), environment={})

    assert _skills(settings) == {"mary": Skills(languages={"en": 5, "ja": 3}, brands=frozenset({OKURA}))}


@pytest.mark.parametrize(
    "wrong", ["languages = { English = 5 }", "languages = { en = 6 }", "languages = { en = 0 }", 'brands = ["nobody"]']
)
def test_a_skill_that_cannot_be_stops_the_start(tmp_path: Path, wrong: str):
    with pytest.raises(Misconfigured, match="mary"):
        load(_settings(tmp_path, wrong), environment={})
