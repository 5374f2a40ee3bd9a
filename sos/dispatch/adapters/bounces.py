"""Mail that came back and is no tidy RFC 3464: which of ours it is about, and whether it says that nothing arrived.

qmail writes plain text, Exim a header of its own, Japanese carriers Japanese, and many servers quote our headers as
``text/rfc822-headers`` or not at all as a part.  Our Message-ID is unguessable and stands nowhere but in what quotes
our mail, so wherever it stands the mail is about ours; that it failed needs a mail server's word, because a holiday
notice quotes us too.
"""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

LONGEST_TEXT = 64 * 1024
"""Characters of a part that are looked at."""

MOST_PARTS = 20

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_."
_OF_A_DOMAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")
_LONGEST_NAME = 130

_DAEMON = re.compile(r"mailer-?daemon|postmaster|mail\s?delivery (?:sub)?system", re.IGNORECASE)
_FAILED = re.compile(
    r"undeliver|not (?:be )?deliver|deliver\w{0,4} (?:has )?fail|fail\w{0,4} (?:to deliver|notice)|returned mail"
    r"|unable to deliver|wasn't able to deliver|permanent (?:error|failure)|user unknown|no such user|no mailbox"
    r"|mailbox unavailable|配信不能|配信でき|配達でき|送信でき|届けられ|届きません|宛先不明|不達|存在しません"
    r"|見つかりません",
    re.IGNORECASE,
)
MARK = "【緊急通報】"
"""How the subject of each mail of ours begins.  Servers quote it; what we say of a repetition is no word of theirs."""

_DELAYED = re.compile(
    r"delayed|will (?:be )?retr|still (?:be )?try|no action is required|warning: |do not need to resend|遅延|再送",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b", re.ASCII)


def quoted(mail: Message, data: bytes, domain: str) -> tuple[str, str] | None:
    """Disclosure and incident of the mail of ours that ``mail`` quotes anywhere; None when it quotes none."""
    for text in (data.decode("ascii", "replace")[:LONGEST_TEXT], *_texts(mail)):
        if (found := _named(text.lower(), f"@{domain.lower()}")) is not None:
            return found
    return None


def _named(text: str, ending: str) -> tuple[str, str] | None:
    """Disclosure and incident before the first ``ending`` that has both; some servers return them in capitals."""
    at = text.find(ending)
    while at >= 0:
        before = text[max(0, at - _LONGEST_NAME) : at]
        disclosure, _, incident = before[len(before.rstrip(_LETTERS)) :].strip(".").partition(".")
        after = text[at + len(ending) : at + len(ending) + 1]
        if disclosure and incident and "." not in incident and after not in _OF_A_DOMAIN:
            return disclosure, incident
        at = text.find(ending, at + 1)
    return None


def failure(mail: Message) -> str | None:
    """The status code of a bounce, ``failed`` when it names none; None when ``mail`` does not say that it failed."""
    exim = mail.get("X-Failed-Recipients") is not None
    daemon = exim or _DAEMON.search(str(mail.get("From", ""))) or str(mail.get("Return-Path", "")).strip() == "<>"
    if not daemon:
        return None
    subject = _subject(mail)
    said = "\n".join((subject, *_texts(mail)))
    if _DELAYED.search(subject.partition(MARK)[0]) or not (exim or _FAILED.search(said)):
        return None
    status = _STATUS.search(said)
    return status[0] if status else "failed"


def _subject(mail: Message) -> str:
    try:
        return " ".join(
            octets.decode(charset or "ascii", "replace") if isinstance(octets, bytes) else octets
            for octets, charset in decode_header(str(mail.get("Subject", "")))
        )
    except (LookupError, HeaderParseError):
        return str(mail.get("Subject", ""))


def _texts(mail: Message) -> list[str]:
    """What its parts say, decoded as far as that is possible."""
    found: list[str] = []
    for part in list(mail.walk())[:MOST_PARTS]:
        if part.is_multipart():
            continue
        octets = part.get_payload(decode=True)
        if isinstance(octets, bytes):
            found.append(_decoded(octets, part.get_content_charset())[:LONGEST_TEXT])
    return found


def _decoded(octets: bytes, charset: str | None) -> str:
    """In the charset it names or, where that is none or missing, as Japanese carriers write."""
    for name in (charset or "utf-8", "iso-2022-jp", "cp932"):
        try:
            return octets.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return octets.decode("utf-8", "replace")
