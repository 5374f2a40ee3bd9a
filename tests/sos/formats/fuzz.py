"""Longer runs of what the suite does briefly:

    python -m tests.sos.formats.fuzz [--inputs N] [--seed N]                            MSDs, beside asn1tools
    python -m tests.sos.formats.fuzz [--inputs N] [--seed N] --alone {msd,veds,control}

Beside asn1tools the reader must decide alike and find the same values.  Alone it must give a message or its one
documented error, and everything readable must survive being written, shown and mapped.  It stops at the first failure.
"""

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec import structs

from sos.errors import Malformed
from sos.formats import control, mapping, msd, msd_json, veds
from sos.formats.bits import MalformedBits
from sos.formats.msd_review import review
from sos.formats.msd_salvage import salvage
from tests.sos.formats.oracle import as_oracle, judged, spoiled
from tests.wire.formats.make import HERE

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


def beside_the_oracle(octets: bytes) -> str:
    """``accepted`` or ``refused``, in which both agree, values included."""
    expected = judged(octets)
    try:
        found = msd.read(octets)
    except MalformedBits:
        assert expected is None, f"only the oracle reads {octets.hex()}"
        return "refused"
    assert expected is not None, f"only we read {octets.hex()}"
    assert as_oracle(found) == expected, f"different values from {octets.hex()}"
    return "accepted"


def msd_alone(octets: bytes) -> str:
    """``accepted``, ``rescued`` or ``refused``."""
    try:
        found, outcome = msd.read(octets), "accepted"
    except MalformedBits:
        rescued = salvage(octets)
        if rescued is None:
            return "refused"
        found, outcome = rescued, "rescued"
    again = msd.read(msd.write(found))
    assert as_oracle(again) == as_oracle(found), f"not the same again: {octets.hex()}"
    msd_json.shown(found, review(found))
    mapping.report_of_msd(found).report.parts()
    return outcome


def veds_alone(data: bytes) -> str:
    """``accepted`` or ``refused``."""
    try:
        found = veds.read(data)
    except Malformed:
        return "refused"
    again = veds.read(veds.write(found))
    plain = structs.replace(found, place_as_sent=None, findings=())
    assert structs.replace(again, place_as_sent=None, findings=()) == plain, f"not the same again: {data!r}"
    mapping.report_of_veds(found).report.parts()
    return "accepted"


def control_alone(data: bytes) -> str:
    """``accepted`` or ``refused``."""
    try:
        found = control.read(data)
    except Malformed:
        return "refused"
    assert control.read(control.write(found)) == found, f"not the same again: {data!r}"
    return "accepted"


def spoiled_documents(names: tuple[str, ...], seed: int, count: int) -> Iterator[bytes]:
    """``count`` documents made from the samples called ``names``: texts and attributes retold, octets torn."""
    dice = random.Random(seed)
    samples = [(HERE / name).read_bytes() for name in names]
    for _ in range(count):
        document = dice.choice(samples)
        for _ in range(dice.choice((1, 1, 2, 5))):
            document = _torn(document, dice) if dice.random() < 0.2 else _retold(document, dice)
        yield document


WORDS = (b"-1", b"1e9", b"9" * 14, b"9" * 400, b"true", b"NaN", b"12", b"0.5", b"2026-02-30T25:61:00Z", b"", b"&#x26;")
PLACES = re.compile(rb"""(?<=>)[^<>]+(?=<)|(?<==")[^"<>]*(?=")""")


def _retold(document: bytes, dice: random.Random) -> bytes:
    """``document`` with another text or attribute."""
    places = list(PLACES.finditer(document))
    if not places:
        return document
    place = dice.choice(places)
    return document[: place.start()] + dice.choice(WORDS) + document[place.end() :]


def _torn(document: bytes, dice: random.Random) -> bytes:
    """``document`` with octets changed, cut or doubled anywhere."""
    start = dice.randrange(len(document) + 1)
    end = start + dice.choice((0, 1, 1, 4, 30))
    return document[:start] + dice.choice((b"", b"<", b"/", b"\0", b"\xff", document[end : end + 20])) + document[end:]


Alone = tuple[Callable[[bytes], str], Callable[[int, int], Iterator[bytes]]]

ALONE: dict[str, Alone] = {
    "msd": (msd_alone, spoiled),
    "veds": (veds_alone, lambda seed, count: spoiled_documents(("veds.xml", "veds_slips.xml"), seed, count)),
    "control": (control_alone, lambda seed, count: spoiled_documents(("control_asks.xml",), seed, count)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", choices=sorted(ALONE))
    chosen = parser.parse_args()
    check, inputs = ALONE[chosen.alone] if chosen.alone else (beside_the_oracle, spoiled)
    counts = Counter(check(each) for each in inputs(chosen.seed, chosen.inputs))
    print(f"{chosen.inputs} inputs, seed {chosen.seed}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
