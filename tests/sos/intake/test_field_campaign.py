"""A few of the campaign over the doors; all of it by ``python -m tests.sos.intake.field_campaign``."""

from tests.sos.intake.field_campaign import CHANNELS, campaign, everything


async def test_each_recognisable_emergency_is_one_incident_with_its_position() -> None:
    found = await campaign(seed=1, most=150)

    assert {result: sum(reports.values()) for result, reports in found.items()} == {
        "one incident with its position": 150
    }


def test_the_campaign_crosses_everything() -> None:
    assert len(list(everything())) > 1000
    assert {sent.channel for sent in everything()} == set(CHANNELS)
