"""A board that runs while people press its buttons; every wait is made up, nothing here takes real time."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.cli.board_control import state_line
from slotbench.formats.journal import SlotState
from slotbench.vboard.board import BoardState
from slotbench.vboard.factory import MAIN
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.live.bench import QUIET, LiveBench, make_folder, saved
from support.testbed import TestBed, make_testbed
from support.vboard.flash import image, put_cell, put_slot
from support.vboard.loader import TRIAL

COUNTS = "import time\nn = 0\nwhile True:\n    n += 1\n    print('n =', n)\n    time.sleep(1)\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lamp1"


# time


def test_a_second_of_the_board_is_a_second(path: Path) -> None:
    bench = LiveBench(make_folder(path, COUNTS))
    bench.run(10)
    assert bench.real == pytest.approx(10, abs=0.1)
    shown = [second for second, text in bench.shown if text.startswith("n =")]
    assert len(shown) == 10
    assert all(later - earlier == pytest.approx(1, abs=0.01) for earlier, later in zip(shown, shown[1:]))


@pytest.mark.parametrize("speed", [0.5, 20])
def test_at_another_speed(path: Path, speed: float) -> None:
    bench = LiveBench(make_folder(path), speed=speed)
    bench.run(60)
    assert bench.real == pytest.approx(60 / speed, rel=0.01)


def test_as_fast_as_it_goes(path: Path) -> None:
    bench = LiveBench(make_folder(path, COUNTS), speed=None)
    assert bench.run(3600).count("n =") == 3600
    assert bench.real == 0


def test_a_board_without_a_program_waits_for_requests(path: Path) -> None:
    """Its program has ended: no virtual time passes without a request, and a button works at once."""
    bench = LiveBench(make_folder(path, "print('done')\n"))
    asked = bench.request(5000, command="status")
    bench.run(7200)
    facts = next(asked).facts()
    assert facts["time_ms"] == pytest.approx(5_000_000, abs=100)
    assert bench.text.count("done") == 1


def test_a_deep_sleep_takes_its_time(path: Path) -> None:
    bench = LiveBench(make_folder(path, "import machine\nmachine.deepsleep(60_000)\n"))
    bench.run(150)
    assert bench.real < 150
    boots = [second for second, text in bench.shown if "] boot: slot A" in text]
    assert [round(second) for second in boots] == [0, 61, 121], "and the end does not wait for the next one"


# power and reset


def test_the_plug_is_pulled_and_put_back(path: Path) -> None:
    remembers = "import machine\nprint(machine.reset_cause(), machine.RTC().memory())\n"
    folder = make_folder(path, remembers + "machine.RTC().memory(b'kept')\n" + QUIET)
    bench = LiveBench(folder)
    off, again, on, too = (
        bench.request(10, command="off"), bench.request(12, command="off"), bench.request(20, command="on"), bench.request(21, command="on"))
    reset = bench.request(30, command="reset")
    text = bench.run(40)
    assert [next(asked).facts()["state"] for asked in (off, again, on, too, reset)] == [
        "off", "off", "running", "running", "running"]
    assert text.count("0 b''") == 2, "power on, twice: nothing is left in RTC memory"
    assert text.count("6 b'kept'") == 1, "the reset button leaves it"
    assert "power off; what was in RAM and in RTC memory is gone" in text
    assert (bench.request_when("power off"), bench.request_when("reset button")) == (10, 30)
    assert [round(s) for s, shown in bench.shown if "] boot: slot" in shown] == [0, 20, 30]


def test_the_flash_is_saved_when_power_goes_and_not_before(path: Path) -> None:
    writes = "import esp\nesp.flash_write(0x8000, b'abcd')\n" + QUIET
    folder = make_folder(path, writes)
    bench = LiveBench(folder)
    seen: list[bytes] = []
    bench.at(10, lambda: seen.append(saved(folder)[0x8000:0x8004]))
    off = bench.request(11, command="off")
    bench.at(12, lambda: seen.append(saved(folder)[0x8000:0x8004]))
    bench.run(20)
    assert next(off).facts()["state"] == "off", "and this is answered after it was saved"
    assert seen == [b"\xff" * 4, b"abcd"]
    assert saved(folder) == bench.board.flash.peek(0, bench.board.flash.size)
    assert not folder.socket_path.exists()


def test_a_stop_pulls_the_plug(path: Path) -> None:
    """Whatever the program does with exceptions: power is no exception."""
    main = "import time\nwhile True:\n    try:\n        time.sleep(1)\n    finally:\n        print('tidy')\n"
    bench = LiveBench(make_folder(path, main))
    bench.at(5.5, bench.runner.stop)
    text = bench.run()
    assert bench.real == 5.5 and bench.board.state is BoardState.OFF
    assert text.endswith("power off; what was in RAM and in RTC memory is gone\n")


def test_nothing_reaches_the_flash_once_the_plug_is_pulled(path: Path) -> None:
    writes = (
        "import esp, time\ntry:\n    while True:\n        time.sleep(1)\n"
        "finally:\n    esp.flash_write(0x8000, b'abcd')\n")
    folder = make_folder(path, writes)
    bench = LiveBench(folder)
    bench.request(5, command="off")
    bench.run(10)
    assert saved(folder)[0x8000:0x8004] == b"\xff" * 4


def test_a_stop_while_there_is_no_power(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    bench.request(1, command="off")
    bench.at(100, bench.runner.stop)
    assert bench.run().count("power off") == 1
    assert bench.real == 100


def test_at_full_speed_a_board_without_power_burns_none(path: Path) -> None:
    """The wait for somebody is one without end, not a loop."""
    bench = LiveBench(make_folder(path), speed=None)
    bench.request(0, command="off")
    status = bench.request(3600, command="status")
    bench.run()
    assert next(status).facts()["state"] == "off" and bench.real == 3600


def test_files_are_those_of_the_folder_at_power_on(path: Path) -> None:
    counts = (
        "n = int(open('n').read()) + 1\nf = open('n', 'w')\nf.write(str(n))\nf.close()\nprint('run', n)\n")
    folder = make_folder(path, counts)
    (folder.files_path / "n").write_text("7")
    bench = LiveBench(folder)
    bench.request(5, command="off")
    seen: list[str] = []
    bench.at(6, lambda: seen.append((folder.files_path / "n").read_text()))
    bench.at(6, lambda: (folder.files_path / "n").write_text("41"))
    removes = "import os\nos.remove('n')\nprint('gone')\n"
    bench.at(6, lambda: (folder.files_path / "main.py").write_text(removes))
    bench.at(6, lambda: (folder.files_path / "boot.py").unlink())
    bench.request(7, command="on")
    text = bench.run(20)
    assert "/boot.py" not in bench.board.files
    assert seen == ["8"] and "run 8" in text and "gone" in text
    assert not (folder.files_path / "n").exists()


# the REPL


def test_a_line_at_the_repl(path: Path) -> None:
    bench = LiveBench(make_folder(path, COUNTS))
    asked = bench.request(5.5, command="repl", line="6 * 7")
    bad = bench.request(7.5, command="repl", line="1 / 0")
    text = bench.run(9)
    assert next(asked).answer() == ("42\n", {"facts": {}})
    assert "ZeroDivisionError" in next(bad).answer()[0]
    assert ">>> 6 * 7" in text and "42" in text
    assert bench.request_when(">>> 6 * 7") == pytest.approx(5.5, abs=0.01), "the application is stopped at once"
    assert text.count("n = 1\n") == 3, "and main.py is started again after each line"


def test_the_commands_of_twoslot(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    (path / "files" / "twoslot.keys").write_bytes(b"")
    asked = bench.request(2, command="repl", line="twoslot.status()['slot']")
    bench.run(5)
    assert next(asked).answer()[0] == "'A'\n"


def test_requests_during_a_long_line(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    slow = bench.request(1, command="repl", line="import time; time.sleep(10); print('slept')")
    second = bench.request(3, command="repl", line="print('second')")
    status = bench.request(4, command="status")
    text = bench.run(20)
    assert next(slow).answer()[0] == "slept\n"
    assert next(second).answer()[0] == "second\n"
    assert text.index("second\n") > text.index("slept\n") and bench.request_when("slept\n") == 11
    assert next(status).facts()["time_ms"] == pytest.approx(4000, abs=100), "status disturbs no program"


def test_a_line_ends_when_its_client_disconnects(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    forever = bench.request(1, command="repl", line="import time\nwhile True: time.sleep(1)")
    bench.at(5, lambda: next(forever).hang_up())
    after = bench.request(6, command="repl", line="'free'")
    bench.run(10)
    assert next(after).answer()[0] == "'free'\n"


def test_a_client_that_disconnected_is_skipped(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    bench.request(1, command="repl", line="import time; time.sleep(10)")
    gone = bench.request(2, command="repl", line="print('never')")
    bench.at(3, lambda: next(gone).hang_up())
    assert "never" not in bench.run(20)


@pytest.mark.parametrize(("button", "words"), [("off", "lost power"), ("reset", "")])
def test_a_button_is_stronger_than_a_line(path: Path, button: str, words: str) -> None:
    bench = LiveBench(make_folder(path))
    line = bench.request(1, command="repl", line="import time; time.sleep(1000)")
    pressed = bench.request(3, command=button)
    bench.run(10)
    assert next(pressed).facts()["state"] == ("off" if button == "off" else "running")
    answer = next(line)
    if words:
        assert words in answer.refusal()
    else:
        assert answer.answer()[1] == {"facts": {}}


def test_a_program_that_swallows_ctrl_c_gets_it_again(path: Path) -> None:
    stubborn = (
        "import time\nswallowed = 0\nwhile swallowed < 3:\n    try:\n        time.sleep(0.3)\n"
        "    except KeyboardInterrupt:\n        swallowed += 1\n")
    bench = LiveBench(make_folder(path, stubborn))
    asked = bench.request(5, command="repl", line="swallowed")
    bench.run(20)
    assert next(asked).answer()[0] == "3\n"


def test_a_program_has_a_second_to_tidy_up(path: Path) -> None:
    tidies = "import time\ntry:\n    time.sleep(99)\nfinally:\n    time.sleep(0.9)\n    print('tidied')\n"
    bench = LiveBench(make_folder(path, tidies))
    bench.request(5, command="repl", line="1")
    bench.run(10)
    assert bench.request_when("tidied") == pytest.approx(5.9, abs=0.1)


def test_a_board_that_sleeps_deeply_is_asked_when_it_wakes(path: Path) -> None:
    sleeps = "import machine, time\ntime.sleep(2)\nmachine.deepsleep(60_000)\n"
    bench = LiveBench(make_folder(path, sleeps))
    asked = bench.request(30, command="repl", line="'awake'")
    bench.run(70)
    assert next(asked).answer()[0] == "'awake'\n"
    assert bench.request_when("'awake'") == pytest.approx(63, abs=1)


def test_a_boot_py_that_never_ends_can_be_stopped(path: Path) -> None:
    bench = LiveBench(make_folder(path, "print('main')\n", boot=QUIET))
    asked = bench.request(5, command="repl", line="1 + 1")
    bench.run(10)
    assert next(asked).answer()[0] == "2\n"


def test_a_program_that_ends_itself_is_started_again(path: Path) -> None:
    bench = LiveBench(make_folder(path, "import sys\nprint('once more')\nsys.exit()\n"))
    text = bench.run(5)
    assert 5 <= text.count("once more") <= 15 and "soft reset" in text


def test_software_that_no_chip_survives(path: Path) -> None:
    """The board loses power; slotbench goes on."""
    zeros = "import esp\nesp.flash_write(0x8000, b'\\0\\0\\0\\0')\n"
    bench = LiveBench(make_folder(path, zeros + QUIET))
    line = bench.request(2, command="repl", line="esp.flash_write(0x8000, b'abcd')")
    on = bench.request(5, command="on")
    text = bench.run(10)
    assert "did something that no chip survives: python programs 0x008000 from 0x00 to 0x61" in text
    assert "lost power" in next(line).refusal()
    assert next(on).facts()["state"] == "running"


# what cannot be


@pytest.mark.parametrize("button", ["reset", "repl"])
def test_a_board_without_power_has_no_buttons(path: Path, button: str) -> None:
    bench = LiveBench(make_folder(path))
    bench.request(1, command="off")
    asked = bench.request(2, command=button, line="1")
    bench.run(5)
    error = next(asked).answer()[1]["error"]
    assert error["what"] == "the board has no power"
    assert error["cure"] == f"slotbench board power {path} on"


def test_firmware_that_hangs_has_no_repl(path: Path) -> None:
    bench = LiveBench(make_folder(path, does=Behaviour.FREEZE))
    line, reset = bench.request(1, command="repl", line="1"), bench.request(2, command="reset")
    status, off = bench.request(1000, command="status"), bench.request(1001, command="off")
    text = bench.run(1010)
    assert next(line).refusal() == "no REPL, the board is hung"
    assert next(reset).facts()["state"] == "hung"
    assert next(status).facts()["state"] == "hung"
    assert next(off).facts()["state"] == "off"
    assert "only a power cycle helps" in text


def test_a_reset_into_a_release_that_hangs(path: Path) -> None:
    """The response has the state after the reset, and time goes on."""
    bench = LiveBench(make_folder(path))

    def arm_trial() -> None:
        put_slot(bench.board.flash, 1, image("2.0.0", Behaviour.FREEZE), 2)
        put_cell(bench.board.flash, TRIAL, 1)

    bench.at(5, arm_trial)
    reset, status = bench.request(6, command="reset"), bench.request(100, command="status")
    bench.run(120)
    assert next(reset).facts()["state"] == "hung"
    facts = next(status).facts()
    assert (facts["state"], facts["slot"]) == ("hung", "B")
    assert facts["time_ms"] == pytest.approx(100_000, abs=100)


def test_a_board_on_which_nothing_boots(path: Path) -> None:
    folder = make_folder(path)
    flash = bytearray(saved(folder))
    flash[0x5000:0x6000] = b"\xff" * 0x1000
    folder.flash_path.write_bytes(flash)
    bench = LiveBench(folder)
    line, status = bench.request(200, command="repl", line="1"), bench.request(201, command="status")
    assert "nothing boots" in bench.run(300)
    assert next(line).refusal() == "no REPL, the board is dead"
    assert next(status).facts()["slot"] is None


def test_malformed_requests(path: Path) -> None:
    bench = LiveBench(make_folder(path))
    asked, typed = bench.request(1, command="fly"), bench.request(2, command="repl", line=7)
    bench.run(5)
    assert next(asked).refusal() == "unknown command"
    assert next(typed).refusal() == "the request has no line to type"


# cuts


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    testbed = make_testbed(tmp_path)
    testbed.publish(2)
    return testbed


def update_bench(testbed: TestBed, path: Path, main: str, **options: float | None) -> LiveBench:
    """A board that knows the keys of `testbed`, and its server."""
    folder = make_folder(path, main)
    (folder.files_path / "twoslot.keys").write_bytes(testbed.publisher.keys_path.read_bytes())
    return LiveBench(folder, WsgiNetwork(testbed.app), **options)


def test_a_whole_update_with_the_power_lost_inside(testbed: TestBed, path: Path) -> None:
    bench = update_bench(testbed, path, QUIET)
    cut = bench.request(10, command="cut", cut="next:torn:4")
    update = bench.request(11, command="repl", line="twoslot.update()")
    on = bench.request(60, command="on")
    again = bench.request(70, command="repl", line="twoslot.update()")
    check = bench.request(100, command="repl", line="twoslot.check()")
    status = bench.request(110, command="status")
    text = bench.run(120)
    armed = next(cut).facts()
    assert armed["cut"] == f"{armed['operations']}:torn:4"
    assert "lost power" in next(update).refusal()
    assert f"POWER LOST at a flash operation (cut {armed['cut']})" in text
    assert next(on).facts()["slot"] == "A"
    assert "restarting into its trial" in next(again).answer()[0]
    next(check)
    facts = next(status).facts()
    assert (facts["slot"], facts["version"], facts["why"], facts["boots"]) == ("B", "2.0.0", "trial", 3)
    cell = bench.board.cell
    assert cell is not None and cell.states == (SlotState.CONFIRMED, SlotState.CONFIRMED)


def test_status_tells_how_far_an_update_is(testbed: TestBed, path: Path) -> None:
    bench = update_bench(testbed, path, MAIN)
    asked = [bench.request(second, command="status") for second in range(10, 60)]
    bench.run(60)
    facts = [next(each).facts() for each in asked]
    doing = {fact["update"] for fact in facts}
    assert doing & {"download", "scan", "verify"}
    assert any(0 < fact["blocks"][0] <= fact["blocks"][1] == 12 for fact in facts)
    told = [state_line(fact) for fact in facts]
    assert any(line.endswith(" of 12 blocks in place") and "; update: download, " in line for line in told)
    assert told[-1] == "running at 0:00:59 of its time: slot B, 2.0.0, counter 2 (trial, confirmed)"
    assert facts[-1]["received_bytes"] > 48 * 1024 and facts[-1]["version"] == "2.0.0"


def test_a_cut_at_the_loader_s_own_writes(testbed: TestBed, path: Path) -> None:
    """Power goes while there is no program yet: in the boot after the update."""
    bench = update_bench(testbed, path, QUIET)
    bench.request(11, command="repl", line="twoslot.update()")
    count: list[int] = []
    bench.at(60, lambda: count.append(bench.board.flash.operations))
    bench.run(61)
    # The same again, with the cut at the last operation of the loader: spending the attempt. That of the boot hook follows.
    again = update_bench(testbed, path.with_name("lamp2"), QUIET)
    cut = again.request(10, command="cut", cut=f"{count[0] - 2}:before")
    again.request(11, command="repl", line="twoslot.update()")
    status = again.request(60, command="status")
    on = again.request(61, command="on")
    again.run(70)
    next(cut).facts()
    assert next(status).facts()["state"] == "off"
    assert saved(again.folder) == again.board.flash.peek(0, again.board.flash.size)
    assert next(on).facts()["why"] == "trial"


@pytest.mark.parametrize(
    ("cut", "words"),
    [("0:torn", "flash operation 0 is over"), ("next:sideways", "not a cut"), ("soon", "not a cut")])
def test_cuts_that_cannot_be(path: Path, cut: str, words: str) -> None:
    bench = LiveBench(make_folder(path, "import esp\nesp.flash_erase(8)\n" + QUIET))
    asked = bench.request(5, command="cut", cut=cut)
    bench.run(10)
    assert words in next(asked).refusal()


# what another VM has


@pytest.mark.parametrize(("main", "lacks"), [
    ("import btree\n", "btree"), ("from machine import PWM\n", "PWM"), ("import machine\nmachine.SPI(1)\n", "SPI"),
    ("import nothing_like_it\n", None)])
def test_a_program_that_asks_for_more_is_told_of_the_chip(path: Path, main: str, lacks: str | None) -> None:
    text = LiveBench(make_folder(path, main)).run(10)
    assert ("not here; use --vm chip" in text) == (lacks is not None), text
    assert lacks is None or f"this VM has no {lacks}" in text


@pytest.mark.parametrize("command", ["pin", "adc", "part"])
def test_pins_are_those_of_the_chip(path: Path, command: str) -> None:
    bench = LiveBench(make_folder(path))
    asked = bench.request(1, command=command, volts=0.4)
    bench.run(2)
    assert "this VM has no p" in next(asked).refusal()
