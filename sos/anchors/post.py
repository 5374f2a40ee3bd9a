"""``Post`` over HTTP: no redirects, no cookies, an answer of 64 KiB at most, and a time after which there is none."""

from types import TracebackType
from typing import Self

import aiohttp

from recording.stamp import MOST_BYTES
from sos.anchors.port import Answer
from sos.errors import Unavailable


class HttpPost:
    """``async with`` opens its connections."""

    def __init__(self, *, within_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=within_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __call__(self, url: str, body: bytes, *, content_type: str) -> Answer:
        if self._session is None:
            raise Unavailable("not_open")
        headers = {"Content-Type": content_type}
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, await _bounded(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failed:
            raise Unavailable(f"http_{type(failed).__name__}") from failed


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for piece in response.content.iter_chunked(8192):
        found += piece
        if len(found) > MOST_BYTES:
            raise Unavailable("answer_too_large")
    return bytes(found)
