"""Who hears whom: the gain matrix by value and by property."""

from hypothesis import given
from hypothesis import strategies as st

from sos.calls.adapters.embedded.matrix import heard_by, hears
from sos.calls.port import TALKING, LegMode
from sos.incident.model import LegId

CAR, DESK, FIRE, BOSS = (LegId(name) for name in ("car", "desk", "fire", "boss"))
ALL = (CAR, DESK, FIRE, BOSS)


def matrix(**modes: LegMode) -> dict[str, str]:
    """Listener -> initials of those heard."""
    given = {leg: modes.get(leg, TALKING) for leg in ALL}
    return {listener: "".join(sorted(speaker[0] for speaker in heard_by(listener, given))) for listener in ALL}


def test_everybody_hears_everybody_else():
    assert matrix() == {"car": "bdf", "desk": "bcf", "fire": "bcd", "boss": "cdf"}


def test_a_muted_leg_hears_and_is_not_heard():
    assert matrix(desk=LegMode(muted=True)) == {"car": "bf", "desk": "bcf", "fire": "bc", "boss": "cf"}


def test_a_held_leg_neither_hears_nor_is_heard_so_the_others_talk_in_private():
    assert matrix(car=LegMode(held=True)) == {"car": "", "desk": "bf", "fire": "bd", "boss": "df"}


def test_a_coach_hears_all_and_is_heard_by_one():
    assert matrix(boss=LegMode(coaching=DESK)) == {"car": "df", "desk": "bcf", "fire": "cd", "boss": "cdf"}


def test_coaching_somebody_who_is_held_is_heard_by_nobody():
    assert "b" not in "".join(matrix(boss=LegMode(coaching=DESK), desk=LegMode(held=True)).values())


MODES = st.builds(LegMode, held=st.booleans(), muted=st.booleans(), coaching=st.sampled_from((None, *ALL)))


@given(st.fixed_dictionaries(dict.fromkeys(ALL, MODES)))
def test_nobody_hears_oneself_and_held_legs_have_no_row_and_no_column(modes):
    for listener in ALL:
        for speaker in ALL:
            heard = hears(listener, speaker, modes=modes)
            if listener == speaker or modes[listener].held or modes[speaker].held or modes[speaker].muted:
                assert not heard
            elif modes[speaker].coaching is None:
                assert heard
            else:
                assert heard == (modes[speaker].coaching == listener)
