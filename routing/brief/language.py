"""The languages of a brief."""

from typing import Literal

Language = Literal["ja", "en"]
