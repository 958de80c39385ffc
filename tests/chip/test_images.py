"""Every firmware image found: from reset to its prompt on the core and our ROM, waits skipped, twice the same."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import pytest

from slotbench.vboard.chip import Cause, Machine
from slotbench.vboard.flash.nor import NorFlash
from support.chip.firmware_images import FROM_PYPI, WANTED, arduino, flashed, folder, found, missing
from support.chip.machine import FLASH_BYTES

FOUND = found()
ALL = sorted({*WANTED, *FOUND})
PROMPT = ">>> "
START_US = 10_000_000


class StartedFirmware:
    """An image on a machine, started to its prompt."""

    def __init__(self, name: str, *, seed: int = 1, skip_idle: bool = True, flash: bytes | None = None) -> None:
        if name not in FOUND:
            pytest.skip(missing(name))
        image = flash if flash is not None else flashed(FOUND[name])
        self.machine = Machine(NorFlash(FLASH_BYTES, image=image), seed=seed)
        self.machine.skip_idle(skip_idle)
        self.heard = bytearray()
        self.machine.on_uart = self.heard.extend
        self.machine.power_on()
        self.prompt = self.machine.run_until(PROMPT, START_US)

    @property
    def text(self) -> str:
        return self.heard.decode("latin-1").replace("\r", "")

    def ask(self, line: str, limit_us: int = START_US) -> str:
        """What a line at the prompt prints."""
        self.heard.clear()
        self.machine.uart_write(line.encode() + b"\r")
        assert self.machine.run_until("\n" + PROMPT, limit_us), self.text
        return self.text.removeprefix(line + "\n").removesuffix(PROMPT).rstrip()


@functools.cache
def at_prompt(name: str) -> StartedFirmware:
    """One start serves every test that only goes on from the prompt."""
    return StartedFirmware(name)


def started_before(name: str) -> bytes:
    """Flash in which the SDK has its access point's key: computing it is most of the first start."""
    return at_prompt(name).machine.flash.peek(0, FLASH_BYTES)


@pytest.mark.parametrize("name", FROM_PYPI)
def test_image_of_pypi_is_here(name: str) -> None:
    if not (folder() / name).is_file():
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(f"{missing(name)}; run tools/get-images")
        pytest.skip(f"{missing(name)}; tools/get-images fetches it")


def test_arduino_program_starts_its_application(core: Path) -> None:
    if not arduino().is_file():
        pytest.skip(missing(arduino().name))
    machine = Machine(NorFlash(FLASH_BYTES, image=flashed(arduino())), seed=1)
    heard = bytearray()
    machine.on_uart = heard.extend
    machine.power_on()
    assert machine.run_until("ESP-Linker ready", START_US), heard.decode("latin-1")
    assert machine.last_exception() is None


@pytest.mark.parametrize("name", ALL)
def test_from_reset_to_the_prompt(core: Path, name: str) -> None:
    firmware = at_prompt(name)
    machine = firmware.machine
    counters = machine.counters()
    print(f"{name}: {machine.us / 1e6:.2f} s of chip time, {counters.instructions / 1e6:.0f} million instructions")
    assert firmware.prompt, firmware.text
    assert re.search(r"MicroPython v1\.\d+", firmware.text) and "bcn 100" in firmware.text
    assert firmware.ask("import esp; print(esp.check_fw())").endswith("True")
    assert machine.last_exception() is None and [reset.cause for reset in machine.resets] == [Cause.POWER_ON]
    counters = machine.counters()
    assert counters.flash_busy == counters.flash_unlatched == counters.cache_off == counters.uart_overflows == 0


@pytest.mark.parametrize("name", ALL)
def test_prompt_that_waits_costs_nearly_nothing(core: Path, name: str) -> None:
    machine = at_prompt(name).machine
    before = machine.counters()
    machine.run_us(10_000_000)
    after = machine.counters()
    assert after.cycles - before.cycles in range(799_999_000, 800_001_000)
    assert after.instructions - before.instructions < 60_000_000
    assert after.interrupts - before.interrupts in range(490, 511), "a timer of 20 ms goes on"


@pytest.mark.parametrize("name", sorted(WANTED))
def test_waits_that_are_skipped_change_nothing(core: Path, name: str) -> None:
    outcomes = []
    for skip_idle in (True, False):
        firmware = StartedFirmware(name, skip_idle=skip_idle, flash=started_before(name))
        machine = firmware.machine
        start, interrupts = machine.us, machine.counters().interrupts
        slept = [int(firmware.ask(
            f"import time; t = time.ticks_us(); time.sleep_{unit}({length}); print(time.ticks_diff(time.ticks_us(), t))"))
            for unit, length in (("ms", 300), ("us", 700), ("ms", 1))]
        machine.run_us(2_000_000)
        outcomes.append((slept, start, machine.counters().interrupts - interrupts))
    (skipped, start, interrupts), (run, other_start, other_interrupts) = outcomes
    assert all(abs(one - other) <= 60 for one, other in zip(skipped, run)), f"{skipped} us skipped, {run} us run"
    assert abs(start - other_start) < 1_000 and abs(interrupts - other_interrupts) <= 2


def test_same_seed_same_run(core: Path) -> None:
    name = "MicroPython 1.26.0"
    runs = []
    for seed in (3, 3, 4):
        firmware = StartedFirmware(name, seed=seed)
        value = firmware.ask("import os; print(os.urandom(8))")
        runs.append((value, firmware.machine.counters(), firmware.machine.registers()))
    assert runs[0] == runs[1] and runs[0][0] != runs[2][0]


def test_restarts_as_the_firmware_sees_them(core: Path) -> None:
    firmware = StartedFirmware("MicroPython 1.26.0", flash=started_before("MicroPython 1.26.0"))
    machine = firmware.machine

    def restart(line: str, limit_us: int = 20_000_000) -> int:
        firmware.heard.clear()
        machine.uart_write(line.encode() + b"\r")
        assert machine.run_until('"help()" for more information.\r\n>>> ', limit_us), firmware.text
        return int(firmware.ask("import machine; print(machine.reset_cause())"))

    assert int(firmware.ask("import machine; print(machine.reset_cause())")) == 0
    machine.press_reset()
    assert machine.run_until('"help()" for more information.\r\n>>> ', START_US)
    assert firmware.ask("import machine; print(machine.reset_cause())") == "6"
    assert restart("machine.reset()") == 4 and len(machine.resets) == 2, "a jump, not a reset of the chip"
    start = machine.us
    assert restart("machine.deepsleep(2000)") == 5
    assert machine.resets[-1].cause is Cause.WAKE and 1_990_000 < machine.resets[-1].us - start < 2_100_000
    firmware.ask("machine.disable_irq()")
    start = machine.us
    restart("while True: pass\r\r")
    assert machine.resets[-1].cause is Cause.WATCHDOG and 8_000_000 < machine.resets[-1].us - start < 8_400_000
    assert machine.read_word(0x60000714) == 4
