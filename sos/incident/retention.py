"""How long what category of an incident is kept, once it is closed."""

from routing.categories import Category
from sos.incident.model import Disposition

_REAL = (Disposition.HANDED_OVER, Disposition.NO_HELP_NEEDED, Disposition.ABANDONED, Disposition.DUPLICATE)


def retention(disposition: Disposition) -> tuple[tuple[Category, str], ...]:
    """The retention tag of each category once an incident is closed with ``disposition``."""
    if disposition not in _REAL:
        return tuple((category, "nonincident-4w") for category in Category)
    tags = {Category.AUD: "incident-audio-1y", Category.RAW: "incident-raw-1y"}
    return tuple((category, tags.get(category, "incident-case-3y")) for category in Category)
