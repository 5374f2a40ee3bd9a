"""The messages of LoST (RFC 5222) as values, without XML: what can be asked, and what can be answered.

How they are written is the matter of ``routing.lost.codec``.  A location that cannot be used stays in its request as
``Unusable``, because a request may hold several and the next one may serve (RFC 5222 section 12.1).
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from routing.position.gml import Civic
from routing.position.shapes import Polygon, Shape

MEDIA_TYPE = "application/lost+xml"
GEODETIC = "geodetic-2d"
CIVIC = "civic"


class Fault(StrEnum):
    """The errors of RFC 5222 section 13.1, by the names of their elements."""

    BAD_REQUEST = "badRequest"
    FORBIDDEN = "forbidden"
    INTERNAL_ERROR = "internalError"
    PROFILE_UNRECOGNIZED = "locationProfileUnrecognized"
    LOCATION_INVALID = "locationInvalid"
    SRS_INVALID = "SRSInvalid"
    """Named by section 13.1 and forgotten by the schema of the same RFC: the text is what others read."""
    LOOP = "loop"
    NOT_FOUND = "notFound"
    SERVER_ERROR = "serverError"
    SERVER_TIMEOUT = "serverTimeout"
    NOT_IMPLEMENTED = "serviceNotImplemented"


class Warn(StrEnum):
    """The warnings of RFC 5222 section 13.2."""

    SUBSTITUTION = "serviceSubstitution"
    DEFAULT = "defaultMappingReturned"
    VALIDATION_UNAVAILABLE = "locationValidationUnavailable"
    """Read, never written: the schema has no place for it, and no validation says the same."""


class Unusable(Struct, frozen=True):
    """A location that cannot be answered for, and why."""

    fault: Fault
    """PROFILE_UNRECOGNIZED, LOCATION_INVALID or SRS_INVALID."""
    message: str
    field: str


class Location(Struct, frozen=True):
    id: str
    profile: str
    value: Shape | Civic | Unusable


class FindService(Struct, frozen=True, kw_only=True):
    """Which service answers here?"""

    locations: tuple[Location, ...]
    """The same place, in one profile each."""
    service: str
    """URN (RFC 5031)."""
    path: tuple[str, ...] = ()
    """The servers this query has come through, the first one first."""
    recursive: bool = False
    """Whether we shall ask on; otherwise we name whom to ask."""
    validate: bool = False
    boundary: Literal["reference", "value"] = "reference"
    as_of: datetime | None = None
    """The day for which the answer shall hold (NENA planned changes)."""
    extensions: tuple[bytes, ...] = ()
    """Elements that the answer repeats: call and incident id of NENA i3."""


class ListServices(Struct, frozen=True, kw_only=True):
    """Which services are below this one?"""

    service: str | None = None
    path: tuple[str, ...] = ()


class ListServicesByLocation(Struct, frozen=True, kw_only=True):
    """Which services are below this one, here?"""

    locations: tuple[Location, ...]
    service: str | None = None
    path: tuple[str, ...] = ()
    recursive: bool = True


class GetServiceBoundary(Struct, frozen=True, kw_only=True):
    key: str


Request = FindService | ListServices | ListServicesByLocation | GetServiceBoundary


class Boundary(Struct, frozen=True, kw_only=True):
    """An area in which the answer is the same everywhere: the union of its polygons, or one address."""

    polygons: tuple[Polygon, ...] = ()
    civic: Civic | None = None


class BoundaryReference(Struct, frozen=True, kw_only=True):
    source: str
    key: str


class Mapping(Struct, frozen=True, kw_only=True):
    """One answer: who is responsible, how to reach them, where and until when that holds (RFC 5222 section 5)."""

    source: str
    """The server it comes from."""
    source_id: str
    last_updated: datetime
    expires: datetime | Literal["NO-CACHE", "NO-EXPIRATION"]
    names: tuple[tuple[str, str], ...] = ()
    """(language, display name)."""
    service: str | None = None
    boundary: Boundary | BoundaryReference | None = None
    uris: tuple[str, ...] = ()
    number: str | None = None
    """What a person dials there."""


class Validation(Struct, frozen=True, kw_only=True):
    """Names of the civic elements (RFC 5222 section 8.4.2)."""

    valid: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


class Notice(Struct, frozen=True, kw_only=True):
    """A warning."""

    kind: Warn
    message: str = ""
    source: str


class FindServiceResponse(Struct, frozen=True, kw_only=True):
    mappings: tuple[Mapping, ...]
    """At least one; the first is the best."""
    validation: Validation | None = None
    warnings: tuple[Notice, ...] = ()
    path: tuple[str, ...]
    """The servers this answer came from and through."""
    location_used: str | None = None
    extensions: tuple[bytes, ...] = ()


class ListServicesResponse(Struct, frozen=True, kw_only=True):
    services: tuple[str, ...]
    path: tuple[str, ...]
    warnings: tuple[Notice, ...] = ()


class ListServicesByLocationResponse(Struct, frozen=True, kw_only=True):
    services: tuple[str, ...]
    path: tuple[str, ...]
    location_used: str | None = None
    warnings: tuple[Notice, ...] = ()


class GetServiceBoundaryResponse(Struct, frozen=True, kw_only=True):
    boundary: Boundary
    path: tuple[str, ...]
    warnings: tuple[Notice, ...] = ()


class Errors(Struct, frozen=True, kw_only=True):
    """No answer, and why."""

    fault: Fault
    message: str
    source: str
    unsupported: tuple[str, ...] = ()
    """The profiles we do not know, with PROFILE_UNRECOGNIZED."""


class Redirect(Struct, frozen=True, kw_only=True):
    """Ask another server."""

    target: str
    source: str
    message: str = ""


Answer = (
    FindServiceResponse
    | ListServicesResponse
    | ListServicesByLocationResponse
    | GetServiceBoundaryResponse
    | Errors
    | Redirect
)
