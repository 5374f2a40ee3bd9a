"""How badly somebody may be hurt: published injury-risk models, and rules that need none.  An aid, never a gate.

A model is a row of ``MODELS`` with its coefficients, units, range and citation; a judgement names the model, its
digest and the inputs it used, so that it can be made again.  What is unknown stays unknown: without a delta-V there is
no score, and a low score never makes a crash less urgent.  Whether a brand allows scoring at all («no profiling») is
decided by whoever calls; nothing here is called for a brand that does not.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec import Struct

from routing.errors import Malformed, Misconfigured

KMH_PER_MPH = 1.609344


class Input(StrEnum):
    """What a model may ask for, with its unit."""

    DELTA_V_MPH = "delta_v_mph"
    CLOSING_KMH = "closing_kmh"
    """Speed at which car and person (or both cars together) meet."""
    IMPACT_KMH = "impact_kmh"
    """Speed of the car when it hits the person."""
    AGE_YEARS = "age_years"
    SIDE = "side"
    """1 for an impact from the side, else 0."""
    REAR = "rear"
    """1 for an impact from behind, else 0."""


class Casualty(StrEnum):
    """Whose injury a model predicts."""

    OCCUPANT = "occupant"
    PEDESTRIAN = "pedestrian"
    CYCLIST = "cyclist"


class Range(Struct, frozen=True):
    """The values of one input for which a score is not flagged, ends included.

    The publications' own limits were not to be had for every model.  These are ours: delta-V as far as NASS-CDS
    measures it in numbers worth a rate, speeds and ages of the samples the curves were drawn from.
    """

    low: float
    high: float


class Model(Struct, frozen=True, kw_only=True):
    """One published logistic curve: risk = 1 / (1 + exp(-(intercept + sum of coefficient x input)))."""

    id: str
    casualty: Casualty
    outcome: str
    """What it is the probability of: ``MAIS2+``, ``MAIS3+``, ``MAIS3+F`` (or fatal), ``fatal``."""
    intercept: float
    coefficients: Mapping[Input, float]
    ranges: Mapping[Input, Range]
    citation: str
    impact: str | None = None
    """``front`` when the curve was fitted to that kind of impact alone."""
    caution: str = ""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything that makes the number: id, outcome, intercept, coefficients, ranges."""
        told = (self.id, self.outcome, self.intercept, self.coefficients, self.ranges, self.impact)
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


_WANG = "Wang 2022, NHTSA DOT HS 813 219, table {}, NASS-CDS 2010-2015"
_MALLIARIS = "Malliaris, Digges, DeBlois, SAE 970393 (basis of URGENCY); coefficients as published in dg_commons (ETH)"
_LUBBE = "Lubbe et al. 2022, Traffic Safety Research 2:000006, doi 10.55329/vfma7555"
_ROSEN = "Rosen et al. 2010, doi 10.1016/j.aap.2010.05.018, table 1"
_OLD_CARS = "fitted to cars of the 1980s and 1990s: over-predicts about fivefold for newer ones"

_DELTA_V = Range(1.0, 75.0)
_CLOSING = Range(1.0, 120.0)
_AGE = Range(15.0, 100.0)
_FLAG = Range(0.0, 1.0)


def _by_delta_v(id: str, outcome: str, z: tuple[float, float], cited: str, *, impact: str | None = None) -> Model:
    intercept, per_mph = z
    return Model(
        id=id,
        casualty=Casualty.OCCUPANT,
        outcome=outcome,
        intercept=intercept,
        coefficients={Input.DELTA_V_MPH: per_mph},
        ranges={Input.DELTA_V_MPH: _DELTA_V},
        citation=cited,
        impact=impact,
        caution=_OLD_CARS if cited is _MALLIARIS else "",
    )


def _by_direction(id: str, outcome: str, z: tuple[float, float, float, float]) -> Model:
    intercept, per_mph, side, rear = z
    return Model(
        id=id,
        casualty=Casualty.OCCUPANT,
        outcome=outcome,
        intercept=intercept,
        coefficients={Input.DELTA_V_MPH: per_mph, Input.SIDE: side, Input.REAR: rear},
        ranges={Input.DELTA_V_MPH: _DELTA_V, Input.SIDE: _FLAG, Input.REAR: _FLAG},
        citation=_MALLIARIS,
        caution=_OLD_CARS,
    )


def _by_closing_speed(id: str, casualty: Casualty, z: tuple[float, float, float], *, impact: str | None) -> Model:
    intercept, per_kmh, per_year = z
    return Model(
        id=id,
        casualty=casualty,
        outcome="MAIS3+F",
        intercept=intercept,
        coefficients={Input.CLOSING_KMH: per_kmh, Input.AGE_YEARS: per_year},
        ranges={Input.CLOSING_KMH: _CLOSING, Input.AGE_YEARS: _AGE},
        citation=_LUBBE,
        impact=impact,
    )


def _rosen(id: str, outcome: str, z: tuple[float, float]) -> Model:
    intercept, per_kmh = z
    return Model(
        id=id,
        casualty=Casualty.PEDESTRIAN,
        outcome=outcome,
        intercept=intercept,
        coefficients={Input.IMPACT_KMH: per_kmh},
        ranges={Input.IMPACT_KMH: _CLOSING},
        citation=_ROSEN,
    )


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.id: model
        for model in (
            _by_delta_v("wang-2022-all", "MAIS3+", (-6.9540, 0.1637), _WANG.format("4-1")),
            _by_delta_v("wang-2022-frontal", "MAIS3+", (-6.9774, 0.1620), _WANG.format("4-3"), impact="front"),
            _by_delta_v("wang-2022-fatal", "fatal", (-8.9819, 0.1603), _WANG.format("4-1")),
            _by_delta_v("malliaris-zero", "MAIS3+", (-5.450, 0.178), _MALLIARIS),
            _by_delta_v("malliaris-zero-mais2", "MAIS2+", (-3.761, 0.136), _MALLIARIS),
            _by_delta_v("malliaris-zero-fatal", "fatal", (-8.252, 0.177), _MALLIARIS),
            _by_direction("malliaris-one", "MAIS3+", (-5.820, 0.202, 0.556, -2.170)),
            _by_direction("malliaris-one-mais2", "MAIS2+", (-4.029, 0.155, 0.465, -1.177)),
            _by_direction("malliaris-one-fatal", "fatal", (-9.032, 0.198, 1.462, -1.921)),
            _by_closing_speed("lubbe-2022-pedestrian", Casualty.PEDESTRIAN, (-6.190, 0.078, 0.038), impact=None),
            _by_closing_speed("lubbe-2022-cyclist", Casualty.CYCLIST, (-7.467, 0.079, 0.047), impact=None),
            _by_closing_speed("lubbe-2022-driver", Casualty.OCCUPANT, (-7.654, 0.041, 0.021), impact="front"),
            _rosen("rosen-2010-pedestrian", "MAIS3+", (-4.6, 0.078)),
            _rosen("rosen-2010-pedestrian-fatal", "fatal", (-7.5, 0.096)),
        )
    }
)
"""Every model there is.  Kononen, Bahouth, OSISP and D-Call Net are missing: their coefficients are not public."""

DEFAULT = "wang-2022-all"
"""Calibrated on cars of our time; ``sos severity table`` shows how each model does on measured crashes."""


class Impact(StrEnum):
    FRONT = "front"
    SIDE = "side"
    REAR = "rear"


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a crash and of those in it.  None is unknown, never zero or no."""

    delta_v_kmh: float | None = None
    """Length of the velocity change."""
    delta_v_partial: bool = False
    """Only one of its components was sent: the true length is at least this."""
    closing_kmh: float | None = None
    age_years: float | None = None
    impact: Impact | None = None
    ejected: bool | None = None
    rollover: bool | None = None
    airbag_deployed: bool | None = None
    answers: bool | None = None
    """Whether anybody in the car answers."""
    fire: bool | None = None
    submersed: bool | None = None
    pedestrian: bool | None = None
    """Somebody outside a car was hit."""

    def __post_init__(self) -> None:
        for name in ("delta_v_kmh", "closing_kmh", "age_years"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise Malformed(f"{name} must be a number from 0 up", field=f"$.{name}")


class Score(Struct, frozen=True, kw_only=True):
    """What one model says of one crash."""

    model: str
    digest: str
    outcome: str
    risk: float
    """Probability from 0 to 1 of ``outcome`` for one person."""
    inputs: Mapping[Input, float]
    """Exactly what went into the formula, in the model's own units."""
    flags: tuple[str, ...] = ()
    """``out_of_range:<input>``, ``delta_v_lower_bound``, ``impact_unknown``, ``impact_differs``."""


def model(id: str) -> Model:
    """The model called ``id``.  ``Misconfigured`` when there is none: the name stands in somebody's settings."""
    found = MODELS.get(id)
    if found is None:
        raise Misconfigured(f"there is no severity model {id!r}; known are {', '.join(MODELS)}")
    return found


def score(chosen: Model, facts: Facts) -> Score | None:
    """The risk by ``chosen``; None when something it needs is unknown."""
    inputs: dict[Input, float] = {}
    for wanted in chosen.coefficients:
        value = _value(wanted, facts)
        if value is None:
            return None
        inputs[wanted] = value
    z = chosen.intercept + sum(chosen.coefficients[name] * value for name, value in inputs.items())
    return Score(
        model=chosen.id,
        digest=chosen.digest,
        outcome=chosen.outcome,
        risk=_logistic(z),
        inputs=inputs,
        flags=tuple(_flags(chosen, facts, inputs)),
    )


def _logistic(z: float) -> float:
    """Written for either sign, so that no exponential overflows."""
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def _value(wanted: Input, facts: Facts) -> float | None:
    match wanted:
        case Input.DELTA_V_MPH:
            return None if facts.delta_v_kmh is None else facts.delta_v_kmh / KMH_PER_MPH
        case Input.CLOSING_KMH | Input.IMPACT_KMH:
            return facts.closing_kmh
        case Input.AGE_YEARS:
            return facts.age_years
        case Input.SIDE:
            return None if facts.impact is None else float(facts.impact is Impact.SIDE)
        case Input.REAR:
            return None if facts.impact is None else float(facts.impact is Impact.REAR)


def _flags(chosen: Model, facts: Facts, inputs: Mapping[Input, float]) -> Iterable[str]:
    for name, value in inputs.items():
        allowed = chosen.ranges[name]
        if not allowed.low <= value <= allowed.high:
            yield f"out_of_range:{name}"
    if facts.delta_v_partial and Input.DELTA_V_MPH in inputs:
        yield "delta_v_lower_bound"
    if chosen.impact is not None and facts.impact is None:
        yield "impact_unknown"
    elif chosen.impact is not None and facts.impact != chosen.impact:
        yield "impact_differs"


# --- two levels, and the rules that need no model ------------------------------------------------------------------


class Level(StrEnum):
    """What the operator is shown.  There is no level for «harmless»: nothing here can know that."""

    SEVERE = "severe"
    ATTENTION = "attention"
    NOT_RAISED = "not_raised"
    """Something is known and nothing of it points to a severe injury.  It is no reason to do less."""
    UNKNOWN = "unknown"


class Cuts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risks at which a level is raised.

    20 % is the trigger of the CDC expert panel of 2008 (for ISS > 15).  A calibrated model misses most serious cases
    there (sensitivity 15 % on NASS-CDS 2015), hence the lower one, at which it finds three of four.
    """

    attention: float = 0.02
    severe: float = 0.20

    def __post_init__(self) -> None:
        if not 0 < self.attention <= self.severe < 1:
            raise Misconfigured("severity cuts must satisfy 0 < attention <= severe < 1")


class Judgement(Struct, frozen=True, kw_only=True):
    """One crash judged, complete in itself: kept as the SEV part of its event."""

    level: Level
    reasons: tuple[str, ...]
    """Codes of the rules that fired, and ``risk`` when the model raised the level."""
    score: Score | None
    """None: the chosen model needs something that is unknown."""
    cuts: Cuts
    facts: Facts
    chosen: str
    """The model asked for, whether or not it could answer."""


def judge(facts: Facts, *, by: str = DEFAULT, cuts: Cuts | None = None) -> Judgement:
    """What ``facts`` say of the people in the crash.  Pure; it proposes a level and decides nothing.

    ``Misconfigured`` when there is no model ``by``.
    """
    cuts = cuts or Cuts()
    found = score(model(by), facts)
    reasons = tuple(fired(facts))
    level = Level.UNKNOWN if found is None else Level.NOT_RAISED
    if found is not None and found.risk >= cuts.attention:
        level = Level.SEVERE if found.risk >= cuts.severe else Level.ATTENTION
        reasons = (*reasons, "risk")
    if any(reason != "risk" for reason in reasons):
        level = Level.SEVERE
    return Judgement(level=level, reasons=reasons, score=found, cuts=cuts, facts=facts, chosen=by)


def fired(facts: Facts) -> Iterable[str]:
    """The rules that raise the level whatever a model says; what is unknown fires none of them."""
    if facts.ejected:
        yield "ejection"
    if facts.rollover:
        yield "rollover"
    if facts.fire:
        yield "fire"
    if facts.submersed:
        yield "submersion"
    if facts.pedestrian:
        yield "pedestrian"
    if facts.airbag_deployed and facts.answers is False:
        yield "airbag_no_answer"
