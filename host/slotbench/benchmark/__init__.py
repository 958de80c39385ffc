"""What an update costs beside other ways: bytes of each pair of images, and seconds by a model."""

from __future__ import annotations

from slotbench.benchmark.model import modelled_seconds
from slotbench.benchmark.sizes import OTHERS, PairSizes, compare

__all__ = ["OTHERS", "PairSizes", "compare", "modelled_seconds"]
