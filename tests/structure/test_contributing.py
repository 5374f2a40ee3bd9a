"""The recipes of ``ops/CONTRIBUTING.md`` can be followed: what they name is where they say, commands exist."""

import ast
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.test_named_commands import unknown

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "ops" / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(r"^## (Add [^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(\w+)` in\s+`([\w./-]+\.\w+)`")
_COMMAND = re.compile(r"^\$ (.*?)(?:\s+#.*)?$", re.MULTILINE)


def _absent(text: str) -> list[str]:
    """What a recipe says stands in a file and is not defined there."""
    return [
        f"{name} in {file}"
        for name, file in _NAMED.findall(text)
        if not (ROOT / file).is_file() or name not in _defined((ROOT / file).read_text())
    ]


def _defined(source: str) -> set[str]:
    """What a module makes: its classes, functions and values, also those within."""
    nodes = list(ast.walk(ast.parse(source)))
    made = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    return made | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _wrong(command: str) -> Iterator[str]:
    """What of a command is not there: its program, its module, its file, its subcommand."""
    match shlex.split(command):
        case ["python", "-m", module, *_]:
            if not (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
                yield f"{command}: no module {module}"
        case ["python", script]:
            if not (ROOT / script).is_file():
                yield f"{command}: no {script}"
        case ["sos", *words]:
            if (word := unknown(words)) is not None:
                yield f"{command}: there is no {word}"
        case [program, *arguments]:
            if not os.access(ROOT / program, os.X_OK):
                yield f"{command}: {program} cannot be run"
            yield from (f"{command}: no {each}" for each in arguments if "/" in each and not (ROOT / each).exists())


def test_there_is_a_recipe_for_each_thing_that_is_often_added():
    things = ["an event", "an order", "a channel", "a format", "a law row"]
    assert [title for title, _ in RECIPES] == [f"Add {thing}" for thing in things]


@pytest.mark.parametrize(("title", "steps"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_is_short_ends_with_its_tests_and_names_what_is_there(title: str, steps: str):
    assert 5 <= len(re.findall(r"^\d+\. ", steps, re.MULTILINE)) <= 10
    assert "./ops/test " in steps.rstrip().splitlines()[-2]
    assert not _absent(steps), title


def test_every_command_of_the_page_can_be_given():
    commands = _COMMAND.findall(TEXT)

    assert len(commands) > len(RECIPES)
    assert not [fault for command in commands for fault in _wrong(command)]


@pytest.mark.parametrize(
    "command",
    ["./ops/nothing", "./ops/test tests/none", "python -m tests.none", "python ops/none.py", "sos law forget"],
)
def test_a_command_that_cannot_be_given_is_seen(command: str):
    assert list(_wrong(command))


def test_what_runs_before_a_commit_is_of_the_locked_environment_and_fetches_nothing():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    locked = (ROOT / "ops" / "requirements" / "dev.txt").read_text()
    tools = re.findall(r"entry: (?:\.venv/bin/)?(\S+)", hooks)

    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert hooks.count("entry: .venv/bin/") == len(tools) > 0
    assert not [tool for tool in tools if f"\n{tool}==" not in locked]


def test_a_name_that_has_moved_is_seen():
    assert _absent("`AgencyChannel` in `sos/dispatch/ladder.py`, `Event` in\n   `sos/incident/none.py`") == [
        "AgencyChannel in sos/dispatch/ladder.py",
        "Event in sos/incident/none.py",
    ]
