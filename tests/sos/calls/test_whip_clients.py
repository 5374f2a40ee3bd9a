"""WHIP clients that nobody here wrote, with RSA and ECDSA certificates: they connect, talk and are heard.

Each is given the address of the incident's voice and a token, as its manual has it, and no header of ours.
"""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from sos.app import Service
from sos.clock import SystemClock
from sos.incident.model import new_id
from sos.media.opus import Pcm
from sos.vehicle.report import Car, crash, report_once
from sos.vehicle.voice import speech_like
from tests.audio import correlate
from tests.sos.calls.peers import Peer
from tests.sos.calls.stacks import chromium, installed
from tests.sos.calls.test_agency_door import KEY, service
from tests.sos.calls.test_two_parties import wav
from tests.sos.dispatch.test_disclosure_at_the_desk import Desk

__all__ = ["service"]

WHIP_WHEP = "whip-whep@1.2.0"
"""By an author of RFC 9725."""
GSTREAMER = shutil.which("whip-client")
PLUGINS = (
    "app", "audioconvert", "audioresample", "audiotestsrc", "coreelements", "dtls", "nice", "opus", "rawparse", "rtp",
    "rtpmanager", "sctp", "srtp", "videoconvert", "videoconvertscale", "videotestsrc", "vpx", "webrtc",
)  # fmt: skip
"""What it needs of GStreamer's: others bring libsoup 3 with them, and Debian's client is of libsoup 2."""
NO_UPNP = """
void *gupnp_simple_igd_thread_new(void) { return 0; }
unsigned long gupnp_simple_igd_get_type(void) { return 0; }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
"""
"""In place of the library by which libnice asks routers for ports (it finds none here), for the same reason."""
HEARD = 0.6
"""That it is heard at all: how well is measured elsewhere, on a machine that does nothing else."""
WORDS_S = 4.0
RATE_HZ = 48_000

RSA = "{name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256'}"
ECDSA = "{name: 'ECDSA', namedCurve: 'P-256'}"

_CALL = """async ([url, token, words, key]) => {
  const {WHIPClient} = await import('/whip.js');
  const bytes = Uint8Array.from(atob(words), (one) => one.charCodeAt(0));
  const pcm = new Int16Array(bytes.buffer);
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  const buffer = context.createBuffer(1, pcm.length, 48000);
  buffer.getChannelData(0).set(Float32Array.from(pcm, (one) => one / 32768));
  const source = new AudioBufferSourceNode(context, {buffer, loop: true});
  const mouth = context.createMediaStreamDestination();
  source.connect(mouth);
  source.start();
  const certificate = await RTCPeerConnection.generateCertificate(eval(`(${key})`));
  window.pc = new RTCPeerConnection({certificates: [certificate]});
  pc.addTransceiver(mouth.stream.getAudioTracks()[0], {direction: 'sendonly', streams: [mouth.stream]});
  window.whip = new WHIPClient();
  await whip.publish(pc, url, token);
}"""


@asynccontextmanager
async def elsewhere(folder: Path) -> AsyncIterator[str]:
    """A page of another origin than the service's, with the client's script beside it."""
    script = folder / "node_modules" / "whip-whep" / "whip.js"

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html>", content_type="text/html")

    async def client(_: web.Request) -> web.FileResponse:
        return web.FileResponse(script)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/whip.js", client)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@asynccontextmanager
async def incident_with_operator(service: Service, directory: Path) -> AsyncIterator[tuple[str, Peer]]:
    """The address of an incident's voice, and the operator who has it and is in its conference."""
    clock = SystemClock()
    taken = await report_once(crash(Car(), at=clock.now(), seed=1), base_url=service.url, key=KEY, clock=clock)
    desk = await Desk.sit(service.url, "hanako")
    await desk.order(do="answer", incident=taken.incident)
    operator = Peer(directory, seed=7)
    headers = {"Content-Type": "application/sdp", "Leg-Id": new_id()}
    joined = desk.session.post(
        f"/console/incidents/{taken.incident}/voice", data=await operator.offer(), headers=headers
    )
    async with joined as answer:
        assert answer.status == 201
        await operator.take(await answer.text())
    yield f"{service.url}/v1/incidents/{taken.incident}/voice", operator
    await operator.leave()
    await desk.leave()


def heard_by(operator: Peer, words: Pcm) -> float:
    """How well any second of ``words``, said over and over, came through."""
    heard = wav(operator.heard)
    pieces = [heard[at : at + RATE_HZ] for at in range(0, heard.size - RATE_HZ, RATE_HZ // 2)]
    said = np.concatenate((words, words))
    return max((correlate(piece, said, RATE_HZ)[0] for piece in pieces if np.any(piece)), default=0.0)


async def settles(operator: Peer, words: Pcm) -> float:
    """What ``heard_by`` comes to, once enough was said."""
    await operator.hears(WORDS_S + 2)
    operator.hush()
    return await asyncio.to_thread(heard_by, operator, words)


def gstreamer(directory: Path) -> dict[str, str]:
    """An environment in which the client finds its plug-ins and no others."""
    found = [path for name in PLUGINS for path in Path("/usr/lib").glob(f"*/gstreamer-1.0/libgst{name}.so")]
    compiler = shutil.which("cc")
    if GSTREAMER is None or compiler is None or not any(path.stem == "libgstwebrtc" for path in found):
        pytest.skip("no cc, or no whip-client: Debian simple-whip-client, gstreamer1.0-plugins-good, -bad, -nice")
    for path in found:
        (directory / path.name).symlink_to(path)
    (directory / "no_upnp.c").write_text(NO_UPNP)
    library = directory / "libgupnp-igd-1.0.so.4"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, directory / "no_upnp.c"], check=True)
    own = {"GST_PLUGIN_SYSTEM_PATH": str(directory), "GST_REGISTRY": str(directory / "registry")}
    return os.environ | own | {"LD_LIBRARY_PATH": str(directory)}


@pytest.mark.browser
@pytest.mark.parametrize("key", [RSA, ECDSA], ids=["rsa", "ecdsa"])
async def test_a_browser_s_whip_client_of_another_origin_talks_and_is_heard(
    service: Service, tmp_path: Path, key: str
) -> None:
    words = speech_like(WORDS_S, seed=3)
    async with (
        elsewhere(installed(WHIP_WHEP)) as address,
        chromium() as browser,
        incident_with_operator(service, tmp_path) as (voice, operator),
    ):
        page = await browser.new_page()
        await page.goto(address)
        answers: dict[str, int] = {}
        page.on("response", lambda got: answers.update({got.request.method: got.status}))
        await page.evaluate(_CALL, [voice, KEY, base64.b64encode(words.tobytes()).decode(), key])
        await page.wait_for_function("pc.connectionState === 'connected'")
        likeness = await settles(operator, words)
        await page.evaluate("whip.stop()")

    assert likeness > HEARD
    assert (answers["POST"], answers["PATCH"], answers["DELETE"]) == (201, 204, 204)


async def test_gstreamer_s_whip_client_with_its_rsa_certificate_talks_and_is_heard(
    service: Service, tmp_path: Path
) -> None:
    plugins = tmp_path / "gstreamer"
    plugins.mkdir()
    environment = gstreamer(plugins)
    words = speech_like(WORDS_S, seed=3)
    (tmp_path / "words").write_bytes(np.tile(words, 5).tobytes())
    sound = (
        f"filesrc location={tmp_path / 'words'} blocksize=1920 ! rawaudioparse format=pcm pcm-format=s16le "
        "sample-rate=48000 num-channels=1 ! identity sync=true ! audioconvert ! opusenc ! rtpopuspay pt=100 ssrc=1 "
        "! queue ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100"
    )
    async with incident_with_operator(service, tmp_path) as (voice, operator):
        with (tmp_path / "whip.log").open("wb") as log:
            client = await asyncio.create_subprocess_exec(
                *(str(GSTREAMER), "-u", voice, "-t", KEY, "-A", sound, "-o"), stdout=log, stderr=log, env=environment
            )
            try:
                likeness = await settles(operator, words)
                client.send_signal(signal.SIGINT)  # as its manual ends a call
                await asyncio.wait_for(client.wait(), 20)
            finally:
                if client.returncode is None:
                    client.kill()
                    await client.wait()

    told = (tmp_path / "whip.log").read_text()
    print(told)
    assert likeness > HEARD, told[-2000:]
