"""A virtual board: flash, chip, loader, firmware; with a power switch, a reset button and a REPL."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from slotbench.boards import BoardProfile
from slotbench.formats import FormatError, journal
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.image import E9_MAGIC
from slotbench.formats.seal import PAGE_BYTES
from slotbench.images.frozen import BOOT, MAIN
from slotbench.vboard.firmware import Behaviour, Marker, marker_of
from slotbench.vboard.facades.files import absolute
from slotbench.vboard.flash.cuts import Cut
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.frozen import PROGRAMS, modules_of
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.loader.stock import StockStart
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.serial.repl import Repl
from slotbench.vboard.serial.terminal import Terminal
from slotbench.vboard.serial.uart import Reset
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut
from slotbench.vboard.soc import Soc
from slotbench.vboard.states import BoardState, Boot
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["LOADERS", "BoardState", "Boot", "VirtualBoard"]

LOADERS = {"model": LoaderModel, "machine": LoaderMachine}
"""What can boot a virtual board, by the names of `--loader`."""

_STEPS = (*" head release table scan download verify activate done app list prepare unpack".split(" "),)
"""The states of the device's agent (device/twoslot/agent.py)."""

_Loader = LoaderModel | LoaderMachine | StockStart
_BOOTS_MAX = 64
_CRASH_MS, _FIRMWARE_START_MS, _LOOK_EVERY_MS = 300, 400, 1000


class VirtualBoard:
    """A board with flash, network and files that outlive its resets; off until `power_on()`.

    `files` maps absolute paths to content. `loader` boots it: the model, or the machine code in its sector 0;
    a board of stock firmware has none. `vm` makes what runs its Python at each boot. `on_boot` is called
    whenever a firmware starts, before any Python runs. `on_print` gets what the board prints. `on_wait` is
    called whenever the program on the board waits. With a `terminal` main.py is followed by the REPL, which
    calls `on_code` after each piece of code it ran. `folders` are those of the filesystem, empty ones
    included. `on_busy` is that of Runtime. `straps` is what EN and GPIO0 do at the next reset only.
    """

    def __init__(
        self,
        profile: BoardProfile,
        flash: NorFlash,
        network: Network,
        files: dict[str, bytes],
        *,
        seed: int = 0,
        unique_id: bytes | None = None,
        sdk_save_every: int = 29,
        vm: Callable[..., DeviceVM] = CPythonVM,
        loader: type[LoaderModel] | type[LoaderMachine] = LoaderModel,
        on_boot: Callable[[VirtualBoard, Boot], object] | None = None,
        on_print: Callable[[str], object] | None = None,
        on_wait: Callable[[VirtualBoard], object] | None = None,
        on_busy: Callable[[], object] | None = None,
        on_code: Callable[[], object] = lambda: None,
        folders: set[str] | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.profile = profile
        self.flash = flash
        self.network = network
        self.files = files
        identity = unique_id if unique_id is not None else random.Random(seed).randbytes(4)
        self.soc = Soc(flash, seed=seed, unique_id=identity, sdk_save_every=sdk_save_every)
        self.soc.power_off()
        self.clock = flash.clock
        self.loader: type[_Loader] = loader if profile.has_loader else StockStart
        self.on_boot = on_boot
        self.on_print = on_print
        self.on_wait = on_wait
        self.on_busy = on_busy
        self.state = BoardState.OFF
        self.straps = Reset.RUN
        self.boots: list[Boot] = []
        self.cut: Cut | None = None
        self.result: BootResult | None = None
        self.terminal = terminal
        self.folders = folders if folders is not None else set()
        self._repl = Repl(terminal, on_code) if terminal is not None else None
        self._at_repl = False
        self._new_vm = vm
        self._vm: DeviceVM | None = None
        self._program = Behaviour.HEALTHY
        self._printed: list[str] = []
        self._until: Callable[[], bool] | None = None
        self._next_look_us = 0
        self._end_ms: int | None = None

    # The switch and the button.

    def power_on(self) -> BoardState:
        """Supply power: the loader starts, then boot.py. Returns the state it comes to."""
        if self.state is not BoardState.OFF:
            raise ValueError("the board has power already")
        self.cut = None
        self._guard(self._power_on)
        return self.state

    def power_off(self) -> None:
        """Switch the power off: RAM and RTC memory are lost."""
        self.soc.power_off()
        self._close()
        self.state = BoardState.OFF

    def press_reset(self) -> BoardState:
        """Press the reset button."""
        self._require_power()
        self._guard(lambda: self._start(6))
        return self.state

    def press_button(self, pin: int, ms: int) -> None:
        """Press a button that pulls this pin to ground, for `ms` from now on. It does not bounce."""
        self._require_power()
        assert self._vm is not None
        runtime = self._vm.runtime
        runtime.drive_pin(pin, 0)
        runtime.timers.call_at(self.clock.us + ms * 1000, lambda: runtime.drive_pin(pin, 1))

    def serve_download_mode(self, session: Callable[[], object]) -> None:
        """Let a host talk to the ROM in download mode, until `session` ends.

        A reset or a loss of power that it raises is carried out.
        """
        if self.state is not BoardState.DOWNLOAD:
            raise ValueError(f"the board is {self.state.value}")
        self._guard(session)

    # Time and people.

    def run(self, ms: int, until: Callable[[], bool] | None = None) -> BoardState:
        """Run the application for `ms` of virtual time, resets included.

        With `until` it is stopped by Ctrl-C once that is true, which is checked about once a virtual second.
        """
        end_ms = self.clock.ms + ms
        self._until, self._next_look_us, self._end_ms = until, 0, end_ms
        while self.clock.ms < end_ms and self.state is not BoardState.OFF and not (until and until()):
            if self.state is not BoardState.RUNNING:
                self.clock.advance_ms(end_ms - self.clock.ms)
                break
            try:
                self._guard(lambda: self._run_program(end_ms))
            except KeyboardInterrupt:  # in boot.py, after a reset
                pass
        self._until = self._end_ms = None
        return self.state

    def run_line(self, line: str) -> str:
        """Type `line` at the REPL (Ctrl-C stops the application first); return what is printed until it ends.

        A reset that the line causes is carried out; the board is then through boot.py again.
        """
        vm = self._at_prompt()
        self._printed = []

        def typed() -> None:
            try:
                vm.exec("import twoslot")
                vm.run_line(line)
            except Exception as error:
                vm.print_exception(error)

        self._guard(typed)
        return "".join(self._printed)

    def evaluate(self, expression: str) -> Any:
        """The value of `expression` at the REPL, as a Python object of this process."""
        vm = self._at_prompt()
        vm.exec("import twoslot")
        return vm.eval(expression)

    def activity(self) -> tuple[str, int, int]:
        """The next step of the update under way ("" for none, else one of `_STEPS`), the blocks in place, and
        the blocks of the image; the numbers are 0 while they are not known.
        """
        agent = self._vm.agent() if self._vm is not None else None
        if agent is None:
            return "", 0, 0
        state, done, total = agent
        return _STEPS[state], done, total

    # What the flash holds, read without the chip.
    @property
    def cell(self) -> journal.JournalCell | None:
        """The newest journal cell."""
        region = self.profile.journal
        return _newest(self.flash.peek(region.start, region.size))

    def descriptor(self, slot: int) -> SlotDescriptor | None:
        """The descriptor of a slot, None when there is no valid one."""
        try:
            place = self.profile.slots[slot].descriptor.start
            return SlotDescriptor.unpack(self.flash.peek(place, PAGE_BYTES))
        except FormatError:
            return None

    def irom(self) -> bytes:
        """The flash that the running image executes: in the exec window, or in its slot."""
        assert self.result is not None
        return self.flash.peek(self.result.irom.start, self.result.irom.size)

    # The chain from reset to application.

    def _power_on(self) -> None:
        self.soc.power_on()
        self._start(0)

    def _start(self, reason: int) -> None:
        """Reset, loader, firmware, boot.py; repeated as long as that ends in a reset."""
        for _ in range(_BOOTS_MAX):
            self._close()
            self._at_repl = False
            if self._repl is not None:
                self._repl.reset()
            if reason:
                self.soc.start(reason)
            straps, self.straps = self.straps, Reset.RUN
            if straps is not Reset.RUN:
                self.result = None
                self.state = BoardState.HELD if straps is Reset.HOLD else BoardState.DOWNLOAD
                return
            try:
                self._load(reason)
                return
            except ChipReset as reset:
                reason = self._reset(reset)
        raise BenchViolation(f"{_BOOTS_MAX} boots in a row and no rest")

    def _load(self, reason: int) -> None:
        result = self.loader(self.soc, self.profile).boot() if self._has_loader() else None
        if result is None or isinstance(result, NothingBoots):
            self.result, self.state = None, BoardState.DEAD
            return
        self.result = result
        marker = marker_of(result.segments, self.irom(), result.irom_address)
        boot = Boot(len(self.boots), self.clock.ms, reason, result.slot, result.why, marker)
        self.boots.append(boot)
        self.state = BoardState.RUNNING
        if self.on_boot is not None:
            self.on_boot(self, boot)
        self.clock.advance_ms(_FIRMWARE_START_MS)
        if marker.does is Behaviour.CRASH:
            self.clock.advance_ms(_CRASH_MS)
            raise ChipReset(2)
        self.soc.start_sdk()
        if marker.does is Behaviour.FREEZE:
            self.state = BoardState.HUNG
            return
        self._vm = self._make_vm(marker)
        self._program = marker.does
        self._run_boot()

    def _has_loader(self) -> bool:
        """Whether the first sector holds what the ROM starts; otherwise the ROM waits for ever."""
        return self.flash.peek(self.profile.loader.start, 1)[0] == E9_MAGIC

    def _make_vm(self, marker: Marker) -> DeviceVM:
        network = NoNetwork() if marker.does is Behaviour.OFFLINE else self.network
        refuse = {"twoslot": "incompatible .mpy file"} if marker.does is Behaviour.NOIMPORT else {}
        more = {"frozen": frozen} if (frozen := modules_of(marker)) else {}
        vm = self._new_vm(self.soc, self.files, network, console=self._print, refuse=refuse, **more)
        vm.runtime.on_wait, vm.runtime.on_busy = self._waiting, self.on_busy
        self.folders |= vm.runtime.folders
        vm.runtime.folders = self.folders
        if self.terminal is not None:
            vm.attach(self.terminal)
        return vm

    def _waiting(self) -> None:
        if self.on_wait is not None:
            self.on_wait(self)
        if self._until is not None and self.clock.us >= self._next_look_us and self._vm is not None:
            self._next_look_us = (self.clock.ms + _LOOK_EVERY_MS) * 1000
            if self._until():
                self._vm.interrupt_at(self.clock.ms)

    def _run_program(self, end_ms: int) -> None:
        vm = self._vm
        assert vm is not None
        vm.interrupt_at(end_ms)
        try:
            if self._program is Behaviour.RESTART:
                vm.exec("import machine\nmachine.reset()")
            elif self._program is not Behaviour.HANG and not self._at_repl:
                self._run_file(MAIN)
                vm.runtime.greet()
            if self._repl is None or self._program is Behaviour.HANG:
                vm.runtime.wait_us(None)
            else:
                self._at_repl = True
                self._repl.run(vm)
                self._soft_reset(self._repl)
        except KeyboardInterrupt:
            vm.interrupt_at(None)
        except SystemExit:
            if self._repl is None:
                raise
            self._soft_reset(self._repl)

    def _soft_reset(self, repl: Repl) -> None:
        """Restart Python, but not the chip."""
        self._close()
        self._vm = self._make_vm(self.boots[-1].marker)
        self._at_repl = repl.raw
        self._run_boot()

    def _run_boot(self) -> None:
        assert self._vm is not None
        self._vm.interrupt_at(self._end_ms)
        # As on the port: main.py does not follow a boot.py that failed.
        self._at_repl |= not self._run_file(BOOT)

    def _run_file(self, name: str) -> bool:
        """Run the frozen program, or the file. False: it ended in an error or Ctrl-C, which is printed."""
        assert self._vm is not None
        try:
            if name in self.boots[-1].marker.frozen:
                self._vm.exec(PROGRAMS[name])
            elif (path := absolute(f"{self._vm.folder()}/{name}")) in self.files:
                self._vm.run_file(path)
            return True
        except Exception as error:
            self._vm.print_exception(error)
        except KeyboardInterrupt as error:
            if self.terminal is None or not self.terminal.interrupted():
                raise
            self._vm.print_exception(error)
        return False

    def _guard(self, action: Callable[[], object]) -> None:
        """Do something on the board. Carry out the reset or the loss of power that it ends in."""
        try:
            try:
                action()
            except ChipReset as reset:
                self._start(self._reset(reset))
        except PowerCut as lost:
            self.cut = _planned(lost)
            self.power_off()

    def _reset(self, reset: ChipReset) -> int:
        if reset.sleep_us:
            self.clock.advance_us(reset.sleep_us)
        return reset.reason

    def _close(self) -> None:
        if self._vm is not None:
            self._vm.close()
            self._vm = None

    def _print(self, text: str) -> None:
        self._printed.append(text)
        if self.on_print is not None:
            self.on_print(text)

    def _at_prompt(self) -> DeviceVM:
        self._require_power()
        if self._vm is None:
            raise BenchViolation(f"no REPL: the board is {self.state.value}")
        self._vm.interrupt_at(None)
        return self._vm

    def _require_power(self) -> None:
        if self.state is BoardState.OFF:
            raise ValueError("the board has no power")


@lru_cache(maxsize=256)
def _newest(region: bytes) -> journal.JournalCell | None:
    """Cached: it is read once a virtual second, and changes seldom."""
    newest = journal.newest_cell(region)
    return newest[1] if newest is not None else None


def _planned(lost: PowerCut) -> Cut | None:
    """The planned cut. A `finally` on the dead board may have raised another PowerCut on top of it."""
    error: BaseException | None = lost
    while error is not None:
        if isinstance(error, PowerCut) and error.cut is not None:
            return error.cut
        error = error.__context__
    return None
