"""Bytes made wrong in the ways that break readers: cut, repeated, nested, swollen, in another encoding, spliced.

Own and small, because a million inputs need microseconds each.  The same seed makes the same bytes.
"""

import random
import re
from collections.abc import Callable, Sequence

TOKENS: tuple[bytes, ...] = (
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"\\ud800", b"\\udc00", b"\\u0000",
    b"-", b"--", b'"', b'""', b"'", b"\\", b"\r\n", b"\r\n\r\n", b"\n", b",", b";", b":", b"=", b"/", b"..", b"%00",
    b"%ff", b"*", b"(", b")", b"[", b"]", b"{", b"}", b"<", b">", b"<a>", b"</a>", b"&#0;", b"&a;", b"<!--", b"]]>",
    b"<!DOCTYPE a [<!ENTITY a 'aaaa'>]>", b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"0", b"-0", b"1e999",
    b"-1e999", b"1e-999", b"9" * 19, b"9" * 400, b"9" * 5000, b"-9223372036854775809", b"18446744073709551616", b"0x10",
    b"2147483648", b"-1", b"0.1" + b"0" * 300, b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+23:59",
    b"2026-02-30T25:61:61Z", b"2016-12-31T23:59:60Z", b"\xe3\x81\x82", b"\xf0\x9f\x9a\x97", b"\xe2\x80\xae", b"\x7f",
    b"\x1b[2J", "丁目".encode(), "丁目".encode("cp932"), "１２３".encode(), b"__proto__", b"$", b"#", b"@", b"\t",
)  # fmt: skip
"""What is put in, or in place of something."""

_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_WORD = re.compile(rb"[A-Za-z0-9_.:-]{2,40}")
_NESTS = ((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"(", b")"), (b'"', b'"'), (b"--a\r\n\r\n", b"\r\n--a--"))

SMALL, LARGE = 400, 40_000
"""Times that something is repeated, most of the time and now and then."""

SWOLLEN = 150
"""One of so many inputs is large."""


MOST_BYTES = 600_000
"""Of what is repeated: twice the largest input."""


class Mutator:
    """Makes inputs out of samples."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ways: Sequence[Callable[[bytes, Sequence[bytes]], bytes]] = (
            self._flip, self._flip, self._flip, self._cut, self._drop, self._double, self._put, self._put, self._number,
            self._number, self._word, self._word, self._splice, self._nest, self._repeat, self._truncate,
        )  # fmt: skip

    def of(self, samples: Sequence[bytes], *, most: int) -> bytes:
        """One input, at most ``most`` bytes, as a door would hand it on."""
        chance = self._random
        made = chance.choice(samples)
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            made = chance.choice(self._ways)(made, samples)[: 2 * most]
        return made[:most]

    def choice(self, of: Sequence[bytes]) -> bytes:
        return self._random.choice(of)

    def whole(self, below: int) -> int:
        return self._random.randrange(below)

    def _at(self, made: bytes) -> int:
        return self._random.randrange(len(made) + 1)

    def _times(self) -> int:
        most = LARGE if self._random.randrange(SWOLLEN) == 0 else SMALL
        return 1 + int(most ** self._random.random())

    def _flip(self, made: bytes, _: Sequence[bytes]) -> bytes:
        if not made:
            return bytes((self._random.randrange(256),))
        at = self._random.randrange(len(made))
        return made[:at] + bytes((made[at] ^ (1 << self._random.randrange(8)),)) + made[at + 1 :]

    def _cut(self, made: bytes, _: Sequence[bytes]) -> bytes:
        return made[: self._at(made)]

    def _truncate(self, made: bytes, _: Sequence[bytes]) -> bytes:
        return made[self._at(made) :]

    def _drop(self, made: bytes, _: Sequence[bytes]) -> bytes:
        at = self._at(made)
        return made[:at] + made[at + self._random.randrange(1, 40) :]

    def _double(self, made: bytes, _: Sequence[bytes]) -> bytes:
        at = self._at(made)
        piece = made[at : at + self._random.randrange(1, 60)]
        return made[:at] + piece + made[at:]

    def _put(self, made: bytes, _: Sequence[bytes]) -> bytes:
        at = self._at(made)
        return made[:at] + self._random.choice(TOKENS) + made[at:]

    def _repeat(self, made: bytes, _: Sequence[bytes]) -> bytes:
        at = self._at(made)
        piece = self._random.choice((self._random.choice(TOKENS), made[at : at + self._random.randrange(1, 12)]))
        times = min(self._times(), 1 + MOST_BYTES // max(1, len(piece)))  # or making it stalls the loop
        return made[:at] + piece * times + made[at:]

    def _nest(self, made: bytes, _: Sequence[bytes]) -> bytes:
        first, last = self._random.choice(_NESTS)
        times, at = self._times(), self._at(made)
        if self._random.random() < 0.5:
            return first * times + made + last * times
        return made[:at] + first * times + last * times + made[at:]

    def _number(self, made: bytes, samples: Sequence[bytes]) -> bytes:
        return self._instead(_NUMBER, made, samples)

    def _word(self, made: bytes, samples: Sequence[bytes]) -> bytes:
        return self._instead(_WORD, made, samples)

    def _instead(self, what: re.Pattern[bytes], made: bytes, samples: Sequence[bytes]) -> bytes:
        """Another one, or a token, in place of the first ``what`` after some point."""
        found = what.search(made, self._at(made) if made else 0)
        if found is None:
            return self._put(made, samples)
        other = what.search(self._random.choice(samples)) if self._random.random() < 0.3 else None
        return made[: found.start()] + (other[0] if other else self._random.choice(TOKENS)) + made[found.end() :]

    def _splice(self, made: bytes, samples: Sequence[bytes]) -> bytes:
        other = self._random.choice(samples)
        return made[: self._at(made)] + other[self._at(other) :]
