"""Every reader of outside bytes, called as its door calls it, with the only faults that it may have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.errors import RoutingError
from routing.lost.areas import Areas
from routing.lost.civic import Gazetteer
from routing.lost.codec import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, read_answer, read_request, write_answer
from routing.lost.server import Ask, Sources, answer
from routing.position import pidf
from routing.text import clean, cleaned
from sos import signing
from sos.calls.adapters.embedded.sdp import LARGEST_OFFER_BYTES, Offer
from sos.console.orders import contract
from sos.dispatch.adapters import eido, smtp
from sos.dispatch.reply_codes import REPLY_CODES, command, keyed
from sos.errors import SosError
from sos.formats import control, msd, text_encoding, veds
from sos.formats.body import read
from sos.incident.model import AgencyId, DisclosureId, TenantId
from sos.incident.plausible import judged
from sos.incident.vin import vin_fault
from sos.intake import arrival, formats, mqtt
from sos.intake.auth import Credentials, SigningKey, TokenIssuer
from sos.intake.findings import MAX_BODY_BYTES
from sos.intake.tenants import Tenant, TenantKeys
from sos.registry import orders, sheet
from sos.registry.model import Scheme, VehicleKey
from sos.whip import FRAGMENT_BYTES, Fragment

ROOT = Path(__file__).resolve().parents[2]
WIRE = ROOT / "tests" / "wire"

NOW = datetime(2026, 1, 1, 9, 0, 4, tzinfo=UTC)
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
DOMAIN = "sos.example"
HEAD_BYTES = 8190
"""Of one header field: aiohttp refuses longer ones."""

SHEET_BYTES = 256 * 1024
"""Of a registrar's sheet; longer ones differ in length alone."""

TYPES = (*formats.BY_TYPE, "", "text/plain", "text/xml", "application/xml; charset=Shift_JIS", "multipart/mixed")


class Decoder(Struct, frozen=True, kw_only=True):
    """One reader."""

    read: Callable[[bytes], object]
    samples: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...] = (SosError,)
    most: int = MAX_BODY_BYTES
    """Bytes that the door hands on."""
    share: int = 4
    """How often it gets an input, compared with the others."""


def decoders() -> Mapping[str, Decoder]:
    """By the name that the table has."""
    found = corpus()
    reports = found["report"]
    xml = tuple(each for each in reports if each.lstrip().startswith(b"<"))
    packed = tuple(bytes.fromhex(file.read_text()) for file in sorted((WIRE / "formats").glob("*.hex")))
    places = tuple(found["pidf"])
    questions = tuple(found["lost"])
    lost = _lost()
    said = tuple(write_answer(_answered(each, lost)) for each in questions)
    makes: dict[str, Decoder] = {
        "msd": Decoder(read=msd.read, samples=packed, most=msd_most(), share=8),
        "msd in text": Decoder(read=text_encoding.octets_of, samples=tuple(each.hex().encode() for each in packed)),
        "veds": Decoder(read=veds.read, samples=xml, most=veds.MAX_BYTES),
        "control": Decoder(read=control.read, samples=xml, most=control.MAX_BYTES),
        "pidf-lo": Decoder(read=pidf.read, samples=(*places, *xml), refuses=(RoutingError,), most=pidf.MAX_BYTES),
        "lost request": Decoder(
            read=lambda data: _answered(data, lost), samples=questions, refuses=(RoutingError,), most=MAX_REQUEST_BYTES
        ),
        "lost answer": Decoder(read=read_answer, samples=said, refuses=(RoutingError,), most=MAX_ANSWER_BYTES),
        "eido frame": Decoder(
            read=_json(eido._Frame),
            samples=tuple(found["eido"]),
            most=eido.FRAME_BYTES,
        ),
        "order of a desk": Decoder(read=contract.order_of, samples=tuple(found["orders"]), most=64 * 1024),
        "order to the registry": Decoder(read=_registry(), samples=tuple(found["registry"])),
        "delivery notice": Decoder(
            read=lambda data: smtp.read_notice(data, domain=DOMAIN), samples=tuple(found["mail"]), most=smtp.MAIL_BYTES
        ),
        "registrar's sheet": Decoder(
            read=lambda data: sheet.read(data, brands=(TenantId("demo"),), now=NOW),
            samples=tuple(found["sheet"]),
            most=SHEET_BYTES,
            share=2,
        ),
        "sdp offer": Decoder(read=_text(Offer.read), samples=tuple(found["sdp"]), most=LARGEST_OFFER_BYTES),
        "sdp fragment": Decoder(
            read=_text(lambda text: Fragment.read(text).etag), samples=tuple(found["fragment"]), most=FRAGMENT_BYTES
        ),
        "headers of a sender": Decoder(read=_sender(), samples=tuple(found["headers"]), most=4 * HEAD_BYTES, share=8),
        "headers of an agency": Decoder(read=_agency(), samples=tuple(found["agency"]), most=4 * HEAD_BYTES),
        "answer of an agency": Decoder(
            read=_text(_said), samples=tuple(each.encode() for each in REPLY_CODES), most=64
        ),
        "mqtt message": Decoder(read=_message, samples=(*found["topic"], *reports), share=8),
        "vehicle's name": Decoder(read=_text(_named), samples=(b"JTMZZ3TESTEC00001", b"ZVW30-0123456"), most=1024),
    }
    types = len(formats.BY_TYPE)
    for at, media_type in enumerate(TYPES):
        name = f"report as {media_type or 'nothing'}"[:34]
        samples = (*reports, *packed) if at < types else reports
        makes[name] = Decoder(read=_report(media_type), samples=samples, share=3)
    return makes


def msd_most() -> int:
    """An MSD is at most 140 octets (EN 15722); ours is what the door lets through of one."""
    return 4096


def corpus() -> Mapping[str, list[bytes]]:
    """The samples of tests/wire by what reads them, which is the beginning of a file's name."""
    found: dict[str, list[bytes]] = {"report": [file.read_bytes() for file in sorted(WIRE.glob("*.json"))]}
    found["report"] += [file.read_bytes() for file in sorted((WIRE / "formats").glob("*.xml"))]
    found["report"].append(_parts(found["report"][0], found["report"][-1]))
    for file in sorted((WIRE / "fuzz").iterdir()):
        kind, dashes, _ = file.name.partition("--")
        if dashes:
            found.setdefault(kind, []).append(file.read_bytes())
    return found


def _parts(*contents: bytes) -> bytes:
    """A multipart body (RFC 8147 7) of ``contents``."""
    each = b"".join(b"--b1\r\nContent-Type: application/xml\r\n\r\n" + content + b"\r\n" for content in contents)
    return each + b"--b1--\r\n"


def _json(shape: Any) -> Callable[[bytes], object]:
    decoder = msgspec.json.Decoder(shape)
    return lambda data: read(decoder, data)


def _registry() -> Callable[[bytes], object]:
    each = tuple(msgspec.json.Decoder(shape) for shape in (orders.NewOrder, orders.AnyOrder))

    def decode(data: bytes) -> object:
        return read(each[len(data) % 2], data)

    return decode


def _text(reads: Callable[[str], object]) -> Callable[[bytes], object]:
    """As a door that wants text: what is no UTF-8 is refused there."""
    return lambda data: reads(data.decode(errors="replace"))


def _report(media_type: str) -> Callable[[bytes], object]:
    """What the accept path does and then the filer, without the nets that both have for a decoder that fails."""

    def decode(data: bytes) -> object:
        found = formats.recognise(data, media_type)
        seen = arrival.judged(found.format.peek(found.content, None), at=NOW)
        return seen, judged(cleaned(found.format.decode(found.content)), at=NOW)

    return decode


def _message(data: bytes) -> object:
    """An MQTT message whose topic is the first line of ``data``."""
    first, _, payload = data.partition(b"\n")
    sender = mqtt.address(clean(first.decode(errors="replace")), {ACME.id: ACME})
    return sender, _report(mqtt.media_type(payload, None))(payload)


def _said(text: str) -> object:
    disclosure, agency = DisclosureId("d1"), AgencyId("a1")
    if text.isdigit():
        return keyed(text, disclosure=disclosure, agency=agency)
    return command(text, disclosure=disclosure, agency=agency, text=text)


def _named(text: str) -> object:
    vin_fault(text)
    return [VehicleKey.of(scheme, text) for scheme in Scheme]


def _headers(data: bytes) -> CIMultiDictProxy[str]:
    """The fields of a head as the HTTP server hands them on; what it refuses itself is nobody's input."""
    made: CIMultiDict[str] = CIMultiDict()
    for line in data.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon and name.isascii() and name.replace(b"-", b"").isalnum():
            made[name.decode()] = value.strip()[:HEAD_BYTES].decode("utf-8", "surrogateescape")
    return CIMultiDictProxy(made)


def _sender() -> Callable[[bytes], object]:
    """Who sends: signed, with a token, with a certificate in a header, with a key."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    known = Credentials(
        TenantKeys.of({"a key": ACME}),
        signing={"acme-1": SigningKey(tenant=ACME, secret=b"a signing secret of thirty-two b")},
        issuers=(
            TokenIssuer(
                tenant=ACME,
                issuer="https://id.example",
                audience="sos",
                keys=(PyJWK(ECAlgorithm.to_jwk(key, as_dict=True), algorithm="ES256"),),
            ),
        ),
        certificates={b"\0" * 32: ACME},
        proxies=frozenset({"127.0.0.1"}),
        certificate_header="X-Client-Cert",
    )

    def decode(data: bytes) -> object:
        request: Any = SimpleNamespace(
            method="POST",
            path="/v1/events",
            raw_path="/v1/events",
            query_string="",
            headers=_headers(data),
            remote="127.0.0.1",
            transport=None,
        )
        return known.sender(request, at=NOW).check(b"")

    return decode


def _agency() -> Callable[[bytes], object]:
    key = Ed25519PrivateKey.generate().public_key()

    def decode(data: bytes) -> object:
        headers = _headers(data)
        return signing.verify(key, method="POST", url="https://sos.example/a", headers=headers, body=b"", now=NOW)

    return decode


def _lost() -> Sources:
    layer = PrefectureLayer.load()
    return Sources(
        layer=layer,
        directory=Directory.demo(),
        gazetteer=Gazetteer(layer.names),
        areas=Areas(layer),
        source="lost.sos.example",
        updated=NOW,
    )


def _answered(data: bytes, sources: Sources) -> Any:
    said = answer(read_request(data), sources, now=NOW)
    if not isinstance(said, Ask):
        write_answer(said)
    return said


def weighted(known: Mapping[str, Decoder]) -> Sequence[str]:
    """Names as often as their shares."""
    return tuple(_weighted(known))


def _weighted(known: Mapping[str, Decoder]) -> Iterator[str]:
    for name, decoder in known.items():
        yield from [name] * decoder.share
