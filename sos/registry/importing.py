"""Bringing a sheet into the registry, row by row; each row is safe to import again.

A dry run asks the same questions and writes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from sos.errors import Malformed, Refused
from sos.incident.model import TenantId
from sos.registry.lifecycle import Role
from sos.registry.model import Vehicle, VehicleKey
from sos.registry.orders import GrantEntitlement, LinkOwner
from sos.registry.registry import By, Registry
from sos.registry.sheet import Finding, Row, Sheet

TOGETHER = 32
"""Rows on their way at once: the journal writes them with one fsync."""

Became = Literal["created", "changed", "unchanged"]


class Imported(Struct, frozen=True, kw_only=True):
    """What an import did, or would do."""

    dry_run: bool
    encoding: str
    rows: int
    created: int
    changed: int
    unchanged: int
    left_out: int
    findings: tuple[Finding, ...]
    """In order of the rows."""


async def import_sheet(
    sheet: Sheet,
    registry: Registry,
    *,
    by: Callable[[TenantId], By],
    dry_run: bool,
    advance: Callable[[], None] = lambda: None,
) -> Imported:
    """Import every good row; ``by`` says who does it for each brand, ``advance`` is called after each row.

    ``Unavailable`` when the database goes away: what was imported by then stays, and the import may be run again.
    """
    counts: dict[Became, int] = {"created": 0, "changed": 0, "unchanged": 0}
    refused: list[Finding] = []

    async def one(row: Row) -> None:
        try:
            became = await (_look(row, registry) if dry_run else _bring_in(row, registry, by(row.brand)))
            counts[became] += 1
        except (Refused, Malformed) as wrong:
            refused.append(Finding(row=row.number, code="refused", field="", message=str(wrong)))
        advance()

    for together in _independent(sheet.rows):
        await asyncio.gather(*(one(row) for row in together))
    findings = tuple(sorted((*sheet.findings, *refused), key=lambda each: each.row))
    return Imported(
        dry_run=dry_run,
        encoding=sheet.encoding,
        rows=sheet.total,
        left_out=len(findings),
        findings=findings,
        **counts,
    )


def _independent(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    """``rows`` in their order, in lots that share one commit; rows of one vehicle or customer never in one lot."""
    lot: list[Row] = []
    touched: set[tuple[TenantId, VehicleKey | str]] = set()
    for row in rows:
        subjects: set[tuple[TenantId, VehicleKey | str]] = {(row.brand, key) for key in row.vehicle.keys}
        if row.subscriber is not None:
            subjects.add((row.brand, row.subscriber.ref))
        if len(lot) == TOGETHER or touched & subjects:
            yield lot
            lot, touched = [], set()
        lot.append(row)
        touched |= subjects
    if lot:
        yield lot


async def _look(row: Row, registry: Registry) -> Became:
    """What would become of the row."""
    subject = await registry.find(row.vehicle.keys, tenant=row.brand)
    if subject is None:
        return "created"
    vehicle = await registry.vehicle(subject, by=_house(row.brand))
    owner = row.subscriber and await registry.customer(row.subscriber.ref, tenant=row.brand)
    if row.subscriber and vehicle.owner is not None and vehicle.owner != owner:
        raise Refused("the vehicle has another owner; a new one comes by transfer")
    linked = row.subscriber is None or (vehicle.owner == owner and vehicle.linked)
    return "unchanged" if linked and _held(vehicle, row.entitlement) else "changed"


async def _bring_in(row: Row, registry: Registry, by: By) -> Became:
    owner = None if row.subscriber is None else (await registry.register(row.subscriber, by=by)).subject
    wanted: list[LinkOwner | GrantEntitlement] = [] if owner is None else [LinkOwner(subscriber=owner)]
    if row.entitlement is not None:
        wanted.append(row.entitlement)
    registered = await registry.register(row.vehicle, by=by, then=wanted)
    if registered.changed:
        return "created"
    changed = 0
    for order in wanted:
        vehicle = await registry.vehicle(registered.subject, by=by)
        if isinstance(order, LinkOwner) or not _held(vehicle, order):
            changed += len((await registry.change_vehicle(registered.subject, order, by=by)).changed)
    return "changed" if changed else "unchanged"


def _held(vehicle: Vehicle, wanted: GrantEntitlement | None) -> bool:
    """Whether the vehicle has all of it already: a row without a beginning may come again a month later."""
    return wanted is None or any(
        each.service == wanted.service and each.begins <= wanted.begins and each.ends == wanted.ends
        for each in vehicle.entitlements
    )


def _house(brand: TenantId) -> By:
    return By(tenant=brand, role=Role.SYSTEM, id="import")
