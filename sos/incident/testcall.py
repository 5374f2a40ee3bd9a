"""A test, dealer or factory call: it walks the real path, holds nobody, alarms nobody, and ends with its result.

Part of ``lifecycle``: its deciders and its one deadline, pure like all of it.

**Theory.**  A test is no call for help, so no desk rings for it and nobody is missing in it.  It stands in a queue of
its own, where an operator may answer it, and is spoken to by machine until then.  Each of its steps is shown by what
happened (``sos.intake.testcalls``): the data, the voice, both ways of it, and the call back.  It ends as soon as all of
them have been shown, or when its time is over, with one receipt that names each step.  It is the one incident that is
closed without a person; ops/decisions/0006 says what a test is.

*A test that may be none* is loud: what is reported with it says that somebody is in danger, or whoever is in the car
has pressed the key for help.  Then it rings and waits for a person as everything does, behind all that is live.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sos.errors import Refused
from sos.incident import commands as c
from sos.incident import events as e
from sos.incident import keeping
from sos.incident.deadline import Actor, Deadline, DeadlineName
from sos.incident.model import Disposition, Incident, Mode, Party, State

ROW = Deadline(
    name=DeadlineName.TEST_OVER,
    after=timedelta(minutes=3),
    reason="a test ends with its result: time for data, a call, a key, and a call back after it",
    actors=(Actor.RECEIPTS,),
)

WITH_A_PERSON = timedelta(minutes=10)
"""How long a test may last that an operator has answered, from the answer."""

NOTICE = "test"
"""What the vehicle is told by machine: this is a test, press 1 if you hear it."""

HELP = "9"
"""The key by which whoever is in the car says that it is no test: they need somebody."""

HELP_ASKED = "help_asked"
"""Flag of a test in which it was pressed."""

Decision = tuple[e.Draft, ...]


def quiet(incident: Incident) -> bool:
    """Whether it is a test in which nothing says that somebody needs help."""
    return incident.mode is Mode.TEST and not incident.urgent and HELP_ASKED not in incident.flags


def due(incident: Incident) -> tuple[tuple[str, datetime], ...]:
    if not quiet(incident) or incident.state is State.CLOSED or ROW.name in incident.passed:
        return ()
    if incident.operator is not None and incident.changed_at is not None:
        return ((ROW.name, incident.changed_at + WITH_A_PERSON),)
    since = incident.changed_at if incident.state is State.REOPENED else incident.opened_at
    return () if since is None else ((ROW.name, since + ROW.after),)


def called_back(incident: Incident) -> bool:
    """Whether the vehicle has been in the call more than once, or is called a second time."""
    return sum(leg.party is Party.VEHICLE for leg in incident.legs) > 1


def check(incident: Incident) -> None:
    """``Refused`` where something would be closed without a person that is no test."""
    if incident.operator is None and not quiet(incident):
        raise Refused("only a person closes what is no test")


# --- deciders ---


def _receipt(incident: Incident, command: c.IssueReceipt, _: datetime) -> Decision:
    if incident.mode is not Mode.TEST:
        raise Refused("only a test call gets a receipt")
    if incident.tested is not None:
        return ()
    return (_issued(command),)


def _end(incident: Incident, command: c.EndTest, _: datetime) -> Decision:
    if incident.mode is not Mode.TEST:
        raise Refused("only a test ends by itself")
    if not quiet(incident):
        raise Refused("this test may be none: a person looks at it")
    if incident.state is State.CLOSED:
        return ()
    classes = keeping.classes(incident, Disposition.TEST)
    closed = e.IncidentClosed(disposition=Disposition.TEST, retention=classes)
    return (_issued(command), e.Draft(event=closed))


def _issued(command: c.IssueReceipt | c.EndTest) -> e.Draft:
    passed = all(outcome for _, outcome in command.checks)
    return e.Draft(event=e.ReceiptIssued(passed=passed, checks=command.checks))


DECIDERS: Mapping[type[c.Command], Callable[[Incident, Any, datetime], Decision]] = MappingProxyType(
    {c.IssueReceipt: _receipt, c.EndTest: _end}
)


# --- effects ---


def _pressed(incident: Incident, event: e.KeysPressed) -> dict[str, Any]:
    """Whoever is in the car may say by key that it is no test."""
    leg = incident.leg(event.leg)
    if incident.mode is not Mode.TEST or HELP not in event.keys or leg is None or leg.party is not Party.VEHICLE:
        return {}
    return {"flags": tuple(dict.fromkeys((*incident.flags, HELP_ASKED)))}


EFFECTS: Mapping[type[e.Event], Callable[[Incident, Any], dict[str, Any]]] = MappingProxyType(
    {
        e.KeysPressed: _pressed,
    }
)
