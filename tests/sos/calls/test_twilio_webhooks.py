"""Twilio's door: who is believed, who is refused, and what a caller gets whatever is down."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from itertools import permutations
from pathlib import Path
from random import Random
from xml.etree import ElementTree as Xml

import aiohttp
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from yarl import URL

from sos.calls.adapters.twilio import callbacks
from sos.calls.adapters.twilio.twiml import CONFERENCE_EVENTS, RECORDING_EVENTS
from sos.calls.adapters.twilio.webhooks import SIGNATURE
from sos.calls.legs import Reach, settle
from sos.calls.port import LegDown, LegUp, RecordingDone
from sos.errors import Unavailable
from sos.incident.model import IncidentId, LegId, Party, new_id
from tests.sos.calls.peers import met
from tests.sos.calls.twilio_rig import CAR, FALLBACK, FIRE, VEHICLES, VOICE_SECRET, TwilioHouse
from tests.twilio_emulator.world import sid


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TwilioHouse]:
    async with TwilioHouse(tmp_path) as opened:
        yield opened


@pytest.fixture
async def stranger() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    session: aiohttp.ClientSession, house: TwilioHouse, path: str, form: Mapping[str, str], *, token: str
) -> tuple[int, str]:
    """A webhook signed with ``token``."""
    url = house.base + path
    signature = RequestValidator(token).compute_signature(url, dict(form))
    async with session.post(URL(url, encoded=True), data=form, headers={SIGNATURE: signature}) as answer:
        return answer.status, await answer.text()


def told(house: TwilioHouse, **form: str) -> dict[str, str]:
    return {"AccountSid": house.emulator.account, "CallSid": sid("CA"), **form}


ROUTES = ("/twilio/voice", "/twilio/desk", "/twilio/legs/i/l", "/twilio/conferences/i/r", "/twilio/recordings/i/l",
          "/twilio/wait", "/twilio/hold", "/twilio/notices/wait", "/twilio/said/wait")  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
async def test_every_webhook_refuses_what_is_not_signed_for_it(house: TwilioHouse, stranger, path: str):
    form = told(house, CallStatus="completed", ForwardedFrom="")
    address, ours = house.base + path, RequestValidator(house.emulator.token)
    good = {SIGNATURE: ours.compute_signature(address, form)}
    elsewhere = ours.compute_signature("http://evil.example" + path, form)
    bad = {
        "no signature": (form, {}),
        "an empty one": (form, {SIGNATURE: ""}),
        "another token's": (form, {SIGNATURE: RequestValidator("x").compute_signature(address, form)}),
        "of another form": ({**form, "CallStatus": "in-progress"}, good),
        "without its empty field": ({k: v for k, v in form.items() if v}, good),
        "of another host": (form, {SIGNATURE: elsewhere, "Host": "evil.example"}),
        "of an unknown algorithm": (form, {**good, "X-Twilio-Webhooks-Signature-Settings": "algorithm=NONE"}),
    }

    for why, (sent, headers) in bad.items():
        async with stranger.post(house.base + path, data=sent, headers=headers) as answer:
            assert answer.status == 403, why


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/json", "text/plain; charset=nonsense", "x"])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"--x\r\n", b"a=1&a=2&b"])
async def test_bytes_of_strangers_are_refused_whatever_they_are(house: TwilioHouse, stranger, kind: str, body: bytes):
    for path in ROUTES:
        headers = {"Content-Type": kind, SIGNATURE: "nonsense"}
        async with stranger.post(house.base + path, data=body, headers=headers) as answer:
            assert answer.status == 403


async def test_no_address_of_twilio_s_is_without_its_check(house: TwilioHouse):
    known = {re.sub(r"\{\w+\}", "", each.path) for each in house.door.routes()}

    tried = {re.sub(r"(?<=/)[ilr](?=/|$)|(?<=s/)wait|(?<=d/)wait", "", path) for path in ROUTES}
    heard = {"/twilio/sounds/.wav", "/twilio/said/.wav"}
    assert known - tried == {*heard, "/twilio/stream//", "/console/voice-token"}


async def test_a_slow_journal_holds_no_caller_up_and_the_recording_is_kept_all_the_same(house: TwilioHouse):
    house.switchboard.writes.clear()

    await house.emulator.call_in(CAR, to=VEHICLES)
    up = await house.events.until(LegUp)
    assert isinstance(up, LegUp)
    assert house.switchboard.expected == []
    house.switchboard.writes.set()
    await met(lambda: house.switchboard.expected != [])
    await house.provider.finish(up.incident)

    await house.events.until(RecordingDone)


async def test_sounds_and_streams_refuse_strangers_as_well(house: TwilioHouse, stranger):
    for path in ("/twilio/sounds/ring.wav", "/twilio/said/x.wav", "/twilio/stream/i/l"):
        async with stranger.get(house.base + path) as answer:
            assert answer.status == 403


@given(st.randoms(use_true_random=False))
def test_a_changed_byte_of_a_signature_is_never_believed(random: Random):
    form = {"CallSid": "CA0", "CallStatus": "completed", "To": ""}
    validator = RequestValidator("token")
    signature = bytearray(base64.b64decode(validator.compute_signature("https://sos.example/twilio/legs/i/l", form)))
    signature[random.randrange(len(signature))] ^= 1 << random.randrange(8)

    assert not validator.validate("https://sos.example/twilio/legs/i/l", form, base64.b64encode(signature).decode())


async def test_both_tokens_count_while_one_is_being_replaced(house: TwilioHouse, stranger):
    for token in ("next", house.emulator.token):
        status, _ = await post(stranger, house, "/twilio/wait", told(house), token=token)
        assert status == 200


async def test_the_query_is_taken_as_it_was_sent_and_the_fragment_may_be_signed(house: TwilioHouse, stranger):
    odd = "/twilio/wait?b=2&a=%E6%9D%B1+x&a=&c"
    for signed in (house.base + odd, house.base + odd + "#ct=2000&rt=3000&rc=2&rp=all"):
        signature = RequestValidator("next").compute_signature(signed, told(house) | {"CallSid": "CA1"})
        async with stranger.post(
            URL(house.base + odd, encoded=True),
            data=told(house) | {"CallSid": "CA1"},
            headers={SIGNATURE: signature},
        ) as answer:
            assert answer.status == 200


async def test_another_account_s_webhook_is_refused_though_it_is_signed(house: TwilioHouse, stranger):
    form = {"AccountSid": sid("AC"), "CallSid": sid("CA")}

    assert (await post(stranger, house, "/twilio/voice", form, token="next"))[0] == 403


async def test_a_car_that_calls_is_taken_into_its_incident_s_conference(house: TwilioHouse):
    call = await house.emulator.call_in(CAR, to=VEHICLES)
    up = await house.events.until(LegUp)
    await met(lambda: bool(house.emulator.world.started))

    assert isinstance(up, LegUp)
    assert (up.incident, up.party, up.who) == (house.switchboard.incident, Party.VEHICLE, "vehicle")
    assert house.switchboard.expected == [(up.incident, up.leg, Party.VEHICLE, "vehicle")]
    assert await house.provider.legs() == (up,)
    assert call.recording is not None
    assert call.recording.source == "StartCallRecordingAPI"
    assert len(house.emulator.world.started) == 1
    assert house.emulator.faults == []


async def test_a_car_that_calls_over_sip_is_known_by_the_domain(house: TwilioHouse):
    await house.emulator.call_in("sip:car@vehicles.example", to="sip:sos@acme.sip.example;transport=tls")

    await house.events.until(LegUp, party=Party.VEHICLE)


ODD_CALLERS = [
    *("", "+266696687", "Anonymous", "sip:+819000000001@carrier.example;user=phone", "sip:[", "client:", "+" * 300),
    '"\u9023\u7d61" <sip:%2B819000000001@carrier.example>',
]


async def test_no_form_of_a_caller_or_of_a_number_called_keeps_a_car_from_its_call(house: TwilioHouse, stranger):
    for place, odd in enumerate(ODD_CALLERS):
        form = told(house, To=VEHICLES, From=odd, CallSid=f"CA{place:032x}")
        status, text = await post(stranger, house, "/twilio/voice", form, token="next")
        assert (status, "<Conference" in text) == (200, True), odd
    for odd in ("sip:[", "", "sip:a@[::1"):
        status, _ = await post(stranger, house, "/twilio/voice", told(house, To=odd, From=CAR), token="next")
        assert status == 200


async def test_a_voice_webhook_that_is_sent_again_gives_the_same_leg(house: TwilioHouse, stranger):
    form = told(house, To=VEHICLES, From=CAR)

    first = await post(stranger, house, "/twilio/voice", form, token="next")
    second = await post(stranger, house, "/twilio/voice", form, token="next")

    assert first == second
    assert first[0] == 200


async def test_every_wrong_default_is_set_right_in_what_a_caller_is_told(house: TwilioHouse, stranger):
    _, text = await post(stranger, house, "/twilio/voice", told(house, To=VEHICLES, From=CAR), token="next")

    response = Xml.fromstring(text)
    recording, stream, conference = response[0][0], response[1][0], response[2][0]
    assert [each.tag for each in response] == ["Start", "Start", "Dial"]
    assert recording.attrib.items() >= {"channels": "dual", "track": "both", "trim": "do-not-trim"}.items()
    assert recording.attrib["recordingStatusCallbackEvent"].split() == list(RECORDING_EVENTS)
    assert stream.attrib["url"].startswith("ws://127.0.0.1:")
    assert conference.text == house.switchboard.incident
    expected = {"beep": "false", "trim": "do-not-trim", "endConferenceOnExit": "false", "jitterBufferSize": "small",
                "record": "do-not-record", "startConferenceOnEnter": "true"}  # fmt: skip
    assert conference.attrib.items() >= expected.items()
    assert conference.attrib["statusCallbackEvent"].split() == list(CONFERENCE_EVENTS)
    for url in (conference.attrib["waitUrl"], conference.attrib["statusCallback"]):
        assert url.endswith("#ct=2000&rt=3000&rc=2&rp=all")


@pytest.mark.parametrize("down", [Unavailable("the journal is away")])
async def test_a_caller_reaches_people_when_nothing_of_ours_can_take_the_call(house: TwilioHouse, down: Exception):
    house.switchboard.down = down

    await house.emulator.call_in(CAR, to=VEHICLES)

    assert ("", FALLBACK) in house.emulator.world.dialled


async def test_a_call_to_a_number_of_nobody_reaches_people(house: TwilioHouse):
    await house.emulator.call_in(CAR, to="+81300000777")

    assert ("", FALLBACK) in house.emulator.world.dialled


async def test_a_desk_joins_by_the_voice_sdk_and_another_is_turned_away(house: TwilioHouse):
    incident, leg = new_id(), new_id()

    mine = await house.emulator.desk("hanako", incident=incident, leg=leg)
    up = await house.events.until(LegUp)
    other = await house.emulator.desk("mallory", incident=incident, leg=new_id())

    assert up == LegUp(incident=IncidentId(incident), leg=LegId(leg), party=Party.OPERATOR, who="hanako")
    assert (mine.status, other.status) == ("in-progress", "busy")


async def test_a_desk_s_token_names_the_desk_and_no_stranger_gets_one(house: TwilioHouse, stranger):
    async with stranger.get(f"{house.base}/console/voice-token") as refused:
        assert refused.status == 403
    async with stranger.get(f"{house.base}/console/voice-token", cookies={"desk": "hanako"}) as given_token:
        body = json.loads(await given_token.read())

    claims = jwt.decode(body["token"], VOICE_SECRET, algorithms=["HS256"])
    assert claims["grants"]["identity"] == "hanako"
    assert claims["grants"]["voice"]["outgoing"]["application_sid"] == "AP" + "0" * 32
    assert body["lasts_s"] == 3600


async def test_sounds_are_wav_that_twilio_need_not_transcode(house: TwilioHouse, stranger):
    for name in ("wait", "ring", "hold", "hold.en"):
        url = f"{house.base}/twilio/sounds/{name}.wav"
        headers = {SIGNATURE: RequestValidator("next").compute_signature(url, {})}
        async with stranger.get(url, headers=headers) as answer:
            body = await answer.read()
        assert (answer.status, body[:4], body[20:22]) == (200, b"RIFF", b"\x07\x00")  # 7: mu-law


STATUSES = ("queued", "initiated", "ringing", "in-progress", "completed", "completed")


async def test_all_orders_of_six_callbacks_with_repeats_end_in_the_same_state(tmp_path: Path):
    """Through the real handler: 720 orders, each with some callbacks told twice."""
    ends = set()
    async with TwilioHouse(tmp_path, watchful=False) as house:
        for number, order in enumerate(permutations(range(6))):
            leg, call = LegId(f"leg-{number}"), sid("CA")
            await house.book(leg, call=call, incident=IncidentId(new_id()))
            for place in (*order, *order[number % 6 :]):
                form = {"CallSid": call, "CallStatus": STATUSES[place], "SequenceNumber": str(place)}
                house.provider.heard_of_leg(leg, form)
            ends.add(house.state(leg))

    assert ends == {settle(report for status in STATUSES for report in callbacks.of_status(status))}
    assert {end.reach for end in ends} == {Reach.OVER}


async def test_a_callback_with_another_call_s_id_moves_nothing(house: TwilioHouse, stranger):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg)
    up = await house.events.until(LegUp)
    before = list(house.events.seen)
    (room,) = await house.provider.writing()
    gone = {"StatusCallbackEvent": "participant-leave", "ParticipantLabel": leg}

    for path, form in (
        (f"/twilio/legs/{incident}/{leg}", {"CallStatus": "completed"}),
        (f"/twilio/legs/{incident}/{new_id()}", {"CallStatus": "completed"}),
        (f"/twilio/legs/{incident}/..%2f..%2fetc", {"CallStatus": "completed"}),
        (f"/twilio/conferences/{incident}/{new_id()}", {"StatusCallbackEvent": "conference-end"}),
        (f"/twilio/conferences/{incident}/{room}", gone),
        (f"/twilio/recordings/{incident}/{leg}", {"RecordingStatus": "completed"}),
    ):
        status, _ = await post(stranger, house, path, told(house, **form), token="next")
        assert status == 204

    assert await house.provider.legs() == (up,)
    assert house.events.seen == before


async def test_a_repeated_callback_is_told_once(house: TwilioHouse, stranger):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg)
    await house.events.until(LegUp)
    form = told(house, CallSid=house.emulator.call_of(leg).sid, CallStatus="completed", SequenceNumber="9")

    answers = [await post(stranger, house, f"/twilio/legs/{incident}/{leg}", form, token="next") for _ in range(3)]
    await house.events.until(LegDown)

    assert [status for status, _ in answers] == [204] * 3
    assert house.events.kinds().count("LegDown") == 1


async def test_the_copy_of_a_call_s_sound_gives_level_and_last_minute_and_keys(house: TwilioHouse):
    await house.emulator.call_in(CAR, to=VEHICLES)
    up = await house.events.until(LegUp)
    assert isinstance(up, LegUp)
    await met(lambda: (house.provider.listening(up.leg) or NOTHING).level_db > -60)

    listening = house.provider.listening(up.leg)

    assert listening is not None
    assert len(listening.replay(1)) <= 8000
    assert len(listening.replay()) % 160 == 0


class _Nothing:
    level_db = -96.0


NOTHING = _Nothing()


async def test_a_stream_that_talks_nonsense_is_closed_and_the_call_goes_on(house: TwilioHouse, stranger):
    incident, leg = IncidentId(new_id()), LegId(new_id())
    await house.place(incident, leg, number=FIRE)
    up = await house.events.until(LegUp)
    url = f"{house.base}/twilio/stream/{incident}/{leg}"
    headers = {SIGNATURE: RequestValidator("next").compute_signature(f"ws{url.removeprefix('http')}", {})}

    for nonsense in (
        "}{",
        '{"event": 5}',
        json.dumps({"event": "start", "start": {"accountSid": house.emulator.account, "callSid": sid("CA")}}),
        "x" * 100_000,
    ):
        async with stranger.ws_connect(url, headers=headers) as socket:
            await socket.send_str(nonsense)
            closed = await socket.receive(timeout=5)
            assert closed.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    assert await house.provider.legs() == (up,)
