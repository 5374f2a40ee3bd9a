"""An agency joins the call from the page of its brief: only when it was told and let in, one person at a time."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from recording.opus import RATE_HZ
from sos.app import Service, running
from sos.calls.agency import free_leg
from sos.clock import SystemClock
from sos.errors import Refused
from sos.incident.model import AgencyId, Incident, IncidentId, LegId, Party, State
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import CarVoice
from tests.audio import correlate
from tests.journeys import story as s
from tests.ports import free_port
from tests.sos.calls.peers import Peer
from tests.sos.calls.test_two_parties import wav
from tests.sos.dispatch.test_disclosure_at_the_desk import Desk

KEY = "a-key-for-this-test"
HEARD = 0.6
"""That it is heard at all: how well is measured elsewhere, on a machine that does nothing else."""

FIRE = AgencyId("jp-13-fire")


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(digest(KEY),)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=digest("hanako")),),
    )
    async with running(settings) as opened:
        yield opened


class Browser:
    """What the page does with the address of its brief."""

    def __init__(self, service: Service, incident: str, disclosure: str) -> None:
        self._address = service.links.brief(IncidentId(incident), disclosure) + "/call"  # type: ignore[arg-type]

    async def ask(self, method: str, *, offer: str = "", address: str = "", below: str = "") -> tuple[int, str]:
        headers = {"Content-Type": "application/sdp"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, (address or self._address) + below, data=offer, headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def join(self, peer: Peer) -> int:
        status, answer = await self.ask("POST", offer=await peer.offer())
        if status == 201:
            await peer.take(answer)
        return status

    def forged(self) -> str:
        return self._address.replace("/call", "0/call")


async def test_an_agency_waits_until_it_is_let_in_talks_and_leaves(service: Service, tmp_path: Path):
    clock = SystemClock()
    taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key=KEY, clock=clock)
    desk = await Desk.sit(service.url, "hanako")
    fire, second, third = (Peer(tmp_path, seed=seed) for seed in (3, 4, 5))
    async with CarVoice(service.url, taken.incident, token=KEY, heard=tmp_path / "car.wav") as car:
        await car.until_hearing()
        await desk.order(do="answer", incident=taken.incident)
        wish = {"path": "life_protection", "necessity": "automatic_crash", "consent": "no_answer"}
        told = await desk.order(do="disclose", incident=taken.incident, agency=FIRE, **wish)
        page = Browser(service, taken.incident, told["result"]["disclosures"][0])

        async with desk.session.delete(f"/console/incidents/{taken.incident}/legs/{car.leg}") as not_its_own:
            assert not_its_own.status == 204
        shown, html = await page.ask("GET")
        before, _ = await page.ask("POST", offer="v=0\r\n")
        stranger, _ = await page.ask("POST", offer="v=0\r\n", address=page.forged())
        let_in = await desk.order(do="invite", incident=taken.incident, agency=FIRE)
        joined = await page.join(fire)
        await desk.hear(
            t="event", kind="LegJoined", data={"leg": let_in["result"]["leg"], "party": "agency", "who": FIRE}
        )
        twice = await page.join(second)
        words = fire.next_words(after_s=0.5, seconds=2)
        said = car.mouth.spoken
        await fire.hears(4)
        left, _ = await page.ask("DELETE")
        await desk.hear(t="event", kind="LegLeft")
        again = await page.join(third)
        ended = [f["data"]["leg"] for f in desk.frames if f.get("kind") == "LegLeft" and f["data"]["reason"] == "ended"]
        assert car.leg not in ended
    await desk.leave()
    await fire.leave()
    await second.leave()
    await third.leave()

    assert (shown, before, stranger, joined, twice, left, again) == (200, 409, 404, 201, 409, 204, 409)
    assert "recorded" in html
    assert correlate(words, wav(tmp_path / "car.wav"), RATE_HZ)[0] >= HEARD
    assert said > 0


def _state(*commands: object, state: State = State.HANDING_OVER) -> Incident:
    story = s.Story()
    for command in (s.open_incident(), s.take(), s.disclose(), *commands):
        story.do(command)  # type: ignore[arg-type]
    assert story.incident.state is state
    return story.incident


INVITED = s.invite("leg-a", Party.AGENCY, FIRE)


def test_a_leg_that_was_cut_off_may_come_back_and_one_that_hung_up_may_not():
    cut = _state(INVITED, s.join("leg-a", Party.AGENCY, FIRE), _left("media_lost"))
    ended = _state(INVITED, s.join("leg-a", Party.AGENCY, FIRE), _left("ended"))

    assert free_leg(cut, FIRE).leg == "leg-a"
    with pytest.raises(Refused, match="let you in"):
        free_leg(ended, FIRE)


def test_an_agency_never_gets_the_leg_of_another():
    with pytest.raises(Refused):
        free_leg(_state(INVITED), AgencyId("jp-13-police"))


def test_an_agency_that_refused_is_out():
    with pytest.raises(Refused):
        free_leg(_state(INVITED, s.reject()), FIRE)


def _left(reason: str) -> object:
    return s.c.LeaveLeg(leg=LegId("leg-a"), reason=reason)
