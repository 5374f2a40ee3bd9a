"""The advisory locks of a database, in one list: two works with one number would wait for each other for ever."""

from enum import IntEnum, unique

_SOS = 0x534F5300
"""The letters SOS before a serial number: other software on the server has locks too."""


@unique
class AdvisoryLock(IntEnum):
    SEQUENCER = _SOS + 1
    """Whoever gives events their places, for one transaction."""
    MIGRATION = _SOS + 2
    """Whoever changes the tables, for one transaction."""
    LEADER = _SOS + 3
    """The process that leads, as long as its session lives."""
    SUCCESSION = _SOS + 4
    """Whoever takes over from a leader, for one transaction."""
