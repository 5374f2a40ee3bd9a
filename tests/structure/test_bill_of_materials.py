"""Bills of materials keep to CycloneDX's schema and hold what the locks do; an audit that could not ask says so."""

import hashlib
import json
import re
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest

from ops import sbom
from ops.audit import Outcome, of_npm_audit, of_pip_audit


def _schema(name: str) -> Any:
    return json.loads((resources.files("cyclonedx.schema") / "_res" / f"{name}.SNAPSHOT.schema.json").read_text())


@pytest.fixture(scope="module")
def judge() -> Any:
    """The schema of the edition that the bills name, with those it refers to."""
    base = "http://cyclonedx.org/schema"
    others = [
        (f"{base}/{file}", _schema(name))
        for name, file in (("spdx", "spdx.SNAPSHOT.schema.json"), ("jsf-0.82", "jsf-0.82.SNAPSHOT.schema.json"))
    ]
    registry = jsonschema_rs.Registry(others)
    return jsonschema_rs.validator_for(_schema(f"bom-{sbom.SPEC}"), registry=registry)


@pytest.mark.parametrize("bill", [sbom.service, sbom.console], ids=["service", "console"])
def test_a_bill_keeps_to_the_schema_and_is_the_same_each_time(judge: Any, bill: Any):
    made = bill()

    assert [error.message for error in judge.iter_errors(made)] == []
    assert made == bill()
    assert not judge.is_valid({**made, "components": [{"type": "library"}]})


def test_every_locked_package_stands_in_the_services_bill_with_its_hashes_and_licence():
    made = sbom.service()
    lock = sbom.RUN.read_text()
    by_name = {(each["name"], each["version"]): each for each in made["components"]}

    locked = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE)
    assert {(sbom.normal(name), version) for name, version in locked} == set(by_name)
    hashes = {each["content"] for part in by_name.values() for each in part["hashes"]}
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", lock))
    assert [each["name"] for each in by_name.values() if not each.get("licenses") and not each.get("properties")] == []
    whole = made["dependencies"][0]
    assert whole["ref"].startswith("pkg:pypi/sos-service@")
    assert any(each.startswith("pkg:pypi/aiohttp@") for each in whole["dependsOn"])


def test_every_package_that_the_console_locks_stands_in_its_bill_with_hash_and_licence():
    made = sbom.console()
    locked = json.loads(sbom.CONSOLE.read_text())["packages"]

    there = {each["purl"]: each for each in made["components"]}
    names = {path.rpartition("node_modules/")[2]: each for path, each in locked.items() if path}
    assert {f"{each['name']}@{each['version']}" for each in there.values()} >= {
        f"{name}@{each['version']}" for name, each in names.items()
    }
    svelte = next(each for each in there.values() if each["name"] == "svelte")
    assert svelte["licenses"] == [{"expression": "MIT"}]
    assert len(bytes.fromhex(svelte["hashes"][0]["content"])) == hashlib.sha512().digest_size
    known = set(there) | {made["metadata"]["component"]["purl"]}
    for each in made["dependencies"]:
        assert {each["ref"], *each["dependsOn"]} <= known


PACKAGE = {"name": "x", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        ("", Outcome.NOT_ASKED),
        ("no json", Outcome.NOT_ASKED),
        (json.dumps({"dependencies": []}), Outcome.NOT_ASKED),
        (json.dumps({"dependencies": [PACKAGE, {"name": "y", "skip_reason": "not found"}]}), Outcome.NOT_ASKED),
        (json.dumps({"dependencies": [PACKAGE]}), Outcome.CLEAN),
        (json.dumps({"dependencies": [PACKAGE | {"vulns": [{"id": "PYSEC-2026-1"}]}]}), Outcome.KNOWN),
    ],
)
def test_a_package_that_was_not_asked_about_is_not_clean(report: str, outcome: Outcome):
    assert of_pip_audit(report)[0] is outcome


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        ("", Outcome.NOT_ASKED),
        (json.dumps({"error": {"code": "ENOTFOUND"}}), Outcome.NOT_ASKED),
        (json.dumps({"metadata": {"vulnerabilities": {"total": 0}, "dependencies": {"total": 140}}}), Outcome.CLEAN),
        (
            json.dumps(
                {
                    "vulnerabilities": {"vite": {}},
                    "metadata": {"vulnerabilities": {"total": 1}, "dependencies": {"total": 140}},
                }
            ),
            Outcome.KNOWN,
        ),
    ],
)
def test_npm_is_believed_only_with_a_whole_report(report: str, outcome: Outcome):
    assert of_npm_audit(report)[0] is outcome
