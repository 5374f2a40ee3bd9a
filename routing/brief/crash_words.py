"""What is known of a crash in words: as rows for what is read, as sentences for what is heard."""

from collections.abc import Iterator

from routing.brief import heard, one_crash
from routing.brief.crash import CrashFacts, Hazard, crash_facts
from routing.brief.document import Brief
from routing.brief.language import Language
from routing.categories import Category

TITLE = ("衝突の要点", "Crash at a glance")

HAZARDS: dict[Hazard, tuple[str, str]] = {
    Hazard.FIRE: ("火災", "fire"),
    Hazard.WATER: ("水没", "in water"),
    Hazard.TRAPPED: ("閉じ込め", "people trapped"),
    Hazard.EJECTED: ("車外放出", "people ejected"),
    Hazard.PEDESTRIAN: ("歩行者の被害", "pedestrian hit"),
    Hazard.FUEL_LEAK: ("燃料漏れ", "fuel leak"),
    Hazard.ROLLOVER: ("横転", "rollover"),
    Hazard.HYDROGEN: ("水素燃料", "hydrogen fuel"),
    Hazard.GAS: ("ガス燃料", "gas fuel"),
    Hazard.HIGH_VOLTAGE: ("高電圧バッテリー", "high-voltage battery"),
}

_NAMES = {
    "hazards": ("危険", "Hazards"),
    "deltaV": ("速度変化", "Delta-V"),
    "clock": ("衝突方向", "Direction of force"),
    "sender": ("送信側の判定(重傷者)", "Sender's verdict (severe injury)"),
    "ours": ("重症の可能性(当方の推定)", "Severe injury (our estimate)"),
    "heard": ("命の危険(通話で確認)", "Danger to life (as heard on the call)"),
    "occupants": ("乗員数(通話で確認)", "People in the car (as heard)"),
    "injured": ("負傷者数(通話で確認)", "People hurt (as heard)"),
}

_SIDES = {
    "front": ("前", "the front"),
    "rear": ("後ろ", "the rear"),
    "left": ("左", "the left"),
    "right": ("右", "the right"),
}

_LEVELS = {"severe": ("高い", "likely"), "attention": ("要注意", "to be watched")}


def facts_of(brief: Brief) -> CrashFacts:
    """The view on what this brief may tell."""
    return crash_facts(brief.sections.get(Category.SEV), brief.sections.get(Category.VEH), heard.all_of(brief.sections))


def glance(brief: Brief, language: Language) -> tuple[tuple[str, str], ...]:
    """Name and words of each thing known, for every written form: first of which crash it is part."""
    facts, column = facts_of(brief), 0 if language == "ja" else 1
    of_this_car = ((_NAMES[name][column], words) for name, words in _glance(facts, language))
    return (*one_crash.rows(brief, language), *of_this_car)


def _glance(facts: CrashFacts, language: Language) -> Iterator[tuple[str, str]]:
    ja = language == "ja"
    if facts.hazards:
        yield "hazards", named(facts.hazards, language)
    if facts.heard_severe:
        yield "heard", "あり" if ja else "yes"
    for name, number in (("occupants", facts.occupants), ("injured", facts.injured)):
        if number is not None:
            yield name, f"{number}名" if ja else str(number)
    if facts.delta_v_kmh is not None:
        yield "deltaV", force(facts, language)
    elif facts.clock is not None:
        yield "clock", _direction(facts, language)
    if facts.sender_severe is not None:
        yield "sender", (("あり" if ja else "yes") if facts.sender_severe else ("なし" if ja else "no"))
    ours = [] if facts.our_level is None else [_LEVELS.get(facts.our_level, (facts.our_level,) * 2)[0 if ja else 1]]
    if facts.our_percent is not None:
        ours.append(f"{facts.our_percent} %")
    if ours:
        yield "ours", " / ".join(ours)


def force(facts: CrashFacts, language: Language) -> str:
    """The change in velocity and where it came from: ``95 km/h from the left (9 o'clock)``."""
    ja = language == "ja"
    least = ("以上" if ja else "at least ") if facts.at_least else ""
    speed = f"{facts.delta_v_kmh} km/h{least}" if ja else f"{least}{facts.delta_v_kmh} km/h"
    return f"{speed} {_direction(facts, language)}".rstrip()


def _direction(facts: CrashFacts, language: Language) -> str:
    if facts.clock is None or facts.side is None:
        return ""
    if language == "ja":
        return f"{_SIDES[facts.side][0]}から({facts.clock}時方向)"
    return f"from {_SIDES[facts.side][1]} ({facts.clock} o'clock)"


def named(hazards: tuple[Hazard, ...], language: Language) -> str:
    column = 0 if language == "ja" else 1
    return ("、", ", ")[column].join(HAZARDS[hazard][column] for hazard in hazards)


def first_said(facts: CrashFacts, language: Language) -> str:
    """The hazards, for the first sentence that is read; what the car carries is one only where it was in a crash."""
    carried = {Hazard.HYDROGEN, Hazard.GAS, Hazard.HIGH_VOLTAGE}
    crashed = bool(set(facts.hazards) - carried) or facts.delta_v_kmh is not None or facts.airbag_deployed is True
    dangers = [named(facts.hazards, language)] if facts.hazards and crashed else []
    if facts.heard_severe:
        dangers.append("命の危険がある人" if language == "ja" else "somebody's life")
    if not dangers:
        return ""
    said = ("、" if language == "ja" else ", ").join(dangers)
    return f"危険、{said}。" if language == "ja" else f"Danger: {said}. "


def how_hard(facts: CrashFacts, language: Language) -> Iterator[str]:
    """How hard and from where, who may be hurt, and what else happened; a verdict that nobody is hurt is not read."""
    ja = language == "ja"
    if facts.delta_v_kmh is not None:
        speed, least = facts.delta_v_kmh, facts.at_least
        japanese = f"速度変化、時速{speed}キロ{'以上' if least else ''}"
        english = f"Delta V {'at least ' if least else ''}{speed} kilometres per hour"
        yield (japanese if ja else english) + _from(facts, language)
    elif facts.clock is not None:
        yield ("衝突の力" if ja else "The force came") + _from(facts, language)
    if facts.sender_severe is True:
        yield "車両は、重傷者ありと判定。" if ja else "The vehicle reports a severe injury."
    if facts.our_level == "severe":
        yield "当センターの推定では、重症の可能性が高い。" if ja else "By our estimate a severe injury is likely."
    if facts.airbag_deployed is True:
        yield "エアバッグが開いています。" if ja else "Airbags have deployed."
    if facts.multiple_impacts is True:
        yield "衝突は複数回です。" if ja else "There were several impacts."


def _from(facts: CrashFacts, language: Language) -> str:
    ja = language == "ja"
    if facts.clock is None or facts.side is None:
        return "。" if ja else "."
    japanese, english = _SIDES[facts.side]
    return f"、{japanese}から、{facts.clock}時方向。" if ja else f" from {english}, {facts.clock} o'clock."
