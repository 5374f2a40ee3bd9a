#!/usr/bin/env python3
"""Runs the console's own checks: strict types (svelte-check) and unit tests (vitest).

The reducer's tests replay some hundred seeded stories besides the journeys: made here, of the service's own lifecycle.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from build_console import Console, ConsoleNotBuilt, find_node, run_npm

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    web = Console().web
    try:
        node = find_node(Console())
        if not (web / "node_modules").is_dir():
            run_npm(node, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=web)
    except ConsoleNotBuilt as failed:
        print(f"console: {failed}", file=sys.stderr)
        return 1
    environment = os.environ | {
        "PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "npm_config_update_notifier": "false",
        "NO_COLOR": "1",
    }
    scripts = ("check", "test")
    with tempfile.TemporaryDirectory() as made:
        environment["SOS_STORIES"] = stories = str(Path(made) / "stories.json")
        subprocess.run([sys.executable, "-m", "tests.journeys.seeded", stories], cwd=ROOT, check=True)
        done = [subprocess.run([*node.npm, "run", s], cwd=web, env=environment, check=False) for s in scripts]
    return max(each.returncode for each in done)


if __name__ == "__main__":
    sys.exit(main())
