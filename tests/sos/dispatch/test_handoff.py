from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recording.keys import KeyStore
from routing.directory import Directory
from sos.dispatch.adapters.portal import Links, PortalChannel
from sos.dispatch.adapters.simulated import SimulatedChannel
from sos.dispatch.handoff import Handoff
from sos.dispatch.port import Parcel
from sos.errors import Unavailable
from sos.incident.commands import PassDeadline
from sos.incident.events import DeliveryConfirmed, DeliveryFailed, DeliveryStarted
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, IncidentId, OperatorId

FIRE = AgencyId("jp-13-fire")
LIMBS = {"operator": OperatorId("hanako"), "necessity": "automatic_crash", "consent": "no_answer"}


def _handoff(journal, channel) -> Handoff:
    return Handoff(journal, directory=Directory.demo(), channels={"portal": channel})


async def _until_confirmed(journal, clock, handoff, incident, *, rounds=60):
    """Let the deadlines of the hand-off pass until a machine there has the brief."""
    for _ in range(rounds):
        await handoff.handle(await journal.store.stream(incident))
        if all(told.reached is not None for told in (await journal.state(incident)).disclosures):
            return
        await clock.advance(timedelta(seconds=5))
        await journal.execute(incident, PassDeadline(name="redeliver"), actor="timer")
    raise AssertionError("never confirmed")


async def test_intent_stands_before_the_delivery_and_its_outcome_after(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)

    await _handoff(journal, channel).handle(await journal.store.stream(incident))

    kinds = [type(recorded.event) for recorded in await journal.store.stream(incident)]
    assert kinds[-2:] == [DeliveryStarted, DeliveryConfirmed]
    assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED


async def test_the_reader_may_see_the_decision_again_and_delivers_once(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)
    handoff = _handoff(journal, channel)

    for _ in range(3):  # the cursor was not saved: everything comes again
        await handoff.handle(await journal.store.stream(incident))

    assert list(channel.arrived.values()) == [1]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_channel_loses_each_brief_arrives_exactly_once(journal, clock, arrive, disclosures, seed):
    incident = await arrive()
    for agency in (FIRE, AgencyId("jp-13-police")):
        await disclosures.decide(incident, agency=agency, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0.5, seed=seed)

    await _until_confirmed(journal, clock, _handoff(journal, channel), incident)

    assert len(channel.arrived) == 2
    assert set(channel.arrived.values()) == {1}
    recorded = [event.event for event in await journal.store.stream(incident)]
    started = sum(isinstance(event, DeliveryStarted) for event in recorded)
    assert started == 2 + sum(isinstance(event, DeliveryFailed) for event in recorded)


async def test_a_service_killed_between_delivery_and_record_asks_before_it_repeats(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    channel = SimulatedChannel(misbehaviour=0)

    class Killed(Exception):
        pass

    class DiesAfterwards(SimulatedChannel):
        async def deliver(self, parcel):
            await channel.deliver(parcel)
            raise Killed

    with pytest.raises(Killed):
        await _handoff(journal, DiesAfterwards()).handle(await journal.store.stream(incident))
    await _handoff(journal, channel).handle(await journal.store.stream(incident))

    assert list(channel.arrived.values()) == [1]
    assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED
    assert (await journal.state(incident)).disclosures[0].attempts == 2


PARCEL = Parcel(incident=IncidentId("i"), disclosure=DisclosureId("d"), agency=FIRE, brief=b"{}")


@pytest.fixture(params=["portal", "simulated", "misbehaving"])
def channel(request, tmp_path):
    """Every channel there is, under one contract."""
    if request.param == "portal":
        return PortalChannel(Links(KeyStore(tmp_path).secret("portal"), public_url="http://127.0.0.1:1"))
    return SimulatedChannel(misbehaviour=0.0 if request.param == "simulated" else 0.4)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(tries=st.integers(1, 8))
async def test_contract_what_was_delivered_can_be_found(channel, tries):
    delivered = None
    for _ in range(tries):
        try:
            delivered = delivered or await channel.deliver(PARCEL)
            found = await channel.find(PARCEL.disclosure)
        except Unavailable:
            continue
        assert found is not None
        assert found == delivered
        assert found.level.rank <= Acknowledgement.DELIVERED.rank  # a machine never says that a human has heard
