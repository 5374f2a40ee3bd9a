"""A page that finds out by itself that it is out of date, and says so; without a script it stays as it was opened.

An agency's list is swapped for the new one, and the focus stays where it was (WCAG 2.2, 2.2.1 and 3.2.5: no page
reloads under a reader).  A brief is never swapped while somebody reads it out: it says that there is a newer one.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files

_SOURCE = (files("sos.dispatch.adapters") / "fresh.js").read_text(encoding="utf-8")

SCRIPT = f"'sha256-{b64encode(sha256(_SOURCE.encode()).digest()).decode()}'"
"""The one script of these pages, as a source of a content security policy."""

_LOST = """<p id="lost" class="replaced" hidden role="alert" data-testid="lost">
接続が切れています。表示が古い可能性があります /
<span lang="en">not connected: this may be out of date</span></p>"""

_SWAPPED = """<p id="news" hidden role="status" data-testid="news"
data-words="一覧が更新されました / the list has changed"></p>"""

_NEWER = """<p id="news" class="replaced" hidden role="alert" data-testid="news"><a href="">
新しい内容があります。表示する /
<span lang="en">there is something newer: show it</span></a></p>"""


def kept_fresh(body: str, state: str, *, swaps: bool) -> str:
    """``body`` that says when it is out of date.  ``state``: a word for what it shows, as ``/state`` answers it."""
    return (
        f'{_LOST}{_SWAPPED if swaps else _NEWER}<div data-fresh="{escape(state)}"{" data-swap" if swaps else ""}>'
        f"{body}</div><script>{_SOURCE}</script>"
    )
