"""Whose place is this?  Layers of areas: the coarse prefectures that ship, the exact municipalities one imports.

To import: ``sources`` reads what authorities publish, ``build`` makes an ``index`` of it, ``survey`` and ``enclaves``
check it.  ``projection`` is what all of them measure in.
"""

from routing.boundaries.layer import NEAREST_LIMIT_M, SEA_LIMIT_M, Border, Layer, Match, Share
from routing.boundaries.municipal import MunicipalLayer
from routing.boundaries.prefectures import PrefectureLayer

__all__ = ["NEAREST_LIMIT_M", "SEA_LIMIT_M", "Border", "Layer", "Match", "MunicipalLayer", "PrefectureLayer", "Share"]
