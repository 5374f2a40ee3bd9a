"""Every text and every list that a stranger, a tenant, an agency or an operator can send as JSON has a length.

The vehicles' reports are not here: they are cut, never refused (``tests/sos/incident/test_bounds.py``).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.inspect import (
    CollectionType,
    DictType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)

from sos.calls import http as calls
from sos.console import entrance
from sos.console.orders import contract
from sos.dispatch.adapters import callback, eido, https
from sos.errors import Malformed
from sos.exports import http as exports
from sos.formats.body import read
from sos.registry import http as registry
from sos.registry import orders

SHAPES: dict[str, Any] = {
    "a desk's order": contract.AnyOrder,
    "a log-in": entrance._LogIn,
    "an export": exports.ExportWanted,
    "an EIDO frame": eido._Frame,
    "an agency's call": callback._Given,
    "an agency's answer": https._Answer,
    "keys pressed": calls.Keys,
    "a question about a vehicle": registry.StandingWanted,
    "a question about a customer": registry.PartsWanted,
    "a new subject": orders.NewOrder,
    "an order to the registry": orders.AnyOrder,
}


UNREAD = ("terminateResponse",)
"""Members whose content is not looked at."""


def unbounded(kind: Type, path: str, seen: frozenset[Any] = frozenset()) -> Iterator[str]:
    """Where in ``kind`` something may be of any length."""
    if isinstance(kind, StrType) and kind.max_length is None:
        yield path
    if isinstance(kind, DictType):
        yield from unbounded(kind.key_type, f"{path}.<name>", seen)
        yield from unbounded(kind.value_type, f"{path}.*", seen)
    if isinstance(kind, CollectionType):
        yield from unbounded(kind.item_type, f"{path}[]", seen)
    if isinstance(kind, DictType | CollectionType) and kind.max_length is None:
        yield path
    if isinstance(kind, UnionType):
        for each in kind.types:
            yield from unbounded(each, path, seen)
    if isinstance(kind, StructType) and kind.cls not in seen:
        for field in kind.fields:
            yield from unbounded(field.type, f"{path}.{field.encode_name}", seen | {kind.cls})


@pytest.mark.parametrize("name", SHAPES)
def test_every_text_and_list_of_a_door_has_a_length(name: str) -> None:
    assert sorted(set(unbounded(type_info(SHAPES[name]), "$"))) == []


@pytest.mark.parametrize("value", ['"{}"', "[{}]", "{{{}}}"], ids=["a text", "a list", "a tree"])
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_what_is_longer_is_refused_in_words_and_nothing_of_it_comes_back(name: str, value: str) -> None:
    decoder = msgspec.json.Decoder(SHAPES[name])
    huge = {"a": "x" * 100_000, "l": ",".join(["[]"] * 50_000), "t": '"a":{' * 900 + '"b":1' + "}" * 900}
    content = value.format(huge["a"] if '"' in value else huge["l"] if "[" in value else huge["t"])

    for field in named(type_info(SHAPES[name])):
        tag = field.partition(".")[0]
        sent = f'{{"id":1,"do":"{tag}","{field.rpartition(".")[2]}":{content}}}'
        with pytest.raises(Malformed) as refused:
            read(decoder, sent)
        assert len(str(refused.value)) + len(refused.value.field) <= 400
        assert "xxx" not in str(refused.value)


def test_an_auditor_who_nests_without_end_is_told_in_words() -> None:
    with pytest.raises(Malformed, match="which incident"):
        exports._read(b'{"incident":' + b"[" * 100_000)


def named(kind: Type) -> Iterator[str]:
    """Each field of a door's shapes, behind the name of its order."""
    for each in kind.types if isinstance(kind, UnionType) else (kind,):
        assert isinstance(each, StructType)
        yield from (f"{each.tag or ''}.{field.encode_name}" for field in each.fields if field.encode_name not in UNREAD)
