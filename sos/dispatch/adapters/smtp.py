"""Mail to an agency: the brief as a PDF, a link to answer by, and the notices that come back.

Directory settings ``[agency.channels.smtp]``: ``to``.  The text of the mail holds no personal data; the PDF does, and
so it leaves over TLS only.  The link is the portal's page of this disclosure: whoever fetches it (a mail scanner does)
has answered nothing, because answering takes a press of a button there.

A mail server cannot be asked what became of a mail.  So each attempt leaves a mark on disk before its first byte and
turns it into another after the server's 250 (``Attempts``); the Message-ID is made from the disclosure id, of a list
from all of them, and is the same each time.  A mail whose end is not known is sent once more, marked as a repetition:
two mails under one id do less harm than none.

250 is *transport*.  A delivery status notification (RFC 3464) of success is *delivered*; a disposition notification
(RFC 8098) says that a program showed the mail, which is no more than that.
"""

import asyncio
import re
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from sos.clock import Clock
from sos.dispatch.adapters import bounces
from sos.dispatch.adapters.mail_attempts import Attempts
from sos.dispatch.bundles import Listed
from sos.dispatch.port import Log, Parcel, Receipt
from sos.errors import Misconfigured, Refused, Unavailable
from sos.incident.commands import ConfirmDelivery, FailDelivery
from sos.incident.model import Acknowledgement, DisclosureId, IncidentId
from sos.problems import places_of

TIMEOUT_S = 4.0
"""For each step of the dialogue; the whole is bounded by ``WITHIN_S``."""

WITHIN_S = 20.0
"""After which the thread is no longer waited for; what became of the mail is then not known."""

_REPEATED = "(再送 / repeated) "
_PARTLY = "(一部再送 / partly repeated) "
_MAY_BE = " (再送の可能性 / may be a repetition)"

LOOK_EVERY = timedelta(seconds=2)

MAIL_BYTES = 256 * 1024
"""Of a notice: it quotes our headers, not our attachment (``RET=HDRS``)."""

MOST_PARTS = 32
"""Of a notice, which has three or four: Python's reader takes quadratic time for parts inside parts, and a stack."""

_TYPES = re.compile(rb"^content-type:", re.IGNORECASE | re.MULTILINE)

log = structlog.get_logger()


class Server(Struct, frozen=True, kw_only=True):
    """The house's own mail server."""

    host: str
    port: int = 587
    sender: str
    """Envelope sender: delivery notices come back to it."""
    user: str = ""
    password: str = ""
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    """``none`` is for a server on this machine alone."""


class Notice(Struct, frozen=True, kw_only=True):
    """What came back about one mail."""

    incident: IncidentId
    disclosure: DisclosureId
    level: Acknowledgement | None
    """None: it was not delivered."""
    reason: str
    """``delivered``, ``relayed``, ``displayed``, or the status code of the failure, such as ``5.1.1``."""


class SmtpChannel:
    """``AgencyChannel`` over the house's mail server."""

    name = "smtp"

    def __init__(
        self,
        server: Server,
        *,
        domain: str,
        attempts: Attempts,
        link: Callable[[Parcel], str],
        list_link: Callable[[Parcel], str],
        clock: Clock,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``domain`` is the right side of Message-IDs; ``link`` the page on which the agency answers, and
        ``list_link`` the page of the list that a parcel stands on.

        ``Misconfigured`` when mail would leave this machine without TLS.
        """
        if server.tls == "none" and server.host not in ("localhost", "127.0.0.1", "::1"):
            raise Misconfigured("mail.tls: briefs leave over TLS only; none is for a mail server on this machine")
        self._server = server
        self._domain = domain
        self._attempts = attempts
        self._link = link
        self._list_link = list_link
        self._clock = clock
        self._context = context or ssl.create_default_context()

    async def find(self, parcel: Parcel) -> Receipt | None:
        if await asyncio.to_thread(self._attempts.bounced, parcel.disclosure):
            raise Unavailable("smtp_bounced")
        sent = await asyncio.to_thread(self._attempts.sent, parcel.disclosure)
        return self._receipt(parcel) if sent else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        recipient = recipient_of(parcel)
        repeat = await asyncio.to_thread(self._attempts.uncertain, parcel.disclosure)
        await self._post(self.compose(parcel, recipient=recipient, repeat=repeat), recipient, (parcel,))
        return self._receipt(parcel)

    async def deliver_list(self, listed: Listed) -> Mapping[DisclosureId, Receipt]:
        """One mail under a name of its own; each of its incidents has gone, or none has."""
        recipient = recipient_of(listed.parcels[0])
        disclosures = [parcel.disclosure for parcel in listed.parcels]
        again = await asyncio.to_thread(lambda: frozenset(filter(self._attempts.uncertain, disclosures)))
        mail = self.compose_list(listed, recipient=recipient, again=again)
        await self._post(mail, recipient, listed.parcels)
        receipt = self._receipt(*listed.parcels)
        return {parcel.disclosure: receipt for parcel in listed.parcels}

    async def _post(self, mail: EmailMessage, recipient: str, parcels: Sequence[Parcel]) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                await asyncio.to_thread(self._send, mail, recipient, parcels)
        except TimeoutError as late:
            raise Unavailable("smtp_timeout") from late
        except smtplib.SMTPResponseException as refused:
            raise Unavailable(f"smtp_{refused.smtp_code}") from refused
        except (smtplib.SMTPException, OSError) as failed:
            raise Unavailable(f"smtp_{type(failed).__name__}") from failed

    def compose(self, parcel: Parcel, *, recipient: str, repeat: bool) -> EmailMessage:
        """The mail as it is sent."""
        again = _REPEATED if repeat else ""
        subject = f"{bounces.MARK}{again}車両緊急通報 / Vehicle emergency {parcel.disclosure}"
        mail = self._headed((parcel,), recipient=recipient, subject=subject)
        mail.set_content(
            f"緊急通報です。添付の事案票を確認し、次のページで「引き受ける」を押してください。\n"
            f"This is an emergency. Read the attached sheet and press 'taken over' on this page:\n\n"
            f"{self._link(parcel)}\n\n"
            f"{'同じ通報の再送の可能性があります。 / This may be a repetition.' if repeat else ''}\n"
            f"事案 / incident: {parcel.incident}\n提供番号 / disclosure: {parcel.disclosure}\n"
        )
        _attach(mail, parcel)
        return mail

    def compose_list(self, listed: Listed, *, recipient: str, again: Set[DisclosureId]) -> EmailMessage:
        """The mail of a list as it is sent: personal data is in the attachments alone, here too.

        ``again``: what may have gone before; nobody shall take the others for repeated.
        """
        first, number = listed.parcels[0], len(listed.parcels)
        repeated = "" if not again else _REPEATED if len(again) == number else _PARTLY
        subject = f"{bounces.MARK}{repeated}大規模災害 通報一覧 {number}件 / Mass event: {number} emergencies"
        mail = self._headed(listed.parcels, recipient=recipient, subject=subject)
        each = "".join(
            f"{parcel.incident} {parcel.disclosure}{_MAY_BE if parcel.disclosure in again else ''}\n"
            for parcel in listed.parcels
        )
        mail.set_content(
            f"緊急通報{number}件です。添付の一覧を確認し、次のページで1件ずつ「引き受ける」を押してください。\n"
            f"These are {number} emergencies. Read the attached list and press 'take over' for each on this page:\n\n"
            f"{self._list_link(first)}\n\n"
            f"事案と提供番号 / incidents and disclosures:\n{each}"
        )
        mail.add_attachment(listed.text, subtype="plain", filename="list.txt")
        for parcel in listed.parcels:
            _attach(mail, parcel)
        return mail

    def _headed(self, parcels: Sequence[Parcel], *, recipient: str, subject: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._server.sender
        mail["To"] = recipient
        mail["Subject"] = subject
        mail["Message-ID"] = self.message_id(*parcels)
        mail["Date"] = format_datetime(self._clock.now())
        mail["Importance"] = "high"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Disposition-Notification-To"] = self._server.sender
        return mail

    def message_id(self, *parcels: Parcel) -> str:
        return f"<{_ours(parcels)}@{self._domain}>"

    def bounced(self, disclosure: DisclosureId) -> None:
        """Remember that the mail did not arrive: it is not sent there again."""
        self._attempts.bounce(disclosure)

    def named(self, notice: Notice) -> Sequence[Notice]:
        """What ``notice`` says about each incident of its mail: all of a list go the same way."""
        listed = self._attempts.listed(notice.disclosure)
        each = [replace(notice, incident=incident, disclosure=disclosure) for incident, disclosure in listed]
        return each or [notice]

    def _send(self, mail: EmailMessage, recipient: str, parcels: Sequence[Parcel]) -> None:
        """In a thread.  A mark that stays as ``trying`` says that nobody knows whether the mail went out."""
        with self._connect() as smtp:
            options = ["RET=HDRS", f"ENVID={_ours(parcels)}"] if smtp.has_extn("dsn") else []
            wanted = ["NOTIFY=SUCCESS,FAILURE,DELAY"] if smtp.has_extn("dsn") else []
            if len(parcels) > 1:
                self._attempts.list(_name_of_list(parcels), parcels)
            for parcel in parcels:
                self._attempts.begin(parcel.disclosure)
            try:
                smtp.send_message(mail, self._server.sender, [recipient], options, wanted)
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):  # a clear no
                for parcel in parcels:
                    self._attempts.end(parcel.disclosure, sent=False)
                raise
            for parcel in parcels:
                self._attempts.end(parcel.disclosure, sent=True)

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.tls == "implicit":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=self._context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        try:
            if server.tls == "starttls":
                smtp.starttls(context=self._context)  # raises when the server has none: nothing goes in clear
            if server.user:
                smtp.login(server.user, server.password)
            smtp.ehlo_or_helo_if_needed()
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _receipt(self, *parcels: Parcel) -> Receipt:
        return Receipt(level=Acknowledgement.TRANSPORT, reference=f"smtp:{self.message_id(*parcels)}")


def recipient_of(parcel: Parcel) -> str:
    """``Unavailable`` where the directory has no address that mail can be sent to."""
    recipient = str(parcel.settings.get("to", ""))
    if "@" not in recipient or any(letter in recipient for letter in "\r\n,;<> "):
        raise Unavailable("the directory has no mail address")
    return recipient


def _attach(mail: EmailMessage, parcel: Parcel) -> None:
    if (sheet := parcel.forms.get("pdf")) is not None:
        mail.add_attachment(sheet, maintype="application", subtype="pdf", filename=f"{parcel.disclosure}.pdf")


class Notices:
    """Follows the mailbox to which delivery notices come back (a Maildir that the mail server fills)."""

    def __init__(self, journal: Log, channel: SmtpChannel, maildir: Path, *, domain: str) -> None:
        self._journal = journal
        self._channel = channel
        self._maildir = maildir
        self._domain = domain

    async def watch(self) -> None:
        """Turn each notice into what it says, for ever."""
        while True:
            await self.take()
            await self._journal.clock.wait(LOOK_EVERY)

    async def take(self) -> None:
        """Read what is new; a mail that is no notice of ours is put aside unread."""
        for file in await asyncio.to_thread(_new, self._maildir):
            notice = await asyncio.to_thread(self._read, file)
            if notice is not None:
                await self._tell(notice)
            await asyncio.to_thread(_done, file)

    def _read(self, file: Path) -> Notice | None:
        """What ``file`` says about one of ours; None also for what cannot be read: others wait behind it."""
        try:
            with file.open("rb") as mail:
                return read_notice(mail.read(MAIL_BYTES), domain=self._domain)
        except Exception as bug:  # noqa: BLE001  the edge of one mail: those behind it are answers of agencies
            log.error("notice_unreadable", error=type(bug).__name__, places=places_of(bug))
            return None

    async def _tell(self, notice: Notice) -> None:
        for each in await asyncio.to_thread(self._channel.named, notice):
            await self._tell_one(each)

    async def _tell_one(self, notice: Notice) -> None:
        told, command = notice.disclosure, _command(notice)
        if notice.level is None:
            await asyncio.to_thread(self._channel.bounced, told)
        try:
            await self._journal.execute(notice.incident, command, actor="channel:smtp")
        except Refused as unknown:  # somebody else's mail, or one of an incident that is gone
            log.warning("notice_refused", disclosure=told, reason=str(unknown))


def _command(notice: Notice) -> ConfirmDelivery | FailDelivery:
    if notice.level is None:
        return FailDelivery(disclosure=notice.disclosure, attempt=0, reason=f"smtp_bounced_{notice.reason}")
    return ConfirmDelivery(disclosure=notice.disclosure, level=notice.level, receipt=f"smtp:{notice.reason}")


def _new(maildir: Path) -> list[Path]:
    return sorted((maildir / "new").glob("*")) if (maildir / "new").is_dir() else []


def _done(file: Path) -> None:
    seen = file.parent.parent / "cur"
    seen.mkdir(exist_ok=True)
    file.replace(seen / f"{file.name}:2,S")


def read_notice(data: bytes, *, domain: str) -> Notice | None:
    """What a mail that came back says about one of ours; None when it says nothing about any."""
    if len(_TYPES.findall(data)) > MOST_PARTS:
        return None
    mail = message_from_bytes(data)
    named = _named(mail, domain) or _quoted(mail, data, domain)
    if named is None:
        return None
    for part in mail.walk():
        if part.get_content_type() == "message/delivery-status":
            return _delivery(part, *named)
        if part.get_content_type() == "message/disposition-notification":
            return _disposition(part, *named)
    failed = bounces.failure(mail)
    return None if failed is None else Notice(incident=named[0], disclosure=named[1], level=None, reason=failed)


def _quoted(mail: Message, data: bytes, domain: str) -> tuple[IncidentId, DisclosureId] | None:
    found = bounces.quoted(mail, data, domain)
    return None if found is None else (IncidentId(found[1]), DisclosureId(found[0]))


def _fields(part: Message) -> dict[str, str]:
    """The fields of all groups of a status part; the recipient's stand over the message's."""
    found: dict[str, str] = {}
    payload = part.get_payload()
    groups = payload if isinstance(payload, list) else [message_from_bytes(str(payload).encode())]
    for group in groups:
        if isinstance(group, Message):
            found |= {name.lower(): str(value).strip() for name, value in group.items()}
    return found


def _delivery(part: Message, incident: IncidentId, disclosure: DisclosureId) -> Notice | None:
    fields = _fields(part)
    action = fields.get("action", "").lower()
    if action == "failed":
        reason = _code(fields.get("status", "")) or "failed"
        return Notice(incident=incident, disclosure=disclosure, level=None, reason=reason)
    levels = {"delivered": Acknowledgement.DELIVERED, "relayed": Acknowledgement.TRANSPORT}
    level = levels.get(action)  # ``delayed`` and ``expanded`` decide nothing
    return Notice(incident=incident, disclosure=disclosure, level=level, reason=action) if level else None


def _code(sent: str) -> str:
    """A status code as it may stand in a journal: a mail may hold anything where one belongs."""
    return "".join(letter for letter in sent[:16] if letter.isascii() and (letter.isalnum() or letter in ".-"))


def _disposition(part: Message, incident: IncidentId, disclosure: DisclosureId) -> Notice | None:
    kind = _fields(part).get("disposition", "").rpartition(";")[2].strip().lower()
    if not kind.startswith("displayed"):
        return None
    return Notice(incident=incident, disclosure=disclosure, level=Acknowledgement.DELIVERED, reason="displayed")


def _named(mail: Message, domain: str) -> tuple[IncidentId, DisclosureId] | None:
    """Which of our mails this is about: the envelope id we gave, or the Message-ID quoted somewhere in it."""
    for part in mail.walk():
        fields = {name.lower(): str(value) for name, value in part.items()}
        if part.get_content_type() in ("message/delivery-status", "message/disposition-notification"):
            fields |= _fields(part)
        quoted = [fields.get("original-envelope-id", "").strip()]
        for name in ("original-message-id", "in-reply-to", "message-id"):
            identifier = fields.get(name, "").strip().strip("<>")
            if identifier.endswith(f"@{domain}"):
                quoted.append(identifier.removesuffix(f"@{domain}"))
        for each in quoted:
            disclosure, dot, incident = each.lower().partition(".")  # some servers return it in capitals
            if dot and disclosure and incident:
                return IncidentId(incident), DisclosureId(disclosure)
    return None


def _ours(parcels: Sequence[Parcel]) -> str:
    """The name of a mail: the same for each attempt."""
    first = parcels[0]
    return f"{first.disclosure if len(parcels) == 1 else _name_of_list(parcels)}.{first.incident}"


def _name_of_list(parcels: Sequence[Parcel]) -> str:
    """By what it holds and by nothing else.

    Mail servers drop the second mail of one name, and with it would be gone what was not in the first; and a notice
    about one would be taken for one about the other.
    """
    held = "\n".join(sorted(parcel.disclosure for parcel in parcels))
    return f"list-{sha256(held.encode()).hexdigest()[:32]}"
