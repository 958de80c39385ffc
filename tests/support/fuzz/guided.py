"""Runs one target under libFuzzer (atheris), which follows the coverage of the bench's formats and of the device's
modules: `python -m support.fuzz.guided TARGET [options of libFuzzer]`. With files in place of options it runs the
target once on each of them, and needs no fuzzer.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import CodeType
from typing import Any

INSTRUMENTED = ["slotbench.formats", "slotbench.boards", "slotbench.vboard.loader.image", "tomllib"]
MISSING = 3
"""Exit code when there is no atheris."""


def main(name: str, options: list[str]) -> int:
    if options and not any(option.startswith("-") for option in options):
        from support.fuzz.targets import TARGETS, Fuzzed

        for file in options:
            TARGETS[name].run(Fuzzed(), Path(file).read_bytes())
            print(f"{name}: nothing is wrong with {file}")
        return 0
    try:
        import atheris
    except ImportError as error:
        print(f"no coverage-guided fuzzer: {error}; pip install atheris", file=sys.stderr)
        return MISSING
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from support.fuzz.targets import TARGETS, Fuzzed
    follow_the_device(atheris)
    target, on = TARGETS[name], Fuzzed()
    for seed in target.seeds:
        target.run(on, seed)  # what is imported on the way is instrumented before libFuzzer counts
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        options = [f"-max_len={target.longest}", *options]
        folders = [option for option in options if not option.startswith("-")]
        flags = [option for option in options if option.startswith("-")]
        atheris.Setup([name, *flags, *(folders or [folder]), folder], lambda data: target.run(on, data))
        atheris.Fuzz()  # ends the process
    return 0


def follow_the_device(atheris: Any) -> None:
    """Have the board's own files instrumented when they are compiled."""
    from slotbench.vboard.vm import CPythonVM

    compiled = CPythonVM._compile
    followed: dict[CodeType, CodeType] = {}

    def follow(self: CPythonVM, content: bytes, filename: str, shown: str) -> CodeType:
        code = compiled(self, content, filename, shown)
        if code not in followed:
            followed[code] = atheris.patch_code(code, True)
        return followed[code]

    CPythonVM._compile = follow  # type: ignore[method-assign]


def in_child() -> None:
    """Go on in a child process, and end as it does. Linux counts the most memory that a program's starter ever
    had as the program's, and libFuzzer believes it; a child counts from zero.
    """
    if process := os.fork():
        os._exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) & 0xFF)


if __name__ == "__main__":
    in_child()
    sys.exit(main(sys.argv[1], sys.argv[2:]))
