"""All settings, read once: a TOML file, then the environment over it.  A wrong or unknown one stops the start.

Each setting stands here with its unit, its default and its reason.  Secrets are given as digests (tenant keys, desk
tokens) or lie as files in the key directory, so no settings file holds one.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Set
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from recording.age import check_recipient
from recording.errors import RecordingError
from routing.categories import Category
from sos.errors import Misconfigured

EVERY = "*"
"""Stands for every brand or every category where an auditor is given them."""

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")
_EDGE = re.compile(r"[a-z][a-z0-9-]{1,30}\Z")
_PORTS = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")
_PASSWORD_OF_USER = re.compile(r"(://[^:/?@]*:).*@")
_PASSWORD_PARAMETER = re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE)


class SigningKeySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    """The ``keyid`` of its signatures (RFC 9421)."""
    file: str
    """File with the shared secret, at least 32 bytes; mode 0600."""


class TokenSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issuer: str
    """``iss`` of its tokens (RFC 7519)."""
    audience: str
    """``aud``: what they call this service."""
    key_file: str
    """Public keys: a JWK set (RFC 7517) or one PEM."""
    algorithm: str = "ES256"
    """``ES256``, ``ES384``, ``RS256``, ``PS256`` or ``EdDSA``."""
    longest_s: int = 7200
    """From ``iat`` to ``exp`` of a token; one that lives longer is refused, since a stolen one would."""

    def __post_init__(self) -> None:
        if not 60 <= self.longest_s <= 86_400:
            raise Misconfigured("tenants.tokens.longest_s must be between 60 and 86400")


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    domain: str
    """DNS name that ends the URNs of its incidents."""
    terms: str = ""
    """Name of the terms its customers agreed to, as in the rules; empty: the law alone decides."""
    key_digests: tuple[str, ...] = ()
    """Hex SHA-256 of each key its cloud may present: two while one is being replaced."""
    signing_keys: tuple[SigningKeySettings, ...] = ()
    """Secrets under which its cloud signs requests (RFC 9421, hmac-sha256)."""
    tokens: tuple[TokenSettings, ...] = ()
    """Issuers whose signed tokens (JWT) speak for it."""
    certificates: tuple[str, ...] = ()
    """Hex SHA-256 of each client certificate (DER) its cloud may show."""
    rate_per_s: float = 0.0
    """Reports a second that were agreed; more are taken and flagged.  0: none was agreed."""
    mqtt: bool = False
    """Whether its vehicles may report under its id through the broker; the broker's rules bind each client to it."""
    drill: bool = False
    """Every report of this tenant is an exercise."""
    webhook: str = ""
    """Address (https) of its cloud that is told how far each of its incidents has come; empty: it asks itself."""


class OperatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    token_digest: str
    """Hex SHA-256 of the desk token (at least 32 random bytes)."""
    supervisor: bool = False
    """May decide what the law leaves to a supervisor; never about a request of their own."""
    second_factor_file: str = ""
    """File with the secret of a second factor (RFC 6238, made by ``sos desk second-factor``; mode 0600); empty: the
    token is enough."""
    languages: dict[str, int] = {}
    """Languages of this operator by their primary subtag (BCP 47), such as ``ja``, and how well, from 1 to 5: of the
    desks that are free, the one with the caller's language rings first.  Nobody waits for it."""
    brands: tuple[str, ...] = ()
    """Tenants whose cars this operator was trained for; they are preferred after the language.  Empty: all alike."""

    def __post_init__(self) -> None:
        for language, level in self.languages.items():
            if not _LANGUAGE.match(language) or not 1 <= level <= 5:
                raise Misconfigured(f"operators.{self.id}.languages: such as {{ ja = 5, en = 3 }}, from 1 to 5")


class AuditorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    token_digest: str
    """Hex SHA-256 of the auditor's token."""
    brands: tuple[str, ...]
    """Tenants whose incidents it may export; ``*``: every one, and then it may read the log's entries too."""
    categories: tuple[str, ...]
    """Categories of data that may be opened for it, such as ``LOC``; ``*``: all; empty: none, it sees commitments."""


class RecipientSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An authority that packages are made for; a package for anybody else is refused."""

    id: str
    age_key: str
    """Its recipient key (``age1...``), got from it by another way; whoever holds the identity alone can read."""
    brands: tuple[str, ...]
    """Tenants that may be in a package for it; ``*``: every one, the house's own records included."""
    categories: tuple[str, ...]
    """Categories of data that may be opened for it, such as ``LOC``; ``*``: all; empty: none."""
    until: str = ""
    """Last day of its key in Japan's time, such as ``2027-03-31``; empty: until it is taken out."""

    def __post_init__(self) -> None:
        try:
            check_recipient(self.age_key)
            _ = date.fromisoformat(self.until) if self.until else None
        except RecordingError as wrong:
            raise Misconfigured(f"recipients.{self.id}.age_key: {wrong}") from wrong
        except ValueError as wrong:
            raise Misconfigured(f"recipients.{self.id}.until must be a day such as 2027-03-31") from wrong


class ExportSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may leave the house at once, and for how long a package lies there."""

    incidents_per_package: int = 100
    """Incidents and subjects of which something is opened."""
    recordings_per_package: int = 20
    events_per_package: int = 50_000
    """Lines of the log; the verifier reads 48 MiB of them."""
    incidents_per_day: int = 500
    """As of one package, of all that were built within 24 hours."""
    single_per_day: int = 20
    """Packages of one incident or subject that one auditor may take within 24 hours without two people agreeing."""
    request_days: float = 30.0
    """How long a request may wait for its package."""
    package_days: float = 14.0
    """How long a package lies there before its file is destroyed."""

    def __post_init__(self) -> None:
        most = {"incidents_per_package": 10_000, "recordings_per_package": 1_000, "events_per_package": 60_000}
        most |= {"incidents_per_day": 100_000, "single_per_day": 1_000}
        most |= {"request_days": 366, "package_days": 366}
        for name, limit in most.items():
            if not 0 < getattr(self, name) <= limit:
                raise Misconfigured(f"export.{name} must be above 0 and {limit} at most")


class StampSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    """Address of a time-stamping authority (RFC 3161 over HTTP) that stamps our checkpoints; empty: none does."""
    ca_file: str = ""
    """Its root certificate (PEM), got from the authority itself; auditors verify with the same one."""
    every_min: float = 10.0
    """How often the log is stamped when something is new in it; every export is besides."""
    within_s: float = 10.0
    """How long it, or a witness, may take for one answer."""
    late_after_h: float = 24.0
    """Hours without a stamp after which it is an alarm; calls and exports go on."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) and self.url:
            raise Misconfigured("stamps.url must begin with http:// or https://")
        if self.url and not self.ca_file:
            raise Misconfigured("stamps.url needs stamps.ca_file: without a root certificate a stamp proves nothing")
        if not 1 <= self.every_min <= 1440 or not 1 <= self.within_s <= 60 or not 1 <= self.late_after_h <= 720:
            raise Misconfigured("stamps: every_min from 1 to 1440, within_s from 1 to 60, late_after_h from 1 to 720")


class WitnessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str
    """Its submission prefix; ``/add-checkpoint`` comes after it (C2SP tlog-witness)."""
    vkey: str
    """Its verifier key, of type cosignature/v1, got another way; auditors verify with the same one."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise Misconfigured("witnesses.url must begin with http:// or https://")


class RootKeySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One root key: of ``file``, ``variable`` and ``token`` exactly one is given."""

    file: str = ""
    """File with 64 hexadecimal digits (made by ``sos keys root``; mode 0600), on another volume than ``data_dir``."""
    variable: str = ""
    """Environment variable with the same; its name does not begin with SOS_."""
    token: str = ""
    """Label of a PKCS #11 token that holds it; needs the extra ``hsm``."""
    module: str = ""
    """Of a token: the library of its maker, such as ``/usr/lib/softhsm/libsofthsm2.so``."""
    label: str = ""
    """Of a token: label of the AES key in it, which need not be extractable."""
    pin_file: str = ""
    """Of a token: file with the user's PIN alone."""
    within_s: float = 1.0
    """Of a token: how long it may take for one answer."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.file, self.variable, self.token))) != 1:
            raise Misconfigured("root_keys: give one of file, variable and token")
        if sum(map(bool, (self.module, self.label, self.pin_file))) != (3 if self.token else 0):
            raise Misconfigured("root_keys: token needs module, label and pin_file, and nothing else does")
        if self.variable.startswith("SOS_"):
            raise Misconfigured("root_keys.variable must not begin with SOS_")
        if not 0.05 <= self.within_s <= 10:
            raise Misconfigured("root_keys.within_s must be between 0.05 and 10")


class RegistrarSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may see and change one brand's registry; one entry per account, never shared."""

    id: str
    tenant: str
    """The one brand it works for."""
    role: Literal["oem", "dealer", "portal"]
    """What it may do: ``sos.registry.lifecycle.MAY``."""
    token_digest: str
    """Hex SHA-256 of the registrar's token."""


class LostPeerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    domain: str
    """Its name in the paths of LoST messages (RFC 5222)."""
    url: str
    """Where it is asked: ``https://...``."""
    areas: tuple[str, ...]
    """ISO 3166-2 and municipality codes it is believed for; ``*``: wherever we have no boundary."""


class LadderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an agency that does not answer is told louder (``sos.dispatch.ladder``); seconds since the decision."""

    second_line_s: float = 20.0
    """The second line is called."""
    joint_centre_s: float = 45.0
    """The joint command centre is called."""
    others_s: float = 60.0
    """Neighbours, police and the road operator are proposed to the operator."""
    supervisor_s: float = 75.0
    """People are alarmed."""
    alarm_every_s: float = 30.0
    """Between two alarms."""
    heard_for_s: float = 90.0
    """How long a human there may have heard before people are alarmed that nobody has taken over."""
    talk_for_s: float = 30.0
    """How long somebody may talk with the agency before its other lines are called all the same."""

    def __post_init__(self) -> None:
        rising = (self.second_line_s, self.joint_centre_s, self.others_s, self.supervisor_s)
        if rising[0] <= 0 or list(rising) != sorted(rising):
            raise Misconfigured("ladder: second_line_s, joint_centre_s, others_s, supervisor_s must rise from above 0")
        if min(self.alarm_every_s, self.heard_for_s, self.talk_for_s) < 5:
            raise Misconfigured("ladder: alarm_every_s, heard_for_s and talk_for_s must be at least 5")


class PortalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a link to a brief opens it (``sos.dispatch.endings``); it ends earlier with the agency's part."""

    link_lasts_h: float = 72.0
    """Hours from the making of a link: longer than the longest rescue, so that no link ends during one; one that leaks
    out of a mailbox later opens nothing."""
    after_closing_min: float = 60.0
    """Minutes after the incident is closed here: the centre often closes when the agency has taken over, and from
    call to hospital an ambulance in Japan takes 39 minutes on the average (fire agency's white paper, 2016)."""

    def __post_init__(self) -> None:
        if not 1 <= self.link_lasts_h <= 720:
            raise Misconfigured("portal.link_lasts_h must be between 1 and 720")
        if not 0 <= self.after_closing_min <= 1440:
            raise Misconfigured("portal.after_closing_min must be between 0 and 1440")


class MailSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The house's mail server, for agencies that are told by mail."""

    host: str
    """Name of the server; its certificate must be for it."""
    port: int = 587
    """587 with STARTTLS, 465 with implicit TLS."""
    sender: str
    """Envelope sender: delivery notices come back to it."""
    user: str = ""
    """Empty: no log-in."""
    password_file: str = ""
    """File that holds the password alone."""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """``none`` only for a server on this machine: briefs leave over TLS."""
    notices: str = ""
    """Maildir into which the mail server puts what comes back to ``sender``."""


class TwilioNumberSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where vehicles call."""

    called: str
    """E.164 number, or the name of a SIP domain."""
    tenant: str
    """Whose vehicles they are."""


class DeskLineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A desk that is joined by telephone."""

    operator: str
    number: str
    """E.164."""


class TwilioSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that telephones for us."""

    account_sid: str
    auth_token_file: str
    """File with the auth token, by which Twilio signs what it sends."""
    previous_auth_token_file: str = ""
    """The one before, while it is being replaced."""
    api_key_sid: str
    """API key (``SK...``) for our requests and for desks' voice tokens; the auth token is for signatures alone."""
    api_key_secret_file: str
    """File with its secret."""
    caller: str
    """The account's own number (E.164) that people see who are called."""
    numbers: tuple[TwilioNumberSettings, ...] = ()
    """The numbers and SIP domains that vehicles call."""
    desk_lines: tuple[DeskLineSettings, ...] = ()
    """Desks that are called on a telephone when they answer; others join by the Voice SDK."""
    desk_application_sid: str = ""
    """TwiML application (``AP...``) of the Voice SDK, its voice URL ``/twilio/desk``; empty: desks have telephones."""
    desk_edges: tuple[str, ...] = ("roaming",)
    """Twilio edge locations that desks' browsers try in this order, such as ``tokyo``; ``roaming`` is the nearest one.
    The console's page may reach these and no others."""
    fallback: str = ""
    """E.164 number where people sit, for calls that nothing here can take; empty: the number's own fallback URL."""
    edge: str = ""
    """Twilio edge location of our requests, such as ``tokyo``; always together with ``region``."""
    region: str = ""
    """Twilio region of the account's resources, such as ``jp1``."""
    mixing_region: str = ""
    """Where conferences are mixed, such as ``jp1``; empty: near most of the participants."""
    within_s: float = 4.0
    """How long one request may take."""
    ring_s: int = 30
    """How long it rings at an agency or a vehicle."""
    base_url: str = ""
    """Another address than Twilio's, for a test bench on this machine."""

    def __post_init__(self) -> None:
        if bool(self.edge) != bool(self.region):
            raise Misconfigured("twilio: edge and region belong together (names with a region alone are switched off)")
        if not self.desk_edges or not all(_EDGE.match(edge) for edge in self.desk_edges):
            raise Misconfigured("twilio.desk_edges are names of Twilio's edge locations, such as tokyo, or roaming")
        if not 0.5 <= self.within_s <= 10:
            raise Misconfigured("twilio.within_s must be between 0.5 and 10")
        if not 5 <= self.ring_s <= 120:
            raise Misconfigured("twilio.ring_s must be between 5 and 120")
        for number in (self.caller, self.fallback, *(line.number for line in self.desk_lines)):
            if number and not _E164.match(number):
                raise Misconfigured("twilio: caller, fallback and desk_lines are full numbers, +country and number")
        if self.base_url and not self.base_url.startswith("http://127.0.0.1:"):
            raise Misconfigured("twilio.base_url is for a test bench on this machine: http://127.0.0.1:port")


class AssistSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Extras that help and that no call waits for (``sos.assist``)."""

    speech: bool = True
    """Whether briefs are read to agencies by machine; Japanese needs the extra ``assist``, English the program
    ``espeak-ng``, and what is missing is told in the log and in ``/readyz``."""
    speech_within_s: float = 20.0
    """How long the speech of one brief may take to make before its process is ended and started anew."""
    transcript_model: str = ""
    """Directory of a Whisper model (CTranslate2) with which a machine writes down what vehicle and agency say, for the
    operator's screen alone; needs the extra ``transcript``.  Empty: nobody writes along."""

    def __post_init__(self) -> None:
        if not 1 <= self.speech_within_s <= 120:
            raise Misconfigured("assist.speech_within_s must be between 1 and 120")


class OnCallSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody with a telephone who is called while no desk answers."""

    id: str
    """Stands in the journal as the operator; an id of ``operators`` is that same person."""
    number: str
    """E.164."""


class AttendanceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done when no desk answers a call (``sos.incident.attendance``)."""

    on_call: tuple[OnCallSettings, ...] = ()
    """Who is called one after the other from 20 s on, in this order, where voice reaches telephones; nobody has the
    incident by that before they have pressed a key."""
    unattended: Literal["ladder", "notice"] = "ladder"
    """When nobody of the house can be found: ``ladder`` tells the responsible agency as the law permits; ``notice``
    tells no agency without a person, and the vehicle hears that it should call the emergency service itself."""
    nobody_after_s: float = 45.0
    """After which nobody can be found: later than the first person on call has had time to pick up."""

    def __post_init__(self) -> None:
        if not 30 <= self.nobody_after_s <= 600:
            raise Misconfigured("attendance.nobody_after_s must be between 30 and 600")
        for person in self.on_call:
            if not _E164.match(person.number):
                raise Misconfigured(f"attendance.on_call.{person.id}: number must be full, +country and number")
        if len({person.id for person in self.on_call}) < len(self.on_call):
            raise Misconfigured("attendance.on_call names somebody twice")


class InterpreterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An interpreter who is called into a call by one key, where voice reaches telephones."""

    id: str
    """Stands in the journal, so it names no language: which one somebody speaks is personal data."""
    languages: tuple[str, ...]
    """What they interpret, by primary subtag (BCP 47), such as ``ko``."""
    number: str
    """E.164."""

    def __post_init__(self) -> None:
        if not self.languages or not all(map(_LANGUAGE.match, self.languages)):
            raise Misconfigured(f'interpreters.{self.id}.languages: such as ["ko", "zh"]')
        if not _E164.match(self.number):
            raise Misconfigured(f"interpreters.{self.id}: number must be full, +country and number")


class MassEventSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the house proposes to its supervisors that there is a mass event (``sos.dispatch.mass_event``)."""

    emergencies: int = 12
    """So many around one place: half as many again as a pile-up in which every car reports."""
    within_min: float = 10.0
    """Within so many minutes: shorter, and a far place with few cars is never seen; longer, and a busy day is one."""
    radius_km: int = 20
    """So near to each other: a city and its suburbs, about which people hear the same news."""
    renewed_after_h: float = 6.0
    """Hours that the supervisor's form proposes until somebody has to say whether it goes on: less than a shift."""

    def __post_init__(self) -> None:
        if not 3 <= self.emergencies <= 1000:
            raise Misconfigured("mass_event.emergencies must be between 3 and 1000")
        if not 1 <= self.within_min <= 60:
            raise Misconfigured("mass_event.within_min must be between 1 and 60")
        if not 1 <= self.radius_km <= 200:
            raise Misconfigured("mass_event.radius_km must be between 1 and 200")
        if not 0.25 <= self.renewed_after_h <= 24:
            raise Misconfigured("mass_event.renewed_after_h must be between 0.25 and 24")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    data_dir: str = "var"
    """Where keys, spool, recordings, the published log and the embedded database lie."""
    database_url: str = ""
    """``postgresql://...``; empty means SQLite in ``data_dir``, the embedded default."""
    host: str = "127.0.0.1"
    """Loopback, because browsers give a microphone to plain HTTP there only; behind a TLS proxy it stays."""
    port: int = 8080
    door_host: str = ""
    """Address of the door processes (``sos door``), to which the proxy sends ``/v1/events``; empty: as ``host``."""
    door_port: int = 0
    """Their port, which they share, such as 8081; 0: there are none, and reports come in at ``port`` alone."""
    metrics_host: str = "127.0.0.1"
    """Address on which figures are given out; never one that strangers reach."""
    metrics_port: int = 0
    """Port of ``/metrics`` (Prometheus), such as 9464; 0: figures are given to nobody.  It is never the port of the
    doors, so that no proxy passes figures on."""
    public_url: str = ""
    """How agencies and vehicles reach us from outside; empty means ``http://host:port``."""
    log_origin: str = "sos.example.com/journal"
    """Name of the log in its checkpoints (C2SP tlog-checkpoint); changing it begins another log."""
    log_public: bool = False
    """Whether anybody may read the published log under ``/log/`` (C2SP tlog-tiles): ids, codes, times and digests of
    every brand, no personal data of callers, but the ids of operators.  False: auditors only."""
    accept_within_ms: int = 250
    """How long a report may wait for the database before it goes to the spool."""
    media_workers: int = 1
    """Processes that carry voice, each about 30 calls; one less than the machine has cores is a good number."""
    media_ports: str = "50000-50999"
    """UDP ports of voice on this machine, first and last; each call takes one of them on each address of ours, and a
    firewall opens these.  Empty: whichever the operating system gives."""
    turn_urls: tuple[str, ...] = ()
    """TURN servers (``turn:host:3478?transport=udp``, ``turns:host:443?transport=tcp``), where UDP does not reach; the
    secret they share with us is ``turn.secret`` in the key directory, in hexadecimal.  Empty: there are none."""
    directory: str = ""
    """Agency directory (TOML); ``sos serve`` needs one.  Empty means the invented agencies, which only ``sos demo``,
    tests and the commands without a service use: a real car must never be told of to somebody who does not exist."""
    boundaries: str = ""
    """Exact boundaries made by ``sos geo import``; empty means ``geo/municipalities.sosgeo`` in ``data_dir`` where that
    exists, and else the shipped prefectures, which are right to some three kilometres."""
    routes: str = ""
    """Folder of tables of expressways (``carriageways.csv``, ``duties.csv``, ``features.csv``) with their duty by
    carriageway; empty means none are known."""
    towns: str = ""
    """Town points made by ``sos geo import-towns``, for saying a place in words; empty means ``geo/towns.sosgeo`` in
    ``data_dir`` where that exists, and else municipalities only."""
    kilometre_posts: str = ""
    """Kilometre posts of roads (CSV: road, km, direction, lat, lon; ``sos geo check-posts`` looks at it first), so that
    a place said by road, kilometre and direction is found; empty: it is kept as words."""
    hospitals: str = ""
    """Hospitals and helicopter bases (GeoJSON as KSJ P04, or CSV), for suggestions; empty means none are suggested."""
    hsts_subdomains: bool = False
    """Whether browsers are told that every name below ours speaks TLS alone too (RFC 6797); only where all are ours."""
    connections_per_address: int = 256
    """How many connections one address may have that has shown no credential lately; proxies and this machine may have
    as many as there is room for.  A cloud that reports for many cars is known by its first report."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of TLS proxies whose ``certificate_header`` is believed; empty: none is."""
    certificate_header: str = ""
    """Header in which such a proxy shows the client certificate, PEM and percent-encoded."""
    tls_certificate: str = ""
    """Certificate chain (PEM) when this process ends TLS itself; empty: plain HTTP behind a proxy."""
    tls_key: str = ""
    """Its private key (PEM)."""
    tls_client_ca: str = ""
    """Authorities (PEM) of client certificates; empty: clients are asked for none."""
    mqtt_url: str = ""
    """``mqtt://`` or ``mqtts://[user@]host[:port]`` of the broker that vehicles report to; empty: no MQTT."""
    mqtt_password_file: str = ""
    """File with the broker's password for this service."""
    mqtt_ca: str = ""
    """Authorities (PEM) of the broker's certificate; empty: the system's."""
    mqtt_version: int = 5
    """5, or 4 for MQTT 3.1.1: then answers go to the command topic, without response topic or correlation data."""
    lost_source: str = "lost.sos.example.com"
    """Domain name under which the LoST door answers (RFC 5222); it stands in every answer and must hold a dot."""
    lost_strangers_per_s: float = 20.0
    """Questions a second that askers without a key share, so that a flood takes no time from calls; 0: only tenants."""
    lost_peers: tuple[LostPeerSettings, ...] = ()
    """LoST servers of others, for agencies and countries that run their own."""
    geocoder: str = ""
    """A geocoder of one's own that names places on the operator's screen: ``nominatim+http://host:port/path``, or with
    ``photon+`` or ``pelias+``; empty: none.  Nothing waits for it."""
    geocoder_within_ms: int = 400
    """How long it may take for one place."""
    rules: str = ""
    """Folder of disclosure rules (TOML), the brands' terms in its folder ``terms``; empty means the shipped ones."""
    centre_ja: str = "緊急通報センター"
    """Name of the centre as agencies read it."""
    centre_en: str = "Emergency call centre"
    """The same in English."""
    desk_line: str = ""
    """E.164 number on which agencies reach a desk day and night; empty means ``sip:desk@`` and the tenant's domain."""
    ladder: LadderSettings = LadderSettings()
    """When an agency that does not answer is told louder."""
    portal: PortalSettings = PortalSettings()
    """How long links to briefs last."""
    mail: MailSettings | None = None
    """The house's mail server; none: agencies are not told by mail."""
    telephony: Literal["embedded", "twilio"] = "embedded"
    """Who carries voice: this machine (WebRTC, no telephone numbers), or Twilio as set in group ``twilio``."""
    twilio: TwilioSettings | None = None
    """The account that telephones for us; used with ``telephony = "twilio"``."""
    attendance: AttendanceSettings = AttendanceSettings()
    """What is done when no desk answers a call."""
    mass_event: MassEventSettings = MassEventSettings()
    """When a mass event is proposed, in which fairness is by place."""
    desk_idle_min: float = 30.0
    """Minutes without a key or a pointer after which an operator who is away is logged out; never in a call, nor while
    the desk is ready.  Every log-in ends after 24 hours."""
    nuisance_days: float = 30.0
    """Days for which a desk is told that a vehicle's button was misused, counted from the closing as misuse; never at
    an automatic crash.  0: nobody is told."""
    assist: AssistSettings = AssistSettings()
    """Extras that help and that no call waits for."""
    tenants: tuple[TenantSettings, ...] = ()
    operators: tuple[OperatorSettings, ...] = ()
    auditors: tuple[AuditorSettings, ...] = ()
    recipients: tuple[RecipientSettings, ...] = ()
    """Authorities that regulators' packages are made for (``sos regulator``)."""
    export: ExportSettings = ExportSettings()
    """Limits of those packages."""
    stamps: StampSettings | None = None
    """Who says outside the house when the log was as it is."""
    witnesses: tuple[WitnessSettings, ...] = ()
    """Who cosigns the log outside the house, so that nobody can be shown another one."""
    witness_quorum: int = 0
    """How many of them must have cosigned a checkpoint; 0: all."""
    witness_late_after_min: float = 60.0
    """Minutes without that after which it is an alarm; calls and exports go on."""
    root_keys: tuple[RootKeySettings, ...] = ()
    """What key-encryption keys lie under in ``data_dir/keys``: the first for new ones, those after it open older ones
    until ``sos keys rewrap`` has moved them.  None: the directory alone opens what is sealed."""
    registrars: tuple[RegistrarSettings, ...] = ()
    """Who may use ``/v1/registry``."""
    brand_packs: str = ""
    """Directory of brand packs (TOML, one per brand); empty means the invented packs of configured tenants."""
    interpreters: tuple[InterpreterSettings, ...] = ()
    """Interpreters with a telephone; of those of one language they are called in this order, one press each."""
    rights_terms: str = ""
    """File of what people may ask about their own data, in which time and at what fee (TOML, as
    ``sos/rights/terms.toml``); empty: the shipped one."""
    question_cards: str = ""
    """File of the questions that operators ask (TOML, as ``routing/cards/house.toml``); empty: the shipped ones."""
    demo: bool = False
    """Tells the console that nothing here is real."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise Misconfigured("port must be between 0 and 65535")
        if not 0 <= self.metrics_port <= 65535 or (self.metrics_port == self.port and self.port):
            raise Misconfigured("metrics_port must be between 0 and 65535, and another than port")
        if not 0 <= self.door_port <= 65535 or (self.door_port and self.door_port in (self.port, self.metrics_port)):
            raise Misconfigured("door_port must be between 0 and 65535, and another than port and metrics_port")
        if self.database_url and not self.database_url.startswith("postgresql://"):
            raise Misconfigured("database_url must begin with postgresql:// (or be empty for SQLite)")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise Misconfigured("tls_certificate and tls_key belong together")
        if self.tls_client_ca and not self.tls_certificate:
            raise Misconfigured("tls_client_ca needs tls_certificate: who ends TLS asks for client certificates")
        if bool(self.trusted_proxies) != bool(self.certificate_header):
            raise Misconfigured("trusted_proxies and certificate_header belong together")
        if self.mqtt_url and not self.mqtt_url.startswith(("mqtt://", "mqtts://")):
            raise Misconfigured("mqtt_url must begin with mqtt:// or mqtts:// (or be empty)")
        if self.mqtt_version not in (4, 5):
            raise Misconfigured("mqtt_version must be 5, or 4 for MQTT 3.1.1")
        if self.connections_per_address < 1:
            raise Misconfigured("connections_per_address must be 1 or more")
        if not 10 <= self.accept_within_ms <= 10_000:
            raise Misconfigured("accept_within_ms must be between 10 and 10000")
        _ = self.media_port_range
        if not 1 <= self.media_workers <= 256:
            raise Misconfigured("media_workers must be between 1 and 256")
        if self.telephony == "twilio" and self.twilio is None:
            raise Misconfigured('telephony = "twilio" needs the group twilio')
        if not 5 <= self.desk_idle_min <= 720:
            raise Misconfigured("desk_idle_min must be between 5 and 720")
        if not 0 <= self.nuisance_days <= 366:
            raise Misconfigured("nuisance_days must be between 0 and 366")
        if self.lost_strangers_per_s < 0.0:
            raise Misconfigured("lost_strangers_per_s must be 0 or more")
        if not 50 <= self.geocoder_within_ms <= 2_000:
            raise Misconfigured("geocoder_within_ms must be between 50 and 2000")
        for tenant in self.tenants:
            if not all(_DIGEST.match(each) for each in tenant.certificates):
                raise Misconfigured(f"tenants.{tenant.id}.certificates must be hex SHA-256 digests")
            if not all(_DIGEST.match(each) for each in tenant.key_digests):
                raise Misconfigured(f"tenants.{tenant.id}.key_digests must be hex SHA-256 digests")
        if not 0 <= self.witness_quorum <= len(self.witnesses):
            raise Misconfigured("witness_quorum must be between 0 and the number of witnesses")
        if not 1 <= self.witness_late_after_min <= 10_080:
            raise Misconfigured("witness_late_after_min must be between 1 and 10080")
        if len({each.id for each in self.interpreters}) < len(self.interpreters):
            raise Misconfigured("interpreters names somebody twice")
        self._check_people({tenant.id for tenant in self.tenants})

    def _check_people(self, tenants: Set[str]) -> None:
        people = [(each.id, each.token_digest) for each in self.operators]
        people += [(each.id, each.token_digest) for each in self.auditors]
        people += [(each.id, each.token_digest) for each in self.registrars]
        for operator in self.operators:
            if strange := set(operator.brands) - tenants:
                raise Misconfigured(f"operators.{operator.id}.brands names no tenant of these settings: {min(strange)}")
        bound = [(f"auditors.{each.id}", each.brands, each.categories) for each in self.auditors]
        bound += [(f"recipients.{each.id}", each.brands, each.categories) for each in self.recipients]
        for name, brands, categories in bound:
            if strange := set(brands) - tenants - {EVERY}:
                raise Misconfigured(f"{name}.brands names no tenant of these settings: {min(strange)}")
            if strange := set(categories) - set(Category) - {EVERY}:
                raise Misconfigured(f"{name}.categories names no category: {min(strange)}")
        for registrar in self.registrars:
            if registrar.tenant not in tenants:
                raise Misconfigured(f"registrars.{registrar.id}.tenant names no tenant of these settings")
        for person, token_digest in people:
            if not _DIGEST.match(token_digest):
                raise Misconfigured(f"{person}: token_digest must be a hex SHA-256 digest")

    def require_for_service(self) -> None:
        """``Misconfigured`` when something is missing without which nobody real can be helped."""
        if not self.directory:
            raise Misconfigured(
                "directory is not set: name the file of your agencies (made like routing/data/demo_agencies.toml);"
                " the invented agencies are for sos demo"
            )

    def without_secrets(self) -> "Settings":
        """To be shown: a password in ``database_url`` is hidden."""
        return replace(self, database_url=_without_password(self.database_url))

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def media_port_range(self) -> tuple[int, int]:
        """First and last port; 0 and 0 for any.  ``Misconfigured`` when ``media_ports`` is no such range."""
        if not self.media_ports:
            return 0, 0
        if not (found := _PORTS.fullmatch(self.media_ports)) or not 1024 <= int(found[1]) <= int(found[2]) <= 65_535:
            raise Misconfigured("media_ports is a range between 1024 and 65535, such as 50000-50999, or empty")
        return int(found[1]), int(found[2])

    @property
    def keyid(self) -> str:
        """By which agencies and clouds know the key that signs what is sent to them."""
        return self.log_origin.partition("/")[0]

    @property
    def secure(self) -> bool:
        """Whether we are reached over TLS, our own or a proxy's."""
        return self.url.startswith("https://")

    @property
    def url(self) -> str:
        scheme = "https" if self.tls_certificate else "http"
        return self.public_url or f"{scheme}://{self.host}:{self.port}"


_FROM_ENVIRONMENT: Mapping[str, type] = {
    "data_dir": str,
    "database_url": str,
    "host": str,
    "port": int,
    "door_host": str,
    "door_port": int,
    "metrics_host": str,
    "metrics_port": int,
    "public_url": str,
    "log_origin": str,
    "accept_within_ms": int,
    "media_workers": int,
    "media_ports": str,
    "brand_packs": str,
    "question_cards": str,
    "directory": str,
    "boundaries": str,
    "routes": str,
    "towns": str,
    "kilometre_posts": str,
    "hospitals": str,
    "tls_certificate": str,
    "tls_key": str,
    "tls_client_ca": str,
    "mqtt_url": str,
    "mqtt_password_file": str,
    "mqtt_ca": str,
    "mqtt_version": int,
    "lost_source": str,
    "lost_strangers_per_s": float,
    "geocoder": str,
    "geocoder_within_ms": int,
    "rules": str,
    "centre_ja": str,
    "centre_en": str,
    "desk_line": str,
}
"""Settings that the environment may give, as ``SOS_`` and the name in capitals."""

_NO_SETTINGS = frozenset({"SOS_CONFIG", "SOS_KEY"})
"""Options of the command line that the environment may give: the settings file, and the caller's own key."""


def _without_password(url: str) -> str:
    """``url`` with ``***`` for the password, before the host or as a parameter; rather too much hidden."""
    return _PASSWORD_PARAMETER.sub(r"\1***", _PASSWORD_OF_USER.sub(r"\1***@", url))


def load(file: Path | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of ``file`` with the environment over them.  ``Misconfigured`` names what is wrong."""
    given: dict[str, object] = {}
    if file is not None:
        try:
            given = tomllib.loads(file.read_text())
        except (OSError, tomllib.TOMLDecodeError) as wrong:
            raise Misconfigured(f"the settings file {file.name} cannot be read: {wrong}") from wrong
    for name, value in _overrides(os.environ if environment is None else environment).items():
        given[name] = value
    try:
        return msgspec.convert(given, Settings)
    except msgspec.ValidationError as wrong:
        raise Misconfigured(f"settings: {wrong}") from wrong


def _overrides(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, value in environment.items():
        if not variable.startswith("SOS_") or variable in _NO_SETTINGS:
            continue
        name = variable.removeprefix("SOS_").lower()
        if name not in _FROM_ENVIRONMENT:
            raise Misconfigured(f"the environment variable {variable} is no setting")
        try:
            found[name] = _FROM_ENVIRONMENT[name](value)
        except ValueError as wrong:
            raise Misconfigured(f"{variable} must be a number") from wrong
    return found
