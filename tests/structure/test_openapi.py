"""The OpenAPI document is the interface: every route stands in it, and the service answers as it says.

``python -m tests.structure.test_openapi --examples 1000`` sends more than the suite does.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from sos.app import running
from sos.openapi import PATHS, SHAPES, document, event_shapes, schemas
from sos.operations import shapes
from sos.settings import Settings
from tests.house import ROOT, House
from tests.ports import free_port
from tests.structure.test_route_access import _routes

EXAMPLES = 12
"""Per operation in the suite: some 20 seconds; a release sends a thousand."""

DESCRIBED = document(url="https://sos.example", version="0")


async def test_every_route_stands_in_the_document_and_every_path_of_it_runs(tmp_path: Path):
    settings = Settings(data_dir=str(tmp_path), port=free_port())
    async with running(settings) as service, ClientSession() as stranger:
        routes = {(method.lower(), path) for method, path in _routes() if method != "HEAD"}
        async with stranger.get(f"{service.url}/v1/openapi.json") as answer:
            served = await answer.json()
        async with stranger.get(f"{service.url}/v1/schemas/event.v1.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/schema+json")

    described = {(method, path) for path, methods in PATHS.items() for method in methods}
    assert routes - described == set()
    assert described - routes == set()
    assert served["paths"].keys() == PATHS.keys()


def test_every_reference_leads_somewhere():
    text = msgspec.json.encode(DESCRIBED).decode()

    for name in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert name in DESCRIBED["components"]["schemas"]
    for operations in PATHS.values():
        for operation in operations.values():
            for way in operation.get("security", ()):
                assert set(way) <= set(DESCRIBED["components"]["securitySchemes"])


def test_no_two_shapes_bear_one_name():
    """The events' shapes come from the published schema, all others from the types that are read and written."""
    ours, of_events = shapes(*SHAPES)[1], event_shapes()

    assert not ours.keys() & of_events.keys()
    assert all(name.isidentifier() for name in (*ours, *of_events))  # msgspec qualifies what would be two


@pytest.mark.parametrize("path", sorted(PATHS))
def test_an_operation_says_what_it_is_and_names_its_path_parameters(path: str):
    named = set(re.findall(r"\{(\w+)\}", path))
    for operation in PATHS[path].values():
        given = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert operation["summary"]
        assert given == named


def test_the_published_schema_says_where_it_is():
    schema = schemas("https://sos.example")["event.v1.json"]

    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12/")
    assert schema["$id"] == "https://sos.example/v1/schemas/event.v1.json"


def test_the_service_answers_as_the_document_says(tmp_path: Path):
    """No server error and no undocumented status, whatever is sent."""
    assert asyncio.run(attack(tmp_path, examples=EXAMPLES)) == 0


async def attack(directory: Path, *, examples: int, seed: int = 1) -> int:
    """schemathesis against a running service with a tenant's key; its exit code."""
    async with House(directory / "house") as house:
        command = _command(house, directory, examples=examples, seed=seed)
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.stdout.write(done.stdout[-6000:] + done.stderr[-2000:])
    return done.returncode


def _environment() -> dict[str, str]:
    return os.environ | {"SCHEMATHESIS_HOOKS": "tests.structure.described", "PYTHONPATH": str(ROOT)}


def _command(house: House, directory: Path, *, examples: int, seed: int) -> list[str]:
    file = directory / "openapi.json"
    file.write_bytes(msgspec.json.encode(_of_strangers(document(url=house.url, version="0"))))
    return [
        sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", house.url,
        "--header", f"Authorization: Bearer {house.tenant_key}",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed),
        "--generation-deterministic", "--no-color",
    ]  # fmt: skip


def _of_strangers(described: dict[str, Any]) -> Mapping[str, Any]:
    """Without the long poll's waits and without WebSockets, which a client of plain HTTP cannot try."""
    for path in ("/console/socket", "/agency/eido/{agency}/{token}"):
        described["paths"].pop(path)
    for each in described["paths"]["/v1/incidents/{incident}/commands"]["get"]["parameters"]:
        if each["name"] == "wait":
            each["schema"]["maximum"] = 0
    return described


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--examples", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    scratch = Path(tempfile.mkdtemp())
    sys.exit(asyncio.run(attack(scratch, examples=given.examples, seed=given.seed)))
