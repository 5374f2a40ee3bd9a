"""A link to a brief is over with its time, a refusal, another who has taken over, or the closing of the incident."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from routing.categories import Category
from routing.directory import Directory
from sos.clock import ManualClock
from sos.dispatch.adapters.portal import Links, Portal
from sos.dispatch.codes import code_of
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.endings import Lasting
from sos.dispatch.mass_list import MassLists
from sos.dispatch.replies import Replies
from sos.incident.commands import Acknowledge, AddNote, ConfirmDelivery, ReopenIncident, StartDelivery
from sos.incident.disclosure_request import DisclosureRequest
from sos.incident.events import PartsRead
from sos.incident.model import Acknowledgement, AgencyId, Disclosure, DisclosureId, Disposition, IncidentId, OperatorId
from sos.journal.journal import Journal
from sos.problems import problems_middleware
from tests.house import ROOT
from tests.journeys import story as s
from tests.ports import free_port
from tests.sos.calls.stacks import chromium

FIRE, NEIGHBOUR, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-14-fire"), AgencyId("jp-13-police")
AXE = ROOT / "sos" / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
SEEN_MS = 60_000
LASTING = Lasting(link=timedelta(seconds=8), after_closing=timedelta(seconds=4))
"""Short: what follows the journal wakes by the same clock, many times a second."""


class Rig:
    """An incident told to three agencies, and the portal."""

    def __init__(
        self,
        journal: Journal,
        clock: ManualClock,
        links: Links,
        session: aiohttp.ClientSession,
        incident: IncidentId,
        disclosures: Disclosures,
    ) -> None:
        self.journal, self.clock, self.links, self.session, self.incident = journal, clock, links, session, incident
        self.disclosures = disclosures

    async def told(self, agency: AgencyId) -> Disclosure:
        """The newest version."""
        told = [each for each in (await self.journal.state(self.incident)).disclosures if each.agency == agency]
        return told[-1]

    async def update(self, agency: AgencyId) -> None:
        """Something is noted, and the agency is told again."""
        note = AddNote(category=Category.OBS, text="invented: a child in the car")
        await self.journal.execute(self.incident, note, actor="operator:hanako")
        request = DisclosureRequest(necessity="automatic_crash", consent="no_answer", update=True, confirmed=True)
        await self.disclosures.decide(self.incident, agency=agency, operator=OperatorId("hanako"), request=request)
        sent = StartDelivery(disclosure=(await self.told(agency)).disclosure, channel="portal")
        await self.journal.execute(self.incident, sent, actor="system:handoff")
        arrived = ConfirmDelivery(disclosure=sent.disclosure, level=Acknowledgement.DELIVERED, receipt="invented")
        await self.journal.execute(self.incident, arrived, actor="channel:portal")

    async def page(self, link: str) -> str:
        async with self.session.get(link) as answer:
            assert answer.status == 200
            return await answer.text()

    async def link(self, agency: AgencyId) -> str:
        return self.links.brief(self.incident, (await self.told(agency)).disclosure)

    async def old_link(self, agency: AgencyId) -> str:
        """As releases made it whose tokens held no time."""
        disclosure = (await self.told(agency)).disclosure
        token = self.links._token("brief", disclosure)
        return f"{self.links.brief(self.incident, disclosure).rpartition('/')[0]}/{token}"

    async def see(self, link: str) -> str:
        """``open``, or why not."""
        async with self.session.get(link) as answer:
            page = await answer.text()
        if answer.status == 410:
            assert "終了" in page
            assert "ended" in page
            assert "jp-13" not in page
            assert "brief-text" not in page
            return page.partition('data-why="')[2].partition('"')[0]
        assert (answer.status, "brief-text" in page) == (200, True)
        return "open"

    async def press(self, link: str, answer: str) -> int:
        async with self.session.post(link, data={"answer": answer}, allow_redirects=False) as done:
            return done.status

    async def take_over(self, agency: AgencyId) -> None:
        told = await self.told(agency)
        taken = Acknowledge(disclosure=told.disclosure, agency=agency, level=Acknowledgement.TAKEN_OVER)
        await self.journal.execute(self.incident, taken, actor=f"agency:{agency}")

    async def close(self) -> None:
        done = s.close(Disposition.HANDED_OVER)
        await self.journal.execute(self.incident, done, actor="operator:hanako")

    async def pass_time(self, time: timedelta) -> None:
        await self.clock.advance(time)


@pytest.fixture
async def rig(
    journal: Journal,
    clock: ManualClock,
    arrive: Callable[[], Awaitable[IncidentId]],
    disclosures: Disclosures,
    directory: Directory,
) -> AsyncIterator[Rig]:
    incident = await arrive()
    for agency in (FIRE, NEIGHBOUR, POLICE):
        request = DisclosureRequest(necessity="automatic_crash", consent="no_answer", confirmed=True)
        await disclosures.decide(incident, agency=agency, operator=OperatorId("hanako"), request=request)
    for told in (await journal.state(incident)).disclosures:
        sent = StartDelivery(disclosure=told.disclosure, channel="portal")
        await journal.execute(incident, sent, actor="system:handoff")
    port = free_port()
    links = Links(b"s" * 32, public_url=f"http://127.0.0.1:{port}", clock=clock, lasts=LASTING.link)
    app = web.Application(middlewares=[problems_middleware])
    replies = Replies(journal)
    lists = MassLists(journal, replies, lasting=LASTING)
    app.add_routes(
        Portal(
            replies, links, directory, lists=lists, lasting=LASTING, code_of=code_of(b"a secret of the house")
        ).routes()
    )
    async with TestServer(app, port=port), aiohttp.ClientSession() as session:
        yield Rig(journal, clock, links, session, incident, disclosures)


@pytest.fixture
async def browser() -> AsyncIterator[Page]:
    """A page of a real Chromium; what it says on its console as an error fails the test."""
    errors: list[str] = []
    async with chromium() as opened:
        page = await opened.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        yield page
    assert [each for each in errors if "ERR_FAILED" not in each] == []


async def faults(page: Page) -> list[str]:
    """What axe-core finds; evaluated, since the page's own policy lets no other script in."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run ops/build_console.py")
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = await page.evaluate(
        "async () => (await axe.run(document)).violations.map(each => each.id + ' ' + each.nodes[0].html)"
    )
    return found


async def test_a_link_opens_its_brief_until_its_time_is_over_and_a_new_one_opens_it_again(rig: Rig):
    link = await rig.link(FIRE)

    await rig.pass_time(LASTING.link - timedelta(seconds=2))
    before = await rig.see(link)
    await rig.pass_time(timedelta(seconds=2))

    assert (before, await rig.see(link), await rig.press(link, "taken_over")) == ("open", "expired", 410)
    assert not (await rig.told(FIRE)).taken_over
    assert await rig.see(await rig.link(FIRE)) == "open"


async def test_the_page_says_what_to_quote_and_how_long_the_car_can_still_be_called(rig: Rig):
    """The minutes are those of the moment it is looked at."""
    link, told = await rig.link(FIRE), await rig.told(FIRE)
    code = code_of(b"a secret of the house")(told.disclosure)

    async with rig.session.get(link) as answer:
        before = await answer.text()
    await rig.pass_time(timedelta(seconds=7))
    async with rig.session.get(link) as answer:
        after = await answer.text()

    assert f'data-testid="code">{code[:4]} {code[4:]}<' in before
    assert "60 min more" in before
    assert "59 min more" in after


@pytest.mark.parametrize("forge", ["{0:x}.{2}", "{1}", "{1}.{2}0", ".{2}", "{1}.", "zz.{2}", "{1}.{2}.{2}"])
async def test_a_link_whose_time_was_changed_is_none(rig: Rig, forge: str):
    link = await rig.link(FIRE)
    until, _, proof = link.rpartition("/")[2].partition(".")

    token = forge.format(int(until, 16) + 86_400, until, proof)
    async with rig.session.get(f"{link.rpartition('/')[0]}/{token}") as answer:
        assert answer.status == 404


async def test_a_link_of_an_earlier_release_lasts_as_long_from_the_decision(rig: Rig):
    link = await rig.old_link(FIRE)

    await rig.pass_time(LASTING.link - timedelta(seconds=1))
    before = await rig.see(link)
    await rig.pass_time(timedelta(seconds=1))

    assert (before, await rig.see(link)) == ("open", "expired")


async def test_who_refuses_sees_that_it_has_ended_and_the_others_go_on(rig: Rig):
    link, other = await rig.link(FIRE), await rig.link(POLICE)

    assert await rig.press(link, "not_our_area") == 303

    assert (await rig.see(link), await rig.press(link, "taken_over")) == ("refused", 410)
    assert await rig.see(other) == "open"


async def test_another_agency_of_the_service_ends_it_and_one_of_another_service_does_not(rig: Rig):
    link = await rig.link(FIRE)

    await rig.take_over(POLICE)
    while_police = await rig.see(link)
    await rig.take_over(NEIGHBOUR)

    assert (while_police, await rig.see(link)) == ("open", "another")
    assert await rig.see(await rig.link(NEIGHBOUR)) == "open"
    assert await rig.see(await rig.link(POLICE)) == "open"


async def test_of_two_that_have_both_taken_over_neither_ends(rig: Rig):
    await rig.take_over(FIRE)
    await rig.take_over(NEIGHBOUR)

    assert [await rig.see(await rig.link(agency)) for agency in (FIRE, NEIGHBOUR)] == ["open", "open"]


async def test_after_closing_it_is_seen_for_a_grace_and_again_when_it_is_opened_again(rig: Rig):
    for agency in (FIRE, NEIGHBOUR, POLICE):
        await rig.take_over(agency)
    link = await rig.link(FIRE)

    await rig.close()
    await rig.pass_time(LASTING.after_closing - timedelta(seconds=1))
    within = await rig.see(link)
    await rig.pass_time(timedelta(seconds=1))
    after = await rig.see(link)
    again = ReopenIncident(reason="called back")
    await rig.journal.execute(rig.incident, again, actor="operator:hanako")

    assert (within, after, await rig.see(link)) == ("open", "closed", "open")


async def test_what_has_ended_opens_no_personal_data(rig: Rig):
    link = await rig.link(FIRE)
    await rig.press(link, "unreadable")

    await rig.see(link)

    stream = await rig.journal.store.stream(rig.incident)
    assert not [each for each in stream if isinstance(each.event, PartsRead) and each.actor == f"agency:{FIRE}"]


async def test_the_agencys_own_page_says_which_have_ended(rig: Rig):
    for answer in ("heard", "no_unit_free"):
        await rig.press(await rig.link(FIRE), answer)

    async with rig.session.get(rig.links.inbox(FIRE)) as answer:
        page = await answer.text()

    assert "終了 / ended" in page


def test_a_link_is_the_same_for_one_second_and_says_nothing_but_its_time():
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    links = Links(b"s" * 32, public_url="https://sos.example", clock=clock)
    incident, disclosure = IncidentId("i"), DisclosureId("d")

    first = links.brief(incident, disclosure)

    assert links.brief(incident, disclosure) == first
    until = links.expires("d", first.rpartition("/")[2])
    assert until is not None
    assert abs(until - (clock.now() + links.lasts)) < timedelta(seconds=1)


async def test_whoever_takes_over_by_an_old_version_has_taken_over_and_sees_the_newest(rig: Rig):
    old = await rig.link(FIRE)
    await rig.update(FIRE)

    before = await rig.page(old)
    async with rig.session.post(old, data={"answer": "taken_over"}) as answer:
        shown = await answer.text()

    assert "第1版は古い版です" in before
    first, second = [each for each in (await rig.journal.state(rig.incident)).disclosures if each.agency == FIRE]
    assert (first.taken_over, second.taken_over, second.pending) == (True, True, False)
    assert 'data-testid="replaced"' not in shown
    assert "第2版で変わったこと" in shown
    assert "invented: a child in the car" in shown


@pytest.mark.parametrize("answer", ["heard", "where"])
async def test_an_old_version_that_was_only_read_leaves_the_newest_waiting(rig: Rig, answer: str):
    old = await rig.link(FIRE)
    await rig.update(FIRE)

    await rig.press(old, answer)

    assert (await rig.told(FIRE)).pending


async def test_a_question_about_a_version_that_was_taken_over_takes_over_no_newer_one(rig: Rig):
    old = await rig.link(FIRE)
    await rig.press(old, "taken_over")
    await rig.update(FIRE)

    await rig.press(old, "where")

    assert (await rig.told(FIRE)).pending


async def test_the_versions_stand_under_each_other_and_their_links_end_with_the_one_that_was_opened(rig: Rig):
    old = await rig.link(FIRE)
    await rig.pass_time(timedelta(seconds=2))
    await rig.update(FIRE)

    page = await rig.page(old)

    versions = page.partition('data-testid="versions">')[2].partition("</ul>")[0]
    assert versions.index("version 2") < versions.index("version 1")
    assert "最新 / newest" in versions.partition("version 1")[0]
    assert "置き換え済み / replaced" in versions.partition("version 1")[2]
    ends = old.rpartition("/")[2].partition(".")[0]
    links = [part.partition('"')[0] for part in versions.split('href="')[1:]]
    assert [link.rpartition("/")[2].partition(".")[0] for link in links] == [ends, ends]


async def test_the_list_of_an_agency_has_each_incident_once_by_its_newest_version_and_what_to_quote(rig: Rig):
    await rig.press(await rig.link(FIRE), "heard")
    await rig.update(FIRE)
    newest = await rig.told(FIRE)

    page = await rig.page(rig.links.inbox(FIRE))

    assert page.count('data-testid="brief"') == 1
    assert f'data-key="{newest.disclosure}"' in page
    code = code_of(b"a secret of the house")(newest.disclosure)
    assert f"{code[:4]} {code[4:]}" in page
    assert "http-equiv" not in page


async def test_the_word_for_a_page_is_another_one_when_the_page_is_and_opens_nothing(rig: Rig):
    inbox, brief = rig.links.inbox(FIRE), await rig.link(FIRE)
    await rig.press(brief, "heard")

    words = [(await rig.page(f"{inbox}/state"), await rig.page(f"{brief}/state")) for _ in range(2)]
    await rig.update(FIRE)
    after = (await rig.page(f"{inbox}/state"), await rig.page(f"{brief}/state"))

    assert words[0] == words[1]
    assert after[0] != words[0][0]
    assert (words[0][1], after[1]) == ("1", "2")
    stream = await rig.journal.store.stream(rig.incident)
    assert not [each for each in stream if isinstance(each.event, PartsRead) and each.actor == f"agency:{FIRE}"]


@pytest.mark.parametrize("page", ["inbox", "brief"])
async def test_nobody_without_the_link_learns_the_word(rig: Rig, page: str):
    link = rig.links.inbox(FIRE) if page == "inbox" else await rig.link(FIRE)

    async with rig.session.get(f"{link[:-1]}{'0' if link[-1] != '0' else '1'}/state") as answer:
        assert answer.status == 404


async def test_a_list_renews_itself_under_a_reader_who_keeps_the_place_and_says_when_it_cannot(rig: Rig, browser: Page):
    await rig.press(await rig.link(FIRE), "heard")
    await browser.goto(rig.links.inbox(FIRE))
    await browser.get_by_test_id("brief").focus()

    await rig.press(await rig.link(FIRE), "taken_over")

    await expect(browser.get_by_test_id("brief")).to_contain_text("taken over", timeout=SEEN_MS)
    await expect(browser.get_by_test_id("brief")).to_be_focused()
    await expect(browser.get_by_test_id("news")).to_have_text("一覧が更新されました / the list has changed")
    await expect(browser.get_by_test_id("lost")).to_be_hidden()
    await browser.route("**/state", lambda route: route.abort())
    await expect(browser.get_by_test_id("lost")).to_be_visible(timeout=SEEN_MS)


async def test_a_brief_is_not_swapped_under_a_reader_but_says_that_there_is_a_newer_one(rig: Rig, browser: Page):
    await browser.goto(await rig.link(FIRE))
    before = await browser.get_by_test_id("brief-text").text_content()

    await rig.update(FIRE)

    await expect(browser.get_by_test_id("news")).to_be_visible(timeout=SEEN_MS)
    assert await browser.get_by_test_id("brief-text").text_content() == before
    await browser.get_by_test_id("news").get_by_role("link").click()
    await browser.get_by_test_id("newest").click()
    await expect(browser.get_by_test_id("changed")).to_contain_text("追加: 聴取・観察 聴取内容")
    await expect(browser.get_by_test_id("news")).to_be_hidden()


@pytest.mark.parametrize("size", [(390, 844), (1280, 720)])
async def test_the_pages_of_an_agency_have_no_fault_that_axe_knows(rig: Rig, browser: Page, size: tuple[int, int]):
    old = await rig.link(FIRE)
    await rig.press(old, "heard")
    await rig.update(FIRE)
    await browser.set_viewport_size({"width": size[0], "height": size[1]})

    for link in (rig.links.inbox(FIRE), old, await rig.link(FIRE)):
        await browser.goto(link)
        assert await faults(browser) == []
        wide = await browser.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
