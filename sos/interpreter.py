"""Python's own ways in a process that must never stand still: its garbage collector, and its turns between threads.

What is kept in memory (states, newest events) is acyclic and lives long; what was there when the service began is
never searched again.  The young are searched in small lots: one collection of fifty thousand, as a large answer makes
them, kept the loop for 40 to 90 ms, one of five thousand for 3 to 7 (`python -m ops.fuzz`).
"""

import gc
import sys

TURN_S = 0.001
"""How long another thread, the journal's writer say, may keep the interpreter from the loop once both want it."""

YOUNG = 5_000
"""New containers between two collections of the youngest."""

MIDDLE, OLD = 5, 50
"""Collections of the younger ones for one of the older: all together is what takes longest."""


def spare_the_loop() -> None:
    """Call it once everything is open."""
    sys.setswitchinterval(TURN_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
