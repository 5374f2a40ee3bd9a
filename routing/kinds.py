"""What kind of emergency it is, and who is needed for each: a table, and nothing is assumed.

Not known is a kind of its own, and the plan for it names everybody who may be needed: what nobody has asked must not
keep help away.  Why stands in ops/decisions/0034.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from routing.services import Service


class EmergencyKind(StrEnum):
    UNKNOWN = "unknown"
    CRASH = "crash"
    ILLNESS = "illness"
    FIRE = "fire"
    CRIME = "crime"
    """Or threats on the road."""
    BREAKDOWN = "breakdown"
    DISASTER = "disaster"
    OTHER = "other"


_FIRE_AND_POLICE = (Service.FIRE, Service.POLICE)

NEEDED: Mapping[EmergencyKind, tuple[Service, ...]] = MappingProxyType(
    {
        EmergencyKind.UNKNOWN: _FIRE_AND_POLICE,
        EmergencyKind.CRASH: _FIRE_AND_POLICE,
        EmergencyKind.ILLNESS: (Service.FIRE,),
        EmergencyKind.FIRE: _FIRE_AND_POLICE,
        EmergencyKind.CRIME: (Service.POLICE,),
        EmergencyKind.BREAKDOWN: (),
        EmergencyKind.DISASTER: _FIRE_AND_POLICE,
        EmergencyKind.OTHER: _FIRE_AND_POLICE,
    }
)
"""Kind -> who goes there, in Japan, where 119 sends fire engines and ambulances alike and every traffic accident is the
police's too.  ``OTHER`` says what it is not, so it needs whom the unknown needs."""


def louder(kind: EmergencyKind, than: EmergencyKind) -> bool:
    """Whether ``kind`` needs somebody whom ``than`` does not, or says something where nothing was known."""
    if than is EmergencyKind.UNKNOWN:
        return kind is not EmergencyKind.UNKNOWN
    return not set(NEEDED[kind]) <= set(NEEDED[than])
