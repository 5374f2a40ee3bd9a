"""The pages of decisions: each with its number, its status and its date, and each in the index as it says itself."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "ops" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
HEAD = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"\*\*Status\.\*\* (?P<status>In force|Replaced by \d+)\. \*\*Date\.\*\* (?P<date>\d{4}-\d\d-\d\d)\.\n"
)


def _row(page: Path) -> str:
    """The line of the index that a page asks for."""
    head = HEAD.match(page.read_text())
    if head is None:
        return f"{page.name} must begin: # N. Title, an empty line, **Status.** In force. **Date.** 2026-01-31."
    number, title, status, date = head.groups()
    return f"| [{number}]({page.name}) | {title} | {status.lower()} | {date} |"


def test_the_index_is_the_pages_in_the_order_of_their_numbers():
    index = (FOLDER / "README.md").read_text().splitlines()

    assert [line for line in index if line.startswith("| [")] == [_row(page) for page in PAGES]


def test_pages_are_numbered_from_one_without_a_gap_and_no_number_is_given_twice():
    assert [int(page.name[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_a_page_has_the_number_of_its_file():
    assert not [page.name for page in PAGES if not page.read_text().startswith(f"# {int(page.name[:4])}. ")]
