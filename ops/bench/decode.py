"""Messages decoded and encoded per CPU-second, each format beside the library one would otherwise use.

    python ops/bench/decode.py [--rounds 9] [--milliseconds 300]

All take turns in every round of one run, so that a busy machine slows them alike; what counts are the ratios of the
medians, printed last.  MSDs are compared with asn1tools where the ASN.1 module lies beside this clone.  Peers:

    asn1tools     the same MSDs into dictionaries, with neither findings nor types
    json.loads    the same CloudEvents body into dictionaries
    lxml          the same VEDS parsed with the same safe parser, nothing read from the tree
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import json  # noqa: E402
from datetime import UTC, datetime  # noqa: E402

import msgspec  # noqa: E402

from routing.xml import read_xml  # noqa: E402
from sos.formats import mapping, msd, veds  # noqa: E402
from sos.intake import cloudevents  # noqa: E402
from tests.sos.formats import oracle  # noqa: E402
from tests.wire.formats.make import CAR, NOTIFICATION, WITH_NCAP  # noqa: E402

NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
MESSAGES = [
    msd.write(msgspec.structs.replace(message, version=version))
    for version in (1, 2, 3)
    for message in (CAR, WITH_NCAP)
]
CRASH = (HERE.parents[1] / "tests" / "wire" / "crash.json").read_bytes()
XML = veds.write(NOTIFICATION)

Work = Callable[[], object]


def works() -> Mapping[str, tuple[Work, int]]:
    """Name -> what to do again and again, and how many messages that is."""
    read = [msd.read(octets) for octets in MESSAGES]
    event = msgspec.json.Decoder(cloudevents.WireEvent)
    count = len(MESSAGES)
    ours: dict[str, tuple[Work, int]] = {
        "msd read": (lambda: [msd.read(octets) for octets in MESSAGES], count),
        "msd read, judged and mapped": (
            lambda: [mapping.report_of_msd(msd.read(octets)) for octets in MESSAGES],
            count,
        ),
        "msd write": (lambda: [msd.write(message) for message in read], count),
        "event strict": (lambda: event.decode(CRASH), 1),
        "event peek": (lambda: cloudevents.peek(CRASH), 1),
        "event decode": (lambda: cloudevents.decode(CRASH), 1),
        "event json.loads": (lambda: json.loads(CRASH), 1),
        "veds read": (lambda: veds.read(XML), 1),
        "veds read and mapped": (lambda: mapping.report_of_veds(veds.read(XML)), 1),
        "veds lxml": (lambda: read_xml(XML), 1),
    }
    if oracle.HERE:
        oracle.module()
        ours["msd asn1tools read"] = (lambda: [oracle.judged(octets) for octets in MESSAGES], count)
        ours["msd asn1tools write"] = (lambda: [oracle.encoded(message) for message in read], count)
    return ours


RATIOS = (
    ("msd read", "msd asn1tools read"),
    ("msd read, judged and mapped", "msd asn1tools read"),
    ("msd write", "msd asn1tools write"),
    ("event strict", "event json.loads"),
    ("event peek", "event json.loads"),
    ("event decode", "event json.loads"),
    ("veds read", "veds lxml"),
    ("veds read and mapped", "veds lxml"),
)


def per_second(work: Work, messages: int, seconds: float) -> float:
    """Messages per CPU-second over about ``seconds``."""
    done, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        for _ in range(20):
            work()
        done += 20 * messages
    return done / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--milliseconds", type=int, default=300)
    chosen = parser.parse_args()
    measured: dict[str, list[float]] = {name: [] for name in works()}
    for _ in range(chosen.rounds):
        for name, (work, messages) in works().items():
            measured[name].append(per_second(work, messages, chosen.milliseconds / 1000))
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    for name, rate in medians.items():
        print(f"{name:30} {rate:10,.0f} per CPU-second   ({min(measured[name]):,.0f} to {max(measured[name]):,.0f})")
    if not oracle.HERE:
        print(f"asn1tools left out: {oracle.ABSENT}")
    for name, peer in RATIOS:
        if peer in medians:
            print(f"{name} / {peer}: {medians[name] / medians[peer]:.2f}")


if __name__ == "__main__":
    main()
