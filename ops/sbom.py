#!/usr/bin/env python3
"""Writes bills of materials (CycloneDX 1.6, JSON): of the wheel with its locked packages, and of the console.

    python ops/sbom.py --out dist      writes sos-service.cdx.json and sos-console.cdx.json

Versions and hashes come from the locks (``ops/requirements/run.txt``, ``sos/console/web/package-lock.json``), licences
and who needs whom from the packages as they are installed where this runs; what is not installed there says so.  The
same locks make the same files.  Standard library only, so that it runs beside a wheel and nothing else.
"""

import argparse
import base64
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "ops" / "requirements" / "run.txt"
CONSOLE = ROOT / "sos" / "console" / "web" / "package-lock.json"
SPEC = "1.6"
OURS = uuid.UUID("9c6d2f0e-55c1-5a6e-9d6c-6c1f0d3f7a10")
"""Namespace of our serial numbers (RFC 9562, version 5)."""

_LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST_LICENCE = 80
"""Characters of a name; some packages put the whole text there."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One package that is shipped or needed."""

    name: str
    version: str
    purl: str
    hashes: tuple[tuple[str, str], ...]
    """Algorithm and hexadecimal value."""
    licences: tuple[Mapping[str, Any], ...] = ()
    needs: tuple[str, ...] = ()
    """Names of those it needs."""
    note: str = ""


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- the service ---


def service() -> dict[str, Any]:
    """Of the wheel, with every package that the lock of a running service names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    whole = Part(
        name=project["name"],
        version=project["version"],
        purl=f"pkg:pypi/{project['name']}@{project['version']}",
        hashes=(),
        licences=({"expression": project["license"]},),
        needs=tuple(_names(project["dependencies"])),
    )
    locked = list(_LOCKED.finditer(RUN.read_text()))
    versions: dict[str, set[str]] = {}
    for found in locked:
        versions.setdefault(normal(found["name"]), set()).add(found["version"])
    return document(whole, tuple(_python_part(found, versions) for found in locked))


def _python_part(found: re.Match[str], versions: Mapping[str, set[str]]) -> Part:
    name, version = normal(found["name"]), found["version"]
    licences, needs, note = _installed(name, version, versions[name])
    return Part(
        name=name,
        version=version,
        purl=f"pkg:pypi/{name}@{quote(version)}",
        hashes=tuple(("SHA-256", each) for each in _HASH.findall(found["rest"])),
        licences=licences,
        needs=needs,
        note=note,
    )


def _installed(name: str, version: str, locked: set[str]) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...], str]:
    """Licences and needs, as the package itself says.  ``locked``: its versions for all systems and Pythons."""
    elsewhere = "for another system or Python than the one this was written on"
    try:
        known = distribution(name)
    except PackageNotFoundError:
        return (), (), elsewhere
    if known.version not in locked:
        raise SystemExit(f"{name} {known.version} is installed and the lock says {version}: install the lock first")
    if known.version != version:
        return (), (), elsewhere
    return tuple(_licences(known.metadata)), tuple(_names(known.requires or ())), ""


def _licences(metadata: Any) -> Iterator[Mapping[str, Any]]:
    """The expression (PEP 639), else the field, else the classifiers."""
    if expression := metadata.get("License-Expression"):
        yield {"expression": expression}
        return
    named = (metadata.get("License") or "").strip()
    classified = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or ()
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    if named and len(named) <= _LONGEST_LICENCE and "\n" not in named:
        yield {"license": {"name": named}}
    else:
        yield from ({"license": {"name": each}} for each in classified)


def _names(requirements: Iterable[str]) -> Iterator[str]:
    for each in requirements:
        if "extra ==" not in each and (found := _NAME.match(each)):
            yield normal(found[0])


# --- the console ---


def console() -> dict[str, Any]:
    """Of the operator's page, with every package that its lock names: what is bundled, and what builds it."""
    locked = json.loads(CONSOLE.read_text())["packages"]
    root = locked[""]
    asked = {**root.get("dependencies", {}), **root.get("devDependencies", {})}
    whole = Part(
        name=root["name"],
        version=root["version"],
        purl=_npm(root["name"], root["version"]),
        hashes=(),
        licences=({"expression": root["license"]},),
        needs=tuple(_resolved(asked, "", locked)),
    )
    return document(whole, tuple(_npm_part(path, locked) for path in locked if path))


def _npm(name: str, version: str) -> str:
    return f"pkg:npm/{quote(name, safe='/')}@{quote(version)}"


def _npm_part(path: str, locked: Mapping[str, Any]) -> Part:
    each = locked[path]
    name = path.rpartition("node_modules/")[2]
    algorithm, _, value = each.get("integrity", "").partition("-")
    hashes = ((algorithm.upper().replace("SHA", "SHA-"), base64.b64decode(value).hex()),) if value else ()
    wanted = {**each.get("dependencies", {}), **each.get("optionalDependencies", {})}
    return Part(
        name=name,
        version=each["version"],
        purl=_npm(name, each["version"]),
        hashes=hashes,
        licences=({"expression": each["license"]},) if "license" in each else (),
        needs=tuple(_resolved(wanted, path, locked)),
        note="optional: for another system" if each.get("optional") else "",
    )


def _resolved(wanted: Iterable[str], path: str, locked: Mapping[str, Any]) -> Iterator[str]:
    """Which of several versions is meant: the nearest one up the folders, as Node.js looks."""
    for name in wanted:
        folder = path
        while True:
            at = f"{folder}/node_modules/{name}" if folder else f"node_modules/{name}"
            if at in locked:
                yield _npm(name, locked[at]["version"])
            if at in locked or not folder:
                break
            folder = folder.rpartition("/node_modules/")[0] if "/node_modules/" in folder else ""


# --- the document ---


def document(whole: Part, parts: tuple[Part, ...]) -> dict[str, Any]:
    """The bill of ``whole``.  The serial number is that of its content, so that equal bills are one."""
    by_purl = {each.purl: each for each in sorted(parts, key=lambda each: each.purl)}
    by_name = {each.name: each.purl for each in by_purl.values()}
    known = [whole, *by_purl.values()]
    bill: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": _component(whole, kind="application")},
        "components": [_component(each, kind="library") for each in by_purl.values()],
        "dependencies": [
            {
                "ref": each.purl,
                "dependsOn": sorted({by_name.get(need, need) for need in each.needs} & set(by_purl)),
            }
            for each in known
        ],
    }
    serial = uuid.uuid5(OURS, json.dumps(bill, sort_keys=True))
    return {**bill, "serialNumber": f"urn:uuid:{serial}"}


def _component(part: Part, *, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": kind,
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
    }
    if part.hashes:
        told["hashes"] = [{"alg": algorithm, "content": value} for algorithm, value in part.hashes]
    if part.licences:
        told["licenses"] = list(part.licences)
    if part.note:
        told["properties"] = [{"name": "sos:note", "value": part.note}]
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the bills of materials of the wheel and of the console.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder, made when missing")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, bill in (("sos-service", service()), ("sos-console", console())):
        file = out / f"{name}.cdx.json"
        file.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n")
        print(f"{file}: {len(bill['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
