"""One request to tell somebody something: what the rule tables are asked about."""

import msgspec
from msgspec import Struct

from routing.categories import Category
from routing.errors import Malformed
from routing.law.codes import Fact, Path
from routing.services import Service


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Codes of the outside world stay text here: one that no table knows fits no row, and that is an answer."""

    jurisdiction: str
    """ISO 3166-1 of the law that applies, such as ``JP``."""
    path: Path = Path.LIFE_PROTECTION
    live: bool
    """The incident is open: help is still being brought."""
    danger: str | None = None
    """A ``Danger`` code, as named by the operator or the trigger; any other value fits no row."""
    consent_difficulty: str | None = None
    """A ``ConsentDifficulty`` code; any other value fits no row."""
    facts: frozenset[Fact] = frozenset()
    """What was ticked."""
    recipient_class: str
    """A ``Recipient`` code that fits the service; any other value fits no row."""
    recipient_service: Service | None = None
    """Where the recipient is an agency: the service it gives, which must agree with its class."""
    held_categories: frozenset[Category] = frozenset()
    """What is held of this incident."""
    named: frozenset[Category] = frozenset()
    """What the person, the body that asks, or the document names; counts where a row goes no further than that."""
    opt_out: bool = False
    """The person has asked that their data not be shared."""
    terms: str = ""
    """Name of the terms the customer agreed to; empty where nobody knows them: then the law alone decides."""
    mode: str = "live"
    """``live``, ``drill`` or ``test``."""


_decode = msgspec.json.Decoder(Case).decode


def read_case(data: bytes) -> Case:
    """The case in a JSON document.  ``Malformed``, with the JSON path, when it is none."""
    try:
        return _decode(data)
    except msgspec.ValidationError as fault:
        reason, found, path = str(fault).rpartition(" - at `")
        raise Malformed(reason if found else str(fault), field=path.rstrip("`") if found else "$") from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Malformed("this is not JSON", field="$") from fault
