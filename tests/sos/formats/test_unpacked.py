"""Compressed bodies at the running service: the digest is over what was sent, and a small body never grows large."""

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from sos.app import Service, running
from sos.clock import SystemClock
from sos.formats.unpacked import PIECE, Unpacked
from sos.intake.signature import sign
from sos.settings import Settings, SigningKeySettings, TenantSettings
from sos.vehicle.report import MEDIA_TYPE, Car, crash
from tests.house import free_port
from tests.sos.dispatch.test_disclosure_at_the_desk import KEY, _digest

SECRET = b"a secret of thirty-two bytes ......"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    file = tmp_path / "acme.key"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        port=free_port(),
        tenants=(
            TenantSettings(
                id="acme",
                domain="acme.sos.example",
                key_digests=(_digest(KEY),),
                signing_keys=(SigningKeySettings(id="acme-1", file=str(file)),),
            ),
        ),
    )
    async with running(settings) as opened:
        yield opened


def _report() -> bytes:
    return crash(Car(), at=SystemClock().now(), seed=5).body


async def _sent(service: Service, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await _posted(f"{service.url}/v1/events", body, named)


async def _posted(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


def _signed(service: Service, *, digest_of: bytes, coding: str = "gzip") -> dict[str, str]:
    given = {"Content-Type": MEDIA_TYPE} | ({"Content-Encoding": coding} if coding else {})
    return given | sign(
        SECRET,
        url=f"{service.url}/v1/events",
        body=digest_of,
        key_id="acme-1",
        method="POST",
        created=int(SystemClock().now().timestamp()),
        nonce=hashlib.sha256(digest_of).hexdigest()[:32],
        headers=given,
    )


async def test_a_signed_body_is_held_to_the_digest_of_what_was_sent_and_not_of_what_it_unpacks_to(service: Service):
    report = _report()
    packed = gzip.compress(report)

    as_sent = await _sent(service, packed, **_signed(service, digest_of=packed))
    as_unpacked = await _sent(service, packed, **_signed(service, digest_of=report))

    assert as_sent[0] == 202
    assert (as_unpacked[0], as_unpacked[1]["rule"]) == (401, "content-digest")


async def test_nobody_on_the_way_changes_how_a_signed_body_is_unpacked(service: Service):
    report = _report()
    headers = _signed(service, digest_of=report, coding="")

    status, told = await _sent(service, report, **headers, Content_Encoding="gzip")

    assert (status, told["rule"]) == (401, "components")


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
    ],
)
async def test_each_coding_of_http_is_read(service: Service, coding: str, pack: Any):
    status, _ = await _sent(
        service, pack(_report()), Authorization=f"Bearer {KEY}", Content_Type=MEDIA_TYPE, Content_Encoding=coding
    )

    assert status == 202


async def test_of_a_body_that_unpacks_to_a_gigabyte_no_more_is_read_than_of_any_other(service: Service):
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Encoding": "deflate", "Content-Type": "application/json"}

    statuses = [
        (await _posted(f"{service.url}{path}", bomb, headers))[0] for path in ("/v1/events", "/console/session")
    ]

    assert statuses == [413, 413]
    assert len(bomb) < 70_000


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b'{"token":"x"}')[:-9], "gzip"),
        (b"anything", "br"),
        (b"\x00" * 9, "deflate"),
    ],
    ids=(
        "not packed",
        "cut off",
        "unknown",
        "nonsense",
    ),  # what is packed holds the time of day
)
async def test_what_cannot_be_unpacked_is_the_senders_fault_at_every_door(service: Service, body: bytes, coding: str):
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}

    assert (await _posted(f"{service.url}/console/session", body, headers))[0] == 400


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_no_more_is_unpacked_at_once_than_a_piece_however_small_the_body(coding: str):
    size = 4_000_000
    packed = (gzip.compress if coding == "gzip" else zlib.compress)(bytes(size))
    sent = StreamReader(BaseProtocol(asyncio.get_running_loop()), limit=2**16)
    sent.feed_data(packed)
    sent.feed_eof()
    unpacked = Unpacked(sent, coding)

    pieces = [len(piece) async for piece in unpacked.iter_any()]

    assert max(pieces) <= PIECE
    assert (sum(pieces), unpacked.total_bytes, unpacked.is_eof()) == (size, size, True)
    assert unpacked.sent_digest == hashlib.sha256(packed).digest()
