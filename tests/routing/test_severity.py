"""Injury-risk models against the values their papers print, the rules beside them, and measured crashes."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import Malformed, Misconfigured
from routing.severity import (
    DEFAULT,
    KMH_PER_MPH,
    MODELS,
    Casualty,
    Cuts,
    Facts,
    Impact,
    Input,
    Level,
    judge,
    model,
    score,
)
from routing.severity.check import Line, read, table

NASS = Path(__file__).resolve().parents[3] / "shared" / "data" / "nass_cds_2015_occupants.csv"


def _everything(**changes: object) -> Facts:
    known = {"delta_v_kmh": 40.0, "closing_kmh": 40.0, "age_years": 46.0, "impact": Impact.FRONT}
    return Facts(**known | changes)  # type: ignore[arg-type]


def _risk(id: str, facts: Facts) -> float:
    found = score(model(id), facts)
    assert found is not None
    return found.risk


@pytest.mark.parametrize(
    ("id", "closing_kmh", "age"),
    [
        ("lubbe-2022-pedestrian", 29, 46),
        ("lubbe-2022-cyclist", 44, 39),
        ("lubbe-2022-driver", 112, 39),
    ],
)
def test_lubbe_2022_section_4_4_gives_ten_percent_where_the_paper_says(id, closing_kmh, age):
    assert _risk(id, Facts(closing_kmh=closing_kmh, age_years=age)) == pytest.approx(0.10, abs=0.006)


@pytest.mark.parametrize(
    ("id", "at_kmh", "expected"),
    [
        # By hand from the tables cited in each model: 1 / (1 + exp(-z)).
        ("wang-2022-all", 0.0, 1 / (1 + math.exp(6.9540))),
        ("wang-2022-all", 30 * KMH_PER_MPH, 1 / (1 + math.exp(6.9540 - 0.1637 * 30))),
        ("wang-2022-frontal", 30 * KMH_PER_MPH, 1 / (1 + math.exp(6.9774 - 0.1620 * 30))),
        ("wang-2022-fatal", 30 * KMH_PER_MPH, 1 / (1 + math.exp(8.9819 - 0.1603 * 30))),
        ("malliaris-zero", 30 * KMH_PER_MPH, 1 / (1 + math.exp(5.450 - 0.178 * 30))),
        ("malliaris-one", 30 * KMH_PER_MPH, 1 / (1 + math.exp(5.820 - 0.202 * 30))),
    ],
)
def test_a_delta_v_model_computes_its_table(id, at_kmh, expected):
    assert _risk(id, Facts(delta_v_kmh=at_kmh, impact=Impact.FRONT)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("id", "z"), [("rosen-2010-pedestrian", -1.48), ("rosen-2010-pedestrian-fatal", -3.66)])
def test_rosen_2010_computes_table_1_at_40_kmh(id, z):
    assert _risk(id, Facts(closing_kmh=40)) == pytest.approx(1 / (1 + math.exp(-z)), rel=1e-9)


def test_directions_stand_in_the_order_bahouth_2004_found_at_30_mph():
    at_30_mph = {i: _risk("malliaris-one", Facts(delta_v_kmh=30 * KMH_PER_MPH, impact=i)) for i in Impact}

    assert at_30_mph[Impact.SIDE] > at_30_mph[Impact.FRONT] > at_30_mph[Impact.REAR]


@pytest.mark.parametrize("id", MODELS)
def test_every_model_names_its_source_its_units_its_range_and_a_digest(id):
    each = model(id)

    assert each.citation
    assert set(each.coefficients) == set(each.ranges) <= set(Input)
    assert len(each.digest) == 64


def test_no_two_models_share_a_digest():
    assert len({each.digest for each in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("id", MODELS)
def test_without_an_input_there_is_no_score(id):
    assert score(model(id), Facts()) is None


def test_an_unknown_delta_v_is_unknown_and_not_zero():
    judged = judge(Facts(impact=Impact.FRONT, airbag_deployed=True))

    assert judged.score is None
    assert judged.level is Level.UNKNOWN
    assert judged.chosen == DEFAULT


def test_a_delta_v_of_zero_is_known():
    judged = judge(Facts(delta_v_kmh=0.0))

    assert judged.level is Level.NOT_RAISED
    assert judged.score is not None
    assert judged.score.flags == ("out_of_range:delta_v_mph",)


@given(first=st.floats(0, 300), second=st.floats(0, 300))
def test_a_harder_crash_never_has_a_lower_risk(first, second):
    gentle, hard = sorted((first, second))
    for each in MODELS.values():
        below = score(each, _everything(delta_v_kmh=gentle, closing_kmh=gentle))
        above = score(each, _everything(delta_v_kmh=hard, closing_kmh=hard))
        assert below is not None
        assert above is not None
        assert 0 <= below.risk <= above.risk <= 1


@given(delta_v_kmh=st.floats(0, 1e6))
def test_any_speed_gives_a_probability_and_beyond_the_range_a_flag(delta_v_kmh):
    found = score(model(DEFAULT), Facts(delta_v_kmh=delta_v_kmh))

    assert found is not None
    assert 0 <= found.risk <= 1
    within = 1 <= delta_v_kmh / KMH_PER_MPH <= 75
    assert (found.flags == ()) is within


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["delta_v_kmh", "closing_kmh", "age_years"])
def test_an_impossible_number_is_refused_with_its_field(field, value):
    with pytest.raises(Malformed) as caught:
        Facts(**{field: value})

    assert caught.value.field == f"$.{field}"


def test_one_component_of_delta_v_is_a_lower_bound_and_says_so():
    found = score(model(DEFAULT), Facts(delta_v_kmh=40, delta_v_partial=True))

    assert found is not None
    assert found.flags == ("delta_v_lower_bound",)


@pytest.mark.parametrize(
    ("impact", "flags"), [(Impact.FRONT, ()), (None, ("impact_unknown",)), (Impact.SIDE, ("impact_differs",))]
)
def test_a_frontal_model_says_when_the_impact_was_no_frontal_one(impact, flags):
    found = score(model("wang-2022-frontal"), Facts(delta_v_kmh=40, impact=impact))

    assert found is not None
    assert found.flags == flags


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(ejected=True), "ejection"),
        (Facts(rollover=True), "rollover"),
        (Facts(fire=True), "fire"),
        (Facts(submersed=True), "submersion"),
        (Facts(pedestrian=True), "pedestrian"),
        (Facts(airbag_deployed=True, answers=False), "airbag_no_answer"),
    ],
)
def test_a_rule_raises_the_level_without_any_model(facts, reason):
    judged = judge(facts)

    assert judged.level is Level.SEVERE
    assert judged.reasons == (reason,)
    assert judged.score is None


@pytest.mark.parametrize("facts", [Facts(airbag_deployed=True), Facts(airbag_deployed=True, answers=True)])
def test_an_airbag_alone_is_no_rule_while_somebody_answers_or_nobody_was_asked(facts):
    assert judge(facts).reasons == ()


@given(delta_v_kmh=st.floats(0, 200))
def test_a_low_score_never_takes_back_what_a_rule_raised(delta_v_kmh):
    judged = judge(Facts(delta_v_kmh=delta_v_kmh, fire=True))

    assert judged.level is Level.SEVERE
    assert judged.reasons[0] == "fire"


@pytest.mark.parametrize(("delta_v_kmh", "level"), [(20, Level.NOT_RAISED), (35, Level.ATTENTION), (60, Level.SEVERE)])
def test_the_two_levels_are_raised_at_two_and_twenty_percent(delta_v_kmh, level):
    judged = judge(Facts(delta_v_kmh=delta_v_kmh))

    assert judged.level is level
    assert ("risk" in judged.reasons) is (level is not Level.NOT_RAISED)


def test_a_judgement_holds_all_that_is_needed_to_make_it_again():
    judged = judge(Facts(delta_v_kmh=50), cuts=Cuts(attention=0.01, severe=0.5))

    assert judged.score is not None
    assert judged.score.digest == model(judged.score.model).digest
    assert judged.score.inputs == {Input.DELTA_V_MPH: 50 / KMH_PER_MPH}
    assert judge(judged.facts, by=judged.chosen, cuts=judged.cuts) == judged


def test_a_model_nobody_published_stops_the_start_and_is_named():
    with pytest.raises(Misconfigured, match="kononen"):
        model("kononen")


@pytest.mark.parametrize("cuts", [(0.0, 0.2), (0.3, 0.2), (0.02, 1.0)])
def test_cuts_that_make_no_sense_are_refused(cuts):
    with pytest.raises(Misconfigured):
        Cuts(attention=cuts[0], severe=cuts[1])


# --- measured crashes ---

measured = pytest.mark.skipif(not NASS.is_file(), reason="NASS-CDS 2015 is not beside the checkout")


def _lines() -> dict[str, Line]:
    return {line.model: line for line in table(read(NASS.read_text())).lines}


@measured
def test_wang_2022_is_calibrated_and_ranks_as_checked_before_on_nass_cds_2015():
    wang = _lines()["wang-2022-all"]

    assert (wang.occupants, wang.cases) == (1151, 95)
    assert wang.observed == pytest.approx(0.0109, abs=0.0001)
    assert wang.auc == pytest.approx(0.902, abs=0.01)
    assert wang.predicted == pytest.approx(0.0110, abs=0.001)
    assert [at.sensitivity for at in wang.cuts] == pytest.approx([0.73, 0.49, 0.31, 0.15], abs=0.01)
    assert [at.specificity for at in wang.cuts] == pytest.approx([0.92, 0.98, 0.99, 1.00], abs=0.01)


@measured
@pytest.mark.parametrize(
    ("id", "auc", "predicted", "sensitivity", "specificity"),
    [
        ("malliaris-one", 0.885, 0.054, (0.96, 0.87, 0.82, 0.58), (0.36, 0.78, 0.87, 0.97)),
        ("malliaris-zero", 0.902, 0.049, (0.98, 0.87, 0.73, 0.57), (0.31, 0.79, 0.91, 0.98)),
    ],
)
def test_models_of_the_1990s_over_predict_on_nass_cds_2015(id, auc, predicted, sensitivity, specificity):
    line = _lines()[id]

    assert line.auc == pytest.approx(auc, abs=0.01)
    assert line.predicted == pytest.approx(predicted, abs=0.001)
    assert [at.sensitivity for at in line.cuts] == pytest.approx(sensitivity, abs=0.015)
    assert [at.specificity for at in line.cuts] == pytest.approx(specificity, abs=0.015)
    assert line.predicted > 4 * line.observed


@measured
def test_what_cannot_be_tried_on_occupants_is_named_and_not_left_out_in_silence():
    made = table(read(NASS.read_text()))

    assert {line.model for line in made.lines} | set(made.not_applicable) == set(MODELS)
    assert all(MODELS[id].casualty is not Casualty.OCCUPANT or "lubbe" in id for id in made.not_applicable)
    assert sum(made.left_out.values()) + 1151 == 2869


HEAD = "seat,belt,dv_total_kmh,damage_area,mais08,fatal,weight\n"


def test_a_table_can_be_checked_by_hand():
    rows = "FRONT LEFT SIDE,belted,80,F,3,0,1\nFRONT RIGHT SIDE,belted,16,F,0,0,3\nFRONT LEFT SIDE,belted,,F,0,0,3\n"

    made = table(read(HEAD + rows), models=(model(DEFAULT),))

    (line,) = made.lines
    assert (line.occupants, line.cases, line.auc, line.observed) == (2, 1, 1.0, 0.25)
    assert made.left_out == {"delta_v_unknown": 1}
    assert line.cuts[0].sensitivity == line.cuts[0].specificity == 1.0


def test_a_file_without_a_column_or_without_a_usable_row_is_refused():
    with pytest.raises(Malformed, match="weight"):
        read("seat,belt\n")
    with pytest.raises(Malformed, match="no row"):
        table(read(HEAD))


def test_a_row_with_a_word_for_a_number_is_named():
    with pytest.raises(Malformed) as caught:
        read(HEAD + "FRONT LEFT SIDE,belted,fast,F,3,0,1\n")

    assert caught.value.field == "$[2]"
