"""Text of strangers, made fit for a screen: nobody can move the cursor, forge a line or hide a word with it.

Whatever a package, a file name or another's message says goes through here before a person reads it.
"""

import re

MOST = 240
"""Characters of one piece that are shown; the rest is counted."""

_RUN_OF_SPACES = re.compile(r"(?<= ) +")


def shown(text: str, *, most: int = MOST) -> str:
    """``text`` with everything that is not visible written as an escape, as Python would, and cut after ``most``.

    Escaped are control characters (terminal sequences, line ends), format characters (reversed reading, zero width),
    bytes that were no text, the backslash itself, and every space that follows a space: enough of them look like the
    next line.
    """
    cut, rest = text[:most], len(text) - most
    seen = "".join(each if each.isprintable() and each != "\\" else _escape(each) for each in cut)
    seen = _RUN_OF_SPACES.sub(lambda run: r"\x20" * len(run[0]), seen)
    return f"{seen}... ({rest} characters more)" if rest > 0 else seen


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
