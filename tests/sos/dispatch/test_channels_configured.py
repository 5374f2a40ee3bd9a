"""The hand-off as the settings put it together, and the whole way of a brief through a real channel."""

from datetime import timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from routing.directory import Directory
from sos.dispatch.configured import check_directory, handing_over, times
from sos.dispatch.handoff import Handoff, all_forms
from sos.dispatch.ladder import Times
from sos.dispatch.replies import Replies
from sos.errors import Malformed, Misconfigured, Refused
from sos.incident.model import Acknowledgement, AgencyId, OperatorId
from sos.settings import LadderSettings, MailSettings, Settings
from sos.signing import public_text
from tests.sos.dispatch.test_channels import mailing, pushing

FIRE = AgencyId("jp-13-fire")
HANAKO = OperatorId("hanako")
ZONES = {"JP": "Asia/Tokyo"}
LIMBS = {"operator": HANAKO, "necessity": "automatic_crash", "consent": "no_answer"}


def reached_by(channels: dict) -> Directory:
    """The demonstration's directory with these channels for the fire headquarters."""
    directory = Directory.demo()
    agencies = {**directory.agencies, FIRE: replace(directory.agencies[FIRE], channels=channels)}
    centres = tuple(directory.centres.values())
    return Directory(tuple(agencies.values()), name=directory.name, digest=directory.digest, centres=centres)


async def _hand_over(journal, incident, handoff: Handoff) -> None:
    for _ in range(2):
        await handoff.handle(await journal.store.stream(incident))
        await handoff.idle()


async def test_a_brief_goes_by_mail_with_its_sheet_made_of_the_brief_alone(journal, arrive, disclosures, tmp_path):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    directory = reached_by({"smtp": {"to": "shirei@fire.example"}})
    async with mailing(tmp_path) as (channel, server, _):
        channels = {"portal": channel, "smtp": channel}
        await _hand_over(journal, incident, Handoff(journal, directory=directory, channels=channels, forms=all_forms))

    (mail,) = server.mails
    told = (await journal.state(incident)).disclosures[0]
    assert told.reached is Acknowledgement.TRANSPORT
    assert told.disclosure in mail["Subject"]
    assert [part.get_content()[:4] for part in mail.iter_attachments()] == [b"%PDF"]


async def test_a_brief_goes_by_push_in_the_form_the_directory_asks_for(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    async with pushing() as (channel, system, parcel):
        directory = reached_by({"https": {**parcel.settings, "form": "eido"}})
        channels = {"portal": channel, "https": channel}
        await _hand_over(journal, incident, Handoff(journal, directory=directory, channels=channels, forms=all_forms))

    told = (await journal.state(incident)).disclosures[0]
    assert told.reached is Acknowledgement.DELIVERED
    assert incident in msgspec.json.encode(msgspec.json.decode(system.bodies[told.disclosure])).decode()


async def test_an_operator_records_what_was_said_on_the_telephone_and_nobody_else_does(journal, arrive, disclosures):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    told = (await journal.state(incident)).disclosures[0].disclosure
    replies = Replies(journal)

    with pytest.raises(Refused):
        await replies.record_spoken(OperatorId("jiro"), incident, told, "taken_over")
    with pytest.raises(Malformed):
        await replies.record_spoken(HANAKO, incident, told, "perhaps")
    await replies.record_spoken(HANAKO, incident, told, "taken_over")

    assert (await journal.state(incident)).disclosures[0].taken_over
    assert (await journal.store.stream(incident))[-1].actor == "operator:hanako"


async def test_the_service_opens_every_channel_it_is_set_up_for(journal, keys, tmp_path):
    mail = MailSettings(host="127.0.0.1", port=2525, sender="sos@sos.example", notices=str(tmp_path / "maildir"))
    settings = Settings(data_dir=str(tmp_path), mail=mail, log_origin="sos.example/journal")
    async with handing_over(
        settings, journal, keys, directory=Directory.demo(), zone_of=ZONES.__getitem__, dials=False
    ) as telling:
        paths = {route.path for route in telling.routes(signed_in=lambda _: "operator:hanako")}

        assert [name for name, _ in telling.work] == ["cards-shelf", "mail-notices"]
        assert {"/console/cards/{incident}", "/agency/callback/{incident}/{disclosure}"} <= paths


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        ({"https": {"url": "http://fire.example/push"}}, "channels.https.url"),
        ({"https": {"url": "https://fire.example/push", "key": "short"}}, "channels.https.key"),
        ({"smtp": {"to": "nobody"}}, "channels.smtp.to"),
    ],
)
def test_a_directory_with_an_unusable_address_stops_the_start_and_names_the_agency(channels: dict, named: str):
    with pytest.raises(Misconfigured, match=named) as wrong:
        check_directory(reached_by(channels), loopback=False)
    assert FIRE in str(wrong.value)


def test_a_directory_with_usable_addresses_is_taken():
    key = public_text(Ed25519PrivateKey.generate().public_key())
    channels = {"https": {"url": "https://fire.example/push", "key": key}, "smtp": {"to": "shirei@fire.example"}}

    check_directory(reached_by(channels), loopback=False)


def test_the_times_of_the_settings_are_those_of_the_ladder():
    assert times(LadderSettings()) == Times()
    assert times(LadderSettings(second_line_s=5)).second_line == timedelta(seconds=5)


@pytest.mark.parametrize(
    "wrong", [{"second_line_s": 0}, {"second_line_s": 50}, {"others_s": 80}, {"alarm_every_s": 1}, {"heard_for_s": 0}]
)
def test_times_that_make_no_ladder_stop_the_start(wrong: dict):
    with pytest.raises(Misconfigured, match="ladder"):
        LadderSettings(**wrong)


async def test_a_password_file_that_is_not_there_stops_the_start(journal, keys, tmp_path):
    mail = MailSettings(host="127.0.0.1", sender="sos@sos.example", password_file=str(tmp_path / "gone"))
    settings = Settings(data_dir=str(tmp_path), mail=mail)

    with pytest.raises(Misconfigured, match="password_file"):
        async with handing_over(
            settings, journal, keys, directory=Directory.demo(), zone_of=ZONES.__getitem__, dials=False
        ):
            raise AssertionError("it must not start")
