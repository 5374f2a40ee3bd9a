"""The built-in agency portal: one page per disclosure behind an unguessable link, plain HTML that works on a phone.

A channel and the page of that channel.  Delivering means that the page exists; that a machine shows it is never taken
for a human having read it: the agency's people press "heard" and "taken over" themselves, and each opening of the page
is an access to personal data and stands in the journal before the first byte is served.
"""

import hmac
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from aiohttp import web

from routing.brief import read, render_text
from routing.categories import Category
from routing.directory import Directory
from sos.dispatch.port import Parcel, Receipt
from sos.errors import Malformed, Unknown
from sos.incident.commands import Acknowledge, Command, Reject, ReportStatus
from sos.incident.events import DisclosureDecided
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    AgencyStatus,
    Disclosure,
    DisclosureId,
    Incident,
    IncidentId,
    State,
)
from sos.journal.journal import Journal

REASONS = ("not_our_area", "no_unit_free", "already_known", "unreadable")
"""Why an agency refuses; APCO/CSAA ASAP has accept and reject with a reason."""

_STYLE = """
body{font:16px/1.6 system-ui,"Noto Sans CJK JP",sans-serif;margin:0 auto;max-width:40rem;padding:1rem;color:#12263a}
pre{white-space:pre-wrap;background:#f3f5f8;padding:1rem;border-radius:.5rem;font:inherit}
button{font:inherit;min-height:44px;padding:.4rem 1rem;margin:.25rem .25rem .25rem 0;border:1px solid #12263a;
border-radius:.4rem;background:#fff}button.taken_over{background:#12263a;color:#fff}h1{font-size:1.3rem}
.state{border-left:.4rem solid #2f6b3a;padding-left:.6rem}.drill{background:#5b3fa0;color:#fff;padding:.5rem}
"""

_WORDS = {
    None: "まだ届いていません / not delivered yet",
    Acknowledgement.TRANSPORT: "送信済み / sent",
    Acknowledgement.DELIVERED: "未確認 / delivered, not yet read",
    Acknowledgement.HEARD: "確認済み / heard",
    Acknowledgement.TAKEN_OVER: "引き受け済み / taken over",
}


class Links:
    """Unguessable addresses, made from a secret and nothing else: they survive a restart and need no table."""

    def __init__(self, secret: bytes, *, public_url: str) -> None:
        self._secret = secret
        self._public_url = public_url.rstrip("/")

    def inbox(self, agency: AgencyId) -> str:
        return f"{self._public_url}/agency/{quote(agency)}/{self._token('inbox', agency)}"

    def brief(self, incident: IncidentId, disclosure: DisclosureId) -> str:
        return f"{self._public_url}/agency/brief/{incident}/{disclosure}/{self._token('brief', disclosure)}"

    def is_inbox(self, agency: str, token: str) -> bool:
        return hmac.compare_digest(self._token("inbox", agency).encode(), token.encode())

    def is_brief(self, disclosure: str, token: str) -> bool:
        return hmac.compare_digest(self._token("brief", disclosure).encode(), token.encode())

    def _token(self, purpose: str, name: str) -> str:
        return hmac.digest(self._secret, f"{purpose}|{name}".encode(), "sha256").hex()[:40]


class PortalChannel:
    """``AgencyChannel``: the page is there as soon as the disclosure stands in the journal, so nothing can fail."""

    name = "portal"

    def __init__(self, links: Links) -> None:
        self._links = links

    async def find(self, disclosure: DisclosureId) -> Receipt | None:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"portal:{disclosure}")

    async def deliver(self, parcel: Parcel) -> Receipt:
        return Receipt(level=Acknowledgement.DELIVERED, reference=f"portal:{parcel.disclosure}")


class Portal:
    """The pages below ``/agency``."""

    def __init__(self, journal: Journal, links: Links, directory: Directory) -> None:
        self._journal = journal
        self._links = links
        self._directory = directory

    def routes(self) -> list[web.RouteDef]:
        brief = "/agency/brief/{incident}/{disclosure}/{token}"
        return [
            web.get("/agency/{agency}/{token}", self._inbox),
            web.get(brief, self._brief),
            web.post(brief, self._answer),
        ]

    async def _inbox(self, request: web.Request) -> web.Response:
        agency = AgencyId(request.match_info["agency"])
        if not self._links.is_inbox(agency, request.match_info["token"]):
            raise Unknown("there is no such page")
        rows = "".join(
            f'<li><a data-testid="brief" href="{escape(self._links.brief(incident.id, told.disclosure))}">'
            f"{escape(told.disclosure)}</a> {_WORDS[told.reached]}</li>"
            for incident in await self._incidents()
            for told in incident.disclosures
            if told.agency == agency and told.reached is not None
        )
        name = self._directory.agencies[agency].name_ja
        body = f"<h1>{escape(name)}</h1><ul>{rows or '<li>通報はありません / nothing has come in</li>'}</ul>"
        return _page(name, f'<meta http-equiv="refresh" content="3">{body}')

    async def _incidents(self) -> Sequence[Incident]:
        _, incidents = await self._journal.queue(limit=200, states=(State.HANDING_OVER, State.HANDED_OVER))
        return incidents

    async def _brief(self, request: web.Request) -> web.Response:
        incident, told = await self._told(request)
        await self._journal.read(
            incident, await self._disclosed(incident, told), reader=f"agency:{told.agency}", purpose="disclosed_brief"
        )
        document = await self._document(incident, told.disclosure)
        brief = read(document)
        drill = '<p class="drill">訓練 / EXERCISE: nobody is to be sent</p>' if brief.exercise else ""
        text = f"{render_text(brief, 'ja')}\n\n{render_text(brief, 'en')}"
        state = _WORDS[told.reached] if told.rejected is None else f"辞退 / refused: {told.rejected}"
        body = f"""<h1>{escape(brief.agency_name)}</h1>{drill}<p class="state" data-testid="state">{escape(state)}</p>
<pre data-testid="brief-text">{escape(text)}</pre>{_form(told)}"""
        return _page(brief.agency_name, body)

    async def _answer(self, request: web.Request) -> web.Response:
        incident, told = await self._told(request)
        form = await request.post()
        command = _command(told, str(form.get("answer", "")))
        await self._journal.execute(incident, command, actor=f"agency:{told.agency}")
        raise web.HTTPSeeOther(request.path)

    async def _told(self, request: web.Request) -> tuple[IncidentId, Disclosure]:
        incident = IncidentId(request.match_info["incident"])
        disclosure = DisclosureId(request.match_info["disclosure"])
        if not self._links.is_brief(disclosure, request.match_info["token"]):
            raise Unknown("there is no such page")
        told = (await self._journal.state(incident)).disclosure(disclosure)
        if told is None:
            raise Unknown("there is no such page")
        return incident, told

    async def _disclosed(self, incident: IncidentId, told: Disclosure) -> tuple[Category, ...]:
        for recorded in await self._journal.store.stream(incident):
            if isinstance(recorded.event, DisclosureDecided) and recorded.event.disclosure == told.disclosure:
                return recorded.event.categories
        raise Unknown("there is no such page")

    async def _document(self, incident: IncidentId, disclosure: DisclosureId) -> bytes:
        for part in await self._journal.unseal(incident, (Category.RAW,)):
            event = part.recorded.event
            if isinstance(event, DisclosureDecided) and event.disclosure == disclosure:
                return part.payload
        raise Unknown("this brief has been destroyed")


def _command(told: Disclosure, answer: str) -> Command:
    if answer in ("heard", "taken_over"):
        return Acknowledge(disclosure=told.disclosure, agency=told.agency, level=Acknowledgement(answer))
    if answer in REASONS:
        return Reject(disclosure=told.disclosure, agency=told.agency, reason=answer)
    if answer in tuple(AgencyStatus):
        return ReportStatus(disclosure=told.disclosure, agency=told.agency, status=AgencyStatus(answer))
    raise Malformed("this answer is not known", field="answer")


def _form(told: Disclosure) -> str:
    """The answers that make sense now, the most likely first."""
    if told.rejected is not None:
        return ""
    if told.taken_over:
        return _buttons(
            ("dispatched", "出動 / dispatched"), ("on_scene", "現着 / on scene"), ("closed", "完了 / closed")
        )
    heard = () if told.reached is Acknowledgement.HEARD else (("heard", "確認した / heard"),)
    reasons = tuple((reason, f"引き受けられない / refuse: {reason}") for reason in REASONS)
    return (
        _buttons(("taken_over", "引き受ける / take over"), *heard)
        + f"<details><summary>…</summary>{_buttons(*reasons)}</details>"
    )


def _buttons(*answers: tuple[str, str]) -> str:
    return "".join(
        f'<form method="post" style="display:inline"><button class="{value}" name="answer" value="{value}"'
        f' data-testid="{value}">{escape(words)}</button></form>'
        for value, words in answers
    )


def _page(title: str, body: str) -> web.Response:
    html = (
        f'<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{body}</html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=html, content_type="text/html", headers=headers)
