"""HTTP message signatures (RFC 9421) with ``hmac-sha256``: the headers read, what was signed put together, and made.

The headers are structured fields (RFC 9651) and are read by a parser that takes each byte once, after their length
was looked at: this is the first code that a stranger's bytes meet.  Who may sign is for ``auth`` to say.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from http_sf import StructuredFieldError, parse, ser
from msgspec import Struct
from multidict import CIMultiDictProxy

from sos.problems import Unauthenticated

LONGEST = 2048
"""Characters of each header.  Ours has under 400; RFC 9421 names no bound, and a server's line ends at 8 KiB."""

MOST_COMPONENTS = 32
LONGEST_NAME = 128
"""Of a covered field, a key and a nonce."""

DERIVED = frozenset({"@method", "@path", "@query", "@authority"})

COVERED = frozenset({"@method", "@path", "@authority", "content-digest"})
"""What a signature must cover at least; ``@query`` too when there is a query."""

MEANING = frozenset(
    {
        "content-type",
        "content-encoding",
        "idempotency-key",
        "if-match",
        "leg-id",
        "vehicle-id",
        "call-back",
        "call-language",
    }
)
"""Headers that change what a request does: whoever sends one signs it, so that nobody on the way gives a report another
reading, another identity, or a call another number to be called back at."""

Headers: TypeAlias = CIMultiDictProxy[str]


class Signature(Struct, frozen=True, kw_only=True):
    """The sender's signature of a request, in the strict form we ask for; gateways on the way may add their own."""

    components: tuple[str, ...]
    params: str
    """The inner list with its parameters as RFC 9651 writes it: the last line of what is signed."""
    created: int
    expires: int | None = None
    """When the sender itself says that it is worth nothing any more."""
    key_id: str
    nonce: str
    algorithm: str | None
    value: bytes

    @classmethod
    def of(cls, headers: Headers, *, known: Container[str] = ()) -> "Signature":
        """The one by a ``known`` key, or the only one there is.

        ``Unauthenticated`` names the rule of RFC 9421 4 that the headers break.
        """
        inputs = _dictionary(headers, "Signature-Input")
        values = _dictionary(headers, "Signature")
        name = _ours(inputs, known)
        if name is None or name not in values:
            raise unsigned("format", "Send one signature by a key of yours, under one name in both of its headers.")
        items, given = inputs[name]
        value, _ = values[name]
        if not isinstance(items, list) or not isinstance(value, bytes):
            raise unsigned("format", "`Signature-Input` is `name=(...);created=...` and `Signature` is `name=:...:`.")
        return cls(
            components=_components(items),
            params=ser([(items, given)]),
            expires=None if given.get("expires") is None else _needed(given, "expires", lambda each: type(each) is int),
            created=_needed(given, "created", lambda each: type(each) is int and each >= 0),
            key_id=_needed(given, "keyid", _name),
            nonce=_needed(given, "nonce", _name),
            algorithm=None if given.get("alg") is None else str(given["alg"]),
            value=value,
        )

    def base(self, *, method: str, target: str, headers: Headers) -> bytes:
        """What was signed (RFC 9421 2.5); ``target`` is path and query as they were sent."""
        path, _, query = target.partition("?")
        derived = {
            "@method": method,
            "@path": path,
            "@query": f"?{query}",
            "@authority": _authority(headers.get("Host", "")),
        }
        lines = [f'"{name}": {derived.get(name) or _sent(name, headers)}' for name in self.components]
        return "\n".join([*lines, f'"@signature-params": {self.params}']).encode("utf-8", "surrogateescape")


def needed(headers: Headers, *, query: bool) -> frozenset[str]:
    """What the signature of a request with these headers must cover."""
    return COVERED | {name for name in MEANING if name in headers} | ({"@query"} if query else set())


def _authority(host: str) -> str:
    """RFC 9421 2.2.3: in small letters, without the port that its scheme has anyway."""
    return host.lower().removesuffix(":443").removesuffix(":80")


def _dictionary(headers: Headers, name: str) -> dict[str, Any]:
    """A header as a dictionary of structured fields, each key once."""
    text = ", ".join(headers.getall(name, []))
    if len(text) > LONGEST:
        raise unsigned("format", f"`{name}` has more than {LONGEST} characters.", field=name)

    def twice(key: str, _: str) -> None:
        raise unsigned("format", f"`{name}` says {key[:64]!r} twice.", field=name)

    try:
        read = parse(text.encode("ascii"), tltype="dictionary", on_duplicate_key=twice)
    except (UnicodeEncodeError, StructuredFieldError) as wrong:
        where = getattr(wrong, "position", None)
        raise unsigned(
            "format", f"`{name}` cannot be read as RFC 9421 4 and RFC 9651 want it, at character {where}.", field=name
        ) from None
    return dict(read) if isinstance(read, dict) else {}


def _ours(inputs: Mapping[str, Any], known: Container[str]) -> str | None:
    """The name of the signature that counts; None when it cannot be told which."""
    if len(inputs) == 1:
        return next(iter(inputs))
    by_us = [name for name, (_, given) in inputs.items() if str(given.get("keyid")) in known]
    return by_us[0] if len(by_us) == 1 else None


def _components(items: list[Any]) -> tuple[str, ...]:
    names = tuple(name for name, params in items if isinstance(name, str) and not params and _name(name))
    fields = [name for name in names if name in DERIVED or (name == name.lower() and name[0] != "@")]
    if len(items) > MOST_COMPONENTS or len(set(fields)) != len(items):
        raise unsigned("components", "Cover each of `@method`, `@path`, `@query`, `@authority` or a header once.")
    return names


def _needed(given: Mapping[str, Any], name: str, good: Callable[[Any], bool]) -> Any:
    if not good(given.get(name)):
        raise unsigned(name, f"The signature needs the parameter `{name}` (RFC 9421 2.3).")
    return given[name]


def _name(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME


def _sent(name: str, headers: Headers) -> str:
    values = headers.getall(name, [])
    if not values:
        raise unsigned("components", f"The signature covers `{name[:64]}`, which was not sent.")
    return ", ".join(value.strip() for value in values)


def content_digest(headers: Headers, tenant: str) -> bytes:
    """The SHA-256 in ``Content-Digest`` (RFC 9530); other algorithms may stand beside it."""
    found = _dictionary(headers, "Content-Digest").get("sha-256")
    value = found[0] if isinstance(found, tuple) else None
    if not isinstance(value, bytes):
        raise unsigned("content-digest", "Send `Content-Digest: sha-256=:...:` (RFC 9530).", tenant)
    return value


def unsigned(rule: str, why: str, tenant: str | None = None, *, field: str = "Signature-Input") -> Unauthenticated:
    return Unauthenticated(why, rule=rule, field=field, tenant=tenant)


def sign(
    secret: bytes,
    *,
    key_id: str,
    method: str,
    url: str,
    body: bytes,
    created: int,
    nonce: str,
    expires: int | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The headers of a signed request, ``headers`` among them: what a tenant's cloud does, for vehicles of ours and for
    trials."""
    parts = urlsplit(url)
    sent = {"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:", **headers}
    fields = {"@method": method, "@authority": _authority(parts.netloc), "@path": parts.path}
    fields |= {"@query": f"?{parts.query}"} if parts.query else {}
    fields |= {name.lower(): value for name, value in sent.items()}
    covered = " ".join(f'"{name}"' for name in fields)
    params = f'({covered});created={created};keyid="{key_id}";nonce="{nonce}";alg="hmac-sha256"'
    params += "" if expires is None else f";expires={expires}"
    lines = [f'"{name}": {value}' for name, value in fields.items()] + [f'"@signature-params": {params}']
    made = hmac.digest(secret, "\n".join(lines).encode(), "sha256")
    return {**sent, "Signature-Input": f"sos={params}", "Signature": f"sos=:{b64encode(made).decode()}:"}
