"""What twoslot takes from a board's heap, measured on the real MicroPython VM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from slotbench.mpy import compile_package, sources
from slotbench.prove.push import PushTestBed, fits
from slotbench.prove.testbed import MAIN, TestBed, runs_confirmed, without_main
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.micropython.installation import HEAP_BYTES
from slotbench.vboard.micropython.process import VMDied
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import Soc

__all__ = [
    "LARGE", "HeapFigures", "HeapShares", "bare_heap", "blocks", "idle", "measure_heap", "measure_shares",
    "module_sizes", "new_testbed", "smallest_heap", "updates",
]

_STEP: Final = 128
_UPDATE_PEAK: Final = 23_104
_PUSH_PEAK: Final = 31_232
"""Where the search for the peaks begins, in bytes. What it finds does not depend on them."""
LARGE: Final = 4 * HEAP_BYTES
"""A heap for counts that do not depend on its size."""

_IMAGE_BYTES: Final = 96 * 1024
_UPDATE_MS: Final = 120_000
_CHIP_BYTES: Final = 0x400000
_NETWORK_MS: Final = 10_000
_ALL: Final = "__import__('gc').mem_alloc() + __import__('gc').mem_free()"
_USED: Final = "[__import__('gc').collect(), __import__('gc').mem_alloc()][1]"

_EVERY_BLOCK: Final = """\
import gc, sys, twoslot
agent = twoslot.load_agent()
agent.begin()
taken, counted, garbage, whole = 1 << 20, 0, 0, False
more = True
while more and agent.state < 6:
    block = agent.next
    gc.collect()
    gc.disable()
    used = gc.mem_alloc()
    more = agent.step()
    used = gc.mem_alloc() - used
    gc.enable()
    if agent.state != 5 or used < 0 or "twoslot.image.download" not in sys.modules:
        whole = False  # a request, or the end of a run: modules came or went
        continue
    garbage += used
    if agent.next == block + 1:
        if whole:
            taken = min(taken, garbage)
            counted += 1
        whole, garbage = agent.next + 1 < agent.until, 0
"""
"""Counts the bytes allocated for each block in all of its steps, except the first and the last of a run."""

_PLACED_TIMER: Final = "import esp, machine\nesp.malloc\nid([machine.Timer(-1)])"
"""What the bench needs in the VM for the boot hook's timer. On a chip it lies outside of the heap."""

_LEAST: Final = """\
import gc
from twoslot.trust import rsa

def read(name):
    with open(name, "rb") as f:
        return f.read()

modulus, signature = [int.from_bytes(read(n), "big") for n in ("modulus", "signature")]
digest = read("digest")
gc.collect()
pieces = [None] * (gc.mem_free() // 80)

def fits(n):
    gc.collect()
    try:
        for i in range(n):
            pieces[i] = bytearray(64)
        gc.collect()
        free = gc.mem_free()
        sums = rsa.begin(modulus, signature)
        while not rsa.step(sums, 1000):
            pass
        assert rsa.is_signature(sums, digest)
        return free
    except MemoryError:
        return 0
    finally:
        for i in range(n):
            pieces[i] = None

def find():
    few, many, least = 0, len(pieces), 0
    while few < many:
        n = (few + many + 1) // 2
        free = fits(n)
        if free:
            few, least = n, free
        else:
            many = n - 1
    return least
"""
"""Finds the least free memory in which a signature check succeeds."""


@dataclass(frozen=True, slots=True)
class HeapFigures:
    """Bytes of heap, unless stated otherwise. A peak is the smallest heap that suffices, less
    `bare_bytes`: it includes the cost of fragmentation.
    """

    heap_bytes: int
    """All of an ESP8266's heap."""
    bare_bytes: int
    """In use on a board without twoslot: by the VM, and by the bench's replacement of a board's
    ROM.
    """
    idle_bytes: int
    """Held by twoslot between two checks."""
    boot_bytes: int
    """Held at the end of boot.py."""
    update_peak_bytes: int
    """Needed at most from the boot before an update to the confirmation after it."""
    push_peak_bytes: int
    """Needed at most while a release is pushed, from the boot before it to the confirmation after
    it.
    """
    rsa_peak_bytes: int
    """Needed at most inside one signature check."""
    per_block_bytes: int
    """Allocated as short-lived garbage for each block that is fetched and written; the least of a
    run.
    """
    blocks: int
    """How many blocks were counted."""

    @property
    def room_bytes(self) -> int:
        """Bytes left for an application on a board that updates."""
        return self.heap_bytes - self.bare_bytes - self.update_peak_bytes


@dataclass(frozen=True, slots=True)
class HeapShares:
    """Bytes of heap that twoslot takes at the end of boot.py and between two checks, and what it leaves an
    application that updates.
    """

    boot: int
    idle: int
    room: int


def measure_shares(folder: Path, *, seed: int = 0) -> HeapShares:
    """The part of `measure_heap` that other benches show too; a third of its time."""
    testbed = new_testbed(folder, seed)
    bare, total = bare_heap(HEAP_BYTES)
    boot, held = _resting(testbed)
    enough = smallest_heap(lambda heap: updates(testbed, heap=heap), _UPDATE_PEAK)
    return HeapShares(boot - bare, held - bare, total - bare_heap(enough)[1])


def measure_heap(folder: Path, *, seed: int = 0) -> HeapFigures:
    """Measure on boards of a test bed in `folder`. Raises BenchError without a MicroPython VM."""
    testbed = new_testbed(folder, seed)
    bare, total = bare_heap(HEAP_BYTES)
    boot, idle = _resting(testbed)
    taken, counted = blocks(testbed.board(vm=partial(MicroPythonVM, heap=LARGE), edit=without_main))
    enough = smallest_heap(lambda heap: updates(testbed, heap=heap), _UPDATE_PEAK)
    return HeapFigures(
        heap_bytes=total, bare_bytes=bare, boot_bytes=boot - bare, idle_bytes=idle - bare,
        update_peak_bytes=bare_heap(enough)[1] - bare,
        push_peak_bytes=_push_peak(folder / "push", seed) - bare,
        rsa_peak_bytes=_rsa_peak(testbed),
        per_block_bytes=taken, blocks=counted)


def new_testbed(folder: Path, seed: int = 0, patches: int = 0) -> TestBed:
    """A test bed that offers release 2, of 24 whole blocks."""
    testbed = TestBed(folder, size=_IMAGE_BYTES, seed=seed, patches=patches)
    testbed.publish(2)
    return testbed


def updates(testbed: TestBed, *, heap: int = HEAP_BYTES, application: int = 0) -> bool:
    """Whether a board updates at the first attempt, with `application` bytes allocated beside
    twoslot.
    """
    own = f"own = bytearray({application})\n" if application else ""
    main = {"/main.py": (own + MAIN).encode()}
    board = testbed.board(vm=partial(MicroPythonVM, heap=heap), edit=lambda files: files.update(main))
    try:
        board.power_on()
        board.run(_UPDATE_MS, until=lambda: runs_confirmed(board, 2))
        asked = sum(request.path.startswith("/heads/") for request in board.network.requests)
        return runs_confirmed(board, 2) and asked == 2
    except (MemoryError, VMDied):
        # Not even the bench's own code fits.
        return False
    finally:
        board.power_off()


def _push_peak(folder: Path, seed: int) -> int:
    """The size of the smallest heap in which a push succeeds."""
    desk = PushTestBed(folder, size=24 * 4096, seed=seed)

    def enough(heap: int) -> bool:
        desk.testbed.vm = partial(MicroPythonVM, heap=heap)
        return fits(desk)

    return bare_heap(smallest_heap(enough, _PUSH_PEAK))[1]


def module_sizes() -> dict[str, int]:
    """Bytes of each module of the device package as .mpy."""
    return {name: len(mpy) for name, mpy in compile_package(sources()).items()}


def smallest_heap(enough: Callable[[int], bool], peak: int = 0) -> int:
    """The smallest sufficient heap, to 128 bytes. It is sought first where `peak` bytes beside a bare board
    are all that it has: a good guess saves most of the runs.
    """
    low, high = _bracket(enough, _heap_of(peak)) if peak else (0, LARGE)
    if high == LARGE and not enough(high):
        raise BenchViolation(f"a heap of {high} bytes is not enough")
    while high - low > _STEP:
        middle = (low + high) // 2 // _STEP * _STEP
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def _bracket(enough: Callable[[int], bool], guess: int) -> tuple[int, int]:
    """A heap that is not enough, or 0, and one above it that is, or LARGE: near the guess."""
    step = _STEP
    is_enough = enough(guess)
    while True:
        other = guess - step if is_enough else guess + step
        if not 0 < other < LARGE:
            return (0, guess) if is_enough else (guess, LARGE)
        if enough(other) != is_enough:
            return min(guess, other), max(guess, other)
        guess, step = other, 2 * step


def _heap_of(peak: int) -> int:
    """About the heap that has `peak` bytes beside what a bare board uses: a part of it counts blocks."""
    bare, total = bare_heap(HEAP_BYTES)
    return (peak + bare) * HEAP_BYTES // total // _STEP * _STEP


def bare_heap(heap: int) -> tuple[int, int]:
    """Bytes in use in a VM with this heap and without files, and all bytes of the heap."""
    vm = MicroPythonVM(Soc(NorFlash(_CHIP_BYTES)), {}, NoNetwork(), heap=heap)
    try:
        vm.exec(_PLACED_TIMER)
        return int(vm.eval(_USED)), int(vm.eval(_ALL))
    finally:
        vm.close()


def _resting(testbed: TestBed) -> tuple[int, int]:
    """Bytes in use after boot.py, and after the first two calls of tick()."""
    board = testbed.board(vm=MicroPythonVM, edit=without_main)
    board.power_on()
    try:
        booted = int(board.evaluate(_USED))
    finally:
        board.power_off()
    return booted, idle(testbed.board(vm=MicroPythonVM, edit=without_main))


def idle(board: VirtualBoard) -> int:
    """Bytes in use between two checks. `board` is off and has no main.py."""
    board.power_on()
    try:
        board.run_line("twoslot.tick()\ntwoslot.tick()")  # the first one loads, the second one acts
        return int(board.evaluate(_USED))
    finally:
        board.power_off()


def blocks(board: VirtualBoard) -> tuple[int, int]:
    """Let a board update that is off and has no main.py.

    Returns the least bytes allocated for one block, and how many blocks were counted.
    """
    board.power_on()
    board.clock.advance_ms(_NETWORK_MS)
    try:
        board.run_line(_EVERY_BLOCK)
        taken, counted = board.evaluate("[taken, counted]")
        return taken, counted
    finally:
        board.power_off()


def _rsa_peak(testbed: TestBed) -> int:
    """Bytes that one signature check needs beyond its arguments, in a heap full of small pieces."""
    key = testbed.publisher.offline
    arguments = {
        "/modulus": key.modulus, "/signature": key.sign(b"proof").signature,
        "/digest": hashlib.sha256(b"proof").digest(), "/least.py": _LEAST.encode()}
    files = testbed.board(vm=MicroPythonVM).files | arguments
    vm = MicroPythonVM(Soc(NorFlash(_CHIP_BYTES)), files, NoNetwork())
    try:
        vm.exec("import least")
        return int(vm.eval("least.find()"))
    finally:
        vm.close()
