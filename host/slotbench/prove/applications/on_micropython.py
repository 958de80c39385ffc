"""The same on the real MicroPython VM: whole boards with all of twoslot, and the littlefs of the VM."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from slotbench.prove.applications.board import ApplicationBed
from slotbench.prove.applications.proof import ApplicationCut, Ending
from slotbench.prove.applications.sweep import ApplicationFailure, ApplicationPart
from slotbench.prove.parallel import workers
from slotbench.prove.updaters.recording import CutPoint
from slotbench.prove.updaters.twoslot import ApplicationBench
from slotbench.vboard.signals import BenchViolation

__all__ = ["sweep_on_micropython"]

_BATCH: Final = 4
_SAMPLED_OF: Final = 20

_bench: ApplicationBench | None = None
"""Of the process that forks."""


def sweep_on_micropython(
    folder: Path, endings: Sequence[Ending], *, sampled: bool = False, processes: int, seed: int = 0,
    on_part: Callable[[ApplicationPart], object] = lambda part: None,
) -> list[ApplicationPart]:
    """Cut every operation before it, and inside of it in two ways, and bring the boards to rest.

    An ending by a traceback is left out, and so are patches. `sampled`: one of 20 cuts, drawn. `folder` is
    for the product. Raises BenchError without a MicroPython VM.
    """
    global _bench
    parts = []
    for ending in endings:
        if ending is Ending.TRACEBACK:
            continue  # the unix port has no os.dupterm()
        if ending is Ending.PATCH:
            continue  # its programs are too small for one
        _bench = ApplicationBench(folder / ending.value)
        recording, _ = _bench.record_update(crashes=ending is Ending.FALLBACK)
        points = list(recording.cuts())
        part = ApplicationPart(
            ApplicationBed.LOADER, ending, is_pairs=False, operations=len(recording.operations),
            whole=len(points), vm="micropython")
        if sampled:
            points = random.Random(f"{seed} {ending.value}").sample(points, len(points) // _SAMPLED_OF)
        begun = time.perf_counter()
        with workers(processes) as pool:  # they fork when the recording is there
            batches = [points[at : at + _BATCH] for at in range(0, len(points), _BATCH)]
            results = (each for some in pool.map(_bring_to_rest, batches) for each in some)
            for point, found in zip(points, results):
                if isinstance(found, str):
                    run = ApplicationCut(part.bed, ending, (point.cut,))
                    part.failures.append(ApplicationFailure(run, found))
                else:
                    part.boots += found
        part.cuts, part.seconds = len(points), time.perf_counter() - begun
        parts.append(part)
        on_part(part)
    return parts


def _bring_to_rest(points: Sequence[CutPoint]) -> list[int | str]:
    """For each point how often the board started, or what is wrong."""
    assert _bench is not None
    found: list[int | str] = []
    for point in points:
        try:
            found.append(_bench.bring_to_rest(point.flash))
        except (BenchViolation, Exception) as error:  # whatever ends a VM
            found.append(f"{type(error).__name__}: {error}")
    return found
