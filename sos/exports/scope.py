"""What a regulator's package is of: brands, a period, a subject, kinds of events, and what of them is opened.  Pure.

Streams are chosen and taken whole: a stream with one event that was asked for gives all of its lines, so that nobody
can be shown a piece whose rest says otherwise, and the verifier counts them from 1 on.  Lines hold no personal data;
opened is only what was asked for.
"""

from datetime import datetime, timedelta, timezone

import msgspec
from msgspec import Struct

from routing.categories import Category
from sos.errors import RuleBroken
from sos.exports.auditors import Scope
from sos.incident.events import (
    KINDS,
    OF_EXPORTS,
    OF_MASS_EVENTS,
    OF_THE_HOUSE,
    Recorded,
    RecordingSealed,
    VehicleRecognised,
)
from sos.incident.model import StreamId
from sos.incident.report import canonical
from sos.settings import EVERY

JAPAN = timezone(timedelta(hours=9), "JST")
"""Days of periods and keys are Japan's."""

OF_NOBODY = OF_THE_HOUSE | OF_MASS_EVENTS | OF_EXPORTS
"""Kinds of streams that are no incident's and no subject's: of those, lines are given and nothing is opened."""


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recipient: str
    """Id of an authority of the settings."""
    brands: tuple[str, ...]
    since: datetime
    until: datetime
    """Not included."""
    subject: str = ""
    """A vehicle or customer of the registry, with the incidents that were recognised as that vehicle's; or one
    incident.  Empty: all."""
    kinds: tuple[str, ...] = ()
    """Event kinds; none named: all."""
    categories: tuple[Category, ...] = ()

    def check(self) -> None:
        """``RuleBroken`` when it is no scope at all."""
        if not self.brands:
            raise RuleBroken("scope-brands", "name the brands")
        if self.since.tzinfo is None or self.until.tzinfo is None or self.since >= self.until:
            raise RuleBroken("scope-period", "a period has a beginning and a later end, each with its offset from UTC")
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise RuleBroken("scope-kinds", f"{unknown[0]} is no kind of event")

    def within(self, scope: Scope, *, whose: str) -> None:
        """``RuleBroken`` when it goes beyond what ``whose`` scope is."""
        beyond = set(self.brands) - scope.brands
        if not scope.every_brand and beyond:
            raise RuleBroken("beyond-scope", f"{min(beyond)}: not among the brands of {whose}")
        closed = set(self.categories) - scope.categories
        if EVERY not in scope.categories and closed:
            raise RuleBroken("beyond-scope", f"{min(closed)}: not among the categories of {whose}")

    def covers(self, recorded: Recorded) -> bool:
        return EVERY in self.brands or recorded.tenant in self.brands

    def concerns(self, recorded: Recorded) -> bool:
        """Whether the event says that its stream is the subject's."""
        event = recorded.event
        named = isinstance(event, VehicleRecognised) and event.record == self.subject
        return not self.subject or named or recorded.stream == self.subject

    def wants(self, recorded: Recorded) -> bool:
        """Whether the event is one of those asked for, apart from the subject."""
        kind = type(recorded.event).__name__
        return self.since <= recorded.at < self.until and (not self.kinds or kind in self.kinds)

    def opens(self, recorded: Recorded) -> tuple[Category, ...]:
        """What of the event is to be opened, in order."""
        if not self.wants(recorded) or type(recorded.event) in OF_NOBODY:
            return ()
        return tuple(sorted(set(recorded.commitments) & set(self.categories)))

    def plays(self, recorded: Recorded) -> bool:
        """Whether the sound of a recording belongs into the package."""
        return isinstance(recorded.event, RecordingSealed) and Category.AUD in self.opens(recorded)

    @property
    def told(self) -> bytes:
        """In its one spelling, the same for everybody who asks for the same."""
        return canonical(
            msgspec.structs.replace(
                self,
                brands=tuple(sorted(set(self.brands))),
                kinds=tuple(sorted(set(self.kinds))),
                categories=tuple(sorted(set(self.categories))),
            )
        )


class Chosen(Struct, frozen=True, kw_only=True):
    """What was found in the log."""

    streams: frozenset[StreamId]
    lines: int
    bytes: int
    """Of the lines, each with its line end."""
