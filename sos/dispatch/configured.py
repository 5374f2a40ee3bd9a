"""Dispatch as the settings want it: who plans and decides, which channels we speak, and the doors of agencies.

Part of the composition root; nothing else imports it or the adapters it puts together.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from aiohttp import web
from msgspec import Struct

from recording.keys import KeyStore
from routing.boundaries import PrefectureLayer
from routing.brief import Sender
from routing.directory import Directory
from routing.errors import RoutingError
from routing.law import RuleBook
from routing.plan import Sources
from routing.plan.addresses import AddressAreas
from routing.position.geocode import Geocoder
from sos.dispatch.adapters.callback import CallbackEndpoint
from sos.dispatch.adapters.cards import CardEndpoint, Cards, Shelf, SignedIn
from sos.dispatch.adapters.eido import EidoChannel, EidoEndpoint
from sos.dispatch.adapters.https import HttpsChannel, check_settings
from sos.dispatch.adapters.key_directory import KeyDirectory
from sos.dispatch.adapters.mail_attempts import Attempts
from sos.dispatch.adapters.portal import Links, Portal, PortalChannel, ZoneOf
from sos.dispatch.adapters.smtp import Notices, Server, SmtpChannel
from sos.dispatch.addresses import Addresses
from sos.dispatch.bundles import Bundles
from sos.dispatch.codes import CodeOf, Codes, code_of
from sos.dispatch.corrections import Corrections
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.endings import Lasting
from sos.dispatch.handoff import Handoff, all_forms
from sos.dispatch.ladder import Times, numbers
from sos.dispatch.mass_event import MassEventPlaces, Unusual
from sos.dispatch.mass_list import MassLists
from sos.dispatch.mass_tellings import MassTellings
from sos.dispatch.planner import Planner
from sos.dispatch.policy import Policy
from sos.dispatch.port import AgencyChannel
from sos.dispatch.replies import Replies
from sos.dispatch.sources import open_posts, open_rules, open_towns
from sos.dispatch.stated_places import StatedPlaces
from sos.dispatch.unattended import Practice, Unattended
from sos.errors import Misconfigured
from sos.incident.model import AgencyId, DisclosureId, IncidentId, MassEventId, TenantId
from sos.journal.configured import Kept
from sos.journal.journal import Journal
from sos.journal.readers import Reader, by_incident
from sos.problems import LinkExpired
from sos.settings import LadderSettings, MailSettings, Settings, TenantSettings
from sos.signed_post import SignedPost
from sos.signing import public_key, public_text

log = structlog.get_logger()

Work = tuple[str, Callable[[], Awaitable[None]]]


class HandingOver(Struct, frozen=True, kw_only=True):
    """What is open while the service runs."""

    handoff: Handoff
    cards: Cards
    eido: EidoChannel
    links: Links
    replies: Replies
    lists: MassLists
    code_of: CodeOf
    codes: Codes
    directory: Directory
    zone_of: ZoneOf
    journal: Journal
    public_url: str
    lasting: Lasting
    signs: KeyDirectory
    work: tuple[Work, ...]
    """Long tasks by name."""

    def readers(self) -> Iterator[Reader]:
        yield by_incident("cards", self.cards)
        yield by_incident("codes", self.codes)
        handle, wants, within = self.handoff.handle, self.handoff.WANTS, self.handoff.run
        yield Reader(
            name="handoff", handle=handle, wants=wants, by_incident=True, at_once=None, alone=True, within=within
        )

    async def agency_of(self, incident: IncidentId, disclosure: DisclosureId, token: str) -> AgencyId:
        """Whom a brief's link was made for; ``NoSuchLink`` when it is none of ours, ``LinkExpired``."""
        expires = self.links.expires(disclosure, token)
        if expires is not None and self.journal.clock.now() >= expires:
            raise LinkExpired("this link has expired: ask the emergency call centre for another")
        return (await self.replies.told(incident, disclosure)).agency

    def routes(self, *, signed_in: SignedIn) -> list[web.RouteDef]:
        """The doors of agencies, and the desk's cards."""
        clock = self.journal.clock
        return [
            *Portal(
                self.replies,
                self.links,
                self.directory,
                lists=self.lists,
                lasting=self.lasting,
                code_of=self.code_of,
                zone_of=self.zone_of,
            ).routes(),
            *CallbackEndpoint(self.replies, self.directory, clock, public_url=self.public_url).routes(),
            *EidoEndpoint(self.eido, self.replies, self.links, self.directory, clock).routes(),
            *self.signs.routes(),
            *CardEndpoint(self.cards, self.journal, signed_in=signed_in).routes(),
        ]


@asynccontextmanager
async def handing_over(
    settings: Settings, journal: Journal, keys: KeyStore, *, directory: Directory, zone_of: ZoneOf, dials: bool
) -> AsyncIterator[HandingOver]:
    """The hand-off with its connections open.  ``Misconfigured`` names an agency whose address cannot be used.

    ``zone_of``: the time zone of a country.  ``dials``: somebody follows ``AgencyCallRequested`` and places the calls.
    """
    lasting = Lasting(
        link=timedelta(hours=settings.portal.link_lasts_h),
        after_closing=timedelta(minutes=settings.portal.after_closing_min),
    )
    links = Links(keys.secret("portal"), public_url=settings.url, clock=journal.clock, lasts=lasting.link)
    eido = EidoChannel()
    signing = keys.signing_key("push")
    domain = settings.keyid
    check_directory(directory, loopback=settings.demo)
    mail = _mail(settings.mail, settings.data, links, journal, domain=domain) if settings.mail else None
    cards = Cards(journal, directory, Shelf(settings.data / "cards.sealed", keys.secret("cards")))
    await cards.restore()
    async with SignedPost(signing, keyid=domain, clock=journal.clock, loopback=settings.demo) as post:
        pushes = HttpsChannel(post)
        channels: dict[str, AgencyChannel] = {"portal": PortalChannel(links), "https": pushes, "eido": eido}
        replies = Replies(journal)
        lists = MassLists(journal, replies, lasting=lasting)
        if mail is not None:
            channels["smtp"] = Bundles(mail[0], version=lists.version, clock=journal.clock)
        log.info("push_key", keyid=domain, public_key=public_text(signing.public_key()))
        ladder, code = times(settings.ladder), code_of(keys.secret("codes"))
        yield HandingOver(
            handoff=Handoff(
                journal, directory=directory, channels=channels, times=ladder, dials=dials, forms=all_forms
            ),
            cards=cards,
            eido=eido,
            links=links,
            replies=replies,
            lists=lists,
            code_of=code,
            codes=Codes(journal, code, moves=dials),
            directory=directory,
            zone_of=zone_of,
            journal=journal,
            public_url=settings.url,
            lasting=lasting,
            signs=KeyDirectory(signing.public_key(), keyid=domain),
            work=(("cards-shelf", cards.watch), *(mail[1] if mail else ())),
        )


def rules(settings: Settings, directory: Directory, *, now: datetime) -> RuleBook:
    """The disclosure rules, with a table for each country an agency lies in and the terms of each tenant."""
    countries = {agency.country for agency in directory.agencies.values()}
    terms = {tenant.terms for tenant in settings.tenants if tenant.terms}
    return open_rules(settings.rules, countries=countries, terms=terms, as_of=now.date())


def disclosures(
    settings: Settings, journal: Journal, *, directory: Directory, rules: RuleBook, code_of: CodeOf
) -> Disclosures:
    """Who decides what may be told."""
    return Disclosures(
        journal,
        directory=directory,
        rules=rules,
        domains={TenantId(tenant.id): tenant.domain for tenant in settings.tenants},
        policies={TenantId(tenant.id): Policy(terms=tenant.terms) for tenant in settings.tenants},
        senders={TenantId(tenant.id): _sender(tenant, settings) for tenant in settings.tenants},
        code_of=code_of,
    )


def planning(settings: Settings, journal: Journal, sources: Sources) -> Reader:
    """Who answers for a place."""
    prefectures = PrefectureLayer.load().names
    return by_incident("planner", Planner(journal, sources, towns=open_towns(settings), prefectures=prefectures))


def place_names(sources: Sources) -> Mapping[str, tuple[str, str]]:
    """Japanese and English names of prefectures, and of municipalities where their borders are known, by code."""
    return {**PrefectureLayer.load().names, **(sources.layer.names if sources.layer is not None else {})}


class Telling(Struct, frozen=True, kw_only=True):
    """Who decides what may be told, and who tells an agency without an operator: of a better place, and when nobody of
    ours answers; in a mass event by place."""

    disclosures: Disclosures
    corrections: Corrections
    unattended: Unattended
    places: MassEventPlaces

    @classmethod
    def of(
        cls, settings: Settings, kept: Kept, *, directory: Directory, rules: RuleBook, dials: bool, code_of: CodeOf
    ) -> "Telling":
        decided = disclosures(settings, kept.journal, directory=directory, rules=rules, code_of=code_of)
        practice = Practice(
            tells=settings.attendance.unattended == "ladder",
            nobody_after=timedelta(seconds=settings.attendance.nobody_after_s),
            invites=not dials,
        )
        given = settings.mass_event
        unusual = Unusual(
            emergencies=given.emergencies, within=timedelta(minutes=given.within_min), radius_km=given.radius_km
        )
        mass = MassTellings(kept.mass_events)
        return cls(
            disclosures=decided,
            corrections=Corrections(kept.journal, decided),
            unattended=Unattended(kept.journal, decided, directory, practice=practice, mass=mass),
            places=MassEventPlaces(kept.journal, kept.mass_events, unusual=unusual),
        )

    def readers(self) -> Iterator[Reader]:
        yield by_incident("corrections", self.corrections)
        yield by_incident("unattended", self.unattended)
        yield by_incident("mass-event", self.places)


class Geocoding(Struct, frozen=True, kw_only=True):
    """Names of places for the screen, and places by what an operator has heard."""

    readers: tuple[Reader, ...]
    places: StatedPlaces


@asynccontextmanager
async def geocoding(settings: Settings, journal: Journal, sources: Sources) -> AsyncIterator[Geocoding]:
    """By the operator's own geocoder, where there is one, and its own tables."""
    layer = sources.layer or PrefectureLayer.load()
    areas, posts = AddressAreas(layer, open_towns(settings), names=place_names(sources)), open_posts(settings)
    if not settings.geocoder:
        yield Geocoding(readers=(), places=StatedPlaces(areas, posts=posts))
        return
    try:
        made = Geocoder(settings.geocoder, monotonic=time.monotonic, within_s=settings.geocoder_within_ms / 1000.0)
    except RoutingError as fault:
        raise Misconfigured(str(fault)) from fault
    async with made as geocoder:
        addresses = Addresses(journal, geocoder, clock=journal.clock)
        yield Geocoding(
            readers=(by_incident("addresses", addresses, at_once=None, alone=True),),
            places=StatedPlaces(areas, posts=posts, geocoder=geocoder),
        )


def languages(agency: AgencyId, directory: Directory, *, dials: bool) -> Sequence[str]:
    """What is spoken at an agency that a call reaches; ``dials``: by its telephone, or else by a page."""
    known = directory.agencies.get(agency)
    reached = known is not None and (not dials or numbers(known, directory))
    return known.languages if known is not None and reached else ()


def check_directory(directory: Directory, *, loopback: bool) -> None:
    """``Misconfigured`` names the agency whose channel has a wrong address or key."""
    for agency in directory.agencies.values():
        if (https := agency.channels.get("https")) is not None:
            check_settings(agency.id, https, loopback=loopback)
            if "key" in https:
                public_key(str(https["key"]), where=f"directory: agency {agency.id!r}: channels.https.key")
        if (smtp := agency.channels.get("smtp")) is not None and "@" not in str(smtp.get("to", "")):
            raise Misconfigured(f"directory: agency {agency.id!r}: channels.smtp.to must be a mail address")


def times(settings: LadderSettings) -> Times:
    """The ladder's times; the settings have them in seconds."""
    return Times(
        second_line=timedelta(seconds=settings.second_line_s),
        joint_centre=timedelta(seconds=settings.joint_centre_s),
        others=timedelta(seconds=settings.others_s),
        supervisor=timedelta(seconds=settings.supervisor_s),
        alarm_every=timedelta(seconds=settings.alarm_every_s),
        heard_for=timedelta(seconds=settings.heard_for_s),
        talk_for=timedelta(seconds=settings.talk_for_s),
    )


def _mail(
    mail: MailSettings, data: Path, links: Links, journal: Journal, *, domain: str
) -> tuple[SmtpChannel, tuple[Work, ...]]:
    """The channel, and the watch over what comes back."""
    server = Server(
        host=mail.host,
        port=mail.port,
        sender=mail.sender,
        user=mail.user,
        password=_password(mail.password_file),
        tls=mail.tls,
    )
    channel = SmtpChannel(
        server,
        domain=domain,
        attempts=Attempts(data / "mail"),
        link=lambda parcel: links.brief(parcel.incident, parcel.disclosure),
        list_link=lambda parcel: links.mass_list(parcel.agency, parcel.listed or MassEventId("")),
        clock=journal.clock,
    )
    if not mail.notices:
        return channel, ()
    return channel, (("mail-notices", Notices(journal, channel, Path(mail.notices), domain=domain).watch),)


def _password(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text().strip()
    except OSError as wrong:
        raise Misconfigured("mail.password_file cannot be read") from wrong


def _sender(tenant: TenantSettings, settings: Settings) -> Sender:
    return Sender(
        domain=tenant.domain,
        name_ja=settings.centre_ja,
        name_en=settings.centre_en,
        desk_uri=f"tel:{settings.desk_line}" if settings.desk_line else f"sip:desk@{tenant.domain}",
    )
