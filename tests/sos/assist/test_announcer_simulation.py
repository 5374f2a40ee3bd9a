"""Whatever people, voice, provider and restarts do in whatever order: nobody is read to over a person of ours, nobody
who is alone is forgotten, and nothing is played that does not stand in the journal.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from sos.clock import ManualClock
from sos.dispatch.disclosure import Disclosures
from sos.errors import Refused
from sos.incident import commands as c
from sos.incident.events import BriefSpoken
from sos.incident.lifecycle import evolve
from sos.incident.model import Acknowledgement, Incident, IncidentId, LegId, Party, Telling
from sos.incident.voice import attended
from sos.journal.journal import Journal
from tests.sos.assist.test_announcer import CAR, DESK, FIRE, FIREMAN, HANAKO, ON_CALL, House

STEPS = 30
PEOPLE = {CAR: (Party.VEHICLE, "vehicle"), DESK: (Party.OPERATOR, HANAKO), ON_CALL: (Party.SUPERVISOR, "on-call-1")}


def something(pick: random.Random, state: Incident) -> c.Command:
    who = pick.choice((*PEOPLE, FIREMAN, FIREMAN))
    party, name = PEOPLE.get(who, (Party.AGENCY, FIRE))
    told = state.disclosures[-1].disclosure
    return pick.choice(
        (
            c.JoinLeg(leg=who, party=party, who=name),
            c.JoinLeg(leg=who, party=party, who=name),
            c.LeaveLeg(leg=who, reason=pick.choice(("ended", "media_lost"))),
            c.SetLegMode(leg=who, operator=HANAKO, held=pick.random() < 0.5),
            c.PressKeys(leg=FIREMAN, keys=pick.choice("2229")),
            c.SpeakBrief(leg=FIREMAN, disclosure=told, language="ja", why=Telling.ASKED, operator=HANAKO),
        )
    )


@pytest.mark.parametrize("seed", range(12))
async def test_nobody_is_read_to_over_us_and_nobody_alone_is_forgotten(
    journal: Journal,
    arrive: Callable[..., Awaitable[IncidentId]],
    disclosures: Disclosures,
    clock: ManualClock,
    seed: int,
):
    pick = random.Random(seed)
    house = House(journal, await arrive(), disclosures, keys=pick.random() < 0.7)
    await house.tell()
    for _ in range(STEPS):
        house.voice.away = pick.choice((0, 0, 0, 1, 5))
        house.deaf = pick.choice((0, 0, 0, 1))
        state = await journal.state(house.incident)
        try:
            await journal.execute(house.incident, something(pick, state), actor="system:test")
        except Refused:
            continue
        await house.follow(again=pick.random() < 0.2, wait=False)
        if pick.random() < 0.1:  # killed; the next one's cursor may be before or after all of this
            house.announcer = house.opened()
            await house.announcer.look_again()
        await clock.advance(timedelta(seconds=pick.choice((0, 0, 1, 60))))
    house.voice.away = house.deaf = 0
    await settled(house, clock)
    await journal.execute(house.incident, c.LeaveLeg(leg=DESK, reason="media_lost"), actor="system:test")
    await journal.execute(house.incident, c.LeaveLeg(leg=ON_CALL, reason="media_lost"), actor="system:test")
    await journal.execute(house.incident, c.JoinLeg(leg=FIREMAN, party=Party.AGENCY, who=FIRE), actor="system:test")
    await settled(house, clock)

    await check(house)


async def settled(house: House, clock: ManualClock) -> None:
    for _ in range(3):
        await house.follow(wait=False)
        while house.announcer.busy:
            await clock.advance(timedelta(seconds=1))


async def check(house: House) -> None:
    state: Incident | None = None
    readings: dict[str, LegId] = {}
    final = await house.journal.state(house.incident)
    for recorded in await house.journal.store.stream(house.incident):
        if isinstance(event := recorded.event, BriefSpoken):
            assert state is not None
            readings[recorded.id] = event.leg
            assert event.why is not Telling.ALONE or not attended(state)
        state = evolve(state or Incident(id=final.id, tenant=final.tenant), recorded.event, at=recorded.at)
    for leg, sound, words in house.said:
        assert leg == FIREMAN
        assert words == "" or readings[sound] == leg
    known = final.leg(FIREMAN)
    assert known is not None
    assert not attended(final)
    assert known.briefs or final.disclosures[-1].reached is Acknowledgement.TAKEN_OVER
