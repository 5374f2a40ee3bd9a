"""Reading what a strict decoder refuses: keeps every field that can be understood and names every one that cannot.

Emergency data is rarely perfect when it matters most.  ``lenient`` fills a wire Struct field by field from decoded
JSON; what is missing, unknown or of the wrong type becomes a *finding*, a code with a JSON path such as
``wrong_type:$.data.crash.impact``.  Findings stand in headers that are kept for ever, so they hold no values, and
only names that look like field names.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

MAX_FINDINGS = 32
"""Enough to see what is wrong with a sender; a hostile body may not fill the log."""

MOST_CONTAINERS = 4096
"""Objects and lists of one body that are built: a full event has thirty.  A hundred thousand would keep the loop for a
tenth of a second, most of it in the garbage collector."""

_MOST_OF_A_MEMBER = 512

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}\Z")
_NAIVE_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\Z")

Some = TypeVar("Some", bound=Struct)


class Findings:
    """What was odd about one report, in the order it was met, each once, at most ``MAX_FINDINGS``."""

    def __init__(self) -> None:
        self._codes: dict[str, None] = {}

    def add(self, code: str, path: str) -> None:
        if len(self._codes) < MAX_FINDINGS:
            self._codes[f"{code}:{path}"] = None

    def codes(self) -> tuple[str, ...]:
        return tuple(self._codes)


class _Place(Struct, frozen=True):
    """One field of a wire Struct, prepared for reading."""

    attribute: str
    wants: Any
    plain: frozenset[Any]
    """The types it may have, without constraints."""
    listed: bool
    """Whether only listed values are allowed."""
    inner: type[Struct] | None
    many: bool
    instead: Callable[[], Any]
    """What stands in for a value that cannot be read."""
    required: bool


def member(path: str, name: str) -> str:
    """``path`` extended by ``name``; a name that may be somebody's data is shown as ``*``."""
    return f"{path}.{name if _NAME.match(name) else '*'}"


def loads(body: bytes, *, path: str = "$", findings: Findings | None = None) -> Any:
    """Any JSON value in ``body``, more forgiving than RFC 8259: NaN, a byte order mark, UTF-16, control characters.

    Of a value with more than ``MOST_CONTAINERS`` objects and lists the members that hold most of them are left out,
    each with a finding; ``path`` is where the value stands.  ``ValueError`` when there is no value, which includes
    ``UnicodeDecodeError``.
    """
    if _containers(body) > MOST_CONTAINERS:
        body = _thinned(body, path, findings or Findings())
    try:
        return json.loads(body, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _containers(body: bytes) -> int:
    """How many objects and lists ``body`` can hold at most: those in a text count as well."""
    return body.count(b"{") + body.count(b"[")


def _thinned(body: bytes, path: str, findings: Findings) -> bytes:
    """The object in ``body`` without members that are too large to be built; ``ValueError`` when it is none."""
    try:
        members = _members.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("too many values") from None
    kept: dict[str, msgspec.Raw] = {}
    for name, value in members.items():
        if _containers(bytes(value)) <= _MOST_OF_A_MEMBER:
            kept[name] = value
        elif path == "$" and name == "data":
            kept[name] = msgspec.Raw(_thinned(bytes(value), member(path, name), findings))
        else:
            findings.add("too_large", member(path, name))
    thin = msgspec.json.encode(kept)
    if _containers(thin) > MOST_CONTAINERS:
        raise ValueError("too many values")
    return thin


def lenient(kind: type[Some], value: Mapping[str, Any], *, path: str, findings: Findings) -> Some:
    """A ``kind`` with every field of ``value`` that can be understood; the others as if they had not been sent."""
    places = _places(kind)
    given: dict[str, Any] = {}
    for name, content in value.items():
        place = places.get(name)
        if place is None:
            findings.add("unknown_field", member(path, name))
        else:
            given[place.attribute] = _read(place, content, path=member(path, name), findings=findings)
    for name, place in places.items():
        if place.attribute not in given:
            given[place.attribute] = place.instead()
            if place.required:
                findings.add("missing_field", member(path, name))
    return kind(**given)


def _read(place: _Place, content: Any, *, path: str, findings: Findings) -> Any:
    if content is None and not place.required:
        return place.instead()
    inner = place.inner
    if inner is None:
        return _leaf(place, content, path=path, findings=findings)
    if place.many and isinstance(content, list):
        items = ((item, f"{path}[{index}]") for index, item in enumerate(content[:MAX_FINDINGS]))
        return tuple(_struct(inner, item, path=where, findings=findings) for item, where in items)
    if not place.many and isinstance(content, dict):
        return lenient(inner, content, path=path, findings=findings)
    findings.add("wrong_type", path)
    return place.instead()


def _struct(kind: type[Struct], item: Any, *, path: str, findings: Findings) -> Struct:
    if isinstance(item, dict):
        return lenient(kind, item, path=path, findings=findings)
    findings.add("wrong_type", path)
    return lenient(kind, {}, path=path, findings=Findings())


def _leaf(place: _Place, content: Any, *, path: str, findings: Findings) -> Any:
    """``content`` as the field wants it; numbers sent as text are taken, because some senders quote everything."""
    try:
        return msgspec.convert(_a_number(content), place.wants)
    except (msgspec.ValidationError, OverflowError):
        pass
    try:
        taken = msgspec.convert(_a_number(content), place.wants, strict=False)
    except (msgspec.ValidationError, OverflowError):
        findings.add(_fault(place, content), path)
        return place.instead()
    findings.add("quoted", path)
    return taken


def _a_number(content: Any) -> Any:
    """``NaN`` and infinities are nothing a sensor knows."""
    if isinstance(content, float) and content - content != 0:
        return "not a number"
    return content


def _fault(place: _Place, content: Any) -> str:
    """Which rule ``content`` breaks, as a finding code."""
    if datetime in place.plain:
        return "naive_time" if isinstance(content, str) and _NAIVE_TIME.match(content) else "bad_time"
    if place.listed and isinstance(content, str):
        return "bad_value"
    number = isinstance(content, int | float) and not isinstance(content, bool)
    return "out_of_range" if number and place.plain & {int, float} else "wrong_type"


def _plain(annotation: Any) -> frozenset[Any]:
    """The plain types behind an annotation such as ``Literal["a"] | None`` or ``Annotated[float, ...]``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return frozenset[Any]().union(*(_plain(option) for option in arguments))
    if origin is Annotated:
        return _plain(arguments[0])
    if origin is Literal:
        return frozenset(type(value) for value in arguments)
    return frozenset({origin or annotation})


@cache
def _places(kind: type[Struct]) -> Mapping[str, _Place]:
    return {field.encode_name: _place(field) for field in msgspec.structs.fields(kind)}


def _place(field: msgspec.structs.FieldInfo) -> _Place:
    options = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else (field.type,)
    inner: type[Struct] | None = None
    many = False
    for option in options:
        arguments = get_args(option)
        if get_origin(option) is tuple and isinstance(arguments[0], type) and issubclass(arguments[0], Struct):
            inner, many = arguments[0], True
        elif isinstance(option, type) and issubclass(option, Struct):
            inner = option
    return _Place(
        attribute=field.name,
        wants=field.type,
        plain=_plain(field.type),
        listed=any(get_origin(option) is Literal for option in (*options, field.type)),
        inner=inner,
        many=many,
        instead=_instead(field, inner),
        required=field.required,
    )


def _instead(field: msgspec.structs.FieldInfo, inner: type[Struct] | None) -> Callable[[], Any]:
    if not field.required:
        value = field.default
        return lambda: value
    if inner is not None:
        return lambda: lenient(inner, {}, path="$", findings=Findings())
    return str
