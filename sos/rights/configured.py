"""The rights desk as the settings want it, for the service and for the command."""

from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from msgspec import Struct

from recording.keys import KeyStore
from recording.retention import HOUSE, Terms
from routing.directory import Directory
from sos.incident.model import TenantId
from sos.journal.configured import Kept
from sos.journal.journal import Journal
from sos.journal.readers import Reader
from sos.journal.subject_rows import SubjectRows
from sos.rights.answer import Answering, Subjects
from sos.rights.breach import Breaches, register
from sos.rights.changing import Changing
from sos.rights.desk import RightsDesk
from sos.rights.dues import Dues
from sos.rights.http import Officer, RightsEndpoint
from sos.rights.indexer import READER, Indexer
from sos.rights.ledger import RETENTION, RightsLedger, StreamLedger
from sos.rights.overseer import Overseer
from sos.rights.search import Search
from sos.rights.terms import RightsTerms, configured
from sos.settings import Settings

ASKED = RETENTION
"""Class of the data keys of requests."""


class Rights(Struct, frozen=True, kw_only=True):
    """All of the room."""

    desk: RightsDesk
    indexer: Indexer
    overseer: Overseer
    dues: Dues
    changing: Changing
    breaches: Breaches

    @classmethod
    def of(
        cls,
        journal: Journal,
        keys: KeyStore,
        rows: SubjectRows,
        *,
        registry: Subjects,
        terms: RightsTerms,
        agency: Callable[[str], str],
        brand_terms: Callable[[TenantId], Terms] = lambda _: HOUSE,
    ) -> "Rights":
        """``agency``: the name of an agency by its id; ``brand_terms``: how long a brand keeps otherwise."""
        indexer = Indexer(journal, keys, rows)
        ledger = RightsLedger(journal.store, keys, journal.clock, losses=journal.losses)
        register_of = register(terms.breach)
        breaches = StreamLedger(journal.store, keys, journal.clock, kind=register_of, losses=journal.losses)
        changing = Changing(journal, registry, ledger, rows, brand_terms=brand_terms)
        answering = Answering(journal, registry, terms, agency=agency, corrections=changing.corrections)
        search = Search(journal.store, rows, indexer)
        return cls(
            desk=RightsDesk(ledger, search, answering, terms),
            indexer=indexer,
            overseer=Overseer(ledger, clock=journal.clock, breaches=breaches),
            breaches=Breaches(journal, registry, breaches, terms.breach),
            changing=changing,
            dues=Dues(journal, answering),
        )

    def routes(self, at_desk: Callable[[web.Request], Officer]) -> list[web.RouteDef]:
        """Where a supervisor's session comes in."""
        return RightsEndpoint(self.desk, self.changing, at_desk=at_desk).routes()

    @property
    def reader(self) -> Reader:
        return Reader(name=READER, handle=self.indexer.handle, wants=self.indexer.WANTS)


class Registry(Subjects, Protocol):
    def terms(self, tenant: TenantId) -> Terms:
        """How long a brand keeps otherwise."""
        ...


def rights(settings: Settings, kept: Kept, registry: Registry, directory: Directory) -> Rights:
    """The room of a running service."""
    return Rights.of(
        kept.journal,
        kept.keys,
        SubjectRows(kept.store.engine),
        registry=registry,
        terms=configured(settings.rights_terms),
        agency=named(directory),
        brand_terms=registry.terms,
    )


def named(directory: Directory) -> Callable[[str], str]:
    """The name of an agency by its id; the id of one that the directory has no longer."""

    def name(agency: str) -> str:
        found = directory.agencies.get(agency)
        return found.name_ja if found is not None else agency

    return name
