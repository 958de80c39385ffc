"""Stock firmware, no loader: applications travel there as well."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.formats import rtc
from slotbench.formats.application_record import FolderState
from slotbench.formats.board_report import ReportEvent
from slotbench.mpy import sources
from slotbench.release.identities import Identities
from slotbench.server import BoardAuthenticator, ProvenReport, ReportIntake, create_app
from slotbench.vboard.signals import ChipReset
from support.device.board import BOARD
from support.device.site import Site
from support.device.stock import TICKS, StockBoard, program


@pytest.fixture
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockBoard]:
    made = StockBoard(Site(tmp_path_factory.mktemp("site")), interval_s=600)
    yield made
    made.close()


def is_confirmed(stock: StockBoard, counter: int) -> bool:
    record = stock.record()
    if record.active > 1:
        return False
    folder = record.folders[record.active]
    return (folder.counter, folder.state) == (counter, FolderState.CONFIRMED)


def test_an_application_is_taken_and_confirmed(stock: StockBoard) -> None:
    stock.offer(2)

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    record = stock.record()
    assert (record.active, record.report) == (1, 1)
    assert stock.files["/app_b/lamp.py"] == program(2)["lamp.py"]
    assert stock.files["/data/kept"] == b"of the user"
    assert stock.resets == [4]
    stock.offer(3)
    assert stock.life(1, until=lambda: is_confirmed(stock, 3))
    assert stock.record().active == 0


def test_it_reports_its_profile_and_no_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, told = Site(tmp_path), list[ProvenReport]()
    kept = Identities({"lamp-7": bytes(range(32))})
    kept.save(tmp_path / "identities.json")
    monkeypatch.setattr(site, "app", lambda: create_app(
        site.root, BoardAuthenticator(tmp_path / "identities.json"), ReportIntake(told.append)))
    stock = StockBoard(site, report=True, device_id="lamp-7")
    stock.files["/twoslot.secret"] = kept.secret_file("lamp-7")
    stock.offer(1)

    assert stock.life(0.1, until=lambda: bool(told))
    stock.close()
    assert (told[0].report.event, told[0].report.board) == (ReportEvent.START, BOARD.name)
    assert (told[0].report.slot, told[0].report.spare) == (None, None)


def test_what_a_journal_would_hold_is_in_the_record(stock: StockBoard) -> None:
    """The newest head, its time, the epoch and digest of the keys: over a loss of power."""
    stock.offer(1)
    stock.life(0.1, until=lambda: stock.record().head_seq > 0)
    record = stock.record()
    assert (record.key_epoch, record.head_time, record.channel_tag > 0) == (1, stock.site.issued, True)
    assert any(record.keys_digest)

    vm = stock.start(0)
    vm.run_file("/boot.py")
    shown = vm.eval("__import__('twoslot').status()")
    assert (shown["slot"], shown["counter"], shown["head"]) == (None, 0, record.head_seq)
    assert (shown["app_counter"], shown["app_confirmed"], shown["confirmed"]) == (1, True, True)


@pytest.mark.parametrize(("crash", "report", "resets"), [
    ("import machine\nmachine.WDT()\n__import__('time').sleep_ms(60000)\n", 2, [4, 3, 3, 3]),
    ("1 / 0\n", 2, [4, 4, 4, 4]),
    ("__import__('time').sleep(3000)\n", 3, [4, 4, 4, 4]),
], ids=["watchdog", "traceback", "deadline"])
def test_what_fails_falls_back(stock: StockBoard, crash: str, report: int, resets: list[int]) -> None:
    stock.offer(2, program(2, crash))

    assert stock.life(2, until=lambda: stock.record().report == report)
    record = stock.record()
    assert (record.active, record.folders[1].state, record.report_counter) == (0, FolderState.BAD, 2)
    assert stock.resets[:4] == resets
    assert stock.printed.count("program 2\n") == 3


def test_a_release_is_not_for_it(stock: StockBoard) -> None:
    """It has no slots: up to date, and nothing is asked for."""
    stock.site.publish()
    stock.life(0.1)

    assert stock.vm is not None
    assert [entry[1] for entry in stock.vm.eval("__import__('twoslot')._log")] == [28]
    assert not [request.path for request in stock.board.network.requests if "/releases/" in request.path]


def test_a_release_beside_an_application_is_left_out(stock: StockBoard) -> None:
    stock.site.publish()
    stock.offer(2)

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))


def test_a_soft_reset_in_a_trial_keeps_attempt_and_deadline(stock: StockBoard) -> None:
    stock.offer(2, program(2, "import time\nwhile True:\n    time.sleep(1)\n"))
    stock.life(0.5, until=lambda: stock.record().under_way)
    began = stock.soc.clock.ms
    attempts = stock.record().attempts
    for _ in range(2):
        vm = stock.boot()
        vm.run_file("/boot.py")
        vm.interrupt_at(stock.soc.clock.ms + 200_000)
        with pytest.raises(KeyboardInterrupt):
            vm.run_file("/app_b/main.py")
    assert (stock.record().attempts, stock.record().under_way) == (attempts, True)
    vm.interrupt_at(None)
    with pytest.raises(ChipReset) as ended:
        vm.run_file("/app_b/main.py")
    assert ended.value.reason == 4
    assert 590_000 < stock.soc.clock.ms - began < 610_000


@pytest.mark.parametrize("seed", range(4))
def test_noise_in_the_rtc_memory_is_no_record(stock: StockBoard, seed: int) -> None:
    rng = random.Random(seed)
    print(f"seed {seed}")
    stock.soc.power_on()
    for at in range(rtc.RETAINED_ADDRESS, rtc.ADDRESS + rtc.TAIL_BYTES, 4):
        stock.soc.write_word(at, rng.getrandbits(32))
    stock.soc.start_sdk()
    vm = stock.boot()
    vm.run_file("/boot.py")

    assert vm.folder() == "/app_a"
    words = [stock.soc.read_word(rtc.ADDRESS + at) & 0xFFFFFFFF for at in (0, 4, 8, 12, 28)]
    assert words == [0x32525332, 0, 0, 0, 0]
    assert stock.soc.read_word(rtc.ADDRESS + 24) & 0xFF == 12


def test_safe_mode_helps_here_too(stock: StockBoard) -> None:
    """A confirmed program that crashes without an end: only the updater runs, and takes what is better."""
    stock.files["/app_a/main.py"] = b"import machine\nmachine.WDT()\n__import__('time').sleep_ms(60000)\n"
    stock.offer(2)

    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    assert "safe mode" in "".join(stock.printed)


def test_rollback_goes_back(stock: StockBoard) -> None:
    stock.offer(2)
    assert stock.life(1, until=lambda: is_confirmed(stock, 2))
    vm = stock.start(6)
    vm.run_file("/boot.py")
    with pytest.raises(ChipReset):
        vm.eval("__import__('twoslot').rollback()")
    vm = stock.start(4)
    vm.run_file("/boot.py")

    assert vm.folder() == "/app_a" and stock.record().bad_counter == 2
    assert vm.eval("__import__('twoslot').rollback()") is False
    assert "65 no-other-slot" in "".join(stock.printed)


def test_a_wrong_signature_is_refused(stock: StockBoard) -> None:
    stock.offer(2)
    for path in stock.site.root.rglob("*.application"):
        path.write_bytes(path.read_bytes().replace(b"2.0", b"2.1"))
    stock.life(0.2)

    assert stock.record().folders[1].counter == 0 and stock.record().active == 0


def test_the_package_has_nothing_of_slots() -> None:
    paths = sources(has_loader=False)
    of_slots = {path for path in paths if path.startswith(("patch/", "image/"))}
    assert of_slots == {"image/request.py", "patch/stream.py"}, "an application is asked for, and comes as a patch"
    assert "boot/spare.py" not in paths and "boot/control.py" in paths
    assert b"import esp" not in b"".join(source for path, source in paths.items() if path != "hook_line.py")


def test_a_program_that_leaves_too_little_stack_for_littlefs_is_not_updated_beside(stock: StockBoard) -> None:
    """littlefs would write beyond the end of the stack: the update is made before main.py."""
    stock.files["/app_a/main.py"] = b"import time, twoslot\nprint('program 1')\n" + TICKS.encode()
    stock.offer(2)
    vm = stock.start()
    vm.run_file("/boot.py")
    vm.runtime.stack_used = 6000
    vm.interrupt_at(stock.soc.clock.ms + 120_000)
    with pytest.raises(KeyboardInterrupt):
        vm.run_file("/app_a/main.py")
    assert 78 in [entry[1] for entry in vm.eval("__import__('twoslot')._log")]
    assert stock.record().folders[1].counter == 0 and "/app_b/main.py" not in stock.files
    vm = stock.start(6)
    with pytest.raises(ChipReset):  # into its trial
        vm.run_file("/boot.py")
    assert "a check before main.py" in "".join(stock.printed)
    assert (stock.record().active, stock.record().folders[1].counter) == (1, 2)
