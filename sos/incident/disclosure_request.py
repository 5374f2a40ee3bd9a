"""Why an agency shall be told, as the operator sees it: what a desk says and ``dispatch`` puts before the law."""

from msgspec import Struct

from routing.law.codes import Fact, Path


class DisclosureRequest(Struct, frozen=True, kw_only=True):
    path: Path | None = None
    """None: the ordinary one for the service that is asked."""
    necessity: str = ""
    """The danger: first limb of APPI Art. 27(1)(ii)."""
    consent: str = ""
    """Why consent is hard to obtain: the second limb."""
    facts: frozenset[Fact] = frozenset()
    """What was ticked besides."""
    reason: str = ""
    """In words, where a supervisor or a reviewer has to understand it."""
    update: bool = False
    """A newer brief for an agency that was told before."""
    confirmed: bool = False
    """The warning that this service was told before has been seen."""
