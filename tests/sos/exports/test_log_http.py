"""The published log as it is served: what an outside client reads of it, who may, and that nothing else is there."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recording import ledger, note
from recording.tiles import TileStore, tile_path, unbundle
from sos.app import running
from sos.clock import SystemClock
from sos.exports.auditors import Auditor, Auditors
from sos.exports.log_http import AT_ONCE, WAITING, LogEndpoint
from sos.problems import problems_middleware
from sos.settings import AuditorSettings, Settings, TenantSettings
from sos.vehicle.report import Car, crash, report_once
from tests.ports import free_port

SIGNER = note.Signer("log.centre.example/audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
ENTRIES = [b'{"entry":%d}' % number for number in range(66_000)]
AUDITORS = Auditors(
    [
        Auditor.of(
            AuditorSettings(id=name, token_digest=sha256(name.encode()).hexdigest(), brands=brands, categories=())
        )
        for name, brands in (("of-all", ("*",)), ("of-acme", ("acme",)))
    ]
)
TILES = ("tile/0/000", "tile/0/256", "tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1")


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("served") / "log"
    tree, store = ledger.Tree(), TileStore(directory)
    for size in (65_000, 66_000):
        first = tree.size
        for entry in ENTRIES[first:size]:
            tree.append(ledger.leaf_hash(entry))
        text = note.checkpoint_text(SIGNER.name, tree.size, tree.root())
        store.publish(first, ENTRIES[first:size], note.sign(text, [SIGNER]))
    return directory


@asynccontextmanager
async def serving(log: Path, *, public: bool) -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(LogEndpoint(TileStore(log), AUDITORS, public=public).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_an_outside_client_gets_a_leaf_and_checks_it_against_the_checkpoint(log: Path):
    tool = Path(sys.executable).with_name("tlog-tiles")
    if not tool.exists():
        pytest.skip("tlog-scales is not installed")

    async with serving(log, public=True) as client:
        for index in (0, 255, 256, 65_535, 65_536, 65_999):
            command = [tool, "get-leaf", "-c", str(client.make_url("/log/")), str(index)]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
            assert ENTRIES[index] in done.stdout


async def test_full_tiles_may_be_kept_for_ever_and_the_checkpoint_is_asked_for_anew(log: Path):
    async with serving(log, public=True) as client:
        checkpoint = await client.get("/log/checkpoint")
        answers = [await client.get(f"/log/{tile}") for tile in (*TILES, "tile/entries/000")]
        bodies = [await answer.read() for answer in answers]

        assert await checkpoint.read() == (log / "checkpoint").read_bytes()
    assert checkpoint.headers["Cache-Control"] == "no-cache"
    assert checkpoint.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/octet-stream"}
    assert [len(body) for body in bodies[:-1]] == [8192, 8192, 208 * 32, 8192, 32, 32]
    assert unbundle(bodies[-1]) == ENTRIES[:256]


async def test_a_partial_tile_is_given_at_the_width_asked_for_though_it_has_grown(log: Path):
    """A monitor that holds an older checkpoint asks for what was the edge then."""
    async with serving(log, public=True) as client:
        hashes = await (await client.get("/log/tile/0/253.p/232")).read()
        entries = await (await client.get("/log/tile/entries/253.p/232")).read()

    assert hashes == b"".join(ledger.leaf_hash(entry) for entry in ENTRIES[253 * 256 : 65_000])
    assert unbundle(entries) == ENTRIES[253 * 256 : 65_000]


@pytest.mark.parametrize(
    "path",
    [
        tile_path("0", 257, 209),
        tile_path("0", 257, 256),
        tile_path("1", 1, 2),
        tile_path("2", 0, 2),
        tile_path("3", 0, 1),
        tile_path("63", 0, 1),
        tile_path("entries", 258, 1),
        "tile/64/000",
        "tile/00/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/entries/x1/000",
        "tile/0/%2e%2e/checkpoint",
        "tile/0/..%2f..%2fcheckpoint",
        "tile/data",
        "tile/0/" + "x999/" * 40 + "999",
        "predecessors",
    ],
)
async def test_what_the_checkpoint_does_not_cover_and_what_is_no_tile_is_not_there(log: Path, path: str):
    async with serving(log, public=True) as client:
        assert (await client.get(f"/log/{path}")).status == 404
        assert (await client.post(f"/log/{path}", data=b"x")).status in (404, 405)


async def test_where_it_is_not_public_auditors_read_it_and_entries_are_for_one_of_every_brand(log: Path):
    paths = ("checkpoint", "tile/0/000", "tile/entries/000", "tile/nonsense")
    answers: dict[str, list[int]] = {}
    async with serving(log, public=False) as client:
        for who in ("", "wrong", "of-acme", "of-all"):
            asked = [await client.get(f"/log/{path}", headers=bearer(who) if who else {}) for path in paths]
            answers[who] = [each.status for each in asked]

    assert answers == {
        "": [401] * 4,
        "wrong": [401] * 4,
        "of-acme": [200, 200, 403, 403],
        "of-all": [200, 200, 200, 404],
    }
    assert asked[1].headers["Cache-Control"].startswith("private")


async def test_many_askers_at_once_are_told_to_come_again_and_few_files_are_read(log: Path):
    class Held(TileStore):
        reading = most = 0

        def served(self, name):
            Held.reading += 1
            Held.most = max(Held.most, Held.reading)
            try:
                return super().served(name)
            finally:
                Held.reading -= 1

    endpoint = LogEndpoint(Held(log), AUDITORS, public=True)
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(endpoint.routes())
    async with TestClient(TestServer(app)) as client:
        answers = await asyncio.gather(*(client.get("/log/tile/entries/000") for _ in range(4 * WAITING)))
        statuses = [answer.status for answer in answers]
        refused = next(answer for answer in answers if answer.status == 503)
        assert refused.headers["Retry-After"] == "1"
        assert (await client.get("/log/tile/entries/000")).status == 200

    assert set(statuses) == {200, 503}
    assert Held.most <= AT_ONCE


async def test_of_a_crash_a_stranger_reads_ids_codes_times_and_digests_and_nothing_of_the_car(tmp_path: Path):
    """That no text whatever stands in a header is ``tests/sos/journal/test_words_in_headers.py``."""
    key, car = "key of acme", Car(tel="+81312345678", vin="JTMZZ3TESTEC77777")
    tenant = TenantSettings(id="acme", domain="acme.example", key_digests=(sha256(key.encode()).hexdigest(),))
    settings = Settings(data_dir=str(tmp_path), port=free_port(), log_public=True, tenants=(tenant,))
    async with running(settings) as service, ClientSession(service.url) as stranger:
        report = crash(car, at=SystemClock().now(), seed=7)
        await report_once(report, base_url=service.url, key=key, clock=SystemClock())
        async with asyncio.timeout(20):
            while TileStore(tmp_path / "log").size() < 2:
                await SystemClock().wait(timedelta(milliseconds=20))
        async with stranger.get("/log/checkpoint") as answer:
            opened = note.open_note(await answer.read(), [note.Verifier.parse(service.log_vkey)], strict=True)
            head = note.parse_checkpoint(opened.text)
        async with stranger.get(f"/log/{tile_path('entries', 0, head.size)}") as answer:
            entries = unbundle(await answer.read())

    shown = b"".join(entries)
    assert ledger.root(head.size, [ledger.leaf_hash(each) for each in entries]) == head.root
    assert b'"kind":"IncidentOpened"' in shown
    assert not [each for each in (car.vin, car.tel, "35.68", "139.76", "airbag") if str(each).encode() in shown]
