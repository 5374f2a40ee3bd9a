"""The kind of emergency in words: what it is, who says so, what it was taken for before, and who is not needed."""

from collections.abc import Iterator

from routing.brief.document import Brief
from routing.brief.language import Language
from routing.kinds import EmergencyKind

TITLE = ("緊急の種別", "Kind of emergency")

KINDS: dict[EmergencyKind, tuple[str, str]] = {
    EmergencyKind.UNKNOWN: ("不明", "not known"),
    EmergencyKind.CRASH: ("交通事故", "crash"),
    EmergencyKind.ILLNESS: ("急病", "illness"),
    EmergencyKind.FIRE: ("火災", "fire"),
    EmergencyKind.CRIME: ("犯罪・あおり運転", "crime or threats on the road"),
    EmergencyKind.BREAKDOWN: ("故障", "breakdown"),
    EmergencyKind.DISASTER: ("災害", "disaster"),
    EmergencyKind.OTHER: ("その他", "something else"),
}

SOURCES: dict[str, tuple[str, str]] = {
    "vehicle": ("車両の通知", "as the vehicle says"),
    "deduced": ("車両データからの推定", "deduced from the vehicle's data"),
    "operator": ("通話で確認", "as heard on the call"),
}


def kind_said(brief: Brief, language: Language) -> str:
    """The kind with its source, and what it was taken for in the version before; empty in briefs that do not say."""
    if not brief.kind:
        return ""
    ja = language == "ja"
    known = _named(brief.kind, language)
    source = SOURCES.get(brief.kind_source, ("", ""))[0 if ja else 1]
    was = _named(brief.kind_was, language) if brief.kind_was else ""
    earlier = (f"以前は{was}" if ja else f"was: {was}") if was else ""
    beside = [each for each in (source, earlier) if each]
    return f"{known}({'、'.join(beside)})" if ja and beside else f"{known} ({', '.join(beside)})" if beside else known


def kind_spoken(brief: Brief, language: Language) -> Iterator[str]:
    """As sentences.  That nobody knows the kind is said too: else it would be taken for a crash."""
    if not brief.kind:
        return
    ja = language == "ja"
    known = _named(brief.kind, language)
    if brief.kind_was:
        was = _named(brief.kind_was, language)
        yield f"種別は{was}から{known}に変わりました。" if ja else f"It is now: {known}. It was: {was}."
    else:
        yield f"種別は{known}です。" if ja else f"Kind of emergency: {known}."


def not_needed(language: Language) -> str:
    """To somebody who was told and whose service what is known now does not call for.  A person there decides."""
    if language == "ja":
        return "現在分かっている範囲では、貴機関の出動は不要です。引き返すかどうかは貴機関で判断してください。"
    return "By what is known now your service is not needed there. Whether to turn back is yours to decide."


def _named(kind: str, language: Language) -> str:
    known = KINDS.get(EmergencyKind(kind)) if kind in frozenset(EmergencyKind) else None
    return kind if known is None else known[0 if language == "ja" else 1]
