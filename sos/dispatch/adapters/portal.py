"""The built-in agency portal: one page per disclosure behind an unguessable link, plain HTML that works on a phone.

A channel and the page of that channel.  Delivering means that the page exists; that a machine shows it is never taken
for a human having read it: the agency's people press "heard" and "taken over" themselves, and each opening of the page
is an access to personal data and stands in the journal before the first byte is served.
"""

import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from html import escape
from urllib.parse import quote

from aiohttp import web

from routing.brief import read, render_text, spaced
from routing.brief.times import on_the_wall
from routing.directory import Directory
from routing.text import octets
from sos.clock import Clock, SystemClock
from sos.dispatch.adapters.agency_page import (
    HEADERS,
    InboxRow,
    ask,
    at_a_glance,
    bar,
    changed,
    drill,
    ended,
    gone,
    inbox_list,
    page,
    replaced,
    state,
    version_list,
)
from sos.dispatch.adapters.freshness import kept_fresh
from sos.dispatch.adapters.list_page import LIST_LINK, list_page
from sos.dispatch.adapters.sketch import place_of
from sos.dispatch.codes import CodeOf
from sos.dispatch.endings import LASTING, End, Lasting
from sos.dispatch.mass_list import MassLists
from sos.dispatch.port import Parcel, Receipt
from sos.dispatch.replies import Replies, versions_of
from sos.dispatch.reply_codes import check_digits
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    MassEventId,
    Mode,
)
from sos.problems import NoSuchLink

Versions = Sequence[tuple[Disclosure, datetime | None]]
"""What one agency was told of one incident, the newest first, and when."""


ZoneOf = Callable[[str], str]
"""IANA name of the time zone of a country."""


class Links:
    """Unguessable addresses, made from a secret and nothing else: they survive a restart and need no table.

    A brief's token begins with the second at which it expires, which it covers.  Those of earlier releases do not: they
    last as long from the decision.  An agency's own page and its subscription are standing addresses.
    """

    def __init__(
        self, secret: bytes, *, public_url: str, clock: Clock | None = None, lasts: timedelta = LASTING.link
    ) -> None:
        self._secret = secret
        self._public_url = public_url.rstrip("/")
        self._clock = clock or SystemClock()
        self.lasts = lasts

    def now(self) -> datetime:
        return self._clock.now()

    def inbox(self, agency: AgencyId) -> str:
        return f"{self._public_url}/agency/{quote(agency)}/{self._token('inbox', agency)}"

    def brief(self, incident: IncidentId, disclosure: DisclosureId, *, ends: datetime | None = None) -> str:
        """``ends``: when the page that shows it does; a link behind it lasts no longer."""
        until = f"{int((ends or self._clock.now() + self.lasts).timestamp()):x}"
        token = f"{until}.{self._token('brief', f'{disclosure}|{until}')}"
        return f"{self._public_url}/agency/brief/{incident}/{disclosure}/{token}"

    def mass_list(self, agency: AgencyId, mass_event: MassEventId) -> str:
        """All that ``agency`` has been told in one mass event; it expires as a brief's link does."""
        until = f"{int((self._clock.now() + self.lasts).timestamp()):x}"
        token = f"{until}.{self._token('list', f'{agency}|{mass_event}|{until}')}"
        return f"{self._public_url}/agency/list/{quote(agency)}/{quote(mass_event)}/{token}"

    def list_expires(self, agency: str, mass_event: str, token: str) -> datetime:
        """When the list's link with ``token`` does; ``NoSuchLink`` when it is none of ours."""
        until, _, proof = token.rpartition(".")
        made = self._token("list", f"{agency}|{mass_event}|{until}")
        if not hmac.compare_digest(made.encode(), octets(proof)):
            raise NoSuchLink("there is no such page")
        return datetime.fromtimestamp(int(until, 16), UTC)

    def eido(self, agency: AgencyId) -> str:
        """Where the agency's dispatch system subscribes; ``http`` becomes ``ws``."""
        return f"{self._public_url}/agency/eido/{quote(agency)}/{self._token('eido', agency)}"

    def callback(self, incident: IncidentId, disclosure: DisclosureId) -> str:
        """Where an agency's system answers a pushed brief; the answer is signed, the address is no secret."""
        return f"{self._public_url}/agency/callback/{incident}/{disclosure}"

    def is_eido(self, agency: str, token: str) -> bool:
        return hmac.compare_digest(self._token("eido", agency).encode(), octets(token))

    def is_inbox(self, agency: str, token: str) -> bool:
        return hmac.compare_digest(self._token("inbox", agency).encode(), octets(token))

    def expires(self, disclosure: str, token: str) -> datetime | None:
        """When the link with ``token`` does; None when it does not say.  ``NoSuchLink`` when it is none of ours."""
        until, dot, proof = token.rpartition(".")
        made = self._token("brief", f"{disclosure}|{until}" if dot else disclosure)
        if not hmac.compare_digest(made.encode(), octets(proof)):
            raise NoSuchLink("there is no such page")
        return datetime.fromtimestamp(int(until, 16), UTC) if dot else None

    def _token(self, purpose: str, name: str) -> str:
        return hmac.digest(self._secret, f"{purpose}|{name}".encode(), "sha256").hex()[:40]


class PortalChannel:
    """``AgencyChannel``: the page is there as soon as the disclosure stands in the journal, so nothing can fail."""

    name = "portal"

    def __init__(self, links: Links) -> None:
        self._links = links

    async def find(self, parcel: Parcel) -> Receipt | None:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"portal:{parcel.disclosure}")

    async def deliver(self, parcel: Parcel) -> Receipt:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"portal:{parcel.disclosure}")


class Portal:
    """The pages below ``/agency``."""

    def __init__(
        self,
        replies: Replies,
        links: Links,
        directory: Directory,
        *,
        lists: MassLists,
        lasting: Lasting | None = None,
        code_of: CodeOf = lambda _: "",
        zone_of: ZoneOf = lambda _: "Asia/Tokyo",
    ) -> None:
        """``code_of``: what to quote on the telephone about a disclosure; ``zone_of``: the time zone of a country."""
        self._lists = lists
        self._code_of = code_of
        self._zone_of = zone_of
        self._lasting = lasting or LASTING
        self._replies = replies
        self._links = links
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        brief = "/agency/brief/{incident}/{disclosure}/{token}"
        mass_list = "/agency/list/{agency}/{mass_event}/{token}"
        return [
            web.get("/agency/{agency}/{token}", self._inbox),
            web.get("/agency/{agency}/{token}/state", self._inbox_state),
            web.get(brief, self._brief),
            web.get(f"{brief}/state", self._brief_state),
            web.post(brief, self._answer),
            web.get(mass_list, self._list),
            web.post(mass_list, self._answer_in_list),
        ]

    async def _inbox(self, request: web.Request) -> web.Response:
        agency = self._whose_inbox(request)
        rows, lists = await self._inbox_rows(agency)
        name = self._directory.agencies[agency].name_ja
        body = inbox_list(rows, name=name, lists=self._links_to(agency, lists))
        return _shown(page(name, kept_fresh(body, _in_a_word(rows, lists), swaps=True)))

    async def _inbox_state(self, request: web.Request) -> web.Response:
        """A word that is another one when the page is, and says nothing of what stands there."""
        return _word(_in_a_word(*await self._inbox_rows(self._whose_inbox(request))))

    def _whose_inbox(self, request: web.Request) -> AgencyId:
        agency = AgencyId(request.match_info["agency"])
        if not self._links.is_inbox(agency, request.match_info["token"]) or agency not in self._directory.agencies:
            raise NoSuchLink("there is no such page")
        return agency

    async def _brief_state(self, request: web.Request) -> web.Response:
        """A word that is another one when there is a newer version, or nothing more to see; it opens nothing."""
        incident, told, over = await self._told(request)
        if over is not None:
            return _word(over.value)
        return _word(str((await self._replies.newest(incident, told)).brief_version))

    async def _brief(self, request: web.Request) -> web.Response:
        incident, told, over = await self._told(request)
        if over is not None:
            return _shown(gone(over), status=410)
        brief = read(await self._replies.brief(incident, told))
        versions = await self._replies.versions(incident, told)
        place = place_of(brief, self._directory.agencies.get(told.agency))
        whole = escape(render_text(brief, "ja")), escape(render_text(brief, "en"))
        body = f"""<header><h1>{escape(brief.agency_name)}</h1>{drill(brief)}
{self._replaced(request, incident, told, versions)}
<p class="state" data-testid="state" role="status">{escape(state(told))}</p></header>
<main>{changed(brief)}{at_a_glance(brief, place)}
<p><a href="{escape(request.path)}/call" data-testid="call">通話に参加 / join the call</a></p>
{await self._telephone(incident, brief.code)}
<p>電話での確認番号 / check digits on the telephone: <span class="check">{check_digits(told.disclosure)}</span></p>
{bar(told)}{ask(told)}
<section aria-label="全内容 / all of it"><pre data-testid="brief-text" lang="ja">{whole[0]}</pre>
<details lang="en"><summary>English</summary><pre>{whole[1]}</pre></details></section></main>
{self._versions(request, incident, told, versions, zone=brief.zone)}"""
        return _shown(page(brief.agency_name, kept_fresh(body, str(versions[0][0].brief_version), swaps=False)))

    def _brief_link(self, request: web.Request, incident: IncidentId, disclosure: DisclosureId) -> str:
        """The page of another version; its link ends when the one does by which somebody came."""
        ends = self._links.expires(request.match_info["disclosure"], request.match_info["token"])
        return self._links.brief(incident, disclosure, ends=ends)

    def _replaced(self, request: web.Request, incident: IncidentId, told: Disclosure, versions: Versions) -> str:
        newest, _ = versions[0]
        if newest.disclosure == told.disclosure:
            return ""
        return replaced(told, newest, link=self._brief_link(request, incident, newest.disclosure))

    def _versions(
        self, request: web.Request, incident: IncidentId, told: Disclosure, versions: Versions, *, zone: str
    ) -> str:
        rows = [(each, at, self._brief_link(request, incident, each.disclosure)) for each, at in versions]
        return version_list(rows, shown=told.disclosure, zone=zone)

    async def _inbox_rows(self, agency: AgencyId) -> tuple[Sequence[InboxRow], Sequence[MassEventId]]:
        """Each incident by the newest version that was sent, the newest first; and the mass events with a list."""
        known = await self._replies.disclosures(agency)
        sent = [(incident, told) for incident, told in known if told.reached is not None]
        newest = [(incident, told) for incident, told in sent if told == _newest(incident, told)]
        newest.sort(key=lambda pair: pair[1].disclosure, reverse=True)
        zone = self._zone_of(self._directory.agencies[agency].country)
        lists = dict.fromkeys(incident.listed for incident, _ in known if incident.listed is not None)
        return [self._row(incident, told, zone=zone) for incident, told in newest], tuple(lists)

    def _row(self, incident: Incident, told: Disclosure, *, zone: str) -> InboxRow:
        return InboxRow(
            told=told,
            at=on_the_wall(incident.opened_at.isoformat(), zone) if incident.opened_at else "",
            link=self._links.brief(incident.id, told.disclosure),
            quote=spaced(self._code_of(told.disclosure)),
            ended=ended(incident, told),
            exercise=incident.mode is Mode.DRILL,
        )

    def _links_to(self, agency: AgencyId, lists: Sequence[MassEventId]) -> str:
        links = [escape(self._links.mass_list(agency, mass_event)) for mass_event in lists]
        return "".join(f'<p><a href="{link}" data-testid="list">{LIST_LINK}</a></p>' for link in links)

    async def _list(self, request: web.Request) -> web.Response:
        agency, mass_event, ends = self._whose_list(request)
        if agency is None:
            return _shown(gone(End.EXPIRED), status=410)
        name = self._directory.agencies[agency].name_ja
        made = await self._lists.of(agency, mass_event, name=name)
        return _shown(page(name, list_page(made, action=request.path, link=partial(self._links.brief, ends=ends))))

    async def _answer_in_list(self, request: web.Request) -> web.Response:
        """The answer of one row: for its own incident, and for no other."""
        agency, mass_event, _ = self._whose_list(request)
        if agency is None:
            return _shown(gone(End.EXPIRED), status=410)
        form = await request.post()
        told = IncidentId(str(form.get("incident", ""))), DisclosureId(str(form.get("disclosure", "")))
        if await self._replies.listed(told[0]) != mass_event:
            raise NoSuchLink("there is no such row")
        await self._replies.answer_for_all(agency, *told, str(form.get("answer", "")))
        raise web.HTTPSeeOther(request.path)

    def _whose_list(self, request: web.Request) -> tuple[AgencyId | None, MassEventId, datetime]:
        """None where the link has expired; and when it does."""
        agency, mass_event = AgencyId(request.match_info["agency"]), MassEventId(request.match_info["mass_event"])
        expires = self._links.list_expires(agency, mass_event, request.match_info["token"])
        if agency not in self._directory.agencies:
            raise NoSuchLink("there is no such page")
        return (agency if self._links.now() < expires else None), mass_event, expires

    async def _telephone(self, incident: IncidentId, code: str) -> str:
        """What to quote on the telephone, and how long the vehicle can still be called, as it is now."""
        quote_it = (
            "<p>お電話での照会番号 / quote on the telephone: "
            f'<span class="check" data-testid="code">{spaced(code)}</span></p>'
            if code
            else ""
        )
        until, now = await self._replies.call_back_until(incident)
        left = 0 if until is None else max(0, int((until - now) / timedelta(minutes=1)))
        words = (
            f"車両への折り返しは残り約{left}分 / the vehicle answers calls for about {left} min more"
            if until is not None
            else "車両は折り返しに応答しない可能性があります / the vehicle may answer calls no longer"
        )
        return f'{quote_it}<p data-testid="call-back">{words}</p>'

    async def _answer(self, request: web.Request) -> web.Response:
        incident, told, over = await self._told(request)
        if over is not None:
            return _shown(gone(over), status=410)
        form = await request.post()
        answer, text = str(form.get("answer", "")), str(form.get("text", ""))
        newest = await self._replies.answer_for_all(told.agency, incident, told.disclosure, answer, text)
        raise web.HTTPSeeOther(self._brief_link(request, incident, newest))

    async def _told(self, request: web.Request) -> tuple[IncidentId, Disclosure, End | None]:
        """Which brief is meant, and why it is not to be seen any more."""
        incident = IncidentId(request.match_info["incident"])
        disclosure = DisclosureId(request.match_info["disclosure"])
        expires = self._links.expires(disclosure, request.match_info["token"])
        told = await self._replies.told(incident, disclosure)
        return incident, told, await self._replies.ended(incident, told, expires=expires, lasting=self._lasting)


def _newest(incident: Incident, told: Disclosure) -> Disclosure:
    """The newest version that was sent."""
    return next(each for each in versions_of(incident, told) if each.reached is not None)


def _in_a_word(rows: Sequence[InboxRow], lists: Sequence[MassEventId]) -> str:
    told = (f"{row.told.disclosure} {state(row.told)} {row.ended}" for row in rows)
    return sha256("\n".join((*told, *lists)).encode()).hexdigest()[:16]


def _shown(html: str, *, status: int = 200) -> web.Response:
    return web.Response(status=status, text=html, content_type="text/html", headers=HEADERS)


def _word(text: str) -> web.Response:
    return web.Response(text=text, headers={"Cache-Control": "no-store"})
