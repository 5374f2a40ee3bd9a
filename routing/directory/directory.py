"""The directory: agencies by id, and who is to be called for a service at a place on a day.

Three questions are answered in this order, and the first that finds somebody who can be reached wins: the duty of the
municipality (or its designated city), the jurisdiction of the prefecture, the default agency.  Whoever is responsible
and cannot be reached is named beside the one who is called instead.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from importlib import resources

import msgspec
from msgspec import Struct

from routing.directory.agency import Agency, Centre
from routing.directory.duty import Duty, DutyTable, Kind
from routing.errors import Misconfigured
from routing.services import ALWAYS, Service


class Assignment(Struct, frozen=True, gc=False):
    """Who is called for one service at one place."""

    agency: Agency
    """Can be reached by some channel."""
    how: str
    """``road``, ``municipality``, ``prefecture``, ``default_agency``, or ``named`` by a table of routes."""
    responsible: Agency
    """Who is responsible; another one than ``agency`` when it has no channel."""
    flags: tuple[str, ...] = ()
    """``delegated``, ``no_permanent_service``, ``agency_without_channel``, ``agreement_expired``."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    agency: tuple[Agency, ...]
    centre: tuple[Centre, ...] = ()
    duty: tuple[Duty, ...] = ()
    holidays: tuple[date, ...] = ()
    """Public holidays, for those who are not there round the clock."""


class Directory:
    """Agencies by id, and by service and place.  Its answers never change after ``read``."""

    def __init__(
        self,
        agencies: tuple[Agency, ...],
        *,
        name: str,
        digest: str,
        centres: tuple[Centre, ...] = (),
        duties: tuple[Duty, ...] = (),
        holidays: tuple[date, ...] = (),
    ) -> None:
        """``Misconfigured`` names the agency or service that is wrong."""
        self.name = name
        self.digest = digest
        """Hex SHA-256 of the file the directory was read from."""
        self.agencies: Mapping[str, Agency] = {agency.id: agency for agency in agencies}
        if len(self.agencies) != len(agencies):
            ids = [agency.id for agency in agencies]
            raise Misconfigured(f"{name}: agency id {next(i for i in ids if ids.count(i) > 1)!r} occurs twice")
        self.centres: Mapping[str, Centre] = {centre.id: centre for centre in centres}
        self.duties = duties
        """The duty table as read; jurisdictions of agencies are not repeated in it."""
        self.holidays = frozenset(holidays)
        self._defaults: dict[Service, Agency] = {}
        self._by_name = {(agency.service, agency.name_ja): agency for agency in agencies}
        for agency in agencies:
            self._admit(agency)
        if missing := [service.value for service in ALWAYS if service not in self._defaults]:
            raise Misconfigured(f"{name}: service {missing[0]!r} has no default agency")
        self._table = DutyTable((*_claims(agencies), *self._checked(duties)))
        if clash := self._table.clash():
            first, second = clash
            raise Misconfigured(
                f"{name}: {first.agency!r} and {second.agency!r} both claim {first.service.value} in {first.code}"
            )
        self._known: dict[tuple[Service, str | None, str | None, str | None, date | None], Assignment | None] = {}

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
        return cls(
            file.agency,
            name=file.name,
            digest=hashlib.sha256(data).hexdigest(),
            centres=file.centre,
            duties=file.duty,
            holidays=file.holidays,
        )

    @property
    def dataset(self) -> str:
        """Name and digest, as plans record it."""
        return f"{self.name}@{self.digest}"

    def responsible(
        self, service: Service, prefecture: str | None, *, municipality: str | None = None, on: date | None = None
    ) -> Agency:
        """Who is to be called; the default agency where there is none or no place is known.

        ``Misconfigured`` for a service that need not answer everywhere and has nobody there.
        """
        found = self.assign(service, prefecture=prefecture, municipality=municipality, on=on)
        if found is None:
            raise Misconfigured(f"{self.name}: nobody answers for {service.value} there")
        return found.agency

    def assign(
        self,
        service: Service,
        *,
        prefecture: str | None,
        municipality: str | None = None,
        road: str | None = None,
        on: date | None = None,
    ) -> Assignment | None:
        """Who is to be called, and who is responsible.  None only for a service that need not answer everywhere.

        ``on``: the day; without one, the rows that hold with no end in sight.
        """
        key = (service, prefecture, municipality, road, on)
        if key not in self._known:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known[key] = self._assign(service, prefecture, municipality, road, on)
        return self._known[key]

    def named(self, service: Service, name: str) -> Agency | None:
        """The agency of a service by its id or its Japanese name, as agreements between headquarters write it."""
        agency = self.agencies.get(name) or self._by_name.get((service, name))
        return agency if agency is not None and agency.service is service else None

    def reachable(self, agency: Agency) -> Assignment:
        """Whom to call for an agency that is responsible: itself, or the default of its service."""
        if _reachable(agency) or agency.service not in self._defaults:
            return Assignment(agency, "named", agency)
        return Assignment(self._defaults[agency.service], "named", agency, ("agency_without_channel",))

    def centre_of(self, agency: Agency) -> Centre | None:
        """The command centre that answers for an agency, if it has one."""
        return self.centres.get(agency.command_centre) if agency.command_centre else None

    def open(self, agency: Agency, at: datetime) -> bool:
        """Whether somebody is there at ``at`` (aware)."""
        return agency.open(at, holidays=self.holidays)

    def _assign(
        self, service: Service, prefecture: str | None, municipality: str | None, road: str | None, on: date | None
    ) -> Assignment | None:
        responsible: Agency | None = None
        flags: list[str] = []
        steps = (("road", road and f"road:{road}"), ("municipality", municipality), ("prefecture", prefecture))
        for how, place in steps:
            duty = self._table.on_duty(service, place, on=on)
            if duty is None:
                continue
            flags += _FLAGS[duty.kind]
            agency = self.agencies.get(duty.agency) if duty.agency else None
            if agency is None:
                continue
            responsible = responsible or agency
            if _reachable(agency):
                flags += [] if on is None or agency.agreed(on) else ["agreement_expired"]
                return Assignment(agency, how, responsible, tuple(flags))
            flags.append("agency_without_channel")
        default = self._defaults.get(service)
        return Assignment(default, "default_agency", responsible or default, tuple(flags)) if default else None

    def _admit(self, agency: Agency) -> None:
        agency.check(self.name)
        if agency.command_centre is not None and agency.command_centre not in self.centres:
            raise Misconfigured(f"{self.name}: agency {agency.id!r}: there is no centre {agency.command_centre!r}")
        if not agency.default:
            if not agency.jurisdiction and agency.id not in {duty.agency for duty in self.duties}:
                raise Misconfigured(f"{self.name}: agency {agency.id!r} has no jurisdiction")
            return
        if other := self._defaults.get(agency.service):
            raise Misconfigured(f"{self.name}: {other.id!r} and {agency.id!r} are both default {agency.service.value}")
        if not _reachable(agency):
            raise Misconfigured(f"{self.name}: default agency {agency.id!r} has no channel")
        self._defaults[agency.service] = agency

    def _checked(self, duties: tuple[Duty, ...]) -> tuple[Duty, ...]:
        for duty in duties:
            if duty.agency is not None and duty.agency not in self.agencies:
                raise Misconfigured(f"{self.name}: the duty of {duty.code} names no agency: {duty.agency!r}")
            if duty.agency is None and duty.kind is not Kind.NONE:
                raise Misconfigured(f"{self.name}: the duty of {duty.code} needs an agency")
            if duty.valid_from and duty.valid_to and duty.valid_to < duty.valid_from:
                raise Misconfigured(f"{self.name}: the duty of {duty.code} ends before it begins")
        return duties


_REMEMBERED = 20_000
"""Answers kept: some ten services and days for each of 1,900 municipalities."""

_FLAGS = {Kind.OWN: (), Kind.DELEGATED: ("delegated",), Kind.NONE: ("no_permanent_service",)}


def _reachable(agency: Agency) -> bool:
    return not agency.listed_only and bool(agency.channels or agency.command_centre)


def _claims(agencies: tuple[Agency, ...]) -> Iterator[Duty]:
    for agency in agencies:
        for place in () if isinstance(agency.jurisdiction, str) else agency.jurisdiction:
            yield Duty(code=place.removeprefix("area:"), agency=agency.id, service=agency.service)
