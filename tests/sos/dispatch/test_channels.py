"""Every channel under one contract, against the real other end of it; then what is particular to each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from recording.keys import KeyStore
from routing.directory import Directory
from sos.clock import SystemClock
from sos.dispatch.adapters.callback import CallbackEndpoint
from sos.dispatch.adapters.eido import MOST_EXPIRES_S, EidoChannel, EidoEndpoint
from sos.dispatch.adapters.https import HttpsChannel
from sos.dispatch.adapters.mail_attempts import Attempts
from sos.dispatch.adapters.portal import Links, Portal, PortalChannel
from sos.dispatch.adapters.simulated import LOSSES, Fault, SimulatedChannel
from sos.dispatch.adapters.smtp import Notice, Notices, Server, SmtpChannel, read_notice
from sos.dispatch.bundles import Listed
from sos.dispatch.endings import LASTING
from sos.dispatch.mass_list import MassLists
from sos.dispatch.port import Parcel
from sos.dispatch.replies import Replies
from sos.dispatch.reply_codes import DIGITS, REPLY_CODES, check_digits, command, keyed
from sos.errors import Malformed, Misconfigured, Unavailable
from sos.incident.commands import Acknowledge, AskBack, Reject, ReportStatus, StartDelivery
from sos.incident.events import AgencyAsked, PartsRead
from sos.incident.model import Acknowledgement, AgencyId, DisclosureId, IncidentId, MassEventId, OperatorId, Question
from sos.problems import problems_middleware
from sos.signed_post import SignedPost, check_url
from sos.signing import public_key, public_text, signed, verify
from tests.ports import free_port
from tests.sos.dispatch.agencies import AgencySystem, dispatch_system, mail_server

FIRE, POLICE = AgencyId("jp-13-fire"), AgencyId("jp-13-police")
INCIDENT, DISCLOSURE = IncidentId("0197-incident"), DisclosureId("0197-disclosure")
LIMBS = {"operator": OperatorId("hanako"), "necessity": "automatic_crash", "consent": "no_answer"}
DOMAIN = "sos.example"
CLOCK = SystemClock()

PARCEL = Parcel(
    incident=INCIDENT,
    disclosure=DISCLOSURE,
    agency=FIRE,
    brief=b'{"invented":"brief"}',
    forms={"eido": b'{"$id":"urn:invented"}', "pdf": b"%PDF-invented"},
)


@asynccontextmanager
async def pushing() -> AsyncIterator[tuple[HttpsChannel, AgencySystem, Parcel]]:
    key = Ed25519PrivateKey.generate()
    system = AgencySystem(key.public_key(), CLOCK)
    async with (
        TestServer(system.app()) as server,
        SignedPost(key, keyid=DOMAIN, clock=CLOCK, loopback=True, total_s=0.5) as post,
    ):
        system.base = str(server.make_url("/push"))
        yield HttpsChannel(post), system, replace(PARCEL, settings={"url": system.base})


@asynccontextmanager
async def mailing(tmp_path) -> AsyncIterator[tuple]:
    port = free_port()
    async with mail_server(tmp_path, port) as (server, trusting):
        channel = SmtpChannel(
            Server(host="127.0.0.1", port=port, sender="sos@sos.example"),
            domain=DOMAIN,
            attempts=Attempts(tmp_path / "mail"),
            link=lambda parcel: f"https://sos.example/agency/brief/{parcel.disclosure}",
            list_link=lambda parcel: f"https://sos.example/agency/list/{parcel.listed}",
            clock=CLOCK,
            context=trusting,
        )
        yield channel, server, replace(PARCEL, settings={"to": "shirei@fire.example"})


class InventedReplies:
    """An agency that has been told of nothing yet."""

    async def open_for(self, agency):
        return []


@asynccontextmanager
async def conveying(tmp_path) -> AsyncIterator[tuple]:
    links = Links(KeyStore(tmp_path).secret("portal"), public_url="http://127.0.0.1")
    channel = EidoChannel()
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(EidoEndpoint(channel, InventedReplies(), links, Directory.demo(), CLOCK).routes())
    async with TestServer(app) as server:
        yield channel, str(server.make_url(links.eido(FIRE).removeprefix("http://127.0.0.1"))), PARCEL


@pytest.fixture(params=["portal", "https", "smtp", "eido", "simulated", "misbehaving"])
async def channel(request, tmp_path) -> AsyncIterator[tuple]:
    """Each channel with the real other end, and a parcel for it."""
    async with AsyncExitStack() as stack:
        match request.param:
            case "portal":
                links = Links(KeyStore(tmp_path).secret("portal"), public_url="http://127.0.0.1:1")
                yield PortalChannel(links), PARCEL
            case "https":
                made, _, parcel = await stack.enter_async_context(pushing())
                yield made, parcel
            case "smtp":
                made, _, parcel = await stack.enter_async_context(mailing(tmp_path))
                yield made, parcel
            case "eido":
                made, url, parcel = await stack.enter_async_context(conveying(tmp_path))
                system = await stack.enter_async_context(dispatch_system(url))
                await system.subscribe()
                await system.until(1)
                yield made, parcel
            case _:
                wrong = 0.4 if request.param == "misbehaving" else 0.0
                yield SimulatedChannel(misbehaviour=wrong, faults=LOSSES), PARCEL


async def test_contract_what_was_delivered_can_be_found_and_is_never_said_to_be_heard(channel):
    sender, parcel = channel
    delivered = None
    for _ in range(8):
        try:
            delivered = delivered or await sender.deliver(parcel)
            found = await sender.find(parcel)
        except Unavailable:
            continue
        assert found == delivered
        assert found.level.rank <= Acknowledgement.DELIVERED.rank
    assert delivered is not None


# --- the twin ---


@pytest.mark.parametrize("fault", Fault)
async def test_the_twin_misbehaves_as_asked_and_shows_each_brief_at_most_once(fault: Fault):
    twin = SimulatedChannel(misbehaviour=1, faults=(fault,))

    for _ in range(3):
        try:
            await twin.deliver(PARCEL)
            await twin.find(PARCEL)
        except Unavailable:
            continue

    assert set(twin.shown) <= {DISCLOSURE}
    assert bool(twin.arrived) is (fault in (Fault.LOSE_ANSWER, Fault.DUPLICATE))


async def test_the_twin_goes_wrong_one_time_in_twenty_by_default():
    twin, failed = SimulatedChannel(seed=7, faults=LOSSES), 0
    for number in range(2000):
        try:
            await twin.deliver(replace(PARCEL, disclosure=DisclosureId(str(number))))
        except Unavailable:
            failed += 1

    assert 60 < failed < 140


# --- https ---


async def test_a_push_is_signed_names_our_id_and_is_delivered_once_the_receiver_names_it_too():
    async with pushing() as (channel, system, parcel):
        assert await channel.find(parcel) is None

        receipt = await channel.deliver(parcel)

        assert receipt.level is Acknowledgement.DELIVERED
        assert receipt.reference == "https:case-7"
        assert system.bodies == {DISCLOSURE: PARCEL.brief}


@pytest.mark.parametrize(("mood", "reason"), [("broken", "http_500"), ("silent", "Timeout"), ("redirects", "http_307")])
async def test_a_push_that_is_not_answered_well_is_unavailable_and_says_why(mood: str, reason: str):
    async with pushing() as (channel, system, parcel):
        system.mood = mood

        with pytest.raises(Unavailable, match=reason):
            await channel.deliver(parcel)
        assert not system.arrived


async def test_a_push_whose_answer_was_lost_is_found_before_it_is_repeated():
    async with pushing() as (channel, system, parcel):
        system.mood = "loses_answer"
        with pytest.raises(Unavailable):
            await channel.deliver(parcel)

        found = await channel.find(parcel)

        assert found is not None
        assert found.level is Acknowledgement.DELIVERED


async def test_the_200_of_somebody_elses_page_is_no_more_than_transport():
    async with pushing() as (channel, system, parcel):
        system.mood = "lies"

        assert (await channel.deliver(parcel)).level is Acknowledgement.TRANSPORT


async def test_another_form_is_pushed_when_the_directory_asks_for_it():
    async with pushing() as (channel, system, parcel):
        await channel.deliver(replace(parcel, settings={**parcel.settings, "form": "eido"}))

        assert system.bodies[DISCLOSURE] == PARCEL.forms["eido"]
        with pytest.raises(Unavailable, match="no_form_msd"):
            await channel.deliver(replace(parcel, settings={**parcel.settings, "form": "msd"}))


@pytest.mark.parametrize(
    "url",
    [
        "http://fire.example/push",
        "https://user:secret@fire.example/push",
        "https://fire.example/push?to=other",
        "ftp://fire.example/",
        "https:///push",
        "//fire.example/push",
        "",
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_plain_https(url: str):
    with pytest.raises(Unavailable):
        check_url(url, loopback=False)


def test_plain_http_is_for_this_machine_in_a_demonstration_alone():
    check_url("http://127.0.0.1:8080/push", loopback=True)
    with pytest.raises(Unavailable):
        check_url("http://127.0.0.1:8080/push", loopback=False)
    with pytest.raises(Unavailable):
        check_url("http://fire.example/push", loopback=True)


# --- signatures ---


def test_a_signature_verifies_and_any_change_breaks_it():
    key, now = Ed25519PrivateKey.generate(), CLOCK.now()
    request = {"method": "POST", "url": "https://fire.example/push", "body": b"{}"}
    headers = signed(key, keyid="us", content_type="application/json", idempotency_key="d1", now=now, **request)

    verify(key.public_key(), headers=headers, now=now, **request)
    changes = [
        {**request, "method": "PUT"},
        {**request, "url": "https://fire.example/other"},
        {**request, "body": b"{} "},
    ]
    for changed in changes:
        with pytest.raises(Malformed):
            verify(key.public_key(), headers=headers, now=now, **changed)
    for name in headers:
        with pytest.raises(Malformed):
            verify(key.public_key(), headers={**headers, name: headers[name] + "x"}, now=now, **request)
        without = {other: value for other, value in headers.items() if other != name}
        with pytest.raises(Malformed):
            verify(key.public_key(), headers=without, now=now, **request)
        with pytest.raises(Malformed):
            verify(key.public_key(), headers={**headers, name: headers[name] + "\udcff\u3042"}, now=now, **request)
    with pytest.raises(Malformed, match="does not verify"):
        verify(Ed25519PrivateKey.generate().public_key(), headers=headers, now=now, **request)
    with pytest.raises(Malformed, match="clock"):
        verify(key.public_key(), headers=headers, now=now + timedelta(minutes=6), **request)


def test_a_key_in_the_directory_is_read_back_or_named():
    key = Ed25519PrivateKey.generate().public_key()

    assert public_text(public_key(public_text(key), where="agency")) == public_text(key)
    with pytest.raises(Misconfigured, match="agency"):
        public_key("AAAA", where="agency")


# --- smtp ---


async def test_a_mail_leaves_over_tls_with_the_sheet_and_a_link_and_no_personal_data_in_its_text(tmp_path):
    async with mailing(tmp_path) as (channel, server, parcel):
        receipt = await channel.deliver(parcel)

        (mail,) = server.mails
        assert receipt.level is Acknowledgement.TRANSPORT
        assert mail["Message-ID"] == f"<{DISCLOSURE}.{INCIDENT}@{DOMAIN}>"
        assert [part.get_filename() for part in mail.iter_attachments()] == [f"{DISCLOSURE}.pdf"]
        text = mail.get_body(("plain",)).get_content()
        assert "https://sos.example/agency/brief/" in text
        assert "invented" not in text
        assert f"ENVID={DISCLOSURE}.{INCIDENT}".lower() in [option.lower() for option in server.options[0]]


async def test_a_mail_is_not_sent_twice_and_one_of_unknown_end_is_marked_as_repeated(tmp_path):
    async with mailing(tmp_path) as (channel, server, parcel):
        server.mood = "dies"
        with pytest.raises(Unavailable):
            await channel.deliver(parcel)
        assert await channel.find(parcel) is None
        server.mood = "well"

        await channel.deliver(parcel)

        first, second = server.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert "再送" not in first["Subject"]
        assert "再送" in second["Subject"]
        assert await channel.find(parcel) is not None


async def test_a_recipient_that_is_refused_was_not_told(tmp_path):
    async with mailing(tmp_path) as (channel, server, parcel):
        server.mood = "refuses"
        with pytest.raises(Unavailable, match="smtp_SMTPRecipientsRefused"):
            await channel.deliver(parcel)
        server.mood = "well"

        await channel.deliver(parcel)

        assert ["再送" in mail["Subject"] for mail in server.mails] == [False]


async def test_no_brief_leaves_in_clear(tmp_path):
    port = free_port()
    async with mail_server(tmp_path, port, tls=False) as (server, trusting):
        channel = SmtpChannel(
            Server(host="127.0.0.1", port=port, sender="sos@sos.example"),
            domain=DOMAIN,
            attempts=Attempts(tmp_path / "mail"),
            link=lambda parcel: "https://sos.example/",
            list_link=lambda parcel: f"https://sos.example/agency/list/{parcel.listed}",
            clock=CLOCK,
            context=trusting,
        )
        with pytest.raises(Unavailable, match="smtp_SMTPNotSupportedError"):
            await channel.deliver(replace(PARCEL, settings={"to": "shirei@fire.example"}))
        assert server.mails == []
    with pytest.raises(Misconfigured, match="TLS"):
        SmtpChannel(
            Server(host="mail.example", sender="sos@sos.example", tls="none"),
            domain=DOMAIN,
            attempts=Attempts(tmp_path / "mail"),
            link=lambda parcel: "",
            list_link=lambda parcel: f"https://sos.example/agency/list/{parcel.listed}",
            clock=CLOCK,
        )


@pytest.mark.parametrize("to", ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d"])
async def test_a_directory_without_a_usable_address_sends_nothing(tmp_path, to: str):
    async with mailing(tmp_path) as (channel, server, parcel):
        with pytest.raises(Unavailable, match="no mail address"):
            await channel.deliver(replace(parcel, settings={"to": to}))
        assert server.mails == []


def notice(action: str, *, status: str = "2.0.0") -> bytes:
    """A delivery status notification as RFC 3464 2 has it."""
    return f"""From: mailer@fire.example
To: sos@sos.example
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

Your message.
--b
Content-Type: message/delivery-status

Original-Envelope-Id: {DISCLOSURE}.{INCIDENT}
Reporting-MTA: dns; mail.fire.example

Final-Recipient: rfc822; shirei@fire.example
Action: {action}
Status: {status}

--b--
""".replace("\n", "\r\n").encode()


NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (at, at) for at in range(800))
FORWARDED = b"Content-Type: message/rfc822\r\n\r\n" * 2000
"""Parts inside parts: seconds of reading, and more of them than a stack has room for."""

READ_RECEIPT = f"""From: shirei@fire.example
To: sos@sos.example
Content-Type: multipart/report; report-type=disposition-notification; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/plain

Displayed.
--b
Content-Type: message/disposition-notification

Final-Recipient: rfc822; shirei@fire.example
Original-Message-ID: <{DISCLOSURE}.{INCIDENT}@{DOMAIN}>
Disposition: manual-action/MDN-sent-manually; displayed

--b--
""".encode()


@pytest.mark.parametrize(
    ("mail", "level", "reason"),
    [
        (notice("delivered"), Acknowledgement.DELIVERED, "delivered"),
        (notice("relayed"), Acknowledgement.TRANSPORT, "relayed"),
        (notice("failed", status="5.1.1"), None, "5.1.1"),
        (READ_RECEIPT, Acknowledgement.DELIVERED, "displayed"),
    ],
)
def test_a_notice_says_which_mail_and_how_far_it_got(mail: bytes, level, reason: str):
    found = read_notice(mail, domain=DOMAIN)

    assert found is not None
    assert (found.incident, found.disclosure) == (INCIDENT, DISCLOSURE)
    assert (found.level, found.reason) == (level, reason)


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        NESTED,
        FORWARDED,
        b"Subject: hello\r\n\r\nhello",
        notice("delayed"),
        READ_RECEIPT.replace(DOMAIN.encode(), b"x.example"),
    ],
)
def test_a_mail_that_says_nothing_about_ours_is_no_notice(mail: bytes):
    assert read_notice(mail, domain=DOMAIN) is None


# --- answers ---


@pytest.mark.parametrize("answer", REPLY_CODES)
def test_every_answer_is_an_order_and_an_unknown_one_is_malformed(answer: str):
    made = command(answer, disclosure=DISCLOSURE, agency=FIRE)

    assert isinstance(made, Acknowledge | Reject | ReportStatus | AskBack)
    with pytest.raises(Malformed):
        command(answer.upper(), disclosure=DISCLOSURE, agency=FIRE)


def test_keys_answer_only_after_the_check_digits_so_a_machine_cannot():
    check = check_digits(DISCLOSURE)

    assert keyed(f"{check}2#", disclosure=DISCLOSURE, agency=FIRE) == Acknowledge(
        disclosure=DISCLOSURE, agency=FIRE, level=Acknowledgement.TAKEN_OVER
    )
    assert set(DIGITS.values()) <= set(REPLY_CODES)
    wrong = f"{(int(check) + 1) % 10_000:04d}"
    for digits in ("2", "#", "", f"{wrong}2", f"{check}9", f"{check}22", check, f"{check}²"):
        with pytest.raises(Malformed):
            keyed(digits, disclosure=DISCLOSURE, agency=FIRE)


# --- the agencies' doors, on a journal ---


@pytest.fixture
async def doors(journal, arrive, disclosures, tmp_path):
    """An incident told to the fire headquarters, and every door that its answers can come in by."""
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    told = (await journal.state(incident)).disclosures[0].disclosure
    await journal.execute(incident, StartDelivery(disclosure=told, channel="portal"), actor="system:handoff")
    key = Ed25519PrivateKey.generate()
    port = free_port()
    links = Links(KeyStore(tmp_path).secret("portal"), public_url=f"http://127.0.0.1:{port}")
    directory = _with_key(public_text(key.public_key()))
    replies, eido = Replies(journal), EidoChannel()
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(Portal(replies, links, directory, lists=MassLists(journal, replies, lasting=LASTING)).routes())
    app.add_routes(EidoEndpoint(eido, replies, links, directory, CLOCK).routes())
    app.add_routes(CallbackEndpoint(replies, directory, CLOCK, public_url=f"http://127.0.0.1:{port}").routes())
    async with TestServer(app, port=port), aiohttp.ClientSession() as session:
        yield Doors(journal, incident, told, links, key, session, eido)


class Doors:
    def __init__(self, journal, incident, disclosure, links, key, session, eido) -> None:
        self.journal, self.incident, self.disclosure = journal, incident, disclosure
        self.links, self.key, self.session, self.eido = links, key, session, eido

    async def told(self):
        return (await self.journal.state(self.incident)).disclosure(self.disclosure)

    async def press(self, answer: str, text: str = "") -> int:
        url = self.links.brief(self.incident, self.disclosure)
        async with self.session.post(url, data={"answer": answer, "text": text}) as response:
            return response.status

    async def call_back(self, answer: str, *, key=None, now=None) -> int:
        url = self.links.callback(self.incident, self.disclosure)
        body = msgspec.json.encode({"answer": answer})
        headers = signed(
            key or self.key,
            keyid=FIRE,
            method="POST",
            url=url,
            body=body,
            content_type="application/json",
            idempotency_key=f"{self.disclosure}-{answer}",
            now=now or CLOCK.now(),
        )
        async with self.session.post(url, data=self.pieces(body), headers=headers) as response:
            return response.status

    async def pieces(self, body: bytes) -> AsyncIterator[bytes]:
        """``body`` in two pieces, another request between them: what comes first is at the door before the rest."""
        yield body[:5]
        async with self.session.get(self.links.inbox(FIRE)) as page:
            assert page.status == 200
        yield body[5:]


def _with_key(text: str) -> Directory:
    directory = Directory.demo()
    known = directory.agencies[FIRE]
    keyed = replace(known, channels={**known.channels, "https": {"url": "https://fire.example/push", "key": text}})
    agencies = {**directory.agencies, FIRE: keyed}
    return Directory(
        tuple(agencies.values()),
        name=directory.name,
        digest=directory.digest,
        centres=tuple(directory.centres.values()),
    )


async def test_the_page_takes_every_answer_in_its_order_and_shows_it(doors):
    for answer in ("heard", "taken_over", "dispatched", "on_scene", "closed"):
        assert await doors.press(answer) == 200
    told = await doors.told()

    assert told.taken_over
    assert told.status == "closed"
    assert await doors.press("not_our_area") == 409
    assert await doors.press("nonsense") == 400


async def test_a_question_of_the_agency_is_kept_as_personal_data_and_counts_as_heard(doors):
    assert await doors.press("where", "which lane?") == 200

    told = await doors.told()
    assert told.reached is Acknowledgement.HEARD
    assert told.asked is Question.WHERE
    asked = [r for r in await doors.journal.store.stream(doors.incident) if isinstance(r.event, AgencyAsked)]
    (payload,) = (await doors.journal.parts_of(asked[0])).values()
    assert msgspec.json.decode(payload) == {"asked": "which lane?"}
    assert b"lane" not in msgspec.json.encode(asked[0].event)


async def test_looking_at_the_page_answers_nothing_and_stands_in_the_journal_first(doors):
    for _ in range(2):  # a mail scanner, a preview
        async with doors.session.get(doors.links.brief(doors.incident, doors.disclosure)) as page:
            assert page.status == 200
            assert check_digits(doors.disclosure) in await page.text()

    told = await doors.told()
    assert told.reached is None
    stream = await doors.journal.store.stream(doors.incident)
    assert [r.actor for r in stream if isinstance(r.event, PartsRead)] == [f"agency:{FIRE}"]


async def test_a_signed_answer_counts_and_can_be_sent_again(doors):
    assert [await doors.call_back("taken_over") for _ in range(2)] == [204, 204]
    assert (await doors.told()).taken_over


async def test_an_answer_that_the_agency_did_not_sign_is_refused(doors):
    assert await doors.call_back("taken_over", key=Ed25519PrivateKey.generate()) == 403
    assert await doors.call_back("taken_over", now=CLOCK.now() - timedelta(hours=1)) == 403
    async with doors.session.post(
        doors.links.callback(doors.incident, doors.disclosure), json={"answer": "taken_over"}
    ) as response:
        assert response.status == 403
    assert not (await doors.told()).taken_over


async def test_a_dispatch_system_that_asks_for_too_much_gets_what_there_is(doors):
    async with dispatch_system(doors.links.eido(FIRE)) as system:
        forever = await system.subscribe(minRate=10**18, expires=10**18)
        again = await system.subscribe(requestId="r" * 257)
        still = await system.subscribe(subscriptionId=forever["subscribeResponse"]["subscriptionId"])

    told = forever["subscribeResponse"]
    assert (told["statusCode"], told["minRate"], told["expires"]) == (200, MOST_EXPIRES_S, MOST_EXPIRES_S)
    assert again["subscribeResponse"]["statusCode"] == 400
    assert still["subscribeResponse"]["statusCode"] == 200


async def test_a_dispatch_system_gets_what_is_open_answers_it_and_takes_over(doors):
    async with dispatch_system(doors.links.eido(FIRE)) as system:
        reply = await system.subscribe()
        await system.until(1)

        assert reply["subscribeResponse"]["statusCode"] == 200
        (event,) = system.events
        assert event["subscriptionId"] == reply["subscribeResponse"]["subscriptionId"]
        (eido,) = event["notification"]
        assert doors.incident in msgspec.json.encode(eido).decode()
        answer = {"requestId": "r2", "incidentId": doors.incident, "disclosureId": doors.disclosure}
        taken = await system.ask({"answer": {**answer, "answer": "taken_over"}})
        refused = await system.ask({"answer": {**answer, "answer": "nonsense"}})

    assert taken["answerResponse"]["statusCode"] == 200
    assert refused["answerResponse"]["statusCode"] == 400
    assert (await doors.told()).taken_over


async def test_another_agency_sees_nothing_of_it(doors):
    async with dispatch_system(doors.links.eido(POLICE)) as system:
        await system.subscribe()
        await system.until(1)
        assert system.events[0]["notification"] == []
        answer = {"requestId": "r2", "incidentId": doors.incident, "disclosureId": doors.disclosure}
        reply = await system.ask({"answer": {**answer, "answer": "taken_over"}})
    assert reply["answerResponse"]["statusCode"] == 404
    for url in (
        f"{doors.links.eido(POLICE)}/{doors.incident}/{doors.disclosure}",
        f"{doors.links.eido(FIRE)[:-1]}x/{doors.incident}/{doors.disclosure}",
    ):
        async with doors.session.get(url) as response:
            assert response.status == 404
    async with doors.session.get(f"{doors.links.eido(FIRE)}/{doors.incident}/{doors.disclosure}") as response:
        assert response.status == 200


# --- eido ---


async def test_without_a_subscriber_or_an_answer_nothing_was_delivered(tmp_path):
    async with conveying(tmp_path) as (channel, url, parcel):
        with pytest.raises(Unavailable, match="not_subscribed"):
            await channel.deliver(parcel)
        async with dispatch_system(url) as system:
            await system.subscribe(requestSubType="single", incidentId="another")
            with pytest.raises(Unavailable, match="not_subscribed"):
                await channel.deliver(parcel)
        assert await channel.find(parcel) is None


async def test_subscriptions_are_replaced_prolonged_and_ended_as_the_standard_says(tmp_path):
    async with conveying(tmp_path) as (channel, url, _), dispatch_system(url) as system:
        first = (await system.subscribe())["subscribeResponse"]
        again = (await system.subscribe(subscriptionId=first["subscriptionId"], expires=1))["subscribeResponse"]
        unknown = (await system.subscribe(subscriptionId="nobody"))["subscribeResponse"]
        wrong = await system.ask({"subscribe": "nonsense"})
        replaced = await system.subscribe()
        second = (await system.replies.get())["subscribeResponse"]
        gone = await system.ask({"unsubscribe": {"requestId": "r", "subscriptionId": first["subscriptionId"]}})
        ended = await system.ask({"unsubscribe": {"requestId": "r", "subscriptionId": second["subscriptionId"]}})

        assert again["subscriptionId"] == first["subscriptionId"]
        assert again["expires"] == 15
        assert unknown["statusCode"] == 404
        assert wrong["subscribeResponse"]["statusCode"] == 400
        assert replaced["terminate"]["subscriptionId"] == first["subscriptionId"]
        assert gone["unsubscribeResponse"]["statusCode"] == 404
        assert ended["unsubscribeResponse"]["statusCode"] == 200
        assert channel.connected(FIRE) == 1
    await asyncio.wait_for(_gone(channel), 60)


async def _gone(channel: EidoChannel) -> None:
    while channel.connected(FIRE):
        await SystemClock().wait(timedelta(milliseconds=10))


async def test_a_certificate_that_the_directory_asks_for_must_be_shown(tmp_path):
    links = Links(KeyStore(tmp_path).secret("portal"), public_url="http://127.0.0.1")
    directory = Directory.demo()
    directory.agencies[FIRE].channels["eido"] = {"certificate": "00" * 32}
    app = web.Application(middlewares=[problems_middleware])
    app.add_routes(EidoEndpoint(EidoChannel(), InventedReplies(), links, directory, CLOCK).routes())
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = server.make_url(links.eido(FIRE).removeprefix("http://127.0.0.1"))
        async with session.get(url) as response:
            assert response.status == 403


# --- notices, on a journal ---


async def test_a_bounced_mail_takes_the_transport_back_and_the_next_channel_is_tried(
    journal, arrive, disclosures, tmp_path
):
    incident = await arrive()
    await disclosures.decide(incident, agency=FIRE, **LIMBS)
    told = (await journal.state(incident)).disclosures[0].disclosure
    async with mailing(tmp_path) as (channel, _, made):
        parcel = replace(made, incident=incident, disclosure=told)
        await channel.deliver(parcel)
        maildir = tmp_path / "maildir"
        (maildir / "new").mkdir(parents=True)
        ours = f"{told}.{incident}".encode()
        bounced = notice("failed", status="5.1.1").replace(f"{DISCLOSURE}.{INCIDENT}".encode(), ours)
        notices = Notices(journal, channel, maildir, domain=DOMAIN)
        (maildir / "new" / "1").write_bytes(notice("delivered").replace(f"{DISCLOSURE}.{INCIDENT}".encode(), ours))
        (maildir / "new" / "0").write_bytes(FORWARDED)
        await notices.take()
        assert (await journal.state(incident)).disclosures[0].reached is Acknowledgement.DELIVERED

        (maildir / "new" / "2").write_bytes(bounced)
        await notices.take()

        with pytest.raises(Unavailable, match="bounced"):
            await channel.find(parcel)
        assert sorted(file.name for file in (maildir / "cur").iterdir()) == ["0:2,S", "1:2,S", "2:2,S"]


async def test_a_list_is_one_mail_with_its_text_and_sheets_and_what_comes_back_is_of_each(tmp_path):
    """And its own text holds no personal data either."""
    async with mailing(tmp_path) as (channel, server, parcel):
        parcels = tuple(
            replace(parcel, incident=IncidentId(f"{INCIDENT}-{n}"), disclosure=DisclosureId(f"{DISCLOSURE}-{n}"))
            for n in (1, 2, 3)
        )
        listed = Listed(parcels=parcels, mass_event=MassEventId("m-1"), text="invented list\n")

        receipts = await channel.deliver_list(listed)

        (mail,) = server.mails
        assert set(receipts) == {each.disclosure for each in parcels}
        names = [part.get_filename() for part in mail.iter_attachments()]
        assert names == ["list.txt", *(f"{each.disclosure}.pdf" for each in parcels)]
        text = mail.get_body(("plain",)).get_content()
        assert "https://sos.example/agency/list/" in text
        assert "invented" not in text
        assert all(each.disclosure in text for each in parcels)
        assert all([await channel.find(each) is not None for each in parcels])
        name, _, incident = mail["Message-ID"].strip("<>").partition("@")[0].partition(".")
        notice = Notice(incident=IncidentId(incident), disclosure=DisclosureId(name), level=None, reason="5.1.1")
        assert [each.disclosure for each in channel.named(notice)] == [each.disclosure for each in parcels]


async def test_a_list_has_a_name_of_its_own_so_that_nothing_in_it_is_dropped_or_answered_for_as_another_mail(tmp_path):
    """Mail servers drop the second mail of one name, whatever it holds."""
    async with mailing(tmp_path) as (channel, server, parcel):
        one, two, three = (
            replace(parcel, incident=IncidentId(f"i-{n}"), disclosure=DisclosureId(f"d-{n}")) for n in (1, 2, 3)
        )
        for parcels in ((one, two), (one, three), (two, one)):
            await channel.deliver_list(Listed(parcels=parcels, mass_event=MassEventId("m-1"), text="invented list\n"))
        await channel.deliver(one)

        names = [mail["Message-ID"] for mail in server.mails]
        disclosures = [name.strip("<>").partition(".")[0] for name in names]
        assert len(set(disclosures)) == 3
        assert disclosures[0] == disclosures[2]
        notice = Notice(incident=one.incident, disclosure=one.disclosure, level=None, reason="5.1.1")
        assert channel.named(notice) == [notice]
        of_list = replace(notice, disclosure=DisclosureId(disclosures[1]))
        assert [each.incident for each in channel.named(of_list)] == ["i-1", "i-3"]


async def test_a_list_that_was_refused_or_got_lost_has_gone_for_none_of_its_incidents(tmp_path):
    async with mailing(tmp_path) as (channel, server, parcel):
        parcels = (parcel, replace(parcel, incident=IncidentId("i-2"), disclosure=DisclosureId("d-2")))
        listed = Listed(parcels=parcels, mass_event=MassEventId("m-1"), text="invented list\n")
        for mood in ("refuses", "dies"):
            server.mood = mood
            with pytest.raises(Unavailable):
                await channel.deliver_list(listed)
            assert [await channel.find(each) for each in parcels] == [None, None]
        server.mood = "well"

        await channel.deliver_list(listed)

        assert ["再送" in mail["Subject"] for mail in server.mails] == [False, True]


async def test_a_list_says_which_of_it_may_have_come_before_and_calls_nothing_else_repeated(tmp_path):
    async with mailing(tmp_path) as (channel, server, parcel):
        old, new = (replace(parcel, incident=IncidentId(f"i-{n}"), disclosure=DisclosureId(f"d-{n}")) for n in (1, 2))
        server.mood = "dies"
        with pytest.raises(Unavailable):
            await channel.deliver(old)
        server.mood = "well"

        await channel.deliver_list(Listed(parcels=(old, new), mass_event=MassEventId("m-1"), text="invented list\n"))

        mail = server.mails[-1]
        assert "一部再送" in mail["Subject"]
        lines = mail.get_body(("plain",)).get_content().splitlines()
        assert [line for line in lines if "repetition" in line] == ["i-1 d-1 (再送の可能性 / may be a repetition)"]
        assert "i-2 d-2" in lines
