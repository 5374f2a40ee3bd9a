"""What is known of an incident, put together from the parts of its events: one section for each data category.

Whatever leaves the house is made from these.  Only kinds of event that are named here say anything of the people and
the place, so what a new kind holds stays inside until somebody has thought about it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from routing.brief.crash import joined
from routing.brief.heard import FIELD
from routing.categories import Category
from sos.incident.events import (
    CardAnswered,
    ConsentRecorded,
    HelpEscalated,
    IncidentOpened,
    KeysPressed,
    LanguageStated,
    MedicalTaken,
    NoteAdded,
    PlaceStated,
    PlanMade,
    RegisteredDataCopied,
    ReportFiled,
    ResponseHeard,
    SeverityJudged,
    VehicleRecognised,
)
from sos.incident.report import canonical
from sos.journal.sealing import Part

HELD = frozenset(Category) - {Category.RAW, Category.AUD, Category.TRK, Category.BIL}
"""What the house may hold that a rescue could need; the rest is not even looked at."""

_OURS = ("borderDistanceM", "runnerUp", "runnerUpName", "municipality", "planning")
"""What a plan says to the operator alone: how sure we are of the place is no help to those who drive there."""

FACTS = (
    IncidentOpened,
    ReportFiled,
    PlanMade,
    PlaceStated,
    VehicleRecognised,
    RegisteredDataCopied,
    SeverityJudged,
    NoteAdded,
    MedicalTaken,
    CardAnswered,
    LanguageStated,
    ConsentRecorded,
    ResponseHeard,
    HelpEscalated,
    KeysPressed,
)
"""Events whose parts say something about the people and the place.  Every other kind's are reasons, copies, other
people's wishes or an address that nobody has verified: a new kind tells nobody anything until it stands here."""

NOTES = (NoteAdded, MedicalTaken)
"""Of these, those that are somebody's words as they were written down."""


def sections(parts: Sequence[Part]) -> Mapping[Category, bytes]:
    """All that is known by category as one JSON object each: later facts over earlier ones, notes in their order, the
    last answer to each question.

    The place is that of the newest plan, whole: no field of it is of another position.
    """
    merged: dict[Category, dict[str, Any]] = {}
    planned, stated = False, ""
    for part in parts:
        if not isinstance(part.recorded.event, FACTS):
            continue
        if isinstance(part.recorded.event, PlaceStated):
            stated = str(msgspec.json.decode(part.payload).get("stated", "")) or stated
            continue
        section = merged.setdefault(part.category, {})
        if isinstance(part.recorded.event, CardAnswered):
            section[FIELD] = _answered(section.get(FIELD, []), msgspec.json.decode(part.payload))
            continue
        if isinstance(part.recorded.event, NOTES):
            section.setdefault("notes", []).append(part.payload.decode())
        elif isinstance(part.recorded.event, PlanMade):
            place = {name: value for name, value in msgspec.json.decode(part.payload).items() if name not in _OURS}
            notes = {"notes": section["notes"]} if "notes" in section else {}
            merged[part.category] = place | notes
            planned = True
        elif not (planned and part.category is Category.LOC):
            told = _of_help(msgspec.json.decode(part.payload))
            shown = {name: value for name, value in told.items() if name not in _OURS}
            merged[part.category] = joined(section, shown) if part.category is Category.SEV else section | shown
    if stated:
        merged.setdefault(Category.LOC, {})["stated"] = stated
    return {category: canonical(section) for category, section in merged.items()}


def _answered(before: list[dict[str, Any]], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The last answer to each question, where the first one stood."""
    by_question = {each["question"]: each for each in before} | {now["question"]: now}
    return list(by_question.values())


def _of_help(told: dict[str, Any]) -> dict[str, Any]:
    """Of a judgement of severity only that somebody may be badly hurt: a low score must calm nobody down, and what it
    was reckoned from may be of categories that are withheld."""
    judged = told.pop("prediction", None)
    if not isinstance(judged, dict) or judged.get("level") not in ("attention", "severe"):
        return told
    score = judged.get("score") or {}
    return told | {"injuryLevel": judged["level"], "injuryRisk": score.get("risk")}
