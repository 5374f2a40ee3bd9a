"""Offers and answers (RFC 8866, RFC 9429) cut down to the one thing we speak: a single Opus audio section.

aiortc can refuse no section of its own, so an offer is reduced to its first audio section before aiortc sees it and
the refused ones come back in the answer with port 0 (RFC 3264 section 6).
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from sos.calls.adapters.embedded.candidates import usable
from sos.errors import Malformed

LARGEST_OFFER_BYTES = 65_536
"""Chromium's audio offers are about 3 KiB; the rest is room for candidates."""
_MOST_SECTIONS = 16
_MOST_CANDIDATES = 64
"""In an offer; of these we check fewer (``candidates``)."""
_UFRAG = "a=ice-ufrag:"
_CANDIDATE = "a=candidate:"
_BUNDLE_ONLY = "a=bundle-only"
_OF_TRANSPORT = ("a=candidate:", "a=ice-", "a=fingerprint:", "a=setup:", "a=rtcp-mux")
"""What the sections of a bundle have in common, so that the first alone says it (RFC 9143 7.1.3)."""
_OPUS = re.compile(r"^a=rtpmap:(\d{1,3}) opus/48000/2\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Offer:
    """A usable offer.  ``audio`` is the text for aiortc, ``sections`` the media sections as sent."""

    audio: str
    sections: tuple[tuple[str, ...], ...]
    chosen: int
    payload_type: int
    ufrag: str
    """Names the ICE session that the offer begins (RFC 8839 5.4)."""
    waits: bool
    """It can only be the DTLS server, so we must begin (RFC 8842 5.1)."""

    @classmethod
    def read(cls, text: str, *, ours: frozenset[str] = frozenset()) -> "Offer":
        """``Malformed`` unless ``text`` is SDP with an audio section that offers Opus; it never quotes the text.

        ``ours`` are the addresses of this machine.
        """
        if len(text.encode()) > LARGEST_OFFER_BYTES:
            raise Malformed(f"the SDP offer is larger than {LARGEST_OFFER_BYTES} bytes")
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
        if not lines or lines[0] != "v=0":
            raise Malformed("an SDP offer begins with v=0")
        session, sections = _divided(lines)
        if len(sections) > _MOST_SECTIONS:
            raise Malformed(f"the SDP offer has more than {_MOST_SECTIONS} media sections")
        chosen = next((at for at, section in enumerate(sections) if _is_audio(section)), None)
        if chosen is None:
            raise Malformed("the SDP offer has no audio section")
        audio = sections[chosen]
        if sum(line.startswith(_CANDIDATE) for line in audio) > _MOST_CANDIDATES:
            raise Malformed(f"the SDP offer has more than {_MOST_CANDIDATES} candidates")
        opus = next((match for line in audio if (match := _OPUS.match(line))), None)
        if opus is None:
            raise Malformed("the SDP offer has no Opus at 48000/2")
        kept = [line for line in session if not line.startswith("a=group:")]
        kept += _grouped(_checkable(_bundled(audio, sections[0]), ours))
        return cls(
            audio="\r\n".join((*kept, "")),
            sections=sections,
            chosen=chosen,
            payload_type=int(opus[1]),
            ufrag=next((line.removeprefix(_UFRAG) for line in kept if line.startswith(_UFRAG)), ""),
            waits="a=setup:passive" in kept,
        )

    def answered(self, text: str) -> str:
        """The answer to the whole offer, made from aiortc's answer to the audio section."""
        session, (audio, *_) = _divided([line for line in text.replace("\r\n", "\n").split("\n") if line])
        lines = list(session)
        for at, section in enumerate(self.sections):
            lines += self._with_fec(audio) if at == self.chosen else _refused(section)
        return "\r\n".join((*lines, ""))

    def _with_fec(self, audio: tuple[str, ...]) -> tuple[str, ...]:
        """Ask the sender for in-band FEC (RFC 7587 6.1): its packets pass through us to a decoder that uses it."""
        fmtp = f"a=fmtp:{self.payload_type} "
        return (*(line for line in audio if not line.startswith(fmtp)), f"{fmtp}minptime=10;useinbandfec=1")


def _divided(lines: list[str]) -> tuple[list[str], tuple[tuple[str, ...], ...]]:
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    edges = [*starts, len(lines)]
    return lines[: edges[0]], tuple(tuple(lines[start:end]) for start, end in pairwise(edges))


def _is_audio(section: tuple[str, ...]) -> bool:
    head = section[0].split(" ")
    return head[0] == "m=audio" and len(head) > 3 and (head[1] != "0" or _BUNDLE_ONLY in section)


def _bundled(audio: tuple[str, ...], first: tuple[str, ...]) -> tuple[str, ...]:
    """``audio`` with what it leaves to the first section of its bundle, and with a port."""
    if audio is first or _BUNDLE_ONLY not in audio:
        return audio
    own = tuple(line for line in audio[1:] if not line.startswith(_OF_TRANSPORT))
    return (audio[0].replace("m=audio 0 ", "m=audio 9 ", 1), *own, *(e for e in first if e.startswith(_OF_TRANSPORT)))


def _checkable(audio: tuple[str, ...], ours: frozenset[str]) -> tuple[str, ...]:
    """``audio`` with the candidates that we check, and open for more: the others show themselves by their checks.

    To aiortc an end of candidates is the end of the call when none is left.
    """
    offered = (line.removeprefix(_CANDIDATE) for line in audio if line.startswith(_CANDIDATE))
    rest = (line for line in audio if not line.startswith((_CANDIDATE, "a=end-of-candidates")))
    return (*rest, *(f"{_CANDIDATE}{each}" for each in usable(offered, ours=ours)))


def _grouped(audio: tuple[str, ...]) -> list[str]:
    mid = next((line.removeprefix("a=mid:") for line in audio if line.startswith("a=mid:")), None)
    return ([f"a=group:BUNDLE {mid}"] if mid else []) + list(audio)


def _refused(section: tuple[str, ...]) -> list[str]:
    kind, _, rest = section[0].split(" ", 2) if section[0].count(" ") >= 2 else (section[0], "0", "UDP 0")
    return [
        f"{kind} 0 {rest}",
        "c=IN IP4 0.0.0.0",
        *(line for line in section if line.startswith("a=mid:")),
        "a=inactive",
    ]
