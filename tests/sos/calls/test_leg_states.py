"""Reports about a leg in any order, and numbers that may be dialled."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sos.calls.legs import WHY, LegState, Reach, Report, after, settle
from sos.calls.numbers import EMERGENCY, dialable
from sos.errors import Refused

REPORTS = st.builds(Report, reach=st.sampled_from(Reach), why=st.sampled_from(("", *WHY)))
CALLBACKS = (
    Report(reach=Reach.QUEUED),
    Report(reach=Reach.RINGING),
    Report(reach=Reach.UP),
    Report(reach=Reach.UP),
    Report(reach=Reach.OVER, why="ended"),
    Report(reach=Reach.OVER, why="media_lost"),
)


def test_all_orders_of_six_reports_with_duplicates_end_in_the_same_state():
    ends = {
        settle((*order, *again)) for order in permutations(CALLBACKS) for again in ((), order[:1], order[2:4], order)
    }

    assert ends == {LegState(reach=Reach.OVER, why="media_lost", was_up=True)}


@given(st.lists(REPORTS, max_size=8), st.randoms())
def test_order_and_repetition_of_reports_do_not_matter(reports, random):
    shuffled = [*reports, *random.choices(reports, k=3)] if reports else []
    random.shuffle(shuffled)

    assert settle(shuffled) == settle(reports)


@given(st.lists(REPORTS, max_size=6), REPORTS)
def test_a_leg_never_goes_back(reports, report):
    before = settle(reports)

    assert after(before, report).reach >= before.reach
    assert after(before, report).was_up >= before.was_up


@pytest.mark.parametrize("number", ["+81300000000", "+815550100123", "+15550100", "+442079460000", "+81120000000"])
def test_a_full_number_is_dialled_as_it_stands(number: str):
    assert dialable(number) == number


NEVER = (
    *sorted(EMERGENCY), "+81119", "+81110", "+810119", "+8100119", "+1911", "+49112", "119#",
    "0312345678", "03-0000-0000",
    "", "+", "+0123456789", "tel:+81300000000", "+81 3 0000 0000", "+8130000000000000", "１１９", "+81３00000000",
)  # fmt: skip


@pytest.mark.parametrize("number", NEVER)
def test_short_codes_and_anything_that_is_not_e164_are_refused_and_not_quoted(number: str):
    with pytest.raises(Refused) as refused:
        dialable(number)

    assert len(number) < 3 or number not in str(refused.value)


def test_an_emergency_capable_route_carries_an_emergency_number_and_still_no_nonsense():
    assert dialable("119", emergency_capable=True) == "119"
    with pytest.raises(Refused):
        dialable("11", emergency_capable=True)
