"""Reads boundary files as their makers publish them: what stands in each row, and what is wrong with it.

GeoJSON (RFC 7946, also gzipped or zipped) and TopoJSON are read with what the service has anyway.  Shapefile,
GeoPackage and FlatGeobuf need the extra ``geo`` (pyogrio).  The layouts known by their fields are those of Japan's
National Land Numerical Information (KSJ N03), of the NENA GIS data model (NENA-STA-006.3-2026) and plain
``code``/``name``; any other is mapped by hand.
"""

import gzip
import hashlib
import importlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import shapely
from msgspec import Struct
from msgspec.structs import replace

from routing.boundaries.index import Finding, Source
from routing.errors import Misconfigured

FIELDS = ("code", "prefecture", "name", "name_en", "valid_from", "valid_to")
"""What a mapping may name; ``name`` may join several fields with ``+``."""

_LAYOUTS: tuple[Mapping[str, str], ...] = (
    {"code": "N03_007", "prefecture": "N03_007", "name": "N03_001+N03_003+N03_004+N03_005"},
    {"code": "NGUID", "name": "DsplayName", "valid_from": "Effective", "valid_to": "Expire"},
    {"code": "code", "prefecture": "prefecture", "name": "pref+county_or_city+name", "name_en": "name_en",
     "valid_from": "valid_from", "valid_to": "valid_to"},
)  # fmt: skip
"""By their fields; the first one whose code field is there is taken."""

_WGS84 = ("4326", "CRS84", "4612", "6668", "6697", "4019", "4269", "6318", "4258")
"""Systems that differ from WGS-84 by less than two metres: JGD2000 and JGD2011, NAD83, ETRS89."""

_MOST_BYTES = 4 << 30
"""A file that unpacks to more is refused; all Japan at full resolution is 0.5 GB."""

_ELSE = "cp932"
"""KSJ files before 2018 are in Windows-31J and say so nowhere."""

_MOSTLY_TEXT = 100
"""Characters beyond ASCII for each that is none, in a file that is UTF-8 all the same: a name is odd then, not all."""

_Json = TypeVar("_Json")


class _Kind(Struct):
    type: str = ""


class _Feature(Struct):
    properties: dict[str, Any] | None = None
    id: str | int | float | None = None
    geometry: msgspec.Raw = msgspec.Raw(b"null")


class _Collection(Struct):
    features: list[_Feature]
    crs: dict[str, Any] | None = None


class Row(Struct, frozen=True, kw_only=True):
    """One feature of a file."""

    number: int
    """The first is 1."""
    fields: Mapping[str, Any]
    """By the names of FIELDS; empty values are left out."""
    shape: Any
    """Shapely geometry in degrees, longitude first; None when there is none or it cannot be read."""


class Content(NamedTuple):
    source: Source
    rows: list[Row]
    findings: list[Finding]


def read(path: Path, *, mapping: Mapping[str, str] | None = None, layer: str | None = None) -> Content:
    """Everything that stands in a file.  ``Misconfigured`` when it cannot be read at all, or has no code field."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return _read(path, digest, mapping, layer)
    except OSError as fault:
        raise Misconfigured(f"{path.name}: cannot be read: {fault.strerror or fault}") from fault
    except (zlib.error, EOFError, zipfile.BadZipFile) as fault:
        raise Misconfigured(f"{path.name}: damaged or cut short: {fault}") from fault


def _read(path: Path, digest: str, mapping: Mapping[str, str] | None, layer: str | None) -> Content:
    data, inner = _unpacked(path)
    findings: list[Finding] = []
    encoding = ""
    if data is not None:
        text, encoding = _decoded(data, path.name)
        if encoding != "utf-8-sig":
            findings.append(Finding("encoding", f"{path.name} is in {encoding}, not in UTF-8"))
        topology = _parsed(text, _Kind, path.name).type == "Topology"
        features, crs = (_topojson if topology else _geojson)(text, layer, path.name)
    else:
        features, crs = _by_gdal(path, inner, layer)
    records = list(features)
    if not records:
        raise Misconfigured(f"{path.name}: holds no features")
    findings += _datum(crs, path.name)
    wanted = _layout(records, mapping, path.name)
    rows = [
        Row(number=number, fields=_fields(properties, wanted), shape=shape)
        for number, (properties, shape) in enumerate(records, 1)
    ]
    rows = _in_degrees(rows, findings, path.name)
    source = Source(name=path.name, sha256=digest, layer=layer or "", areas=len(rows), encoding=encoding)
    return Content(source, rows, findings)


def _unpacked(path: Path) -> tuple[bytes | None, str]:
    """The JSON in a file; or None, and the name inside an archive, when GDAL must read it."""
    kinds = [kind.lower() for kind in path.suffixes]
    if kinds[-1:] == [".gz"]:
        with gzip.open(path) as file:
            return _bounded(file, path.name), ""
    if kinds[-1:] == [".zip"]:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist(), key=lambda name: (name.count("/"), name))
            for name in names:
                if name.lower().endswith((".geojson", ".json", ".topojson")):
                    with archive.open(name) as file:
                        return _bounded(file, path.name), name
            for name in names:
                if name.lower().endswith((".shp", ".gpkg", ".fgb")):
                    return None, name
        raise Misconfigured(f"{path.name}: holds neither GeoJSON nor Shapefile, GeoPackage or FlatGeobuf")
    if kinds[-1:] in ([".geojson"], [".json"], [".topojson"]):
        with path.open("rb") as file:
            return _bounded(file, path.name), ""
    return None, ""


def _bounded(file: Any, name: str) -> bytes:
    data: bytes = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise Misconfigured(f"{name}: unpacks to more than {_MOST_BYTES >> 30} GB")
    return data


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    loosely = data.decode("utf-8-sig", "replace")
    wrong = loosely.count("\ufffd")
    if not wrong or _MOSTLY_TEXT * wrong <= sum(not character.isascii() for character in loosely):
        return loosely, "utf-8-sig" if not wrong else f"utf-8 with {wrong} faults"
    try:
        return data.decode(_ELSE), _ELSE
    except UnicodeDecodeError:
        raise Misconfigured(f"{name}: is neither in UTF-8 nor in Windows-31J ({_ELSE})") from None


def _parsed(text: str, kind: type[_Json], name: str) -> _Json:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as fault:
        raise Misconfigured(f"{name}: not GeoJSON or TopoJSON: {fault}") from fault
    except msgspec.DecodeError as fault:
        raise Misconfigured(f"{name}: not JSON: {fault}") from fault


def _geojson(text: str, layer: str | None, name: str) -> tuple[Iterator[tuple[Any, Any]], str | None]:
    """Properties and shape of each feature, and the coordinate system named (RFC 7946 knows WGS-84 only)."""
    document = _parsed(text, _Collection, name)
    crs = "OGC:CRS84"
    if document.crs is not None:
        crs = str((document.crs.get("properties") or {}).get("name", ""))
    geometries = np.array([bytes(feature.geometry).decode() for feature in document.features], dtype=object)
    shapes = shapely.force_2d(shapely.from_geojson(geometries, on_invalid="ignore"))
    properties = (_properties(feature.properties, feature.id) for feature in document.features)
    return zip(properties, map(_finite, shapes), strict=True), crs


def _finite(shape: Any) -> Any:
    """The shape, or None when a coordinate is no number."""
    return shape if shape is not None and np.isfinite(shapely.bounds(shape)).all() else None


def _properties(properties: Any, number: Any) -> Mapping[str, Any]:
    """The properties of a feature, with its own id as the field ``id`` unless there is one."""
    known = properties if isinstance(properties, dict) else {}
    return known if number is None else {"id": number} | known


def _polygon(rings: Any) -> Any:
    """Rings that quantising left with too few corners to have an inside are nothing: a hole is filled."""
    outer, *holes = [np.array(ring, dtype=np.float64)[:, :2] for ring in rings]
    return shapely.Polygon(outer if len(outer) > 3 else None, [hole for hole in holes if len(hole) > 3])


def _topojson(text: str, layer: str | None, name: str) -> tuple[Iterator[tuple[Any, Any]], str | None]:
    """The same of a TopoJSON topology: its only object, or the one named as layer."""
    document = _parsed(text, dict, name)
    objects = document.get("objects") or {}
    chosen = objects.get(layer) if layer else next(iter(objects.values()), None) if len(objects) == 1 else None
    if not isinstance(chosen, dict):
        raise Misconfigured(f"{name}: name one of its objects with --layer: {', '.join(sorted(objects))}")
    transform = document.get("transform") or {"scale": (1.0, 1.0), "translate": (0.0, 0.0)}
    quantised = "transform" in document
    try:
        arcs = [
            (np.cumsum(arc, axis=0) if quantised else np.array(arc)) * transform["scale"] + transform["translate"]
            for arc in document["arcs"]
        ]
    except (KeyError, TypeError, ValueError) as fault:
        raise Misconfigured(f"{name}: not TopoJSON: {fault}") from fault

    def shape(geometry: Any) -> Any:
        try:
            outlines = [geometry["arcs"]] if geometry.get("type") == "Polygon" else geometry.get("arcs") or []
            return shapely.MultiPolygon([_polygon([_chained(arcs, ring) for ring in rings]) for rings in outlines])
        except (ValueError, TypeError, IndexError, KeyError, shapely.GEOSException):
            return None

    geometries = chosen.get("geometries") or []
    return (
        (_properties(geometry.get("properties"), geometry.get("id")), shape(geometry)) for geometry in geometries
    ), "OGC:CRS84"


def _chained(arcs: Sequence[Any], ring: Sequence[int]) -> Any:
    """The arcs of a ring in their order; a negative number is an arc from its end (TopoJSON 2.1.4)."""
    parts = [arcs[number] if number >= 0 else arcs[~number][::-1] for number in ring]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])


def _by_gdal(path: Path, inner: str, layer: str | None) -> tuple[Iterator[tuple[Any, Any]], str | None]:
    """The same by way of GDAL."""
    try:
        pyogrio = importlib.import_module("pyogrio")
    except ImportError as missing:
        raise Misconfigured(f"{path.name}: this format needs the extra: pip install 'sos-service[geo]'") from missing
    where = f"/vsizip/{path.resolve()}/{inner}" if inner else str(path)
    fault: Exception | None = None
    for encoding in _encodings(path, inner):
        try:
            meta, _, shapes, columns = pyogrio.raw.read(where, layer=layer, encoding=encoding, force_2d=True)
        except UnicodeDecodeError as wrong:
            fault = wrong
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as wrong:
            raise Misconfigured(f"{path.name}: cannot be read: {wrong}") from wrong
        else:
            names = [str(name) for name in meta["fields"]]
            decoded = shapely.from_wkb(shapes, on_invalid="ignore")
            records = (
                (dict(zip(names, values, strict=True)), _finite(shape))
                for *values, shape in zip(*columns, decoded, strict=True)
            )
            return records, meta["crs"]
    raise Misconfigured(f"{path.name}: its texts are neither in the encoding it states nor in cp932") from fault


def _encodings(path: Path, inner: str) -> tuple[str | None, ...]:
    """What to try: the one stated first.  A Shapefile without .cpg states none, and GDAL would take Latin-1 for it."""
    name = inner or path.name
    if not name.lower().endswith(".shp"):
        return (None,)
    table = f"{name[:-4]}.cpg"
    if inner:
        with zipfile.ZipFile(path) as archive:
            stated = table in archive.namelist()
    else:
        stated = path.with_name(table).exists()
    return (None, "CP932") if stated else ("UTF-8", "CP932")


def _datum(crs: str | None, name: str) -> list[Finding]:
    """``Misconfigured`` for a system that is not WGS-84 to two metres: the old Tokyo datum is 400 m off."""
    if not crs:
        return [Finding("datum", f"{name} names no coordinate system; taken as WGS-84")]
    if not crs.replace("]", "").rstrip('"').endswith(_WGS84):
        raise Misconfigured(f"{name}: its coordinate system is {crs[:60]}; convert it to WGS-84 (EPSG:4326) first")
    return []


def _layout(records: Sequence[tuple[Any, Any]], mapping: Mapping[str, str] | None, name: str) -> Mapping[str, str]:
    there = sorted({field for properties, _ in records[:100] for field in properties})
    if mapping:
        if missing := {part for joined in mapping.values() for part in joined.split("+")} - {*there}:
            raise Misconfigured(f"{name}: has no field {min(missing)}; it has {', '.join(there)}")
        return mapping
    for layout in _LAYOUTS:
        if layout["code"] in there:
            return layout
    raise Misconfigured(f"{name}: no known layout; name the code with --map code=FIELD; it has {', '.join(there)}")


def _fields(properties: Mapping[str, Any], wanted: Mapping[str, str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for ours, theirs in wanted.items():
        parts = [_text(properties.get(part)) for part in theirs.split("+")]
        if value := "".join(part for part in parts if part):
            found[ours] = value
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return "" if text in ("NaT", "nan", "None") else text


def _in_degrees(rows: list[Row], findings: list[Finding], name: str) -> list[Row]:
    """The rows with shapes in degrees; a few that are not lose theirs.  ``Misconfigured`` when the file is not."""
    shaped = [row for row in rows if row.shape is not None]
    if not shaped:
        raise Misconfigured(f"{name}: no feature has a polygon")
    west, south, east, north = shapely.bounds(np.array([row.shape for row in shaped])).T
    wide, high = (west < -180.5) | (east > 180.5), (south < -90.0) | (north > 90.0)
    if 2 * wide.sum() > len(shaped):
        raise Misconfigured(f"{name}: its coordinates are no degrees (easting {west.min():.0f} to {east.max():.0f})")
    if 2 * (wide | high).sum() > len(shaped):
        raise Misconfigured(f"{name}: latitudes run from {south.min():.1f} to {north.max():.1f}; are the axes swapped?")
    odd = {row.number for row, is_odd in zip(shaped, wide | high, strict=True) if is_odd}
    if odd:
        findings.append(
            Finding("place", f"{name}: rows whose coordinates are no degrees, left out", tuple(sorted(odd)))
        )
    return [row if row.number not in odd else replace(row, shape=None) for row in rows]


def day(text: str) -> date | None:
    """A date as files write it, or None.  ``ValueError`` when it is none."""
    digits = text[:10].replace("-", "").replace("/", "")
    return date.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}") if text else None
