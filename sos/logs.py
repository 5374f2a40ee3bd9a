"""The one path of every log line: ours and our libraries', structured, on standard error, without secrets.

A line is a constant message and fields.  Of an exception it holds the types and the places in the program, for the
message of another's exception may hold what was sent: aiohttp's holds the header line that it could not read.  Only our
own errors, whose words are written for people, and the operating system's give their message.  What a library logs is
its constant text, not its arguments.  Whatever still looks like a credential is struck out.
"""

import logging
import re
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from math import inf
from types import TracebackType
from typing import Any, TextIO

import structlog

from sos.errors import SosError

STRUCK = "***"

_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|token|credential|signature|api.?key", re.IGNORECASE
)
"""Fields whose value is never shown, whatever it is."""

_SECRETS = (
    re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|signature(?:-input)?)\b[\"']?\s*[:=].*"),
    re.compile(r"(?i)\b(bearer|basic|digest)\s+[^\s\"',;]+"),
    re.compile(r"(?i)(?<![a-z_-])([a-z_-]*(?:token|secret|password|passwd|key|code|sig))=[^\s\"'&,;]+"),
    re.compile(r"(/agency/(?:brief/)?)[^\s\"'<>]+"),
    re.compile(r"()(?<![\w.-])(?=[\w.-]*\beyJ)[\w.-]+"),
    re.compile(r"()(?<![\w-])(?![0-9a-f]+(?![\w-]))[\w-]{40,}(?![\w-])"),
)
"""What looks like a credential: header lines, schemes, parameters, portal links, JWTs, and long random words that are
no digest in hexadecimal.  Each keeps what stands in its first group."""

REPEAT_S = 60.0
"""So often the same line is written at most."""

REMEMBERED = 1024
"""Different lines that are remembered for that."""

MOST = 2_000
"""Characters of one field."""


class Repeats:
    """A processor that bounds what an outage repeats: a line that was written within the minute is not written again.

    Only warnings and worse, and only what is the same in every field: a line about another incident is another line.
    The first one after the minute says how many were left out.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __call__(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line.get("level") not in ("warning", "error"):
            return line
        known = repr(sorted((name, str(value)) for name, value in line.items() if name != "timestamp"))
        now = self._monotonic()
        since, left_out = self._said.pop(known, (-inf, 0))
        if now - since < REPEAT_S:
            self._said[known] = since, left_out + 1
            raise structlog.DropEvent
        self._said[known] = now, 0
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        return {**line, "left_out": left_out} if left_out else line


def configure(stream: TextIO = sys.stderr) -> None:
    """Send every line of this process through here, those of libraries and of Python itself too."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_messages,
            redact,
            Repeats(),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_OfLibraries()]
    root.setLevel(logging.WARNING)
    for name in list(logging.root.manager.loggerDict):  # a library that set up a way of its own
        known = logging.getLogger(name)
        known.handlers.clear()
        known.propagate = True
    logging.captureWarnings(capture=True)
    sys.excepthook = _died


def redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: strike out what looks like a credential, in every field and however deep."""
    for name, value in line.items():
        line[name] = value if name in ("event", "level", "timestamp") else _struck(name, value)
    line["event"] = without_secrets(str(line.get("event", "")))
    return line


def without_secrets(text: str) -> str:
    """``text`` with everything that looks like a credential struck out."""
    length, text = len(text), _beginning(text)
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1 {STRUCK}", text)
    return text if length <= MOST else f"{text}... (of {length} characters)"


def _beginning(text: str) -> str:
    """At most ``MOST`` characters, cut before anything is looked for: looking through a long word takes the square of
    its length.  The word that is cut goes whole, since half a secret looks like none."""
    if len(text) <= MOST:
        return text
    return text[:MOST].rpartition(" ")[0]


def _struck(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if _SECRET_NAME.search(name):
        return STRUCK
    if isinstance(value, Mapping):
        return {str(key): _struck(str(key), each) for key, each in value.items()}
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset):
        return without_secrets(f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value))
    return [_struck("", each) for each in value]


def _without_messages(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: an exception becomes its types and places."""
    given = line.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is not None:
        line.update(told(error))
    line.pop("stack_info", None)
    return line


def told(error: BaseException) -> dict[str, Any]:
    """What a log may hold of ``error`` and of what led to it."""
    chain, seen = list[BaseException](), set[int]()
    at: BaseException | None = error
    while at is not None and id(at) not in seen and len(chain) < 8:
        seen.add(id(at))
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return {"error": [_named(each) for each in chain], "places": [place for each in chain for place in _places(each)]}


def _named(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, SosError):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    return [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


class _OfLibraries(logging.Handler):
    """What libraries log: their constant text, its first line, and of an exception what is said of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        first = text.splitlines()[0] if text.strip() else ""
        said = structlog.get_logger()
        fields: dict[str, Any] = {"logger": record.name, "said": without_secrets(first[:200])}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        (said.error if record.levelno >= logging.ERROR else said.warning)("library", **fields)


def _died(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    structlog.get_logger().critical("died", exc_info=error)
