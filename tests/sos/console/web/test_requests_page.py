"""The page of requests from outside: taken down with its evidence, late ones first, released by two, or refused."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import pytest
from playwright.async_api import Page

from sos.incident.model import State
from tests.sos.console.web.scripted_service import ScriptedService
from tests.sos.console.web.test_console_page import at, begin, violations

pytestmark = pytest.mark.browser

Until = Callable[..., Awaitable[Any]]


def waiting(incident: str, **changes: Any) -> dict[str, Any]:
    return {
        "incident": incident, "request": "q-1", "recipient": "INV", "path": "inquiry", "scope": ["LOC"],
        "provision": True, "document": True, "checked": [], "approved": ["op1"], "agreed": False, "needs_two": True,
        "outcome": "", "received_at": "2026-01-01T00:00:00Z", "due_at": "2026-01-08T00:00:00Z", "late": 1, **changes,
    }  # fmt: skip


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_requests_are_taken_down_listed_checked_and_refused(
    page: Page, service: ScriptedService, until: Until, language: str
) -> None:
    await begin(page)
    if language == "en":
        await page.click(at("language"))
    incident = await service.crash()
    await page.wait_for_selector(at(f"queue-{incident}"))
    await page.keyboard.press("F2")
    await until(lambda: service.incidents[incident].state is State.IN_CALL)
    service.requests = [waiting(incident)]
    await page.click(at("requests-list"))
    await page.wait_for_selector(f'{at("request")}[data-late="true"]')

    assert await page.is_disabled(at("request-answer")), "one person releases nothing to an investigator"
    await page.click(at("request-read"))
    await page.wait_for_selector(at("request-known"))
    await page.fill(at("request-words"), "求める範囲が広すぎる")
    await page.select_option(at("request-refusal"), "too_wide")
    assert await violations(page) == []
    await page.click(at("request-refuse"))
    await until(lambda: [one for one in service.orders if one["do"] == "refuse_request"])

    for name in ("issuer", "person", "call_back", "reference"):
        await page.fill(at(f"request-{name}"), "架空")
    paper = b"an invented letter"
    file = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": paper}
    await page.set_input_files(at("request-evidence"), files=[file])
    await page.wait_for_selector(at("request-digest"))
    await page.check(at("scope-LOC"))
    await page.click(at("request-keep"))
    (taken,) = await until(lambda: [one for one in service.orders if one["do"] == "request"])
    assert (taken["recipient"], taken["scope"], taken["document"]) == ("INV", ["LOC"], sha256(paper).hexdigest())
