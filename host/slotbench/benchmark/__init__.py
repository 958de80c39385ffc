"""What an update costs beside other ways: bytes of each pair of images, and seconds by a model."""

from __future__ import annotations

from slotbench.benchmark.inputs import ImagePair
from slotbench.benchmark.model import modelled_seconds
from slotbench.benchmark.sizes import OTHERS, WAYS, PairSizes, compare, median_ratios

__all__ = ["OTHERS", "WAYS", "ImagePair", "PairSizes", "compare", "median_ratios", "modelled_seconds"]
