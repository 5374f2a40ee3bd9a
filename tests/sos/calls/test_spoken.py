"""What a caller is told by the machine: in their own language where we have it, and there is a sound for each."""

from collections.abc import Awaitable, Callable
from enum import Enum

import pytest
from msgspec.structs import replace

from routing.categories import Category
from sos.calls.adapters.notices import load_notice, names
from sos.calls.adapters.simulated import SimulatedProvider
from sos.calls.spoken import CALL_US, SHIPPED, Notices, sound_of, text_of
from sos.clock import ManualClock
from sos.console.orders.call import Notice
from sos.dispatch import unattended
from sos.errors import Malformed
from sos.incident import commands as c
from sos.incident import testcall, voice
from sos.incident.events import AnswerGiven
from sos.incident.model import IncidentId, LegId, OperatorId, Party, TenantId
from sos.incident.report import CallBack, canonical
from sos.journal.journal import Journal
from sos.journal.languages import language_of
from tests.journeys import story as s

CAR = LegId("leg-vehicle")
PLAIN = frozenset(name for name in names() if "." not in name)
Speaks = Callable[..., Awaitable[IncidentId]]


class Every(Enum):
    """Notices that the house names anywhere, as a car may hear them."""

    HOLD, TEST = voice.HOLD, testcall.NOTICE
    HELP_YOURSELF, JOINING = unattended.HELP_YOURSELF, unattended.JOINING
    SILENT, WAIT = Notice.SILENT.value, Notice.WAIT.value


@pytest.mark.parametrize("language", SHIPPED)
@pytest.mark.parametrize("notice", sorted(PLAIN))
def test_every_notice_has_its_words_in_every_language_that_is_shipped(notice: str, language: str):
    sound = load_notice(f"{notice}.{language}")

    assert 2 * 48_000 < sound.size < load_notice(notice).size


def test_every_notice_that_the_house_names_is_there():
    assert {each.value for each in Every} <= PLAIN
    assert {each.value for each in Notice} <= PLAIN


@pytest.mark.parametrize(
    ("language", "sound"), [("ja", "hold.ja"), ("en", "hold.en"), ("ko", "hold.en"), ("pt", "hold.en"), ("", "hold")]
)
def test_another_language_falls_back_to_english_and_an_unknown_one_hears_all(language: str, sound: str):
    assert sound_of("hold", language) == sound


def test_what_a_silent_car_is_asked_on_its_screen_has_its_words_in_every_language_that_is_shipped():
    assert set(CALL_US) == set(SHIPPED)
    assert text_of(CALL_US, "en") == text_of(CALL_US, "ko") == CALL_US["en"]
    assert text_of(CALL_US, "ja") == CALL_US["ja"]
    assert text_of(CALL_US, "") == f"{CALL_US['ja']} / {CALL_US['en']}"


@pytest.fixture
def speaks(journal: Journal, clock: ManualClock) -> Speaks:
    """A car is in the call whose report names this language."""

    async def call(language: str | None = None) -> IncidentId:
        opened = await journal.open(
            s.open_incident(), tenant=TenantId("acme"), receipt=b"r" * 32, received_at=clock.now()
        )
        told = canonical(CallBack(tel="+81300000001", language=language))
        filed = c.FileReport(sequence=1, located=False, parts={Category.TEL: told})
        for command in (filed, s.take(), s.invite(CAR), s.join(CAR)):
            await journal.execute(opened.incident, command, actor="system:test")
        return opened.incident

    return call


async def _provider_with(incident: IncidentId, clock: ManualClock, party: Party) -> SimulatedProvider:
    provider = SimulatedProvider(clock=clock, misbehaviour=0)
    await provider.__aenter__()
    await provider.accept(incident=incident, leg=CAR, party=party, who="vehicle", offer="v=0", key=b"k" * 32)
    return provider


@pytest.mark.parametrize(
    ("language", "sound"), [("en-GB", "hold.en"), ("ja", "hold.ja"), ("ko", "hold.en"), (None, "hold")]
)
async def test_the_car_is_told_in_the_language_of_its_report(
    journal: Journal, clock: ManualClock, speaks: Speaks, language: str | None, sound: str
):
    incident = await speaks(language)
    provider = await _provider_with(incident, clock, Party.VEHICLE)

    await Notices(journal, provider).play(incident, CAR, "hold")

    assert provider.announced == [(CAR, sound)]


async def test_what_the_operator_heard_is_believed_over_the_report_and_that_over_the_registry(
    journal: Journal, speaks: Speaks
):
    incident = await speaks()
    assert await language_of(journal, incident) == ""

    parts = {Category.TEL: canonical({"registeredLanguage": "pt-BR"})}
    await journal.execute(incident, replace(s.recognise(), parts=parts), actor="system:registry")
    assert await language_of(journal, incident) == "pt"

    report = c.FileReport(sequence=2, located=False, parts={Category.TEL: canonical(CallBack(language="ja"))})
    await journal.execute(incident, report, actor="system:filer")
    assert await language_of(journal, incident) == "ja"

    stated = c.StateLanguage(operator=OperatorId("hanako"), language="ko")
    await journal.execute(incident, stated, actor="operator:hanako")
    later = replace(report, sequence=3, report_digest="3" * 64)
    await journal.execute(incident, later, actor="system:filer")
    assert await language_of(journal, incident) == "ko"


async def test_a_media_worker_that_has_not_the_sound_plays_all_languages(
    journal: Journal, clock: ManualClock, speaks: Speaks
):
    class Older(SimulatedProvider):
        async def announce(self, leg: LegId, notice: str) -> None:
            if "." in notice:
                raise Malformed("there is no notice of this name", field="notice")
            await super().announce(leg, notice)

    incident = await speaks("en")
    async with Older(clock=clock, misbehaviour=0) as provider:
        await provider.accept(
            incident=incident, leg=CAR, party=Party.VEHICLE, who="vehicle", offer="v=0", key=b"k" * 32
        )
        await Notices(journal, provider).play(incident, CAR, "hold")

        assert provider.announced == [(CAR, "hold")]


async def test_what_the_car_is_asked_is_sealed_and_goes_with_the_request_to_call(
    journal: Journal, clock: ManualClock, speaks: Speaks
):
    incident = await speaks("en")
    text = await Notices(journal, await _provider_with(incident, clock, Party.VEHICLE)).in_words(incident, CALL_US)
    ask = c.AnswerVehicle(answer=s.answer_vehicle().answer, action="callBack", text=text)  # type: ignore[arg-type]

    done = await journal.execute(incident, ask, actor="system:bridge")

    (given,) = [each for each in done.recorded if isinstance(each.event, AnswerGiven)]
    assert (await journal.parts_of(given))[Category.OBS].decode() == CALL_US["en"]
