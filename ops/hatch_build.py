"""Puts the built console into the wheel.

A wheel without the console would install and then serve an empty page, so the build fails when there is none.  An
editable install serves the checkout itself and is built by ``ops/build_console.py``.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _builder() -> ModuleType:
    """``build_console.py`` beside this file: a hook is loaded by its path, so it has no package to import from."""
    spec = importlib.util.spec_from_file_location("build_console", Path(__file__).with_name("build_console.py"))
    if spec is None or spec.loader is None:
        raise FileNotFoundError("ops/build_console.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class ConsoleHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node.js from PyPI, only when there is neither a fresh bundle nor a usable Node.js on this machine."""
        builder = _builder()
        needed = not builder.Console(root=Path(self.root)).fresh() and builder.machine_node() is None
        return [builder.NODE_PACKAGE] if needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        builder = _builder()
        console = builder.Console(root=Path(self.root))
        if (console.web / "package.json").is_file():
            builder.build(console)
        if not console.built():
            raise builder.ConsoleNotBuilt(f"{console.static / 'index.html'} is missing: a wheel needs the console")
        build_data["artifacts"].append("sos/console/static/**")
