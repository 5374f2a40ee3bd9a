"""An independent judge of MSDs: asn1tools with the project's ASN.1 module, which lies beside this clone."""

import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import asn1tools

from sos.formats.msd import EDITIONS, Msd

MSD = Path(__file__).resolve().parents[4] / "shared" / "data" / "msd"
HERE = (MSD / "samples.json").is_file()
ABSENT = "the MSD samples are not beside this clone"

NAMES = {"position_can_be_trusted": "positionTrusted", "automatic_activation": "automatic", "test_call": "testCall"}


@cache
def module() -> Any:
    return asn1tools.compile_files(str(MSD / "ecall_msd.asn"), "uper")


def vectors() -> list[dict[str, Any]]:
    return json.loads((MSD / "samples.json").read_text())["vectors"] if HERE else []


def valid() -> list[bytes]:
    return [bytes.fromhex(vector["hex"]) for vector in vectors() if "expect" in vector]


def judged(octets: bytes) -> dict[str, Any] | None:
    """The message as the oracle decodes it; None when it refuses."""
    try:
        if octets[0] == 1:
            return module().decode("MessageV1", octets[1:])
        body = module().decode("Envelope", octets)["msd"]
        return module().decode(f"MessageV{octets[0]}", body)
    except (asn1tools.Error, IndexError, NotImplementedError):
        return None


def encoded(msd: Msd) -> bytes:
    """``msd`` as the oracle encodes it."""
    message = bytes(module().encode(f"MessageV{msd.version}", as_oracle(msd)))
    if msd.version == 1:
        return b"\x01" + message
    return bytes(module().encode("Envelope", {"version": msd.version, "msd": message}))


def as_oracle(msd: Msd) -> dict[str, Any]:
    """``msd`` in the names and shapes of the oracle."""
    structure: dict[str, Any] = {
        "messageIdentifier": msd.message_identifier,
        "control": {
            "automatic": msd.automatic_activation,
            "testCall": msd.test_call,
            "positionTrusted": msd.position_can_be_trusted,
            "vehicleType": None if msd.vehicle_type is None else str(msd.vehicle_type),
        },
        "vin": {"wmi": msd.vin[:3], "vds": msd.vin[3:9], "modelYear": msd.vin[9], "seqPlant": msd.vin[10:]},
        "propulsion": {str(energy): energy in msd.propulsion for energy in EDITIONS[msd.version].energies},
        "timestamp": msd.timestamp,
        "location": {"lat": msd.latitude_mas, "lon": msd.longitude_mas},
        "direction": msd.direction,
    }
    for name, delta in (("recentN1", msd.recent_n1), ("recentN2", msd.recent_n2)):
        if delta is not None:
            structure[name] = {"lat": delta.latitude, "lon": delta.longitude}
    if msd.occupants is not None:
        structure["occupants"] = msd.occupants
    message: dict[str, Any] = {"structure": structure}
    if msd.additional is not None:
        message["additional"] = {"oid": msd.additional.oid, "data": msd.additional.data}
    return message


def spoiled(seed: int, count: int) -> Iterator[bytes]:
    """``count`` messages: real ones with bits changed, cut off, lengthened, relabelled, spliced, and random octets."""
    dice = random.Random(seed)
    good = valid()
    for _ in range(count):
        octets = bytearray(dice.choice(good))
        match dice.randrange(8):
            case 0:
                yield dice.randbytes(dice.randrange(60))
            case 1:
                yield bytes((dice.randrange(5),)) + dice.randbytes(dice.randrange(60))
            case 2:
                yield bytes(octets[: dice.randrange(len(octets) + 1)])
            case 3:
                yield bytes(octets) + dice.randbytes(dice.randrange(1, 4))
            case 4:
                octets[0] = dice.randrange(1, 4)
                yield bytes(octets)
            case 5:
                other = dice.choice(good)
                cut = dice.randrange(len(octets))
                yield bytes(octets[:cut]) + other[cut:]
            case 6:
                octets[1] = dice.choice((len(octets) - 2, dice.randrange(256)))
                yield _flipped(octets, dice)
            case _:
                yield _flipped(octets, dice)


def _flipped(octets: bytearray, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
    return bytes(octets)
