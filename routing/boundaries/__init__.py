"""Whose place is this?  Layers of areas: the coarse prefectures that ship, the exact municipalities one imports."""

from routing.boundaries.layer import NEAREST_LIMIT_M, SEA_LIMIT_M, Border, Layer, Match, Share
from routing.boundaries.municipal import MunicipalLayer
from routing.boundaries.prefectures import PrefectureLayer

__all__ = ["NEAREST_LIMIT_M", "SEA_LIMIT_M", "Border", "Layer", "Match", "MunicipalLayer", "PrefectureLayer", "Share"]
