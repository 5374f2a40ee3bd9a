"""What no door may stumble over: texts, values, bodies, addresses and headers, made from a seed."""

import json
import random
from datetime import UTC, datetime
from typing import Any

from sos.vehicle.report import Car, crash

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = (
    "\ud800", "a\udc00b", "\0", "vin\0", "\x1b[2J", "\u202egnp", "\ufeff", "\uffff", "\U0010ffff", "", " ", "9" * 31,
    "1e999", "-", "../..", "%s", "' OR 1=1", "<b>", "true", "2026-02-30T25:61:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "千代田区", "x" * 5000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *TEXTS, None, True, False, 0, -1, 2**53, 2**63, 2**64, 10**31, 10**400, 1e308, float("nan"), float("inf"), -0.0, [],
    {}, [[]], [None], ["\ud800"], {"\ud800": "\0"}, {"": 1},
)  # fmt: skip
SEGMENTS = ("x", "%00", "%ED%A0%80", "%FF", "%E2%80%AE", "a%0Ab", "..", "%2e%2e", "9" * 31, "1" * 400, "%F0%9F%9A%91")
HEADERS = (b"\xff\xfe", b"\xed\xa0\x80", "緊急".encode(), b"a\tb", b"Bearer \xff", b"x" * 4000, b"", b',;="\\')
NAMES = (
    "User-Agent", "Idempotency-Key", "Leg-Id", "Vehicle-Id", "Call-Back", "Call-Language", "Cookie", "Origin", "Host",
    "Accept", "traceparent", "Sos-Acting-Subscriber", "X-Twilio-Signature", "Signature-Input", "Signature",
    "Content-Digest", "Content-Encoding", "ce-id", "ce-type", "ce-specversion", "ce-source",
)  # fmt: skip
TYPES = (
    "application/cloudevents+json", "application/json", "application/xml", "text/xml", "application/sdp", "text/csv",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/mixed; boundary=x",
    "application/lost+xml;charset=utf-8", "application/emergencycalldata.ecall.msd",
    "application/emergencycalldata.veds+xml", "application/cloudevents-batch+json", "x\xff", "",
)  # fmt: skip


def report(chance: random.Random) -> dict[str, Any]:
    """A crash report as a car sends it."""
    made: dict[str, Any] = json.loads(crash(Car(), at=AT, seed=chance.randrange(1 << 30)).body)
    return made


def spoilt(value: Any, chance: random.Random, *, rate: float = 0.08) -> Any:
    """``value`` with some of what is in it replaced by what nobody expects."""
    if chance.random() < rate:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        return {name: spoilt(item, chance, rate=rate) for name, item in value.items()}
    return [spoilt(item, chance, rate=rate) for item in value] if isinstance(value, list) else value


def body(chance: random.Random, whole: Any) -> bytes:
    """``whole`` spoilt, torn, or replaced by anything at all."""
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.randrange(200))
        case 1:
            return b"[" * chance.choice((10, 2000, 60_000))
        case 2:
            return b'{"a":' * 1200 + b"1" + b"}" * 1200
        case 3:
            written = bytearray(json.dumps(whole).encode())
            for _ in range(3):
                written[chance.randrange(len(written))] = chance.randrange(256)
            return bytes(written)
        case 4:
            return b"<a>" * chance.choice((1, 300)) + b"\xff"
        case _:
            return json.dumps(spoilt(whole, chance)).encode("utf-8", "surrogatepass")
