"""The tests of tests/fuzz, again and again with other seeds, until the time is up."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["Round", "prove"]

_ROOT: Final = Path(__file__).parents[3]
_COUNTED: Final = re.compile(r"(\d+) passed")
_EXAMPLES: Final = re.compile(r"(\d+) passing(?: examples)?, ")
_FAILED: Final = 1
_TEXT_MAX: Final = 4000


@dataclass(frozen=True, slots=True)
class Round:
    """One run of all tests with a seed: how many passed, with how many examples; `text` is of what failed."""

    seed: int
    passed: int
    examples: int
    seconds: float
    text: str = ""


def prove(
    minutes: float, *, seed: int = 0, processes: int = 2, only: str | None = None,
    on_round: Callable[[Round], object] = lambda round: None,
) -> list[Round]:
    """Begin rounds until the time is up, and end with the first that fails; `only` is pytest's -k.

    Raises BenchError where there is no checkout.
    """
    if not (_ROOT / "tests" / "fuzz").is_dir():
        raise BenchError(
            "no tests to repeat", where=str(_ROOT / "tests" / "fuzz"), do="run it in a checkout",
            exit_code=USAGE)
    end = time.monotonic() + 60 * minutes
    rounds: list[Round] = []
    with ThreadPoolExecutor(processes) as pool:
        begun = {pool.submit(_round, seed + number, only) for number in range(processes)}
        following = seed + processes
        while begun:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            for future in done:
                rounds.append(future.result())
                on_round(rounds[-1])
            while time.monotonic() < end and len(begun) < processes and not any(it.text for it in rounds):
                begun.add(pool.submit(_round, following, only))
                following += 1
    return rounds


def _round(seed: int, only: str | None) -> Round:
    begun = time.monotonic()
    command = [
        sys.executable, "-m", "pytest", "tests/fuzz", "-q", "-p", "no:cacheprovider",
        "--hypothesis-profile=long", f"--hypothesis-seed={seed}", "--hypothesis-show-statistics",
        *(("-k", only) if only else ())]
    run = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if run.returncode not in (0, _FAILED):
        raise BenchError("cannot run the tests", where=(run.stdout + run.stderr)[-500:], exit_code=USAGE)
    passed = _COUNTED.search(run.stdout)
    examples = sum(map(int, _EXAMPLES.findall(run.stdout)))
    text = run.stdout[-_TEXT_MAX:] if run.returncode else ""
    return Round(seed, int(passed[1]) if passed else 0, examples, time.monotonic() - begun, text)
