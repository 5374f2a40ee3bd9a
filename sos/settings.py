"""All settings, read once: a TOML file, then the environment over it.  A wrong or unknown one stops the start.

Each setting stands here with its unit, its default and its reason.  Secrets are given as digests (tenant keys, desk
tokens) or lie as files in the key directory, so no settings file holds one.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sos.errors import Misconfigured

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_PASSWORD_OF_USER = re.compile(r"(://[^:/?@]*:).*@")
_PASSWORD_PARAMETER = re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE)


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    domain: str
    """DNS name that ends the URNs of its incidents."""
    key_digests: tuple[str, ...]
    """Hex SHA-256 of each key its cloud may present: two while one is being replaced."""
    drill: bool = False
    """Every report of this tenant is an exercise."""


class OperatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    token_digest: str
    """Hex SHA-256 of the desk token (at least 32 random bytes)."""


class AuditorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    token_digest: str
    """Hex SHA-256 of the auditor's token."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    data_dir: str = "var"
    """Where keys, spool, recordings, the published log and the embedded database lie."""
    database_url: str = ""
    """``postgresql://...``; empty means SQLite in ``data_dir``, the embedded default."""
    host: str = "127.0.0.1"
    """Loopback, because browsers give a microphone to plain HTTP there only; behind a TLS proxy it stays."""
    port: int = 8080
    public_url: str = ""
    """How agencies and vehicles reach us from outside; empty means ``http://host:port``."""
    log_origin: str = "sos.example.com/journal"
    """Name of the log in its checkpoints (C2SP tlog-checkpoint); changing it begins another log."""
    accept_within_ms: int = 250
    """How long a report may wait for the database before it goes to the spool."""
    directory: str = ""
    """Agency directory (TOML); empty means the invented agencies that ship with the package."""
    rules: str = ""
    """Disclosure rules (TOML); empty means the shipped rules for Japan."""
    tenants: tuple[TenantSettings, ...] = ()
    operators: tuple[OperatorSettings, ...] = ()
    auditors: tuple[AuditorSettings, ...] = ()
    demo: bool = False
    """Tells the console that nothing here is real."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise Misconfigured("port must be between 0 and 65535")
        if self.database_url and not self.database_url.startswith("postgresql://"):
            raise Misconfigured("database_url must begin with postgresql:// (or be empty for SQLite)")
        if not 10 <= self.accept_within_ms <= 10_000:
            raise Misconfigured("accept_within_ms must be between 10 and 10000")
        for tenant in self.tenants:
            if not all(_DIGEST.match(each) for each in tenant.key_digests):
                raise Misconfigured(f"tenants.{tenant.id}.key_digests must be hex SHA-256 digests")
        people = [(each.id, each.token_digest) for each in self.operators]
        people += [(each.id, each.token_digest) for each in self.auditors]
        for person, token_digest in people:
            if not _DIGEST.match(token_digest):
                raise Misconfigured(f"{person}: token_digest must be a hex SHA-256 digest")

    def without_secrets(self) -> "Settings":
        """To be shown: a password in ``database_url`` is hidden."""
        return replace(self, database_url=_without_password(self.database_url))

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    @property
    def url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"


_FROM_ENVIRONMENT: Mapping[str, type] = {
    "data_dir": str,
    "database_url": str,
    "host": str,
    "port": int,
    "public_url": str,
    "log_origin": str,
    "accept_within_ms": int,
    "directory": str,
    "rules": str,
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
