"""The ROM's interrupts, exceptions, tasks and timers, in programs on the chip."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.chip.rom_calls import FREE, RomCalls
from support.chip.rom_programs import ProgramBoard, compile_program

pytestmark = pytest.mark.usefixtures("core")

DECLARED = """
void ets_isr_attach(u32, void (*)(void *), void *); void ets_isr_mask(u32); void ets_isr_unmask(u32);
u32 ets_intr_lock(void); void ets_intr_unlock(void);
void *_xtos_set_exception_handler(u32, void *); void *_xtos_set_interrupt_handler_arg(u32, void *, void *);
u32 _xtos_set_intlevel(u32); u32 _xtos_set_min_intlevel(u32); void _xtos_restore_intlevel(u32); u32 xthal_get_interrupt(void);
static inline void raise(u32 number) { __asm__ volatile("wsr %0, intset; rsync; nop; nop" : : "r"(1 << number)); }
"""


def run(folder: Path, source: str, wanted: str = "end\n") -> str:
    """What a program prints behind the loader's messages, up to `wanted`."""
    text = ProgramBoard(compile_program(folder, DECLARED + source)).run_to(wanted).split("csum", 1)[1].split("\n", 1)[1]
    return text[: text.index(wanted) + len(wanted)]


def test_interrupts_reach_their_handlers(folder: Path) -> None:
    assert run(folder, """
        static volatile u32 count;
        static void on(void *argument) { count++; ets_printf("on %x level %d\\n", argument, RSR(ps) & 15); }
        void start(void) {
            ets_isr_attach(7, on, (void *)0xABC);
            raise(7);
            ets_printf("masked %d\\n", count);
            ets_isr_unmask(1 << 7);
            ets_printf("open %d\\n", count);
            ets_intr_lock(); raise(7);
            ets_printf("locked %d pending %x level %d\\n", count, xthal_get_interrupt() & 0x80, RSR(ps) & 15);
            ets_intr_unlock();
            ets_printf("unlocked %d level %d\\n", count, RSR(ps) & 15);
            ets_isr_mask(1 << 7); raise(7);
            ets_printf("masked %d enabled %x\\nend\\n", count, RSR(intenable));
        }""") == (
            "masked 0\non abc level 1\nopen 1\nlocked 1 pending 80 level 3\non abc level 1\nunlocked 2 level 0\n"
            "masked 2 enabled 0\nend\n")


def test_opening_all_levels_in_a_handler_nests_nothing(folder: Path) -> None:
    """Firmware calls ets_intr_unlock in its handlers, and a handler must not run within itself."""
    assert run(folder, """
        static volatile u32 depth, deepest, runs;
        static void on(void *argument) {
            if (++depth > deepest) deepest = depth;
            if (++runs < 4) raise(7);
            ets_intr_lock(); ets_intr_unlock();
            ets_isr_mask(1 << 9); ets_isr_unmask(1 << 9);
            depth--;
        }
        void start(void) {
            ets_isr_attach(7, on, 0);
            ets_isr_unmask(1 << 7 | 1 << 9);
            raise(7);
            ets_printf("runs %d deepest %d enabled %x\\nend\\n", runs, deepest, RSR(intenable));
        }""") == "runs 4 deepest 1 enabled 280\nend\n"


def test_an_interrupt_changes_no_register(folder: Path) -> None:
    """FRC1 interrupts a sum again and again; the handler uses all that C may use."""
    text = run(folder, """
        static volatile u32 ticks;
        static void on(void *argument) { REG(0x6000060C) = 0; ticks += (ticks % 7) / 3 < 9; }
        void start(void) {
            u32 a = 1, b = 2, c = 3, d = 4, e = 5;
            ets_isr_attach(9, on, 0); ets_isr_unmask(1 << 9);
            REG(0x3FF00004) |= 2; REG(0x60000600) = 501; REG(0x60000608) = 0xC0;
            for (u32 i = 0; i < 200000; i++) { a += b ^ i; b = b * 5 + c; c ^= a >> 3; d += c << (i & 7); e ^= d + a; }
            ets_intr_lock();
            ets_printf("%x %x %x %x %x %d\\nend\\n", a, b, c, d, e, ticks > 1000);
        }""")
    a, b, c, d, e = 1, 2, 3, 4, 5
    mask = 0xFFFFFFFF
    for i in range(200000):
        a = (a + (b ^ i)) & mask
        b = (b * 5 + c) & mask
        c ^= a >> 3
        d = (d + (c << (i & 7))) & mask
        e ^= (d + a) & mask
    assert text == f"{a:x} {b:x} {c:x} {d:x} {e:x} 1\nend\n"


def test_exceptions_reach_c_functions(folder: Path) -> None:
    """handler(frame, cause): the frame is the public one, and what the handler writes there holds."""
    text = run(folder, """
        struct frame { u32 epc, ps, sar, unused, a0, a[14], cause; };
        static volatile u32 sum;
        static void on(struct frame *frame, u32 cause) {
            ets_printf("cause %d %d level %d a4 %x a5 %x a15 %x\\n", cause, frame->cause, RSR(ps) & 15, frame->a[2], frame->a[3], frame->a[13]);
            frame->epc += 3;
            frame->a[3] = 0x77;
        }
        void start(void) {
            u32 five, fifteen;
            void *before = _xtos_set_exception_handler(0, on);
            ets_printf("before %d same %d outside %x\\n", before != 0, _xtos_set_exception_handler(0, on) == on, _xtos_set_exception_handler(64, on));
            __asm__ volatile("movi a4, 0x44; movi a5, 0x55; movi a15, 0x15; ill; mov %0, a5; mov %1, a15"
                             : "=r"(five), "=r"(fifteen) : : "a4", "a5", "a15");
            ets_printf("five %x fifteen %x\\n", five, fifteen);
            ets_printf("none %d\\nend\\n", _xtos_set_exception_handler(0, 0) == on && _xtos_set_exception_handler(0, 0) == 0);
        }""")
    assert text == "before 1 same 1 outside 0\ncause 0 0 level 0 a4 44 a5 55 a15 15\nfive 77 fifteen 15\nnone 1\nend\n"


def test_the_system_call_instruction_is_skipped(folder: Path) -> None:
    assert run(folder, """
        void start(void) {
            u32 result;
            __asm__ volatile("movi a2, 3; syscall; mov %0, a2" : "=r"(result) : : "a2");
            ets_printf("%x\\nend\\n", result);
        }""") == "ffffffff\nend\n"


def test_levels(folder: Path) -> None:
    assert run(folder, """
        void start(void) {
            u32 before = _xtos_set_intlevel(2);
            ets_printf("%d", RSR(ps) & 15);
            _xtos_set_min_intlevel(1);
            ets_printf(" %d", RSR(ps) & 15);
            _xtos_set_min_intlevel(3);
            ets_printf(" %d", RSR(ps) & 15);
            _xtos_restore_intlevel(before);
            ets_printf(" %d\\nend\\n", RSR(ps) & 15);
        }""") == "2 2 3 0\nend\n"


def test_an_interrupt_without_a_handler_breaks_at_the_known_address(folder: Path) -> None:
    board = ProgramBoard(compile_program(folder, DECLARED + "void start(void) { ets_isr_unmask(1 << 7); raise(7); ets_printf(\"no\\n\"); }"))
    board.machine.run_us(500_000)
    assert "no\n" not in board.text
    assert board.machine.special_register(178) == 0x4000DC3C, "EPC2: the break instruction"


def test_tasks_run_by_priority_once_the_program_returns(folder: Path) -> None:
    text = run(folder, """
        struct event { u32 signal, parameter; };
        u32 _ets_task(void (*)(struct event *), u32, struct event *, u32); u32 _ets_post(u32, u32, u32);
        void _ets_set_idle_cb(void (*)(void *), void *);
        static struct event low[2], high[4];
        static void on_low(struct event *event) { ets_printf("low %d %x\\n", event->signal, event->parameter); }
        static void on_high(struct event *event) {
            ets_printf("high %d %x\\n", event->signal, event->parameter);
            if (event->signal < 3) _ets_post(9, event->signal + 1, 0);
        }
        static void on_idle(void *argument) { static u32 once; if (!once++) ets_printf("idle %x\\nend\\n", argument); }
        void start(void) {
            _ets_task(on_low, 4, low, 2); _ets_task(on_high, 9, high, 4); _ets_set_idle_cb(on_idle, (void *)0x1D);
            ets_printf("posts %d", _ets_post(4, 1, 0xA));
            ets_printf(" %d", _ets_post(4, 2, 0xB));
            ets_printf(" %d", _ets_post(4, 3, 0xC));
            ets_printf(" %d\\n", _ets_post(9, 1, 0xD));
        }""")
    assert text == "posts 0 0 1 0\nuser code done\nhigh 1 d\nhigh 2 0\nhigh 3 0\nlow 1 a\nlow 2 b\nidle 1d\nend\n"


def test_timers(folder: Path) -> None:
    """On FRC2: one that repeats, one that runs once, one that is taken back. Times in milliseconds."""
    text = run(folder, """
        struct timer { void *next; u32 expire, period; void (*function)(void *); void *argument; };
        void _ets_timer_init(void); void ets_timer_setfn(struct timer *, void (*)(void *), void *); void ets_timer_done(struct timer *);
        void ets_timer_arm(struct timer *, u32, u32); void ets_timer_disarm(struct timer *);
        static struct timer every, once, never;
        static u32 begun;
        static void on(void *argument) {
            ets_printf("%c %d\\n", argument, (REG(0x60000624) - begun + 150) / 312);
            if (argument == (void *)'e' && every.expire - begun > 300 * 100) { ets_timer_disarm(&every); ets_printf("end\\n"); }
        }
        void start(void) {
            _ets_timer_init();
            begun = REG(0x60000624);
            ets_timer_setfn(&every, on, (void *)'e'); ets_timer_setfn(&once, on, (void *)'o'); ets_timer_setfn(&never, on, (void *)'n');
            ets_timer_arm(&never, 10, 0); ets_timer_arm(&every, 40, 1); ets_timer_arm(&once, 50, 0); ets_timer_arm(&once, 60, 0);
            ets_timer_disarm(&never); ets_timer_done(&never);
        }""")
    assert text == "user code done\ne 40\no 60\ne 80\nend\n"


def test_delays_follow_the_frequency_that_was_set(folder: Path) -> None:
    text = run(folder, """
        void ets_delay_us(u32); void ets_update_cpu_frequency(u32); u32 ets_get_cpu_frequency(void); u32 xthal_get_ccount(void);
        void start(void) {
            for (u32 mhz = 80; mhz <= 160; mhz += 80) {
                u32 before;
                ets_update_cpu_frequency(mhz);
                before = xthal_get_ccount(); ets_delay_us(1000);
                ets_printf("%d %d\\n", ets_get_cpu_frequency(), (xthal_get_ccount() - before) / 1000);
            }
            ets_printf("end\\n");
        }""")
    assert text == "80 80\n160 160\nend\n"


def test_pins() -> None:
    rom = RomCalls()
    rom.call("gpio_output_set", 1 << 5, 0, 1 << 5, 0)
    assert rom.machine.pin_level(5) == 1 and rom.machine.pin_is_driven(5)
    rom.call("gpio_output_set", 0, 1 << 5, 0, 0)
    assert rom.machine.pin_level(5) == 0
    rom.machine.drive_pin(12, 1)
    rom.machine.drive_pin(13, 0)
    assert rom.call("gpio_input_get") >> 12 & 3 == 1
    rom.call("gpio_pin_intr_state_set", 12, 3)
    assert rom.call("gpio_register_get", 0x28 + 4 * 12) >> 7 & 7 == 3
    rom.call("gpio_pin_wakeup_enable", 13, 5)
    assert rom.call("gpio_register_get", 0x28 + 4 * 13) >> 7 & 0xF == 0xD
    rom.call("gpio_pin_wakeup_disable")
    assert rom.call("gpio_register_get", 0x28 + 4 * 13) >> 10 & 1 == 0


def test_the_radio_answers_nothing() -> None:
    """A table of 100 functions at a public address, all of which return 0, as all of the radio's entries do."""
    rom = RomCalls()
    assert rom.call("phy_get_romfuncs") == 0x3FFFC734
    functions = rom.words(0x3FFFC734, 100)
    assert len(set(functions)) == 1 and rom.call(functions[0], 1, 2, 3) == 0
    zeros = [name for name, (_, kind) in rom.table.items() if kind == "zero"]
    assert len(zeros) > 60 and all(rom.call(name, FREE, 1, 2) == 0 for name in zeros)
