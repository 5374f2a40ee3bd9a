"""The card: what is left to work with when almost everything is down.

One page of text: whom to call and on which number, where it was last known to be, which vehicle, who can be called
back.  It is made of the report and the directory alone: no database, no boundary layer, no geocoder, no law engine.
Without a place it names the default agencies, and it always names somebody.  Telling by voice in a live emergency is
the operator's to decide; the card says so and asks for it to be recorded afterwards.

Pure: values in, a card out, a card in, text or a page out.
"""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct, to_builtins

from routing.brief.crash import Hazard, crash_facts
from routing.brief.crash_words import HAZARDS, force
from routing.directory import Agency, Directory
from routing.services import Service
from sos.dispatch.ladder import numbers
from sos.incident.model import AgencyId, IncidentId, Mode
from sos.incident.report import Crash, EmergencyReport, Vehicle

CALLED = (Service.FIRE, Service.POLICE, Service.COAST_GUARD)
"""Who stands on a card when there is no plan; medical help comes with the fire service's ambulances (119)."""

WALL = ZoneInfo("Asia/Tokyo")

Language = Literal["ja", "en"]


class Line(Struct, frozen=True, kw_only=True):
    """One agency to call."""

    agency: str
    name_ja: str
    name_en: str
    numbers: tuple[str, ...]
    """In the order in which they are tried; empty: no number is known."""
    default: bool


class Card(Struct, frozen=True, kw_only=True):
    incident: IncidentId
    mode: Mode
    made_at: datetime
    reported_at: datetime
    lines: tuple[Line, ...]
    latitude: float | None
    longitude: float | None
    accuracy_m: float | None
    located_at: datetime | None
    """Time of the fix; None: not known."""
    recent: tuple[tuple[float, float], ...]
    """Positions just before, the last one first."""
    place: str | None
    vehicle: tuple[str, ...]
    crash: tuple[str, ...]
    call_back: str | None
    planned: bool
    """False: nobody worked out who is responsible; the lines are those of the default agencies."""


def card_of(
    report: EmergencyReport,
    *,
    incident: IncidentId,
    mode: Mode,
    reported_at: datetime,
    now: datetime,
    directory: Directory,
    agencies: Sequence[AgencyId] = (),
    place: str | None = None,
) -> Card:
    """The card of a report.  ``agencies``: the plan's, when there is one."""
    known = [agency for each in agencies if (agency := directory.agencies.get(each)) is not None]
    fallback = [directory.responsible(service, None) for service in CALLED]
    shown = list({agency.id: agency for agency in (*known, *fallback)}.values())
    location = report.location
    return Card(
        incident=incident,
        mode=mode,
        made_at=now,
        reported_at=reported_at,
        lines=tuple(_line(agency, directory) for agency in shown),
        latitude=location.latitude,
        longitude=location.longitude,
        accuracy_m=location.horizontal_accuracy,
        located_at=location.timestamp,
        recent=tuple((fix.latitude, fix.longitude) for fix in location.recent),
        place=place,
        vehicle=_vehicle(report.vehicle),
        crash=_crash(report.crash, report.vehicle),
        call_back=report.call_back.tel,
        planned=bool(known),
    )


def _line(agency: Agency, directory: Directory) -> Line:
    found = numbers(agency, directory)
    ordered = dict.fromkeys(found[line] for line in ("first", "second", "joint") if line in found)
    return Line(
        agency=agency.id,
        name_ja=agency.name_ja,
        name_en=agency.name_en,
        numbers=tuple(ordered),
        default=agency.default,
    )


def _vehicle(vehicle: Vehicle) -> tuple[str, ...]:
    occupants = f"occupants {vehicle.occupants}" if vehicle.occupants is not None else None
    seen = (vehicle.brand, vehicle.model, vehicle.exterior_color, vehicle.license_plate)
    return _known(*seen, occupants, *vehicle.energy)


def _crash(crash: Crash, vehicle: Vehicle) -> tuple[str, ...]:
    """Hazards in capitals, then how hard and from where: what the brief would say of them."""
    facts = crash_facts(to_builtins(crash), to_builtins(vehicle))
    unsure = Hazard.ROLLOVER not in facts.hazards and (crash.rollover or "none").lower() != "none"
    return _known(
        *(HAZARDS[hazard][1].upper() for hazard in facts.hazards),
        f"delta-V {force(facts, 'en')}" if facts.delta_v_kmh is not None else None,
        "sender: severe injury" if facts.sender_severe else None,
        "airbag" if facts.airbag_deployed else None,
        f"impact {facts.impact}" if facts.impact else None,
        f"rollover {crash.rollover}" if unsure else None,
    )


def _known(*values: str | None) -> tuple[str, ...]:
    return tuple(value for value in values if value)


_WORDS: dict[str, tuple[str, str]] = {
    "title": ("緊急通報カード(縮退運転)", "Emergency card (degraded)"),
    "drill": ("訓練: 実際の出動は不要です", "EXERCISE: send nobody"),
    "test": ("試験通報: どこにも通報しない", "TEST CALL: tell nobody"),
    "reported": ("受信", "Received"),
    "call": ("ここへ電話する", "Call"),
    "default": ("管轄不明のため既定の機関", "default agencies: responsibility was not worked out"),
    "none": ("番号の登録なし", "no number is known"),
    "where": ("最後に分かっている位置", "Last known position"),
    "unknown": ("不明。通話で確認する", "unknown: ask the caller"),
    "before": ("直前の位置", "Just before"),
    "vehicle": ("車両", "Vehicle"),
    "crash": ("衝突", "Crash"),
    "back": ("折り返し先", "Call back"),
    "note": (
        "生命の危険が切迫していれば、位置・車両・状況を口頭で伝えてよい。伝えた相手と時刻を控え、復旧後に記録する。",
        "With life in danger, place, vehicle and condition may be told by voice. Note whom and when; record it later.",
    ),
}


def _say(word: str, language: Language) -> str:
    return _WORDS[word][0 if language == "ja" else 1]


def facts(card: Card, language: Language) -> list[tuple[str, str]]:
    """What a card says, as heading and text, in the order in which it is needed."""
    rows = [(_say("reported", language), _time(card.reported_at))]
    call = _say("call", language) + ("" if card.planned else f" ({_say('default', language)})")
    for line in card.lines:
        name = line.name_ja if language == "ja" else line.name_en
        rows.append((call, f"{name}: {' / '.join(line.numbers) or _say('none', language)}"))
    rows.append((_say("where", language), _where(card, language)))
    rows += [(_say("before", language), f"{latitude:.5f}, {longitude:.5f}") for latitude, longitude in card.recent[:2]]
    rows.append((_say("vehicle", language), ", ".join(card.vehicle) or _say("unknown", language)))
    rows.append((_say("crash", language), ", ".join(card.crash) or _say("unknown", language)))
    rows.append((_say("back", language), card.call_back or _say("unknown", language)))
    return rows


def _time(instant: datetime) -> str:
    """As the clock on the wall says it, with the offset, since the card leaves the screen."""
    return instant.astimezone(WALL).isoformat(sep=" ", timespec="seconds")


def _where(card: Card, language: Language) -> str:
    if card.latitude is None or card.longitude is None:
        return _say("unknown", language)
    parts = [card.place or "", f"{card.latitude:.5f}, {card.longitude:.5f}"]
    if card.accuracy_m is not None:
        parts.append(f"±{card.accuracy_m:.0f} m")
    if card.located_at is not None:
        parts.append(_time(card.located_at))
    return "  ".join(part for part in parts if part)


def _banner(card: Card, language: Language) -> str | None:
    names = {Mode.DRILL: "drill", Mode.TEST: "test"}
    return _say(names[card.mode], language) if card.mode in names else None


def text(card: Card, language: Language) -> str:
    """The card as plain text, for a printer or for reading aloud."""
    lines = [_say("title", language), card.incident]
    if banner := _banner(card, language):
        lines.append(banner)
    lines += [f"{heading}: {said}" for heading, said in facts(card, language)]
    return "\n".join((*lines, _say("note", language))) + "\n"


_STYLE = """
@page{size:A4;margin:15mm}body{font:14pt/1.5 "Noto Sans CJK JP",sans-serif;margin:1rem auto;max-width:180mm;color:#000}
h1{font-size:18pt;border-bottom:2pt solid #000}table{border-collapse:collapse;width:100%}
th,td{border:1pt solid #000;padding:.3rem .5rem;text-align:left;vertical-align:top}th{width:32%;font-weight:600}
.banner{border:3pt solid #000;padding:.4rem;font-weight:700}
"""


def page(card: Card) -> str:
    """The card as one printable page in Japanese and English; everything in it is escaped."""
    parts = []
    for language in ("ja", "en"):
        banner = _banner(card, language)
        rows = "".join(f"<tr><th>{escape(h)}</th><td>{escape(said)}</td></tr>" for h, said in facts(card, language))
        parts.append(
            f'<section lang="{language}"><h1>{escape(_say("title", language))}</h1><p>{escape(card.incident)}</p>'
            + (f'<p class="banner">{escape(banner)}</p>' if banner else "")
            + f"<table>{rows}</table><p>{escape(_say('note', language))}</p></section>"
        )
    return (
        '<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(card.incident)}</title><style>{_STYLE}</style>{''.join(parts)}</html>"
    )
