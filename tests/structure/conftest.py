"""For the tests that read all the source."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def unsearched() -> Iterator[None]:
    """The syntax trees of a thousand files are no garbage: to search them for it took half of the time."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()
