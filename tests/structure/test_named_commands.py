"""Each command of ``sos`` that a page names is one."""

import re
from collections.abc import Iterator, Sequence

import pytest
import typer

from sos.cli import app
from tests.structure.test_docs import PAGES, ROOT

_NAMED = re.compile(r"(?:`|^\$ )sos ([^`\n]+)", re.MULTILINE)


def unknown(words: Sequence[str]) -> str | None:
    """The first of ``words`` that is no command where it stands; what follows a command are its arguments."""
    command = typer.main.get_command(app)
    for word in words:
        commands = getattr(command, "commands", None)
        if commands is None or not re.fullmatch(r"[a-z][a-z-]*", word):
            return None
        if word not in commands:
            return word
        command = commands[word]
    return None


def _wrong(text: str) -> Iterator[str]:
    for named in _NAMED.findall(text):
        if (word := unknown(named.split())) is not None:
            yield f"sos {named}: there is no {word}"


def test_each_command_that_a_page_names_is_there():
    wrong = [f"{page.relative_to(ROOT)}: {fault}" for page in PAGES for fault in _wrong(page.read_text())]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", ["with `sos erase`", "$ sos law forget\n", "`sos keys burn now`"])
def test_a_command_that_is_not_there_is_seen(text: str):
    assert list(_wrong(text))


def test_arguments_are_no_commands():
    assert not list(_wrong("`sos geo import N03.geojson.gz`, `sos --help`, `sos route 35.68 139.76`"))
