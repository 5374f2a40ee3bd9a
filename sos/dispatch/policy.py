"""What a brand has promised about telling others, and what its customer has asked for."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from routing.law import Path


class Policy(Struct, frozen=True, kw_only=True):
    """What a brand has promised, and what this customer has asked for."""

    terms: str = ""
    """Name of the terms in the rule book; empty: the law alone decides."""
    opt_out: bool | None = False
    """The customer wants nothing shared; None while nobody can say: then commerce is told nothing."""
    clauses: Mapping[str, str] = MappingProxyType({})
    """References that the brand's own pack gives for a path or for ``opt_out_override``: where there are no terms."""

    def keeps_from(self, path: Path) -> bool:
        """Whether the customer's wish counts on ``path``; where nobody knows it, only commerce loses by caution."""
        return path is Path.COMMERCIAL if self.opt_out is None else self.opt_out
