"""A car that goes on moving: agencies get one newer brief a minute at most, and the last place always gets there."""

from datetime import datetime
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sos.incident import place
from sos.incident.deadline import DeadlineName
from sos.incident.lifecycle import deadlines
from sos.incident.model import AgencyId
from tests.journeys import story as s
from tests.journeys.story import Story

AGENCIES = (s.FIRE, s.POLICE)


class Moving:
    """Tells as ``sos.dispatch.corrections`` does: what is due, when something has happened or a deadline passes."""

    def __init__(self) -> None:
        self.made = Story()
        self.sent: dict[AgencyId, list[datetime]] = {agency: [] for agency in AGENCIES}
        for command in (s.open_incident(), s.file_report(), s.plan(), s.take()):
            self.made.do(command)
        for number, agency in enumerate(AGENCIES):
            self.made.do(s.disclose(f"d{number}-1", agency, confirmed=True))

    def moves(self, after_s: float) -> None:
        until = self.made.now.timestamp() + after_s
        self._pass_until(until)
        self.made.do(s.plan(moved_m=900), after_s=until - self.made.now.timestamp())
        self._tell()

    def rests(self) -> None:
        self._pass_until(self.made.now.timestamp() + 3600)

    def _pass_until(self, until: float) -> None:
        while (due := dict(deadlines(self.made.incident)).get(DeadlineName.CORRECT)) and due.timestamp() <= until:
            self.made.do(s.passing(DeadlineName.CORRECT), after_s=max(0.0, (due - self.made.now).total_seconds()))
            self._tell()

    def _tell(self) -> None:
        for told in place.correctable(self.made.incident, self.made.now):
            version = told.brief_version + 1
            name = f"{told.disclosure.partition('-')[0]}-{version}"
            newer = s.disclose(
                name, told.agency, supersedes=told.disclosure, corrected=True, confirmed=True, version=version
            )
            self.made.do(replace(newer, unattended=told.unattended))
            self.sent[told.agency].append(self.made.now)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 5, 29, 59, 60, 61, 200]), min_size=1, max_size=25))
def test_whatever_the_car_does_the_last_place_gets_there_and_nobody_is_flooded(steps: list[int]):
    moving = Moving()
    for after_s in steps:
        moving.moves(after_s)
    moving.rests()

    assert place.outdated(moving.made.incident) == ()
    assert DeadlineName.CORRECT not in dict(deadlines(moving.made.incident))
    for times in moving.sent.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap >= place.CORRECT.after for gap in gaps)


def test_the_first_move_is_told_at_once_and_ten_in_a_minute_make_one_more():
    moving = Moving()
    for _ in range(10):
        moving.moves(5)

    assert [len(times) for times in moving.sent.values()] == [1, 1]
    moving.rests()
    assert [len(times) for times in moving.sent.values()] == [2, 2]


def test_what_may_not_be_told_without_a_person_is_not_asked_again_until_the_car_moves_again():
    moving = Moving()
    moving.moves(5)
    moving.moves(5)
    made = moving.made
    due = dict(deadlines(made.incident))[DeadlineName.CORRECT]

    made.do(s.passing(DeadlineName.CORRECT), after_s=(due - made.now).total_seconds())  # and the law says no

    assert DeadlineName.CORRECT not in dict(deadlines(made.incident))
    assert len(place.outdated(made.incident)) == 2
