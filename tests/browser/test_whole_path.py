"""One crash from the report to the verified package, through a real browser with real sound, on each database."""

from collections import Counter
from pathlib import Path

import pytest

from recording.verify import verify_package
from tests.browser.conftest import Desk, read
from tests.browser.story import HEARD, Story, leaves, same_sound, sos
from tests.house import House

pytestmark = pytest.mark.browser


async def test_a_crash_is_answered_told_taken_over_closed_and_proved(
    house: House, desk: Desk, sounds: dict[str, Path], tmp_path: Path
):
    story = Story(house, desk, sounds, tmp_path)
    await desk.start_work()
    await story.report()

    async with await story.call():
        for _, hop in story.hops[1:-1]:
            await hop()

    assert same_sound(read(tmp_path / "car.wav"), sounds["operator"]) >= HEARD
    assert same_sound(read(tmp_path / "car.wav"), sounds["car"]) < HEARD

    await story.export()
    elsewhere = (tmp_path / "package").rename(tmp_path / "at the regulator's")
    await house.kill()
    log_key, seal_key = house.verifier_keys()
    told = await sos("verify", str(elsewhere), "--log-key", log_key, "--seal-key", seal_key)

    assert told["ok"]
    assert told["origin_proved"]
    assert [step["number"] for step in told["steps"]] == list(range(1, len(told["steps"]) + 1))
    assert all(step["detail"] for step in told["steps"])
    kinds = [leaf["kind"] for leaf in leaves(elsewhere)]
    assert kinds.index("DisclosureDecided") < kinds.index("DeliveryStarted") < kinds.index("DeliveryConfirmed")
    assert kinds.index("RecordingSealed") < kinds.index("IncidentClosed")
    assert not verify_package(elsewhere, log_vkey=seal_key, seal_vkey=log_key).ok


async def test_killed_after_every_hop_nothing_is_lost_nothing_told_twice_and_the_call_comes_back(
    house: House, desk: Desk, sounds: dict[str, Path], tmp_path: Path
):
    story = Story(house, desk, sounds, tmp_path)
    await desk.start_work()
    await story.report()

    async with await story.call():
        for name, hop in story.hops:
            await hop()
            await house.kill()
            await house.start()
            await story.linked()
            if name == "reported":
                await story.report()  # the car did not hear the answer and sends again
            if name in ("talking", "noted", "told", "read", "taken over"):
                await story.talking()

    log_key, seal_key = house.verifier_keys()
    assert verify_package(tmp_path / "package", log_vkey=log_key, seal_vkey=seal_key).ok
    after = tmp_path / "after"
    told = await sos("export", story.incident, str(after), "--url", house.url, "--key", house.auditor_token)
    assert told["Log-Key"] == log_key
    assert verify_package(after, log_vkey=log_key, seal_vkey=seal_key).ok
    events = leaves(after)
    kinds = Counter(leaf["kind"] for leaf in events)
    once = ("IncidentOpened", "ReportFiled", "PlanMade", "DisclosureDecided", "HandoffCompleted", "IncidentClosed")
    assert {kind: kinds[kind] for kind in once} == dict.fromkeys(once, 1)
    delivered = Counter(e["data"]["disclosure"] for e in events if e["kind"] == "DeliveryConfirmed")
    assert set(delivered.values()) == {1}
    assert kinds["OperatorAssigned"] == 1
    assert kinds["NoteAdded"] == 1
    assert kinds["RecordingStarted"] == kinds["RecordingSealed"] == 1  # the call outlived every death of the service
    assert kinds["RecordingFailed"] == 0
    legs = [(e["kind"], e["data"].get("party"), e["data"].get("reason")) for e in events if e["kind"].startswith("Leg")]
    assert Counter(party for kind, party, _ in legs if kind == "LegJoined") == {"vehicle": 1, "operator": 1}, legs
