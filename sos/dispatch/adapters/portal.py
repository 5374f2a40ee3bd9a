"""The built-in agency portal: one page per disclosure behind an unguessable link, plain HTML that works on a phone.

A channel and the page of that channel.  Delivering means that the page exists; that a machine shows it is never taken
for a human having read it: the agency's people press "heard" and "taken over" themselves, and each opening of the page
is an access to personal data and stands in the journal before the first byte is served.
"""

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from urllib.parse import quote

from aiohttp import web

from routing.brief import read, render_text, spaced
from routing.directory import Directory
from routing.text import octets
from sos.clock import Clock, SystemClock
from sos.dispatch.adapters.list_page import LIST_LINK, list_page
from sos.dispatch.endings import LASTING, End, Lasting, part_is_over
from sos.dispatch.mass_list import MassLists
from sos.dispatch.port import Parcel, Receipt
from sos.dispatch.replies import WORDS, Replies
from sos.dispatch.reply_codes import check_digits
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    MassEventId,
    Question,
)
from sos.problems import NoSuchLink

_STYLE = """
:root{--ink:#12263a;--paper:#fff;--soft:#f3f5f8;--done:#2f6b3a}*{box-sizing:border-box}
body{font:17px/1.6 system-ui,"Noto Sans CJK JP",sans-serif;margin:0 auto;max-width:42rem;padding:1rem 1rem 9rem;
color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.25rem;margin:.2rem 0 .6rem}h2{font-size:1rem;margin:1rem 0 .3rem}
pre{white-space:pre-wrap;background:var(--soft);padding:1rem;border-radius:.5rem;font:inherit;margin:.5rem 0}
.drill{background:#5b3fa0;color:#fff;padding:.6rem;font-weight:700}
.state{border-left:.4rem solid var(--done);padding-left:.6rem;font-weight:700}
.check{font-size:1.5rem;letter-spacing:.2em;font-weight:700}
button,select,textarea{font:inherit;color:inherit;width:100%;min-height:3.1rem;padding:.5rem .8rem;
border:2px solid var(--ink);border-radius:.5rem;background:var(--paper)}
button{cursor:pointer;font-weight:600}button.first{background:var(--ink);color:#fff}
button:focus-visible,summary:focus-visible,select:focus-visible,textarea:focus-visible{outline:4px solid #d98200}
.bar{position:sticky;bottom:0;background:var(--paper);padding:.6rem 0;border-top:2px solid var(--ink);display:grid;
grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.5rem}.bar form{display:contents}
details{margin:.6rem 0}summary{min-height:3rem;padding:.6rem 0;font-weight:600}details form{display:grid;gap:.5rem}
ul{list-style:none;padding:0}li a{display:block;padding:.8rem;border:2px solid var(--ink);border-radius:.5rem;
margin:.5rem 0;color:inherit;min-height:3rem}li a.wait{background:#fff3d6}
ol.list{list-style:none;padding:0}ol.list>li{border:2px solid var(--ink);border-radius:.5rem;
padding:.6rem;margin:.6rem 0}
.wait{background:#fff3d6;padding:.3rem .6rem;margin:0}.over{margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem .8rem;margin:.5rem 0}dd{margin:0;font-weight:600}
@media print{form,.bar,details{display:none}}
"""

_WORDS = {
    None: "まだ届いていません / not delivered yet",
    Acknowledgement.TRANSPORT: "送信済み / sent",
    Acknowledgement.DELIVERED: "未確認 / delivered, not yet read",
    Acknowledgement.HEARD: "確認済み / heard",
    Acknowledgement.TAKEN_OVER: "引き受け済み / taken over",
}


_OVER = {
    End.EXPIRED: (
        "このリンクの有効期限が切れました。最新の内容は指令台にお問い合わせください。",
        "This link has expired. Please ask the emergency call centre for the present state.",
    ),
    End.REFUSED: (
        "辞退のご連絡をいただきましたので、この通報の表示を終了しました。ご対応ありがとうございました。",
        "You have refused, so this report is shown no longer. Thank you for answering.",
    ),
    End.ANOTHER: (
        "他の機関が引き受けましたので、この通報の表示を終了しました。ご対応ありがとうございました。",
        "Another agency has taken over, so this report is shown no longer. Thank you for answering.",
    ),
    End.CLOSED: (
        "この事案は終了しました。ご対応ありがとうございました。",
        "This incident has been closed. Thank you for answering.",
    ),
}


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
    ) -> None:
        self._lists = lists
        self._lasting = lasting or LASTING
        self._replies = replies
        self._links = links
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        brief = "/agency/brief/{incident}/{disclosure}/{token}"
        mass_list = "/agency/list/{agency}/{mass_event}/{token}"
        return [
            web.get("/agency/{agency}/{token}", self._inbox),
            web.get(brief, self._brief),
            web.post(brief, self._answer),
            web.get(mass_list, self._list),
            web.post(mass_list, self._answer_in_list),
        ]

    async def _inbox(self, request: web.Request) -> web.Response:
        agency = AgencyId(request.match_info["agency"])
        if not self._links.is_inbox(agency, request.match_info["token"]) or agency not in self._directory.agencies:
            raise NoSuchLink("there is no such page")
        disclosures = await self._replies.disclosures(agency)
        rows = "".join(
            f'<li><a data-testid="brief" class="{"wait" if told.pending else ""}"'
            f' href="{escape(self._links.brief(incident.id, told.disclosure))}">'
            f"<strong>{escape(_ended(incident, told) or _state(told))}</strong><br>{escape(told.disclosure)}</a></li>"
            for incident, told in disclosures
            if told.reached is not None
        )
        name = self._directory.agencies[agency].name_ja
        nothing = "<li>通報はありません / nothing has come in</li>"
        body = f"<h1>{escape(name)}</h1>{self._lists_of(agency, disclosures)}<ul>{rows or nothing}</ul>"
        return _page(name, f'<meta http-equiv="refresh" content="3">{body}')

    async def _brief(self, request: web.Request) -> web.Response:
        incident, told, over = await self._told(request)
        if over is not None:
            return _gone(over)
        brief = read(await self._replies.brief(incident, told))
        drill = '<p class="drill">訓練 / EXERCISE: nobody is to be sent</p>' if brief.exercise else ""
        body = f"""<h1>{escape(brief.agency_name)}</h1>{drill}
<p class="state" data-testid="state" role="status">{escape(_state(told))}</p>
<pre data-testid="brief-text" lang="ja">{escape(render_text(brief, "ja"))}</pre>
<p><a href="{escape(request.path)}/call" data-testid="call">通話に参加 / join the call</a></p>
{await self._telephone(incident, brief.code)}
<p>電話での確認番号 / check digits on the telephone: <span class="check">{check_digits(told.disclosure)}</span></p>
{_bar(told)}{_ask(told)}
<details lang="en"><summary>English</summary><pre>{escape(render_text(brief, "en"))}</pre></details>"""
        return _page(brief.agency_name, body)

    def _lists_of(self, agency: AgencyId, disclosures: Sequence[tuple[Incident, Disclosure]]) -> str:
        listed = dict.fromkeys(incident.listed for incident, _ in disclosures if incident.listed is not None)
        links = [escape(self._links.mass_list(agency, mass_event)) for mass_event in listed]
        return "".join(f'<p><a href="{link}" data-testid="list">{LIST_LINK}</a></p>' for link in links)

    async def _list(self, request: web.Request) -> web.Response:
        agency, mass_event, ends = self._whose_list(request)
        if agency is None:
            return _gone(End.EXPIRED)
        name = self._directory.agencies[agency].name_ja
        made = await self._lists.of(agency, mass_event, name=name)
        return _page(name, list_page(made, action=request.path, link=partial(self._links.brief, ends=ends)))

    async def _answer_in_list(self, request: web.Request) -> web.Response:
        """The answer of one row: for its own incident, and for no other."""
        agency, mass_event, _ = self._whose_list(request)
        if agency is None:
            return _gone(End.EXPIRED)
        form = await request.post()
        told = IncidentId(str(form.get("incident", ""))), DisclosureId(str(form.get("disclosure", "")))
        if await self._replies.listed(told[0]) != mass_event:
            raise NoSuchLink("there is no such row")
        await self._replies.answer(agency, *told, str(form.get("answer", "")))
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
            return _gone(over)
        form = await request.post()
        answer, text = str(form.get("answer", "")), str(form.get("text", ""))
        await self._replies.answer(told.agency, incident, told.disclosure, answer, text)
        raise web.HTTPSeeOther(request.path)

    async def _told(self, request: web.Request) -> tuple[IncidentId, Disclosure, End | None]:
        """Which brief is meant, and why it is not to be seen any more."""
        incident = IncidentId(request.match_info["incident"])
        disclosure = DisclosureId(request.match_info["disclosure"])
        expires = self._links.expires(disclosure, request.match_info["token"])
        told = await self._replies.told(incident, disclosure)
        return incident, told, await self._replies.ended(incident, told, expires=expires, lasting=self._lasting)


def _gone(over: End) -> web.Response:
    """Nothing of the incident, and no name: whoever holds an old link learns that it is one."""
    japanese, english = _OVER[over]
    body = (
        f'<h1>終了 / <span lang="en">ended</span></h1><p data-testid="ended" data-why="{over}">{japanese}</p>'
        f'<p lang="en">{english}</p>'
    )
    return _page("終了 / ended", body, status=410)


def _ended(incident: Incident, told: Disclosure) -> str:
    return "" if part_is_over(incident, told) is None else "終了 / ended"


def _state(told: Disclosure) -> str:
    if told.rejected is not None:
        return f"辞退 / refused: {told.rejected}"
    if told.status is not None:
        return _COURSE[told.status]
    return _WORDS[told.reached]


_COURSE = {
    AgencyStatus.DISPATCHED: "出動 / dispatched",
    AgencyStatus.ON_SCENE: "現着 / on scene",
    AgencyStatus.CLOSED: "活動終了 / closed",
}

_REFUSALS = {
    "not_our_area": "管轄外 / not our area",
    "no_unit_free": "出動できる隊がない / no unit free",
    "already_known": "覚知済み / known already",
    "unreadable": "内容が読めない / unreadable",
}

_QUESTIONS = {
    Question.CALL_ME: "電話してほしい / call us",
    Question.WHERE: "場所をもっと詳しく / where exactly",
    Question.HOW_MANY_HURT: "負傷者の人数 / how many are hurt",
    Question.WHICH_VEHICLE: "車両の特徴 / which vehicle",
    Question.OTHER: "その他 / something else",
}


def _bar(told: Disclosure) -> str:
    """The answers that make sense now, the most likely first, within reach of a thumb."""
    if told.rejected is not None:
        return ""
    if told.taken_over:
        later = [status for status in AgencyStatus if told.status is None or status.value != told.status.value]
        return _buttons(*((status.value, _COURSE[status]) for status in later))
    heard = () if told.reached is Acknowledgement.HEARD else (("heard", "確認した / heard"),)
    return _buttons(("taken_over", "引き受ける / take over"), *heard)


def _buttons(*answers: tuple[str, str]) -> str:
    buttons = "".join(
        f'<form method="post"><button class="{"first" if number == 0 else ""}" name="answer" value="{value}"'
        f' data-testid="{value}">{escape(words)}</button></form>'
        for number, (value, words) in enumerate(answers)
    )
    return f'<div class="bar">{buttons}</div>'


def _ask(told: Disclosure) -> str:
    """What is pressed less often: a question, a refusal."""
    if told.rejected is not None:
        return ""
    asked = f"<p>質問済み / asked: {escape(_QUESTIONS[told.asked])}</p>" if told.asked else ""
    questions = "".join(f'<option value="{each.value}">{escape(words)}</option>' for each, words in _QUESTIONS.items())
    ask = f"""<details><summary>質問する / ask back</summary>{asked}<form method="post">
<select name="answer" aria-label="質問 / question" data-testid="question">{questions}</select>
<textarea name="text" rows="2" maxlength="{WORDS}" aria-label="内容 / words"></textarea>
<button data-testid="ask">質問を送る / send</button></form></details>"""
    if told.taken_over:
        return ask
    refusals = "".join(
        f'<form method="post"><button name="answer" value="{value}" data-testid="{value}">'
        f"{escape(words)}</button></form>"
        for value, words in _REFUSALS.items()
    )
    return f"{ask}<details><summary>引き受けられない / refuse</summary>{refusals}</details>"


def _page(title: str, body: str, *, status: int = 200) -> web.Response:
    html = (
        f'<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{body}</html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(status=status, text=html, content_type="text/html", headers=headers)
