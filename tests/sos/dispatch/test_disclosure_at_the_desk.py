"""The whole service: an operator and a supervisor at their desks, and a person who refuses."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp

from sos.app import running
from sos.clock import SystemClock
from sos.settings import OperatorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port

KEY = "a-key-for-this-test"


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class Desk:
    """One desk of the running service: gives orders and hears what happens."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.session = session
        self._socket = socket
        self._ids = iter(range(1, 1000))
        self.frames: list[dict[str, Any]] = []

    @classmethod
    async def sit(cls, url: str, token: str) -> "Desk":
        session = aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True))
        await session.post("/console/session", json={"token": token})
        return cls(session, await session.ws_connect("/console/socket"))

    async def leave(self) -> None:
        await self._socket.close()
        await self.session.close()

    async def hear(self, **wanted: object) -> dict[str, Any]:
        """The first frame, heard before or from now on, that has all of ``wanted``."""
        async with asyncio.timeout(20):
            while True:
                for frame in self.frames:
                    if all(frame.get(name) == value for name, value in wanted.items()):
                        return frame
                self.frames.append(await self.hear_next())

    async def hear_next(self) -> dict[str, Any]:
        frame: dict[str, Any] = await self._socket.receive_json()
        return frame

    async def order(self, **order: object) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, **order})
        return await self.hear(t="reply", id=number)


async def test_a_supervisor_at_another_desk_decides_what_the_person_refused(tmp_path: Path):
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        centre_ja="架空センター",
        desk_line="+81300000009",
        tenants=(
            TenantSettings(id="acme", domain="acme.sos.example", terms="demo-terms", key_digests=(_digest(KEY),)),
        ),
        operators=(
            OperatorSettings(id="hanako", name="架空 花子", token_digest=_digest("hanako")),
            OperatorSettings(id="jiro", name="架空 次郎", token_digest=_digest("jiro"), supervisor=True),
        ),
    )
    clock = SystemClock()
    async with running(settings) as service:
        hanako, jiro = await Desk.sit(service.url, "hanako"), await Desk.sit(service.url, "jiro")
        taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key=KEY, clock=clock)
        here = {"incident": taken.incident}
        await hanako.hear(t="event", kind="PlanMade")
        await hanako.hear(t="event", kind="DeskOffered")
        assert (await hanako.order(do="answer", **here))["ok"]
        await hanako.order(do="consent", answer="refused", **here)
        wish = {"do": "disclose", "agency": "jp-13-fire", "path": "refused", "reason": "sounds confused"}
        wish |= {"necessity": "automatic_crash", "consent": "refused"}

        referred = await hanako.order(**wish, **here)
        asked = (await jiro.hear(t="event", kind="DisclosureReferred"))["data"]["referral"]
        word = {"do": "approve", "referral": asked, "approved": True, "facts": ["capacity_in_doubt"], "reason": "shock"}
        by_herself = await hanako.order(**word, **here)
        by_him = await jiro.order(**word, **here)
        told = await hanako.order(**wish, **here)
        decided = await jiro.hear(t="event", kind="DisclosureDecided")
        await hanako.leave()
        await jiro.leave()

    assert not referred["ok"]
    assert "a question for a supervisor is on record" in referred["error"]["detail"]
    assert "監督者への照会を記録しました" in referred["error"]["words"][0]
    assert "has been asked" not in referred["error"]["detail"]  # only the alarm knows whether any can know of it
    assert (by_herself["ok"], by_him["ok"], told["ok"]) == (False, True, True)
    header = decided["data"]
    assert (header["rule"], header["supervisor"], header["review"]) == ("JP-05-C", "jiro", True)
    assert set(header["categories"]) <= {"LOC", "VEH", "SEV"}
    assert header["clause"] == "demo-terms/1#4.2"
