"""Relays for those whom UDP does not reach: time-limited TURN credentials (RFC 8656), as coturn checks them.

The user name is the Unix time of its expiry and a name, the password ``base64(HMAC-SHA1(secret, user name))``
(draft-uberti-behave-turn-rest-00).  coturn needs only the same secret, no list of users; ``ops/coturn`` runs one.
"""

import hmac
from base64 import b64encode
from datetime import timedelta
from secrets import token_hex

from sos.calls.port import IceServer
from sos.clock import Clock
from sos.errors import Misconfigured

LASTS = timedelta(hours=4)
"""Longer than any call, since an allocation is refreshed under the credentials it was made with."""


class Turn:
    """The relays of this house; ``urls`` as ``turn:host:port?transport=udp`` (RFC 7065), none when it has none."""

    def __init__(self, urls: tuple[str, ...], secret: str, *, clock: Clock) -> None:
        if wrong := [url for url in urls if not url.startswith(("stun:", "turn:", "turns:"))]:
            raise Misconfigured(f"turn_urls: {wrong[0]!r} begins with none of stun:, turn:, turns:")
        self._urls = urls
        self._secret = secret.encode()
        self._clock = clock

    def servers(self, party: str) -> tuple[IceServer, ...]:
        """For one leg.  The name in it is new each time, so a relay's log tells nobody apart and quotas count legs."""
        relays = tuple(url for url in self._urls if not url.startswith("stun:"))
        found = [IceServer(urls=(url,)) for url in self._urls if url.startswith("stun:")]
        if relays:
            expiry = int((self._clock.now() + LASTS).timestamp())
            username = f"{expiry}:{party}-{token_hex(6)}"
            found.append(IceServer(urls=relays, username=username, credential=password(self._secret, username)))
        return tuple(found)


def ice_links(servers: tuple[IceServer, ...]) -> list[str]:
    """Values of the header ``Link`` that tell a client of them (RFC 9725 4.6)."""
    links = []
    for server in servers:
        credentials = ""
        if server.username:
            credentials = (
                f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
            )
        links += [f'<{url}>; rel="ice-server"{credentials}' for url in server.urls]
    return links


def password(secret: bytes, username: str) -> str:
    """What coturn expects of ``username`` under ``static-auth-secret``."""
    return b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()
