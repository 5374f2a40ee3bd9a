"""The code in a brief: whoever telephones about an incident names it, and is brought to it from whatever number.

Networks let a caller show any number or none, so the number that an agency calls from is a hint and the code is what
it was told.  Eight digits, made from a secret of the house and the disclosure: nothing is kept, a restart changes
nothing, and each disclosure has its own.  It ends with the agency's part in the incident and with the incident.

*Guessing.*  Among the ten thousand disclosures that may be open at most, one guess in ten thousand would hit one;
``guesses`` says how often somebody may be wrong.  A try is as much work as one look into an index, whatever is open.
A right one tells the caller nothing: who telephoned is taken into the call of the incident that is meant, where an
operator of ours talks with them, or is rung for.
"""

import hmac
from collections.abc import Callable, Sequence
from uuid import NAMESPACE_URL, uuid5

import msgspec
import structlog
from msgspec import Struct

from routing.categories import Category
from sos.dispatch.endings import part_is_over
from sos.dispatch.guesses import Guesser, Guesses
from sos.errors import Refused
from sos.incident.commands import ConfirmMatch, InviteLeg, LeaveLeg, RaiseAlarm, TransferLeg
from sos.incident.events import DisclosureDecided, IncidentClosed, KeysPressed, Recorded, ReportFiled
from sos.incident.model import (
    AgencyId,
    AlarmKind,
    DisclosureId,
    Incident,
    IncidentId,
    Leg,
    LegId,
    Party,
    Relation,
    State,
)
from sos.incident.report import CallBack
from sos.journal.journal import Journal

log = structlog.get_logger()

DIGITS = 8

LOOKED_THROUGH = 10_000
"""Incidents that are looked through once, after a start."""

ACTOR = "system:codes"

TOLD = (State.HANDING_OVER, State.HANDED_OVER)
"""States of an incident of which somebody was told and that is not closed."""

CodeOf = Callable[[str], str]
"""The code of a disclosure."""

_call_back = msgspec.json.Decoder(CallBack)


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


class Index:
    """What each code of an open incident means, so that a try costs no more than one look.

    It is filled once from what is open, and from then on by each decision to tell somebody (``Codes.handle``).  What it
    finds is looked at as it is now: it may have ended since.
    """

    def __init__(self, journal: Journal, of: CodeOf) -> None:
        self._journal = journal
        self._of = of
        self._meant: dict[str, set[tuple[IncidentId, DisclosureId]]] = {}
        self._codes: dict[IncidentId, set[str]] = {}
        self._filled = False

    def put(self, incident: Incident) -> None:
        for known in incident.disclosures:
            code = self._of(known.disclosure)
            self._meant.setdefault(code, set()).add((incident.id, known.disclosure))
            self._codes.setdefault(incident.id, set()).add(code)

    def drop(self, incident: IncidentId) -> None:
        for code in self._codes.pop(incident, ()):
            left = {each for each in self._meant[code] if each[0] != incident}
            if left:
                self._meant[code] = left
            else:
                del self._meant[code]

    async def find(self, digits: str) -> About | None:
        """What ``digits`` mean; None when nothing that is open, or more than one thing: then a person asks."""
        if not self._filled:
            _, told = await self._journal.queue(limit=LOOKED_THROUGH, states=TOLD)
            for each in told:
                self.put(each)
            self._filled = True
        found = set()
        for incident, disclosure in self._meant.get(digits, ()):
            state = await self._journal.state(incident)
            known = state.disclosure(disclosure)
            if known is not None and state.state in TOLD and not over(state, disclosure):
                found.add(About(incident, known.agency))
        return found.pop() if len(found) == 1 else None


class Codes:
    """Finds the incident that a code means, and joins the call to it.  Also a reader, of keys pressed in a call."""

    WANTS = (KeysPressed, DisclosureDecided, IncidentClosed)

    def __init__(self, journal: Journal, of: CodeOf, *, moves: bool = False, guesses: Guesses | None = None) -> None:
        """``moves``: calls come by telephone, and can be taken from one incident into another."""
        self._journal = journal
        self._moves = moves
        self._index = Index(journal, of)
        self._guesses = guesses or Guesses(journal.clock)

    async def handle(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            match recorded.event:
                case KeysPressed():
                    await self._keyed(recorded, recorded.event)
                case DisclosureDecided():
                    self._index.put(await self._journal.state(recorded.incident))
                case IncidentClosed():
                    self._index.drop(recorded.incident)

    async def join(self, call: IncidentId, code: str, *, actor: str) -> About:
        """Note on the record that the call of ``call`` is about the incident that ``code`` means.

        ``Refused`` when it means none, and after too many that did not.
        """
        return await self._join(call, code, leg=None, guesser=Guesser(who=actor), actor=actor)

    async def _join(self, call: IncidentId, code: str, *, leg: LegId | None, guesser: Guesser, actor: str) -> About:
        digits = "".join(each for each in code if each in "0123456789")
        self._guesses.check(guesser)
        about = await self._index.find(digits) if len(digits) == DIGITS else None
        if about is None or about.incident == call:
            await self._wrong(call, guesser)
            raise Refused("this is the code of nothing that is open")
        if not voice_alone(await self._journal.state(call)):  # a car must not be taken away, nor cease to be missed
            raise Refused("a vehicle has reported here: this is no call of an agency")
        reasons = ("code", about.agency)
        for one, other in ((call, about.incident), (about.incident, call)):
            relation = Relation.CALLS_ABOUT if one == call else Relation.CALLED_ABOUT
            match = ConfirmMatch(other=other, relation=relation, reasons=reasons)
            await self._journal.execute(one, match, actor=actor)
        log.info("agency_named_its_incident", call=call, incident=about.incident, agency=about.agency)
        await self._bring(call, leg, about, actor=actor)
        return about

    async def _bring(self, call: IncidentId, leg: LegId | None, about: About, *, actor: str) -> None:
        """Have whoever named the code taken into the call of their incident, out of the one that they opened.

        Each leg of theirs becomes one other leg, however often this is done.
        """
        caller = _caller(await self._journal.state(call), leg) if self._moves else None
        if caller is None:
            return
        as_leg = LegId(str(uuid5(NAMESPACE_URL, f"transfer:{caller.leg}:{about.incident}")))
        invited = InviteLeg(leg=as_leg, party=Party.AGENCY, who=about.agency, called_in=True)
        await self._journal.execute(about.incident, invited, actor=actor)
        moved = TransferLeg(leg=caller.leg, to=about.incident, as_leg=as_leg)
        if not (await self._journal.execute(call, moved, actor=actor)).recorded:  # hung up meanwhile
            await self._journal.execute(about.incident, LeaveLeg(leg=as_leg, reason="ended"), actor=actor)

    async def _wrong(self, call: IncidentId, guesser: Guesser) -> None:
        """Nobody is wrong so often by mistake: then people of ours hear of it."""
        if self._guesses.wrong(guesser):
            log.error("codes_are_guessed", call=call)
            await self._journal.execute(call, RaiseAlarm(why=AlarmKind.GUESSING), actor=ACTOR)

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
        guesser = await self._dialler(pressed, event)
        try:
            await self._join(pressed.incident, code, leg=event.leg, guesser=guesser, actor=f"{ACTOR}:{event.leg}")
        except Refused as wrong:
            log.info("code_refused", incident=pressed.incident, leg=event.leg, reason=str(wrong))

    async def _dialler(self, pressed: Recorded, event: KeysPressed) -> Guesser:
        """By the number that their call came from, else by the call itself."""
        parts = await self._journal.unseal(pressed.incident, (Category.TEL,))
        shown = [_call_back.decode(part.payload).tel for part in parts if isinstance(part.recorded.event, ReportFiled)]
        known = next((tel for tel in reversed(shown) if tel), None)
        return Guesser(who=f"tel:{known}" if known else f"leg:{event.leg}", line=pressed.tenant)


def _caller(call: Incident, leg: LegId | None) -> Leg | None:
    """Who has telephoned, and is there: on ``leg``, or else the one whom the operator talks with."""
    there = [each for each in call.legs if each.up and each.party in (Party.VEHICLE, Party.AGENCY)]
    if leg is not None:
        return next((each for each in there if each.leg == leg), None)
    return there[0] if len(there) == 1 else None


def voice_alone(call: Incident) -> bool:
    """Whether it was opened by a call that brought no data, and none has come since."""
    return "no_data" in call.flags and len(call.reports) == 1


def over(incident: Incident, disclosure: str) -> bool:
    """Whether a code has ended: with the incident, or with the agency's part in it."""
    known = next((each for each in incident.disclosures if each.disclosure == disclosure), None)
    return known is None or incident.state is State.CLOSED or part_is_over(incident, known) is not None
