"""The brief as a location document: PIDF-LO with the Additional Data blocks of the provider in it.

The shape is RFC 5491's, the blocks RFC 7852's, by value in ``provided-by`` (RFC 7852 section 5.3).  A brief without a
position has no such form.
"""

from datetime import datetime
from typing import Any

from lxml import etree

from routing.brief.additional import CALL_DATA, blocks
from routing.brief.document import Brief
from routing.categories import Category
from routing.errors import Malformed
from routing.position.pidf import GEOPRIV, Located, PidfLo, to_element
from routing.position.shapes import Circle, Point
from routing.xml import write_xml


def write_pidf(brief: Brief) -> bytes | None:
    """The document; None where the place is withheld or not known."""
    located = location_of(brief)
    if located is None:
        return None
    root = to_element(located)
    geopriv = next(root.iter(f"{{{GEOPRIV}}}geopriv"))
    if made := blocks(brief):
        provided = etree.SubElement(geopriv, f"{{{GEOPRIV}}}provided-by")
        value = etree.SubElement(provided, f"{{{CALL_DATA}}}EmergencyCallDataValue", nsmap={None: CALL_DATA})
        value.extend(made)
    return write_xml(root)


def location_of(brief: Brief) -> PidfLo | None:
    """The place alone, without the blocks; None where it is withheld or not known."""
    place = brief.sections.get(Category.LOC)
    shape = shape_of(place) if place else None
    if place is None or shape is None:
        return None
    _, incident, domain = brief.incident.rsplit(":", 2)
    located = Located(id="vehicle", shape=shape, timestamp=_instant(place.get("timestamp")))
    return PidfLo(entity=f"pres:{incident}@{domain}", locations=(located,))


def shape_of(place: dict[str, Any]) -> Circle | Point | None:
    """The circle or point of a LOC section; None where it names no position on Earth."""
    latitude, longitude, radius = (place.get(name) for name in ("latitude", "longitude", "horizontalAccuracy"))
    if latitude is None or longitude is None:
        return None
    try:
        return Circle(latitude, longitude, radius) if radius and radius > 0 else Point(latitude, longitude)
    except Malformed:
        return None


def _instant(text: Any) -> datetime | None:
    """When the position was measured; None where it is not said in a form that can be read."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo else None
