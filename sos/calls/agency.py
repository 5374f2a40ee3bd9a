"""The agency's voice door: whoever has a brief's one-time link joins the call in a browser, when the operator lets it.

No account, no telephone.  Two things must stand in the journal: the decision to tell this agency, which the link is
made from, and the operator's invitation (``LegInvited``), which names the leg.  A leg that was cut off may come back by
itself; one that hung up, or was taken out, needs a new invitation.
"""

import secrets
from collections.abc import Awaitable, Callable
from html import escape
from importlib import resources

from aiohttp import web

from sos.calls.bridge import Bridge
from sos.calls.http import relays
from sos.calls.turn import Turn
from sos.errors import Refused
from sos.incident.model import AgencyId, DisclosureId, Incident, IncidentId, Leg, Party, State
from sos.journal.journal import Journal
from sos.whip import sdp_answer, sdp_offer

AgencyOf = Callable[[IncidentId, DisclosureId, str], Awaitable[AgencyId]]
"""The agency that was told by this disclosure, when the token is that of its link; ``Unknown`` otherwise."""

CUT_OFF = frozenset({"media_lost", "worker_lost", "restart", "failed", "shutdown"})
"""Ends that nobody meant."""

_PATH = "/agency/brief/{incident}/{disclosure}/{token}/call"
_ICE = f"{_PATH}/ice"
_SCRIPT = (resources.files("sos.calls") / "agency_call.js").read_text(encoding="utf-8")

_STYLE = """
body{font:17px/1.6 system-ui,"Noto Sans CJK JP",sans-serif;margin:0 auto;max-width:42rem;padding:1rem;color:#12263a;
background:#fff}h1{font-size:1.25rem}button{font:inherit;font-weight:600;width:100%;min-height:3.1rem;margin:.3rem 0;
border:2px solid #12263a;border-radius:.5rem;background:#fff;color:inherit;cursor:pointer}
button.first{background:#12263a;color:#fff}button[hidden]{display:none}
button:focus-visible{outline:4px solid #d98200}#state{border-left:.4rem solid #12263a;padding-left:.6rem;
font-weight:700;min-height:1.6em}
"""


class AgencyEndpoint:
    """The page and the WebRTC offers (WHIP, RFC 9725) of agencies' people."""

    def __init__(self, bridge: Bridge, journal: Journal, *, agency_of: AgencyOf, turn: Turn) -> None:
        self._bridge = bridge
        self._journal = journal
        self._agency_of = agency_of
        self._turn = turn

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(_PATH, self._page),
            web.post(_PATH, self._join),
            web.delete(_PATH, self._leave),
            web.get(_ICE, self._ice),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        await self._agency(request)
        back = escape(request.path.removesuffix("/call"))
        nonce = secrets.token_urlsafe(16)
        html = f"""<!doctype html><html lang="ja"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>通話に参加 / join the call</title><style>{_STYLE}</style>
<h1>通話に参加 / <span lang="en">join the call</span></h1>
<p>この通話は録音されます。 / <span lang="en">This call is recorded.</span></p>
<p id="state" role="status" data-testid="call-state" data-state="idle">未参加 / not joined</p>
<button id="join" class="first" data-testid="join">参加する / join</button>
<button id="mute" data-testid="mute" aria-pressed="false" hidden>ミュート / mute</button>
<button id="leave" data-testid="leave" hidden>退出する / leave</button>
<p><a href="{back}">通報の内容 / the brief</a></p>
<audio id="sound" autoplay></audio><script nonce="{nonce}">{_SCRIPT}</script></html>"""
        policy = (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self';"
            " media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "microphone=(self)",
        }
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _join(self, request: web.Request) -> web.Response:
        """409 until the operator has let the agency in; the page asks again."""
        incident, agency = await self._agency(request)
        offer = await sdp_offer(request)
        leg = free_leg(await self._journal.state(incident), agency)
        answer = await self._bridge.connect(incident, leg=leg.leg, party=Party.AGENCY, who=agency, offer=offer)
        return sdp_answer(answer, location=request.path)

    async def _ice(self, request: web.Request) -> web.Response:
        """Relays (as ``IceEndpoint``) while the agency may join, 409 otherwise: an old link is no free relay."""
        incident, agency = await self._agency(request)
        free_leg(await self._journal.state(incident), agency)
        return relays(self._turn, "agency")

    async def _leave(self, request: web.Request) -> web.Response:
        incident, agency = await self._agency(request)
        for leg in (await self._journal.state(incident)).legs:
            if leg.party is Party.AGENCY and leg.who == agency and leg.up:
                await self._bridge.hang_up(leg.leg)
        return web.Response(status=204)

    async def _agency(self, request: web.Request) -> tuple[IncidentId, AgencyId]:
        incident = IncidentId(request.match_info["incident"])
        disclosure = DisclosureId(request.match_info["disclosure"])
        return incident, await self._agency_of(incident, disclosure, request.match_info["token"])


def free_leg(state: Incident, agency: AgencyId) -> Leg:
    """The leg that ``agency`` was invited to and that nobody of it holds; ``Refused`` when there is none.

    One person of an agency at a time: a second one who opened the same link must not take the call from the first.
    """
    if state.state is State.CLOSED:
        raise Refused("the incident is closed")
    if any(told.agency == agency and told.rejected is None for told in state.disclosures):
        legs = [leg for leg in state.legs if leg.party is Party.AGENCY and leg.who == agency]
        if any(leg.up for leg in legs):
            raise Refused("somebody of your agency is in the call")
        for leg in reversed(legs):
            if leg.alive or leg.left in CUT_OFF:
                return leg
    raise Refused("the operator has not let you in yet")
