"""What must always hold of a board: the proof's own check, under the name that tests know."""

from __future__ import annotations

from slotbench.prove.invariants import ATTEMPTS, Invariants, image_for

__all__ = ["ATTEMPTS", "Invariants", "image_for"]
