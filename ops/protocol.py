"""Makes ``sos/console/web/src/protocol.ts`` of the orders and frames of the desk's socket, and of all that they hold.

python ops/protocol.py        after any change there; a test says when the file is old
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from msgspec import Struct, json
from msgspec import inspect as shape

from sos.console.crash import CrashView
from sos.console.earlier import EarlierCalls
from sos.console.finding import SearchResult
from sos.console.frames import NOT_FOLLOWED, AnyFrame, Health, VoiceBy
from sos.console.orders.contract import AnyOrder
from sos.console.orders.law import Channel, Due, Open, Revealable, Source
from sos.console.orders.places import How
from sos.console.window import Shown
from sos.incident.events import OF_NO_INCIDENT, Event
from sos.incident.model import Acknowledgement, Disposition, Incident
from sos.incident.report import NamedPlace, StatedPlace

PAGE = Path(__file__).resolve().parents[1] / "sos" / "console" / "web" / "src" / "protocol.ts"

HEAD = """\
/**
 * The frames between this page and `/console/socket`, as types.  One JSON object per text frame.
 * Names inside incidents and events are the server's own (snake_case); names inside parts are camelCase.
 *
 * Made by `ops/protocol.py` of the service's own types: change those and run it.  What the page offers to choose from
 * stands in `offered.ts`, what personal data look like in `parts.ts`.
 */
"""

RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "Consent": "ConsentGiven",
        "Open": "OpenRequest",
        "Line": "TranscriptLine",
        "HealthFrame": "HealthTold",
        "Transcribed": "Transcript",
    }
)
"""Where the page has the name for something else already."""

LISTED = (Disposition, Acknowledgement)
"""Enumerations of which the page needs the members and their order."""

BESIDE = (NamedPlace, StatedPlace, Due, Open, Shown, CrashView, EarlierCalls, SearchResult)
"""In no frame as types, since parts travel as they are sealed and results as each order has them."""

NAMED: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "Health": get_args(Health),
        "VoiceBy": get_args(VoiceBy),
        "Revealable": get_args(Revealable),
        "MedicalSource": get_args(Source),
        "AskedBy": get_args(Channel),
        "SaidHow": get_args(How),
    }
)
"""Words that have a name and are no enumeration."""

WRITTEN: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("Levels", "legs"): "Readonly<Record<string, readonly [rms: number, peak: number, speaking?: boolean]>>",
        ("EventFrame", "data"): "Readonly<Record<string, unknown>>",
        ("Welcome", "brands"): "Readonly<Record<string, Brand>>",
    }
)
"""Fields that belong to other rooms, which the console's types cannot name."""


def page() -> str:
    """The text of the module."""
    writer = _Writer()
    frames = [writer.name(each) for each in get_args(AnyFrame)]
    orders = [writer.order(each) for each in get_args(AnyOrder)]
    for each in BESIDE:
        writer.name(each)
    kinds = [kind for kind in Event.__subclasses__() if kind not in OF_NO_INCIDENT]
    events = [
        f"  {kind.__name__}: {{ {writer.members(kind, within='; ')} }};".replace("{  }", "object") for kind in kinds
    ]
    return "\n".join(
        (
            HEAD,
            'import type { Brand } from "./parts";',
            "",
            *writer.written.values(),
            _documented("", "What the service tells.") + "export type FromServer =",
            "  | " + "\n  | ".join(frames) + ";",
            "",
            _documented("", "What a desk asks for; its number is put to it by `socket.ts`.") + "export type Order =",
            "  | " + "\n  | ".join(orders) + ";",
            "",
            _documented("", "The fields of each kind of event; those at their default are not sent.")
            + "export interface Events {",
            *events,
            "}",
            "",
            _documented("", "What of an event changes an incident.")
            + 'export type Happened = Pick<EventFrame, "n" | "kind" | "at" | "actor" | "data">;',
            "",
        )
    )


class _Writer:
    """Writes each type once, under its name, in the order in which they are met."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}

    def name(self, kind: type) -> str:
        named = RENAMED.get(kind.__name__, kind.__name__)
        if named not in self.written:
            self.written[named] = ""  # met: it may hold itself
            self.written[named] = self._enum(named, kind) if issubclass(kind, Enum) else self._struct(named, kind)
        return named

    def order(self, kind: type[Struct]) -> str:
        return f"{{ {self.members(kind, within='; ', but=('id',))} }}"

    def members(self, kind: type[Struct], *, within: str, but: tuple[str, ...] = ()) -> str:
        """All fields of a struct, each ``name: type``."""
        found = shape.type_info(kind)
        assert isinstance(found, shape.StructType)
        tag = [f"{found.tag_field}: {_text(found.tag)}"] if found.tag_field else []
        fields = (self._field(kind, each) for each in found.fields if each.name not in but)
        return within.join((*tag, *fields))

    def _field(self, kind: type[Struct], field: shape.Field) -> str:
        written = WRITTEN.get((kind.__name__, field.name)) or self._type(field.type)
        left_out = kind.__struct_config__.omit_defaults or kind.__struct_config__.forbid_unknown_fields
        optional = left_out and not field.required
        if optional and kind.__struct_config__.omit_defaults and field.default is None:
            written = written.removesuffix(" | null")
        return f"{field.encode_name}{'?' if optional else ''}: {written}"

    def _enum(self, named: str, kind: type[Enum]) -> str:
        members = ", ".join(_text(each.value) for each in kind)
        if kind in LISTED:
            listed = f"{named.upper()}S"
            made = f"export const {listed} = [{members}] as const;\nexport type {named} = (typeof {listed})[number];\n"
        else:
            made = f"export type {named} = {members.replace(', ', ' | ')};\n"
        return _documented("", _own_doc(kind)) + made

    def _struct(self, named: str, kind: type[Struct]) -> str:
        explained = _fields_doc(kind)
        but = tuple(NOT_FOLLOWED) if kind is Incident else ()
        lines = self.members(kind, within="\n", but=but).split("\n")
        body = [_documented("  ", explained.get(_snake(line), "")) + f"  {line};" for line in lines if line]
        return _documented("", _own_doc(kind)) + "\n".join((f"export interface {named} {{", *body, "}", ""))

    def _words(self, values: frozenset[object]) -> str:
        named, words = next((name, words) for name, words in NAMED.items() if values == set(words))
        self.written.setdefault(named, f"export type {named} = {' | '.join(map(_text, words))};\n")
        return named

    def _type(self, found: shape.Type) -> str:
        match found:
            case shape.UnionType(types=types):
                return " | ".join(sorted(map(self._type, types), key=lambda one: one == "null"))
            case shape.EnumType(cls=cls) | shape.StructType(cls=cls):
                return self.name(cls)
            case shape.LiteralType(values=values):
                return self._words(frozenset(values))
            case shape.DictType(value_type=value):
                return f"Readonly<Record<string, {self._type(value)}>>"
            case shape.TupleType(item_types=items):
                return f"readonly [{', '.join(map(self._type, items))}]"
            case shape.CollectionType(item_type=item):
                inner = self._type(item)
                return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
            case _:
                return _PLAIN[type(found)]


_PLAIN: Mapping[type[shape.Type], str] = MappingProxyType(
    {
        shape.StrType: "string",
        shape.DateTimeType: "string",
        shape.IntType: "number",
        shape.FloatType: "number",
        shape.BoolType: "boolean",
        shape.NoneType: "null",
        shape.AnyType: "unknown",
        shape.CustomType: "unknown",
    }
)


_SAID: Mapping[str, str] = MappingProxyType({"None": "null", "True": "true", "False": "false"})


def _text(value: object) -> str:
    return json.encode(value).decode()


def _documented(indent: str, text: str) -> str:
    """``text`` as a comment above what follows; nothing where there is none."""
    told = re.sub(r"\b(None|True|False)\b", lambda found: _SAID[found[0]], " ".join(text.replace("``", "`").split()))
    if not told:
        return ""
    if len(indent) + len(told) + 7 <= 120:
        return f"{indent}/** {told} */\n"
    lines = textwrap.wrap(told, 116 - len(indent))
    return "\n".join((f"{indent}/**", *(f"{indent} * {line}" for line in lines), f"{indent} */", ""))


def _own_doc(kind: type) -> str:
    told = kind.__dict__.get("__doc__") or ""
    return told.partition("\n\n")[0]


def _fields_doc(kind: type[Struct]) -> Mapping[str, str]:
    """What stands under each field, its own and its bases'."""
    return {
        name: text for base in reversed(kind.__mro__) if base.__module__.startswith("sos") for name, text in _said(base)
    }


@cache
def _said(kind: type) -> tuple[tuple[str, str], ...]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return tuple(_pairs(tree.body))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text


def _snake(member: str) -> str:
    """The field's name in Python, of ``encodeName?: type``."""
    name = member.partition(":")[0].removesuffix("?")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def main() -> None:
    PAGE.write_text(page())
    print(f"{PAGE.name}: made")


if __name__ == "__main__":
    main()
