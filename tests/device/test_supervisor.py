"""twoslot.recovery.supervisor: whatever main.py does, the updater gets its turn; and a program that lets it is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench.formats.journal import Ended, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.control import activate, on_trial, open_control
from support.device.decision import first
from support.device.site import Site

TURNS, TIME, KEPT = 0x600013D8, 0x600013DC, 0x600013FC
WATCHDOG, RESTART, SLEEP, PIN = 3, 4, 5, 6
BUSY, PROVE_FIRST, CHECK_FIRST = 1 << 24, 1 << 26, 1 << 27
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SAFE_MODE, ONE_CHECK, FOLLOWS = "safe mode, without main.py", "a check before main.py", "main.py follows"
TICK = "import twoslot\ntwoslot.tick()\ntwoslot.tick()"


def start(board: DeviceBoard, reason: int = RESTART, why: BootReason = BootReason.ORDINARY, *, after_ms: int = 0) -> str:
    """Start after the run before has lasted so long; what boot.py prints until a Ctrl-C, 100 s later."""
    board.soc.clock.advance_ms(after_ms)
    vm = board.start(0, why, reason=reason)
    return run_boot(board, vm)


def run_boot(board: DeviceBoard, vm: CPythonVM, for_ms: int = 100_000) -> str:
    vm.interrupt_at(board.soc.clock.ms + for_ms)
    vm.run_file("boot.py")
    vm.interrupt_at(None)
    return vm.output


def soft_reset(board: DeviceBoard) -> CPythonVM:
    """Python starts over, the chip does not."""
    vm = CPythonVM(board.soc, board.files, board.network)
    run_boot(board, vm)
    return vm


def starts(board: DeviceBoard) -> int:
    return board.soc.read_word(TURNS) & 0xFF


def wakes(board: DeviceBoard) -> int:
    return board.soc.read_word(TURNS) >> 8 & 0x3FF


def set_flag(board: DeviceBoard, flag: int) -> None:
    board.soc.write_word(TURNS, board.soc.read_word(TURNS) | flag)


# Loops: starts and time.


def test_twenty_starts_and_thirty_minutes_are_a_loop(board: DeviceBoard) -> None:
    board.start()
    for _ in range(19):
        assert start(board, after_ms=90_000) == ""
    said = start(board, after_ms=90_000)

    assert SAFE_MODE in said and FOLLOWS in said
    assert starts(board) == 0, "whoever ends safe mode by hand begins the count anew"


@pytest.mark.parametrize("reason", [1, 2, WATCHDOG, RESTART, PIN])
def test_each_cause_of_a_restart_counts(board: DeviceBoard, reason: int) -> None:
    board.start()
    board.soc.write_word(TURNS, 199 | BUSY)

    assert SAFE_MODE in start(board, reason)


def test_many_starts_in_a_short_time_are_no_loop_yet(board: DeviceBoard) -> None:
    board.start()
    for _ in range(60):
        assert start(board, after_ms=10_000) == ""


def test_much_time_with_few_starts_is_no_loop(board: DeviceBoard) -> None:
    board.start()
    for _ in range(19):
        assert start(board, after_ms=50 * MINUTE_MS) == ""


def test_where_no_clock_goes_on_many_starts_are_enough(board: DeviceBoard) -> None:
    """The reset pin sets the RTC's counter to 0: nobody knows how long the run before was."""
    board.start()
    for _ in range(199):
        assert start(board, PIN, after_ms=9000) == ""
    assert SAFE_MODE in start(board, PIN, after_ms=9000)


def test_a_clock_that_is_set_is_no_time_without_a_turn(board: DeviceBoard) -> None:
    vm = board.start()
    vm.exec("import machine\nmachine.RTC().datetime((2026, 11, 29, 0, 4, 0, 0, 0))")
    start(board, after_ms=MINUTE_MS)

    assert board.soc.read_word(TIME) & 0xFFFF <= 12 or board.soc.read_word(TIME) & 0xFFFF < 4096


def test_a_loop_of_soft_resets_is_found(board: DeviceBoard) -> None:
    vm = board.start()
    run_boot(board, vm)
    board.soc.write_word(TURNS, 18)
    for _ in range(2):
        vm.exec(TICK)
        board.soc.clock.advance_ms(20 * MINUTE_MS)
        vm = soft_reset(board)

    assert SAFE_MODE in vm.output


def test_soft_resets_of_a_person_count_for_nothing(board: DeviceBoard) -> None:
    """mpremote and others make one for each command: no program runs between."""
    vm = board.start()
    run_boot(board, vm)
    for _ in range(250):
        assert soft_reset(board).output == ""

    assert starts(board) == 1


def test_a_check_that_came_to_its_end_begins_anew(board: DeviceBoard) -> None:
    vm = board.start()
    board.soc.write_word(TURNS, 150 | 30 << 8)
    board.soc.write_word(TIME, 5000)
    vm.exec("import time, twoslot\nwhile not twoslot._log:\n    twoslot.tick()\n    time.sleep_ms(1000)")

    assert (starts(board), wakes(board)) == (0, 0), "a check without a network is a turn too"
    assert board.soc.read_word(TIME) & 0xFFFF == 0


def test_a_program_that_restarts_on_purpose_and_ticks_is_never_disturbed(board: DeviceBoard) -> None:
    """Every 10 minutes; its server is dead for weeks."""
    for _ in range(60):
        vm = board.start(reason=RESTART)
        assert run_boot(board, vm) == ""
        vm.exec("import time, twoslot\nwhile not twoslot._log:\n    twoslot.tick()\n    time.sleep_ms(10000)")
        board.soc.clock.advance_ms(10 * MINUTE_MS)


# Safe mode ends.


# Crashes inside our own code.


@pytest.mark.parametrize("reason", [1, 2, WATCHDOG])
def test_a_crash_inside_tick_is_no_crash_of_the_application(board: DeviceBoard, reason: int) -> None:
    board.start()
    for _ in range(7):
        set_flag(board, BUSY)
        said = start(board, reason)
        assert ONE_CHECK in said and SAFE_MODE not in said
    assert board.soc.read_word(KEPT) >> 8 & 0xFF == 0
    assert board.soc.read_word(TURNS) & BUSY == 0


def test_a_crash_inside_tick_is_not_the_fifth_of_the_application(board: DeviceBoard) -> None:
    board.start()
    board.soc.write_word(KEPT, 4 << 8)
    set_flag(board, BUSY)
    said = start(board, WATCHDOG)
    assert ONE_CHECK in said and SAFE_MODE not in said


def test_a_release_that_crashed_before_the_hook_was_not_inside_tick(board: DeviceBoard) -> None:
    """tick() had restarted into its trial: that is what is still noted."""
    board.start()
    board.put_trial(spent=first(3), ended=(Ended.EXCEPTION,) * 3 + (None,) * 5)
    set_flag(board, BUSY)

    assert start(board, 2, BootReason.FALLBACK) == ""
    assert board.newest().report is Report.BAD


def test_a_restart_inside_tick_is_an_update(board: DeviceBoard) -> None:
    """tick() restarts into a trial, or before an update: nothing failed."""
    board.start()
    set_flag(board, BUSY)

    assert start(board, RESTART) == ""


# A fallback.


def test_a_fallback_is_settled_before_main(board: DeviceBoard) -> None:
    """main.py never calls tick(): without it each start would fall back anew."""
    board.start()
    board.put_trial(spent=first(3), ended=(Ended.DEADLINE,) * 3 + (None,) * 5)
    board.soc.write_word(KEPT, 3 << 8)
    start(board, why=BootReason.FALLBACK)

    assert board.newest().active == 0 and board.newest().report is Report.UNPROVEN
    assert board.soc.read_word(KEPT) >> 8 & 0xFF == 0, "the other release crashed"
    for _ in range(4):
        assert SAFE_MODE not in start(board, WATCHDOG, BootReason.FALLBACK)
    assert SAFE_MODE in start(board, WATCHDOG, BootReason.FALLBACK), "a fallback that is settled clears nothing"


def test_an_application_that_crashed_before_does_not_condemn_a_release(board: DeviceBoard) -> None:
    vm = board.start()
    board.soc.write_word(KEPT, 2 << 8)
    activate(vm, open_control(vm))
    assert board.newest().report is Report.SAFE_MODE and board.soc.read_word(TURNS) & PROVE_FIRST

    crashes = (Ended.EXCEPTION, Ended.SOFTWARE_WATCHDOG, Ended.HARDWARE_WATCHDOG) + (None,) * 5
    crashed = {"spent": first(3), "ended": crashes, "report": Report.SAFE_MODE, "report_counter": 5}
    board.put_trial(**crashed, reached=True)
    start(board, why=BootReason.FALLBACK)
    assert board.newest().report is Report.UNPROVEN and board.newest().bad_counter == 0

    board.put_trial(**crashed, reached=False)
    start(board, why=BootReason.FALLBACK)
    assert board.newest().report is Report.BAD, "it crashed before boot.py: that was not main.py"


def test_crashes_of_long_ago_excuse_nothing(board: DeviceBoard) -> None:
    vm = board.start()
    control = open_control(vm)
    control.cell.report = Report.SAFE_MODE
    activate(vm, control)

    assert board.newest().report == 0 and not board.soc.read_word(TURNS) & PROVE_FIRST


# A trial that begins without main.py.


def test_a_release_taken_before_main_proves_itself_before_main(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    board = make_board(WsgiNetwork(site.app()))
    vm = on_trial(board)
    set_flag(board, PROVE_FIRST)
    with pytest.raises(ChipReset) as reset:
        run_boot(board, vm)

    assert reset.value.reason == RESTART
    assert board.newest().states[1] is SlotState.CONFIRMED
    assert board.soc.read_word(TURNS) & PROVE_FIRST == 0


def test_with_manual_confirmation_main_follows_a_check(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    board = make_board(WsgiNetwork(site.app()), confirm="manual")
    vm = on_trial(board)
    set_flag(board, PROVE_FIRST)

    assert "on trial, a check before main.py" in run_boot(board, vm, 10 * HOUR_MS)
    assert board.newest().states[1] is SlotState.READY


# Programs that do not call tick(): wakes from deep sleep, and time.


def test_every_fortieth_wake_is_for_a_check(board: DeviceBoard) -> None:
    board.start()
    for _ in range(39):
        assert start(board, SLEEP) == ""
    assert wakes(board) == 39
    said = start(board, SLEEP)

    assert ONE_CHECK in said and SAFE_MODE not in said
    assert wakes(board) == 0


def test_checks_that_fail_come_less_often(board: DeviceBoard) -> None:
    board.start()
    checks = [number for number in range(700) if ONE_CHECK in start(board, SLEEP)]

    assert checks == [39, 119, 279, 439, 599]


def test_wakes_of_a_program_that_sleeps_by_deep_are_its_own(board: DeviceBoard) -> None:
    board.start()
    for _ in range(60):
        vm = board.start(reason=SLEEP)
        assert run_boot(board, vm) == ""
        with pytest.raises(ChipReset):
            vm.exec("from twoslot import sleep\nsleep.deep(600000, every=255)")


@pytest.mark.parametrize("reason", [RESTART, SLEEP])
@pytest.mark.parametrize(("setting", "hours"), [(86400, 24), (3600, 2), (0, None)])
def test_after_the_set_time_without_a_turn_a_start_checks(
    make_board: Callable[..., DeviceBoard], reason: int, setting: int, hours: int | None,
) -> None:
    board = make_board(unattended=setting)
    vm = board.start()
    run_boot(board, vm)
    for hour in range(2, 28, 2):
        if reason == SLEEP:
            with pytest.raises(ChipReset):
                vm.exec("import machine\nmachine.deepsleep(7200000)")
        board.soc.clock.advance_ms(2 * HOUR_MS)
        vm = board.start(reason=reason)
        said = run_boot(board, vm)
        assert (ONE_CHECK in said) == (hour == hours)
        if hour == hours:
            break


def test_a_week_is_the_longest_however_many_checks_failed(make_board: Callable[..., DeviceBoard]) -> None:
    """The count of seconds ends a little above it."""
    board = make_board(unattended=604_800)
    is_due = board.start().import_("twoslot.recovery.unattended").is_due
    board.soc.write_word(KEPT, 2 << 24)
    for units, due in ((60_479, False), (60_480, True)):
        board.soc.write_word(TIME, units)
        assert is_due() is due


def test_no_check_falls_into_quiet_hours(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(quiet=[0, 1])
    vm = board.start()
    vm.exec("import machine\nmachine.RTC().datetime((2026, 11, 29, 0, 0, 10, 0, 0))")
    start(board, RESTART)
    board.soc.write_word(TURNS, 39 << 8)
    assert start(board, SLEEP) == ""
    board.soc.write_word(TURNS, 79 << 8)
    vm.exec("import machine\nmachine.RTC().datetime((2026, 11, 29, 0, 1, 0, 10, 0))")

    assert ONE_CHECK in start(board, SLEEP)


def test_a_check_that_was_asked_for_is_made_once(board: DeviceBoard) -> None:
    board.start()
    set_flag(board, CHECK_FIRST)
    assert ONE_CHECK in start(board)
    assert start(board) == ""


# The timer: programs that ended, or never call tick().


def restarted_after(board: DeviceBoard, vm: CPythonVM, program: str, hours: int) -> float | None:
    """Hours until twoslot restarts the board under this program, None when it does not."""
    begun = board.soc.clock.ms
    try:
        vm.exec(f"import time\nfor _ in range({hours}):\n    {program}\n    time.sleep(3600)")
    except ChipReset as reset:
        assert reset.reason == RESTART
        assert board.soc.read_word(TURNS) & CHECK_FIRST
        return (board.soc.clock.ms - begun) / HOUR_MS
    return None


def booted(board: DeviceBoard) -> CPythonVM:
    vm = board.start()
    assert run_boot(board, vm) == ""
    return vm


@pytest.mark.parametrize(("setting", "after"), [(86400, 24), (3600, 1), (604800, 168), (0, None)])
def test_a_program_without_tick_restarts_when_its_time_is_over(
    make_board: Callable[..., DeviceBoard], setting: int, after: int | None,
) -> None:
    board = make_board(unattended=setting)
    took = restarted_after(board, booted(board), "pass", 170)

    assert took == (None if after is None else pytest.approx(after, abs=0.01))


def test_a_program_that_calls_tick_is_never_restarted(make_board: Callable[..., DeviceBoard]) -> None:
    """Its checks fail for days, and come once a week: the time without a turn is long."""
    board = make_board(interval_s=604800)
    vm = booted(board)
    board.soc.write_word(TIME, 60000)
    minute = "for _ in range(120):\n        twoslot.tick()\n        time.sleep(30)"

    assert restarted_after(board, vm, "import twoslot\n    " + minute, 30) is None


def test_a_tick_that_finds_no_stack_is_none(board: DeviceBoard) -> None:
    """It is called, and nothing comes of it but a request for a check before main.py."""
    vm = booted(board)
    vm.exec("import twoslot\ntwoslot.tick()")
    set_flag(board, CHECK_FIRST)

    took = restarted_after(board, vm, "twoslot.get_schedule().due()\n    time.sleep(1)", 30)
    assert took == pytest.approx(24, abs=1)


def test_soft_resets_do_not_put_it_off(board: DeviceBoard) -> None:
    vm = booted(board)
    for _ in range(3):
        assert restarted_after(board, vm, "pass", 7) is None
        vm.close()
        vm = soft_reset(board)

    took = restarted_after(board, vm, "pass", 7)
    assert took is not None and took <= 4


def test_in_quiet_hours_it_waits(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(unattended=3600, quiet=[0, 6])
    vm = booted(board)
    vm.exec("import machine\nmachine.RTC().datetime((2026, 11, 29, 0, 0, 10, 0, 0))")

    assert restarted_after(board, vm, "pass", 9) == pytest.approx(6, abs=1)


def test_what_the_program_gave_to_before_restart_is_asked(make_board: Callable[..., DeviceBoard]) -> None:
    board = make_board(unattended=3600, restart_delay_s=0)
    vm = booted(board)
    vm.exec("import twoslot\nasked = []\ntwoslot.before_restart(lambda: asked.append(1))")

    assert restarted_after(board, vm, "pass", 3) == pytest.approx(1, abs=0.01)
    assert vm.eval("asked") == [1]


def test_after_a_trial_the_timer_goes_on(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    """main.py proves the release, and ends."""
    board = make_board(WsgiNetwork(site.app()))
    vm = on_trial(board)
    run_boot(board, vm)
    vm.exec("import time, twoslot\nfor _ in range(300):\n    twoslot.tick()\n    time.sleep_ms(100)")
    assert board.newest().states[1] is SlotState.CONFIRMED

    assert restarted_after(board, vm, "pass", 30) == pytest.approx(24, abs=1.1)
