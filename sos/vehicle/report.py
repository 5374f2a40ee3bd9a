"""A car for trials and drills: makes crash and button events as a vehicle's cloud would, and sends them until answered.

It shares no code with the reading side, so that one end cannot hide a mistake of the other.  What it invents is drawn
from a seed; it carries no real person, plate or number.
"""

import asyncio
import random
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from sos.clock import Clock, timestamp
from sos.errors import SosError

MEDIA_TYPE = "application/cloudevents+json"

TOKYO_STATION = (35.681236, 139.767125)


class VehicleEvent(Struct, frozen=True, kw_only=True):
    """One event, ready to be sent any number of times."""

    id: str
    source: str
    body: bytes


class Car(Struct, frozen=True, kw_only=True):
    """Where the car is and who sits in it; whatever is None is not known to it."""

    latitude: float | None = TOKYO_STATION[0]
    longitude: float | None = TOKYO_STATION[1]
    heading: float | None = 90.0
    """Degrees clockwise from north."""
    occupants: int | None = 1
    vin: str = "JTMZZ3TESTEC00001"
    tel: str | None = None
    """E.164, fictional."""
    language: str = "ja"
    test: bool = False


class NotAccepted(SosError):
    """The service did not take the report; ``status`` is its last answer, None when it never answered."""

    def __init__(self, message: str, *, status: int | None, problem: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class Taken(Struct, frozen=True, kw_only=True):
    """The service's acknowledgement."""

    incident: str
    urn: str
    durability: str
    voice: str
    """Path at which the car offers its call."""
    problems: tuple[dict[str, Any], ...] = ()
    repeat: bool = False
    joined: str | None = None
    """Why it belongs to an incident that was there; None when it opened one or is a repeat."""
    attempts: int = 1


def crash(car: Car, *, at: datetime, seed: int) -> VehicleEvent:
    """An automatic report of a crash at ``at``, its severity drawn from ``seed``."""
    dice = random.Random(f"crash {seed}")  # noqa: S311  invented data
    speed = round(dice.uniform(15, 110), 1)
    impact, clock = dice.choice((("front", 12), ("front", 1), ("right", 3), ("rear", 6), ("left", 9)))
    stopped = round(speed * dice.uniform(0.2, 0.9), 1)
    along = {12: -stopped, 1: -stopped, 6: stopped}.get(clock, round(-0.2 * stopped, 1))
    across = {3: -stopped, 9: stopped}.get(clock, round(dice.uniform(-5, 5), 1))
    data = _data(car, at=at, trigger="automatic", dice=dice, airbag=stopped > 20)
    data["crash"] = {
        "impact": impact,
        "deltaV": {"x": along, "y": across, "rangeLimit": 125, "unit": "km/h"},
        "principalDirectionClock": clock,
        "multipleImpacts": dice.random() < 0.2,
        "rollover": "DETECTED" if dice.random() < 0.05 else "NONE",
        "speedBefore": speed,
        "fire": dice.random() < 0.02,
        "submersed": False,
    }
    return _event("crash", car, data=data, at=at, dice=dice)


def manual(car: Car, *, at: datetime, seed: int) -> VehicleEvent:
    """Somebody pressed the button at ``at``; nothing is known of a crash."""
    dice = random.Random(f"manual {seed}")  # noqa: S311  invented data
    return _event("manual", car, data=_data(car, at=at, trigger="manual", dice=dice, airbag=None), at=at, dice=dice)


def cancel(car: Car, *, at: datetime, seed: int, reason: str, incident: str | None = None) -> VehicleEvent:
    """The car asks that no help be sent: ``reason`` is a code such as ``false_alarm`` or somebody's words.

    ``incident`` is the one that was acknowledged; without it the service finds that of the same car.
    """
    dice = random.Random(f"cancel {seed}")  # noqa: S311  invented data
    data = {"reason": reason, "incident": incident, "vehicle": {"id": {"scheme": "vin", "value": car.vin}}}
    return _event("cancel", car, data=data, at=at, dice=dice)


def update(car: Car, *, at: datetime, seed: int, sequence: int, incident: str | None = None) -> VehicleEvent:
    """Later data of a crash, the ``sequence``-th: where the car is now, and who sits in it."""
    dice = random.Random(f"update {seed}")  # noqa: S311  invented data
    data = _data(car, at=at, trigger="automatic", dice=dice, airbag=None)
    del data["eventTime"]
    return _event("update", car, data=data | {"sequence": sequence, "incident": incident}, at=at, dice=dice)


def _data(car: Car, *, at: datetime, trigger: str, dice: random.Random, airbag: bool | None) -> dict[str, Any]:
    seats = [
        {
            "row": 1 + number // 2 if number < 2 else 2,
            "position": "DriverSide" if number % 2 == 0 else "PassengerSide",
            "occupied": True,
            "belted": dice.random() < 0.9,
            "airbagDeployed": airbag if number < 2 else None,
            "ageBand": None,
        }
        for number in range(min(car.occupants or 0, 5))
    ]
    return {
        "trigger": trigger,
        "test": car.test,
        "sequence": 1,
        "eventTime": timestamp(at),
        "vehicle": {
            "id": {"scheme": "vin", "value": car.vin},
            "frameNumber": None,
            "brand": "ACME",
            "model": dice.choice(("Kestrel", "Plover", "Wagtail")),
            "exteriorColor": dice.choice(("white", "black", "silver", "blue")),
            "licensePlate": f"試験 {dice.randrange(300, 400)} あ {dice.randrange(10, 100)}-{dice.randrange(10, 100)}",
            "category": "M1",
            "energy": dice.choice((["gasoline"], ["gasoline", "electric"], ["electric"])),
        },
        "location": _location(car, at=at, dice=dice),
        "occupants": {"count": car.occupants, "seats": seats},
        "callback": {"tel": car.tel, "language": car.language},
    }


def _location(car: Car, *, at: datetime, dice: random.Random) -> dict[str, Any]:
    located = car.latitude is not None and car.longitude is not None
    return {
        "latitude": car.latitude,
        "longitude": car.longitude,
        "heading": car.heading,
        "horizontalAccuracy": round(dice.uniform(3, 15), 1) if located else None,
        "trusted": located,
        "fixType": "THREE_D" if located else "NONE",
        "timestamp": timestamp(at),
    }


def _event(kind: str, car: Car, *, data: dict[str, Any], at: datetime, dice: random.Random) -> VehicleEvent:
    name = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    source = f"/vehicle/simulated/{car.vin}"
    body = {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": f"jp.example.sos.{kind}.v1",
        "time": timestamp(at + timedelta(seconds=3)),
        "subject": f"vehicle:vin:{car.vin}",
        "datacontenttype": "application/json",
        "data": data,
    }
    return VehicleEvent(id=name, source=source, body=msgspec.json.encode(body))


# Sending

RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same report may be sent again: nothing was acknowledged."""

_LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class Patience(Struct, frozen=True, kw_only=True):
    """How long a car tries: eCall redials within 2 minutes, and so do we."""

    attempts: int = 12
    first_wait: timedelta = timedelta(milliseconds=200)
    longest_wait: timedelta = timedelta(seconds=30)
    answer_within: timedelta = timedelta(seconds=10)


USUAL = Patience()


class Sender:
    """Posts events with one tenant's key, again and again under the same id, until they are taken or refused."""

    def __init__(self, *, base_url: str, key: str, clock: Clock, patience: Patience = USUAL, seed: int = 0) -> None:
        self._url = base_url.rstrip("/") + "/v1/events"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": MEDIA_TYPE}
        self._clock = clock
        self._patience = patience
        self._dice = random.Random(seed)  # noqa: S311  spreads retries, keeps no secret
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Sender":
        timeout = aiohttp.ClientTimeout(total=self._patience.answer_within.total_seconds())
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, event: VehicleEvent) -> Taken:
        """The acknowledgement of ``event``.  ``NotAccepted`` when it was refused or patience ran out."""
        wait = self._patience.first_wait
        status: int | None = None
        told: Mapping[str, Any] = MappingProxyType({})
        for attempt in range(1, self._patience.attempts + 1):
            try:
                status, answer, asked = await self._post(event)
            except _LOST:
                status, answer, asked = None, b"", None
            taken = _taken(answer) if status in (200, 202) else None
            if taken is not None:
                return msgspec.structs.replace(taken, repeat=status == 200, attempts=attempt)
            told = _problem(answer)
            if status is not None and status >= 400 and status not in RETRY_STATUS:
                break
            if attempt < self._patience.attempts:
                await self._clock.wait(max(wait * self._dice.uniform(0.5, 1.0), asked or timedelta(0)))
                wait = min(wait * 2, self._patience.longest_wait)
        raise NotAccepted(f"not accepted, last answer {status or 'none'}", status=status, problem=told)

    async def _post(self, event: VehicleEvent) -> tuple[int, bytes, timedelta | None]:
        """Status, body and what ``Retry-After`` asks for, in seconds at most the longest wait."""
        if self._session is None:
            raise RuntimeError("Sender is not open; use it in `async with`")
        async with self._session.post(self._url, data=event.body, headers=self._headers) as response:
            asked = response.headers.get("Retry-After", "")
            seconds = timedelta(seconds=min(int(asked), 3600)) if asked.isascii() and asked.isdigit() else None
            return (
                response.status,
                await response.read(),
                min(seconds, self._patience.longest_wait) if seconds else None,
            )


def _taken(answer: bytes) -> Taken | None:
    """The acknowledgement in ``answer``; None when it is something else, such as the log-in page of a network."""
    try:
        return msgspec.json.decode(answer, type=Taken)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _problem(answer: bytes) -> Mapping[str, Any]:
    """The RFC 9457 object of ``answer``, or nothing when it holds none."""
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


async def report_once(event: VehicleEvent, *, base_url: str, key: str, clock: Clock) -> Taken:
    """Send one event and come back with its acknowledgement; errors as ``Sender.send``."""
    async with Sender(base_url=base_url, key=key, clock=clock) as sender:
        return await sender.send(event)


def run_report(event: VehicleEvent, *, base_url: str, key: str, clock: Clock) -> Taken:
    """``report_once`` for a command line."""
    return asyncio.run(report_once(event, base_url=base_url, key=key, clock=clock))
