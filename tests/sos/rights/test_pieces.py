"""What is another's is blacked out, however it is written."""

import pytest

from sos.incident.identity import folded
from sos.rights.pieces import BLACK, Person, blackened, other_names

ME = Person(name=folded("架空 太郎"), tels=frozenset({"+81300001234"}), holder=True, the_one=False, words_read=True)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("想像 花 さんが通報", f"{BLACK} さんが通報"),
        ("想像花と想像　花", f"{BLACK}と{BLACK}"),
        ("03-0000-5678 に折り返し", f"{BLACK} に折り返し"),
        ("０３-００００-５６７８", BLACK),
        ("+81300005678", BLACK),
        ("03-0000-1234 はご本人", "03-0000-1234 はご本人"),
        ("架空 太郎 さん、速度 60", "架空 太郎 さん、速度 60"),
        ("", ""),
    ],
)
def test_names_and_numbers_of_others_are_blacked_out_and_the_persons_own_are_not(words: str, given: str):
    assert blackened(words, ME, {"想像 花"}) == given


def test_who_is_named_in_no_field_is_nobody_the_house_knows():
    assert other_names((), ME.name) == frozenset()
