"""The page of settings says what the code says."""

import pytest

from ops.settings_page import PAGE, SOURCE, page


def test_the_page_of_settings_is_made_of_the_settings_as_they_are():
    assert PAGE.read_text() == page(SOURCE.read_text()), "run: python ops/settings_page.py"


def test_a_group_that_has_no_place_on_the_page_is_named():
    with pytest.raises(SystemExit, match="PagerSettings"):
        page(SOURCE.read_text() + "\n\nclass PagerSettings:\n    number: str\n")
