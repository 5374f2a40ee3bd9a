"""Twilio's published description of its interface, as a judge of what the emulator answers and is asked.

The description calls everything nullable and requires nothing, so this asks for more: every key is one that is
described, and every value has its type, pattern, length and enumeration.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Described:
    def __init__(self, file: Path) -> None:
        document = json.loads(file.read_text())
        self._schemas = document["components"]["schemas"]
        self._paths = [
            (re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path)) + r"\Z"), path.count("{"), operations)
            for path, operations in document["paths"].items()
        ]

    def faults_of_request(self, method: str, path: str, names: Iterator[str] | list[str]) -> list[str]:
        """Parameters that are not described for this operation."""
        operation = self._operation(method, path)
        if operation is None:
            return [f"{method} {path} is not described"]
        known = {each["name"] for each in operation.get("parameters", ())}
        for body in operation.get("requestBody", {}).get("content", {}).values():
            known |= set(body["schema"].get("properties", {}))
        return [f"{method} {path} knows no {name}" for name in names if name not in known]

    def faults_of_answer(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What of an answer is not as described."""
        operation = self._operation(method, path)
        described = (operation or {}).get("responses", {}).get(str(status))
        if described is None:
            return [f"{method} {path} does not answer {status}"]
        content = described.get("content", {}).get("application/json")
        if content is None:
            return [] if body is None else [f"{method} {path} answers no body"]
        return list(self._faults(body, content["schema"], "$"))

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        fitting = [(count, operations) for pattern, count, operations in self._paths if pattern.match(path)]
        for _, operations in sorted(fitting, key=lambda each: each[0]):
            if method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
        return None

    def _faults(self, value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rsplit("/", 1)[1]]
        if value is None:
            if not schema.get("nullable", "enum" in schema or not schema.get("type")):
                yield f"{where} is null"
            return
        match schema.get("type"):
            case "object" if "properties" in schema:
                yield from (f"{where}.{key} is not described" for key in value if key not in schema["properties"])
                for key, described in schema["properties"].items():
                    if key in value:
                        yield from self._faults(value[key], described, f"{where}.{key}")
            case "array":
                for number, each in enumerate(value):
                    yield from self._faults(each, schema["items"], f"{where}[{number}]")
            case "string":
                yield from _text_faults(value, schema, where)
            case "integer" | "number" if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{where} is no number"
            case "boolean" if not isinstance(value, bool):
                yield f"{where} is not true or false"


def _text_faults(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{where} is no text"
        return
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where} does not match {schema['pattern']}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**6):
        yield f"{where} is too short or too long"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is none of {schema['enum']}"
