"""What a person or a vehicle is looked up by: names and numbers as keyed digests, and those of a part.  Pure.

A digest is HMAC-SHA-256 under a secret of the house, so that the table tells nothing to who has it without the secret.
Only what stands in a field of its own is looked up by: what somebody wrote in a note is found by nobody.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.incident.identity import folded, names_one
from sos.incident.telephone import heard

VEHICLE, TEL, NAME, HOLDER = "vehicle", "tel", "name", "holder"

_OWN_NUMBERS = "oem_id"
"""Scheme in which each brand counts for itself."""


class Key(Struct, frozen=True, order=True):
    """A name or number in the one spelling that is looked up."""

    scheme: str
    value: str


class Digests:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, key: Key) -> bytes:
        return hmac.digest(self._secret, f"{key.scheme}\0{key.value}".encode(), sha256)


def vehicle(scheme: str, value: str, *, brand: str) -> Iterator[Key]:
    """A vehicle's name; none where many vehicles have the value."""
    if value and names_one(scheme, value):
        yield Key(VEHICLE, f"{brand}/{folded(value)}" if scheme == _OWN_NUMBERS else folded(value))


def tel(written: str) -> Iterator[Key]:
    """A telephone number; none where it cannot be dialled."""
    if (number := heard(written).number) is not None:
        yield Key(TEL, number)


def name(written: str) -> Iterator[Key]:
    """A person's name: spaces, width and small letters do not matter.  Many people may have it."""
    if spelt := folded(written):
        yield Key(NAME, spelt)


def keys_of(category: Category, payload: bytes, *, brand: str) -> Iterable[Key]:
    """What a part can be found by; nothing where it is no object with such a field."""
    told = fields(payload)
    return _READ[category](told, brand) if told is not None and category in _READ else ()


def fields(payload: bytes) -> dict[str, Any] | None:
    """The part as an object; None where it is words."""
    try:
        told = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return told if isinstance(told, dict) else None


def _of_vehicle(told: Mapping[str, Any], brand: str) -> Iterator[Key]:
    yield from vehicle(_text(told, "idScheme"), _text(told, "idValue"), brand=brand)
    yield from vehicle("plate", _text(told, "licensePlate"), brand=brand)
    for each in told.get("keys", ()):  # as the registry and a request have them
        if isinstance(each, dict):
            yield from vehicle(_text(each, "scheme"), _text(each, "value"), brand=brand)


def _of_numbers(told: Mapping[str, Any], brand: str) -> Iterator[Key]:
    for field in ("tel", "phone"):
        yield from tel(_text(told, field))
    for each in told.get("tels", ()):  # as a request has them
        yield from tel(each if isinstance(each, str) else "")


def _of_owner(told: Mapping[str, Any], brand: str) -> Iterator[Key]:
    for field in ("ownerName", "name"):
        yield from name(_text(told, field))
    yield from tel(_text(told, "ownerTel"))


def _of_person(told: Mapping[str, Any], brand: str) -> Iterator[Key]:
    yield from name(_text(told, "name"))


def _of_contact(told: Mapping[str, Any], brand: str) -> Iterator[Key]:
    for field in ("familyContact", "family_contact"):
        yield from tel(_text(told, field))


def _text(told: Mapping[str, Any], field: str) -> str:
    found = told.get(field)
    return found if isinstance(found, str) else ""


_READ: Mapping[Category, Callable[[Mapping[str, Any], str], Iterator[Key]]] = MappingProxyType(
    {
        Category.VEH: _of_vehicle,
        Category.TEL: _of_numbers,
        Category.OWN: _of_owner,
        Category.PER: _of_person,
        Category.FAM: _of_contact,
    }
)

READ = frozenset(_READ)
"""Categories that hold something to be found by."""
