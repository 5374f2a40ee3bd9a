"""Who sends: each way to prove it, each rule that can be broken, by the name that the refusal gives it."""

import hashlib
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from multidict import CIMultiDict, CIMultiDictProxy

from sos.errors import Misconfigured
from sos.incident.model import TenantId
from sos.intake.auth import Credentials, Rate, SigningKey, TokenIssuer
from sos.intake.configured import credentials
from sos.intake.signature import sign
from sos.intake.tenants import Tenant, TenantKeys
from sos.problems import Unauthenticated, problem
from sos.settings import Settings, SigningKeySettings, TenantSettings, TokenSettings

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
ACME = Tenant(id=TenantId("acme"), domain="acme.example")
BRAVO = Tenant(id=TenantId("bravo"), domain="bravo.example")
SECRET = b"a signing secret of thirty-two b"
BODY = b'{"specversion":"1.0"}'


def request(method: str = "POST", path: str = "/v1/events", **headers: str) -> Any:
    return make_mocked_request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})


def refused(known: Credentials, sent: Any, *, at: datetime = NOW) -> tuple[str | None, str | None]:
    """Rule and tenant of the refusal."""
    with pytest.raises(Unauthenticated) as caught:
        known.sender(sent, at=at).check(BODY)
    told = problem(caught.value)
    assert told.status == 401
    assert told.detail
    return told.rule, told.tenant


# Signed requests


@pytest.fixture
def signing() -> Credentials:
    return Credentials(TenantKeys({}), signing={"acme-1": SigningKey(tenant=ACME, secret=SECRET)})


HOST = "sos.example"
CLOUD_EVENT = {"Content-Type": "application/cloudevents+json"}


def signed(path: str = "/v1/events", *, body: bytes = BODY, secret: bytes = SECRET, **changed: Any) -> dict[str, str]:
    given = {"key_id": "acme-1", "method": "POST", "created": int(NOW.timestamp()), "nonce": "n1"} | changed
    given["headers"] = CLOUD_EVENT | given.get("headers", {})
    return {"Host": HOST} | sign(secret, url=f"https://{HOST}{path}", body=body, **given)


def test_a_signed_request_is_its_tenants(signing: Credentials) -> None:
    sender = signing.sender(request(**signed()), at=NOW)
    sender.check(BODY)

    assert sender.tenant is ACME


def test_a_query_is_signed_too(signing: Credentials) -> None:
    path = "/v1/incidents/x/commands?wait=5"

    assert signing.sender(request(path=path, **signed(path)), at=NOW).tenant is ACME
    assert refused(signing, request(path=path, **signed("/v1/incidents/x/commands", nonce="n2"))) == (
        "components",
        "acme",
    )


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("created", {"created": int(NOW.timestamp()) - 61}),
        ("created", {"created": int(NOW.timestamp()) + 61}),
        ("signature", {"secret": b"another secret of thirty-two byt"}),
        ("content-digest", {"body": b"another body"}),
    ],
)
def test_a_signature_that_breaks_a_rule_is_refused_by_its_name(
    signing: Credentials, rule: str, change: dict[str, Any]
) -> None:
    assert refused(signing, request(**signed(**change))) == (rule, "acme")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/EmergencyCallData.eCall.MSD"),
        ("Host", "another.example"),
        ("Call-Back", "+81312345679"),
        ("Vehicle-Id", "another"),
        ("Call-Language", "en"),
        ("Idempotency-Key", "another"),
        ("Leg-Id", "00000000-0000-0000-0000-000000000001"),
        ("If-Match", '"another"'),
    ],
)
def test_nobody_on_the_way_changes_or_adds_what_a_request_means(signing: Credentials, name: str, value: str) -> None:
    meant = signed() if name in ("Host", "Content-Type") else signed(headers={name: "meant"})
    added = signed() | {name: value}

    assert signing.identify(request(**meant), at=NOW).tenant is ACME
    assert refused(signing, request(**meant | {name: value})) == ("signature", "acme")
    assert refused(signing, request(**added)) == (("signature" if name in signed() else "components"), "acme")


@pytest.mark.parametrize("host", ["SOS.example", "sos.example:443", "sos.example:80"])
def test_an_authority_is_compared_without_case_and_default_port(signing: Credentials, host: str) -> None:
    assert signing.sender(request(**signed() | {"Host": host}), at=NOW).tenant is ACME


def test_a_signature_for_another_method_or_path_does_not_fit(signing: Credentials) -> None:
    assert refused(signing, request("PUT", **signed())) == ("signature", "acme")
    assert refused(signing, request(path="/v1/calls", **signed(nonce="n2"))) == ("signature", "acme")


def test_an_unknown_signing_key_is_refused(signing: Credentials) -> None:
    assert refused(signing, request(**signed(key_id="nobody"))) == ("keyid", None)


def test_a_replay_is_refused_and_a_new_signature_is_not(signing: Credentials) -> None:
    signing.sender(request(**signed()), at=NOW)

    assert refused(signing, request(**signed()), at=NOW + timedelta(seconds=59)) == ("nonce", "acme")
    assert signing.sender(request(**signed(nonce="n2")), at=NOW).tenant is ACME


def test_a_forged_signature_does_not_use_up_a_nonce(signing: Credentials) -> None:
    refused(signing, request(**signed(secret=b"another secret of thirty-two byt")))

    assert signing.sender(request(**signed()), at=NOW).tenant is ACME


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"@method" ', "", "components"),
        ('"@authority" ', "", "components"),
        (' "content-digest"', "", "components"),
        (' "content-type"', "", "components"),
        ('"@path"', '"@path" "@path"', "components"),
        ('"@path"', '"@path" "x-nothing"', "components"),
        (";nonce=", ";other=", "nonce"),
        (";created=", ";expires=", "created"),
        ("hmac-sha256", "rsa-v1_5-sha256", "alg"),
        ("sos=(", "sos=((", "format"),
        ("sos=(", "(", "format"),
    ],
)
def test_a_signature_input_that_says_too_little_is_refused(signing: Credentials, old: str, new: str, rule: str) -> None:
    headers = signed()
    headers["Signature-Input"] = headers["Signature-Input"].replace(old, new)

    assert refused(signing, request(**headers))[0] == rule


@pytest.mark.parametrize("ours_first", [True, False])
def test_of_two_signatures_ours_is_found_by_its_key(signing: Credentials, ours_first: bool) -> None:
    """A gateway on the way signs too (RFC 9421 1.4), under a name and a key of its own."""
    headers = signed()
    gateway = {"Signature-Input": 'proxy=("@method");created=1;keyid="gw";nonce="n"', "Signature": "proxy=:AAAA:"}
    pairs = (headers, gateway) if ours_first else (gateway, headers)
    both = headers | {name: ", ".join(each[name] for each in pairs) for name in gateway}

    assert signing.sender(request(**both), at=NOW).tenant is ACME


def test_of_two_signatures_a_forged_one_of_ours_or_none_at_all_is_refused(signing: Credentials) -> None:
    headers, forged = signed(), signed(secret=b"another secret of thirty-two byt")
    gateway = 'proxy=("@method");created=1;keyid="gw";nonce="n"'
    theirs = {"Signature-Input": f"{gateway}, other={gateway[6:]}", "Signature": "proxy=:AAAA:, other=:AAAA:"}
    with_gateway = {
        "Signature-Input": f"{headers['Signature-Input']}, {gateway}",
        "Signature": f"{forged['Signature']}, proxy={headers['Signature'][4:]}",
    }

    assert refused(signing, request(**headers | with_gateway))[0] == "signature"
    assert refused(signing, request(**headers | theirs))[0] == "format"


def test_a_signature_that_has_expired_by_its_own_word_is_refused(signing: Credentials) -> None:
    now = int(NOW.timestamp())

    assert refused(signing, request(**signed(expires=now - 1))) == ("expires", "acme")
    assert signing.sender(request(**signed(expires=now + 60)), at=NOW).tenant is ACME


@pytest.mark.parametrize("value", ["", "sos=:***:", "other=:AAAA:", "sos=AAAA"])
def test_a_signature_that_cannot_be_read_is_refused(signing: Credentials, value: str) -> None:
    assert refused(signing, request(**(signed() | {"Signature": value})))[0] == "format"


HOSTILE = """
from datetime import UTC, datetime
from aiohttp.test_utils import make_mocked_request
from sos.intake.auth import Credentials
from sos.intake.tenants import TenantKeys
from sos.problems import Unauthenticated

good = {"Signature-Input": 'a=("x")', "Signature": "a=:AAAA:"}
for piece, times in [('"x"', 30), ('"x" ', 2000), ("(", 8000), (";a=1", 2000), ('a=("x"),', 1000)]:
    for hostile in ({"Signature-Input": "a=(" + piece * times}, {"Signature": piece * times}):
        try:
            Credentials(TenantKeys({})).sender(
                make_mocked_request("POST", "/", headers=good | hostile), at=datetime.now(UTC)
            )
        except Unauthenticated as refused:
            print(refused.rule)
"""


def test_no_signature_header_of_a_stranger_holds_the_service() -> None:
    """In a process that can be killed: the first of these once took for ever, before any key was looked at."""
    answered = subprocess.run(
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )

    assert answered.stdout.split() == ["format"] * 10


@pytest.mark.parametrize("long", [{"nonce": "n" * 129}, {"key_id": "k" * 129}])
def test_a_long_key_or_nonce_is_no_key_and_no_nonce(signing: Credentials, long: dict[str, str]) -> None:
    assert refused(signing, request(**signed(**long)))[0] in ("nonce", "keyid")


def test_a_signature_is_read_as_structured_fields_are_written(signing: Credentials) -> None:
    """RFC 9651: blanks between the members of a list mean nothing, and what is signed is written in the one way."""
    headers = signed()
    spread = headers | {"Signature-Input": headers["Signature-Input"].replace('("@method" ', '(  "@method"  ')}

    assert signing.sender(request(**spread), at=NOW).tenant is ACME
    assert (
        refused(signing, request(**headers | {"Signature-Input": headers["Signature-Input"] + ", sos=()"}))[0]
        == "format"
    )


def test_a_short_signing_secret_stops_the_start() -> None:
    with pytest.raises(Misconfigured, match="32 bytes"):
        SigningKey(tenant=ACME, secret=b"short")


# Tokens

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {
    "iss": "https://id.acme.example",
    "aud": "sos",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
}


def public(key: Any, algorithm: str, **more: str) -> jwt.PyJWK:
    made = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return jwt.PyJWK(made | more, algorithm)


def tokens(*keys: jwt.PyJWK) -> Credentials:
    issuer = TokenIssuer(tenant=ACME, issuer="https://id.acme.example", audience="sos", keys=keys)
    return Credentials(TenantKeys.of({"plain-key": BRAVO}), issuers=(issuer,))


def bearer(claims: dict[str, Any], key: Any = EC_KEY, algorithm: str = "ES256", **headers: str) -> Any:
    return request(Authorization="Bearer " + jwt.encode(claims, key, algorithm=algorithm, headers=headers or None))


@pytest.mark.parametrize(("key", "algorithm"), [(EC_KEY, "ES256"), (ED_KEY, "EdDSA"), (RSA_KEY, "RS256")])
def test_a_signed_token_is_its_tenants(key: Any, algorithm: str) -> None:
    known = tokens(public(key, algorithm))

    assert known.sender(bearer(CLAIMS, key, algorithm), at=NOW).tenant is ACME
    assert known.sender(request(Authorization="Bearer plain-key"), at=NOW).tenant is BRAVO


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"exp": int(NOW.timestamp()) - 61}, "exp"),
        ({"nbf": int(NOW.timestamp()) + 61}, "nbf"),
        ({"iat": int(NOW.timestamp()) + 61}, "nbf"),
        ({"aud": "another"}, "aud"),
        ({"iss": "https://id.bravo.example"}, "iss"),
        ({"exp": None}, "claims"),
        ({"aud": None}, "claims"),
        ({"iat": None}, "claims"),
        ({"iat": "now"}, "nbf"),
        ({"exp": int(NOW.timestamp()) + 7201}, "lifetime"),
        ({"iat": int(NOW.timestamp()) - 7000}, "lifetime"),
        ({"exp": 10**400}, "exp"),
        ({"exp": 1e999}, "exp"),
        ({"iat": -(10**400)}, "nbf"),
        ({"exp": True}, "exp"),
    ],
)
def test_a_token_that_breaks_a_rule_is_refused_by_its_name(change: dict[str, Any], rule: str) -> None:
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}

    assert refused(tokens(public(EC_KEY, "ES256")), bearer(claims))[0] == rule


def test_a_clock_a_little_off_costs_nothing() -> None:
    claims = CLAIMS | {"exp": int(NOW.timestamp()) - 59, "nbf": int(NOW.timestamp()) + 59}

    assert tokens(public(EC_KEY, "ES256")).sender(bearer(claims), at=NOW).tenant is ACME


def test_no_token_without_a_signature_or_with_a_shared_secret_is_taken() -> None:
    known = tokens(public(EC_KEY, "ES256"))
    unsigned = request(Authorization="Bearer " + jwt.encode(CLAIMS, None, algorithm="none"))
    pem = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = _hmac_token(CLAIMS, pem)

    assert refused(known, unsigned)[0] == "alg"
    assert refused(known, request(Authorization=f"Bearer {confused}"))[0] == "alg"


def _hmac_token(claims: dict[str, Any], key: bytes) -> str:
    """A token signed with the public key as if it were a shared secret (RFC 8725 2.1)."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key.hex().encode(), algorithm="HS256")


def test_a_token_of_another_key_or_an_unknown_kid_is_refused() -> None:
    known = tokens(public(EC_KEY, "ES256", kid="new"))
    other = ec.generate_private_key(ec.SECP256R1())

    assert refused(known, bearer(CLAIMS, other, kid="new")) == ("signature", "acme")
    assert refused(known, bearer(CLAIMS, kid="old")) == ("kid", "acme")


def test_while_keys_are_changed_both_are_good() -> None:
    old, new = ec.generate_private_key(ec.SECP256R1()), EC_KEY
    known = tokens(public(old, "ES256"), public(new, "ES256"))

    assert known.sender(bearer(CLAIMS, old), at=NOW).tenant is known.sender(bearer(CLAIMS, new), at=NOW).tenant is ACME


def test_a_tenants_longest_token_is_a_setting() -> None:
    issuer = TokenIssuer(
        tenant=ACME,
        issuer="https://id.acme.example",
        audience="sos",
        keys=(public(EC_KEY, "ES256"),),
        longest=timedelta(seconds=299),
    )

    assert refused(Credentials(TenantKeys({}), issuers=(issuer,)), bearer(CLAIMS)) == ("lifetime", "acme")
    with pytest.raises(Misconfigured, match="longest_s"):
        TokenSettings(issuer="i", audience="a", key_file="k", longest_s=86_401)


def test_a_token_of_brackets_is_no_token() -> None:
    """Python's reader of JSON gives up at some depth with an error of its own."""
    deep = b64encode(b"[" * 4000).decode().rstrip("=")

    for token in (f"{deep}.e30.AA", f"eyJhbGciOiJFUzI1NiJ9.{deep}.AA"):
        assert refused(tokens(public(EC_KEY, "ES256")), request(Authorization=f"Bearer {token}"))[0] == "format"


@pytest.mark.parametrize("token", ["a.b.\udcff", "\udcff.\udcff.\udcff"])
def test_a_token_of_octets_that_are_no_text_is_refused(token: str) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {token}"}))
    sent = SimpleNamespace(headers=headers, remote="192.0.2.1", transport=None)

    assert refused(tokens(public(EC_KEY, "ES256")), sent)[0] == "format"


@pytest.mark.parametrize("token", ["a.b.c", "..", "é.é.é"])
def test_what_only_looks_like_a_token_is_refused(token: str) -> None:
    assert refused(tokens(public(EC_KEY, "ES256")), request(Authorization=f"Bearer {token}"))[0] == "format"


# Certificates


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloud.acme.example")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(EC_KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(EC_KEY, hashes.SHA256())
    )


def test_a_certificate_in_a_header_is_believed_from_the_trusted_proxy_only() -> None:
    shown = certificate()
    der = shown.public_bytes(Encoding.DER)
    pem = quote(shown.public_bytes(Encoding.PEM).decode())
    sent = request(X_Client_Cert=pem)
    by_digest = {hashlib.sha256(der).digest(): ACME}

    trusting = Credentials(
        TenantKeys({}),
        certificates=by_digest,
        proxies=frozenset({sent.remote}),
        certificate_header="X-Client-Cert",
    )
    elsewhere = Credentials(
        TenantKeys({}),
        certificates=by_digest,
        proxies=frozenset({"192.0.2.1"}),
        certificate_header="X-Client-Cert",
    )
    nowhere = Credentials(TenantKeys({}), certificates=by_digest)

    assert trusting.sender(sent, at=NOW).tenant is ACME
    assert refused(elsewhere, sent)[0] is None
    assert refused(nowhere, sent)[0] is None


def test_a_certificate_of_nobody_is_refused() -> None:
    sent = request(X_Client_Cert=quote(certificate().public_bytes(Encoding.PEM).decode()))
    known = Credentials(
        TenantKeys({}),
        certificates={b"x" * 32: ACME},
        proxies=frozenset({sent.remote}),
        certificate_header="X-Client-Cert",
    )

    assert refused(known, sent)[0] == "certificate"


# Rates


def test_a_tenant_over_its_rate_is_flagged_and_never_refused() -> None:
    known = Credentials(TenantKeys.of({"key": ACME}), rates={"acme": Rate(per_s=2, burst=3)})
    sent = request(Authorization="Bearer key")

    findings = [known.sender(sent, at=NOW).findings for _ in range(5)]
    later = known.sender(sent, at=NOW + timedelta(seconds=1)).findings

    assert findings == [(), (), (), ("over_rate:$",), ("over_rate:$",)]
    assert later == ()


# From the settings


def _tenant(**more: Any) -> Settings:
    return Settings(tenants=(TenantSettings(id="acme", domain="acme.example", **more),))


def test_the_settings_make_every_kind_of_credential(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    made = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(EC_KEY.public_key()))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [made | {"kid": "k1"}]}))
    (tmp_path / "key.pem").write_bytes(
        RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    known = credentials(
        _tenant(
            key_digests=(hashlib.sha256(b"plain-key").hexdigest(),),
            signing_keys=(SigningKeySettings(id="acme-1", file=str(tmp_path / "secret")),),
            tokens=(
                TokenSettings(issuer="https://id.acme.example", audience="sos", key_file=str(tmp_path / "jwks.json")),
                TokenSettings(issuer="rsa", audience="sos", key_file=str(tmp_path / "key.pem"), algorithm="RS256"),
            ),
        )
    )

    for sent in (
        request(Authorization="Bearer plain-key"),
        request(**signed()),
        bearer(CLAIMS, kid="k1"),
        bearer(CLAIMS | {"iss": "rsa"}, RSA_KEY, "RS256"),
    ):
        assert known.sender(sent, at=NOW).tenant.id == "acme"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: {"signing_keys": (SigningKeySettings(id="k", file="nowhere"),)}, "acme.signing_keys"),
        (lambda _: {"tokens": (TokenSettings(issuer="i", audience="a", key_file="nowhere"),)}, "acme.tokens"),
        (
            lambda file: {"tokens": (TokenSettings(issuer="i", audience="a", key_file=file, algorithm="HS256"),)},
            "algorithm",
        ),
        (lambda file: {"tokens": (TokenSettings(issuer="i", audience="a", key_file=file),)}, "shared secrets"),
    ],
)
def test_a_credential_that_cannot_be_used_stops_the_start(
    tmp_path: Path, make: Callable[[str], dict[str, Any]], said: str
) -> None:
    shared = {"kty": "oct", "k": b64encode(SECRET).decode()}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [shared]}))

    with pytest.raises(Misconfigured, match=said):
        credentials(_tenant(**make(str(tmp_path / "jwks.json"))))
