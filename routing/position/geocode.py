"""An address for a position, from a geocoder of the operator's own: Nominatim, Photon or Pelias, through geopy.

Enrichment only: municipality, road and grid come from our own data first, and nothing waits for this.  A geocoder that
hangs, lies, limits or is away costs at most a deadline of our own and never raises; after some failures in a row it is
left in peace.  geopy's ``AsyncRateLimiter`` is not used: with its defaults a hung server holds a caller for 13 seconds
and then hides the error.  Public servers are refused, because their terms forbid what an emergency service would do.
"""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from geopy.adapters import AdapterHTTPError, AioHTTPAdapter
from geopy.exc import (
    GeocoderAuthenticationFailure,
    GeocoderInsufficientPrivileges,
    GeocoderParseError,
    GeocoderQueryError,
    GeocoderQuotaExceeded,
    GeocoderRateLimited,
    GeocoderServiceError,
    GeocoderTimedOut,
    GeopyError,
)
from geopy.geocoders import Nominatim, Pelias, Photon
from msgspec import Struct

from routing.breaker import Breaker
from routing.errors import Malformed, Misconfigured
from routing.location import Known, Position, plausible
from routing.position.shapes import geodesic_m

WITHIN_S = 0.4
"""A geocoder in the same house answers in some 50 ms; who takes longer is not worth waiting for."""

MAX_BYTES = 262_144
"""Of one answer; an honest one has 2 kB."""

MAX_TEXT = 300
"""Letters of an address on the operator's screen."""

KEPT = 2_000
"""Addresses remembered."""

_CELL = 4
"""Decimals by which positions share an address: 11 m."""

_ADDRESS = re.compile(r"(?P<kind>nominatim|photon|pelias)\+(?P<scheme>https?)://(?P<domain>[^\s/]+(?:/\S*)?)")
_PUBLIC = ("openstreetmap.org", "komoot.io", "komoot.de", "geocode.earth")
_USER_AGENT = "sos-service"
_LANGUAGE = "ja"


class Outcome(StrEnum):
    """How asking went; a label for figures."""

    DESCRIBED = "described"
    NOTHING_KNOWN = "nothing_known"
    TIMED_OUT = "timed_out"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    """It does not like the question or the asker."""
    UNREADABLE = "unreadable"
    """It answered with something else than its own format."""
    UNAVAILABLE = "unavailable"
    RESTING = "resting"
    """It failed too often lately and was not asked."""


class Address(Struct, frozen=True, kw_only=True):
    """What is known by that name near the position."""

    text: str
    """One line, as the geocoder writes it, at most MAX_TEXT letters."""
    distance_m: float
    """From the position asked about to the thing that was found."""


class Description(Struct, frozen=True, kw_only=True):
    outcome: Outcome
    address: Address | None = None
    """With DESCRIBED only."""


class Geocoder:
    """One geocoder.  ``async with`` opens and closes its connections."""

    def __init__(
        self, url: str, *, monotonic: Callable[[], float], within_s: float = WITHIN_S, breaker: Breaker | None = None
    ) -> None:
        """``url``: ``nominatim+http://host:port/path``, or ``photon+``, ``pelias+``, with ``https`` as well.

        ``Misconfigured`` when it is none of these, or a public server.
        """
        read = _ADDRESS.fullmatch(url)
        if read is None:
            raise Misconfigured("geocoder must be nominatim+, photon+ or pelias+ before http(s)://host[:port][/path]")
        host = read["domain"].partition("/")[0].partition(":")[0].lower()
        if any(host == public or host.endswith(f".{public}") for public in _PUBLIC):
            raise Misconfigured(f"geocoder: {host} is a public server; its terms rule out an emergency service")
        self.kind = read["kind"]
        made = {"nominatim": Nominatim, "photon": Photon, "pelias": Pelias}[self.kind]
        # Longer than our own deadline, which shall be the one that ends it.
        self._geocoder = made(
            domain=read["domain"],
            scheme=read["scheme"],
            user_agent=_USER_AGENT,
            timeout=within_s + 1.0,
            adapter_factory=_Bounded,
        )
        self._within_s = within_s
        self._breaker = breaker or Breaker(monotonic)
        self._kept: OrderedDict[tuple[float, float], Address] = OrderedDict()

    async def __aenter__(self) -> Self:
        await self._geocoder.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._geocoder.__aexit__(kind, error, at)

    async def describe(self, position: Position) -> Description:
        """The address near ``position``.  Never raises, and takes at most ``within_s`` seconds."""
        cell = (round(position.latitude, _CELL), round(position.longitude, _CELL))
        if (known := self._kept.get(cell)) is not None:
            self._kept.move_to_end(cell)
            return Description(outcome=Outcome.DESCRIBED, address=known)
        if not self._breaker.closed:
            return Description(outcome=Outcome.RESTING)
        try:
            async with asyncio.timeout(self._within_s):
                address = _address(await self._reverse(position), position)
        except _FAULTS as fault:
            return Description(outcome=self._failed(fault))
        self._breaker.worked()
        if address is None:
            return Description(outcome=Outcome.NOTHING_KNOWN)
        self._kept[cell] = address
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return Description(outcome=Outcome.DESCRIBED, address=address)

    async def find(self, text: str) -> Position | None:
        """Where an address is; None when it is not known.  Never raises, and takes at most ``within_s`` seconds."""
        if not self._breaker.closed or not text.strip():
            return None
        try:
            async with asyncio.timeout(self._within_s):
                found = await self._forward(text[:MAX_TEXT])
                place = None if found is None else plausible(float(found.latitude), float(found.longitude))
        except _FAULTS as fault:
            self._failed(fault)
            return None
        self._breaker.worked()
        return place.position if isinstance(place, Known) else None

    async def _forward(self, text: str) -> Any:
        match self.kind:
            case "nominatim" | "pelias":
                return await self._geocoder.geocode(text, language=_LANGUAGE)
            case _:
                return await self._geocoder.geocode(text)

    async def _reverse(self, position: Position) -> Any:
        query = (position.latitude, position.longitude)
        match self.kind:
            case "nominatim":
                return await self._geocoder.reverse(query, language=_LANGUAGE, zoom=18)
            case "pelias":
                return await self._geocoder.reverse(query, language=_LANGUAGE)
            case _:  # Photon refuses languages it was not built with; without one it gives local names
                return await self._geocoder.reverse(query)

    def _failed(self, fault: BaseException) -> Outcome:
        match fault:
            case GeocoderRateLimited():
                asked_s = fault.retry_after or 0.0
                self._breaker.failed(at_least_s=float(asked_s))
                return Outcome.RATE_LIMITED
            case TimeoutError() | GeocoderTimedOut():
                outcome = Outcome.TIMED_OUT
            case GeocoderParseError():
                outcome = Outcome.UNREADABLE
            case (
                GeocoderQueryError()
                | GeocoderAuthenticationFailure()
                | GeocoderInsufficientPrivileges()
                | GeocoderQuotaExceeded()
            ):
                outcome = Outcome.REFUSED
            case GeocoderServiceError():
                outcome = Outcome.UNAVAILABLE
            case GeopyError():
                outcome = Outcome.REFUSED
            case _:
                outcome = Outcome.UNREADABLE
        self._breaker.failed()
        return outcome


_FAULTS = (
    TimeoutError,
    GeopyError,
    # What geopy's parsers raise on JSON that is not theirs, and ours on a place that is none.
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    Malformed,
)


class _Bounded(AioHTTPAdapter):  # type: ignore[misc]  # geopy has no types
    """geopy's adapter with a bound on what is read, and without following redirections."""

    async def get_json(self, url: str, *, timeout: float, headers: dict[str, str]) -> Any:  # noqa: ASYNC109  geopy's
        with self._normalize_exceptions():
            async with self.session.get(url, timeout=timeout, headers=headers, allow_redirects=False) as response:
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > MAX_BYTES:
                        raise GeocoderParseError(f"an answer of more than {MAX_BYTES} bytes")
                if response.status != 200:
                    raise AdapterHTTPError(
                        f"status {response.status}", status_code=response.status, headers=response.headers, text=None
                    )
        try:
            return json.loads(data)
        except ValueError:
            raise GeocoderParseError("an answer that is no JSON") from None


def _address(found: Any, position: Position) -> Address | None:
    """``ValueError`` when what was found has no text."""
    if found is None:
        return None
    words = found.address
    if not isinstance(words, str) or not (text := " ".join(words.split())):
        raise ValueError("no text")
    there = Position(float(found.latitude), float(found.longitude))
    return Address(text=text[:MAX_TEXT], distance_m=geodesic_m(position, there))
