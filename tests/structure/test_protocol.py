"""The page's types are made of the service's own, so neither can change alone."""

from ops.protocol import PAGE, page


def test_the_types_of_the_page_are_made_of_the_orders_frames_and_events_as_they_are():
    assert PAGE.read_text() == page(), "run: python ops/protocol.py"
