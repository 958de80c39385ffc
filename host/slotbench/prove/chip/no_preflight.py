"""Why a firmware gets no preflight here. Commands that start no chip ask it: it imports little."""

from __future__ import annotations

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats.release import Preflight
from slotbench.images.bench import is_bench_image

__all__ = ["reason_for_none"]


def reason_for_none(board: BoardProfile, image: bytes) -> Preflight | None:
    """The reason why this image gets no preflight here; None: it gets one."""
    if board.in_place:
        return Preflight.NATIVE
    if is_bench_image(image):
        return Preflight.BENCH
    from slotbench.vboard.chip.build import compiler
    from slotbench.vboard.chip.network import slirp

    try:
        compiler()
    except BenchError:
        return Preflight.NO_COMPILER
    return Preflight.NO_NETWORK if slirp.missing() else None
