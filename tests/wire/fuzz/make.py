"""Makes this folder's files: what broke a reader once, and a plain sample of what has no file elsewhere; all invented.

Run ``python -m tests.wire.fuzz.make`` from the root of the repository.  A file is named ``<decoder>--<what it is>``.
"""

from collections.abc import Mapping
from pathlib import Path

from routing.lost.codec import LOST, write_request
from routing.lost.messages import FindService, GetServiceBoundary, ListServices, ListServicesByLocation, Location
from routing.position.gml import Civic
from routing.position.pidf import Located, PidfLo, write
from routing.position.shapes import ArcBand, Circle, Point, Polygon

HERE = Path(__file__).resolve().parent

EVENT = (
    b'{"specversion":"1.0","type":"jp.example.crash","source":"/cars","id":"%s","time":"2026-01-01T09:00:00Z",'
    b'"data":{"trigger":"automatic","location":{"latitude":%s,"longitude":139.7},"vehicle":{"id":{"scheme":"vin",'
    b'"value":"JTMZZ3TESTEC00001"}}}}'
)
OFFER = "\r\n".join(
    (
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0", "a=mid:0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=setup:actpass",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=rtcp-mux", "a=sendrecv", "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:0 PCMU/8000",
        "a=candidate:1 1 udp 2122260223 192.0.2.10 50000 typ host generation 0", "a=end-of-candidates", "",
    )
)  # fmt: skip
FRAGMENT = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" + (
    "a=candidate:1 1 udp 2122260223 192.0.2.10 50000 typ host\r\n"
)
INPUT = (
    'sos=("@method" "@authority" "@path" "content-digest" "content-type");created=1767258000;keyid="acme-1";'
    'nonce="n1";alg="hmac-sha256"'
)
HEADERS = (
    f"Host: sos.example\r\nContent-Type: application/json\r\nSignature-Input: {INPUT}\r\n"
    "Signature: sos=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n"
    "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\r\n"
)
TOKEN = (
    "Host: sos.example\r\nAuthorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJzb3MiLCJleHAiOjE3NjcyNjE2MDAsImlhdCI6MTc2NzI1ODAwMH0.AAAA\r\n"
)
CERTIFICATE = (
    "Host: sos.example\r\nX-Client-Cert: -----BEGIN%20CERTIFICATE-----%0AMIIB%0A-----END%20CERTIFICATE-----\r\n"
)
AGENCY_INPUT = (
    'sos=("@method" "@target-uri" "content-digest" "content-type" "idempotency-key");created=1767258000;'
    'keyid="fire";alg="ed25519"'
)
AGENCY = (
    f"Signature-Input: {AGENCY_INPUT}\r\nSignature: sos=:{'A' * 86}==:\r\nIdempotency-Key: 1\r\n"
    "Content-Type: application/json\r\nContent-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\r\n"
)
NOTICE = (
    "From: mailer@mail.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
    ' boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsorry\r\n--b\r\n'
    "Content-Type: message/delivery-status\r\n\r\nOriginal-Envelope-Id: d1.i1\r\n\r\n"
    "Final-Recipient: rfc822; fire@fire.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
)
DISPLAYED = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/disposition-notification\r\n\r\nOriginal-Message-ID: <d1.i1@sos.example>\r\n"
    "Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n"
)
SHEET = (
    "brand,vin,customer_ref,name,tel,service,begins,ends\n"
    "demo,JTMZZ3TESTEC00001,C-1,架空 太郎,+12025550143,sos,2026-01-01,2027-01-01\n"
    'demo,JTMZZ3TESTEC00002,C-2,"架空, 花子",,sos,2026/1/1,9999/12/31\n'
)
ORDERS = (
    b'{"id":1,"do":"note","incident":"0198c0de-0000-7000-8000-000000000001","category":"OBS","text":"two are hurt"}',
    b'{"id":2,"do":"disclose","incident":"0198c0de-0000-7000-8000-000000000001","agency":"jp-13-fire",'
    b'"necessity":"automatic_crash","consent":"no_answer","facts":[],"path":null}',
    b'{"id":3,"do":"place","incident":"0198c0de-0000-7000-8000-000000000001","latitude":35.6,"longitude":139.7}',
    b'{"id":4,"do":"close","incident":"0198c0de-0000-7000-8000-000000000001","disposition":"handed_over"}',
    b'{"id":5,"do":"agency_said","incident":"x","disclosure":"y","said":"taken_over","text":"on the way"}',
    b'{"id":6,"do":"history","incident":"0198c0de-0000-7000-8000-000000000001"}',
)
FRAMES = (
    b'{"subscribe":{"requestId":"r1","requestType":"eido","expires":3600,"minRate":30}}',
    b'{"unsubscribe":{"requestId":"r2","subscriptionId":"s"}}',
    b'{"eventResponse":{"transactionId":"t","statusCode":200}}',
    b'{"answer":{"requestId":"r3","incidentId":"i","disclosureId":"d","answer":"taken_over","text":""}}',
)
CHANGES = (
    b'{"do":"register_vehicle","keys":[{"scheme":"vin","value":"JTMZZ3TESTEC00001"}],"source":"api"}',
    b'{"do":"register_subscriber","profile":{"name":"x","tel":"+12025550143"},"source":"api","ref":"C-1"}',
    b'{"do":"grant_entitlement","service":"sos","begins":"2026-01-01T00:00:00Z","ends":"2027-01-01T00:00:00Z"}',
    b'{"do":"deactivate","document":"seal-17","acknowledged":["no_sos"],"effective_at":"2026-01-01T00:00:00Z"}',
    b'{"keys":[{"scheme":"vin","value":"JTMZZ3TESTEC00001"}],"at":"2026-01-01T00:00:00Z"}',
)
TOPICS = (b"sos/v1/acme/vin:JTMZZ3TESTEC00001/event", b"sos/v1/acme/plain-name/event")

AROUND_SHINJUKU = ((35.68, 139.69), (35.68, 139.71), (35.70, 139.71), (35.70, 139.69), (35.68, 139.69))
TOKYO = Civic((("country", "JP"), ("A1", "東京都"), ("A3", "新宿区"), ("HNO", "6")), "ja")
QUESTIONS = {
    "point": FindService(locations=(Location("a", "geodetic-2d", Point(35.69, 139.7)),), service="urn:service:sos"),
    "circle": FindService(
        locations=(Location("a", "geodetic-2d", Circle(35.69, 139.7, 500.0)),), service="urn:service:sos.fire"
    ),
    "band": FindService(
        locations=(Location("a", "geodetic-2d", ArcBand(35.69, 139.7, 200.0, 900.0, 300.0, 120.0)),),
        service="urn:service:sos.police",
    ),
    "polygon": FindService(
        locations=(Location("a", "geodetic-2d", Polygon(AROUND_SHINJUKU)),), service="urn:service:sos.ambulance"
    ),
    "civic": FindService(locations=(Location("a", "civic", TOKYO),), service="urn:service:sos.police"),
    "services": ListServices(service="urn:service:sos"),
    "services_there": ListServicesByLocation(
        locations=(Location("a", "geodetic-2d", Point(35.69, 139.7)),), service="urn:service:sos"
    ),
    "boundary": GetServiceBoundary(key="a-key"),
}


def _hyphens(count: int) -> bytes:
    place = f"<A3>{'-' * count}</A3>"
    civic = f'<civicAddress xmlns="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr">{place}</civicAddress>'
    return (
        f'<findService xmlns="{LOST}"><location id="a" profile="civic">{civic}</location>'
        "<service>urn:service:sos.police</service></findService>"
    ).encode()


def samples() -> Mapping[str, bytes]:
    """What each reader takes."""
    made = {f"lost--{name}.xml": write_request(question) for name, question in QUESTIONS.items()}
    placed = Located(id="car", shape=Circle(35.69, 139.7, 20.0), civic=TOKYO)
    place = PidfLo(entity="pres:a@sos.example", locations=(placed,))
    made |= {f"orders--{at}.json": order for at, order in enumerate(ORDERS)}
    made |= {f"eido--{at}.json": frame for at, frame in enumerate(FRAMES)}
    made |= {f"registry--{at}.json": change for at, change in enumerate(CHANGES)}
    made |= {f"topic--{at}.txt": topic for at, topic in enumerate(TOPICS)}
    return made | {
        "pidf--circle.xml": write(place),
        "sdp--offer.sdp": OFFER.encode(),
        "fragment--one.sdp": FRAGMENT.encode(),
        "headers--signed.txt": HEADERS.encode(),
        "headers--token.txt": TOKEN.encode(),
        "headers--certificate.txt": CERTIFICATE.encode(),
        "agency--signed.txt": AGENCY.encode(),
        "mail--bounced.txt": NOTICE.encode(),
        "mail--displayed.txt": DISPLAYED.encode(),
        "sheet--three.csv": SHEET.encode(),
        "sheet--cp932.csv": SHEET.encode("cp932"),
        "answer--portal.txt": b"answer=taken_over&text=on+the+way",
    }


def reproducers() -> Mapping[str, bytes]:
    """What stalled, crashed or poisoned something once, or would have."""
    half, nested = rb"\ud800", 5000
    return {
        "headers--signature_bomb.txt": b'Signature-Input: a=("x"' + b'"x"' * 60 + b"\r\nSignature: a=:AA==:\r\n",
        "lost--hyphens.xml": _hyphens(20_000),
        "report--half_a_surrogate.json": EVENT % (b"1" + half, b'"%s"' % half),
        "report--location_of_half_a_surrogate.json": b'{"type":"jp.example.crash","data":{"location":"%s"}}' % half,
        "report--mark.json": b"\xef\xbb\xbf" + EVENT % (b"a", b"35.6"),
        "report--wide.json": (EVENT % (b"a", b"35.6")).decode().encode("utf-16"),
        "report--deep.json": b'{"data":' + b"[" * nested + b"]" * nested + b"}",
        "report--deep.xml": b"<a>" * nested + b"</a>" * nested,
        "report--deep_parts.txt": b"".join(b"--%d\r\n\r\n" % at for at in range(500)),
        "report--huge_integer.json": EVENT % (b"a", b"9" * 5000),
        "report--huge_exponent.json": EVENT % (b"a", b"1e999999999"),
        "report--nul.json": EVENT % (b"a\0b", b"35.6"),
        "report--many_members.json": b"{" + b",".join(b'"k%d":1' % at for at in range(4000)) + b"}",
        "report--entities.xml": b"<!DOCTYPE a [" + b"".join(
            b'<!ENTITY e%d "&e%d;&e%d;">' % (at + 1, at, at) for at in range(40)
        ) + b"]><a>&e40;</a>",
        "report--many_attributes.xml": b"<a " + b" ".join(b'a%d="1"' % at for at in range(5000)) + b"/>",
        "headers--token_of_brackets.txt": b"Authorization: Bearer " + b".".join((b"W1tb" * 900, b"W1tb" * 900, b"A")),
        "mail--deep.txt": b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (at, at) for at in range(800)
        ),
        "mail--deep_messages.txt": b"Content-Type: message/rfc822\r\n\r\n" * 1200,
        "mail--unknown_charset.txt": NOTICE.replace(
            "message/delivery-status", "message/disposition-notification; charset=nowhere"
        ).encode() + b"\xff\xed\xa0\x80",
        "sheet--one_long_cell.csv": b'brand,vin\ndemo,"' + b"x" * 20_000 + b'"\n',
        "sheet--many_columns.csv": b"brand,vin" + b",x" * 4000 + b"\n",
        "sheet--number_without_end.csv": b"brand,vin,begins\ndemo,JTMZZ3TESTEC00001," + b"9" * 499 + b"-1-1\n",
        "sdp--many_sections.sdp": OFFER.encode() + b"m=video 9 a 1\r\n" * 1000,
        "orders--huge_number.json": b'{"id":' + b"9" * 400 + b',"do":"open"}',
        "topic--levels.txt": b"/" * 20_000,
    }  # fmt: skip


def files() -> Mapping[str, bytes]:
    return {**samples(), **reproducers()}


def main() -> None:
    for name, content in files().items():
        (HERE / name).write_bytes(content)


if __name__ == "__main__":
    main()
