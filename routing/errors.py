"""The two faults of this library: its own data is wrong (somebody must mend a file), or a document cannot be read."""


class RoutingError(Exception):
    """Something in routing went wrong."""


class Misconfigured(RoutingError):
    """A boundary, agency or rule file is wrong, so the service must not start with it; the message names the place."""


class Malformed(RoutingError):
    """A position or a brief cannot be read.  ``field`` names where: a JSON path such as ``$.sections.LOC``."""

    def __init__(self, message: str, *, field: str = "$") -> None:
        super().__init__(message)
        self.field = field
