"""An incident that waits for each deadline there is, by the deadline's name."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from sos.incident import commands as c
from sos.incident.deadline import DeadlineName as Name
from sos.incident.model import Mode, Party
from tests.journeys import story as s
from tests.journeys.story import Story


def told(*commands: c.Command) -> Story:
    """An incident after ``commands``, a second apart."""
    made = Story()
    for command in (s.open_incident(), *commands):
        made.do(command, after_s=1)
    return made


def _spoken_to(*commands: c.Command) -> Story:
    return told(s.take(), s.join(), s.join("leg-desk", Party.OPERATOR, "hanako"), *commands)


def _unconscious() -> Story:
    made = _spoken_to()
    made.do(s.passing(Name.NO_RESPONSE), after_s=30)
    return made


def _asked_on_call() -> Story:
    made = told(s.offer())
    made.do(s.passing(Name.ON_CALL), after_s=20)
    made.do(s.dial_on_call(), after_s=1)
    return made


def _acknowledged_and_still_alone() -> Story:
    made = told(s.take(), s.join())
    made.do(s.passing(Name.NO_VOICE), after_s=10)
    made.do(s.acknowledge_alarm(made.incident.alarms[0].alarm), after_s=1)
    return made


def _moving_on() -> Story:
    made = told(s.take(), s.plan(), s.disclose(), s.plan(moved_m=900))
    made.do(s.disclose("d2", supersedes="d1", corrected=True, confirmed=True), after_s=1)
    made.do(s.plan(moved_m=900), after_s=10)
    return made


def _test() -> Story:
    made = Story()
    made.do(s.open_incident(Mode.TEST))
    return made


WAITS: Mapping[Name, Callable[[], Story]] = {
    Name.RING_ANYWAY: told,
    Name.CALL_VEHICLE: told,
    Name.UNDECIDED: lambda: told(s.take()),
    Name.REDELIVER: lambda: told(s.take(), s.disclose()),
    Name.RUNG: lambda: told(s.take(), s.disclose()),
    Name.HANDOFF_OVERDUE: lambda: told(s.take(), s.disclose()),
    Name.UNCLOSED: lambda: told(s.take(), s.disclose(), s.acknowledge()),
    Name.NEXT_DESK: lambda: told(s.offer("desk-a")),
    Name.RING_ALL: lambda: told(s.offer("desk-a")),
    Name.UNANSWERED: lambda: told(s.offer()),
    Name.ON_CALL: lambda: told(s.offer()),
    Name.NOBODY: lambda: told(s.offer()),
    Name.NEXT_PERSON: _asked_on_call,
    Name.NO_RESPONSE: _spoken_to,
    Name.NO_RESPONSE_ALARM: _unconscious,
    Name.NO_VOICE: lambda: told(s.take(), s.join()),
    Name.PLACE_UNKNOWN: lambda: told(replace(s.plan(), prefecture=None, flags=("position_unknown",)), s.take()),
    Name.HANDOVER_UNANSWERED: lambda: told(s.take(), s.offer_handover()),
    Name.TEST_OVER: _test,
    Name.CALL_BACK_OVER: told,
    Name.CORRECT: _moving_on,
    Name.OWED: lambda: told(s.take(), s.disclose(obligations=("necessity_note",))),
    Name.ASKED: lambda: told(s.ask()),
    Name.HELD_TOO_LONG: lambda: _spoken_to(s.dial("leg-fire", s.FIRE)),
    Name.ALARM_AGAIN: _acknowledged_and_still_alone,
}
