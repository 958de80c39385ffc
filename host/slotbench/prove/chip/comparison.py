"""What the proof on the emulated chip measured, beside the MicroPython VM and the design pages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from slotbench.errors import BenchError
from slotbench.prove import memory as memory_proof
from slotbench.prove.chip.story import Figures, FirmwareStory
from slotbench.prove.memory import HeapShares
from slotbench.prove.parallel import workers

__all__ = ["DESIGN", "STACK_LIMIT", "comparison_table", "vm_shares"]

DESIGN: Final = HeapShares(boot=3_984, idle=6_688, room=10_000)
"""What device/docs/memory.md says."""
STACK_LIMIT: Final = 8_192
"""What MicroPython checks for; its C code goes some hundred bytes further below the check."""

_WORDS: Final = 64
_COLUMN: Final = 18
_NONE: Final = "-"

_Reference = Callable[[HeapShares], int]

_ROWS: Final[tuple[tuple[str, Callable[[Figures], int | float], _Reference | None, int | None], ...]] = (
    ("heap that twoslot takes when main.py begins, bytes",
     lambda seen: seen.boot_bytes, lambda shares: shares.boot, None),
    ("heap that twoslot takes between two checks, bytes",
     lambda seen: seen.idle_bytes, lambda shares: shares.idle, None),
    ("application held during an update (VM: the largest that fits)",
     lambda seen: seen.ballast, lambda shares: shares.room, None),
    ("heap free without twoslot, bytes", lambda seen: seen.heap_bare, None, None),
    ("heap free with twoslot between two checks, bytes", lambda seen: seen.heap_idle, None, None),
    ("C stack at most (design: MicroPython's limit), bytes", lambda seen: seen.stack, None, STACK_LIMIT),
    ("cycles from the check to the confirmation, without waits, millions",
     lambda seen: round(seen.cycles / 1e6), None, None),
    ("instructions for all that, millions", lambda seen: round(seen.instructions / 1e6), None, None),
    ("download by tick(), s of the chip's time", lambda seen: seen.download_s, None, None),
    ("restart into the trial, until main.py, s", lambda seen: seen.restart_s, None, None),
    ("until the trial is confirmed, s", lambda seen: seen.confirm_s, None, None),
    ("flash operations of the download", lambda seen: seen.operations, None, None),
    ("bytes received", lambda seen: seen.received, None, None),
    ("times the watchdog barked", lambda seen: seen.watchdog_stages, None, None),
)


@contextmanager
def vm_shares(wanted: bool) -> Iterator[Future[HeapShares] | None]:
    """The heap's shares on the MicroPython VM, measured while the body runs; None when not wanted."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder, workers(1) as pool:
        yield pool.submit(memory_proof.measure_shares, Path(folder))


def comparison_table(stories: Sequence[FirmwareStory], measuring: Future[HeapShares] | None) -> list[str]:
    """The lines of the comparison: a column for each story, one for the VM and one for the design pages.

    Waits for the VM. What it cannot tell is a dash, and why it could not be measured is said below.
    """
    shares, why = _ended(measuring)
    names = [*(f"{story.before} to {story.after}" for story in stories), "MicroPython VM", "design pages"]
    lines = ["", _line("", names)]
    for words, value, reference, limit in _ROWS:
        of_vm = _shown(reference(shares)) if reference is not None and shares is not None else _NONE
        of_design = _shown(reference(DESIGN)) if reference is not None else _shown(limit)
        lines.append(_line(words, [*(_shown(value(story.figures)) for story in stories), of_vm, of_design]))
    lines.append(_line("power cuts survived", [*(_shown(story.cuts) for story in stories), _NONE, _NONE]))
    lines.append(_line(
        "seconds of this machine", [*(_shown(round(story.host_s)) for story in stories), _NONE, _NONE]))
    return [*lines, *([f"the MicroPython VM was not measured: {why}"] if why else [])]


def _ended(measuring: Future[HeapShares] | None) -> tuple[HeapShares | None, str]:
    if measuring is None:
        return None, ""
    try:
        return measuring.result(), ""
    except BenchError as error:
        return None, str(error)


def _line(words: str, columns: Sequence[str]) -> str:
    return f"{words:{_WORDS}}" + "".join(f"{column:>{_COLUMN}}" for column in columns)


def _shown(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
