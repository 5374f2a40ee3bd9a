"""Who hears whom in a conference.

The theory is one gain matrix, listener by speaker.  Nobody hears oneself (mix-minus).  A *muted* leg's column is zero.
A *held* leg's row and column are zero; it hears the hold tone.  A *coaching* leg's column is zero but for the leg it
coaches, and its row is full: a supervisor hears all and is heard by the operator alone.  A *monitoring* leg is a muted
one.  A private talk of two is the third one held.
"""

from collections.abc import Mapping

from sos.calls.port import LegMode
from sos.incident.model import LegId


def hears(listener: LegId, speaker: LegId, *, modes: Mapping[LegId, LegMode]) -> bool:
    """Whether ``speaker`` is in what ``listener`` hears."""
    if listener == speaker or modes[listener].held or modes[speaker].held or modes[speaker].muted:
        return False
    coached = modes[speaker].coaching
    return coached is None or coached == listener


def heard_by(listener: LegId, modes: Mapping[LegId, LegMode]) -> tuple[LegId, ...]:
    """The legs ``listener`` hears; ``modes`` names every leg that is up, and ``listener``."""
    return tuple(speaker for speaker in modes if hears(listener, speaker, modes=modes))
