"""The list of a mass event for one agency: one row an incident, one version a change, one take-over a row."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from html import unescape

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from routing.brief import read
from routing.brief.mass_list import (
    ALOUD,
    MassList,
    Row,
    Standing,
    cells,
    in_order,
    people,
    render_list,
    speak_list,
    where,
)
from routing.directory import Directory
from sos.clock import ManualClock
from sos.dispatch.adapters.list_page import list_page
from sos.dispatch.adapters.portal import Links, Portal
from sos.dispatch.bundles import GATHER, MOST, Bundles, Listed
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.endings import Lasting, part_is_over
from sos.dispatch.mass_list import MassLists, changes, standing_of
from sos.dispatch.port import Parcel, Receipt
from sos.dispatch.replies import Replies
from sos.errors import KeyLost, Refused, Unavailable
from sos.incident import commands as c
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import PartsRead
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    Disclosure,
    DisclosureId,
    Disposition,
    IncidentId,
    MassEventId,
    OperatorId,
    State,
)
from sos.journal.journal import Journal
from sos.problems import problems_middleware
from tests.journeys import story as s
from tests.ports import free_port

FIRE, NEIGHBOUR, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-14-fire"), AgencyId("jp-13-police")
ONE, PLACE = MassEventId("mass-event-1"), "13104"
HANAKO = OperatorId("hanako")
LASTING = Lasting(link=timedelta(seconds=8), after_closing=timedelta(seconds=4))
"""Short: what follows the journal wakes by the same clock, many times a second."""


class Rig:
    def __init__(self, journal, clock, links, session, arrive, disclosures, lists) -> None:
        self.journal, self.clock, self.links, self.session = journal, clock, links, session
        self.arrive, self.disclosures, self.lists = arrive, disclosures, lists

    async def crash(self, seed: int, *agencies: AgencyId, inside: bool = True) -> IncidentId:
        incident = await self.arrive(seed=seed)
        if inside:
            await self.place(incident, ONE)
        for agency in agencies:
            await self.tell(incident, agency)
        return incident

    async def place(self, incident: IncidentId, mass_event: MassEventId | None) -> None:
        placed = c.PlaceInMassEvent(mass_event=mass_event, place=PLACE if mass_event else "")
        await self.journal.execute(incident, placed, actor="system:mass-event")

    async def tell(self, incident: IncidentId, agency: AgencyId) -> DisclosureId:
        request = DisclosureRequest(necessity="automatic_crash", consent="no_answer", confirmed=True)
        await self.disclosures.decide(incident, agency=agency, operator=HANAKO, request=request)
        told = (await self.journal.state(incident)).disclosures[-1].disclosure
        sent = c.StartDelivery(disclosure=told, channel="portal")
        await self.journal.execute(incident, sent, actor="system:handoff")
        return told

    async def close(self, incident: IncidentId) -> None:
        await self.journal.execute(incident, s.close(Disposition.HANDED_OVER), actor="operator:hanako")

    async def list(self, agency: AgencyId = FIRE) -> MassList:
        return await self.lists.of(agency, ONE, name=agency)

    async def standings(self, agency: AgencyId = FIRE) -> dict[str, str]:
        return {row.incident: row.standing for row in (await self.list(agency)).rows}

    async def see(self, link: str, status: int = 200) -> str:
        async with self.session.get(link) as answer:
            assert answer.status == status
            return await answer.text()


@pytest.fixture
async def rig(
    journal: Journal,
    clock: ManualClock,
    arrive: Callable[..., Awaitable[IncidentId]],
    disclosures: Disclosures,
    directory: Directory,
) -> AsyncIterator[Rig]:
    port = free_port()
    links = Links(b"s" * 32, public_url=f"http://127.0.0.1:{port}", clock=clock, lasts=LASTING.link)
    replies = Replies(journal)
    lists = MassLists(journal, replies, lasting=LASTING)
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(Portal(replies, links, directory, lists=lists, lasting=LASTING).routes())
    async with TestServer(app, port=port), aiohttp.ClientSession() as session:
        yield Rig(journal, clock, links, session, arrive, disclosures, lists)


async def test_an_agency_sees_each_incident_it_was_told_of_in_the_mass_event_and_no_other(rig: Rig):
    told = await rig.crash(1, FIRE, POLICE)
    both = await rig.crash(2, FIRE)
    await rig.crash(3, POLICE)
    await rig.crash(4, FIRE, inside=False)

    assert set(await rig.standings()) == {told, both}
    page = await rig.see(rig.links.mass_list(FIRE, ONE))
    assert re.findall(r'data-incident="([^"]+)" data-standing="([^"]+)"', page) == [
        (row.incident, "waits") for row in (await rig.list()).rows
    ]


async def test_a_row_says_what_the_brief_of_its_incident_says_and_that_it_was_read_is_in_its_journal(rig: Rig):
    incident = await rig.crash(1, FIRE)
    (row,) = (await rig.list()).rows
    assert row.brief is not None
    said = dict(cells(row, "ja"))

    assert said["照会番号"].replace(" ", "") == row.brief.code
    assert said["人数"] == f"{row.brief.sections['VEH']['occupants']}名"
    assert said["場所"].startswith(str(row.brief.sections["LOC"]["aloudJa"]))
    assert {"速度変化", "通報時刻"} <= set(said)
    read_by = [each for each in await rig.journal.store.stream(incident) if isinstance(each.event, PartsRead)]
    assert f"agency:{FIRE}" in {each.event.reader for each in read_by}


async def test_what_the_law_withholds_of_an_incident_is_in_no_row_of_a_list(rig: Rig):
    """Rows are made of briefs as they were decided, and of nothing else."""
    await rig.crash(1, FIRE)
    (row,) = (await rig.list()).rows
    assert row.brief is not None
    kept = {name: told for name, told in row.brief.sections.items() if name not in ("LOC", "VEH", "SEV")}
    bare = replace(row, brief=replace(row.brief, sections=kept))
    said = dict(cells(bare, "en"))

    assert (said["Where"], said["People"]) == ("unknown", "unknown")
    assert not {"Hazards", "Delta-V"} & set(said)


async def test_taking_over_a_row_takes_over_that_incident_alone_and_the_others_are_chased_on(rig: Rig):
    first, second = await rig.crash(1, FIRE), await rig.crash(2, FIRE)
    (told,) = (await rig.journal.state(first)).disclosures
    link = rig.links.mass_list(FIRE, ONE)
    form = {"incident": first, "disclosure": told.disclosure, "answer": "taken_over"}

    async with rig.session.post(link, data=form, allow_redirects=False) as answer:
        assert answer.status == 303

    assert await rig.standings() == {first: "taken_over", second: "waits"}
    (other,) = (await rig.journal.state(second)).disclosures
    assert other.pending
    assert (await rig.list()).rows[0].incident == second  # whom nobody has taken over stands on top


async def test_an_answer_is_taken_for_rows_of_this_list_and_this_agency_only(rig: Rig):
    mine, outside = await rig.crash(1, FIRE, POLICE), await rig.crash(2, FIRE, inside=False)
    link = rig.links.mass_list(FIRE, ONE)
    police = (await rig.journal.state(mine)).disclosures[1].disclosure
    apart = (await rig.journal.state(outside)).disclosures[0].disclosure

    for incident, disclosure in ((mine, police), (outside, apart), (mine, "none"), ("none", "none")):
        form = {"incident": incident, "disclosure": disclosure, "answer": "taken_over"}
        async with rig.session.post(link, data=form, allow_redirects=False) as answer:
            assert answer.status == 404
    assert not any(each.taken_over for each in (await rig.journal.state(mine)).disclosures)
    assert await rig.see(link.replace(FIRE, POLICE), 404)
    assert await rig.see(f"{link}0", 404)


async def test_a_list_ends_with_its_link_and_its_rows_with_their_own_ends(rig: Rig):
    closed, other = await rig.crash(1, FIRE), await rig.crash(2, FIRE, NEIGHBOUR)
    taken = (await rig.journal.state(other)).disclosures[1]
    took = c.Acknowledge(disclosure=taken.disclosure, agency=NEIGHBOUR, level=Acknowledgement.TAKEN_OVER)
    await rig.journal.execute(other, took, actor="agency:x")
    await rig.journal.execute(closed, s.decline(*(await rig.journal.state(closed)).services), actor="operator:hanako")
    link = rig.links.mass_list(FIRE, ONE)

    assert (await rig.standings())[other] == "another"
    page = await rig.see(link)
    assert page.count('data-testid="whole"') == 1
    await rig.clock.advance(LASTING.link)
    assert "ended" in await rig.see(link, 410)


async def test_a_link_opens_no_more_than_it_was_given_for_and_makes_none_that_lasts_longer(rig: Rig):
    """The link of one brief is passed on to a crew: it must not open all that their agency was told."""
    incident = await rig.crash(1, FIRE)
    await rig.crash(2, FIRE)
    (told,) = (await rig.journal.state(incident)).disclosures
    alone = await rig.see(rig.links.brief(incident, told.disclosure))
    assert "/agency/list/" not in alone
    link = rig.links.mass_list(FIRE, ONE)
    await rig.clock.advance(LASTING.link / 2)

    page = await rig.see(link)

    behind = [unescape(found) for found in re.findall(r'href="([^"]*/agency/brief/[^"]*)"', page)]
    assert len(behind) == 2
    assert "ended" not in await rig.see(behind[0])
    await rig.clock.advance(LASTING.link / 2)
    for each in behind:
        assert "ended" in await rig.see(each, 410)


class Locked(Replies):
    """The brief of one incident cannot be opened: its key is away."""

    def __init__(self, journal: Journal, shut: IncidentId) -> None:
        super().__init__(journal)
        self.shut = shut

    async def brief(self, incident: IncidentId, told: Disclosure) -> bytes:
        if incident == self.shut:
            raise KeyLost("this brief cannot be opened just now")
        return await super().brief(incident, told)


async def test_a_row_that_cannot_be_opened_says_so_can_be_taken_over_and_keeps_nobody_from_the_others(rig: Rig):
    shut, other = await rig.crash(1, FIRE), await rig.crash(2, FIRE)
    lists = MassLists(rig.journal, Locked(rig.journal, shut), lasting=LASTING)

    made = await lists.of(FIRE, ONE, name=FIRE)

    assert {row.incident: row.standing for row in made.rows} == {shut: Standing.WAITS, other: Standing.WAITS}
    assert made.waiting == 2
    page = list_page(made, action="/list", link=rig.links.brief)
    assert page.count('data-testid="taken_over"') == 2
    assert page.count('data-testid="whole"') == 1
    assert "いまは表示できません" in page
    assert "cannot be shown just now" in render_list(made, "en")


async def test_a_list_is_a_newer_version_whenever_a_row_comes_changes_or_closes_and_loses_no_row(rig: Rig):
    first = await rig.crash(1, FIRE)
    seen = [(await rig.list()).version]
    second = await rig.crash(2, FIRE)
    seen.append((await rig.list()).version)
    third = await rig.crash(3)
    seen.append((await rig.list()).version)
    assert seen[0] < seen[1] == seen[2]
    await rig.tell(third, FIRE)
    assert (await rig.list()).version == seen[-1] + 1

    before = (await rig.list()).version
    for incident in (first, second, third):
        await rig.place(incident, None)  # the mass event is over

    assert (await rig.list()).version == before
    assert set(await rig.standings()) == {first, second, third}
    rig.journal.store.places.in_force = (ONE,)
    assert (await rig.journal.store.in_mass_events()) == {}  # on the list, and counted nowhere any more


def test_in_whatever_order_things_happen_versions_go_up_only_rows_stay_and_the_same_number_is_the_same_list():
    standings: set[str] = set()
    for seed in range(150):
        pick = random.Random(seed)
        tales = [s.Story(number) for number in (1, 2, 3)]
        for tale in tales:
            tale.do(s.open_incident())
            tale.do(s.plan())
            tale.do(s.take())
        before: tuple[int, frozenset[str], str] = (0, frozenset(), "")
        known: dict[int, str] = {}
        for _ in range(40):
            something(pick, pick.choice(tales))
            rows = {tale.incident.id: row_of(tale) for tale in tales if listed(tale)}
            version = sum(len(changed(tale)) for tale in tales if listed(tale))
            shown = repr(sorted(rows.items()))
            assert version >= before[0], seed
            assert before[1] <= set(rows), seed
            assert known.setdefault(version, shown) == shown, seed
            before = (version, frozenset(rows), shown)
            standings |= {row[0] for row in rows.values()}
            for tale in tales:
                told = [each for each in tale.incident.disclosures if each.agency == s.FIRE]
                chased = any(each.pending for each in told) and not any(each.taken_over for each in told)
                if listed(tale) and chased and tale.incident.state is not State.CLOSED:
                    assert rows[tale.incident.id][0] == "waits", seed
    assert standings == {"waits", "taken_over", "refused", "closed"}


def something(pick: random.Random, tale: s.Story) -> None:
    told = tale.incident.disclosures
    one = pick.choice(told) if told else None
    agency = pick.choice((s.FIRE, s.POLICE))
    earlier = next((each.disclosure for each in reversed(told) if each.agency == agency), None)
    choices: list[c.Command] = [
        c.PlaceInMassEvent(mass_event=ONE, place=PLACE),
        c.PlaceInMassEvent(mass_event=MassEventId("mass-event-2"), place=PLACE),
        c.PlaceInMassEvent(),
        s.disclose(f"{tale.number}-{len(told)}", agency, supersedes=earlier, confirmed=True),
        s.close(Disposition.HANDED_OVER),
        c.ReopenIncident(reason="invented"),
    ]
    if one is not None:
        level = pick.choice((Acknowledgement.HEARD, Acknowledgement.TAKEN_OVER))
        choices += [
            c.Acknowledge(disclosure=one.disclosure, agency=one.agency, level=level),
            c.Reject(disclosure=one.disclosure, agency=one.agency, reason="not_our_area"),
        ]
    with suppress(Refused):
        tale.do(pick.choice(choices), after_s=1)


def last(tale: s.Story):
    return [each for each in tale.incident.disclosures if each.agency == s.FIRE][-1]


def listed(tale: s.Story) -> bool:
    return tale.incident.listed == ONE and any(each.agency == s.FIRE for each in tale.incident.disclosures)


def changed(tale: s.Story) -> list:
    return changes(tale.recorded, s.FIRE, last(tale).service, tale.incident)


def row_of(tale: s.Story) -> tuple[str, str, str]:
    told = last(tale)
    standing = standing_of(tale.incident, s.FIRE, part_is_over(tale.incident, told))
    return standing, told.disclosure, str(told.brief_version)


# --- sent ---


class Carrier:
    """A channel that can carry lists, and remembers what it carried."""

    name = "smtp"

    def __init__(self) -> None:
        self.single: list[DisclosureId] = []
        self.lists: list[Listed] = []
        self.away = False

    async def find(self, parcel: Parcel) -> Receipt | None:
        return None

    async def deliver(self, parcel: Parcel) -> Receipt:
        self.single.append(parcel.disclosure)
        return Receipt(level=Acknowledgement.TRANSPORT, reference=parcel.disclosure)

    async def deliver_list(self, listed: Listed) -> dict[DisclosureId, Receipt]:
        self.lists.append(listed)
        if self.away:
            raise Unavailable("smtp_451")
        receipt = Acknowledgement.TRANSPORT
        return {each.disclosure: Receipt(level=receipt, reference=each.disclosure) for each in listed.parcels}


async def parcels(rig: Rig, *seeds: int) -> list[Parcel]:
    made = []
    for seed in seeds:
        incident = await rig.crash(seed, FIRE)
        (told,) = (await rig.journal.state(incident)).disclosures
        brief = await Replies(rig.journal).brief(incident, told)
        made.append(Parcel(incident=incident, disclosure=told.disclosure, agency=FIRE, brief=brief, listed=ONE))
    return made


async def sent(rig: Rig, bundles: Bundles, given: list[Parcel]) -> list[Receipt | BaseException]:
    every = asyncio.gather(*(bundles.deliver(each) for each in given), return_exceptions=True)
    await rig.clock.advance(timedelta())  # until they wait
    await rig.clock.advance(GATHER)
    return await every


async def test_what_goes_to_an_agency_at_one_time_is_one_message_with_an_outcome_for_each(rig: Rig):
    given, carrier = await parcels(rig, 1, 2, 3), Carrier()
    bundles = Bundles(carrier, version=rig.lists.version, clock=rig.clock)

    receipts = await sent(rig, bundles, given)

    assert [each.reference for each in receipts if isinstance(each, Receipt)] == [each.disclosure for each in given]
    (listed,) = carrier.lists
    assert {each.disclosure for each in listed.parcels} == {each.disclosure for each in given}
    assert carrier.single == []
    assert f"第{(await rig.list()).version}版 新規・変更 3件" in listed.text
    for each in given:
        brief = read(each.brief)
        assert all(words in listed.text for words in (where(brief, "ja"), where(brief, "en"), people(brief, "ja")))


async def test_one_alone_goes_as_ever_and_so_does_what_is_on_no_list(rig: Rig):
    (given,), carrier = await parcels(rig, 1), Carrier()
    bundles = Bundles(carrier, version=rig.lists.version, clock=rig.clock)

    await sent(rig, bundles, [given])
    await bundles.deliver(replace(given, listed=None))  # without waiting for anything

    assert (carrier.single, carrier.lists) == ([given.disclosure, given.disclosure], [])


async def test_a_list_that_fails_has_failed_for_each_of_its_incidents(rig: Rig):
    given, carrier = await parcels(rig, 1, 2), Carrier()
    carrier.away = True

    outcomes = await sent(rig, Bundles(carrier, version=rig.lists.version, clock=rig.clock), given)

    assert [str(each) for each in outcomes] == ["smtp_451", "smtp_451"]


async def test_a_list_leaves_without_its_number_when_nobody_can_count(rig: Rig):
    async def away(_agency: AgencyId, _mass_event: MassEventId) -> int:
        raise Unavailable("the database does not answer")

    given, carrier = await parcels(rig, 1, 2), Carrier()
    await sent(rig, Bundles(carrier, version=away, clock=rig.clock), given)

    assert "通報一覧 新規・変更 2件" in carrier.lists[0].text


async def test_lists_of_two_agencies_or_two_mass_events_are_two(rig: Rig):
    given, carrier = await parcels(rig, 1, 2), Carrier()
    other = [replace(each, disclosure=DisclosureId(f"{each.disclosure}-x"), agency=NEIGHBOUR) for each in given]
    third = [
        replace(each, disclosure=DisclosureId(f"{each.disclosure}-y"), listed=MassEventId("m-2")) for each in given
    ]

    await sent(rig, Bundles(carrier, version=rig.lists.version, clock=rig.clock), [*given, *other, *third])

    assert {(each.parcels[0].agency, each.mass_event) for each in carrier.lists} == {
        (FIRE, ONE),
        (NEIGHBOUR, ONE),
        (FIRE, "m-2"),
    }


async def test_more_than_one_message_holds_go_in_several(rig: Rig):
    (given,), carrier = await parcels(rig, 1), Carrier()
    many = [replace(given, disclosure=DisclosureId(f"d-{number}")) for number in range(MOST + 2)]

    receipts = await sent(rig, Bundles(carrier, version=rig.lists.version, clock=rig.clock), many)

    assert [len(each.parcels) for each in carrier.lists] == [MOST, 2]
    assert len(receipts) == MOST + 2


# --- in words ---


async def test_the_worst_stands_first_and_three_are_read_out_with_where_the_list_is(rig: Rig):
    given = [read(each.brief) for each in await parcels(rig, 1, 2, 3, 4)]
    hurt = [
        replace(brief, sections=brief.sections | {"SEV": crash})
        for brief, crash in zip(
            given,
            (
                {"deltaV": 20.0},
                {"deltaV": 20.0, "fire": True},
                {"deltaV": 90.0},
                {"deltaV": 20.0, "severeInjury": True},
            ),
            strict=True,
        )
    ]
    rows = [Row(incident=b.incident, disclosure=b.disclosure, standing=Standing.WAITS, brief=b) for b in hurt]
    over = Row(incident="i", disclosure="d", standing=Standing.TAKEN_OVER, brief=hurt[1])
    made = MassList(agency_name="x", version=7, rows=in_order([over, *rows]))

    assert [rows.index(row) if row in rows else "over" for row in made.rows] == [1, 3, 2, 0, "over"]
    said = speak_list(made, "ja").split("\n")
    assert said[0] == "大規模災害の通報、4件です。"
    assert len(said) == 1 + ALOUD + 1
    assert "危険、火災" in said[1]
    assert "一覧のページ" in said[-1]
    assert speak_list(made, "en").startswith("Mass event. 4 emergencies")
    assert "version 7, 5 in all, 4 not taken over" in render_list(made, "en")


def test_no_order_of_rows_makes_another_list():
    for seed in range(50):
        pick = random.Random(seed)
        rows = [
            Row(incident=str(n), disclosure=f"d{n}", standing=pick.choice(tuple(Standing)), brief=None)
            for n in range(8)
        ]
        shuffled = pick.sample(rows, len(rows))
        assert in_order(shuffled) == in_order(rows)
