"""Breaks each claim of ``claims.toml`` in a copy of the repository and looks whether a test turns red.

    python -m tests.mutations             all of them: some minutes
    python -m tests.mutations 3 fax       the third, and those whose words hold «fax»

It ends with 1 when a claim can be broken without any test noticing, or when its code is not there any more.  The tests
that are named must pass in the copy before anything is broken: a test that is red anyway shows nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from msgspec import Struct, convert

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = Path(__file__).with_name("claims.toml")
WEB = Path("sos/console/web")

SHORT = 2
"""Claims that ``--short`` breaks."""

WITHIN_S = 300
"""Of one run of tests; a test that hangs when its claim is broken has noticed it too."""


class Claim(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    says: str
    file: str
    code: str
    """As it stands in ``file``, once."""
    broken: str
    red: tuple[str, ...]
    """Tests, any of which must turn red: of pytest, or of the page where it ends in ``.ts``."""


def claims() -> tuple[Claim, ...]:
    return convert(tomllib.loads(CLAIMS.read_text())["claim"], tuple[Claim, ...])


def fault(claim: Claim, root: Path = ROOT) -> str:
    """Why the claim cannot be broken as it says; empty where it can."""
    path = root / claim.file
    if not path.is_file():
        return f"there is no {claim.file}"
    found = path.read_text().count(claim.code)
    missing = [test for test in claim.red if not (root / test.partition("::")[0]).exists()]
    if found != 1:
        return f"the code stands {found} times in {claim.file}"
    return f"there is no {missing[0]}" if missing else ""


def copied(to: Path) -> Path:
    """The files of the repository as they are now, with what has been installed beside them."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    modules = ROOT / WEB / "node_modules"
    if modules.exists() and not (to / WEB / "node_modules").exists():
        (to / WEB / "node_modules").symlink_to(modules.resolve())
    return to


def red(tests: tuple[str, ...], root: Path) -> bool:
    """Whether any of ``tests`` fails.  ``RuntimeError`` where they cannot even be run."""
    env = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    pages = [test for test in tests if test.endswith(".ts")]
    others = [test for test in tests if not test.endswith(".ts")]
    runs = []
    if others:
        runs.append(([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *others], root))
    if pages:
        vitest = root / WEB / "node_modules/vitest/vitest.mjs"
        inside = [str(Path(page).relative_to(WEB)) for page in pages]
        runs.append((["node", str(vitest), "run", *inside], root / WEB))
    for command, where in runs:
        try:
            done = subprocess.run(
                command, cwd=where, env=env, capture_output=True, text=True, timeout=WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            return True
        if done.returncode == 1:
            return True
        if done.returncode:
            raise RuntimeError(f"{command[-1]}: {done.stdout[-400:]}{done.stderr[-400:]}")
    return False


def broken(claim: Claim, root: Path) -> str:
    """``red``, or what is wrong."""
    path = root / claim.file
    whole = path.read_text()
    path.write_text(whole.replace(claim.code, claim.broken))
    try:
        return "red" if red(claim.red, root) else "NOT NOTICED"
    except RuntimeError as wrong:
        return f"CANNOT RUN: {wrong}"
    finally:
        path.write_text(whole)


def chosen(words: list[str]) -> list[tuple[int, Claim]]:
    numbered = list(enumerate(claims(), 1))
    if "--short" in words:
        return numbered[:SHORT]
    return [
        (number, claim)
        for number, claim in numbered
        if not words or str(number) in words or any(not word.isdecimal() and word in claim.says for word in words)
    ]


def main(words: list[str]) -> int:
    wanted, wrong = chosen(words), 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch:
        root = copied(Path(scratch))
        every = tuple(dict.fromkeys(test for _, claim in wanted for test in claim.red))
        if red(every, root):
            print("the tests are red before anything is broken")
            return 1
        for number, claim in wanted:
            began = time.monotonic()
            outcome = fault(claim, root) or broken(claim, root)
            wrong += outcome != "red"
            print(f"{number:3}  {outcome:12} {time.monotonic() - began:5.0f} s  {claim.says}", flush=True)
    print(f"{len(wanted) - wrong} of {len(wanted)} claims turn a test red when they are broken")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
