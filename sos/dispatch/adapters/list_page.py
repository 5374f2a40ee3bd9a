"""The page of a list: each row with its own link and its own button, the worst on top."""

from collections.abc import Callable
from html import escape

from routing.brief.mass_list import MassList, Row, Standing, cells, standing_said, title
from sos.incident.model import DisclosureId, IncidentId

LIST_LINK = "大規模災害の一覧 / list of this mass event"

LinkOf = Callable[[IncidentId, DisclosureId], str]


def list_page(made: MassList, *, action: str, link: LinkOf) -> str:
    """The body of the page.  ``action``: where a row's answer is sent; ``link``: the page of one brief."""
    exercise = any(row.brief is not None and row.brief.exercise for row in made.rows)
    drill = '<p class="drill">訓練 / EXERCISE: nobody is to be sent</p>' if exercise else ""
    rows = "".join(_row(row, action=action, link=link) for row in made.rows)
    more = f"<p>ほか{made.more}件は個別のページで / {made.more} more, on pages of their own</p>" if made.more else ""
    return f"""<h1>{escape(made.agency_name)}</h1>{drill}
<p class="state" role="status" data-testid="list-title">{escape(title(made, "ja"))}</p>
<p lang="en">{escape(title(made, "en"))}</p>
<p><a href="{escape(action)}" data-testid="again">最新の版を表示 / show the newest version</a></p>
<main><ol class="list">{rows}</ol></main>{more}"""


def _row(row: Row, *, action: str, link: LinkOf) -> str:
    said = f'{standing_said(row.standing, "ja")} / <span lang="en">{standing_said(row.standing, "en")}</span>'
    state = f'<p class="{"wait" if row.standing is Standing.WAITS else "over"}"><strong>{said}</strong></p>'
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in cells(row, "ja"))
    english = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in cells(row, "en"))
    other = f'<details lang="en"><summary>English</summary><dl>{english}</dl></details>'
    whole = link(IncidentId(row.incident), DisclosureId(row.disclosure))
    page = f'<p><a href="{escape(whole)}" data-testid="whole">この事案の全内容 / all of this incident</a></p>'
    seen = row.brief is not None or row.shut
    body = f"<dl>{facts}</dl>{'' if row.shut else page}{_button(row, action)}{other}" if seen else ""
    names = f'data-incident="{escape(row.incident)}" data-standing="{row.standing}"'
    return f'<li data-testid="row" {names}>{state}{body}</li>'


def _button(row: Row, action: str) -> str:
    if row.standing is not Standing.WAITS:
        return ""
    return (
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="incident" value="{escape(row.incident)}">'
        f'<input type="hidden" name="disclosure" value="{escape(row.disclosure)}">'
        '<button class="first" name="answer" value="taken_over" data-testid="taken_over">'
        "この事案を引き受ける / take over this incident</button></form>"
    )
