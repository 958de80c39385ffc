"""The tests of tests/fuzz with ever new seeds, and the same promises under a coverage-guided fuzzer
(atheris: libFuzzer), until the time is up.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["FOUND", "TARGETS", "Round", "has_guide", "prove_fuzz", "repeat", "run_guided"]

TARGETS: Final = (
    "journal", "descriptor", "map", "tail", "windowlog", "document", "head", "release", "keys", "blocks",
    "answer", "image", "patch", "board",
)
"""The targets of the guided fuzzer (tests/support/fuzz/targets.py)."""

_ROOT: Final = Path(__file__).parents[3]
_KEPT: Final = _ROOT / ".cache" / "fuzz"
FOUND: Final = _KEPT / "found"
"""The folder for inputs that break a promise. Their names begin with that of the target."""

_SLICE_S: Final = 60
_ONE_INPUT_S: Final = 20
_MEMORY_MB: Final = 1024
_COUNTED: Final = re.compile(r"(\d+) passed")
_COUNTED_FAILED: Final = re.compile(r"\d+ failed")
_EXAMPLES: Final = re.compile(r"(\d+) passing(?: examples)?, ")
_EXECUTED: Final = re.compile(r"number_of_executed_units: (\d+)")
_WRITTEN: Final = re.compile(r"Test unit written to (\S+)")
_FAILED: Final = 1
_TEXT_MAX: Final = 4000


@dataclass(frozen=True, slots=True)
class Round:
    """All tests with one seed, or one `target` under the guided fuzzer: how many tests passed, and
    how many examples. `text` says what failed, `repeat` is the command that repeats it.
    """

    seed: int
    passed: int
    examples: int
    seconds: float
    text: str = ""
    target: str = ""
    repeat: str = ""


def prove_fuzz(
    minutes: float, *, seed: int = 0, processes: int = 2, only: str | None = None,
    targets: Sequence[str] | None = None, on_round: Callable[[Round], object] = lambda round: None,
) -> list[Round]:
    """Run rounds until the time is up or one fails.

    Rounds of the tests and of a guided target alternate. `only` is pytest's -k and leaves the
    guided fuzzer out. `targets` names the guided targets and leaves the tests out. Raises
    BenchError outside a checkout.
    """
    _require_checkout()
    end = time.monotonic() + 60 * minutes
    rounds: list[Round] = []
    guided = [] if only is not None or not has_guide() else list(TARGETS if targets is None else targets)

    def begin(number: int) -> Round:
        if guided and (number % 2 or targets is not None):
            name = guided[(number if targets is not None else number // 2) % len(guided)]
            seconds = max(1, min(_SLICE_S, round(end - time.monotonic())))
            return run_guided(name, seed + number, [f"-max_total_time={seconds}"], _KEPT / name)
        return _round(seed + number, only)

    with ThreadPoolExecutor(processes) as pool, _killing_programs():
        begun = {pool.submit(begin, number) for number in range(processes)}
        following = processes
        while begun:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            for future in done:
                rounds.append(future.result())
                on_round(rounds[-1])
            while time.monotonic() < end and len(begun) < processes and not any(it.text for it in rounds):
                begun.add(pool.submit(begin, following))
                following += 1
    return rounds


def has_guide() -> bool:
    """Whether the guided fuzzer is installed here."""
    return importlib.util.find_spec("atheris") is not None


def run_guided(
    target: str, seed: int, options: Sequence[str], kept: Path | None = None, found: Path = FOUND
) -> Round:
    """Run one target under the guided fuzzer, bounded by options of libFuzzer.

    Inputs that reach new code are saved in `kept`, where the next round begins. Inputs that break a
    promise, take longer than 20 s or more than 1 GB are saved in `found`.
    """
    begun = time.monotonic()
    for folder in (found, kept):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    bounds = [f"-timeout={_ONE_INPUT_S}", f"-rss_limit_mb={_MEMORY_MB}"]
    run = _support(target, [
        f"-seed={seed + 1}", *bounds, f"-artifact_prefix={found}/{target}-", "-print_final_stats=1", *options,
        *([str(kept)] if kept is not None else [])])
    said = run.stdout + run.stderr
    executed = _EXECUTED.search(said)
    if executed is None and not run.returncode:
        raise BenchError("the guided fuzzer did not run", where=said[-500:], exit_code=USAGE)
    written = _WRITTEN.search(said)
    text = said[-_TEXT_MAX:] if run.returncode else ""
    repeat = f"slotbench prove fuzz --repeat {written[1]}" if written else ""
    examples = int(executed[1]) if executed else 0
    return Round(seed, 0, examples, time.monotonic() - begun, text, target, repeat)


def repeat(file: Path) -> str:
    """Run the target that a file is named after with this file, without the fuzzer; returns the
    output.

    Raises BenchError if the promise is still broken or the name holds no target.
    """
    _require_checkout()
    target = file.name.partition("-")[0]
    if target not in TARGETS:
        raise BenchError(
            f"no target {target!r}", where=str(file), exit_code=USAGE,
            cure="give a file that a failure named: its name begins with that of the target")
    run = _support(target, [str(file.resolve())])
    if run.returncode:
        raise BenchError("a promise is broken", where=(run.stdout + run.stderr)[-_TEXT_MAX:])
    return run.stdout


def _require_checkout() -> None:
    if not (_ROOT / "tests" / "fuzz").is_dir():
        raise BenchError(
            "no tests to repeat", where=str(_ROOT / "tests" / "fuzz"), cure="run it in a checkout",
            exit_code=USAGE)


def _support(target: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(_ROOT / folder) for folder in ("host", "tests", "tools"))
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        # libFuzzer ends its process without tidying up.
        return _run_program(
            ["support.fuzz.guided", target, *arguments],
            {**os.environ, "PYTHONPATH": path, "TMPDIR": folder})


def _round(seed: int, only: str | None) -> Round:
    begun = time.monotonic()
    command = [
        "pytest", "tests/fuzz", "-q", "-p", "no:cacheprovider",
        "--ignore=tests/fuzz/test_guided.py", "--hypothesis-profile=long", f"--hypothesis-seed={seed}",
        "--hypothesis-show-statistics", *(("-k", only) if only else ())]
    run = _run_program(command)
    passed = _COUNTED.search(run.stdout)
    if run.returncode not in (0, _FAILED) or not (passed or _COUNTED_FAILED.search(run.stdout)):
        # Python without pytest ends with 1 too, and so does one whose tests cannot be imported.
        raise BenchError(
            "cannot run the tests, so nothing is proven", where=(run.stdout + run.stderr).strip()[-500:],
            cure="install what tests need: `pip install -e '.[test]'`, and check --only", exit_code=USAGE)
    examples = sum(map(int, _EXAMPLES.findall(run.stdout)))
    return Round(
        seed, int(passed[1]) if passed else 0, examples, time.monotonic() - begun,
        text=run.stdout[-_TEXT_MAX:] if run.returncode else "",
        repeat=f"slotbench prove fuzz --minutes 0 --processes 1 --seed {seed}")


_running: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()
"""What starts from now on is killed at once."""


def _run_program(
    module: Sequence[str], environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in the checkout, with these arguments."""
    with subprocess.Popen(
        [sys.executable, "-m", *module], cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, errors="replace", env=environment, start_new_session=True,
    ) as program:
        _running.add(program)
        if _stopping.is_set():
            _kill(program)
        try:
            said, errors = program.communicate()
        finally:
            _running.discard(program)
    return subprocess.CompletedProcess(program.args, program.returncode, said, errors)


@contextmanager
def _killing_programs() -> Iterator[None]:
    """Kill what still runs, if the block raises: Ctrl-C must not wait for a round."""
    _stopping.clear()
    try:
        yield
    except BaseException:
        _stopping.set()
        for program in list(_running):
            _kill(program)
        raise


def _kill(program: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
