"""Makes ``ops/docs/settings.md`` of ``sos/settings.py``: each setting with its default, environment name and reason.

python ops/settings_page.py        after any change there; a test says when the page is old
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "sos" / "settings.py"
PAGE = ROOT / "ops" / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Made by ops/settings_page.py of sos/settings.py: change that and run it. -->

Read once at the start from the file named with `--config` or `SOS_CONFIG` (TOML); the environment stands over the
file. A wrong or unknown setting stops the start with its name, exit code 78. `sos config check` prints what is in
force. No secret stands in a settings file: keys and tokens are given as SHA-256 digests, other secrets as files.
"""

FOUND_UNDER = {
    "Settings": "All of the service",
    "TenantSettings": "`[[tenants]]`: brands whose clouds report",
    "SigningKeySettings": "`[[tenants.signing_keys]]`",
    "TokenSettings": "`[[tenants.tokens]]`",
    "OperatorSettings": "`[[operators]]`: people at the desks",
    "AuditorSettings": "`[[auditors]]`: who may export",
    "RecipientSettings": "`[[recipients]]`: authorities that packages are made for",
    "ExportSettings": "`[export]`",
    "StampSettings": "`[stamps]`",
    "WitnessSettings": "`[[witnesses]]`",
    "RootKeySettings": "`[[root_keys]]`: what keys lie under",
    "RegistrarSettings": "`[[registrars]]`",
    "InterpreterSettings": "`[[interpreters]]`: who is called to interpret",
    "LostPeerSettings": "`[[lost_peers]]`",
    "LadderSettings": "`[ladder]`",
    "PortalSettings": "`[portal]`",
    "MailSettings": "`[mail]`",
    "TwilioSettings": "`[twilio]`",
    "TwilioNumberSettings": "`[[twilio.numbers]]`",
    "DeskLineSettings": "`[[twilio.desk_lines]]`",
    "AssistSettings": "`[assist]`",
    "AttendanceSettings": "`[attendance]`",
    "OnCallSettings": "`[[attendance.on_call]]`",
    "MassEventSettings": "`[mass_event]`",
}
"""The groups, the outermost first; a group that is missing here stops the script."""


def page(source: str) -> str:
    """The page for the text of ``sos/settings.py``.  ``SystemExit`` names a group that has no place on it."""
    module = ast.parse(source)
    groups = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    if groups.keys() != FOUND_UNDER.keys():
        raise SystemExit(f"ops/settings_page.py: FOUND_UNDER differs in {sorted(groups.keys() ^ FOUND_UNDER.keys())}")
    environment = _from_environment(module)
    return HEAD + "".join(
        _section(groups[name], title, environment if name == "Settings" else frozenset())
        for name, title in FOUND_UNDER.items()
    )


def _from_environment(module: ast.Module) -> frozenset[str]:
    """The names in the table of what the environment may give."""
    for node in module.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_FROM_ENVIRONMENT":
            return frozenset(ast.literal_eval(key) for key in node.value.keys)  # type: ignore[union-attr]
    raise SystemExit("sos/settings.py has no table _FROM_ENVIRONMENT")


def _section(group: ast.ClassDef, title: str, environment: frozenset[str]) -> str:
    said = ast.get_docstring(group)
    lines = [f"\n## {title}\n", *([f"{_prose(said)}\n"] if said else [])]
    last = " environment |" if environment else ""
    lines += [
        f"| setting | default |{last} what, unit and why |",
        "| --- | --- |" + (" --- |" if last else "") + " --- |",
    ]
    for field, why in _fields(group):
        name = ast.unparse(field.target)
        given = f" {f'`SOS_{name.upper()}`' if name in environment else ''} |" if environment else ""
        lines.append(f"| `{name}` | {_default(field)} |{given} {why or _kind(field)} |")
    return "\n".join(lines) + "\n"


def _fields(group: ast.ClassDef) -> Iterator[tuple[ast.AnnAssign, str]]:
    """Each field and its docstring, which is the string that follows it."""
    for node, after in pairwise([*group.body, ast.Pass()]):
        if isinstance(node, ast.AnnAssign):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield node, _prose(ast.literal_eval(after.value)) if documented else ""  # type: ignore[attr-defined]


def _default(field: ast.AnnAssign) -> str:
    if field.value is None:
        return "must be given"
    if isinstance(field.value, ast.Call):
        return "as its group says"
    value = ast.literal_eval(field.value)
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


def _kind(field: ast.AnnAssign) -> str:
    """What stands for a reason where the name says it all: the group that holds its fields."""
    for group, title in FOUND_UNDER.items():
        if re.search(rf"\b{group}\b", ast.unparse(field.annotation)):
            return title.partition(":")[0] + " below"
    return ""


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|").replace(".  ", ". ")


if __name__ == "__main__":
    PAGE.write_text(page(SOURCE.read_text()))
