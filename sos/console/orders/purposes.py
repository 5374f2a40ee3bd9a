"""What an order that opens personal data may be for, and who may say so: one table; what it does not name is refused.

Who may give the order at all, whatever it is for, stands in the order itself (``Order.may``).
"""

from collections.abc import Mapping
from enum import Enum

from sos.errors import Forbidden
from sos.incident.access import Purpose


class Says(Enum):
    """Who may say that an order is for a purpose."""

    WHOEVER_GIVES_IT = "whoever may give the order"
    SUPERVISOR = "a supervisor"


_LATER = {
    Purpose.EMERGENCY: Says.WHOEVER_GIVES_IT,
    Purpose.SUPERVISION: Says.SUPERVISOR,
    Purpose.REVIEW: Says.WHOEVER_GIVES_IT,
    Purpose.REQUEST: Says.WHOEVER_GIVES_IT,
    Purpose.PERSON: Says.WHOEVER_GIVES_IT,
    Purpose.FAULT: Says.WHOEVER_GIVES_IT,
}

PURPOSES: Mapping[str, Mapping[Purpose, Says]] = {
    "open": {Purpose.OFFERED: Says.WHOEVER_GIVES_IT, **_LATER},
    "find": _LATER,
    "reveal": _LATER,
    "release": _LATER,
}
"""By the order's name (``do``)."""


def check(do: str, purpose: Purpose, *, supervisor: bool) -> None:
    """``Forbidden`` where the order is for nobody's, or not for this operator's, such purpose."""
    says = PURPOSES.get(do, {}).get(purpose)
    if says is None:
        raise Forbidden("nothing is opened this way for this purpose", rule="purpose")
    if says is Says.SUPERVISOR and not supervisor:
        raise Forbidden("only a supervisor supervises", rule="purpose")
