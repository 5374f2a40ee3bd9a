"""The built console in a real Chromium, in front of a scripted service."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from sos.clock import SystemClock
from tests.sos.console.web.scripted_service import STATIC, ScriptedService

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--autoplay-policy=user-gesture-required",
)  # fmt: skip


@pytest.fixture
async def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def address(service: ScriptedService) -> AsyncIterator[str]:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the console is not built: run ops/build_console.py")
    runner = web.AppRunner(service.app(), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
async def page(address: str) -> AsyncIterator[Page]:
    """A page at 1440x900 whose console errors fail the test."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian package chromium)")
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), timeout=120_000)
        context = await browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address)
        opened = await context.new_page()
        opened.set_default_timeout(60_000)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        yield opened
        await browser.close()
    unexpected = [text for text in errors if "ERR_CONNECTION" not in text and "WebSocket" not in text]
    assert [text for text in unexpected if "401" not in text and "409" not in text] == []


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """Wait until a question about the page or the service has a true answer; the answer."""

    async def ask(question: Callable[[], Any], *, within_s: float = 60.0) -> Any:
        async with asyncio.timeout(within_s):
            while True:
                answer = question()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await SystemClock().wait(timedelta(milliseconds=50))

    return ask
