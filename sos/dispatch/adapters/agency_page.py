"""How the pages for an agency look: plain HTML that works on a telephone, prints, and is in Japanese and English."""

from html import escape

from aiohttp import web

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


def gone(over: End) -> web.Response:
    """Nothing of the incident, and no name: whoever holds an old link learns that it is one."""
    japanese, english = _OVER[over]
    body = (
        f'<h1>終了 / <span lang="en">ended</span></h1><p data-testid="ended" data-why="{over}">{japanese}</p>'
        f'<p lang="en">{english}</p>'
    )
    return page("終了 / ended", body, status=410)


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


def page(title: str, body: str, *, status: int = 200) -> web.Response:
    html = (
        f'<!doctype html><html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{body}</html>"
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(status=status, text=html, content_type="text/html", headers=headers)
