"""As much of PromQL as the alert rules use, over figures that were scraped: a selector, sums, rates and a quantile.

Two scrapes are given, one at the beginning of the window and one at its end.  An expression gives the samples that are
left, so an alert fires when there is any.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Vector = Mapping[Labels, float]

_COMPARED = re.compile(r"(?P<left>.+?)\s*(?P<how>==|<|>)\s*(?P<right>[\d.]+)\Z", re.DOTALL)
_QUANTILE = re.compile(r"histogram_quantile\((?P<q>[\d.]+),\s*(?P<of>.+)\)\Z", re.DOTALL)
_AGGREGATED = re.compile(r"(?P<how>sum|min|max)\s*(?:by\s*\((?P<by>[^)]*)\)\s*)?\((?P<of>.+)\)\Z", re.DOTALL)
_ABSENT = re.compile(r"absent\((?P<of>\w+)\)\Z")
_CHANGED = re.compile(r"(?P<how>rate|increase)\((?P<of>\w+)\[(?P<n>\d+)(?P<unit>[smh])\]\)\Z")
_NAME = re.compile(r"[a-z_]+\Z")


def _holds(how: str, left: float, right: float) -> bool:
    return left == right if how == "==" else left < right if how == "<" else left > right


def _sum(values: list[float]) -> float:
    return sum(values)


def _min(values: list[float]) -> float:
    return min(values)


def _max(values: list[float]) -> float:
    return max(values)


_HOW: Mapping[str, Callable[[list[float]], float]] = {"sum": _sum, "min": _min, "max": _max}


def scraped(text: str) -> Mapping[str, Vector]:
    found: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name][frozenset(sample.labels.items())] = sample.value
    return found


def names(expression: str) -> frozenset[str]:
    """The figures that an expression names."""
    return frozenset(re.findall(r"\bsos_\w+", expression))


def evaluate(expression: str, first: str, last: str) -> Vector:
    return _value(expression.strip(), scraped(first), scraped(last))


def _value(expression: str, first: Mapping[str, Vector], last: Mapping[str, Vector]) -> Vector:
    if found := _COMPARED.match(expression):
        left, right = _value(found["left"], first, last), float(found["right"])
        return {labels: value for labels, value in left.items() if _holds(found["how"], value, right)}
    if found := _QUANTILE.match(expression):
        return _quantile(float(found["q"]), _value(found["of"], first, last))
    if found := _AGGREGATED.match(expression):
        by = {each.strip() for each in (found["by"] or "").split(",")}
        groups: dict[Labels, list[float]] = defaultdict(list)
        for labels, value in _value(found["of"], first, last).items():
            groups[frozenset(label for label in labels if label[0] in by)].append(value)
        return {labels: _HOW[found["how"]](values) for labels, values in groups.items()}
    if found := _ABSENT.match(expression):
        return {} if last.get(found["of"]) else {frozenset(): 1.0}
    if found := _CHANGED.match(expression):
        seconds = int(found["n"]) * {"s": 1, "m": 60, "h": 3600}[found["unit"]] if found["how"] == "rate" else 1
        before = first.get(found["of"], {})
        return {
            labels: (value - before.get(labels, 0.0)) / seconds for labels, value in last.get(found["of"], {}).items()
        }
    if not _NAME.match(expression):
        raise ValueError(f"more of PromQL than is read here: {expression}")
    return last.get(expression, {})


def _quantile(q: float, buckets: Vector) -> Vector:
    """As Prometheus does: linear within the bucket, the highest bound below ``+Inf`` beyond it."""
    bounds = sorted((float(dict(labels)["le"]), count) for labels, count in buckets.items())
    if not bounds or not bounds[-1][1]:
        return {}
    rank, lower, below = q * bounds[-1][1], 0.0, 0.0
    for bound, count in bounds:
        if count >= rank:
            if bound == float("inf"):
                return {frozenset(): lower}
            return {frozenset(): lower + (bound - lower) * (rank - below) / (count - below or 1)}
        lower, below = bound, count
    return {frozenset(): lower}
