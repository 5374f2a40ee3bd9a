"""Which reader a body gets: the one its media type names, or the one its content shows it to be meant for.

A label is often wrong: gateways rename, 3.1.1 brokers have none, people copy examples.  So what a body *is* decides
where that is certain, a finding tells the sender, and what is recognisably an emergency is read whatever its wrapping
says.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

import structlog
from msgspec import Struct

from routing.position.pidf import PIDF
from routing.text import cleaned
from sos.errors import SosError
from sos.formats import msd, text_encoding, veds
from sos.incident.bounds import bounded
from sos.incident.model import Mode, Trigger
from sos.incident.plausible import judged
from sos.incident.report import EmergencyReport
from sos.intake import cloudevents, ecall, multipart, voice
from sos.intake.arrival import Peek
from sos.intake.wrapping import Kind, kind, unwrapped
from sos.problems import places_of

log = structlog.get_logger()

UNREADABLE = Peek(False, Mode.LIVE, Trigger.UNKNOWN, None, ("undecodable:$",))
"""What is known of bytes that nobody can read: a known tenant sent them."""


class Format(Struct, frozen=True, kw_only=True):
    """One way to write a report."""

    media_type: str
    """Under which the bytes are filed."""
    peek: Callable[[bytes, str | None], Peek]
    """What the accept path needs; the second argument is the finding of a body that is cut.  ``Malformed`` when it is
    clearly no emergency."""
    decode: Callable[[bytes], EmergencyReport]
    """The whole report, not yet judged; ``Malformed`` when nothing of it can be read."""
    expected: bool = True
    """False when the sender named a type that we do not read, and its bytes are tried as CloudEvents."""

    def seen(self, body: bytes, cut: str | None) -> Peek:
        """As ``peek``; a fault of ours in reading it is an incident of unreadable crash data, and an alarm."""
        try:
            return self.peek(body, cut)
        except SosError:
            raise
        except Exception as bug:  # noqa: BLE001  the edge of one report: what stops a decoder must not stop a rescue
            self._failed(bug)
            return UNREADABLE

    def report(self, raw: bytes, at: datetime) -> EmergencyReport:
        """As ``decode``, in clean text and judged; nothing is known of what nobody can read, and a finding says why."""
        return self._read(raw, lambda sent: judged(sent, at=at))

    def sent(self, raw: bytes) -> EmergencyReport:
        """The same, not judged: with what cannot be."""
        return self._read(raw, lambda sent: sent)

    def _read(self, raw: bytes, then: Callable[[EmergencyReport], EmergencyReport]) -> EmergencyReport:
        try:
            return then(bounded(cleaned(self.decode(raw))))
        except SosError:
            return EmergencyReport(findings=("not_an_event:$",))
        except Exception as bug:  # noqa: BLE001  as above: the next report of somebody else waits behind this one
            self._failed(bug)
            return EmergencyReport(findings=("undecodable:$",))

    def _failed(self, bug: Exception) -> None:
        log.error("report_decoder_failed", format=self.media_type, error=type(bug).__name__, places=places_of(bug))


def _json(media_type: str, *, expected: bool = True) -> Format:
    return Format(media_type=media_type, peek=cloudevents.peek, decode=cloudevents.decode, expected=expected)


BY_TYPE: Mapping[str, Format] = MappingProxyType(
    {media_type.lower(): _json(media_type) for media_type in cloudevents.MEDIA_TYPES}
    | {
        each.media_type.lower(): each
        for each in (
            Format(media_type=msd.MEDIA_TYPE, peek=ecall.peek_msd, decode=ecall.decode_msd),
            Format(media_type=veds.MEDIA_TYPE, peek=ecall.peek_veds, decode=ecall.decode_veds),
            Format(media_type=multipart.MEDIA_TYPE, peek=multipart.peek, decode=multipart.decode),
            Format(media_type=voice.MEDIA_TYPE, peek=voice.peek, decode=voice.decode),
        )
    }
)
"""By media type in lower case."""

_UNEXPECTED = _json(cloudevents.MEDIA_TYPE, expected=False)


def of(content_type: str) -> Format:
    """The format that a ``Content-Type`` names; CloudEvents, not ``expected``, when it names none we read."""
    known = BY_TYPE.get(content_type)
    if known is not None:
        return known
    return BY_TYPE.get(content_type.partition(";")[0].strip().lower(), _UNEXPECTED)


class Recognised(Struct, frozen=True, kw_only=True):
    """A body as it is read: its format, its content, and what was odd about what stood around it."""

    format: Format
    content: bytes
    findings: tuple[str, ...] = ()


def recognise(body: bytes, content_type: str) -> Recognised:
    """What ``body`` is.  Its own content outranks ``content_type`` wherever it is certainly an emergency of another
    format; an empty ``content_type`` (MQTT 3.1.1 has none) is not held against anybody.
    """
    named, content = of(content_type), unwrapped(body)
    octets = content.octets
    meant = _MEANT[kind(octets)]
    if meant.peek is named.peek or named.media_type == voice.MEDIA_TYPE or not _certain(meant, octets):
        return Recognised(format=named, content=octets, findings=content.findings)
    odd = () if not content_type or named.media_type == multipart.MEDIA_TYPE else ("content_type:$",)
    return Recognised(format=meant, content=octets, findings=(*content.findings, *odd))


_MEANT: Mapping[Kind, Format] = MappingProxyType(
    {
        Kind.JSON: BY_TYPE[cloudevents.MEDIA_TYPE],
        Kind.XML: BY_TYPE[veds.MEDIA_TYPE.lower()],
        Kind.MULTIPART: BY_TYPE[multipart.MEDIA_TYPE],
        Kind.OCTETS: BY_TYPE[msd.MEDIA_TYPE.lower()],
    }
)


def shown(body: bytes) -> str:
    """The media type of what ``body`` is by its beginning."""
    return _MEANT[kind(unwrapped(body).octets)].media_type


def shown_or_nothing(body: bytes) -> str:
    """As ``shown``; the plainest type when even that fails."""
    try:
        return shown(body)
    except Exception:  # noqa: BLE001  the edge of one report that has failed elsewhere already
        return cloudevents.MEDIA_TYPE


def _certain(meant: Format, content: bytes) -> bool:
    """Whether ``content`` is an emergency as ``meant`` reads it, although its label says otherwise."""
    try:
        if meant is _MEANT[Kind.OCTETS]:
            msd.read(text_encoding.octets_of(content))  # nothing is saved here: saving guesses, and so does this
        elif meant is _MEANT[Kind.XML]:
            return any(name in content for name in (veds.ROOT.encode(), PIDF.encode()))
        else:
            meant.peek(content, None)
    except SosError:
        return False
    return True


def read_report(raw: bytes, media_type: str, *, at: datetime) -> EmergencyReport:
    """What ``raw``, received at ``at``, says; never fails: of bytes that nobody can read nothing is known."""
    known = BY_TYPE.get(media_type.lower())
    if known is None:
        return EmergencyReport(findings=("unknown_format:$",))
    return known.report(unwrapped(raw).octets, at)


def as_sent(raw: bytes, media_type: str) -> EmergencyReport:
    """What ``raw`` says, not judged: also what cannot be; nothing of bytes that nobody can read."""
    known = BY_TYPE.get(media_type.lower())
    return EmergencyReport() if known is None else known.sent(unwrapped(raw).octets)
