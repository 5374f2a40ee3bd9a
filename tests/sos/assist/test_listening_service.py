"""The transcript in the whole service: off without a model, a wrong setting is named, a spoilt model harms nobody."""

import asyncio
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from sos.app import running
from sos.clock import SystemClock
from sos.errors import Misconfigured
from sos.settings import AssistSettings, Settings
from tests.ports import free_port


def settings(tmp_path: Path, model: str) -> Settings:
    assist = AssistSettings(speech=False, transcript_model=model)
    return Settings(data_dir=str(tmp_path / "data"), port=free_port(), assist=assist)


async def told(settings: Settings, state: str) -> bool:
    """Whether the house says that it is ready, once its transcript is in this state."""
    async with running(settings) as service, aiohttp.ClientSession() as http, asyncio.timeout(60):
        while True:
            async with http.get(f"{service.url}/readyz") as answer:
                ready = await answer.json()
            if ready["assists"]["transcript"] == state:
                return bool(ready["ready"])
            await SystemClock().wait(timedelta(milliseconds=100))


async def test_without_a_model_nobody_writes_along(tmp_path: Path):
    assert await told(settings(tmp_path, ""), "off")


async def test_a_directory_without_a_model_stops_the_start_and_is_named(tmp_path: Path):
    with pytest.raises(Misconfigured, match=r"assist\.transcript_model"):
        await told(settings(tmp_path, str(tmp_path)), "off")


async def test_a_spoilt_model_is_said_and_the_house_is_ready(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"no model at all")

    assert await told(settings(tmp_path, str(tmp_path)), "degraded")
