"""The errors of this library: one family, so that a caller can translate them in one place.

Messages name files, key names and positions only, never contents.
"""


class RecordingError(Exception):
    """Something about kept evidence went wrong."""


class Tampered(RecordingError):
    """What was kept has been changed, or it is read with the wrong key or in the wrong place."""


class Destroyed(RecordingError):
    """The key for this has been destroyed on purpose: nobody can read it any more."""


class KeyMissing(RecordingError):
    """The key is not in the key store and nothing says that it was destroyed: it is lost until somebody finds it."""


class RootAway(RecordingError):
    """The root key that this lies under cannot be asked now: it is not lost, and it opens when the root is back."""


class Malformed(RecordingError):
    """These bytes do not have the form they must have."""


class TooLarge(RecordingError):
    """This is larger than the format can hold."""


class OutOfOrder(RecordingError):
    """This does not continue what has already been written."""
