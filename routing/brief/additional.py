"""Additional Data (RFC 7852): who tells, over what, from which device, about whom, with what to say.

Each block is an element of its own with the reference of the same provider; ``SubscriberInfo`` is made only where a
person may be named.  The blocks stand by value in the ``provided-by`` of a PIDF-LO (RFC 7852 section 5.3) or travel
as bodies of their own beside it.
"""

import re
from typing import Any

from lxml import etree

from routing.brief.crash_words import TITLE, glance
from routing.brief.document import Brief
from routing.brief.words import TITLES, changed_lines, told
from routing.categories import Category

CALL_DATA = "urn:ietf:params:xml:ns:EmergencyCallData"
VCARD = "urn:ietf:params:xml:ns:vcard-4.0"

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""

COMMENT_CHARACTERS = 2000
"""A comment is read by people in a hurry; the brief itself is beside it."""


def blocks(brief: Brief) -> tuple[Any, ...]:
    """The blocks as elements, in the order of the RFC; empty where the brief does not say who sends it."""
    if brief.sender is None:
        return ()
    made = (_provider(brief), _service(brief), _device(brief), _subscriber(brief), _comment(brief))
    return tuple(block for block in made if block is not None)


def _block(brief: Brief, name: str) -> Any:
    namespace = f"{CALL_DATA}:{name}"
    block = etree.Element(f"{{{namespace}}}EmergencyCallData.{name}", nsmap={None: namespace})
    _add(block, "DataProviderReference", f"{brief.disclosure}.{brief.version}@{_domain(brief)}")
    return block


def _domain(brief: Brief) -> str:
    return brief.sender.domain if brief.sender else ""


def _add(block: Any, name: str, text: str) -> Any:
    element = etree.SubElement(block, f"{{{etree.QName(block).namespace}}}{name}")
    element.text = _printable(text)
    return element


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("", text)


def _provider(brief: Brief) -> Any:
    sender = brief.sender
    assert sender is not None
    block = _block(brief, "ProviderInfo")
    _add(block, "DataProviderString", sender.name_en)
    _add(block, "ProviderID", sender.domain)
    _add(block, "ProviderIDSeries", "domain")
    _add(block, "TypeOfProvider", "Telematics Provider")
    _add(block, "ContactURI", sender.desk_uri)
    _add(block, "Language", "ja")
    _add(block, "Language", "en")
    return block


def _service(brief: Brief) -> Any:
    block = _block(brief, "ServiceInfo")
    _add(block, "ServiceEnvironment", "unknown")
    _add(block, "ServiceType", "relay")  # a human agent of ours is on the call
    _add(block, "ServiceType", "sensor-attended")
    _add(block, "ServiceMobility", "Mobile")
    return block


def _device(brief: Brief) -> Any:
    vehicle = brief.sections.get(Category.VEH)
    if vehicle is None:
        return None
    block = _block(brief, "DeviceInfo")
    _add(block, "DeviceClassification", "truck" if str(vehicle.get("category", "")).startswith("N") else "automobile")
    if brand := vehicle.get("brand"):
        _add(block, "DeviceMfgr", str(brand))
    if model := vehicle.get("model"):
        _add(block, "DeviceModelNr", str(model))
    if number := vehicle.get("idValue"):
        _add(block, "UniqueDeviceID", str(number)).set("TypeOfDeviceID", "SN")
    return block


def _subscriber(brief: Brief) -> Any:
    """Somebody may be named only where PER or OWN may be told."""
    named = [brief.sections[category] for category in (Category.PER, Category.OWN) if category in brief.sections]
    name = next((str(each["name"]) for each in named if each.get("name")), None)
    if name is None:
        return None
    block = _block(brief, "SubscriberInfo")
    block.set("privacyRequested", "false")
    data = etree.SubElement(block, f"{{{etree.QName(block).namespace}}}SubscriberData")
    card = etree.SubElement(data, f"{{{VCARD}}}vcard", nsmap={None: VCARD})
    formatted = etree.SubElement(card, f"{{{VCARD}}}fn")
    etree.SubElement(formatted, f"{{{VCARD}}}text").text = _printable(name)
    if tel := brief.sections.get(Category.TEL, {}).get("tel"):
        line = etree.SubElement(card, f"{{{VCARD}}}tel")
        etree.SubElement(line, f"{{{VCARD}}}uri").text = f"tel:{dialled(str(tel))}"
    return block


def dialled(number: str) -> str:
    """A telephone number as a ``tel:`` URI has it (RFC 3966): digits, and a plus where it had one."""
    return re.sub(r"[^0-9+]", "", number)


def _comment(brief: Brief) -> Any:
    block = _block(brief, "Comment")
    comment = _add(block, "Comment", _say_all(brief)[:COMMENT_CHARACTERS])
    comment.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    return block


def _say_all(brief: Brief) -> str:
    """What no other block has a place for, and by what right all of it is told."""
    lines = [
        *(["EXERCISE: send nobody"] if brief.exercise else []),
        f"{brief.incident} disclosure {brief.disclosure} version {brief.version}",
        f"ground {brief.rule} / {brief.ground} / {brief.law_version}, decided {brief.decided_at:%Y-%m-%dT%H:%M:%SZ}",
        *changed_lines(brief, "en"),
    ]
    if facts := glance(brief, "en"):
        lines.append(f"{TITLE[1]}: {'; '.join(f'{name}: {words}' for name, words in facts)}")
    for category in (Category.OBS, Category.SEV, Category.PER, Category.MED, Category.FAM):
        section = brief.sections.get(category)
        if section:
            words = "; ".join(f"{name}: {value}" for name, value in told(category, section, "en"))
            lines.append(f"{TITLES[category][1]}: {words}")
    return "\n".join(lines)
