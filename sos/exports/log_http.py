"""The published log over HTTP: ``/log/checkpoint`` and ``/log/tile/...`` (c2sp.org/tlog-tiles), to be read and copied.

It holds ids, codes, times and digests, no caller's data.  Where the settings do not make it public an auditor's token
opens it, and the entries, which are of every brand, open to an auditor of every brand alone; hashes prove what the
others hold.  Few files are read at once and few askers wait, so that no flood here costs a call anything.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from recording.errors import OutOfOrder, RecordingError
from recording.tiles import TileName, TileStore, tile_name
from sos.errors import Forbidden, Unavailable, Unknown
from sos.exports.auditors import Auditors

AT_ONCE = 2
"""Files that are read at the same time."""

WAITING = 64
"""Askers that may wait for that; a monitor fetches its tiles again a second later."""

LASTS = "max-age=31536000, immutable"
"""Of tiles: what one holds is never changed, partial ones included (tlog-tiles, «Tiles»)."""

_T = TypeVar("_T")


class LogEndpoint:
    def __init__(self, tiles: TileStore, auditors: Auditors, *, public: bool) -> None:
        self._tiles = tiles
        self._auditors = auditors
        self._public = public
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._askers = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/log/checkpoint", self._checkpoint), web.get("/log/tile/{tile:.+}", self._tile)]

    async def _checkpoint(self, request: web.Request) -> web.Response:
        self._admit(request, entries=False)
        content = await self._read(self._tiles.checkpoint)
        if content is None:
            raise Unavailable("the log has not been published yet")
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=content, content_type="text/plain", charset="utf-8", headers=headers)

    async def _tile(self, request: web.Request) -> web.Response:
        name = _named(f"tile/{request.match_info['tile']}")
        self._admit(request, entries=name is None or name.of_entries)
        if name is None:
            raise Unknown("no tile has such a path")
        try:
            content = await self._read(lambda: self._tiles.served(name))
        except OutOfOrder as beyond:
            raise Unknown("the published log has no such tile") from beyond
        headers = {"Cache-Control": f"{'public' if self._public else 'private'}, {LASTS}"}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)

    def _admit(self, request: web.Request, *, entries: bool) -> None:
        """``Unauthenticated`` or ``Forbidden`` for whoever may not read this."""
        if self._public:
            return
        if not self._auditors.of(request).scope.every_brand and entries:
            raise Forbidden(
                "the log's entries are of every brand, and you are bound to some; its hashes are open to you"
            )

    async def _read(self, read: Callable[[], _T]) -> _T:
        if self._askers >= WAITING:
            raise Unavailable("many read the log just now")
        self._askers += 1
        try:
            async with self._reading:
                return await asyncio.to_thread(read)
        finally:
            self._askers -= 1


def _named(path: str) -> TileName | None:
    try:
        return tile_name(path)
    except RecordingError:
        return None
