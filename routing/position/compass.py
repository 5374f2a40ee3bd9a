"""Eight directions of the compass in words."""

_JA = ("北", "北東", "東", "南東", "南", "南西", "西", "北西")
_EN = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def compass(bearing_deg: float, *, japanese: bool) -> str:
    """The nearest of the eight; ``bearing_deg`` from north, clockwise, any number of turns."""
    return (_JA if japanese else _EN)[round(bearing_deg / 45.0) % 8]
