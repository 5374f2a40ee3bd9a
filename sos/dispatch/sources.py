"""The data a plan is made from, opened as the settings say: boundaries, directory, roads, hospitals, towns, law."""

from collections.abc import Collection
from datetime import date
from pathlib import Path

from routing.boundaries import Layer, MunicipalLayer, PrefectureLayer
from routing.directory import Directory
from routing.errors import RoutingError
from routing.law import RuleBook
from routing.plan import PlanRules, Sources
from routing.plan.hospitals import Facilities
from routing.plan.place import TownPoints
from routing.plan.routes import Crossings, RouteTable
from routing.position.posts import KilometrePosts
from sos.errors import Misconfigured
from sos.settings import Settings

IMPORTED = Path("geo") / "municipalities.sosgeo"
"""Where ``sos geo import`` puts its index, below the data directory."""

IMPORTED_TOWNS = Path("geo") / "towns.sosgeo"
"""Where ``sos geo import-towns`` puts its points."""


def open_sources(settings: Settings) -> Sources:
    """Everything a plan needs.  ``Misconfigured`` names the setting whose file is missing or wrong."""
    return Sources(
        layer=open_layer(settings),
        directory=open_directory(settings.directory),
        rules=PlanRules(),
        facilities=open_facilities(settings.hospitals),
        routes=open_routes(settings.routes),
        crossings=Crossings.load(),
    )


def layer_file(settings: Settings) -> Path:
    """The index of exact boundaries that is used where it exists, and that an import makes."""
    return Path(settings.boundaries) if settings.boundaries else settings.data / IMPORTED


def towns_file(settings: Settings) -> Path:
    """The same of town points."""
    return Path(settings.towns) if settings.towns else settings.data / IMPORTED_TOWNS


def open_layer(settings: Settings) -> Layer:
    """The exact layer that is configured or was imported; else the shipped prefectures."""
    path = layer_file(settings)
    if not settings.boundaries and not path.is_file():
        return PrefectureLayer.load()
    try:
        return MunicipalLayer.load(path)
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"boundaries: {path.name} cannot be used: {fault}") from fault


def open_directory(path: str) -> Directory:
    """The directory of a file; the invented one without."""
    try:
        return Directory.read(Path(path).read_bytes()) if path else Directory.demo()
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"directory: {fault}") from fault


def open_facilities(path: str) -> Facilities | None:
    """Hospitals and helicopter bases of a file; None without."""
    try:
        return Facilities.read(Path(path).read_bytes(), name=Path(path).stem) if path else None
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"hospitals: {fault}") from fault


def open_routes(path: str) -> RouteTable | None:
    """Carriageways and their duties of a folder; None without."""
    try:
        return RouteTable.load(Path(path)) if path else None
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"routes: {fault}") from fault


def open_towns(settings: Settings) -> TownPoints | None:
    """The town points that are configured or were imported; None without."""
    path = towns_file(settings)
    if not settings.towns and not path.is_file():
        return None
    try:
        return TownPoints.load(path)
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"towns: {fault}") from fault


def open_posts(settings: Settings) -> KilometrePosts | None:
    """The kilometre posts that are configured; None without."""
    try:
        return KilometrePosts.load(Path(settings.kilometre_posts)) if settings.kilometre_posts else None
    except (OSError, RoutingError) as fault:
        raise Misconfigured(f"kilometre_posts: {fault}") from fault


def open_rules(path: str, *, countries: Collection[str], terms: Collection[str], as_of: date) -> RuleBook:
    """The disclosure rules of a folder, the shipped ones without: a table for each country, and all the ``terms``."""
    try:
        rules = RuleBook.load(Path(path)) if path else RuleBook.shipped()
        rules.require(countries, terms=terms, as_of=as_of)
    except RoutingError as fault:
        raise Misconfigured(f"rules: {fault}") from fault
    return rules
