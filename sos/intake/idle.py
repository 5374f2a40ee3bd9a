"""What devices publish besides reports: last wills, heartbeats, emptied topics.  None of them is a call for help.

Only what is whole, is text and speaks of no emergency in any language of our senders counts: octets that nobody can
read may be a damaged report, and are one until a person has looked.
"""

from sos.intake.salvage import loads

LONGEST = 1024
"""Bytes of such a message; the longest heartbeats we know of (vehicle trackers) have 300."""

LONGEST_WORD = 32
"""Characters: what is longer may be octets spelt out, hexadecimal or Base64."""

_SPEAKS = (
    *("sos", "crash", "emergency", "ecall", "e-call", "accident", "collision", "impact", "airbag", "rollover", "help"),
    *("trigger", "panic", "mayday", "injur", "fire"),
    *("事故", "緊急", "救助", "救急", "助け", "たすけ", "衝突", "火災", "通報", "怪我", "けが"),
)
"""Words of an emergency, in small letters; too many of them cost an operator a look."""


def plainly_no_report(body: bytes) -> bool:
    """Whether ``body`` is nothing, or whole text in which nothing speaks of an emergency."""
    text = _text(body)
    if text is None or any(word in text.lower() for word in _SPEAKS):
        return False
    if text[:1] not in ("{", "["):
        return text.isprintable() and all(len(word) <= LONGEST_WORD for word in text.split())
    try:
        loads(text.encode())
    except ValueError:  # cut off, or damaged: what it spoke of may be gone
        return False
    return True


def _text(body: bytes) -> str | None:
    """``body`` as text without what surrounds it; None when it is none, or long."""
    if len(body) > LONGEST:
        return None
    try:
        return (
            body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").strip().strip("\0").strip()
        )
    except UnicodeDecodeError:
        return None
