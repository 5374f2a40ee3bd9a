"""A deadline that nobody acts on is a promise that nobody keeps: each row names its actor, and the actor answers."""

import ast
import inspect
import sys
from collections.abc import Mapping
from datetime import timedelta

import pytest

from sos.calls.bridge import Bridge
from sos.calls.on_call import OnCall
from sos.console.acd import Distribution
from sos.dispatch.corrections import Corrections
from sos.dispatch.handoff import Handoff
from sos.dispatch.unattended import Unattended
from sos.incident import events as e
from sos.incident.deadline import Actor, DeadlineName
from sos.incident.lifecycle import ROWS, deadlines, decide, evolve
from sos.intake.testcalls import TestCalls
from tests.journeys import story as s
from tests.journeys.waits import WAITS

READERS = {
    Actor.BRIDGE: Bridge,
    Actor.CORRECTIONS: Corrections,
    Actor.DISTRIBUTION: Distribution,
    Actor.HANDOFF: Handoff,
    Actor.ON_CALL: OnCall,
    Actor.RECEIPTS: TestCalls,
    Actor.UNATTENDED: Unattended,
}
"""The readers by the name they have in ``sos.app``."""


def _answered(reader: type) -> set[DeadlineName]:
    """The deadlines whose passing the reader's ``handle`` tells apart."""
    module = sys.modules[reader.__module__]
    tree = ast.parse(inspect.getsource(module))
    cases = [case for case in ast.walk(tree) if isinstance(case, ast.match_case) and "HelpEscalated" in ast.dump(case)]
    looked_at = [each for case in cases for each in (case.pattern, case.guard) if each is not None]
    names = [node for each in looked_at for node in ast.walk(each) if isinstance(node, ast.Attribute | ast.Name)]
    return {value for value in (_value(module, node) for node in names) if isinstance(value, DeadlineName)}


def _value(module: object, node: ast.expr) -> object:
    if isinstance(node, ast.Attribute):
        return getattr(_value(module, node.value), node.attr, None)
    return getattr(module, getattr(node, "id", ""), None)


def test_every_deadline_stands_in_a_table_with_its_actor_and_its_reason():
    assert set(ROWS) == set(DeadlineName)
    assert all(row.reason and row.actors and row.after > timedelta(0) for row in ROWS.values())


def _acted_on(readers: bool) -> list[tuple[DeadlineName, Actor]]:
    return [(name, actor) for name, row in ROWS.items() for actor in row.actors if (actor in READERS) is readers]


@pytest.mark.parametrize(("name", "actor"), _acted_on(True))
def test_the_reader_that_is_to_act_on_a_deadline_looks_for_its_passing(name: DeadlineName, actor: Actor):
    reader = READERS[actor]

    assert e.HelpEscalated in reader.WANTS
    assert name in _answered(reader)


@pytest.mark.parametrize("actor", READERS)
def test_no_reader_acts_on_a_deadline_that_the_table_does_not_give_it(actor: Actor):
    assert all(actor in ROWS[name].actors for name in _answered(READERS[actor]))


@pytest.mark.parametrize(("name", "actor"), _acted_on(False))
def test_what_is_no_reader_s_happens_with_the_passing_itself(name: DeadlineName, actor: Actor):
    told = WAITS[name]()
    waits = dict(deadlines(told.incident))
    key = _key(name, waits)
    assert key is not None
    due = waits[key]

    escalated, *others = decide(told.incident, s.passing(key), now=due)

    if name not in (DeadlineName.OWED, DeadlineName.ASKED):
        assert escalated.event == e.HelpEscalated(rung=name)
    match actor:
        case Actor.DESKS:
            assert any(isinstance(draft.event, e.DeskOffered) and not draft.event.desks for draft in others)
        case Actor.BRIEF:
            assert escalated.parts
        case Actor.SUPERVISORS:
            assert any(isinstance(draft.event, e.AlarmRaised) for draft in others)
        case Actor.TIMELINE:
            assert name not in dict(deadlines(evolve(told.incident, escalated.event, at=due)))
        case Actor.LEG:
            assert any(isinstance(draft.event, e.LegModeSet) and not draft.event.held for draft in others)
        case _:
            pytest.fail(f"nobody acts on {name}")


def test_every_deadline_can_be_waited_for():
    assert set(WAITS) == set(DeadlineName)
    for name, told in WAITS.items():
        assert _key(name, dict(deadlines(told().incident))) is not None, name


def _key(name: DeadlineName, waits: Mapping[str, object]) -> str | None:
    """The name itself, or that of one of its family."""
    return next((each for each in waits if each == name or each.startswith(f"{name}:")), None)
