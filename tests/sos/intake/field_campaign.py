"""The campaign over the doors: every emergency of the field in every wrapping, under every label, over every channel.

``python -m tests.sos.intake.field_campaign [SEED] [MOST]``: each car sends its report and sends it again; it must be
one incident for each car, with its position where a person would find one.  ``test_field_campaign`` runs a few.
"""

import asyncio
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from aiohttp.test_utils import TestClient, TestServer
from msgspec import Struct

from sos.incident.report import Vehicle
from sos.intake.acceptance import Acceptance, Came
from sos.intake.formats import read_report
from sos.intake.mqtt import media_type
from sos.intake.receipts import Receipts
from sos.intake.recent import Recent
from sos.intake.simulated import MemoryReception
from tests.sos.intake import field
from tests.sos.intake.test_http import ACME, HEADERS, NOW, SECRET, application

Channel = Literal["http", "mqtt 3.1.1", "mqtt 5"]
CHANNELS: tuple[Channel, ...] = ("http", "mqtt 3.1.1", "mqtt 5")
NEAR_DEG = 1e-4
RIGHT = "one incident with its position"


class Sent(Struct, frozen=True, kw_only=True):
    """One car's report as it leaves."""

    name: str
    body: bytes
    label: str
    channel: Channel


def everything() -> Iterator[Sent]:
    """The whole cross: formats, wrappings, labels, channels."""
    bodies = [
        (f"{name} / {wrapping}", wrap(report))
        for name, (report, wrappings) in field.FORMATS.items()
        for wrapping, wrap in wrappings.items()
    ]
    labels = [*field.TYPES, "multipart/mixed; boundary=part-7"]
    for (name, body), label, channel in itertools.product(bodies, labels, CHANNELS):
        yield Sent(name=name, body=body, label=label, channel=channel)
    for (name, body), label, channel in itertools.product(_samples(), field.TYPES[::3], CHANNELS):
        yield Sent(name=name, body=body, label=label, channel=channel)
    for (name, body), channel in itertools.product(field.PARTS.items(), CHANNELS):
        yield Sent(name=f"parts / {name}", body=body, label="multipart/mixed; boundary=part-7", channel=channel)


def _samples() -> Iterator[tuple[str, bytes]]:
    """The inputs of the field that say where, in every wrapping; none where they are not beside this checkout."""
    for name in field.LOCATED if field.FIELD.is_dir() else ():
        wrappings = field.XML_WRAPPINGS if name.endswith(".xml") else field.TEXT_WRAPPINGS
        for wrapping, wrap in wrappings.items():
            yield f"{name} / {wrapping}", wrap((field.FIELD / name).read_bytes())


async def outcome(sent: Sent) -> str:
    """``one incident with its position``, or what came instead."""
    reception = MemoryReception()
    if sent.channel == "http":
        headers = {**HEADERS, "Content-Type": sent.label or "application/octet-stream"}
        async with TestClient(TestServer(application(reception))) as door:
            for _ in range(2):
                async with door.post("/v1/events", data=sent.body, headers=headers) as answer:
                    if answer.status not in (200, 202):
                        return f"answered {answer.status}"
    else:
        acceptance = Acceptance(reception, Receipts(SECRET), Recent())
        by = Came(channel="mqtt", vehicle=Vehicle(id_scheme="vin", id_value=field.VIN), always=True)
        label = media_type(sent.body, sent.label if sent.channel == "mqtt 5" else None)
        for _ in range(2):
            await acceptance.take(sent.body, content_type=label, tenant=ACME, received_at=NOW, by=by)
    if len(reception.opened) != 1:
        return f"{len(reception.opened)} incidents"
    command = reception.opened[0].command
    place = read_report(command.report, command.format, at=NOW).location
    if place.latitude is None or abs(place.latitude - field.PLACE[0]) > NEAR_DEG:
        return "no position"
    return RIGHT


async def campaign(seed: int, most: int) -> Mapping[str, Counter[str]]:
    """What came of at most ``most`` of all, chosen by ``seed``; by outcome, how often each report had it."""
    chosen = list(everything())
    random.Random(seed).shuffle(chosen)
    found: dict[str, Counter[str]] = {}
    for sent in chosen[:most]:
        found.setdefault(await outcome(sent), Counter())[f"{sent.name} as {sent.label!r} over {sent.channel}"] += 1
    return MappingProxyType(found)


def main() -> int:
    """Print what came of them; 1 when one was lost, twice or nowhere."""
    seed, most = (int(each) for each in (*sys.argv[1:3], *("1", "1000000")[len(sys.argv) - 1 :]))
    found = asyncio.run(campaign(seed, most))
    for result, reports in found.items():
        print(f"{sum(reports.values())} reports: {result}")
        for name in list(reports)[:10] if result != RIGHT else ():
            print(f"  {name}")
    return 0 if set(found) == {RIGHT} else 1


if __name__ == "__main__":
    sys.exit(main())
