"""Promises about the whole program, read from its source: documented, imports on top, edges where they belong."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from sos.errors import Misconfigured
from sos.incident import commands, lifecycle
from sos.settings import AuditorSettings, OperatorSettings, Settings, TenantSettings, load

pytestmark = pytest.mark.usefixtures("unsearched")

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    file
    for package in ("sos", "routing", "recording")
    for file in (ROOT / package).rglob("*.py")
    if not {"web", "static", "node_modules"} & set(file.relative_to(ROOT).parts)
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAY_IMPORT_SQLALCHEMY = re.compile(r"sos/(journal|registry)/\w+\.py")
MAY_IMPORT_WEB = re.compile(
    r"sos/(intake/(http|field_log_http)|calls/(http|playback_http|cross_origin|agency|adapters/twilio/webhooks)|console/\w+|dispatch/adapters/(portal|callback|cards|eido|key_directory)|\w+/configured|dispatch/lost|exports/(http|log_http|walk_http|auditors)|registry/http|rights/http|problems|accesses|listeners|whip|health|door|early|front/\w+|app)\.py"
)


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=_name(file))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_module_says_what_it_is():
    assert not [_name(file) for file in MODULES if not ast.get_docstring(_tree(file))]


def test_imports_stand_at_the_top_of_a_module_and_under_no_condition():
    hidden = [
        f"{_name(file)}:{node.lineno}"
        for file in MODULES
        for top in [{id(node) for node in _tree(file).body}]
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in top
    ]

    assert not hidden, "\n".join(hidden)


def test_the_composition_root_is_a_list_of_parts():
    """How a room's parts are made stands in the room's own ``configured.py``."""
    assert len((ROOT / "sos/app.py").read_text().splitlines()) <= 350


def test_sql_and_http_are_met_only_where_they_belong():
    misplaced = [
        f"{_name(file)} imports {name}"
        for file in MODULES
        for node in ast.walk(_tree(file))
        for name in _imported(node)
        if (name.startswith("sqlalchemy") and not MAY_IMPORT_SQLALCHEMY.fullmatch(_name(file)))
        or (re.match(r"aiohttp\.web\b", name) and not MAY_IMPORT_WEB.fullmatch(_name(file)))
    ]

    assert not misplaced, "\n".join(misplaced)


def test_every_command_has_a_decider():
    assert set(lifecycle._DECIDERS) == set(commands.Command.__subclasses__())


def test_events_are_sealed_and_appended_in_one_place():
    """Whoever seals beside it drifts: in what it does about clocks, about keys and about what fails."""
    made = {"Append", "KeyRow", "Stored", "key_context", "part_context", "write_header"}
    calls = {
        (called, _name(file))
        for file in MODULES
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.Call) and (called := getattr(node.func, "id", "")) in made
    }

    assert calls == {
        ("Append", "sos/journal/sealing.py"),
        ("KeyRow", "sos/journal/keyring.py"),  # makes it
        ("KeyRow", "sos/journal/queries.py"),  # reads it
        ("Stored", "sos/journal/queries.py"),
        ("key_context", "sos/journal/keyring.py"),
        ("part_context", "sos/journal/sealing.py"),
        ("write_header", "sos/journal/sealing.py"),
    }


def test_no_test_sleeps_or_mocks():
    found = [
        f"{_name(file)}:{line}: {fault}"
        for file in TESTS
        for node in ast.walk(_tree(file))
        for line, fault in _lies(node)
    ]

    assert not found, "\n".join(found)


def _lies(node: ast.AST) -> Iterator[tuple[int, str]]:
    """What makes a test say something about time or parts that are not there."""
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "sleep":
            yield node.lineno, "sleeps: wait for what should happen"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\bsleep\(\d", node.value):
        yield node.lineno, "a program that it starts sleeps: wait for what should happen"
    if isinstance(node, ast.arg) and node.arg in ("monkeypatch", "mocker"):
        yield node.lineno, "hand in a real part"
    for name in _imported(node):
        if "mock" in name.split("."):
            yield getattr(node, "lineno", 0), f"{name}: hand in a real part"


def test_every_setting_says_what_it_is_or_is_named_so():
    plain = {"id", "name", "domain", "key_digests", "tenants", "operators", "auditors", "port"}  # the name says it all
    for kind in (Settings, TenantSettings, OperatorSettings, AuditorSettings):
        body = next(
            n for n in ast.walk(_tree(ROOT / "sos/settings.py")) if getattr(n, "name", "") == kind.__name__
        ).body
        documented = {
            before.target.id
            for before, after in pairwise(body)
            if isinstance(before, ast.AnnAssign)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        }
        undocumented = {field.name for field in msgspec.structs.fields(kind)} - documented
        assert undocumented <= plain, f"{kind.__name__}: {undocumented - plain}"


def test_an_unknown_setting_in_the_environment_stops_the_start_and_is_named():
    with pytest.raises(Misconfigured, match="SOS_X"):
        load(environment={"SOS_X": "1"})


def test_an_unknown_setting_in_the_file_stops_the_start_and_is_named(tmp_path: Path):
    (tmp_path / "sos.toml").write_text("colour = 'red'\n")

    with pytest.raises(Misconfigured, match="colour"):
        load(tmp_path / "sos.toml", environment={})


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SOS_PORT", "eighty"), ("SOS_PORT", "70000"), ("SOS_DATABASE_URL", "mysql://x"), ("SOS_ACCEPT_WITHIN_MS", "1")],
)
def test_a_wrong_setting_stops_the_start_and_is_named(variable: str, value: str):
    with pytest.raises(Misconfigured, match=f"(?i){variable}|{variable.removeprefix('SOS_')}"):
        load(environment={variable: value})


_HOME = "/" + "(work|home|root|Users)" + "/"
_PLACES = re.compile(rf"(?<![\w.]){_HOME}\w")
_REGISTRIES = re.compile("(?<!emit-)index[-_]url|regist" + r"ry\.npmjs|files\.pythonhosted|pypi\." + "org/simple")


def _kept() -> list[Path]:
    """The files of the repository: tracked, or not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.decode().splitlines()]
    return [file for file in files if file.is_file()]


def test_no_file_names_a_place_on_one_machine_or_a_package_registry():
    found = []
    for file in _kept():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if _PLACES.search(line) or _REGISTRIES.search(line):
                found.append(f"{_name(file)}:{number}: {line.strip()[:80]}")

    assert not found, "\n".join(found)
