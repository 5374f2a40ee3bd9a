"""What stands around a report and is no part of it: marks, padding, encodings, and bodies with several parts.

Senders and the gateways between them write one report in many ways, and no door may know fewer of them than another.
``unwrapped`` gives the content as its reader wants it; ``kind`` tells from the content alone what it is, because labels
are wrong more often than first octets.  Pure and linear: the same octets always give the same content, so the filer
finds again what the door has seen.
"""

import codecs
import re
from base64 import b64decode
from binascii import Error as NotBase64
from enum import StrEnum
from quopri import decodestring

import msgspec
from msgspec import Struct

MAX_PARTS = 16
"""Parts of one body that are looked at; a call with every block of RFC 7852 has six."""

MAX_NESTING = 3
"""Multiparts within multiparts."""

_PADDING = b"\0 \t\r\n\x1a"
"""Behind the end: a C string's NUL, a line end, the end-of-file mark of old systems."""

_BEGINNINGS = (b"{", b"[", b"<", b"--")

_DECLARED = re.compile(rb"""\A<\?xml\s[^>?]{0,80}?encoding\s{0,8}=\s{0,8}["']([A-Za-z0-9._-]{1,40})["'][^>]{0,80}\?>""")
_DECLARATION = re.compile(r"\A<\?xml[^>]{0,200}\?>")
_UNICODE = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_LEGACY = frozenset(
    {"shift_jis", "sjis", "x-sjis", "windows-31j", "cp932", "ms932", "euc-jp", "iso-2022-jp", "iso-8859-1", "latin1",
     "iso-8859-15", "windows-1252", "utf-16", "utf-16le", "utf-16be"}
)  # fmt: skip
"""Encodings that are read though a document should be in UTF-8."""

_CODECS = {"windows-31j": "cp932", "ms932": "cp932", "x-sjis": "cp932", "shift_jis": "cp932", "sjis": "cp932"}
"""Where Python's word is another, or stricter than what senders write under that name."""


class Kind(StrEnum):
    JSON = "json"
    XML = "xml"
    MULTIPART = "multipart"
    OCTETS = "octets"


class Content(Struct, frozen=True):
    """A body as its reader wants it."""

    octets: bytes
    findings: tuple[str, ...] = ()


class _Carrier(Struct, frozen=True):
    data_base64: str


_base64 = msgspec.json.Decoder(_Carrier)


class Part(Struct, frozen=True):
    """One part of a body with several."""

    media_type: str
    """In lower case, without parameters; empty when it has none."""
    octets: bytes


def unwrapped(body: bytes) -> Content:
    """``body`` in UTF-8 without mark and padding when it is text; as it is when it is not."""
    if body[:1] == b"{" and body[-1:] == b"}":
        return _carried(body) or Content(body)
    text, findings = _in_utf8(body)
    stripped = text.lstrip(b" \t\r\n")
    if not stripped.startswith(_BEGINNINGS):
        return Content(body)
    whole = stripped.rstrip(_PADDING)
    if kind(whole) is Kind.OCTETS:
        return Content(body)
    if b"\0" in stripped[len(whole) :]:
        findings = (*findings, "padded:$")
    if whole.startswith(b"<"):
        whole, more = _xml_in_utf8(whole)
        findings += more
    return _carried(whole) or Content(whole, findings)


def _carried(event: bytes) -> Content | None:
    """What an event carries in Base64 when it is no JSON but a document or octets of its own; else None."""
    if b"data_base64" not in event:
        return None
    try:
        inner = b64decode(_base64.decode(event).data_base64 + "==")
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    if not inner or b"data_base64" in inner:
        return None
    content = unwrapped(inner)
    return None if kind(content.octets) is Kind.JSON else content


def kind(content: bytes) -> Kind:
    """What ``content``, unwrapped, is by its beginning."""
    if content[:1] in (b"{", b"["):
        return Kind.JSON
    if content[:1] == b"<":
        return Kind.XML
    if _BOUNDARY.match(content) or (_BOUNDARY.search(content) and _FIELD.search(content)):  # a preamble may come first
        return Kind.MULTIPART
    return Kind.OCTETS


def _in_utf8(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Text in UTF-16 or UTF-32, known by its mark or by where its NULs are (RFC 4627 3), in UTF-8."""
    if body.startswith(codecs.BOM_UTF8):
        return body[3:], ()
    encoding = _wide(body)
    if encoding is None:
        return body, ()
    width = 4 if "32" in encoding else 2
    whole = body[: len(body) - len(body) % width]
    return whole.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace"), ("not_utf8:$",)


def _wide(body: bytes) -> str | None:
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(mark):
            return encoding
    first = body[:4]
    for pattern, encoding in (
        ("c000", "utf-32-le"),
        ("000c", "utf-32-be"),
        ("c0?0", "utf-16-le"),
        ("0c0?", "utf-16-be"),
    ):
        if len(first) == 4 and all(_fits(octet, wanted) for octet, wanted in zip(first, pattern, strict=True)):
            return encoding
    return None


_UNMARKED = (("c000", "utf-32-le"), ("000c", "utf-32-be"), ("c0?0", "utf-16-le"), ("0c0?", "utf-16-be"))


def _fits(octet: int, wanted: str) -> bool:
    return wanted == "?" or (octet in b'{[<-" \t\r\n' if wanted == "c" else octet == 0)


def _xml_in_utf8(document: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A document that declares one of ``_LEGACY``, in UTF-8 and without its declaration."""
    declared = _DECLARED.match(document)
    name = declared[1].decode().lower() if declared else "utf-8"
    if name in _UNICODE or name not in _LEGACY:
        return document, ()
    if name.startswith("utf-16"):  # its octets were transcoded, or never were what the declaration says
        text = document.decode("utf-8", "replace")
    else:
        text = document.decode(_CODECS.get(name, name), "replace")
    return _DECLARATION.sub("", text, count=1).lstrip().encode("utf-8", "replace"), ("not_utf8:$",)


# Several parts (RFC 2046 5.1)


def parts(content: bytes, *, depth: int = MAX_NESTING) -> tuple[Part, ...]:
    """The parts of ``content`` that are no multipart themselves, in their order; none when it is no multipart."""
    boundary = _boundary(content)
    if boundary is None or depth == 0:
        return ()
    found: list[Part] = []
    for piece in (b"\n" + content).split(b"\n--" + boundary)[1 : MAX_PARTS + 1]:
        if piece.startswith(b"--"):
            break
        part = _part(piece.partition(b"\n")[2])
        inner = parts(part.octets.lstrip(b"\r\n"), depth=depth - 1) if part.media_type.startswith("multipart/") else ()
        found.extend(inner or (part,))
    return tuple(found[:MAX_PARTS])


_BOUNDARY = re.compile(rb"^--([0-9A-Za-z'()+_,./:=? -]{1,70}?)[ \t]{0,70}\r?\n", re.MULTILINE)
_FIELD = re.compile(rb"^(content-type|content-transfer-encoding)[ \t]{0,20}:[ \t]{0,20}([^\r\n]{0,300})", re.I | re.M)


def _boundary(content: bytes) -> bytes | None:
    """Of a multipart: what its first boundary line says, a preamble before it notwithstanding."""
    found = _BOUNDARY.search(content)
    return found[1] if found else None


def _part(piece: bytes) -> Part:
    """One part: its fields, an empty line, and its octets up to the line end that belongs to the next boundary."""
    head, empty, octets = piece.partition(b"\r\n\r\n")
    if not empty or b"\n\n" in head:
        head, _, octets = piece.partition(b"\n\n")
    if piece.startswith((b"\r\n", b"\n")):  # no fields at all
        head, octets = b"", piece.removeprefix(b"\r").removeprefix(b"\n")
    fields = {name.lower(): value for name, value in _FIELD.findall(head)}
    media_type = fields.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("ascii", "replace")
    octets = octets[:-1] if octets.endswith(b"\r") else octets
    match fields.get(b"content-transfer-encoding", b"").strip().lower():
        case b"base64":
            octets = _from_base64(octets)
        case b"quoted-printable":
            octets = decodestring(octets)
        case _:
            pass
    return Part(media_type, octets)


def _from_base64(octets: bytes) -> bytes:
    try:
        return b64decode(octets)
    except NotBase64:
        return octets
