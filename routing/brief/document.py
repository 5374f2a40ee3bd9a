"""The brief: what one agency is told about one incident, complete in itself and no more than the verdict allows.

A brief is canonical JSON (sorted keys, no spaces), schema ``sos-brief/1``; it is stored, digested and delivered as the
same bytes, and every other form is made of these bytes alone.  Categories that are withheld are absent, not blank: an
empty box tells that there was something in it.  A second version says what changed against the first.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from routing.categories import DISCLOSABLE, Category
from routing.errors import Malformed

SCHEMA = "sos-brief/1"


class Sender(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who tells: the emergency centre, and where it can be asked."""

    domain: str
    """DNS name, as it ends the URNs of its incidents."""
    name_ja: str
    name_en: str
    desk_uri: str
    """``tel:`` (E.164) or ``sip:`` of the desk that answers day and night."""


class Before(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """By which number of ours the recipient has heard of the same crash, for another of its cars."""

    disclosure: str
    tail: str
    """End of that car's incident number, as it was read out: whose brand it is of is nobody's business here."""
    at: datetime | None = None
    """Aware UTC."""


class OneCrash(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The crash that this car shares with others.  Their facts stand in briefs of their own; here only how many."""

    number: str
    """Six digits, the same in every brief of the crash."""
    vehicles: int
    occupants: int | None = None
    """In all vehicles of which it is known; None where nobody knows of any, or it may not be told."""
    unknown: int = 0
    """Vehicles of which nobody knows how many are in them."""
    before: tuple[Before, ...] = ()
    """What the recipient has heard of the other cars."""


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field that is not as the version before had it.  What is not told any more is not named."""

    category: str
    field: str
    how: Literal["added", "changed", "removed"]
    was: Any = None
    """Value in the version before, where it was changed."""


class Brief(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A brief, read back."""

    schema: Literal["sos-brief/1"]
    incident: str
    """NENA URN, ``urn:emergency:uid:incidentid:...``."""
    disclosure: str
    """Our own id of this disclosure: quoting it is enough to ask us about it."""
    agency: str
    """Id of the recipient in the directory."""
    agency_name: str
    rule: str
    ground: str
    law_version: str
    decided_at: datetime
    """Aware UTC."""
    exercise: bool
    """True: a drill, nobody is to be sent."""
    sections: dict[str, dict[str, Any]]
    """By category, the JSON objects of the report."""
    service: str = ""
    """What the recipient does, as ``routing.services`` names it; empty in older briefs."""
    trigger: str = ""
    """``automatic`` or ``manual``; empty where nobody knows."""
    kind: str = ""
    """What has happened (``routing.kinds``), ``unknown`` where nobody knows; empty in older briefs."""
    kind_source: str = ""
    """Who says so: ``vehicle``, ``deduced`` or ``operator``; empty while it is unknown."""
    kind_was: str = ""
    """In a newer version, what it was taken for in the one before; empty where that has not changed."""
    needed: bool = True
    """False in a newer version for somebody whose service the kind, as it is known now, does not call for."""
    version: int = 1
    supersedes: str | None = None
    """Our id of the disclosure that this one follows."""
    changes: tuple[Change, ...] = ()
    responsible: str = ""
    """In a newer version for somebody in whose area it is no more: the name of who is responsible now."""
    sender: Sender | None = None
    """None in briefs from before this was said."""
    zone: str = "Asia/Tokyo"
    """IANA name of the recipient's time, in which every form for people says its times."""
    one_crash: OneCrash | None = None
    """None: a crash by itself, as far as is known."""
    parted: str = ""
    """In a newer version: the number of the crash that the version before named, and that this car is not part of."""
    maybe: tuple[Before, ...] = ()
    """What the recipient has heard that may be the same crash; nobody has said yet whether it is."""
    code: str = ""
    """Digits by which whoever telephones about it is brought to this incident; empty in older briefs."""
    call_back_until: datetime | None = None
    """Until when the vehicle answers a call by itself; aware UTC.  None where nobody can say."""


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Brief).decode


def compose(
    *,
    incident: str,
    disclosure: str,
    agency: str,
    agency_name: str,
    rule: str,
    ground: str,
    law_version: str,
    decided_at: datetime,
    exercise: bool,
    sections: Mapping[Category, bytes],
    service: str = "",
    trigger: str = "",
    kind: str = "",
    kind_source: str = "",
    needed: bool = True,
    sender: Sender | None = None,
    before: Brief | None = None,
    without: Collection[str] = (),
    responsible: str = "",
    zone: str = "Asia/Tokyo",
    one_crash: OneCrash | None = None,
    maybe: Collection[Before] = (),
    code: str = "",
    call_back_until: datetime | None = None,
) -> bytes:
    """The brief as canonical JSON.

    ``sections``: JSON objects by category.  ``needed``: whether the recipient's service is called for.  ``before``:
    the version that this one follows.  ``without``: fields to be left out, such as ``VEH.licensePlate``.  ``Malformed``
    when a section is no JSON object, when a category may never be disclosed, or when ``decided_at`` has no time zone.
    """
    if decided_at.tzinfo is None:
        raise Malformed("the time of the decision needs a time zone", field="$.decided_at")
    shown = {category.value: _section(category, data, without) for category, data in sections.items()}
    return _encode(
        Brief(
            schema="sos-brief/1",
            incident=incident,
            disclosure=disclosure,
            agency=agency,
            agency_name=agency_name,
            rule=rule,
            ground=ground,
            law_version=law_version,
            decided_at=decided_at.astimezone(UTC),
            exercise=exercise,
            sections=shown,
            service=service,
            trigger=trigger,
            kind=kind,
            kind_source=kind_source,
            kind_was=before.kind if before and before.kind != kind else "",
            needed=needed,
            version=before.version + 1 if before else 1,
            supersedes=before.disclosure if before else None,
            changes=(*_of_the_crash(before, one_crash), *changes(before.sections, shown)) if before else (),
            responsible=responsible,
            sender=sender,
            zone=zone,
            one_crash=one_crash,
            parted=before.one_crash.number if before and before.one_crash and one_crash is None else "",
            maybe=tuple(maybe),
            code=code,
            call_back_until=call_back_until.astimezone(UTC) if call_back_until else None,
        )
    )


def read(data: bytes) -> Brief:
    """The brief in ``data``.  ``Malformed``, with the JSON path, when there is none."""
    try:
        brief = _decode(data)
    except msgspec.DecodeError as fault:
        raise Malformed("this is not a brief of schema sos-brief/1", field=_path(fault)) from fault
    if brief.decided_at.tzinfo is None:
        raise Malformed("the time of the decision needs a time zone", field="$.decided_at")
    for name in brief.sections:
        if name not in _NAMES:
            raise Malformed("no such category may stand in a brief", field="$.sections")
    return brief


_NAMES = frozenset(category.value for category in DISCLOSABLE)


ONE_CRASH = "oneCrash"
"""Field by which a change names the link with other cars; it is of no category."""


def _of_the_crash(before: Brief, now: OneCrash | None) -> tuple[Change, ...]:
    """Whether the version before knew the crash as it is now; by what else the recipient has heard of it is no news."""
    was = before.one_crash
    if was is None and now is None:
        return ()
    if was is None or now is None:
        return (Change(category="", field=ONE_CRASH, how="added" if was is None else "removed"),)
    told = [(each.number, each.vehicles, each.occupants, each.unknown) for each in (was, now)]
    return () if told[0] == told[1] else (Change(category="", field=ONE_CRASH, how="changed"),)


def changes(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> tuple[Change, ...]:
    """What differs within the categories that are told now, in the order of ``Category`` and then by field."""
    found: list[Change] = []
    for category in (each.value for each in Category if each.value in now):
        old, new = before.get(category, {}), now[category]
        for field in sorted({*old, *new}):
            if field not in old:
                found.append(Change(category=category, field=field, how="added"))
            elif field not in new:
                found.append(Change(category=category, field=field, how="removed"))
            elif old[field] != new[field]:
                found.append(Change(category=category, field=field, how="changed", was=old[field]))
    return tuple(found)


def _section(category: Category, data: bytes, without: Collection[str]) -> dict[str, Any]:
    where = f"$.sections.{category.value}"
    if category not in DISCLOSABLE:
        raise Malformed(f"{category.value} is never disclosed to an agency", field=where)
    try:
        section = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise Malformed("a section must be a JSON object", field=where) from fault
    return {field: value for field, value in section.items() if f"{category.value}.{field}" not in without}


def _path(fault: msgspec.DecodeError) -> str:
    """The JSON path msgspec puts in its message; ``$`` when the bytes are not JSON at all."""
    _, found, path = str(fault).rpartition("at `")
    return path.rstrip("`") if found else "$"
