"""The claims that ``python -m tests.mutations`` breaks: there are enough, and each can still be broken as it says."""

import pytest

from tests.mutations.__main__ import Claim, chosen, claims, fault


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.says)
def test_the_code_of_a_claim_stands_where_it_says_once(claim: Claim):
    assert fault(claim) == ""
    assert claim.code != claim.broken


def test_there_are_twenty_claims_and_what_is_read_heard_and_seen_is_among_them():
    made = claims()

    assert len(made) >= 20
    assert len({claim.says for claim in made}) == len(made)
    for form in ("routing/brief/crash_words.py", "routing/brief/fax.py", "sos/console/web", "adapters/portal.py"):
        assert any(form in claim.file for claim in made), form


def test_claims_are_chosen_by_number_or_word():
    about = [number for number, claim in enumerate(claims(), 1) if "fax" in claim.says]
    assert about
    assert [number for number, _ in chosen(["3", "fax"])] == sorted({3, *about})
    assert len(chosen(["--short"])) == 2
