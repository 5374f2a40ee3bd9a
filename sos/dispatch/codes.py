"""The code in a brief: whoever telephones about an incident names it, and is brought to it from whatever number.

Networks let a caller show any number or none, so the number that an agency calls from is a hint and the code is what
it was told.  Eight digits, made from a secret of the house and the disclosure: nothing is kept, a restart changes
nothing, and each disclosure has its own.  It ends with the agency's part in the incident and with the incident.

*Guessing.*  Among the ten thousand disclosures that may be open at most, one guess in ten thousand would hit one; after
``WRONG_OF_ONE`` wrong ones from one call or desk, and ``WRONG_OF_ALL`` from all of them, in ten minutes, none is
looked at.  A right one tells the caller nothing: an operator of ours hears which incident is meant.
"""

import hmac
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from sos.clock import Clock
from sos.dispatch.endings import part_is_over
from sos.errors import Refused
from sos.incident.commands import ConfirmMatch
from sos.incident.events import KeysPressed, Recorded
from sos.incident.model import AgencyId, Incident, IncidentId, Relation, State
from sos.journal.journal import Journal

log = structlog.get_logger()

DIGITS = 8

WRONG_OF_ONE = 5
WRONG_OF_ALL = 50
WITHIN = timedelta(minutes=10)

LOOKED_THROUGH = 10_000
"""Incidents among which the one that is meant is looked for."""

ACTOR = "system:codes"

TOLD = (State.HANDING_OVER, State.HANDED_OVER)
"""States of an incident of which somebody was told and that is not closed."""

CodeOf = Callable[[str], str]
"""The code of a disclosure."""


class About(Struct, frozen=True):
    """What a code means."""

    incident: IncidentId
    agency: AgencyId


def code_of(secret: bytes) -> CodeOf:
    """Makes codes of the ids of disclosures."""

    def code(disclosure: str) -> str:
        made = hmac.digest(secret, f"code|{disclosure}".encode(), "sha256")
        return f"{int.from_bytes(made[:8], 'big') % 10**DIGITS:0{DIGITS}d}"

    return code


class Guesses:
    """How often somebody was wrong lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: deque[tuple[datetime, str]] = deque()

    def check(self, who: str) -> None:
        """``Refused`` after too many wrong ones."""
        since = self._clock.now() - WITHIN
        while self._wrong and self._wrong[0][0] < since:
            self._wrong.popleft()
        mine = sum(guesser == who for _, guesser in self._wrong)
        if mine >= WRONG_OF_ONE or len(self._wrong) >= WRONG_OF_ALL:
            raise Refused("too many wrong codes: none is looked at for ten minutes; ask for the agency and the place")

    def wrong(self, who: str) -> None:
        self._wrong.append((self._clock.now(), who))


class Codes:
    """Finds the incident that a code means, and joins the call to it.  Also a reader, of keys pressed in a call."""

    WANTS = (KeysPressed,)

    def __init__(self, journal: Journal, of: CodeOf) -> None:
        self._journal = journal
        self._of = of
        self._guesses = Guesses(journal.clock)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if isinstance(recorded.event, KeysPressed):
                await self._keyed(recorded, recorded.event)

    async def join(self, call: IncidentId, code: str, *, actor: str) -> About:
        """Note on the record that the call of ``call`` is about the incident that ``code`` means.

        ``Refused`` when it means none, and after too many that did not.
        """
        digits = "".join(each for each in code if each in "0123456789")
        self._guesses.check(actor)
        about = await self._meant(digits) if len(digits) == DIGITS else None
        if about is None or about.incident == call:
            self._guesses.wrong(actor)
            raise Refused("this is the code of nothing that is open")
        reasons = ("code", about.agency)
        for one, other in ((call, about.incident), (about.incident, call)):
            relation = Relation.CALLS_ABOUT if one == call else Relation.CALLED_ABOUT
            match = ConfirmMatch(other=other, relation=relation, reasons=reasons)
            await self._journal.execute(one, match, actor=actor)
        log.info("agency_named_its_incident", call=call, incident=about.incident, agency=about.agency)
        return about

    async def _meant(self, digits: str) -> About | None:
        _, told = await self._journal.queue(limit=LOOKED_THROUGH, states=TOLD)
        for incident in told:
            for known in incident.disclosures:
                if hmac.compare_digest(self._of(known.disclosure), digits) and not over(incident, known.disclosure):
                    return About(incident.id, known.agency)
        return None

    async def _keyed(self, pressed: Recorded, event: KeysPressed) -> None:
        """Eight digits and then #, on whichever leg: nobody's answer to a question has as many."""
        if not event.keys.endswith("#"):
            return  # nothing ends here: whoever keeps pressing keys has nothing read for it
        stream = await self._journal.store.stream(pressed.incident)
        keys = "".join(
            each.event.keys
            for each in stream
            if isinstance(each.event, KeysPressed) and each.event.leg == event.leg and each.n <= pressed.n
        )
        before, ended, after = keys.rpartition("#")
        code = before.rpartition("#")[2].rpartition("*")[2][-DIGITS:]
        if not ended or after or len(code) < DIGITS:
            return
        try:
            await self.join(pressed.incident, code, actor=f"{ACTOR}:{event.leg}")
        except Refused as wrong:
            log.info("code_refused", incident=pressed.incident, leg=event.leg, reason=str(wrong))


def over(incident: Incident, disclosure: str) -> bool:
    """Whether a code has ended: with the incident, or with the agency's part in it."""
    known = next((each for each in incident.disclosures if each.disclosure == disclosure), None)
    return known is None or incident.state is State.CLOSED or part_is_over(incident, known) is not None
