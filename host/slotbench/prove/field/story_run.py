"""One story on one virtual board, in one run from its first start to its end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from slotbench.formats.journal import SlotState
from slotbench.prove.field.hosts import HostsNetwork
from slotbench.prove.field.programs import STALLS
from slotbench.prove.field.steps import (
    Play,
    PowerCycle,
    ResetChip,
    Step,
    StoryFailed,
    TypeKeys,
    Pause,
    WaitUntil,
    require,
)
from slotbench.prove.field.story import FieldStory, StoryOutcome
from slotbench.prove.invariants import Broken
from slotbench.prove.testbed import HOURS_MS, MINUTES_MS, NOW, PRODUCT, TestBed, runs_confirmed
from slotbench.release import store
from slotbench.vboard.board import BoardState, Boot, VirtualBoard
from slotbench.vboard.clock import QueuedTimer
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.seeded_faults import SeededFaults
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.serial.terminal import Terminal
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut
from slotbench.vboard.vm import DeviceVM

__all__ = ["BROKER", "SERVER", "FieldRun"]

SERVER: Final = "updates.lan"
BROKER: Final = "broker.lan"

_END_MS: Final = 400 * 24 * HOURS_MS
_LOOK_EVERY_MS: Final = 1000
_STEP_MS: Final = 1000
_HEAD: Final = store.head_name(PRODUCT, "stable")
_CHECKED: Final = 304


class FieldRun:
    """A board that plays a story.

    `server` carries its requests, and may be told to fail; `broker` is a machine that accepts
    connections and says nothing. `printed` is what the board printed. `pins` are the levels that its
    pins have at each start. `wanted` is the release that must run at the end, if not the newest.

    The program on the board is never stopped for a step: steps happen in its waits, as interrupts.
    """

    def __init__(
        self, story: FieldStory, folder: Path, keys: Path, vm: Callable[..., DeviceVM], *, seed: int = 0,
    ) -> None:
        self.story = story
        self.pins: dict[int, int] = {}
        self.printed: list[str] = []
        self.newest = 1
        self.wanted: int | None = None
        self._vm = vm
        self._runtime: Runtime | None = None
        self._timer: QueuedTimer | None = None
        self._wait: Step = Pause()
        self._due_ms = self._next_look_ms = 0
        self._off_ms = 0
        self._failure: Exception | None = None
        self._over = self._driving = self._booting = False
        self._keys = b""
        self._head_sizes: set[int] = set()
        self.testbed = TestBed(
            folder, seed=seed, keys=keys, vm=self._make_vm, main=story.main or "", edit=self._edit)
        faults = SeededFaults(random.Random(seed), story.failing)
        self.server = FaultyNetwork(WsgiNetwork(self.testbed.app), faults)
        self.broker = WsgiNetwork(self.testbed.app)
        network = HostsNetwork({SERVER: self.server, BROKER: self.broker})
        self.terminal = Terminal(lambda data: None)
        self.board: VirtualBoard = self.testbed.board(network, terminal=self.terminal)
        self.board.on_print = self.printed.append
        self.board.on_wait = lambda board: self._waits()
        self._invariants = self.board.on_boot
        self.board.on_boot = self._starts
        self._play = self._all()

    def _edit(self, files: dict[str, bytes]) -> None:
        story = self.story
        if story.main is None:
            del files["/main.py"]
        files["/twoslot.json"] = json.dumps({**json.loads(files["/twoslot.json"]), **story.settings}).encode()
        story.edit(files)

    # What a story does and asks.

    def publish(self, does: Behaviour = Behaviour.HEALTHY) -> int:
        """Publish the next release and return its counter."""
        self.newest += 1
        self.testbed.publish(self.newest, does)
        self._know_head()
        return self.newest

    def refresh(self) -> None:
        """Sign the newest head again: a newer one, for the same release."""
        self.testbed.publisher.refresh(NOW + 100 + self.ms // 1000)
        self._know_head()

    def runs(self, counter: int) -> bool:
        """Whether this release runs confirmed."""
        return runs_confirmed(self.board, counter)

    def judged_bad(self, counter: int) -> bool:
        """Whether the board will never take this release again by itself."""
        cell = self.board.cell
        return cell is not None and cell.bad_counter >= counter

    def in_trial(self) -> bool:
        """Whether a release is on trial."""
        board, cell = self.board, self.board.cell
        return (
            board.state is BoardState.RUNNING and board.result is not None and cell is not None
            and cell.active == board.result.slot and cell.states[cell.active] is SlotState.READY)

    def waits_for_trial(self) -> bool:
        """Whether a verified release waits for the restart into its trial."""
        board, cell = self.board, self.board.cell
        return (
            board.result is not None and cell is not None and cell.active != board.result.slot
            and cell.states[cell.active] is SlotState.READY)

    def trials_of(self, counter: int) -> int:
        """How often this release was started."""
        return sum(boot.marker.version == f"{counter}.0.0" for boot in self.board.boots)

    @property
    def checks_ms(self) -> list[int]:
        """When each completed check was made: a head that came whole, or the word that it is the same."""
        return [
            request.at_ms for request in self.server.requests
            if request.file == _HEAD and request.head_bytes is not None
            and request.received >= max(1, request.head_bytes)
            and (request.status == _CHECKED or request.body_bytes in self._head_sizes)]

    @property
    def text(self) -> str:
        """What the board printed."""
        return "".join(self.printed)

    @property
    def ms(self) -> int:
        """Virtual milliseconds since the story began."""
        return self.board.clock.ms

    # The run.

    def run(self) -> StoryOutcome:
        """Play the story."""
        failure = ""
        board = self.board
        try:
            self._publish_first()
            board.power_on()
            while not self._over:
                self._go_on()
            if self._failure is not None:
                failure = str(self._failure)
        except Broken as broken:
            failure = f"a promise is broken: {broken}"
        except BenchViolation as violation:
            failure = f"no chip survives this: {violation}"
        if board.state is not BoardState.OFF:
            board.power_off()
        return StoryOutcome(self.story.name, self.dark_ms, self.ms / HOURS_MS, len(board.boots), failure)

    @property
    def dark_ms(self) -> int:
        """The longest time without a completed check."""
        times = [0, *self.checks_ms, self.ms]
        return max(after - before for before, after in zip(times, times[1:], strict=False))

    def _publish_first(self) -> None:
        """Publish the release that the board runs: then a check finds that all is well."""
        testbed = self.testbed
        testbed.publisher.publish(
            testbed.images[1], [testbed.profile], version="1.0.0", counter=1, now=NOW + 1)
        self._know_head()

    def _know_head(self) -> None:
        content = self.testbed.publisher.site.read(_HEAD)
        assert content is not None
        self._head_sizes.add(len(content))

    def _all(self) -> Play:
        """The story, the rescue, and one check more."""
        story = self.story
        yield from story.play(self)
        if story.publishes_rescue:
            self.server.clear_faults()
            self.publish()
        wanted = self.wanted or self.newest
        yield WaitUntil(
            lambda: self.runs(wanted), f"release {wanted} runs confirmed", hours=story.rescue_hours)
        known = len(self.checks_ms)
        yield WaitUntil(
            lambda: len(self.checks_ms) > known, "it checks again", minutes=story.dark_minutes + 1)
        require(STALLS not in self.text, f"a long {self.text[self.text.find(STALLS):][:30]!r}")
        minutes = self.dark_ms / MINUTES_MS
        require(
            minutes <= story.dark_minutes,
            f"no check for {minutes:.0f} minutes, and at most {story.dark_minutes} are right")

    def _go_on(self) -> None:
        """Run the board until it needs the bench: for power, or because nothing runs."""
        board = self.board
        if board.state is BoardState.OFF:
            board.clock.advance_ms(self._off_ms)
            board.power_on()
        elif board.state is BoardState.RUNNING:
            board.run(_END_MS, until=lambda: self._over or board.state is not BoardState.RUNNING)
        else:  # hung: nothing runs, and steps come from here
            wait = self._wait
            if not (isinstance(wait, WaitUntil) and wait.condition()):
                board.clock.sleep_until(self._due_ms * 1000)
            try:
                self._advance()
            except PowerCut:
                board.power_off()
            except ChipReset:
                board.press_reset()
        self._set_timer()

    # Steps, in the waits of the program.

    def _make_vm(self, *args: Any, **options: Any) -> DeviceVM:
        vm = self._vm(*args, **options)
        self._runtime = vm.runtime
        vm.runtime.pins.update(self.pins)
        self._timer = None
        self._set_timer()
        return vm

    def _set_timer(self) -> None:
        """Have the next step happen though the program waits for ever."""
        if self._timer is not None:
            self._timer.cancel()
        if self._runtime is not None:
            self._timer = self._runtime.timers.call_at(self._due_ms * 1000, self._advance)

    def _starts(self, board: VirtualBoard, boot: Boot) -> None:
        assert self._invariants is not None
        self._invariants(board, boot)
        self._booting = True  # a program may start so often that it never waits
        try:
            self._advance()
        finally:
            self._booting = False

    def _waits(self) -> None:
        if self._keys:
            keys, self._keys = self._keys, b""
            self._type(keys)
        now_ms = self.board.clock.ms
        if now_ms >= self._next_look_ms or now_ms >= self._due_ms:
            self._next_look_ms = now_ms + _LOOK_EVERY_MS
            self._advance()

    def _advance(self) -> None:
        """Do what is due. Raises what ends the run of the chip: it is in a wait of the program."""
        if self._driving:
            return
        self._driving = True
        try:
            while not self._over and self._is_due():
                self._take(next(self._play))
        except StopIteration:
            self._over = True
        except (StoryFailed, AssertionError) as failed:
            self._failure, self._over = failed, True
        finally:
            self._driving = False
        if self._over and self._runtime is not None:
            self._runtime.deadline_us = self.board.clock.us  # Ctrl-C ends what the board waits for

    def _is_due(self) -> bool:
        wait = self._wait
        if isinstance(wait, WaitUntil):
            if wait.condition():
                return True
            require(self.ms < self._due_ms, f"not after {wait.ms / HOURS_MS:g} hours: {wait.what}")
            return False
        return self.ms >= self._due_ms

    def _take(self, step: Step) -> None:
        """Begin a step. The one after it is due a second later, or when its wait is over."""
        self._wait = step
        self._due_ms = self.ms + (step.ms if isinstance(step, Pause | WaitUntil) else _STEP_MS)
        self._set_timer()
        match step:
            case PowerCycle(off_ms):
                self._off_ms = off_ms
                self.board.soc.power_off()
                raise PowerCut
            case ResetChip(reason):
                raise ChipReset(reason)
            case TypeKeys(keys):
                if self._booting:
                    self._keys = keys
                else:
                    self._type(keys)

    def _type(self, keys: bytes) -> None:
        """Type at the serial port: Ctrl-C for the program, all else for the REPL."""
        self.terminal.receive(keys)
        if self.terminal.take_interrupt():
            raise KeyboardInterrupt
        self.terminal.wake()
