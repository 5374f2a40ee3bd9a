"""What is wrong with an account is found before anybody calls: ``sos twilio check`` against the emulated Twilio."""

import json
import subprocess
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sos.calls.adapters.twilio.account import Finding, Verdict
from sos.calls.adapters.twilio.configured import account_findings
from sos.calls.adapters.twilio.twiml import OVERRIDES
from sos.errors import Misconfigured, Unavailable
from sos.settings import Settings, TwilioNumberSettings
from tests.sos.calls.test_twilio_service import settings
from tests.sos.calls.twilio_rig import CALLER, DESCRIBED, VEHICLES, toml_of
from tests.twilio_emulator.server import Emulator

DOMAIN = "acme.sip.example"
DESKS = "AP" + "0" * 32
FALLBACK = "https://elsewhere.example/fallback.xml"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(described=DESCRIBED) as opened:
        yield opened
        assert opened.faults == []


def house(tmp_path: Path, emulator: Emulator) -> Settings:
    """A house whose account is set up as it should be."""
    good = settings(tmp_path, emulator)
    assert good.twilio is not None
    base = good.url
    numbers = (*good.twilio.numbers, TwilioNumberSettings(called=DOMAIN, tenant="acme"))
    voice = {"voice_url": f"{base}/twilio/voice{OVERRIDES}", "voice_fallback_url": FALLBACK}
    emulator.own_number(VEHICLES, **voice)
    emulator.own_number(CALLER)
    emulator.own_domain(DOMAIN, auth_type="IP_ACL", secure=True, **voice)
    emulator.own_application(DESKS, voice_url=f"{base}/twilio/desk{OVERRIDES}")
    return replace(good, twilio=replace(good.twilio, numbers=numbers, desk_application_sid=DESKS))


def wrong(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.about, each.says) for each in findings if each.verdict is Verdict.WRONG]


async def test_an_account_as_it_should_be_has_nothing_wrong_and_says_what_cannot_be_read(
    tmp_path: Path, emulator: Emulator
):
    findings = await account_findings(house(tmp_path, emulator))

    assert wrong(findings) == []
    assert [each.about for each in findings if each.verdict is Verdict.RIGHT] == [VEHICLES, DOMAIN, DESKS]
    assert {each.about for each in findings if each.verdict is Verdict.LOOK} == {
        "calls per second",
        "recordings",
        "geographic permissions",
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"voice_url": None}, "voice URL is empty"),
        ({"voice_url": "https://demo.example/welcome"}, "and should be"),
        ({"voice_fallback_url": ""}, "no fallback URL"),
        ({"voice_fallback_url": "http://127.0.0.1:9/fallback.xml"}, "own site"),
        ({"voice_method": "GET"}, "by POST"),
        ({"trunk_sid": "TK" + "0" * 32}, "trunk TK"),
        ({"voice_application_sid": DESKS}, "voice application AP"),
        ({"capabilities": {"voice": False, "sms": True, "mms": False, "fax": False}}, "no voice calls"),
    ],
)
async def test_each_fault_of_a_number_is_named(tmp_path: Path, emulator: Emulator, change: dict[str, Any], says: str):
    configured = house(tmp_path, emulator)
    emulator.numbers[VEHICLES] |= change

    ((about, told),) = wrong(await account_findings(configured))

    assert about == VEHICLES
    assert says in told


async def test_a_voice_url_without_connection_overrides_is_wrong(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    emulator.numbers[VEHICLES]["voice_url"] = f"{configured.url}/twilio/voice"

    ((_, told),) = wrong(await account_findings(configured))

    assert "connection overrides" in told


async def test_an_open_sip_domain_and_one_in_the_clear_are_wrong(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    emulator.domains[DOMAIN] |= {"auth_type": "", "secure": False}

    assert [about for about, _ in wrong(await account_findings(configured))] == [DOMAIN, DOMAIN]


async def test_what_the_settings_name_and_the_account_has_not_is_wrong(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    emulator.numbers.clear()
    emulator.domains.clear()
    emulator.applications.clear()

    names = {about for about, _ in wrong(await account_findings(configured))}

    assert names == {VEHICLES, DOMAIN, CALLER, DESKS}


async def test_an_account_that_does_not_let_us_in_is_no_account_without_faults(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    (tmp_path / "key").write_text("another secret")

    with pytest.raises(Unavailable, match="let us in"):
        await account_findings(configured)
    with pytest.raises(Misconfigured, match="no group twilio"):
        await account_findings(Settings())


async def test_the_command_prints_what_is_wrong_and_ends_with_one(tmp_path: Path, emulator: Emulator):
    configured = house(tmp_path, emulator)
    emulator.numbers[VEHICLES]["voice_fallback_url"] = None
    file = tmp_path / "sos.toml"
    file.write_text(toml_of(configured))

    shown, asked = [
        await to_thread(
            subprocess.run, [sys.executable, "-m", "sos", "twilio", "check", "--config", str(file), *more],
            capture_output=True, text=True, check=False,
        )
        for more in ((), ("--json",))
    ]  # fmt: skip

    assert shown.returncode == asked.returncode == 1
    assert f"wrong  {VEHICLES}: has no fallback URL" in shown.stdout
    assert {each["verdict"] for each in json.loads(asked.stdout)} == {"right", "wrong", "look"}
