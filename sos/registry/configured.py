"""The registry as the settings want it: brands with their packs in force, its readers, and its registrars."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

from routing.law import RuleBook, Terms
from sos.clock import Clock
from sos.incident.model import TenantId
from sos.journal.configured import Kept
from sos.journal.journal import Journal
from sos.journal.readers import Reader, by_incident
from sos.registry.emergency import EmergencyCopies
from sos.registry.http import Registrar, RegistryEndpoint
from sos.registry.index import Index
from sos.registry.lifecycle import Role
from sos.registry.pack import agree, ask, configured, open_cards
from sos.registry.recogniser import Recogniser
from sos.registry.registry import Registry
from sos.registry.triage import Triage
from sos.settings import Settings


async def registry(settings: Settings, kept: Kept, rules: RuleBook) -> Registry:
    """The registry with the brands' packs in force.  ``Misconfigured`` names a pack that contradicts the rules."""
    cards = open_cards(settings.question_cards)
    made = Registry(
        kept.store, Index(kept.store.engine), kept.keys, clock=kept.clock, losses=kept.journal.losses, cards=cards
    )
    tenants = {TenantId(tenant.id) for tenant in settings.tenants}
    packs = configured(Path(settings.brand_packs) if settings.brand_packs else None, tenants)
    ask(packs, cards)
    agree(packs, _terms(rules, settings, now=kept.clock.now()))
    await made.load_packs(packs, tenants)
    return made


def readers(made: Registry, journal: Journal, rules: RuleBook) -> Iterator[Reader]:
    yield by_incident("registry", Recogniser(journal, made))
    yield by_incident("registered-data", EmergencyCopies(journal, made, rules))
    yield Reader(name="registry-index", handle=made.catch_up, wants=made.WANTS)
    yield by_incident("severity", Triage(journal, made.packs.get))


def work(made: Registry) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """What runs for ever."""
    yield "registry-periods", made.keep_periods


def door(settings: Settings, made: Registry, clock: Clock) -> RegistryEndpoint:
    """Where registrars come in."""
    registrars = tuple(
        Registrar(id=each.id, tenant=TenantId(each.tenant), role=Role(each.role), token_digest=each.token_digest)
        for each in settings.registrars
    )
    return RegistryEndpoint(made, registrars, clock=clock)


def _terms(rules: RuleBook, settings: Settings, *, now: datetime) -> dict[TenantId, Terms]:
    """The terms each tenant is bound to today."""
    bound = {TenantId(tenant.id): rules.terms(tenant.terms, now.date()) for tenant in settings.tenants if tenant.terms}
    return {tenant: terms for tenant, terms in bound.items() if terms is not None}
