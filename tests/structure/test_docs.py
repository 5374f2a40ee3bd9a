"""What the pages name is there: files, folders, links and modules, so that a page cannot outlive what it speaks of."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "ops" / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "ops").rglob("*.md"),
        ROOT / "tests/wire/README.md",
        ROOT / "tests/wire/formats/README.md",
    ]
)

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
_PATH = re.compile(r"(?<![\w./{<-])(?:\./)?((?:sos|routing|recording|tests|ops)/[\w./*<>{}-]*[\w*}>/])")
_MADE = re.compile(r"sos/console/static|[<{*]|sos/v1/")
"""What a build makes, what stands for any name, and the topics of MQTT, which look like paths."""


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _anchors(text: str) -> set[str]:
    """The names that headings have on the page, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def _dead_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(page.read_text()):
        place, _, anchor = unquote(link).partition("#")
        target = page.parent / place if place else page
        if not target.exists():
            yield f"{_name(page)}: {link} leads nowhere"
        elif anchor and anchor not in _anchors(target.read_text()):
            yield f"{_name(page)}: {link}: no such heading"


def _missing(text: str) -> list[str]:
    """The paths that a text names and that are not there."""
    return [path for path in _PATH.findall(text) if not _MADE.search(path) and not (ROOT / path).exists()]


def test_every_link_leads_somewhere():
    dead = [fault for page in PAGES for fault in _dead_links(page)]

    assert not dead, "\n".join(dead)


def test_every_path_that_a_page_names_is_there():
    missing = [f"{_name(page)} names {path}" for page in PAGES for path in _missing(page.read_text())]

    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(
    "text", ["see `sos/nowhere.py`", "run ./ops/nothing now", "(tests/sos/none)", "`routing/plans`"]
)
def test_a_path_that_is_not_there_is_seen(text: str):
    assert _missing(text)


def test_every_page_of_the_folder_is_in_its_index():
    index = (DOCS / "README.md").read_text()

    assert not [
        page.name
        for page in DOCS.rglob("*.md")
        if page != DOCS / "README.md" and f"]({page.relative_to(DOCS)})" not in index
    ]


def test_the_top_level_holds_what_it_should_and_nothing_else():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    top = {name.partition("/")[0] for name in listed.splitlines() if not name.startswith(".")}

    assert top == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "ops",
        "recording",
        "routing",
        "sos",
        "tests",
    }
