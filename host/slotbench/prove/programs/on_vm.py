"""Runs programs on a VM of the virtual board, as its REPL would: a new boot for each program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.prove.programs.program import Program
from slotbench.vboard.clock import Clock
from slotbench.vboard.factory import factory_flash
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.signals import BenchViolation, ChipReset
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import DeviceVM

__all__ = ["NO_PARTS", "VmPrograms"]

NO_PARTS: Final = "nothing can be wired to its pins"
_HOST: Final = "192.168.4.2"
_CONNECT: Final = """\
import network as _n, time as _t
_n.WLAN(0).active(True)
_n.WLAN(0).connect("home", "secret")
_t.sleep(5)
del _n, _t
"""
"""A program finds the station connected, as it does on the chip."""
_UNIQUE_ID: Final = bytes.fromhex("34fe1800")


class VmPrograms:
    """Boards of `profile` whose Python `new_vm` runs. `server` is the port of the programs' server."""

    def __init__(self, profile: BoardProfile, new_vm: Callable[..., DeviceVM], *, server: int = 0) -> None:
        self._profile = profile
        self._new_vm = new_vm
        self._server = server

    def what_is_wrong(self, program: Program) -> str:
        """Run a program; how it differs from what it must do, empty when it does not."""
        if program.parts is not None or program.prepare is not None or program.evidence is not None:
            return NO_PARTS
        try:
            printed, wanted = self.run(program).strip(), program.prints.strip()
        except BenchViolation as error:
            return str(error)
        wanted = wanted.replace("SERVER", str(self._server)).replace(_HOST, "127.0.0.1")
        return "" if printed == wanted else printed.splitlines()[-1] if printed else "it prints nothing"

    def run(self, program: Program) -> str:
        """Run a program; what it printed."""
        flash = factory_flash(self._profile, [], log=False)
        flash.poke(self._profile.filesystem.start, b"\xff" * self._profile.filesystem.size)
        flash.clock = Clock()
        soc = Soc(flash, seed=1, unique_id=_UNIQUE_ID)
        soc.power_off()
        soc.power_on()
        printed: list[str] = []
        files: dict[str, bytes] = {}
        reason = 0
        for source in (program.source, program.then):
            if not source:
                break
            soc.start_sdk()
            vm = self._new_vm(soc, files, LoopbackNetwork(), console=printed.append)
            if program.network:
                self._exec(vm, _CONNECT, soc, program)
            reason = self._exec(vm, self._for_this_machine(source), soc, program)
            vm.close()
            if program.then and source is program.source:
                printed.clear()
                if reason:
                    soc.start(reason)
        return "".join(printed)

    @staticmethod
    def _exec(vm: DeviceVM, source: str, soc: Soc, program: Program) -> int:
        """Run a source; the reason of the restart that it ends in, 0 without one."""
        vm.interrupt_at(soc.clock.ms + program.limit_s * 1000)
        try:
            vm.exec(source)
        except ChipReset as reset:
            soc.clock.advance_us(reset.sleep_us or 0)
            return reset.reason
        except (KeyboardInterrupt, SystemExit):
            return 0
        except (Exception, BenchViolation) as error:
            vm.print_exception(error)
        return 0

    def _for_this_machine(self, source: str) -> str:
        return source.replace("SERVER", str(self._server)).replace(_HOST, "127.0.0.1")
