"""How fast a car's call is answered: the voice webhook of a running service beside a bare handler, interleaved.

Run ``python -m ops.bench.webhooks`` from the root of the repository.  Every call opens an incident, is put on the
record and gets its TwiML.  Twilio's own limit with our connection overrides is 3 s; ours is 200 ms.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from sos.app import running
from tests.sos.calls.test_twilio_service import settings
from tests.sos.calls.twilio_rig import CAR, VEHICLES
from tests.twilio_emulator.server import Emulator
from tests.twilio_emulator.world import sid

PLAIN = "<Response><Dial><Conference>x</Conference></Dial></Response>"


async def main(calls: int, *, apart_s: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with Emulator() as emulator, aiohttp.ClientSession() as session:
            configured = settings(Path(directory), emulator)
            plain = await _plain()
            async with running(configured) as service:
                ours, bare = [], []
                for _ in range(calls):
                    form = {"CallSid": sid("CA"), "AccountSid": emulator.account, "From": CAR, "To": VEHICLES}
                    url = f"{service.url}/twilio/voice"
                    signature = RequestValidator(emulator.token).compute_signature(url, form)
                    ours.append(await _timed(session, url, form, signature))
                    bare.append(await _timed(session, plain, form, signature))
                    await asyncio.sleep(apart_s)
    for name, taken in (("voice webhook", ours), ("bare handler", bare)):
        taken.sort()
        middle, late = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        print(f"{name:14} p50 {middle * 1000:6.1f} ms   p99 {late * 1000:6.1f} ms   worst {taken[-1] * 1000:6.1f} ms")
    print(f"ratio of medians {ours[len(ours) // 2] / bare[len(bare) // 2]:.1f}")


async def _plain() -> str:
    async def answer(request: web.Request) -> web.Response:
        await request.post()
        return web.Response(text=PLAIN, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def _timed(session: aiohttp.ClientSession, url: str, form: dict[str, str], signature: str) -> float:
    begun = time.perf_counter()
    async with session.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer:
        await answer.read()
        assert answer.status == 200
    return time.perf_counter() - begun


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=300)
    options.add_argument("--apart", type=float, default=0.1, help="Seconds between two calls.")
    given = options.parse_args()
    asyncio.run(main(given.calls, apart_s=given.apart))
