"""How fast Twilio is answered while calls run: the webhooks of a running service beside a bare handler, interleaved.

Run ``python -m ops.bench.webhooks`` from the root of the repository.  Service, emulated Twilio and this client are
processes of their own.  Cars that called before the measurement talk all the while, their sound streamed to the
service; each call that is measured opens an incident, is put on the record and gets its TwiML.  Twilio's own limit with
our connection overrides is 3 s; ours is 200 ms.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from sos.settings import OperatorSettings, Settings, TenantSettings, TwilioNumberSettings, TwilioSettings
from tests.ports import free_port
from tests.sos.calls.twilio_rig import CALLER, VEHICLES, toml_of
from tests.twilio_emulator.world import sid

PORT, FIGURES = free_port(), free_port()
VOICE_URL = f"http://127.0.0.1:{PORT}/twilio/voice"
PLAIN = "<Response><Dial><Conference>x</Conference></Dial></Response>"
WITHIN_S = 0.2
"""What we promise for an answer."""


async def main(rounds: int, *, cars: int, apart_s: float) -> None:
    taken: dict[str, list[float]] = {"voice": [], "status": [], "wait": [], "bare handler": []}
    with tempfile.TemporaryDirectory() as directory:
        async with _emulated() as (told, orders), _serving(Path(directory), told) as url, _plain() as plain:
            for number in range(cars):
                orders.write(f"+81300001{number:03} {VEHICLES}\n".encode())
            await _talking(url, cars)
            async with aiohttp.ClientSession() as session:
                for number in range(rounds):
                    for name, address, form in _asked(url, plain, told["account"], number):
                        begun = time.perf_counter()
                        await _post(session, address, form, token=told["token"])
                        taken[name].append(time.perf_counter() - begun)
                    await asyncio.sleep(apart_s)
    _print(taken, cars=cars)


def _asked(url: str, plain: str, account: str, number: int) -> list[tuple[str, str, dict[str, str]]]:
    """One of each: a car that calls, a status of a call, what one hears alone, and next to nothing."""
    form = {"CallSid": sid("CA"), "AccountSid": account, "From": f"+81300002{number % 1000:03}", "To": VEHICLES}
    status = {**form, "CallStatus": "ringing", "SequenceNumber": str(number)}
    return [
        ("voice", f"{url}/twilio/voice", form),
        ("status", f"{url}/twilio/legs/{'0' * 8}/{'1' * 8}", status),
        ("wait", f"{url}/twilio/wait", form),
        ("bare handler", plain, form),
    ]


async def _post(session: aiohttp.ClientSession, url: str, form: Mapping[str, str], *, token: str) -> None:
    signature = RequestValidator(token).compute_signature(url, dict(form))
    async with session.post(url, data=form, headers={"X-Twilio-Signature": signature}) as answer:
        await answer.read()
        assert answer.status in (200, 204), answer.status


def _print(taken: Mapping[str, list[float]], *, cars: int) -> None:
    print(f"while {cars} cars talk, {len(taken['voice'])} requests of each kind; promised: {WITHIN_S * 1000:.0f} ms")
    bare = sorted(taken["bare handler"])[len(taken["bare handler"]) // 2]
    for name, times in taken.items():
        ordered = sorted(times)
        middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        within = sum(each <= WITHIN_S for each in ordered) / len(ordered)
        print(
            f"{name:14} p50 {middle * 1000:6.1f} ms   p99 {late * 1000:6.1f} ms   max {ordered[-1] * 1000:6.1f} ms"
            f"   within {100 * within:6.2f} %   {middle / bare:5.1f} x bare"
        )


@asynccontextmanager
async def _emulated() -> AsyncIterator[tuple[dict[str, str], asyncio.StreamWriter]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.twilio_emulator", "--orders", "--voice-url", VOICE_URL,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(await process.stdout.readline()), process.stdin
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _serving(directory: Path, told: Mapping[str, str]) -> AsyncIterator[str]:
    """The service as a process; its address once it answers."""
    for name in ("token", "secret"):
        (directory / name).write_text(told[name])
    (directory / "sos.toml").write_text(toml_of(_settings(directory, told)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sos", "serve", "--config", str(directory / "sos.toml"), stderr=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{PORT}"
    try:
        await _until(f"{url}/healthz", lambda _: True)
        yield url
    finally:
        process.terminate()
        await process.wait()


def _settings(directory: Path, told: Mapping[str, str]) -> Settings:
    group = TwilioSettings(
        account_sid=told["account"],
        auth_token_file=str(directory / "token"),
        api_key_sid=told["key"],
        api_key_secret_file=str(directory / "secret"),
        caller=CALLER,
        numbers=(TwilioNumberSettings(called=VEHICLES, tenant="acme"),),
        base_url=told["base"],
    )
    digest = sha256(b"invented").hexdigest()
    return Settings(
        data_dir=str(directory / "data"),
        port=PORT,
        metrics_port=FIGURES,
        telephony="twilio",
        twilio=group,
        tenants=(TenantSettings(id="acme", domain="acme.sos.example", key_digests=(digest,)),),
        operators=(OperatorSettings(id="hanako", name="架空 花子", token_digest=digest),),
    )


async def _talking(url: str, cars: int) -> None:
    """Return when so many incidents wait."""
    await _until(f"http://127.0.0.1:{FIGURES}/metrics", lambda text: f"sos_incidents_waiting {cars}.0" in text)


async def _until(address: str, good: Any) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(address) as answer:
                    if good(await answer.text()):
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _plain() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        await request.post()
        return web.Response(text=PLAIN, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=100)
    options.add_argument("--cars", type=int, default=20, help="Calls that run all the while.")
    options.add_argument("--apart", type=float, default=0.4, help="Seconds between two rounds; each opens an incident.")
    given = options.parse_args()
    asyncio.run(main(given.rounds, cars=given.cars, apart_s=given.apart))
