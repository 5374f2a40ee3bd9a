"""XML from strangers: read without entities, without a network and within bounds; and errors that say where.

Every codec here (GML shapes, PIDF-LO, LoST) reads through this module, so that the rules against hostile documents
stand once.  Nothing is said about a payload: an error names the place by the elements we know, never their text.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from routing.errors import Malformed
from routing.text import clean

MAX_BYTES = 262_144
"""Of one document.  The largest honest ones hold a boundary by value, at most some 100 kB."""

LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
"""The ``xml:lang`` attribute."""

_ENCODINGS = frozenset({"UTF-8", "UTF-16", "UTF-16LE", "UTF-16BE", "US-ASCII", "ASCII"})
"""RFC 5222 section 16 allows UTF-8 and UTF-16; ASCII is UTF-8."""

_PATH_STEPS = 12
"""How many elements of a place are named at most."""


def read_xml(data: bytes, *, limit: int = MAX_BYTES) -> Any:
    """The root element.  ``Malformed`` for anything but one well-formed document without a document type."""
    if len(data) > limit:
        raise Malformed(f"a document may have at most {limit} bytes", field="/")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as fault:
        raise Malformed("not well-formed XML", field=_position(fault)) from None
    about = root.getroottree().docinfo
    if about.doctype or about.internalDTD is not None:
        raise Malformed("a document type or entities are not read", field="/")
    if (about.encoding or "UTF-8").upper() not in _ENCODINGS:
        raise Malformed("the encoding must be UTF-8 or UTF-16", field="/")
    return root


def write_xml(root: Any) -> bytes:
    """The document of ``root`` in UTF-8, with the XML declaration."""
    etree.cleanup_namespaces(root, keep_ns_prefixes=["gml", "gs", "ca"])
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def local(element: Any) -> str:
    """The name without its namespace."""
    return str(etree.QName(element).localname)


def namespace(element: Any) -> str:
    """Empty when the name has none."""
    return str(etree.QName(element).namespace or "")


def where(element: Any) -> str:
    """The place of an element: ``/findService/location[2]/Point``.

    Numbers only where siblings share the name.
    """
    steps: list[str] = []
    node = element
    while node is not None and len(steps) < _PATH_STEPS:
        parent = node.getparent()
        twins = [] if parent is None else [each for each in parent if each.tag == node.tag]
        steps.append(local(node)[:40] + (f"[{twins.index(node) + 1}]" if len(twins) > 1 else ""))
        node = parent
    return "/" + "/".join(reversed(steps))


def children(element: Any, *names: str) -> Iterator[Any]:
    """Child elements with one of these Clark names (``{namespace}name``), in document order."""
    return (each for each in element if each.tag in names)


def child(element: Any, name: str) -> Any:
    """The one child with this Clark name.  ``Malformed`` when there is none or more than one."""
    found = list(children(element, name))
    if len(found) != 1:
        expected = etree.QName(name).localname
        raise Malformed(f"exactly one {expected} is expected here", field=where(element))
    return found[0]


def text(element: Any) -> str:
    """The text of an element without elements in it, stripped.  ``Malformed`` when it holds elements."""
    if len(element):
        raise Malformed("only text is expected here", field=where(element))
    return clean(element.text or "").strip()


def _position(fault: Exception) -> str:
    line, column = getattr(fault, "position", (0, 0))
    return f"line {line}, column {column}" if line else "/"
