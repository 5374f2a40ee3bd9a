"""Who may sit at a desk: operators from the settings, sessions that survive a restart of the service.

A session is the operator's id and the hour of the log-in under a keyed digest; nothing is stored, so a killed service
comes back with every desk still logged in.  The digest covers the operator's desk token as well: changing that token
in the settings ends all sessions made with it.
"""

import hmac
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256

from msgspec import Struct

from routing.text import octets
from sos.clock import Clock, parse_timestamp, timestamp
from sos.errors import Forbidden
from sos.incident.model import OperatorId

COOKIE, PLAIN_COOKIE = "__Host-sos_desk", "sos_desk"
"""The session's name under TLS, where browsers then take it from no other host, path or plain connection (RFC 6265bis
4.1.3.2), and on plain HTTP, which only the loopback of a demonstration is: there browsers refuse the first."""

LASTS = timedelta(hours=24)
"""Longer than any shift with its overtime: a log-in must never end during a call."""


class Operator(Struct, frozen=True, kw_only=True):
    id: OperatorId
    name: str
    token_digest: str
    """Hex SHA-256 of the desk token (32 random bytes, so a plain digest is enough)."""
    supervisor: bool = False
    """May decide what the law leaves to a supervisor."""


class Access:
    def __init__(self, operators: tuple[Operator, ...], *, secret: bytes, clock: Clock, secure: bool = False) -> None:
        """``secure``: desks reach us over TLS, so that the session must never travel without it."""
        self.cookie = COOKIE if secure else PLAIN_COOKIE
        self.secure = secure
        self._operators = {operator.id: operator for operator in operators}
        self._secret = secret
        self._clock = clock

    def log_in(self, token: str) -> str:
        """A session for the operator whose desk token this is.  ``Forbidden`` when it is nobody's."""
        given = sha256(octets(token)).hexdigest()
        found = [each for each in self._operators.values() if hmac.compare_digest(each.token_digest, given)]
        if not found:
            raise Forbidden("this desk token is not valid", rule="desk-token")
        return self._session(found[0], timestamp(self._clock.now()))

    def of(self, cookies: Mapping[str, str]) -> Operator:
        """Whose session a request carries.  ``Forbidden`` as for ``operator``."""
        return self.operator(cookies.get(self.cookie))

    def operator(self, session: str | None) -> Operator:
        """Whose session this is.  ``Forbidden`` when it is none, is over, or its desk token has been changed."""
        name, _, rest = (session or "").partition("|")
        since, _, _ = rest.partition("|")
        known = self._operators.get(OperatorId(name))
        if known is None or not hmac.compare_digest(self._session(known, since).encode(), octets(session or "")):
            rule = "session" if session else "no-session"
            raise Forbidden("log in first", rule=rule, account=f"operator:{known.id}" if known else "")
        if self._clock.now() - parse_timestamp(since) > LASTS:
            raise Forbidden("this log-in is over; log in again", rule="session-over", account=f"operator:{known.id}")
        return known

    def _session(self, operator: Operator, since: str) -> str:
        covered = f"{operator.id}|{since}|{operator.token_digest}"
        return f"{operator.id}|{since}|{hmac.digest(self._secret, covered.encode(), 'sha256').hex()}"
