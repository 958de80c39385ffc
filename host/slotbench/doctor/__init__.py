"""What usually goes wrong between a computer, a site and a board, and the cure of each."""

from __future__ import annotations

from slotbench.doctor.findings import Diagnosis, State

__all__ = ["Diagnosis", "State"]
