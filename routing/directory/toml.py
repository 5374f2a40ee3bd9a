"""A directory as TOML, the form it is kept, reviewed and read in."""

import json
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import msgspec

from routing.directory.agency import Agency, Centre
from routing.directory.duty import Duty


def to_toml(
    name: str,
    agencies: Collection[Agency],
    *,
    centres: Collection[Centre] = (),
    duties: Collection[Duty] = (),
    holidays: Collection[date] = (),
) -> str:
    """What ``Directory.read`` takes; the same values always give the same text."""
    lines = [f"name = {_value(name)}"]
    if holidays:
        lines.append(f"holidays = {_value(sorted(holidays))}")
    if duties:
        rows = sorted(duties, key=lambda duty: (duty.service, duty.code, duty.valid_from or date.min))
        lines += ["duty = [", *(f"  {_value(_plain(duty))}," for duty in rows), "]"]
    for heading, tables in (("centre", centres), ("agency", agencies)):
        for table in tables:
            fields = _plain(table)
            lines += ["", f"[[{heading}]]", *(f"{field} = {_value(value)}" for field, value in fields.items())]
    return "\n".join(lines) + "\n"


_DEFAULTS: Mapping[str, Any] = {
    field.name: field.default for field in msgspec.structs.fields(Agency) if field.default is not msgspec.NODEFAULT
}


def _plain(table: Agency | Centre | Duty) -> dict[str, Any]:
    """The fields that are not their defaults; TOML has no null."""
    fields: dict[str, Any] = msgspec.to_builtins(table, builtin_types=(date,))
    kept = {name: value for name, value in fields.items() if value is not None}
    if isinstance(table, Agency):
        kept = {name: value for name, value in kept.items() if getattr(table, name) != _DEFAULTS.get(name, ...)}
    return kept


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items() if each is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)
