"""The rights desk's door for whoever answers for personal data: a supervisor's session at a desk, and nobody else's.

The same steps as ``sos rights``, each an event before it has an effect.  What makes something due to be destroyed stays
with the command, beside the two people who agree to it.
"""

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from routing.categories import Category
from sos.accesses import tell
from sos.errors import Forbidden
from sos.formats.body import read
from sos.incident.model import SubjectId
from sos.rights.changing import Changing, Correction
from sos.rights.desk import Asked, RightsDesk, Shown
from sos.rights.request import RightsRequest
from sos.rights.search import Found, Line

Words = Annotated[str, Meta(max_length=10_000)]


class Officer(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def supervisor(self) -> bool: ...


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """One step of a request; ``do`` names it."""

    why: Words = ""
    """In one's own words; they are sealed."""


class CheckAsker(Step, frozen=True, kw_only=True, tag="check"):
    proved: bool
    shown: Annotated[tuple[Line, ...], Meta(max_length=16)] = ()


class FindTheirs(Step, frozen=True, kw_only=True, tag="find"):
    pass


class ConfirmTheirs(Step, frozen=True, kw_only=True, tag="confirm"):
    stream: Line
    theirs: bool


class ExtendTime(Step, frozen=True, kw_only=True, tag="extend"):
    reason: Line


class RefuseRight(Step, frozen=True, kw_only=True, tag="refuse"):
    rule: Line


class CorrectData(Step, frozen=True, kw_only=True, tag="correct"):
    stream: Line
    category: Category
    field: Line
    value: Words


class SayDone(Step, frozen=True, kw_only=True, tag="done"):
    pass


AnyStep = CheckAsker | FindTheirs | ConfirmTheirs | ExtendTime | RefuseRight | CorrectData | SayDone


class AnswerWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    words_read: bool = False
    """Somebody has read the free words: they are given."""
    inquiries: bool = False
    """Inquiries are told of: it hinders nothing."""
    fee_paid: bool = False
    page: bool = False
    """As PDF instead of JSON; each is a copy."""


class RightsList(Struct, frozen=True, kw_only=True):
    requests: tuple[RightsRequest, ...]


class RightsEndpoint:
    def __init__(self, desk: RightsDesk, changing: Changing, *, at_desk: Callable[[web.Request], Officer]) -> None:
        """``at_desk``: who asks, from a page of ours; it refuses everybody else."""
        self._desk = desk
        self._changing = changing
        self._at_desk = at_desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/rights", self._list),
            web.post("/v1/rights", self._receive),
            web.get("/v1/rights/{request}", self._show),
            web.post("/v1/rights/{request}/steps", self._step),
            web.post("/v1/rights/{request}/answer", self._answer),
        ]

    def _by(self, request: web.Request) -> str:
        officer = self._at_desk(request)
        if not officer.supervisor:
            raise Forbidden("only a supervisor answers for personal data", rule="supervisor", account=officer.id)
        return f"operator:{officer.id}"

    async def _list(self, request: web.Request) -> web.Response:
        self._by(request)
        return _json(RightsList(requests=tuple(await self._desk.ledger.all())))

    async def _receive(self, request: web.Request) -> web.Response:
        by = self._by(request)
        asked = read(_asked, await request.read(), expected="say which right, who asks and how it came")
        return _json(await self._desk.receive(asked, by=by), status=201)

    async def _show(self, request: web.Request) -> web.Response:
        by = self._by(request)
        return _json(await self._desk.show(request.match_info["request"], by=by))

    async def _step(self, request: web.Request) -> web.Response:
        by = self._by(request)
        step = read(_step, await request.read(), expected="say which step, and what it needs")
        return _json(await self._do(request.match_info["request"], step, by))

    async def _do(self, named: str, step: AnyStep, by: str) -> RightsRequest | Found:
        match step:
            case CheckAsker():
                return await self._desk.check(named, proved=step.proved, shown=step.shown, words=step.why, by=by)
            case FindTheirs():
                return await self._desk.find(named, by=by)
            case ConfirmTheirs():
                stream = SubjectId(step.stream)
                return await self._desk.confirm(named, stream, theirs=step.theirs, words=step.why, by=by)
            case ExtendTime():
                return await self._desk.extend(named, reason=step.reason, words=step.why, by=by)
            case RefuseRight():
                return await self._desk.refuse(named, rule=step.rule, words=step.why, by=by)
            case CorrectData():
                change = Correction(
                    stream=SubjectId(step.stream), category=step.category, field=step.field, value=step.value
                )
                return await self._changing.correct(named, change, words=step.why, by=by)
            case SayDone():
                return await self._desk.done(named, words=step.why, by=by)

    async def _answer(self, request: web.Request) -> web.Response:
        by = self._by(request)
        wanted = read(_wanted, await request.read(), expected="say how far the answer goes")
        named = request.match_info["request"]
        made = await self._desk.answer(
            named, by=by, words_read=wanted.words_read, inquiries=wanted.inquiries, fee_paid=wanted.fee_paid
        )
        tell(request, "answered", who=by, about=made.state.request)
        headers = {"Cache-Control": "no-store", "Sos-Copy": str(made.state.copies)}
        if wanted.page and made.page is not None:
            return web.Response(body=made.page, content_type="application/pdf", headers=headers)
        return web.Response(body=made.document, content_type="application/json", headers=headers)


_asked = msgspec.json.Decoder(Asked)
_step = msgspec.json.Decoder(AnyStep)
_wanted = msgspec.json.Decoder(AnswerWanted)


def _json(value: RightsRequest | RightsList | Shown | Found, *, status: int = 200) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
