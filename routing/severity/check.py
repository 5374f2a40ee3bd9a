"""How well each severity model does on measured crashes: calibration, ranking, sensitivity and specificity.

Reads occupants of NASS-CDS as CSV (columns ``seat``, ``belt``, ``dv_total_kmh``, ``damage_area``, ``mais08``,
``fatal``, ``weight``) and weighs every figure by the survey weight.  Taken are occupants of the two front seats whose
belt use, delta-V and outcome are known; the rest is counted by reason, not guessed.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import groupby, pairwise

from msgspec import Struct

from routing.errors import Malformed
from routing.severity import MODELS, Facts, Impact, Input, Model, score

CUTS = (0.02, 0.05, 0.10, 0.20)
BINS = (0.0, 0.01, 0.02, 0.05, 0.10, 0.20, 1.0)
"""Edges of the calibration table, as predicted risk."""

_SEATS = frozenset({"FRONT LEFT SIDE", "FRONT RIGHT SIDE"})
_IMPACT: Mapping[str, Impact] = {"F": Impact.FRONT, "L": Impact.SIDE, "R": Impact.SIDE, "B": Impact.REAR}
_COLUMNS = frozenset({"seat", "belt", "dv_total_kmh", "damage_area", "mais08", "fatal", "weight"})
_LEAST_MAIS: Mapping[str, int] = {"MAIS2+": 2, "MAIS3+": 3, "MAIS3+F": 3, "fatal": 7}
"""MAIS from which a survivor counts as a case; 7 does not exist, so ``fatal`` counts deaths alone."""


class Occupant(Struct, frozen=True, kw_only=True):
    facts: Facts
    mais: int | None
    fatal: bool
    weight: float


class Sample(Struct, frozen=True, kw_only=True):
    occupants: tuple[Occupant, ...]
    left_out: Mapping[str, int]
    """Rows not taken, by the first reason."""


class At(Struct, frozen=True, kw_only=True):
    """What a cut at ``risk`` would find and what it would leave alone; None where there is nobody to count."""

    risk: float
    sensitivity: float | None
    specificity: float | None


class Bin(Struct, frozen=True, kw_only=True):
    low: float
    high: float
    occupants: int
    predicted: float | None
    observed: float | None


class Line(Struct, frozen=True, kw_only=True):
    """One model on one sample; rates from 0 to 1, weighted."""

    model: str
    outcome: str
    digest: str
    occupants: int
    cases: int
    observed: float
    predicted: float
    auc: float | None
    """Probability that a case ranks above a non-case; None without both."""
    cuts: tuple[At, ...]
    calibration: tuple[Bin, ...]
    out_of_range: int
    unscored: int
    """Occupants for whom an input of the model is unknown."""
    other_impact: int
    """Occupants left out because the model is for one kind of impact, which theirs is not or is unknown."""


class Table(Struct, frozen=True, kw_only=True):
    lines: tuple[Line, ...]
    left_out: Mapping[str, int]
    not_applicable: Mapping[str, str]
    """Models that ask for what such a file does not hold."""


def read(text: str) -> Sample:
    """The occupants in ``text``.  ``Malformed`` names the column or the row that is wrong."""
    rows = csv.DictReader(StringIO(text, newline=""))
    if missing := _COLUMNS - set(rows.fieldnames or ()):
        raise Malformed(f"the file has no column {', '.join(sorted(missing))}", field="$")
    taken: list[Occupant] = []
    left_out: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        try:
            why = _why_not(row)
            if why is None:
                taken.append(_occupant(row))
        except (ValueError, TypeError) as wrong:
            raise Malformed("this row holds what is no number where one is due", field=f"$[{number}]") from wrong
        if why is not None:
            left_out[why] = left_out.get(why, 0) + 1
    return Sample(occupants=tuple(taken), left_out=left_out)


def _why_not(row: Mapping[str, str]) -> str | None:
    if row["seat"] not in _SEATS:
        return "not_a_front_seat"
    if row["belt"] == "unknown":
        return "belt_unknown"
    if not row["dv_total_kmh"]:
        return "delta_v_unknown"
    if not row["mais08"] and row["fatal"] != "1":
        return "outcome_unknown"
    return None if row["weight"] and float(row["weight"]) > 0 else "no_weight"


def _occupant(row: Mapping[str, str]) -> Occupant:
    return Occupant(
        facts=Facts(delta_v_kmh=float(row["dv_total_kmh"]), impact=_IMPACT.get(row["damage_area"])),
        mais=round(float(row["mais08"])) if row["mais08"] else None,
        fatal=row["fatal"] == "1",
        weight=float(row["weight"]),
    )


def table(sample: Sample, *, models: Sequence[Model] = tuple(MODELS.values())) -> Table:
    """Every model that the sample can try.  ``Malformed`` when the sample is empty."""
    if not sample.occupants:
        raise Malformed("no row of this file can be used: every one lacks seat, belt, delta-V, outcome or weight")
    foreign = {each.id: _foreign(each) for each in models}
    return Table(
        lines=tuple(_line(each, sample.occupants) for each in models if not foreign[each.id]),
        left_out=sample.left_out,
        not_applicable={id: needs for id, needs in foreign.items() if needs},
    )


def _foreign(model: Model) -> str:
    """The inputs of ``model`` that occupants of such a file never have."""
    held = (Input.DELTA_V_MPH, Input.SIDE, Input.REAR)
    return ", ".join(name for name in model.coefficients if name not in held)


class _Tried(Struct, frozen=True):
    risk: float
    case: bool
    weight: float


def _line(model: Model, occupants: Sequence[Occupant]) -> Line:
    fitting = [one for one in occupants if model.impact is None or one.facts.impact == model.impact]
    scored = [(one, found) for one in fitting if (found := score(model, one.facts)) is not None]
    if not scored:
        raise Malformed(f"no row of this file can be tried with {model.id}")
    tried = [_Tried(found.risk, is_case(one, model.outcome), one.weight) for one, found in scored]
    total = math.fsum(each.weight for each in tried)
    return Line(
        model=model.id,
        outcome=model.outcome,
        digest=model.digest,
        occupants=len(tried),
        cases=sum(each.case for each in tried),
        observed=math.fsum(each.weight for each in tried if each.case) / total,
        predicted=math.fsum(each.weight * each.risk for each in tried) / total,
        auc=_auc(tried),
        cuts=tuple(_at(cut, tried) for cut in CUTS),
        calibration=tuple(_bin(low, high, tried) for low, high in pairwise(BINS)),
        out_of_range=sum(any(flag.startswith("out_of_range") for flag in found.flags) for _, found in scored),
        unscored=len(fitting) - len(tried),
        other_impact=len(occupants) - len(fitting),
    )


def is_case(one: Occupant, outcome: str) -> bool:
    """Whether ``outcome`` happened to ``one``; a death counts for every outcome."""
    return one.fatal or (one.mais is not None and one.mais >= _LEAST_MAIS[outcome])


def _auc(tried: Sequence[_Tried]) -> float | None:
    """Weighted area under the ROC curve (Mann-Whitney); equal risks count half."""
    below = won = cases = 0.0
    for _, same in groupby(sorted(tried, key=lambda each: each.risk), key=lambda each: each.risk):
        level = list(same)
        ill = math.fsum(each.weight for each in level if each.case)
        well = math.fsum(each.weight for each in level if not each.case)
        won += ill * (below + well / 2)
        below += well
        cases += ill
    return won / (cases * below) if cases and below else None


def _at(cut: float, tried: Sequence[_Tried]) -> At:
    found = math.fsum(each.weight for each in tried if each.case and each.risk >= cut)
    ill = math.fsum(each.weight for each in tried if each.case)
    spared = math.fsum(each.weight for each in tried if not each.case and each.risk < cut)
    well = math.fsum(each.weight for each in tried if not each.case)
    return At(risk=cut, sensitivity=found / ill if ill else None, specificity=spared / well if well else None)


def _bin(low: float, high: float, tried: Sequence[_Tried]) -> Bin:
    inside = [each for each in tried if low <= each.risk < high or each.risk == high == 1.0]
    total = math.fsum(each.weight for each in inside)
    if not total:
        return Bin(low=low, high=high, occupants=len(inside), predicted=None, observed=None)
    return Bin(
        low=low,
        high=high,
        occupants=len(inside),
        predicted=math.fsum(each.weight * each.risk for each in inside) / total,
        observed=math.fsum(each.weight for each in inside if each.case) / total,
    )
