"""Bounces as mail servers really write them: "not delivered" is recognised wherever our Message-ID stands."""

from base64 import b64encode
from email.header import Header
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.dispatch.adapters.smtp import read_notice
from sos.incident.model import Acknowledgement

FIELD = Path(__file__).resolve().parents[4] / "shared" / "data" / "field"
DOMAIN = "sos.example"
OURS = f"<0190-d.0190-i@{DOMAIN}>"
COPY = f"Message-ID: {OURS}\r\nSubject: x\r\n"


def mail(
    body: str, *, sender: str = "MAILER-DAEMON@mx.fire.example", subject: str = "failure notice", **more: str
) -> bytes:
    fields = {"From": sender, "To": "sos@sos.example", "Subject": Header(subject, "utf-8").encode()} | more
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{head}\r\n{body}".encode()


QMAIL = "I'm afraid I wasn't able to deliver your message.\r\n<duty@fire.example>:\r\nNo mailbox here. (#5.1.1)\r\n\r\n"
EXIM = "This message was created automatically by mail delivery software.\r\n\r\n  duty@fire.example\r\n\r\n------\r\n"
CARRIER = "次のあて先へのメッセージはエラーのため送信できませんでした。\r\n\r\n"
HEADERS_ONLY = (
    "--b\r\nContent-Type: text/plain\r\n\r\nDelivery has failed: 550 5.7.1 refused\r\n--b\r\n"
    f"Content-Type: text/rfc822-headers\r\n\r\n{COPY}\r\n--b--\r\n"
)
IN_BASE64 = b64encode(f"{CARRIER}{COPY}".encode("iso-2022-jp")).decode()


@pytest.mark.parametrize(
    ("bounce", "reason"),
    [
        (mail(QMAIL + COPY), "5.1.1"),
        (mail(EXIM + COPY, subject="Mail delivery failed", X_Failed_Recipients="duty@fire.example"), "failed"),
        (
            mail(CARRIER + COPY, subject="Mail System Error - Returned Mail", sender="Postmaster@carrier.example"),
            "failed",
        ),
        (mail(QMAIL + COPY, subject="Undeliverable: 【緊急通報】(再送 / repeated) 車両緊急通報"), "5.1.1"),
        (mail(CARRIER + COPY, subject="配信不能: 【緊急通報】(一部再送 / partly repeated) 大規模災害"), "failed"),
        (mail(HEADERS_ONLY, Content_Type='multipart/report; boundary="b"'), "5.7.1"),
        (
            mail(IN_BASE64, Content_Type="text/plain; charset=iso-2022-jp", Content_Transfer_Encoding="base64"),
            "failed",
        ),
        (
            mail(
                f"配信できませんでした\r\n{COPY.upper()}",
                subject="配信不能通知",
                sender="x@fire.example",
                Return_Path="<>",
            ),
            "failed",
        ),
        (mail("User unknown", subject="Undeliverable", In_Reply_To=OURS), "failed"),
    ],
    ids=[
        "qmail",
        "exim",
        "carrier",
        "quotes our own word of a repetition",
        "quotes it in Japanese",
        "rfc822-headers",
        "iso-2022-jp in base64",
        "in capitals",
        "in reply to",
    ],
)
def test_a_failure_is_recognised_wherever_our_name_stands(bounce: bytes, reason: str) -> None:
    found = read_notice(bounce, domain=DOMAIN)

    assert found is not None
    assert (found.disclosure, found.incident, found.level, found.reason) == ("0190-d", "0190-i", None, reason)


@pytest.mark.parametrize(
    "other",
    [
        mail("I am away until Monday.", sender="duty@fire.example", subject="Out of office", In_Reply_To=OURS),
        mail(QMAIL + COPY.replace(DOMAIN, "other.example")),
        mail(QMAIL),
        mail("It was not delivered yet and will be retried.\r\n" + COPY, subject="Warning: message delayed 4 hours"),
        mail(
            "Thank you, we could not deliver the ladder in time.\r\n" + COPY,
            sender="chief@fire.example",
            subject="Re: x",
        ),
    ],
    ids=["holiday", "another house's", "quotes nothing", "delayed", "a person"],
)
def test_what_says_no_failure_of_ours_takes_nothing_back(other: bytes) -> None:
    assert read_notice(other, domain=DOMAIN) is None


def test_a_status_that_is_no_text_stands_in_no_journal() -> None:
    part = b"Final-Recipient: rfc822; x\r\nAction: failed\r\nStatus: 5.\xff\xfe1\x00.1 and much more than a code\r\n"
    body = (
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\n" + part + f"\r\n--b\r\n\r\n{COPY}\r\n--b--\r\n".encode()
    )
    found = read_notice(mail("", Content_Type='multipart/report; boundary="b"') + body, domain=DOMAIN)

    assert found is not None
    assert found.reason.isascii()
    found.reason.encode()


@pytest.mark.parametrize("name", ["bounce_qmail.eml", "dsn_rfc822_headers.eml"])
def test_the_field_s_bounces_are_failures_of_ours(name: str) -> None:
    if not (FIELD / name).is_file():
        pytest.skip("the field inputs are not beside this checkout")

    found = read_notice((FIELD / name).read_bytes(), domain=DOMAIN)

    assert found is not None
    assert (found.disclosure, found.incident, found.level, found.reason) == ("disclosure", "incident", None, "5.1.1")


@given(st.binary(max_size=400), st.sampled_from([b"", mail(QMAIL + COPY), mail(HEADERS_ONLY)]))
def test_any_bytes_are_a_notice_or_none_and_what_is_told_can_be_written_down(data: bytes, before: bytes) -> None:
    found = read_notice(before + data, domain=DOMAIN)

    if found is not None:
        assert found.level in (None, *Acknowledgement)
        f"{found.reason}{found.incident}{found.disclosure}".encode()
