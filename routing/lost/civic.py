"""Civic addresses to the areas of a layer, by the names of administrative areas (RFC 5139, RFC 4776 for Japan).

A1 is the prefecture (都道府県), A2 the county (郡), A3 the city, town, village or ward, A4 a ward or quarter of it.
Names are matched, never guessed: what fits no area or more than one is left unmatched, and the answer says so.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from routing.directory.jis import city_of
from routing.lost.messages import Validation
from routing.position.gml import Civic

_LEVELS = (
    ("A2", "A3", "A4"),
    ("A3", "A4"),
    ("A2", "A3"),
    ("A3",),
    ("A4",),
    ("A2",),
)
"""How the names of a municipality may be spread over the elements, the most exact first."""

LONGEST_NAME = 200
"""Characters of a name that is looked up.  The longest names of places in use have some ninety."""

_NAMELESS = (("", ""),)
_MUNICIPALITY = re.compile(r"\d{5}")
_SUFFIX = re.compile(
    r"(?:prefecture|metropolis|city|ward|town|village|ken|fu|to|shi|ku|cho|machi|son|mura|gun)$", re.IGNORECASE
)
"""Blanks and hyphens before it go with all others; asked for here, they would be looked through from each of them."""
_COUNTY = re.compile(r"^.+?(?:郡|支庁|振興局)(?=.+[町村]$)")
"""Not the 郡 of 郡山市 or 大和郡山市.  Islands of Tokyo have a branch office (支庁) in its place in the boundary file,
and in nobody's address."""
_VARIANTS = str.maketrans({"ヶ": "ケ", "ガ": "ケ", "ヵ": "カ", "之": "の", "ノ": "の", "檮": "梼", "惠": "恵"})
"""456 of 277,000 town labels differ from the boundary file by such a letter only."""


class Resolved(Struct, frozen=True):
    """The area of an address, as far as it was recognised."""

    prefecture: str | None
    """ISO 3166-2."""
    code: str | None
    """The finest area that was recognised: a code of the layer, or the prefecture."""
    validation: Validation


class Gazetteer:
    """Names of areas to their codes.  Its answers never change after it is made."""

    def __init__(self, *names: Mapping[str, tuple[str, str]], country: str = "JP") -> None:
        """``names``: code to (Japanese, English) name, as layers have it; the first to name a code wins."""
        self.country = country
        self.names: dict[str, tuple[str, str]] = {}
        for each in reversed(names):
            self.names.update(each)
        self._has_municipalities = False
        self._codes: dict[str, set[str]] = {}
        for code, spellings in self.names.items():
            for key in self._spelt(code, spellings):
                self._codes.setdefault(key, set()).add(code)

    def find(self, civic: Civic) -> Resolved:
        """The area of an address.  Never raises: an address of another country is invalid, with no area."""
        stated = [name for name, _ in civic.fields]
        civic = _nameable(civic)
        country = civic.get("country")
        if country is not None and country.upper() != self.country:
            return _resolved(None, None, stated, valid=(), invalid=("country",))
        prefecture = self._prefecture(civic.get("A1"))
        valid = {"country"} | ({"A1"} if prefecture else set())
        for level in _LEVELS:
            words = [word for word in map(civic.get, level) if word]
            if len(words) == len(level) and (code := self._municipality(words, prefecture)):
                return _resolved(prefecture_of(code) or prefecture, code, stated, valid=valid | set(level), invalid=())
        if city := self._city(civic.get("A3"), prefecture):
            return _resolved(prefecture_of(city), city, stated, valid=valid | {"A3"}, invalid=())
        wrong = {"A1"} if prefecture is None else {"A3"} if self._has_municipalities else set()
        return _resolved(prefecture, prefecture, stated, valid=valid, invalid=wrong)

    def _spelt(self, code: str, spellings: tuple[str, str]) -> set[str]:
        """All keys of an area: its names, and those of a municipality without its prefecture and its county."""
        found = {key for spelling in spellings for key in _keys(spelling)}
        if not _MUNICIPALITY.fullmatch(code):
            return found | {re.sub(r"(?<=..)[都府県]$", "", key) for key in found}
        self._has_municipalities = True
        within = self.names.get(prefecture_of(code) or "", ("", ""))[0]
        short = spellings[0].removeprefix(within)
        return found | {_folded(short), _folded(_COUNTY.sub("", short))}

    def _city(self, name: str | None, prefecture: str | None) -> str | None:
        """The designated city of that name, which the layer knows by its wards."""
        if name is None or prefecture is None:
            return None
        folded = _folded(name)
        wards = {code for key, codes in self._codes.items() if key.startswith(folded) for code in codes}
        cities = {city_of(code) for code in wards if prefecture_of(code) == prefecture}
        return cities.pop() if len(cities) == 1 else None

    def _prefecture(self, name: str | None) -> str | None:
        if name is None:
            return None
        for coded in (name.strip().upper(), f"{self.country}-{name.strip().upper()}"):
            if coded in self.names:
                return coded
        found = [code for code in self._matching(name) if not _MUNICIPALITY.fullmatch(code)]
        return found[0] if len(found) == 1 else None

    def _municipality(self, words: list[str], prefecture: str | None) -> str | None:
        spelt = ("".join(words), " ".join(words), ", ".join(reversed(words)))
        found = {code for each in spelt for code in self._matching(each) if _MUNICIPALITY.fullmatch(code)}
        if prefecture is not None:
            found = {code for code in found if prefecture_of(code) == prefecture}
        return found.pop() if len(found) == 1 else None

    def _matching(self, name: str) -> set[str]:
        exact = self._codes.get(_folded(name))
        if exact:
            return exact
        return set().union(*(self._codes.get(key, set()) for key in _keys(name)))


def _nameable(civic: Civic) -> Civic:
    """Without what is too long to be the name of a place, and so is looked up nowhere."""
    return structs.replace(
        civic, fields=tuple(each for each in civic.fields if len(each[1]) <= LONGEST_NAME) or _NAMELESS
    )


def prefecture_of(code: str) -> str | None:
    """ISO 3166-2 of an area's code: by the first two digits of a Japanese municipality, or the code itself."""
    if _MUNICIPALITY.fullmatch(code):
        return f"JP-{code[:2]}"
    return code if re.fullmatch(r"[A-Z]{2}-[A-Z0-9]{1,3}", code) else None


def _resolved(
    prefecture: str | None, code: str | None, stated: Iterable[str], *, valid: Iterable[str], invalid: Iterable[str]
) -> Resolved:
    right, wrong, names = set(valid), set(invalid), tuple(dict.fromkeys(each for each in stated if each[0] != "{"))
    return Resolved(
        prefecture,
        code,
        Validation(
            valid=tuple(name for name in names if name in right - wrong),
            invalid=tuple(name for name in names if name in wrong),
            unchecked=tuple(name for name in names if name not in right | wrong),
        ),
    )


def _keys(name: str) -> set[str]:
    """The spellings a name is found by: as it is, and a romanised one without the word for its kind."""
    folded = _folded(name)
    plain = _folded(_SUFFIX.sub("", name.strip())) if name.isascii() or _latin(name) else folded
    return {each for each in (folded, plain) if each}


def _latin(name: str) -> bool:
    return all("LATIN" in unicodedata.name(letter, "") for letter in name if letter.isalpha())


def _folded(name: str) -> str:
    """Without case, width, macrons, blanks and the variants of one letter."""
    flat = unicodedata.normalize("NFKC", name).translate(_VARIANTS)
    if _latin(flat):
        flat = "".join(each for each in unicodedata.normalize("NFD", flat) if not unicodedata.combining(each))
    return re.sub(r"[\s'’-]+", "", flat).casefold()
