"""What intake replies over HTTP: written from these shapes, and shown as them in the OpenAPI document."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from sos.incident.model import IncidentId
from sos.intake.vehicle_orders import VehicleOrder
from sos.operations import shown
from sos.problems import Problem

STATUS_EVENT = "jp.example.sos.status.v1"
"""``type`` of the CloudEvents by which a tenant's cloud is told."""


class Acceptance(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The report is durable."""

    incident: IncidentId
    urn: Annotated[str, Meta(pattern="^urn:emergency:uid:incidentid:")]
    durability: Annotated[str, Meta(extra_json_schema={"enum": ["committed", "spooled"]})]
    voice: Annotated[str, Meta(description="Path at which the vehicle offers its call")]
    joined: (
        Annotated[str, Meta(extra_json_schema={"enum": ["update", "changed_repeat", "data_for_call", "cancel"]})]
        | UnsetType
    ) = UNSET
    problems: tuple[Problem, ...] = ()
    """What was odd about it; it was taken all the same."""


class Refusal(Struct, frozen=True):
    """An event of a batch that was not taken."""

    problem: Problem


class BatchReply(Struct, frozen=True):
    """Of a batch: one reply for each event, in its order."""

    events: tuple[Annotated[Any, Meta(extra_json_schema={"anyOf": [shown(Acceptance), shown(Refusal)]})], ...]


class Receipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a test, dealer or factory call went."""

    incident: IncidentId
    mode: Annotated[str, Meta(extra_json_schema={"const": "test"})]
    passed: bool | None
    """None until the test has been judged."""
    checks: Mapping[str, bool]
    voice: Annotated[bool, Meta(description="Whether the vehicle's call has come through")]
    steps: Annotated[
        Mapping[str, bool], Meta(description="What voice has shown so far: called, heard both ways, called back")
    ]
    over: Annotated[bool, Meta(description="Whether the test has ended, so that ``passed`` is of all of it")]
    agencies_contacted: Annotated[int, Meta(extra_json_schema={"const": 0})]
    state: str


class Reached(StrEnum):
    """How far an incident has come, in the order in which it goes."""

    WAITING = "waiting"
    ANSWERED = "answered"
    TOLD = "told"
    TAKEN_OVER = "taken_over"
    CLOSED = "closed"


_Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Status(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a tenant may know of its incident: how far it has come, and when."""

    incident: IncidentId
    urn: Annotated[str, Meta(pattern="^urn:emergency:uid:incidentid:")]
    mode: Annotated[str, Meta(extra_json_schema={"enum": ["live", "test", "drill"]})]
    status: Annotated[Reached, Meta(description="The furthest of what has happened")]
    version: Annotated[int, Meta(description="Grows with every change: of two statuses the one with more is newer")]
    opened_at: _Instant
    answered_at: Annotated[_Instant | None, Meta(description="An operator first had it")]
    told_at: Annotated[_Instant | None, Meta(description="An agency first had it, in its system or by word of mouth")]
    taken_over_at: Annotated[_Instant | None, Meta(description="Somebody at an agency first took over")]
    closed_at: Annotated[_Instant | None, Meta(description="None again when it is reopened")]


class StatusEvent(Struct, frozen=True):
    """The CloudEvent by which a tenant's cloud is told a status."""

    id: Annotated[str, Meta(description="Of the incident and the version: the same for every repeat")]
    source: str
    subject: IncidentId
    time: Annotated[_Instant, Meta(description="When the status changed")]
    data: Status
    specversion: Annotated[str, Meta(extra_json_schema={"const": "1.0"})] = "1.0"
    type: Annotated[str, Meta(extra_json_schema={"const": STATUS_EVENT})] = STATUS_EVENT
    datacontenttype: Annotated[str, Meta(extra_json_schema={"const": "application/json"})] = "application/json"


class Commands(Struct, frozen=True):
    """What the vehicle shall get."""

    incident: IncidentId
    commands: tuple[VehicleOrder, ...]
