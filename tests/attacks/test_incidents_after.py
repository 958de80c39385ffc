"""Reports of what came after an update: boards that lie, loop, forget, or cannot go back. And of the project itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.formats.image import parse_e9
from slotbench.formats.journal import Report
from slotbench.formats.rtc import BootReason
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.base import EINPROGRESS
from support.attacks import IMAGE, require_refusal, require_update
from support.faulty_server.scene import Scene
from support.incidents import incidents
from support.testbed import HOURS_MS, MINUTES_MS, make_testbed

ROOT = Path(__file__).parents[2]


def tried(does: Behaviour) -> list[BootReason]:
    """Three attempts, or one that never reached the boot hook; then the firmware before."""
    attempts = 1 if does is Behaviour.CRASH else 3
    return [BootReason.ORDINARY, *[BootReason.TRIAL] * attempts, BootReason.FALLBACK]


def run_bad_release(scene: Scene, does: Behaviour, hours: int = 2) -> None:
    """Release 2 does this; the board returns to release 1 within hours."""
    scene.testbed.publish(2, does)
    scene.board.power_on()
    scene.board.run(hours * HOURS_MS, until=lambda: scene.board.boots[-1].why is BootReason.FALLBACK)
    scene.board.run(2 * MINUTES_MS)


def count_downloads(scene: Scene) -> int:
    return sum(request.body_bytes for request in scene.server.requests_for(IMAGE)) // len(scene.testbed.images[2])


# Reports are true.


@incidents("does", arduino_1026=Behaviour.HANG, homie_261=Behaviour.CRASH)
def test_success_is_not_reported_while_the_old_firmware_runs(own: Scene, does: Behaviour) -> None:
    """The release was received and started but did not stay. The report says so, and status() names what runs."""
    run_bad_release(own, does)
    cell = own.board.cell
    assert cell is not None and own.runs(1)
    assert (cell.report, cell.report_counter) == (Report.BAD if does is Behaviour.CRASH else Report.UNPROVEN, 2)
    status = own.board.evaluate("twoslot.status()")
    assert (status["version"], status["counter"], status["confirmed"]) == ("1.0.0", 1, True)
    own.testbed.publish(3)
    require_update(own, 3)
    cell = own.board.cell
    assert cell is not None and (cell.report, cell.report_counter) == (Report.CONFIRMED, 3)
    assert own.board.evaluate("twoslot.status()")["version"] == "3.0.0"


def test_esp_link_267_the_reason_of_a_refusal_is_reported(scene: Scene) -> None:
    """Within bounded time, at the prompt and in the log."""
    scene.server.inject(errno=EINPROGRESS)
    scene.board.power_on()
    scene.board.run(10_000)
    before = scene.board.clock.ms
    assert "refused: 3 " in scene.board.run_line("twoslot.update()")
    assert scene.board.clock.ms - before <= 11_000
    assert re.search(r"\d+  3 connection-failed \(\d+\)", scene.board.run_line("twoslot.log()"))
    scene.server.clear_faults()
    require_update(scene, 2)


# Loops, bricks and ways back.


@incidents("does", esp_link_443=Behaviour.CRASH, esp_link_409=Behaviour.NOIMPORT, esp_link_247=Behaviour.RESTART)
def test_a_boot_loop_ends_and_the_loader_is_unchanged(own: Scene, does: Behaviour) -> None:
    """After three attempts the old firmware runs. No update can write sector 0."""
    loader = own.board.profile.loader
    sector = own.board.flash.peek(loader.start, loader.size)
    run_bad_release(own, does, hours=1)
    assert [boot.why for boot in own.board.boots][: len(tried(does))] == tried(does)
    assert own.board.flash.peek(loader.start, loader.size) == sector
    assert not [op for op in own.board.flash.log or () if op.addr in loader]
    assert own.board.evaluate("twoslot.status()")["version"] == "1.0.0"
    own.testbed.publish(3)
    require_update(own, 3)


@incidents(
    "does", tasmota_15502=Behaviour.CRASH, esphome_12460=Behaviour.NOIMPORT, thingsboard_7=Behaviour.HANG,
    arduino_esp32_7422=Behaviour.OFFLINE, arduino_esp32_8101=Behaviour.RESTART, tasmota_3790=Behaviour.HANG,
    tasmota_3417=Behaviour.CRASH)
def test_this_chip_goes_back_by_itself(own: Scene, does: Behaviour) -> None:
    """Whatever the new firmware does wrong; no network is needed."""
    own.testbed.publish(2, does)
    own.board.power_on()
    own.board.run(HOURS_MS, until=lambda: len(own.board.boots) == 2)
    own.server.online = False
    own.board.run(45 * MINUTES_MS)
    assert [boot.why for boot in own.board.boots] == tried(does) and own.runs(1)
    own.server.online = True
    own.testbed.publish(3)
    require_update(own, 3)


@incidents("counter", tasmota_619=2, esphome_issues_1699=5)
def test_there_is_always_a_firmware_to_go_back_to(own: Scene, counter: int) -> None:
    """After every update. Going back takes one command, no download and no network."""
    for next_one in range(2, counter + 1):
        own.testbed.publish(next_one)
        require_update(own, next_one)
    own.server.online = False
    own.board.run_line("twoslot.rollback()")
    own.board.run(MINUTES_MS)
    assert own.runs(counter - 1)
    own.server.online = True
    own.testbed.publish(counter + 1)
    require_update(own, counter + 1)


def test_energyme_237_a_bad_firmware_need_not_download_the_good_one(own: Scene) -> None:
    """The release is confirmed, then runs out of memory. Going back needs no memory."""
    own.testbed.publish(2)
    require_update(own, 2)
    fetched = len(own.server.requests)
    own.server.online = False
    own.board.run_line("twoslot.rollback()")
    assert own.board.boots[-1].why is BootReason.FALLBACK and own.board.boots[-1].marker.version == "1.0.0"
    assert len(own.server.requests) == fetched
    own.server.online = True
    own.board.run(6 * HOURS_MS)
    assert own.runs(1), "the release is not installed again"


def test_tasmota_9451_no_step_leaves_a_board_stuck(own: Scene) -> None:
    """One complete application runs at every boot, wherever the network fails."""
    own.testbed.publish(2)
    own.board.power_on()
    own.board.run(HOURS_MS, until=lambda: own.board.activity()[1] >= 4)
    own.server.online = False
    own.board.power_off()
    own.board.power_on()
    own.board.run(6 * HOURS_MS)
    assert own.runs(1)
    own.server.online = True
    require_update(own, 2)
    assert {boot.marker.version for boot in own.board.boots} == {"1.0.0", "2.0.0"}


def test_tasmota_542_nothing_of_the_user_is_lost(own: Scene) -> None:
    """Settings are files, and no slot reaches into the filesystem."""
    own.put_file("/config.json", b'{"relay": 12}')
    files = dict(own.board.files)
    place = own.board.profile.filesystem
    content = own.board.flash.peek(place.start, place.size)
    for counter in (2, 3):
        own.testbed.publish(counter)
        require_update(own, counter)
    assert own.board.files == files and own.board.flash.peek(place.start, place.size) == content


@incidents("cuts", jkbms_874=2, ropener_32=0)
def test_a_good_release_is_not_reverted_by_a_power_cut(own: Scene, cuts: int) -> None:
    """One or two cuts in the trial do not revert it, and no cut after the confirmation does."""
    own.testbed.publish(2)
    own.board.power_on()
    own.board.run(HOURS_MS, until=lambda: len(own.board.boots) == 2)
    for _ in range(cuts):
        own.board.power_off()
        own.board.power_on()
        assert own.board.boots[-1].why is BootReason.TRIAL
    own.board.run(5 * MINUTES_MS)
    assert own.runs(2)
    for _ in range(5):
        own.board.power_off()
        own.board.power_on()
        assert own.board.boots[-1].why is BootReason.ORDINARY and own.board.boots[-1].marker.version == "2.0.0"
    own.board.run(MINUTES_MS)
    assert own.runs(2)


def test_trmnl_373_a_release_that_failed_is_not_tried_for_ever(own: Scene) -> None:
    """It is downloaded once, started once, and never again."""
    own.put_file("/main.py", own.board.files["/main.py"].replace(b"sleep_ms(1000)", b"sleep_ms(20000)"))
    run_bad_release(own, Behaviour.CRASH)
    own.board.run(72 * HOURS_MS)
    assert len(own.board.boots) == len(tried(Behaviour.CRASH)) and count_downloads(own) == 1
    require_refusal(own)
    own.testbed.publish(3)
    require_update(own, 3)


# The project.


@incidents("vm_of", micropython_18540="generic_4m", yaota8266_25="d1_mini")
def test_no_special_firmware_is_needed(tmp_path: Path, vm_of: str) -> None:
    """The slot holds the published image, unpatched, and that image executes."""
    own = Scene(make_testbed(tmp_path, board=vm_of))
    image = own.testbed.publish(2)
    require_update(own, 2)
    assert own.board.flash.peek(own.board.profile.slots[1].image.start, len(image)) == image
    plain = parse_e9(image)
    assert own.board.irom() == image[plain.irom_offset : plain.irom_offset + plain.irom_bytes]
    result = own.board.result
    assert result is not None
    assert list(result.segments) == [(segment.address, segment.data) for segment in plain.segments]


def test_yaota8266_26_a_tutorial_whose_commands_exist() -> None:
    """From a bare board to a confirmed update. tests/guides types the commands at a board's port."""
    page = (ROOT / "host" / "docs" / "real-board.md").read_text(encoding="utf-8")
    verbs = re.findall(r"^slotbench ([a-z]+)", page, re.M)
    assert {"flash", "deploy", "check", "update", "status"} <= set(verbs)
    for verb in sorted(set(verbs)):
        assert cli.run([verb, "--help"]) == 0, verb


@pytest.mark.parametrize("does", [Behaviour.CRASH, Behaviour.HANG])
def test_the_bad_releases_of_these_tests_are_bad(own: Scene, does: Behaviour) -> None:
    """Otherwise a fallback here would prove nothing."""
    run_bad_release(own, does, hours=1)
    assert own.board.boots[1].marker.does is does
