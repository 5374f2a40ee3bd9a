"""The agencies that can be called for help, as data: who answers for which prefecture, and by which channels.

A directory is complete or it is refused: every service has exactly one default agency, so a caller always gets
somewhere, and every agency can be reached by at least one channel.  How a channel works is not known here.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import msgspec
from msgspec import Struct

from routing.errors import Misconfigured
from routing.services import Service

DEFAULT = "default"
"""Jurisdiction of the agency of last resort of a service."""

_ID = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_PREFECTURE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


class Agency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the directory."""

    id: str
    """Lower-case, such as ``jp-13-fire``; stands in the journal, so it is never used again for another agency."""
    service: Service
    name_ja: str
    name_en: str
    jurisdiction: tuple[str, ...] | Literal["default"]
    """ISO 3166-2 codes; or ``default``: answers where nobody else does."""
    channels: dict[str, dict[str, Any]]
    """Settings by name of the channel, in order of preference."""
    exercise_partner: bool = False
    """Whether it may be told of drills."""
    country: str = "JP"
    """ISO 3166-1."""

    @property
    def default(self) -> bool:
        return self.jurisdiction == DEFAULT


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    agency: tuple[Agency, ...]


class Directory:
    """Agencies by id, and by service and prefecture.  Immutable after ``read``."""

    def __init__(self, agencies: tuple[Agency, ...], *, name: str, digest: str) -> None:
        """``Misconfigured`` names the agency or service that is wrong."""
        self.name = name
        self.digest = digest
        """Hex SHA-256 of the file the directory was read from."""
        self.agencies: Mapping[str, Agency] = {agency.id: agency for agency in agencies}
        if len(self.agencies) != len(agencies):
            ids = [agency.id for agency in agencies]
            raise Misconfigured(f"{name}: agency id {next(i for i in ids if ids.count(i) > 1)!r} occurs twice")
        self._defaults: dict[Service, Agency] = {}
        self._responsible: dict[tuple[Service, str], Agency] = {}
        for agency in agencies:
            _check(agency, name)
            self._place(agency)
        if missing := [service.value for service in Service if service not in self._defaults]:
            raise Misconfigured(f"{name}: service {missing[0]!r} has no default agency")

    @classmethod
    def demo(cls) -> "Directory":
        """The invented agencies that ship with the package."""
        return cls.read((resources.files("routing") / "data" / "demo_agencies.toml").read_bytes())

    @classmethod
    def read(cls, data: bytes) -> "Directory":
        """A directory from TOML.  ``Misconfigured`` when it is no complete directory; the message names the place."""
        try:
            file = msgspec.convert(tomllib.loads(data.decode()), _File)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as fault:
            raise Misconfigured(f"agency directory: {fault}") from fault
        return cls(file.agency, name=file.name, digest=hashlib.sha256(data).hexdigest())

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return f"{self.name}@{self.digest}"

    def responsible(self, service: Service, prefecture: str | None) -> Agency:
        """The agency of ``service`` for a prefecture; the default agency where there is none or no place is known."""
        if prefecture is not None and (agency := self._responsible.get((service, prefecture))) is not None:
            return agency
        return self._defaults[service]

    def _place(self, agency: Agency) -> None:
        keys = [] if agency.default else [(agency.service, prefecture) for prefecture in agency.jurisdiction]
        for key in keys:
            if other := self._responsible.get(key):
                raise Misconfigured(
                    f"{self.name}: {other.id!r} and {agency.id!r} both claim {key[0].value} in {key[1]}"
                )
            self._responsible[key] = agency
        if agency.default:
            if other := self._defaults.get(agency.service):
                raise Misconfigured(
                    f"{self.name}: {other.id!r} and {agency.id!r} are both default {agency.service.value}"
                )
            self._defaults[agency.service] = agency


def _check(agency: Agency, name: str) -> None:
    if not _ID.fullmatch(agency.id):
        raise Misconfigured(f"{name}: agency id {agency.id!r} must be lower-case letters, digits, dots and hyphens")
    if not agency.channels:
        raise Misconfigured(f"{name}: agency {agency.id!r} has no channel")
    if not (agency.name_ja.strip() and agency.name_en.strip()):
        raise Misconfigured(f"{name}: agency {agency.id!r} needs a name in Japanese and in English")
    if agency.default:
        return
    if not agency.jurisdiction:
        raise Misconfigured(f"{name}: agency {agency.id!r} has no jurisdiction")
    for prefecture in agency.jurisdiction:
        if not _PREFECTURE.fullmatch(prefecture):
            raise Misconfigured(f"{name}: agency {agency.id!r}: {prefecture!r} is no ISO 3166-2 code")
