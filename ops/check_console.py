#!/usr/bin/env python3
"""Runs the console's own checks: strict types (svelte-check) and unit tests (vitest)."""

import os
import subprocess
import sys

from build_console import Console, ConsoleNotBuilt, find_node, run_npm


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
    return max(subprocess.run([*node.npm, "run", s], cwd=web, env=environment, check=False).returncode for s in scripts)


if __name__ == "__main__":
    sys.exit(main())
