"""Which application the boot hook starts, and where imports and open() look then."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.signals import ChipReset, PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device.applications import (
    A, B, confirmed, get_record, put_application, put_record, ready, trial_record, with_folder,
)
from support.device.board import RUNNING, DeviceBoard, firmware

DEADLINE_MS = 600_000


@pytest.fixture
def apps(board: DeviceBoard) -> DeviceBoard:
    """Both folders hold a program, and so does the root."""
    put_application(board, A)
    put_application(board, B)
    board.files["/main.py"] = b"print('outside runs')\n"
    return board


def run(board: DeviceBoard, **start: Any) -> CPythonVM:
    """Start, as MicroPython does: boot.py, then main.py of where it left the program."""
    vm = board.start(**start)
    vm.run_file("/boot.py")
    vm.run_file(vm.folder() + "/main.py")
    return vm


def test_a_board_without_applications_starts_as_ever(board: DeviceBoard) -> None:
    board.files["/main.py"] = b"print('outside runs')\n"

    assert run(board).output == "outside runs\n"
    assert not set(board.files) & {f"/{name}" for name in FILES}


@pytest.mark.parametrize(("record", "starts"), [
    (ApplicationRecord(sequence=2), "outside"),
    (ApplicationRecord(sequence=2, active=A, folders=(confirmed(), Folder())), "app_a"),
    (ApplicationRecord(sequence=2, active=B, folders=(confirmed(), confirmed(2))), "app_b"),
    (ApplicationRecord(sequence=2, active=B, folders=(confirmed(), ready())), "app_a"),
    (trial_record(), "app_b"),
    (with_folder(trial_record(), B, firmware_low=RUNNING + 1), "app_a"),
    (with_folder(trial_record(), B, firmware_low=RUNNING, firmware_high=RUNNING), "app_b"),
    (with_folder(trial_record(), B, firmware_high=RUNNING - 1), "app_a"),
    (with_folder(trial_record(), B, mpy_abi=5), "app_a"),
    (with_folder(trial_record(), B, mpy_abi=6), "app_b"),
    (trial_record(with_firmware=RUNNING + 1), "app_a"),
    (trial_record(attempts=0, with_firmware=RUNNING), "app_b"),
    (with_folder(with_folder(trial_record(), B, mpy_abi=5), A, mpy_abi=5), "outside"),
    (ApplicationRecord(
        sequence=2, active=B, folders=(confirmed(1, data=1), confirmed(2, data=2, mpy_abi=5)), data=2), "outside"),
])
def test_what_starts(apps: DeviceBoard, record: ApplicationRecord, starts: str) -> None:
    put_record(apps, record)

    assert run(apps).output == f"{starts} runs\n"


def test_a_folder_without_main_py_does_not_start(apps: DeviceBoard) -> None:
    put_record(apps, trial_record())
    del apps.files["/app_b/main.py"]

    assert run(apps).output == "app_a runs\n"


def test_without_any_record_what_is_there_starts(apps: DeviceBoard) -> None:
    apps.files["/twoslot.app0"] = b"?"
    assert run(apps).output == "outside runs\n"
    del apps.files["/main.py"]
    assert run(apps).output == "app_a runs\n"


def test_the_record_before_counts_when_the_newest_is_damaged(apps: DeviceBoard) -> None:
    put_record(apps, replace(trial_record(), sequence=3, active=A, folders=(confirmed(), Folder())))
    apps.files["/twoslot.app0"] = trial_record().pack()[:-1] + b"?"

    assert run(apps).output == "app_a runs\n"


def test_imports_and_open_look_into_the_active_folder_first(apps: DeviceBoard) -> None:
    put_record(apps, ApplicationRecord(sequence=2, active=A, folders=(confirmed(), Folder())))
    put_application(
        apps, A, "import lamp, wires, shelf, twoslot\nprint(lamp.n, wires.n, shelf.n, open('x').read(), "
        "open('/data/x').read())\nopen('new', 'w').write('?')\n", lamp__py=b"n = 'inside'\n", x=b"inside")
    apps.files.update({
        "/lamp.py": b"n = 'root'\n", "/lib/wires.py": b"n = 'lib'\n", "/shelf.py": b"n = 'root'\n",
        "/x": b"root", "/data/x": b"data"})

    vm = run(apps)

    assert vm.output == "inside lib root inside data\n"
    assert vm.eval("__import__('os').getcwd()") == "/app_a"
    assert vm.eval("__import__('twoslot').__path__") == "/twoslot"


def test_an_attempt_is_spent_before_the_program_runs(apps: DeviceBoard) -> None:
    put_record(apps, trial_record())
    put_application(apps, B, "raise SystemExit\n")

    with pytest.raises(SystemExit):
        run(apps)

    assert (get_record(apps).attempts, get_record(apps).under_way) == (2, True)


@pytest.mark.parametrize(("reason", "end", "bad"), [
    (0, 1, False), (1, 2, True), (2, 3, True), (3, 4, True), (4, 8, False), (5, 9, False), (6, 7, False),
])
def test_three_attempts_then_the_other_one_and_a_verdict(
    apps: DeviceBoard, reason: int, end: int, bad: bool,
) -> None:
    put_record(apps, trial_record())
    outputs = [run(apps, reason=reason).output for _ in range(3)]
    ended = get_record(apps).ended
    outputs.append(run(apps, reason=reason).output)
    record = get_record(apps)

    assert outputs == ["app_b runs\n"] * 3 + ["app_a runs\n"]
    assert (record.active, record.folders[B].state, record.report_counter) == (A, FolderState.BAD, 2)
    assert ended == end
    assert record.report == (2 if bad else 3)
    assert (record.bad_counter, record.unproven_counter) == ((2, 0) if bad else (0, 2))
    assert (record.under_way, record.attempts) == (False, 0)
    assert run(apps, reason=reason).output == "app_a runs\n"


def test_a_crash_is_not_forgotten_for_a_cut_of_power(apps: DeviceBoard) -> None:
    put_record(apps, trial_record())
    for reason in (0, 2, 0, 0):
        run(apps, reason=reason)

    assert (get_record(apps).report, get_record(apps).bad_counter) == (2, 2)


def test_a_development_application_moves_no_counter(apps: DeviceBoard) -> None:
    put_record(apps, with_folder(trial_record(), B, counter=0x80000003))
    for _ in range(4):
        run(apps, reason=2)

    record = get_record(apps)
    assert (record.active, record.bad_counter, record.unproven_counter) == (A, 0, 0)
    assert (record.report, record.report_counter) == (2, 0x80000003)


def test_a_soft_reset_costs_no_attempt(apps: DeviceBoard) -> None:
    put_record(apps, trial_record())
    run(apps)
    again = run(apps, note=12)

    assert again.output == "app_b runs\n"
    assert (get_record(apps).attempts, get_record(apps).under_way) == (2, True)


def test_a_trial_has_its_deadline(apps: DeviceBoard) -> None:
    put_record(apps, trial_record())
    put_application(apps, B, "import time\ntime.sleep_ms(%d)\nprint('late')\ntime.sleep_ms(9000)\n" % (
        DEADLINE_MS - 6000))
    vm = apps.start()
    vm.run_file("/boot.py")

    with pytest.raises(ChipReset):
        vm.run_file("/app_b/main.py")
    assert vm.output == "late\n"


def test_outside_a_trial_nothing_is_armed(apps: DeviceBoard) -> None:
    put_record(apps, ApplicationRecord(sequence=2, active=A, folders=(confirmed(), Folder())))
    vm = run(apps)

    vm.exec(f"import time\ntime.sleep_ms({2 * DEADLINE_MS})")
    assert vm.eval("__import__('twoslot').deadline") is False


class TestWithFirmware:
    """Both came together: the loader counts the attempts, and one proof confirms both."""

    record = with_folder(trial_record(attempts=0, with_firmware=6), B, firmware_low=6)

    def test_before_the_restart_the_old_pair_runs(self, apps: DeviceBoard) -> None:
        put_record(apps, self.record)

        assert run(apps, note=11).output == "app_a runs\n"
        assert get_record(apps) == self.record

    def test_power_lost_before_the_journal_s_cell_leaves_no_trial(self, apps: DeviceBoard) -> None:
        put_record(apps, self.record)

        assert run(apps).output == "app_a runs\n"
        record = get_record(apps)
        assert (record.active, record.folders[B], record.with_firmware) == (A, replace(
            self.record.folders[B], state=FolderState.EMPTY, counter=0), 0)

    def test_in_the_trial_the_new_pair_runs_and_no_attempt_is_counted(self, apps: DeviceBoard) -> None:
        put_record(apps, self.record)
        apps.put_slot(1, firmware(2), counter=6)

        vm = run(apps, slot=1, why=BootReason.TRIAL, trial=True, left=2, counter=6)

        assert vm.output == "app_b runs\n"
        assert vm.eval("bool(__import__('twoslot').deadline)")
        assert get_record(apps) == self.record

    def test_after_a_fallback_the_old_pair_runs(self, apps: DeviceBoard) -> None:
        put_record(apps, self.record)

        assert run(apps, why=BootReason.FALLBACK, reason=2).output == "app_a runs\n"
        record = get_record(apps)
        assert (record.active, record.folders[B].state, record.report) == (A, FolderState.BAD, 3)
        assert (record.unproven_counter, record.rounds) == (2, 1)

    @pytest.mark.parametrize("start", [
        {"why": BootReason.ORDINARY}, {"why": BootReason.TRIAL, "trial": True, "note": 10},
    ], ids=["restart", "soft reset"])
    def test_once_the_firmware_is_confirmed_so_is_the_application(
        self, apps: DeviceBoard, start: dict[str, Any],
    ) -> None:
        put_record(apps, with_folder(replace(self.record, next_floor=2), B, data=3))
        apps.put_slot(1, firmware(2), counter=6)

        assert run(apps, slot=1, counter=6, **start).output == "app_b runs\n"
        record = get_record(apps)
        assert (record.folders[B].state, record.floor, record.data) == (FolderState.CONFIRMED, 2, 3)


def test_a_full_filesystem_starts_no_attempt(apps: DeviceBoard) -> None:
    """An attempt that cannot be counted could be repeated for ever."""
    put_record(apps, trial_record())
    vm = apps.start()
    vm.exec("import os\ndef refuse(old, new):\n    raise OSError(28)\nos.rename = refuse\n")
    vm.run_file("/boot.py")

    assert vm.folder() == "/app_a"


@pytest.mark.parametrize("mode", list(CutMode))
@pytest.mark.parametrize("reason", [0, 2])
def test_a_cut_at_each_operation_of_a_start_leaves_a_program(
    apps: DeviceBoard, mode: CutMode, reason: int,
) -> None:
    put_record(apps, trial_record())
    cuts = 0
    for _ in range(4):  # three attempts, then the verdict
        before = dict(apps.files)
        for nth in itertools.count():
            apps.files.clear()
            apps.files.update(before)
            vm = apps.start(reason=reason)
            apps.flash.arm(Cut(apps.flash.operations + nth, mode, nth))
            try:
                vm.run_file("/boot.py")
                break
            except PowerCut:
                cuts += 1
                apps.flash.power_on()
                apps.flash.disarm()
                assert run(apps).output in ("app_a runs\n", "app_b runs\n")
                assert get_record(apps).attempts < 3
        apps.flash.disarm()
    assert cuts >= 4 * 2
    assert get_record(apps).active == A
