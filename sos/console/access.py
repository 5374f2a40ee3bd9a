"""Who may sit at a desk: operators from the settings, and the cookie by which a page shows that it has logged in.

An operator comes in with the desk token, typed into the page, or with the one-time code of a link that an administrator
made (``sos desk link``); where the settings name a second factor, with that too.  Nothing that lasts stands in an
address: a browser's history keeps them, fragments included.

The cookie is the operator's id, the hour of the log-in and the session's id under a keyed digest, so that a killed
service knows every desk again, with or without its database.  The digest covers the operator's desk token as well:
changing that token in the settings ends all sessions.  What else ends one stands in ``sessions``.
"""

import hmac
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe

import structlog
from msgspec import Struct

from routing.text import octets
from sos.clock import epoch_ms, parse_timestamp, timestamp
from sos.console import totp
from sos.console.sessions import Session, Sessions
from sos.errors import Forbidden, SecondFactor, Unavailable
from sos.incident.model import OperatorId
from sos.journal.desk_access import DeskAccess

log = structlog.get_logger()

COOKIE, PLAIN_COOKIE = "__Host-sos_desk", "sos_desk"
"""The session's name under TLS, where browsers then take it from no other host, path or plain connection (RFC 6265bis
4.1.3.2), and on plain HTTP, which only the loopback of a demonstration is: there browsers refuse the first."""

CODE_LASTS = timedelta(minutes=10)
"""Of a link (ASVS 6.5.5)."""

WRONG_AT_ONCE, WRONG_WITHIN = 10, timedelta(minutes=5)
"""Second factors of one operator that may be wrong; then none is looked at, whoever sends it: six digits could be
guessed by many addresses.  Only who has the first factor can bring that about."""


class Operator(Struct, frozen=True, kw_only=True):
    id: OperatorId
    name: str
    token_digest: str
    """Hex SHA-256 of the desk token (32 random bytes, so a plain digest is enough)."""
    supervisor: bool = False
    """May decide what the law leaves to a supervisor."""
    second_factor: bytes = b""
    """The secret of a second factor; empty: the token is enough."""


class Entry(Struct, frozen=True):
    """Who is there, and by which log-in."""

    operator: Operator
    session: Session


class Access:
    def __init__(
        self, operators: tuple[Operator, ...], sessions: Sessions, kept: DeskAccess, *, secret: bytes, secure: bool
    ) -> None:
        """``secure``: desks reach us over TLS, so that the session must never travel without it."""
        self.cookie = COOKIE if secure else PLAIN_COOKIE
        self.secure = secure
        self.sessions = sessions
        self._operators = {operator.id: operator for operator in operators}
        self._kept = kept
        self._secret = secret
        self._clock = sessions.clock
        self._wrong: dict[OperatorId, deque[datetime]] = {}
        self._spent: deque[str] = deque(maxlen=256)
        """Second factors that were used, for while the database is away."""

    # --- in ---

    async def log_in(self, *, token: str = "", code: str = "", second_factor: str = "") -> tuple[Operator, str]:
        """The operator whose desk token or code this is, and what the cookie holds.

        ``Forbidden`` when it is nobody's; ``SecondFactor`` when that is still wanted.  ``Unavailable`` for a code while
        the database is away: the token lets in then.
        """
        operator = await self._of_code(code) if code else self._of_token(token)
        await self._check(operator, second_factor)
        if code and not await self._kept.use_code(_digest(code), now_ms=epoch_ms(self._clock.now())):
            raise _no_code()
        session = self.sessions.begin(operator.id)
        return operator, self._shown(operator, timestamp(session.since), session.id)

    def _of_token(self, token: str) -> Operator:
        given = _digest(token)
        found = [each for each in self._operators.values() if hmac.compare_digest(each.token_digest, given)]
        if not found:
            raise Forbidden("this desk token is not valid", rule="desk-token")
        return found[0]

    async def _of_code(self, code: str) -> Operator:
        of = await self._kept.code(_digest(code), now_ms=epoch_ms(self._clock.now()))
        operator = self._operators.get(of) if of is not None else None
        if operator is None:
            raise _no_code()
        return operator

    async def _check(self, operator: Operator, given: str) -> None:
        if not operator.second_factor:
            return
        account, now = f"operator:{operator.id}", self._clock.now()
        if not given:
            raise SecondFactor("type the six digits of your second factor", rule="second-factor-wanted")
        wrong = self._wrong.setdefault(operator.id, deque(maxlen=WRONG_AT_ONCE))
        if len(wrong) == WRONG_AT_ONCE and now - wrong[0] < WRONG_WITHIN:
            raise SecondFactor("too many wrong digits; wait some minutes", rule="second-factor", account=account)
        step = totp.step_of(operator.second_factor, given, now=now)
        if step is None or not await self._first_use(operator.id, step):
            wrong.append(now)
            raise SecondFactor("these digits are not valid, or were used", rule="second-factor", account=account)

    async def _first_use(self, operator: OperatorId, step: int) -> bool:
        digest = _digest(f"second factor\0{operator}\0{step}")
        if digest in self._spent:
            return False
        self._spent.append(digest)
        now_ms = epoch_ms(self._clock.now())
        try:
            return await self._kept.spend(digest, operator, now_ms=now_ms, until_ms=now_ms + 3_600_000)
        except Unavailable as away:
            log.warning("second_factor_in_memory", reason=str(away))
            return True

    async def link(self, url: str, operator: OperatorId, *, lasts: timedelta = CODE_LASTS) -> str:
        """An address that opens a desk of the service at ``url`` once, as ``operator``."""
        return address(url, await new_code(self._kept, operator, now=self._clock.now(), lasts=lasts))

    # --- there ---

    def of(self, cookies: Mapping[str, str]) -> Operator:
        """Whose session a request carries.  ``Forbidden`` as for ``entry``."""
        return self.entry(cookies).operator

    def entry(self, cookies: Mapping[str, str]) -> Entry:
        """By which log-in a request comes.  ``Forbidden`` when it is none, is over, or its desk token was changed."""
        shown = cookies.get(self.cookie, "")
        name, since, session = ([*shown.split("|"), "", "", ""])[:3]
        known = self._operators.get(OperatorId(name))
        if known is None or not hmac.compare_digest(self._shown(known, since, session).encode(), octets(shown)):
            rule = "session" if shown else "no-session"
            raise Forbidden("log in first", rule=rule, account=f"operator:{known.id}" if known else "")
        return Entry(known, self.sessions.known(session, known.id, parse_timestamp(since)))

    def _shown(self, operator: Operator, since: str, session: str) -> str:
        covered = f"{operator.id}|{since}|{session}|{operator.token_digest}"
        return f"{operator.id}|{since}|{session}|{hmac.digest(self._secret, covered.encode(), 'sha256').hex()}"


async def new_code(kept: DeskAccess, operator: OperatorId, *, now: datetime, lasts: timedelta = CODE_LASTS) -> str:
    """A code that lets ``operator`` in once; only its digest is kept."""
    code = token_urlsafe(32)
    await kept.add_code(_digest(code), operator, until_ms=epoch_ms(now + lasts))
    return code


def address(url: str, code: str) -> str:
    """Where ``code`` opens a desk.  It stands in the fragment, which browsers send to nobody."""
    return f"{url}/console/#code={code}"


def _no_code() -> Forbidden:
    return Forbidden("this link was used before, or its time is over; ask for a new one", rule="desk-code")


def _digest(secret: str) -> str:
    return sha256(octets(secret)).hexdigest()
