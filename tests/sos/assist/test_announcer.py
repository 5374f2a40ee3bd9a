"""Who is read a brief by machine, when, how often, and that nothing waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from routing.brief import read
from routing.brief.spoken import aloud, speak
from routing.categories import Category
from sos.assist.announcer import MOST_KEPT, PHRASES, Announcer
from sos.clock import ManualClock
from sos.dispatch.adapters.simulated import SimulatedChannel
from sos.dispatch.disclosure import Disclosures
from sos.dispatch.handoff import Handoff
from sos.errors import Forbidden, Refused, Unavailable
from sos.incident import commands as c
from sos.incident.events import AgencyAcknowledged, BriefSpoken, DisclosureDecided, Recorded
from sos.incident.model import (
    Acknowledgement,
    AgencyId,
    DisclosureId,
    Disposition,
    IncidentId,
    LegId,
    OperatorId,
    Party,
    Telling,
)
from sos.incident.voice import MOST_READINGS
from sos.journal.journal import Journal
from tests.journeys import story as s

FIRE = AgencyId("jp-13-fire")
HANAKO = OperatorId("hanako")
CAR, DESK, FIREMAN, ON_CALL = LegId("leg-car"), LegId("leg-desk"), LegId("leg-fire"), LegId("leg-on-call")
RATE_HZ = 100
"""One letter lasts a tenth of a second here."""


class Voicebox:
    """Speech that spells: the sound of a text is its bytes, so a test can read what was said."""

    def __init__(self) -> None:
        self.languages = frozenset({"ja", "en"})
        self.made: list[tuple[str, str]] = []
        self.away = 0
        """How often it still fails."""
        self.free = asyncio.Event()
        self.free.set()

    async def make(self, text: str, language: str) -> bytes:
        await self.free.wait()
        if self.away:
            self.away -= 1
            raise Unavailable("no voice just now")
        self.made.append((text, language))
        return spelt(text)


def spelt(text: str) -> bytes:
    return f"<{text}>".encode("utf-16-le")


class House:
    """An incident that is told, a call, and the machine that reads."""

    def __init__(self, journal: Journal, incident: IncidentId, disclosures: Disclosures, *, keys: bool) -> None:
        self.journal, self.incident = journal, incident
        self.voice = Voicebox()
        self.said: list[tuple[LegId, str, str]] = []
        self.languages: tuple[str, ...] = ("ja",)
        self.deaf = 0
        """How often the provider still plays nothing."""
        self.most_kept = MOST_KEPT
        self._disclosures, self._keys = disclosures, keys
        self._seen = 0
        self.announcer = self.opened()
        self.handoff = Handoff(
            journal, directory=disclosures_directory(disclosures), channels={"portal": SimulatedChannel(misbehaviour=0)}
        )

    def opened(self) -> Announcer:
        return Announcer(
            self.journal,
            self.voice,
            self._say,
            languages_of=lambda _: self.languages,
            keys=self._keys,
            rate_hz=RATE_HZ,
            most_kept=self.most_kept,
        )

    async def _say(self, leg: LegId, sound: str, pcm: bytes) -> None:
        if self.deaf:
            self.deaf -= 1
            raise Unavailable("the provider plays nothing just now")
        assert isinstance((await self.recorded(sound)).event if pcm else None, BriefSpoken | None)
        self.said.append((leg, sound, pcm.replace(bytes(2), b"").decode("utf-16-le")))

    async def recorded(self, event: str) -> Recorded:
        return next(each for each in await self.journal.store.stream(self.incident) if each.id == event)

    async def tell(self, agency: AgencyId = FIRE) -> DisclosureId:
        limbs = {"operator": HANAKO, "necessity": "automatic_crash", "consent": "no_answer"}
        await self._disclosures.decide(self.incident, agency=agency, **limbs)
        return (await self.journal.state(self.incident)).disclosures[-1].disclosure

    async def do(self, *commands: c.Command, actor: str = "system:test") -> None:
        for command in commands:
            await self.journal.execute(self.incident, command, actor=actor)
            await self.follow()

    async def follow(self, *, again: bool = False, wait: bool = True) -> None:
        """What the readers do with what is new, and with what that leads to; ``again``: with everything."""
        for turn in range(3):
            stream = await self.journal.store.stream(self.incident)
            new = [each for each in stream if each.n > self._seen or (again and turn == 0)]
            self._seen = len(stream)
            await self.announcer.handle(new)
            for each in new:
                await self.handoff.handle([each])
            await self.handoff.idle()
            if wait:
                await self.announcer.idle()

    async def up(self, leg: LegId, party: Party, who: str) -> None:
        await self.do(c.InviteLeg(leg=leg, party=party, who=who), c.JoinLeg(leg=leg, party=party, who=who))

    async def vehicle_and_agency(self) -> None:
        await self.up(CAR, Party.VEHICLE, "vehicle")
        await self.up(FIREMAN, Party.AGENCY, FIRE)

    async def spoken(self) -> list[BriefSpoken]:
        stream = await self.journal.store.stream(self.incident)
        return [each.event for each in stream if isinstance(each.event, BriefSpoken)]

    async def text(self) -> str:
        """What is read of the brief as it was decided."""
        for part in await self.journal.unseal(self.incident, (Category.RAW,)):
            if isinstance(part.recorded.event, DisclosureDecided):
                return aloud(speak(read(part.payload), "ja"))
        raise AssertionError("nothing was decided")


def disclosures_directory(disclosures: Disclosures):
    return disclosures._directory


@pytest.fixture(params=[True, False], ids=["telephone", "browser"])
async def house(
    request: pytest.FixtureRequest,
    journal: Journal,
    arrive: Callable[..., Awaitable[IncidentId]],
    disclosures: Disclosures,
) -> House:
    return House(journal, await arrive(), disclosures, keys=request.param)


async def test_the_speech_is_made_when_it_is_decided_and_of_the_brief_alone(house: House):
    await house.tell()
    await house.follow()

    assert house.voice.made == [(await house.text(), "ja")]
    assert house.said == []
    assert await house.spoken() == []


async def test_an_agency_without_a_person_of_ours_is_read_the_brief_twice_and_what_to_press(house: House):
    disclosure = await house.tell()
    await house.vehicle_and_agency()
    await house.follow(again=True)

    keys = house.announcer._keys
    assert await house.spoken() == [
        BriefSpoken(leg=FIREMAN, disclosure=disclosure, voice="ja", why=Telling.ALONE, by_keys=keys)
    ]
    _, event, words = house.said[0]
    assert {each[:2] for each in house.said} == {(FIREMAN, event)}
    around = [PHRASES["ja"]["alone"], PHRASES["ja"]["connected"], *[await house.text()] * 2]
    assert words == "".join(f"<{each}>" for each in (*around, *([PHRASES["ja"]["keys"]] if keys else [])))


async def test_where_an_operator_is_the_machine_says_nothing_until_asked(house: House):
    disclosure = await house.tell()
    await house.up(DESK, Party.OPERATOR, HANAKO)
    await house.vehicle_and_agency()
    assert house.said == []

    asked = c.SpeakBrief(leg=FIREMAN, disclosure=disclosure, language="ja", why=Telling.ASKED, operator=HANAKO)
    await house.do(asked, actor="operator:hanako")

    assert [words for _, _, words in house.said] == [f"<{await house.text()}>"]
    with pytest.raises(Forbidden):
        await house.do(c.SpeakBrief(**_fields(asked), operator=OperatorId("jiro")))


async def test_a_telephone_of_ours_that_is_still_held_is_no_person(house: House):
    await house.tell()
    await house.up(ON_CALL, Party.SUPERVISOR, "on-call-1")
    held = c.SetLegMode(leg=ON_CALL, operator=HANAKO, held=True)
    await house.do(held)
    await house.vehicle_and_agency()

    assert [leg for leg, _, _ in house.said] == [FIREMAN]


async def test_a_speech_that_is_not_ready_is_read_as_soon_as_it_is(house: House):
    house.voice.free.clear()
    await house.tell()
    for leg, party, who in ((CAR, Party.VEHICLE, "vehicle"), (FIREMAN, Party.AGENCY, FIRE)):
        await house.journal.execute(house.incident, c.JoinLeg(leg=leg, party=party, who=who), actor="system:test")
        await house.follow(wait=False)
    assert await house.spoken() == []

    house.voice.free.set()
    await house.announcer.idle()
    await house.follow()

    assert len(await house.spoken()) == len(house.said) == 1


async def test_an_operator_who_comes_while_it_is_made_speaks_instead_of_the_machine(house: House):
    house.voice.free.clear()
    await house.tell()
    for leg, party, who in ((FIREMAN, Party.AGENCY, FIRE), (DESK, Party.OPERATOR, HANAKO)):
        await house.journal.execute(house.incident, c.JoinLeg(leg=leg, party=party, who=who), actor="system:test")
        await house.follow(wait=False)

    house.voice.free.set()
    await house.announcer.idle()
    await house.follow()

    assert (house.said, await house.spoken()) == ([], [])


async def test_an_operator_who_comes_while_it_is_read_ends_the_reading(house: House):
    await house.tell()
    await house.vehicle_and_agency()

    await house.up(DESK, Party.OPERATOR, HANAKO)
    await house.follow(again=True)

    assert [(leg, words) for leg, _, words in house.said if words == ""] == [(FIREMAN, "")]


async def test_what_the_operator_asked_for_is_read_to_its_end_although_more_of_ours_come(house: House):
    disclosure = await house.tell()
    await house.up(DESK, Party.OPERATOR, HANAKO)
    await house.vehicle_and_agency()
    await house.do(c.SpeakBrief(leg=FIREMAN, disclosure=disclosure, language="ja", why=Telling.ASKED, operator=HANAKO))

    await house.up(ON_CALL, Party.SUPERVISOR, "on-call-1")

    assert "" not in [words for _, _, words in house.said]


async def test_an_operator_who_is_lost_before_anybody_there_has_heard_leaves_the_reading_to_the_machine(house: House):
    await house.tell()
    await house.up(DESK, Party.OPERATOR, HANAKO)
    await house.vehicle_and_agency()
    assert house.said == []

    await house.do(c.LeaveLeg(leg=DESK, reason="media_lost"))

    assert [leg for leg, _, _ in house.said] == [FIREMAN]


async def test_whoever_has_heard_or_refused_is_not_read_to(house: House):
    disclosure = await house.tell()
    await house.do(c.Acknowledge(disclosure=disclosure, agency=FIRE, level=Acknowledgement.HEARD))
    await house.vehicle_and_agency()

    assert house.said == []


async def test_the_key_for_it_has_the_brief_read_again_once_for_each_press(house: House):
    await house.tell()
    await house.vehicle_and_agency()

    await house.do(c.PressKeys(leg=FIREMAN, keys="2"))
    await house.follow(again=True)

    told = await house.spoken()
    if not house.announcer._keys:
        assert len(told) == 1
        return
    assert [each.why for each in told] == [Telling.ALONE, Telling.AGAIN]
    last = house.said[-1][2] if house.said[-1][2] else house.said[-2][2]
    assert last == f"<{await house.text()}><{PHRASES['ja']['keys']}>"
    for _ in range(2 * MOST_READINGS):
        await house.do(c.PressKeys(leg=FIREMAN, keys="2"))
    assert len(await house.spoken()) == MOST_READINGS


async def test_the_key_that_was_offered_takes_over_and_ends_the_reading(house: House):
    disclosure = await house.tell()
    await house.vehicle_and_agency()

    await house.do(c.PressKeys(leg=FIREMAN, keys="1"))

    stream = await house.journal.store.stream(house.incident)
    taken = [each for each in stream if isinstance(each.event, AgencyAcknowledged)]
    if not house.announcer._keys:
        assert taken == []
        return
    assert [(each.event.level, each.actor) for each in taken] == [(Acknowledgement.TAKEN_OVER, f"agency:{FIRE}")]
    assert (await house.journal.state(house.incident)).disclosure(disclosure).taken_over
    assert house.said[-1][2] == ""


async def test_a_key_that_nobody_was_offered_is_no_answer(house: House):
    disclosure = await house.tell()
    await house.up(DESK, Party.OPERATOR, HANAKO)
    await house.vehicle_and_agency()
    await house.do(c.SpeakBrief(leg=FIREMAN, disclosure=disclosure, language="ja", why=Telling.ASKED, operator=HANAKO))

    await house.do(c.PressKeys(leg=FIREMAN, keys="1"), c.PressKeys(leg=CAR, keys="1"))

    assert (await house.journal.state(house.incident)).disclosure(disclosure).reached is not Acknowledgement.TAKEN_OVER


async def test_a_voice_that_fails_is_asked_again_and_then_left_alone(house: House, clock: ManualClock):
    house.voice.away = 100
    await house.tell()
    await house.follow(wait=False)
    await clock.advance(timedelta(seconds=10))
    await house.announcer.idle()
    house.voice.away = 1
    for leg, party, who in ((CAR, Party.VEHICLE, "vehicle"), (FIREMAN, Party.AGENCY, FIRE)):
        await house.journal.execute(house.incident, c.JoinLeg(leg=leg, party=party, who=who), actor="system:test")
    await house.follow(wait=False)
    while not house.voice.made:
        await clock.advance(timedelta(seconds=1))
    await house.follow()

    assert len(house.said) == 1


async def test_a_provider_that_plays_nothing_is_asked_again(house: House, clock: ManualClock):
    await house.tell()
    await house.follow()
    house.deaf = 2
    await house.journal.execute(
        house.incident, c.JoinLeg(leg=FIREMAN, party=Party.AGENCY, who=FIRE), actor="system:test"
    )
    for _ in range(2):
        await house.follow(wait=False)
        while not house.said and house.announcer.busy:
            await clock.advance(timedelta(seconds=1))
        await house.announcer.idle()

    assert len(house.said) == 1


async def test_no_more_speeches_are_kept_than_have_room(house: House):
    house.most_kept = 1
    house.announcer = house.opened()

    for agency in (FIRE, AgencyId("jp-13-police")):
        await house.tell(agency)
        await house.follow()

    assert len(house.voice.made) == 2
    assert house.announcer.kept == 1


async def test_without_a_voice_for_the_agency_nothing_is_read_and_nothing_fails(house: House):
    house.languages = ("fr", "ko")
    await house.tell()
    await house.vehicle_and_agency()

    assert (house.said, house.voice.made, await house.spoken()) == ([], [], [])
    assert house.announcer.language(FIRE) is None


@pytest.mark.parametrize(
    ("wanted", "there", "spoken"),
    [
        (("ja",), {"ja", "en"}, "ja"),
        (("en-US", "ja"), {"ja", "en"}, "en"),
        (("ja", "en"), {"en"}, "en"),
        (("ja",), {"en"}, None),
        ((), {"ja", "en"}, None),
        (("english", "jam"), {"ja", "en"}, None),
    ],
)
async def test_an_agency_is_read_to_in_a_language_of_its_own(house: House, wanted, there, spoken):
    house.languages, house.voice.languages = wanted, frozenset(there)

    assert house.announcer.language(FIRE) == spoken


async def test_after_a_restart_whoever_is_still_alone_is_read_to_once(house: House):
    await house.tell()
    for leg, party, who in ((CAR, Party.VEHICLE, "vehicle"), (FIREMAN, Party.AGENCY, FIRE)):
        await house.journal.execute(house.incident, c.JoinLeg(leg=leg, party=party, who=who), actor="system:test")

    house.announcer = house.opened()  # whose cursor was saved after all of it
    await house.announcer.look_again()
    await house.announcer.look_again()
    await house.announcer.idle()
    await house.follow()

    assert len(await house.spoken()) == 1
    assert {event for _, event, _ in house.said} == {house.said[0][1]}


async def test_nothing_of_a_closed_incident_stays_in_memory(house: House):
    disclosure = await house.tell()
    await house.vehicle_and_agency()
    assert house.announcer.kept == 1

    await house.do(
        c.Acknowledge(disclosure=disclosure, agency=FIRE, level=Acknowledgement.TAKEN_OVER),
        s.close(Disposition.HANDED_OVER),
    )

    assert house.announcer.kept == 0
    made = len(house.voice.made)
    house.announcer = house.opened()
    await house.follow(again=True)
    assert len(house.voice.made) == made, "nothing is made of what is over"


async def test_only_a_leg_of_the_agency_that_was_told_is_read_to(house: House):
    disclosure = await house.tell()
    await house.vehicle_and_agency()

    for leg in (CAR, LegId("leg-nobody")):
        with pytest.raises(Refused):
            await house.do(c.SpeakBrief(leg=leg, disclosure=disclosure, language="ja", why=Telling.ALONE))
    await house.do(c.LeaveLeg(leg=FIREMAN, reason="ended"))
    with pytest.raises(Refused):
        await house.do(
            c.SpeakBrief(leg=FIREMAN, disclosure=disclosure, language="ja", why=Telling.ASKED, operator=HANAKO)
        )


def _fields(order: c.SpeakBrief) -> dict[str, object]:
    return {"leg": order.leg, "disclosure": order.disclosure, "language": order.language, "why": order.why}
