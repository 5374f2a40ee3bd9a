"""Interpreters: called into a call by one key, as a party of their own whom the house works with.

Who is called next is decided here; dialling, holding the vehicle meanwhile and recording are as for every outside
party (``sos.incident.voice``, ``sos.calls.bridge``).
"""

from collections.abc import Sequence

from sos.calls.bridge import NumberOf
from sos.incident.languages import LINE
from sos.incident.model import AgencyId
from sos.settings import InterpreterSettings


def with_interpreters(others: NumberOf, people: Sequence[InterpreterSettings]) -> NumberOf:
    """``others`` and the numbers of interpreters."""
    numbers = {each.id: each.number for each in people}

    def number_of(who: AgencyId, line: str) -> str | None:
        return numbers.get(str(who)) if line == LINE else others(who, line)

    return number_of
