"""How the pages for an agency look: plain HTML that works on a telephone, prints, and is in Japanese and English."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from types import MappingProxyType

from msgspec import Struct

from routing.brief import Brief, Language
from routing.brief.crash_words import glance
from routing.brief.kind_words import kind_said
from routing.brief.mass_list import people, where
from routing.brief.times import on_the_wall
from routing.brief.words import changed_lines
from sos.dispatch.adapters.freshness import SCRIPT
from sos.dispatch.adapters.sketch import Place, drawing, in_words
from sos.dispatch.endings import End, part_is_over
from sos.dispatch.replies import WORDS
from sos.incident.model import Acknowledgement, AgencyStatus, Disclosure, Incident, Question

_STYLE = """
:root{--ink:#12263a;--paper:#fff;--soft:#f3f5f8;--done:#2f6b3a}*{box-sizing:border-box}
body{font:17px/1.6 system-ui,"Noto Sans CJK JP",sans-serif;margin:0 auto;max-width:42rem;padding:1rem 1rem 9rem;
color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{font-size:1.25rem;margin:.2rem 0 .6rem}h2{font-size:1rem;margin:1rem 0 .3rem}
pre{white-space:pre-wrap;background:var(--soft);padding:1rem;border-radius:.5rem;font:inherit;margin:.5rem 0}
.drill{background:#5b3fa0;color:#fff;padding:.6rem;font-weight:700}
.state{border-left:.4rem solid var(--done);padding-left:.6rem;font-weight:700}
.check{font-size:1.5rem;letter-spacing:.2em;font-weight:700}
button,select,textarea{font:inherit;color:inherit;width:100%;min-height:3.1rem;padding:.5rem .8rem;
border:2px solid var(--ink);border-radius:.5rem;background:var(--paper)}
button{cursor:pointer;font-weight:600}button.first{background:var(--ink);color:#fff}
button:focus-visible,summary:focus-visible,select:focus-visible,textarea:focus-visible{outline:4px solid #d98200}
.bar{position:sticky;bottom:0;background:var(--paper);padding:.6rem 0;border-top:2px solid var(--ink);display:grid;
grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.5rem}.bar form{display:contents}
details{margin:.6rem 0}summary{min-height:3rem;padding:.6rem 0;font-weight:600}details form{display:grid;gap:.5rem}
ul{list-style:none;padding:0}li a{display:block;padding:.8rem;border:2px solid var(--ink);border-radius:.5rem;
margin:.5rem 0;color:inherit;min-height:3rem}li a.wait{background:#fff3d6}
ol.list{list-style:none;padding:0}ol.list>li{border:2px solid var(--ink);border-radius:.5rem;
padding:.6rem;margin:.6rem 0}
.wait{background:#fff3d6;padding:.3rem .6rem;margin:0}.over{margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem .8rem;margin:.5rem 0}dd{margin:0;font-weight:600}
.new{border:2px solid #a33b00;border-radius:.5rem;padding:.4rem .8rem;margin:.6rem 0}.new ul{margin:.2rem 0}
.replaced{background:#a33b00;color:#fff;padding:.6rem;font-weight:700}.replaced a{color:inherit}
.sketch{width:100%;max-width:26rem;border:1px solid #9aa7b5;border-radius:.5rem}.sketch path,.sketch .around{fill:none;
stroke:var(--ink);stroke-width:2}.sketch .line{stroke-dasharray:5 4}.sketch .around{fill:#a33b0022;stroke:#a33b00}
.sketch .here{fill:#a33b00}.sketch text{font-size:12px;fill:var(--ink)}
@media print{form,.bar,details{display:none}}
"""

_WORDS = {
    None: "まだ届いていません / not delivered yet",
    Acknowledgement.TRANSPORT: "送信済み / sent",
    Acknowledgement.DELIVERED: "未確認 / delivered, not yet read",
    Acknowledgement.HEARD: "確認済み / heard",
    Acknowledgement.TAKEN_OVER: "引き受け済み / taken over",
}


_OVER = {
    End.EXPIRED: (
        "このリンクの有効期限が切れました。最新の内容は指令台にお問い合わせください。",
        "This link has expired. Please ask the emergency call centre for the present state.",
    ),
    End.REFUSED: (
        "辞退のご連絡をいただきましたので、この通報の表示を終了しました。ご対応ありがとうございました。",
        "You have refused, so this report is shown no longer. Thank you for answering.",
    ),
    End.ANOTHER: (
        "他の機関が引き受けましたので、この通報の表示を終了しました。ご対応ありがとうございました。",
        "Another agency has taken over, so this report is shown no longer. Thank you for answering.",
    ),
    End.CLOSED: (
        "この事案は終了しました。ご対応ありがとうございました。",
        "This incident has been closed. Thank you for answering.",
    ),
}


def gone(over: End) -> str:
    """Nothing of the incident, and no name: whoever holds an old link learns that it is one."""
    japanese, english = _OVER[over]
    return page(
        "終了 / ended",
        f'<main><h1>終了 / <span lang="en">ended</span></h1><p data-testid="ended" data-why="{over}">{japanese}</p>'
        f'<p lang="en">{english}</p></main>',
    )


class InboxRow(Struct, frozen=True, kw_only=True):
    """One incident in an agency's list; nothing of what happened there, which is read on its page alone."""

    told: Disclosure
    """The newest version."""
    at: str
    """When the incident was opened, by the agency's clock."""
    link: str
    quote: str
    """What to quote on the telephone."""
    ended: str
    """Why there is nothing more to see; empty while there is."""
    exercise: bool


def drill(brief: Brief) -> str:
    return '<p class="drill">訓練 / EXERCISE: nobody is to be sent</p>' if brief.exercise else ""


def replaced(told: Disclosure, newest: Disclosure, *, link: str) -> str:
    """Over a version that is not the newest: which is, and the way there."""
    return (
        f'<p class="replaced" data-testid="replaced" role="alert">第{told.brief_version}版は古い版です。'
        f'<a href="{escape(link)}" data-testid="newest">最新の第{newest.brief_version}版を開く</a> / <span lang="en">'
        f"version {told.brief_version} has been replaced: open version {newest.brief_version}</span></p>"
    )


def changed(brief: Brief) -> str:
    """What is new against the version before; empty in the first."""
    japanese, english = changed_lines(brief, "ja", brief.zone), changed_lines(brief, "en", brief.zone)
    if not japanese:
        return ""
    rows, other = _listed(japanese), _listed(english)
    return (
        f'<section class="new" data-testid="changed"><h2>第{brief.version}版で変わったこと / <span lang="en">'
        f"new in version {brief.version}</span></h2><ul>{rows}</ul>"
        f'<details lang="en"><summary>English</summary><ul>{other}</ul></details></section>'
    )


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line.removeprefix('* '))}</li>" for line in lines)


def at_a_glance(brief: Brief, place: Place | None) -> str:
    """What is needed first: where, how to get there, what has happened, how many people."""
    rows = "".join(_glance(brief, "ja", place))
    english = "".join(_glance(brief, "en", place))
    picture = drawing(place) if place and (place.way or place.radius_m) else ""
    return (
        f'<section aria-label="要点 / at a glance"><dl data-testid="glance">{rows}</dl>{picture}{_on_a_map(place)}'
        f'<details lang="en"><summary>English</summary><dl>{english}</dl></details></section>'
    )


def _glance(brief: Brief, language: Language, place: Place | None) -> Iterator[str]:
    ja = language == "ja"
    found = [("場所" if ja else "Where", where(brief, language))]
    if place is not None and place.way is not None:
        found.append(("署所から" if ja else "From you", in_words(place.way, japanese=ja)))
    if place is not None and place.radius_m is not None:
        found.append(("位置の誤差" if ja else "Within", f"{'半径' if ja else ''}{place.radius_m:.0f} m"))
    found += [("種別" if ja else "Kind", said)] if (said := kind_said(brief, language)) else []
    found += [*glance(brief, language), ("人数" if ja else "People", people(brief, language))]
    return (f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in found)


def _on_a_map(place: Place | None) -> str:
    """A ``geo`` address (RFC 5870): the device's own map opens it, and nobody else learns of it through us."""
    if place is None:
        return ""
    accuracy = "" if place.radius_m is None else f";u={place.radius_m:.0f}"
    address = f"geo:{place.latitude:.6f},{place.longitude:.6f}{accuracy}"
    return f'<p><a href="{address}" data-testid="map">地図アプリで開く / open in a map</a></p>'


def inbox_list(rows: Sequence[InboxRow], *, name: str, lists: str) -> str:
    """An agency's own page: each incident once, by its newest version, the newest on top."""
    said = "".join(_inbox_row(row) for row in rows)
    nothing = "<li>通報はありません / nothing has come in</li>"
    return f"<header><h1>{escape(name)}</h1></header><main>{lists}<ul>{said or nothing}</ul></main>"


def _inbox_row(row: InboxRow) -> str:
    told = row.told
    version = f"第{told.brief_version}版 / version {told.brief_version}" if told.brief_version > 1 else ""
    drill_said = "訓練 / EXERCISE" if row.exercise else ""
    facts = " · ".join(part for part in (drill_said, row.at, version) if part)
    waits = "wait" if told.pending and not row.ended else ""
    return (
        f'<li><a data-testid="brief" data-key="{escape(told.disclosure)}" class="{waits}" href="{escape(row.link)}">'
        f"<strong>{escape(row.ended or state(told))}</strong><br>{escape(facts)}<br>"
        f'照会番号 / quote: <span class="check">{escape(row.quote)}</span></a></li>'
    )


def version_list(versions: Sequence[tuple[Disclosure, datetime | None, str]], *, shown: str, zone: str) -> str:
    """All versions, the newest first, each with when it was decided and its page; empty where there is one only."""
    if len(versions) < 2:
        return ""
    rows = "".join(_version(*each, shown=shown, newest=number == 0, zone=zone) for number, each in enumerate(versions))
    return f'<nav aria-label="版 / versions"><h2>版 / versions</h2><ul data-testid="versions">{rows}</ul></nav>'


def _version(told: Disclosure, at: datetime | None, link: str, *, shown: str, newest: bool, zone: str) -> str:
    when = "" if at is None else on_the_wall(at.isoformat(), zone)
    here = ' aria-current="page"' if told.disclosure == shown else ""
    said = "最新 / newest" if newest else "置き換え済み / replaced"
    return (
        f'<li><a href="{escape(link)}"{here}>第{told.brief_version}版 / version {told.brief_version}<br>'
        f"{escape(when)} {said}: {escape(state(told))}</a></li>"
    )


def ended(incident: Incident, told: Disclosure) -> str:
    return "" if part_is_over(incident, told) is None else "終了 / ended"


def state(told: Disclosure) -> str:
    if told.rejected is not None:
        return f"辞退 / refused: {told.rejected}"
    if told.status is not None:
        return _COURSE[told.status]
    return _WORDS[told.reached]


_COURSE = {
    AgencyStatus.DISPATCHED: "出動 / dispatched",
    AgencyStatus.ON_SCENE: "現着 / on scene",
    AgencyStatus.CLOSED: "活動終了 / closed",
}

_REFUSALS = {
    "not_our_area": "管轄外 / not our area",
    "no_unit_free": "出動できる隊がない / no unit free",
    "already_known": "覚知済み / known already",
    "unreadable": "内容が読めない / unreadable",
}

_QUESTIONS = {
    Question.CALL_ME: "電話してほしい / call us",
    Question.WHERE: "場所をもっと詳しく / where exactly",
    Question.HOW_MANY_HURT: "負傷者の人数 / how many are hurt",
    Question.WHICH_VEHICLE: "車両の特徴 / which vehicle",
    Question.OTHER: "その他 / something else",
}


def bar(told: Disclosure) -> str:
    """The answers that make sense now, the most likely first, within reach of a thumb."""
    if told.rejected is not None:
        return ""
    if told.taken_over:
        later = [status for status in AgencyStatus if told.status is None or status.value != told.status.value]
        return _buttons(*((status.value, _COURSE[status]) for status in later))
    heard = () if told.reached is Acknowledgement.HEARD else (("heard", "確認した / heard"),)
    return _buttons(("taken_over", "引き受ける / take over"), *heard)


def _buttons(*answers: tuple[str, str]) -> str:
    buttons = "".join(
        f'<form method="post"><button class="{"first" if number == 0 else ""}" name="answer" value="{value}"'
        f' data-testid="{value}">{escape(words)}</button></form>'
        for number, (value, words) in enumerate(answers)
    )
    return f'<div class="bar">{buttons}</div>'


def ask(told: Disclosure) -> str:
    """What is pressed less often: a question, a refusal."""
    if told.rejected is not None:
        return ""
    asked = f"<p>質問済み / asked: {escape(_QUESTIONS[told.asked])}</p>" if told.asked else ""
    questions = "".join(f'<option value="{each.value}">{escape(words)}</option>' for each, words in _QUESTIONS.items())
    ask = f"""<details><summary>質問する / ask back</summary>{asked}<form method="post">
<select name="answer" aria-label="質問 / question" data-testid="question">{questions}</select>
<textarea name="text" rows="2" maxlength="{WORDS}" aria-label="内容 / words"></textarea>
<button data-testid="ask">質問を送る / send</button></form></details>"""
    if told.taken_over:
        return ask
    refusals = "".join(
        f'<form method="post"><button name="answer" value="{value}" data-testid="{value}">'
        f"{escape(words)}</button></form>"
        for value, words in _REFUSALS.items()
    )
    return f"{ask}<details><summary>引き受けられない / refuse</summary>{refusals}</details>"


HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src {SCRIPT}; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
)


def page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{body}</html>"
    )
