"""The error families of the service: one per fault, so the edge can map type to status in one table.

The docstring of a class is the sentence an operator may read.  Messages name the thing and the way out and never
hold personal data: ids, field names and codes only.
"""


class SosError(Exception):
    """Something went wrong in the emergency service."""


class Refused(SosError):
    """This may not happen in the present state of the incident."""


class Forbidden(Refused):
    """You are not allowed to do this.

    ``rule`` is a code for what failed, ``account`` the id of who it was, for the access log.
    """

    def __init__(self, message: str = "", *, rule: str = "", account: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.account = account


class RuleBroken(Refused):
    """A rule of the house stands against this; ``rule`` is its name, with which the message begins."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


class SecondFactor(Forbidden):
    """Give the digits of your second factor as well."""


class Unknown(Refused):
    """There is no such thing here."""


class Unconfirmed(Refused):
    """This may be a mistake: read the warning and confirm it."""


class Conflict(SosError):
    """Somebody else changed the incident at the same moment; reload and decide again."""


class Malformed(SosError):
    """What was sent cannot be read.

    ``field`` is a JSON path such as ``$.data.location.latitude`` (the sender's fault, always).
    """

    def __init__(self, message: str, *, field: str = "$") -> None:
        super().__init__(message)
        self.field = field


class Unavailable(SosError):
    """A part of the service that this needs does not answer just now; try again shortly."""


class KeyLost(Unavailable):
    """The key that opens this is not where it must be.  Nothing says that it was destroyed: look for it."""


class Misconfigured(SosError):
    """A setting is missing or wrong; the message names it."""


class Bug(SosError):
    """Our own mistake: please report it with the incident id."""
