"""What the rights desk does, step by step: each is an event before it has an effect, and is refused in order's name.

1. A request is received.  2. Somebody sees whether it is the person.  3. Everything is searched for.  4. What is only
a hint is confirmed or denied.  5. The answer is made, told to the journal, and handed over; or it is refused with the
rule, the reason and who hears a complaint; or it takes longer, once, with the reason.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from routing.categories import Category
from sos.errors import Refused
from sos.incident import events as e
from sos.incident.events import Draft
from sos.incident.model import StreamId, TenantId
from sos.incident.report import canonical
from sos.rights.answer import Answering, Wanted
from sos.rights.ledger import HOUSE, RightsLedger, draft
from sos.rights.page import write_page
from sos.rights.request import RightsRequest
from sos.rights.search import Claim, Found, Search
from sos.rights.terms import ANSWERED_WITH_A_DOCUMENT, IDENTITY, RightsTerms

Code = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,64}$")]

CHANNELS = ("letter", "counter", "telephone", "mail")


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request as it comes in."""

    right: str
    channel: str
    claim: Claim
    brand: str = HOUSE
    """The brand that was asked; the house itself where it was."""


class Shown(Struct, frozen=True, kw_only=True):
    """A request with who asked and what they said, for who may see it."""

    state: RightsRequest
    claim: Claim


class Made(Struct, frozen=True, kw_only=True):
    """An answer that may be handed over: the journal has it."""

    state: RightsRequest
    document: bytes
    page: bytes | None
    """As PDF; None where this machine has no Japanese font."""
    fee_yen: int


class RightsDesk:
    def __init__(self, ledger: RightsLedger, search: Search, answering: Answering, terms: RightsTerms) -> None:
        self.ledger = ledger
        self.terms = terms
        self._search = search
        self._answering = answering

    async def receive(self, asked: Asked, *, by: str) -> RightsRequest:
        """Take a request in; its clock runs from now."""
        self.terms.the_right(asked.right)
        if asked.channel not in CHANNELS:
            raise Refused(f"it came by {', '.join(CHANNELS)}")
        received = e.RightAsked(
            right=asked.right,
            channel=asked.channel,
            terms=self.terms.digest,
            due_at=self.ledger.clock.now() + self.terms.within,
        )
        claim = asked.claim
        said = draft(
            received,
            PER=canonical({"name": claim.name}),
            TEL=canonical({"tels": list(claim.tel)}) if claim.tel else b"",
            VEH=canonical({"keys": claim.vehicles}) if claim.vehicles else b"",
            OBS=canonical({"words": claim.words, "contact": claim.contact}),
        )
        return await self.ledger.begin(said, tenant=TenantId(asked.brand), actor=by)

    async def show(self, request: str, *, by: str, purpose: str = "person") -> Shown:
        """Who asked, and what they said; that somebody looks is in the journal first."""
        state = await self.ledger.change(request, lambda _: (draft(e.RightRead(reader=by, purpose=purpose)),), actor=by)
        return Shown(state=state, claim=await self._claim(request))

    async def check(self, request: str, *, proved: bool, shown: Sequence[str], words: str, by: str) -> RightsRequest:
        """Say whether it is the person; who is not is refused at once."""
        if strange := {*shown} - {*self.terms.proofs}:
            raise Refused(f"{min(strange)!r} proves nobody; it is one of {', '.join(self.terms.proofs)}")
        _needed(words, "say what was seen")
        checked = draft(e.AskerChecked(proved=proved, shown=tuple(shown), by=by), OBS=_text(words))
        refused = draft(e.RightRefused(rule=IDENTITY, by=by), OBS=_text(words))
        return await self.ledger.change(request, lambda _: (checked,) if proved else (checked, refused), actor=by)

    async def extend(self, request: str, *, reason: str, words: str, by: str) -> RightsRequest:
        """It takes longer, once, by what the terms allow."""
        self.terms.the_extension(reason)
        _needed(words, "the person is told why: say it")

        def decide(state: RightsRequest) -> tuple[Draft, ...]:
            due = (state.due_at or self.ledger.clock.now()) + self.terms.extended
            return (draft(e.RightExtended(reason=reason, due_at=due, by=by), OBS=_text(words)),)

        return await self.ledger.change(request, decide, actor=by)

    async def refuse(self, request: str, *, rule: str, words: str, by: str) -> RightsRequest:
        """Refuse it by a rule that holds for this right, with the reason."""
        _needed(words, "the person is told why (Art. 36): say it")

        def decide(state: RightsRequest) -> tuple[Draft, ...]:
            self.terms.the_refusal(rule, state.right)
            return (draft(e.RightRefused(rule=rule, by=by), OBS=_text(words)),)

        return await self.ledger.change(request, decide, actor=by)

    async def find(self, request: str, *, by: str) -> Found:
        """Everything about the person; what was found is in the journal before anybody is shown it."""
        state = await self.ledger.load(request)
        state.prove()
        claim = await self._claim(request)
        found = await self._search.everything(claim, brand=state.tenant, but=state.request)
        event = e.AskersDataSearched(
            sure=tuple(each.stream for each in found.sure), maybe=tuple(each.stream for each in found.maybe), by=by
        )
        await self.ledger.change(request, lambda _: (draft(event),), actor=by)
        return found

    async def confirm(self, request: str, stream: StreamId, *, theirs: bool, words: str, by: str) -> RightsRequest:
        """Say that a stream that was found is about the person, or is not, and how that is known."""
        _needed(words, "say how it is known")
        event = e.AskersDataConfirmed(stream=stream, theirs=theirs, by=by)
        return await self.ledger.change(request, lambda _: (draft(event, OBS=_text(words)),), actor=by)

    async def done(self, request: str, *, words: str, by: str) -> RightsRequest:
        """What was asked is done, and the person was told so."""
        _needed(words, "say what the person was told")
        return await self.ledger.change(request, lambda _: (draft(e.RightDone(by=by), OBS=_text(words)),), actor=by)

    async def answer(
        self,
        request: str,
        *,
        by: str,
        words_read: bool = False,
        inquiries: bool = False,
        fee_paid: bool = False,
    ) -> Made:
        """Make the answer.  The journal has each access before the data is read, and the answer before it is given."""
        state = await self.ledger.load(request)
        copy, fee = self._copy(state, fee_paid=fee_paid)
        wanted = Wanted(
            request=state,
            claim=await self._claim(request),
            reader=by,
            why=f"rights request {request}",
            words_read=words_read,
            inquiries=inquiries,
        )
        answer = await self._answering.answer(wanted, copy=copy, fee_yen=fee)
        document = canonical(answer.document)
        page = await asyncio.to_thread(write_page, answer.document)
        event = e.RightAnswered(
            digest=sha256(document).hexdigest(),
            streams=state.theirs,
            disclosures=answer.disclosures,
            withheld=answer.withheld,
            words=words_read,
            copy=copy,
            fee_yen=fee,
            by=by,
        )
        after = await self.ledger.change(request, lambda _: (draft(event),), actor=by)
        return Made(state=after, document=document, page=page, fee_yen=fee)

    def _copy(self, state: RightsRequest, *, fee_paid: bool) -> tuple[int, int]:
        """The how many-th copy it is, and what it costs.  ``Refused`` where nobody may have one yet."""
        state.prove()
        if state.right not in ANSWERED_WITH_A_DOCUMENT:
            raise Refused(f"{state.right} is not answered with a document")
        if not state.searched:
            raise Refused("nothing was searched for yet")
        fee = self.terms.fee_yen if state.copies >= self.terms.free_copies else 0
        if fee and not fee_paid:
            raise Refused(f"fee-not-paid: a further copy costs {fee} yen (Art. 38)")
        return state.copies + 1, fee

    async def _claim(self, request: str) -> Claim:
        said = await self.ledger.said(request)
        told: dict[str, Any] = {}
        for payload in (said[category] for category in Category if category in said):
            told |= msgspec.json.decode(payload)
        named = {"tel": told.pop("tels", []), "vehicles": told.pop("keys", [])}
        return msgspec.convert(told | named, Claim)


def _text(words: str) -> bytes:
    return canonical({"text": words.strip()}) if words.strip() else b""


def _needed(words: str, otherwise: str) -> None:
    if not words.strip():
        raise Refused(otherwise)
