"""The serial port of a running board: who answers there, and the effects of what a host sends."""

from __future__ import annotations

from collections.abc import Callable

from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.live.paced_clock import PacedClock
from slotbench.vboard.serial.rom import DownloadMode
from slotbench.vboard.serial.terminal import Terminal
from slotbench.vboard.serial.uart import Reset, Uart

__all__ = ["LiveSerial"]


class LiveSerial:
    """`uart` with the REPL's terminal behind it, and the ROM while the board is in download mode.
    """

    def __init__(self, uart: Uart) -> None:
        self.uart = uart
        self.terminal = uart.application = Terminal(uart.send)

    def serve(self, board: VirtualBoard, clock: PacedClock) -> Reset | None:
        """Transfer bytes; returns what the reset circuit does to the board. Raises PowerCut at a
        cut operation.
        """
        try:
            self.uart.serve()
        finally:
            if self.uart.rom is not None:
                # What a host does to the flash takes the time that it takes there.
                clock.drop_lead()
        if board.state is BoardState.OFF:
            self.uart.drop_input()
        wanted = self.uart.take_reset()
        if wanted is not None:
            board.straps = wanted
        return wanted

    def rom(self, board: VirtualBoard, listen: Callable[[], object]) -> None:
        """Give the port to the ROM while `listen` runs, until it raises a reset or a loss of power.
        """
        if self.uart.rom is None:
            self.uart.rom = DownloadMode(board.soc, self.uart.send)
        try:
            listen()
        except BaseException:
            # What was in RAM is gone.
            self.uart.rom = None
            raise
