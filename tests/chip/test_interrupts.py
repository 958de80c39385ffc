"""Interrupts, timers, waiting and the watchdog, by programs that count what happens to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.parts import Part
from slotbench.vboard.chip import Cause, StopReason
from support.chip.machine import SCRATCH, RomProgram

# `trap` counts at SCRATCH + 4 * interrupt number (and at SCRATCH + 256 + 4 * EXCCAUSE for what is none), `nmi` at
# SCRATCH + 252. `wait` enables the interrupts in a2 and waits for them for ever; `spin` does so without waiti.
TEXT = f"""\
start: j start
wait:
    movi    a4, {SCRATCH}
    wsr     a2, intenable
    rsil    a3, 0
again:
    waiti   0
    j       again
spin:
    wsr     a2, intenable
    rsil    a3, 0
    j       .
masked:
    wsr     a2, intenable
    rsil    a3, 1
    j       .
put: s32i   a3, a2, 0
    memw
    ret
get: l32i   a2, a2, 0
    ret
software:
    movi    a5, 0
    movi    a6, 7
    movi    a3, 0x80
    wsr     a3, intenable
    rsil    a4, 0
    movi    a5, 1
    wsr     a3, intset
    rsync
    movi    a5, 2
    mov     a2, a6
    ret
compare:
    wsr     a2, ccompare0
    rsync
    ret
    .literal_position
    .align 4
trap:
    wsr     a0, excsave1
    rsr     a0, exccause
    wsr     a1, excsave2
    wsr     a2, excsave3
    bnei    a0, 4, other
    rsr     a0, interrupt
    rsr     a1, intenable
    and     a0, a0, a1
    neg     a1, a0
    and     a0, a0, a1
    wsr     a0, intclear
    nsau    a1, a0
    movi    a2, 31
    sub     a1, a2, a1
    movi    a2, {SCRATCH}
    addx4   a2, a1, a2
    bnei    a1, 6, count
    rsr     a1, ccompare0
    wsr     a1, ccompare0
count:
    l32i    a1, a2, 0
    addi    a1, a1, 1
    s32i    a1, a2, 0
    rsr     a2, excsave3
    rsr     a1, excsave2
    rsr     a0, excsave1
    rfe
other:
    movi    a2, {SCRATCH} + 256
    addx4   a2, a0, a2
    j       count
    .align 4
nmi:
    wsr     a2, excsave2
    wsr     a3, excsave3
    movi    a2, {SCRATCH}
    l32i    a3, a2, 252
    addi    a3, a3, 1
    s32i    a3, a2, 252
    rsr     a2, excsave2
    rsr     a3, excsave3
    rfi     3
"""
FRC1, FRC2, WDT, DPORT_INTERRUPTS, DPORT_NMI, CPU_CLOCK = 0x60000600, 0x60000620, 0x60000900, 0x3FF00004, 0x3FF00000, 0x3FF00014
UART, GPIO = 0x60000000, 0x60000300
NMI_COUNT = 63


class Counting(RomProgram):
    def put(self, address: int, value: int) -> None:
        assert self.call("put", address, value).reason is StopReason.BREAKPOINT

    def get(self, address: int) -> int:
        assert self.call("get", address).reason is StopReason.BREAKPOINT
        return self.result

    def count(self, interrupt: int) -> int:
        return self.machine.read_word(SCRATCH + 4 * interrupt)


@pytest.fixture
def program(folder: Path) -> Counting:
    made = Counting(TEXT)
    made.machine.write(SCRATCH, bytes(512))
    return made


def start_frc1(program: Counting, load: int, control: int) -> None:
    program.put(DPORT_INTERRUPTS, 2)
    program.put(FRC1, load)
    program.put(FRC1 + 8, control)


@pytest.mark.parametrize("routine", ["wait", "spin"])
@pytest.mark.parametrize(("control", "divider"), [(0xC0, 1), (0xC4, 16), (0xC8, 256)])
def test_frc1_reloads(program: Counting, routine: str, control: int, divider: int) -> None:
    start_frc1(program, 50_000 // divider, control)
    period_us = 50_000 // divider * divider / 80
    program.call(routine, 1 << 9, limit_us=round(period_us * 100.5))
    assert program.count(9) == 100


def test_frc1_without_reload_wraps_after_23_bits(program: Counting) -> None:
    start_frc1(program, 800, 0x80)
    program.call("wait", 1 << 9, limit_us=100_000)
    assert program.count(9) == 1
    program.call("wait", 1 << 9, limit_us=10_000)
    assert program.count(9) == 2, "2**23 counts at 80 MHz are 104,858 us"


def test_frc1_by_nmi_comes_through_masks(program: Counting) -> None:
    program.put(DPORT_NMI, 0xF)
    start_frc1(program, 800, 0xC0)
    program.call("masked", 0, limit_us=1_005)
    assert program.count(NMI_COUNT) == 100
    assert program.machine.counters().nmis == 100


def test_frc2_alarm(program: Counting) -> None:
    program.put(DPORT_INTERRUPTS, 4)
    program.put(FRC2, 0)
    program.put(FRC2 + 8, 0x84)
    program.put(FRC2 + 0x10, 5_000)
    program.call("wait", 1 << 10, limit_us=990)
    assert program.count(10) == 0, "5,000 counts of 0.2 us"
    program.call("wait", 1 << 10, limit_us=100_000)
    assert program.count(10) == 1
    assert 504_000 < program.get(FRC2 + 4) < 506_000


def test_ccompare(program: Counting) -> None:
    program.machine.set_special(234, 0)
    program.call("compare", 80_000)
    program.call("wait", 1 << 6, limit_us=990)
    assert program.count(6) == 0
    program.call("wait", 1 << 6, limit_us=20)
    assert program.count(6) == 1


def test_ccount_follows_the_clock(program: Counting) -> None:
    for setting, mhz in ((0, 80), (1, 160), (0, 80)):
        program.put(CPU_CLOCK, setting)
        before, us = program.machine.special_register(234), program.machine.us
        program.call("spin", 0, limit_us=1_000)
        passed = program.machine.us - us
        assert abs((program.machine.special_register(234) - before) - passed * mhz) <= 2 * mhz


def test_software_interrupt_is_taken_at_once_and_returns(program: Counting) -> None:
    assert program.call("software").reason is StopReason.BREAKPOINT
    assert program.count(7) == 1
    registers = program.machine.registers()
    assert (registers.a[2], registers.a[5], registers.a[6]) == (7, 2, 7), "registers are the program's again"
    assert registers.ps & 0x10 == 0 and registers.interrupt & 0x80 == 0


def test_masked_interrupt_waits(program: Counting) -> None:
    start_frc1(program, 800, 0xC0)
    program.call("masked", 1 << 9, limit_us=100)
    assert program.count(9) == 0 and program.machine.registers().interrupt >> 9 & 1
    program.call("spin", 1 << 9, limit_us=1)
    assert program.count(9) >= 1


def test_interrupt_that_dport_does_not_let_through(program: Counting) -> None:
    start_frc1(program, 800, 0xC0)
    program.put(DPORT_INTERRUPTS, 0)
    program.call("wait", 1 << 9, limit_us=1_000)
    assert program.count(9) == 0


def test_waiting_costs_no_instructions(program: Counting) -> None:
    start_frc1(program, 80_000, 0xC0)
    before = program.machine.counters()
    program.call("wait", 1 << 9, limit_us=10_000_000)
    after = program.machine.counters()
    assert program.count(9) == 9_999 or program.count(9) == 10_000
    assert after.instructions - before.instructions < 300_000
    assert after.cycles - before.cycles >= 800_000_000 - 100


def test_nothing_to_wait_for(program: Counting) -> None:
    program.machine.pause_idle(True)
    start_frc1(program, 80_000, 0xC0)
    stop = program.call("wait", 1 << 9)
    assert stop.reason is StopReason.IDLE and stop.next_us is not None
    assert 990 <= stop.next_us - program.machine.us <= 1_000
    program.machine.pass_us(stop.next_us - program.machine.us)
    program.machine.run_us(2)
    assert program.count(9) == 1


def test_uart_receives_at_the_line_s_speed(program: Counting) -> None:
    program.put(UART + 0x24, 120 | 1 << 31 | 2 << 24)
    program.put(UART + 0xC, 0x101)
    program.machine.set_baud(115200)
    assert program.machine.uart_write(b"x" * 60) == 60
    program.call("masked", 0, limit_us=2_600)
    assert program.get(UART + 0x1C) & 0xFF in range(28, 31), "86.8 us a byte"
    program.call("masked", 0, limit_us=2_650)
    assert program.get(UART + 0x1C) & 0xFF == 60
    assert program.get(UART + 8) == 0
    program.call("masked", 0, limit_us=140)
    assert program.get(UART + 8) == 0x100, "time-out two bytes after the last"
    assert program.machine.registers().interrupt >> 5 & 1
    assert program.get(UART) == ord("x")
    program.put(UART + 0x10, 0x100)
    assert not program.machine.registers().interrupt >> 5 & 1
    program.machine.uart_write(b"y" * 100)
    program.call("masked", 0, limit_us=20_000)
    assert program.get(UART + 4) & 0x11 == 0x11, "threshold, and a FIFO that overflows"
    assert program.machine.counters().uart_overflows == 59 + 100 - 128


@pytest.mark.parametrize(("kind", "levels", "expected"), [
    (1, "0101", 2), (2, "1010", 2), (3, "010", 3), (4, "10", 1), (5, "01", 1), (0, "0101", 0),
])
def test_gpio_interrupts(program: Counting, kind: int, levels: str, expected: int) -> None:
    program.machine.drive_pin(5, 1 - int(levels[0]) if kind == 3 else int(levels[0]))
    program.put(GPIO + 0x28 + 20, kind << 7)
    program.put(GPIO + 0x24, 0xFFFF)
    seen = 0
    for level in levels:
        program.machine.drive_pin(5, int(level))
        assert program.get(GPIO + 0x18) >> 5 & 1 == int(level)
        seen += program.get(GPIO + 0x1C) >> 5 & 1
        if kind < 4:
            program.put(GPIO + 0x24, 1 << 5)
    assert seen == expected


def test_pins_that_the_program_drives(program: Counting) -> None:
    program.machine.drive_pin(4, None)
    assert program.machine.pin_level(4) == 1 and not program.machine.pin_is_driven(4)
    program.put(GPIO + 0x10, 1 << 4)
    assert program.machine.pin_level(4) == 0 and program.machine.pin_is_driven(4)
    program.put(GPIO + 4, 1 << 4)
    assert program.machine.pin_level(4) == 1


class BrokenPart(Part):
    """Raises at the first edge."""

    def pin_changed(self, pin: int, level: int | None) -> None:
        raise ValueError(f"no such level as {level}")


def test_a_part_that_fails_is_named_and_the_next_run_goes_on(program: Counting) -> None:
    pins = program.machine.pins
    pins.attach(BrokenPart("bell", 5))
    with pytest.raises(BenchError, match="two parts have the same name"):
        pins.attach(BrokenPart("bell", 4))
    with pytest.raises(BenchError, match="there is no GPIO17"):
        pins.attach(BrokenPart("more", 17))
    with pytest.raises(BenchError, match="the part bell failed: ValueError: no such level as 0") as error:
        program.put(GPIO + 0x10, 1 << 5)
    assert error.value.cure.startswith("mend its class")
    pins.detach_all()
    program.put(GPIO + 4, 1 << 5)
    assert program.machine.pin_level(5) == 1


def test_levels_come_when_they_are_planned_and_jumpers_carry_them(program: Counting) -> None:
    pins = program.machine.pins
    pins.wire(5, 4)
    edges = pins.edges(5)
    for level, after_us in ((0, 100), (1, 250), (0, 300), (None, 400)):
        pins.put(5, level, after_us)
    pins.put(4, 1, 50)
    pins.forget(4)
    high_us = pins.high_us(5)
    program.machine.run_us(1000)
    assert pins.edges(5) - edges == 4 and pins.level(4) == 1
    assert pins.high_us(5) - high_us == pytest.approx(1000 - 150 - 100, abs=30)
    with pytest.raises(BenchError, match="too many levels are planned"):
        for _ in range(4097):
            pins.put(5, 1, 1e6)


# The watchdog and the ways to start over.


def start_watchdog(program: Counting, first: int, second: int) -> None:
    program.put(WDT + 4, first)
    program.put(WDT + 8, second)
    program.put(WDT, 1)


def test_watchdog_interrupts_then_bites(program: Counting) -> None:
    program.put(DPORT_INTERRUPTS, 1)
    start_watchdog(program, 11, 13)
    start = program.machine.us
    program.call("wait", 1 << 8, limit_us=1_638_000)
    assert program.count(8) == 0
    program.machine.run_us(1_000)
    assert program.count(8) == 1, "2**11 * 0.8 ms"
    program.machine.run_us(6_552_000)
    assert len(program.machine.resets) == 1
    program.machine.run_us(2_000)
    bite = program.machine.resets[1]
    assert bite.cause is Cause.WATCHDOG and bite.us - start in range(8_191_900, 8_192_200)
    assert program.machine.read_word(0x60000714) == 4
    assert program.machine.registers().pc == program.labels["start"]


def test_watchdog_that_is_fed_does_not_bite(program: Counting) -> None:
    start_watchdog(program, 8, 8)
    for _ in range(20):
        program.call("spin", 0, limit_us=200_000)
        program.put(WDT + 0x14, 0x73)
    assert len(program.machine.resets) == 1
    program.put(WDT + 0x14, 0x72)
    program.call("spin", 0, limit_us=500_000)
    assert len(program.machine.resets) == 2


def test_software_reset_keeps_the_cause(program: Counting) -> None:
    machine = program.machine
    machine.press_reset()
    program.put(0x60001100, 0x12345678)
    program.put(SCRATCH, 77)
    program.put(0x60000730, 4)
    program.call("put", 0x60000700, 1 << 31, limit_us=100)
    assert [reset.cause for reset in machine.resets] == [Cause.POWER_ON, Cause.RESET_PIN, Cause.SOFTWARE]
    assert machine.read_word(0x60000714) == 2
    assert machine.read_word(0x60001100) == 0x12345678 and machine.read_word(SCRATCH) == 77
    assert machine.read_word(0x60000730) == 4


def test_reset_pin_and_wake_clear_the_words_of_the_rtc_and_its_counter(program: Counting) -> None:
    """Public measurements of its counter; the SDK could not tell the pin from its own restart otherwise."""
    machine = program.machine
    for store in range(0x60000730, 0x60000740, 4):
        program.put(store, 4)
    program.call("spin", 0, limit_us=2_000_000)
    assert program.get(0x6000071C) > 290_000
    machine.press_reset()
    machine.run_us(10)
    assert [machine.read_word(store) for store in range(0x60000730, 0x60000740, 4)] == [0, 0, 0, 0]
    assert machine.read_word(0x6000071C) < 150


def test_power_leaves_noise_of_the_seed(program: Counting) -> None:
    machine = program.machine
    program.put(0x60001100, 0x12345678)
    machine.power_off()
    assert machine.run_us(100).reason is StopReason.OFF
    machine.power_on()
    assert machine.read_word(0x60001100) != 0x12345678 and machine.read_word(0x60000714) == 1
    first = [Counting(TEXT, seed=seed).machine.read(0x3FFE8000, 4096) for seed in (5, 5, 6)]
    assert first[0] == first[1] != first[2]


def test_deep_sleep_wakes_by_the_rtc(program: Counting) -> None:
    machine = program.machine
    program.put(0x60001100, 0x12345678)
    start = machine.us
    program.put(0x60000700, 0)
    program.put(0x60000718, 8)
    program.put(0x60000704, program.get(0x6000071C) + 300_000)
    program.call("put", 0x60000708, 1 << 20, limit_us=1_000_000)
    assert machine.asleep_until_us is not None and len(machine.resets) == 1
    machine.run_us(1_500_000)
    assert machine.resets[-1].cause is Cause.WAKE and machine.resets[-1].us - start in range(1_999_900, 2_000_100)
    assert machine.read_word(0x60000714) == 5 and machine.read_word(0x60001100) == 0x12345678
    program.put(0x60000718, 0)
    program.call("put", 0x60000708, 1 << 20, limit_us=100_000_000)
    assert machine.asleep_until_us == -1 and len(machine.resets) == 2
    machine.press_reset()
    machine.clear_breakpoint(program.labels["start"])
    assert machine.run_us(10).reason is StopReason.LIMIT and machine.resets[-1].cause is Cause.RESET_PIN


def test_rom_that_is_too_long_is_refused(core: Path) -> None:
    from slotbench.vboard.chip import Machine
    from slotbench.vboard.flash.nor import NorFlash

    with pytest.raises(BenchError, match="too long"):
        Machine(NorFlash(0x100000), rom=bytes(0x10004))
