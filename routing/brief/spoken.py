"""The brief as it is read to somebody on the telephone: the place first, numbers digit by digit, at most 45 seconds.

Lines that begin with ``#`` are for the one who reads (incident, disclosure, version, ground, time) and are not read.
What does not fit is left out, the least needed first, and the text says that it is in writing.  What to quote on the
telephone is said last and never left out.
"""

import re
from collections.abc import Iterator
from typing import Any

import mgrs

from routing.brief import heard, one_crash
from routing.brief.crash import CrashFacts
from routing.brief.crash_words import facts_of, first_said, how_hard
from routing.brief.document import Brief
from routing.brief.kind_words import kind_spoken, not_needed
from routing.brief.language import Language
from routing.brief.pidf import shape_of
from routing.brief.spelling import digits
from routing.brief.times import decided, local
from routing.brief.words import field_name, instead, say

AT_MOST_S = 45

NOTE_CHARACTERS = 60
"""Of one note at most: about ten seconds."""

_PER_SECOND: dict[Language, float] = {"ja": 7.0, "en": 2.5}
"""Syllables (mora) of a Japanese newsreader, words of an English one: 420 and 150 a minute."""

_RESPONSES: dict[str, tuple[str, str]] = {
    "noResponse": ("呼びかけに反応がありません。", "Nobody in the vehicle answers."),
    "soundsOnly": ("物音だけが聞こえます。", "Only sounds are heard from the vehicle."),
    "keysPressed": ("声は出せず、ボタンで応答しています。", "Somebody answers by keys and cannot speak."),
}


def speak(brief: Brief, language: Language) -> str:
    """The brief to be read aloud, after the lines that are not read."""
    ja = language == "ja"
    head = [
        f"# {brief.incident}",
        f"# {brief.disclosure} v{brief.version}",
        f"# {brief.rule} / {brief.ground} / {brief.law_version} / {decided(brief)}",
    ]
    end = "以上、続きは書面で送ります。" if ja else "The rest follows in writing."
    sentences = list(_sentences(brief, language))
    asked = list(_asked(brief, language))
    said: list[str] = []
    for sentence in sentences:
        if seconds(" ".join((*said, sentence, *asked, end)), language) <= AT_MOST_S:
            said.append(sentence)
    left_out = [end] if len(said) < len(sentences) else []
    return "\n".join((*head, *said, *left_out, *asked)) + "\n"


def aloud(text: str) -> str:
    """The lines of a spoken brief that are read."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def seconds(text: str, language: Language) -> float:
    """How long ``text`` takes to read."""
    kanji = len(re.findall(r"[一-鿿々]", text))
    kana = len(re.findall(r"[ぁ-ゖァ-ヺー]", text))
    latin = re.findall(r"[A-Za-z0-9'-]+", text)
    japanese = kana + 1.9 * kanji  # a kanji is read in 1.9 mora on average
    if language == "ja":
        return (japanese + sum(map(len, latin))) / _PER_SECOND["ja"]
    return len(latin) / _PER_SECOND["en"] + japanese / _PER_SECOND["ja"]


def telephone(number: str, language: Language) -> str:
    """A telephone number in groups: +81 3-0000-0000 as 03, 0000, 0000."""
    return (
        "、".join(digits(group, language) for group in _groups(number))
        if language == "ja"
        else ", ".join(digits(group, language) for group in _groups(number))
    )


def _groups(number: str) -> Iterator[str]:
    plain = re.sub(r"\D", "", number)
    if number.strip().startswith("+81"):
        plain = f"0{plain[2:]}"
    area = 3 if re.match(r"0[5-9]0", plain) else 2 if plain.startswith(("03", "06")) else 3
    first, rest = plain[:area], plain[area:]
    yield first
    while len(rest) > 4:
        take = 4 if len(rest) % 4 == 0 else len(rest) % 4
        yield rest[:take]
        rest = rest[take:]
    if rest:
        yield rest


def _sentences(brief: Brief, language: Language) -> Iterator[str]:
    """What is said, the most needed first."""
    ja = language == "ja"
    if brief.exercise:
        yield "訓練、訓練です。出動は不要です。" if ja else "Exercise, exercise. Send nobody."
    centre = brief.sender
    name = "" if centre is None else f"{centre.name_ja}です。" if ja else f"This is {centre.name_en}."
    kind = {"automatic": ("衝突の自動通報です。", "Automatic crash report. ")}.get(brief.trigger, ("", ""))
    facts = facts_of(brief)
    worst = first_said(facts, language)
    yield f"自動車の緊急通報です。{worst}{kind[0]}{name}" if ja else f"Vehicle emergency. {worst}{kind[1]}{name}"
    if brief.version > 1:
        yield f"第{brief.version}報です。" if ja else f"This is report {brief.version}."
        yield from _changed(brief, language)
    yield from kind_spoken(brief, language)
    yield from one_crash.said(brief, language)
    sections = brief.sections
    yield from _place(sections.get("LOC"), language)
    yield from _impact(facts, language)
    yield from how_hard(facts, language)
    yield from _response(sections.get("OBS"), language)
    yield from (heard.sentence(each, language) for each in _answered(brief))
    for category in ("OBS", "PER", "MED"):
        yield from _notes(sections.get(category), language)
    yield from _registered(sections.get("MED"), language)
    yield from _vehicle(sections.get("VEH"), language)
    if tel := (sections.get("TEL") or {}).get("tel"):
        said = telephone(str(tel), language)
        yield f"折り返しは、{said}。" if ja else f"Call back on {said}."
    tail = digits(brief.incident.split(":")[-2][-4:], language)
    at = local(brief.decided_at, brief.zone)
    clock = "日本時間" if brief.zone == "Asia/Tokyo" else f"{at:%Z}"
    yield (
        f"事案番号の末尾、{tail}。{clock}{at.hour}時{at.minute}分、決定。"
        if ja
        else (f"Incident ends in {tail}. Decided at {at.hour} {at.minute:02d} {at:%Z}.")
    )


def _asked(brief: Brief, language: Language) -> Iterator[str]:
    """How to ask about it; said last, and always."""
    ja = language == "ja"
    if brief.call_back_until is not None:
        until = local(brief.call_back_until, brief.zone)
        yield (
            f"車両への折り返しは、{until.hour}時{until.minute}分まで。"
            if ja
            else f"The vehicle answers calls until {until.hour} {until.minute:02d}."
        )
    if brief.code:
        said = "、".join(digits(brief.code[start : start + 4], language) for start in range(0, len(brief.code), 4))
        yield f"お電話での照会番号、{said}。" if ja else f"To telephone us about it, quote {said.replace('、', ', ')}."


def _changed(brief: Brief, language: Language) -> Iterator[str]:
    if brief.responsible:
        yield instead(brief.responsible, language)
    if not brief.needed:
        yield not_needed(language)
    names = [field_name(change.field, language) for change in brief.changes]
    if names:
        yield f"変わったのは、{'、'.join(names[:5])}です。" if language == "ja" else f"Changed: {', '.join(names[:5])}."


def _place(place: dict[str, Any] | None, language: Language) -> Iterator[str]:
    ja = language == "ja"
    if place is None:
        return
    if stated := place.get("stated"):
        yield f"通話では、{stated}。" if ja else f"As told on the call: {stated}."
    shape = shape_of(place)
    if shape is None:
        yield "場所は分かりません。" if ja else "The position is not known."
        return
    latitude, longitude = shape.latitude, shape.longitude
    prefecture = place.get("prefectureName")
    where = f"{prefecture}。" if ja and prefecture else ""
    address = place.get("address")
    if isinstance(address, str):
        where = f"{address}付近。" if ja else f"Near {address}. "
    yield (
        f"場所は、{where}格子、{grid(latitude, longitude, language)}。"
        if ja
        else (f"Location: {where}grid {grid(latitude, longitude, language)}.")
    )
    north, east = f"{latitude:.4f}", f"{longitude:.4f}"
    yield (
        f"北緯{_decimal(north, language)}、東経{_decimal(east, language)}。"
        if ja
        else f"Latitude {_decimal(north, language)}, longitude {_decimal(east, language)}."
    )
    if (radius := place.get("horizontalAccuracy")) is not None:
        yield f"誤差はおよそ{round(radius)}メートル。" if ja else f"Within about {round(radius)} metres."


def grid(latitude: float, longitude: float, language: Language) -> str:
    """The MGRS square of 10 m, letters by name: ``54S UE 8843 4929``."""
    named = mgrs.MGRS().toMGRS(latitude, longitude, MGRSPrecision=4)
    zone, square, figures = named[:-10], named[-10:-8], named[-8:]
    groups = (zone, square, figures[:4], figures[4:])
    return ("、" if language == "ja" else ", ").join(digits(group, language) for group in groups)


def _decimal(text: str, language: Language) -> str:
    whole, fraction = text.lstrip("-").split(".")
    point, minus = ("点", "マイナス") if language == "ja" else ("point", "minus ")
    said = f"{digits(whole, language)} {point} {digits(fraction, language)}"
    return f"{minus}{said}" if text.startswith("-") else said


def _impact(facts: CrashFacts, language: Language) -> Iterator[str]:
    if facts.impact is not None:
        where = say(facts.impact, language)
        yield f"衝突は{where}。" if language == "ja" else f"Impact: {where}."


def _response(observed: dict[str, Any] | None, language: Language) -> Iterator[str]:
    """Whether anybody in the vehicle answers; nothing is said while nobody was asked."""
    said = _RESPONSES.get(str((observed or {}).get("response")))
    if said is not None:
        yield said[0 if language == "ja" else 1]


def _answered(brief: Brief) -> list[heard.Answer]:
    """What was answered, what endangers somebody first; that nobody knows it is left to the written forms."""
    known = [each for each in heard.all_of(brief.sections) if each.get("value") != "unknown"]
    return sorted(known, key=lambda each: not (each.get("severe") or each.get("hazard") or each.get("counts")))


def _vehicle(vehicle: dict[str, Any] | None, language: Language) -> Iterator[str]:
    if vehicle is None:
        return
    ja = language == "ja"
    shown = {name: vehicle[name] for name in ("exteriorColor", "brand", "model") if vehicle.get(name)}
    look = [say(value, language, field=name) for name, value in shown.items()]
    if look:
        yield f"車両は、{'、'.join(look)}。" if ja else f"Vehicle: {', '.join(look)}."
    if (occupants := vehicle.get("occupants")) is not None:
        yield f"乗員は{occupants}名。" if ja else f"{occupants} on board."
    energy = vehicle.get("energy")
    if isinstance(energy, list) and energy:
        yield f"動力は{say(energy, language)}。" if ja else f"Energy: {say(energy, language)}."
    if plate := vehicle.get("licensePlate"):
        named = re.sub(r"\d+|[A-Za-z]+", lambda found: f" {digits(found.group(), language)} ", str(plate))
        figures = " ".join(named.replace("-", " ").split())
        yield f"登録番号、{figures}。" if ja else f"Plate {figures}."


def _registered(section: dict[str, Any] | None, language: Language) -> Iterator[str]:
    """What the person had registered for those who would treat them."""
    known = str((section or {}).get("medical", "")).strip().rstrip("。.")[:NOTE_CHARACTERS]
    if known:
        yield f"登録された医療情報は、{known}。" if language == "ja" else f"Registered medical data: {known}."


def _notes(section: dict[str, Any] | None, language: Language) -> Iterator[str]:
    """Newest first: what was heard last is what is true now."""
    if section is None:
        return
    notes = section.get("notes", ())
    if isinstance(notes, list):
        for note in reversed(notes):
            heard = str(note).strip().rstrip("。.")
            more = "…" if len(heard) > NOTE_CHARACTERS else ""
            yield f"{heard[:NOTE_CHARACTERS]}{more}{'。' if language == 'ja' else '.'}"
