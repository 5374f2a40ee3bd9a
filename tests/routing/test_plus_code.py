"""Plus Codes are those of the reference: its published examples, and the edges of the map."""

import pytest

from routing.position.plus_code import plus_code


@pytest.mark.parametrize(
    ("latitude", "longitude", "code"),
    [
        (47.0000625, 8.0000625, "8FVC2222+22"),  # of the reference's test data, as the next three
        (-41.2730625, 174.7859375, "4VCPPQGP+Q9"),
        (20.3700625, 2.7821875, "7FG49QCJ+2V"),
        (-89.9999375, -179.9999375, "22222222+22"),
        (35.681236, 139.767125, "8Q7XMQJ8+FV"),
        (90, 1, "CFX3X2X2+X2"),
        (0, 180, "62G22222+22"),
        (59.1665, -105.2742, "95FP5P8G+J8"),  # a field's own edge: counted in two steps it was the one below
    ],
)
def test_a_place_has_the_code_of_the_reference(latitude: float, longitude: float, code: str) -> None:
    assert plus_code(latitude, longitude) == code
