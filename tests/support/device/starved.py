"""A board whose program leaves too little heap or stack for one of the package's modules."""

from __future__ import annotations

from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard

__all__ = ["RESTART", "NeverLoads", "run_main"]

RESTART = 4
"""The SDK's reason for a restart by software."""


class NeverLoads(dict[str, bytes]):
    """The board's files; one of the package's modules cannot be loaded while `full`."""

    def __init__(self, files: dict[str, bytes], module: str, error: type[Exception] = MemoryError) -> None:
        super().__init__(files)
        self.path, self.full, self.error = f"/twoslot/{module}.py", True, error

    def __getitem__(self, path: str) -> bytes:
        if path == self.path and self.full:
            raise self.error
        return super().__getitem__(path)


def run_main(
    board: DeviceBoard, vm: CPythonVM, ms: float, before: str = "", *, every_ms: int = 1000,
) -> float | None:
    """An application with a tick() a second; milliseconds until it was restarted, None if it was not."""
    begun = board.soc.clock.ms
    vm.exec(f"import twoslot\n{before}")
    while board.soc.clock.ms < begun + ms:
        try:
            vm.modules["twoslot"].tick()
        except ChipReset as reset:
            assert reset.reason == RESTART
            return board.soc.clock.ms - begun
        board.soc.clock.advance_ms(every_ms)
    return None
