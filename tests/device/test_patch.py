"""twoslot.patch: missing blocks are made from a patch and the running image; what fails is left to the blocks."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats import blocks
from slotbench.formats.patch import HEADER_BYTES
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard
from support.device.site import DONE, DOWNLOAD, Site, Updater
from support.fuzz.patch_checks import NEW as PATCHED_NEW
from support.fuzz.patch_checks import OLD as PATCHED_OLD
from support.fuzz.patch_checks import PatchedBoard, packed
from support.relinked import relinked

RUNNING, SPARE = BOARD.slots
OLD, NEW = relinked(), relinked(20, changed=40)
BLOCKS = blocks.block_count(len(NEW))
HEADERS = 400


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site where release 5, which the board runs, came before release 6."""
    made = Site(tmp_path)
    made.publish(OLD, counter=5)
    made.publish(NEW, patches=2)
    return made


def patch_path(site: Site, *, whole: bool = False) -> Path:
    """The patch from OLD to NEW, or the whole of NEW deflated."""
    found = sorted((site.root / "patches").iterdir(), key=lambda path: len(path.name))
    assert len(found) == 2
    return found[0] if whole else found[1]


@pytest.fixture
def updater(make_board: Callable[..., DeviceBoard], site: Site) -> Updater:
    return start(make_board, site)


def start(
    make_board: Callable[..., DeviceBoard], site: Site, running: bytes = OLD, *, static: bool = False,
) -> Updater:
    """A board that runs an image and is offered NEW; `static`: by a server that asks nobody what he decodes."""
    app = site.app()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if static:
            environ.pop("HTTP_USER_AGENT", None)
        return app(environ, start_response)

    board = make_board(FaultyNetwork(WsgiNetwork(serve)))
    board.put_slot(0, running, counter=5, version="1.0.0", floor=2, confirmed=True)
    board.flash.poke(RUNNING.table.start, blocks.table_sector(blocks.block_table(running)))
    vm = board.start()
    board.flash.reset_counters()
    return Updater(board, vm)


def check_done(updater: Updater) -> None:
    assert updater.slot(len(NEW)) == NEW
    assert updater.agent.state == DONE
    assert not [op for op in updater.board.operations() if op.addr in RUNNING.image or op.addr in RUNNING.table]


def paths(updater: Updater) -> list[str]:
    """What was asked for below patches/ and images/."""
    folders = ("patches", "images")
    return [request.path for request in updater.network.requests if request.path.split("/")[1] in folders]


def log(updater: Updater) -> list[tuple[int, int]]:
    """(code, place) of what the board remembers."""
    return [(code, where) for _, code, where in updater.vm.import_("twoslot")._log]


def test_a_patch_makes_the_image(updater: Updater, site: Site) -> None:
    assert updater.run() == DONE

    check_done(updater)
    path = patch_path(site)
    assert paths(updater) == [f"/patches/{path.name}"]
    received = sum(request.received for request in updater.network.requests if "patches" in request.path)
    assert path.stat().st_size <= received <= path.stat().st_size + HEADERS < len(NEW) // 20
    assert sorted(updater.written_blocks()) == list(range(BLOCKS)), "a block was written twice, or not at all"
    assert updater.agent.written == BLOCKS and log(updater) == []


def test_no_step_reads_the_patch_as_a_whole(updater: Updater) -> None:
    """Each step() is a small piece: what a tick() may take is a matter of how many there are in it."""
    assert updater.run(until=DOWNLOAD) == DOWNLOAD
    while updater.agent.stage != "twoslot.patch.blocks":
        updater.step()
    before, most = updater.agent.written, 0
    while updater.agent.stage == "twoslot.patch.blocks":
        updater.step()
        most = max(most, updater.agent.written - before)
        before = updater.agent.written
    assert most == 1


@pytest.mark.parametrize("static", [False, True])
def test_without_the_old_image_the_deflated_one_comes(
    make_board: Callable[..., DeviceBoard], site: Site, static: bool,
) -> None:
    """slotbench's server knows what the board decodes and sends it at once; a static host costs one request."""
    updater = start(make_board, site, relinked(40, seed=2), static=static)

    assert updater.run() == DONE

    check_done(updater)
    asked = paths(updater)
    assert asked[1:] == [f"/patches/{patch_path(site, whole=True).name}"] * static
    assert asked[0].endswith(".patch") and "-" in asked[0], "the patch of the running image comes first"
    assert log(updater) == []


def test_a_patch_of_another_image_in_its_place_is_refused(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    """Where the deflated image should be there is a patch whose old image is longer than the one that runs."""
    whole, patch = patch_path(site, whole=True), patch_path(site)
    whole.write_bytes(patch.read_bytes())
    updater = start(make_board, site, relinked(40, seed=2)[:-4096])

    assert updater.run() == DONE

    check_done(updater)
    assert {code for code, _ in log(updater)} == {50} and "/images/" in paths(updater)[-1]


def test_where_there_is_no_patch_the_blocks_are_fetched(updater: Updater, site: Site) -> None:
    for path in (site.root / "patches").iterdir():
        path.unlink()

    assert updater.run() == DONE

    check_done(updater)
    asked = [path.split("/")[1] for path in paths(updater)]
    assert asked[:2] == ["patches", "patches"] and set(asked[2:]) == {"images"}
    assert log(updater) == []


def test_few_missing_blocks_are_fetched_rather_than_a_longer_patch(updater: Updater, site: Site) -> None:
    """Only as much as the headers of two answers is spent on that."""
    updater.board.flash.poke(SPARE.image.start, NEW)
    updater.board.flash.poke(SPARE.image.start + len(NEW) - 8, bytes(8))
    patch_path(site).write_bytes(patch_path(site).read_bytes() + bytes(SECTOR))

    assert updater.run() == DONE

    check_done(updater)
    assert updater.written_blocks() == [BLOCKS - 1]
    assert [path.split("/")[1] for path in paths(updater)] == ["patches", "patches", "images"]


def test_blocks_in_place_are_not_written_again(updater: Updater) -> None:
    for number in range(3, BLOCKS, 2):
        updater.board.flash.poke(SPARE.image.start + number * SECTOR, NEW[number * SECTOR:][:SECTOR])

    assert updater.run() == DONE

    check_done(updater)
    assert not set(updater.written_blocks()) & set(range(3, BLOCKS, 2)) and len(paths(updater)) == 1


@pytest.mark.parametrize("errno", [104, None], ids=["reset", "closed"])
def test_a_lost_connection_costs_the_patch_once_more(
    make_board: Callable[..., DeviceBoard], site: Site, errno: int | None,
) -> None:
    size = patch_path(site).stat().st_size
    for lost_after in random.Random(3).sample(range(1, size), 6):
        updater = start(make_board, site)
        assert updater.run(until=DOWNLOAD) == DOWNLOAD
        while updater.agent.stage != "twoslot.patch.choice":
            updater.step()
        updater.network.inject(drop_after=lost_after, drop_errno=errno)

        assert updater.go_on() == DONE, f"lost after {lost_after} bytes"

        check_done(updater)
        assert paths(updater) == 2 * [f"/patches/{patch_path(site).name}"]
        assert sorted(updater.written_blocks()) == list(range(BLOCKS)), "a right block was written again"


def test_a_patch_that_never_comes_is_given_up(updater: Updater) -> None:
    """Three tries without a block gained, then the deflated image as often, then the blocks."""
    assert updater.run(until=DOWNLOAD) == DOWNLOAD
    lost = updater.vm.import_("twoslot.errors").LinkError
    while not updater.images():
        if updater.agent.stage == "twoslot.patch.blocks":
            updater.network.restart_server()
        try:
            updater.step()
        except lost:
            assert updater.agent.stage == "twoslot.resume"

    assert updater.go_on() == DONE

    check_done(updater)
    asked = paths(updater)
    assert [asked.count(path) for path in dict.fromkeys(asked)][:2] == [3, 3]


def test_a_cut_of_power_costs_one_block(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    for number in (0, 3, 6, 9):
        updater = start(make_board, site)
        assert updater.run(until=DOWNLOAD) == DOWNLOAD
        updater.board.flash.reset_counters()
        updater.board.flash.arm(Cut(number * 9 + 4, CutMode.TORN, number))
        with pytest.raises(PowerCut):
            updater.go_on()
        updater.board.flash.power_on()
        done = sum(
            updater.slot(len(NEW))[at:at + SECTOR] == NEW[at:at + SECTOR] for at in range(0, len(NEW), SECTOR))
        again = Updater(updater.board, updater.board.start())
        updater.board.flash.reset_counters()

        assert again.run() == DONE

        check_done(again)
        assert len(again.written_blocks()) == BLOCKS - done


# Patches that are damaged or hostile.


def test_a_damaged_patch_is_given_up_at_once(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    path = patch_path(site)
    whole = path.read_bytes()
    patch_path(site, whole=True).unlink()
    rng = random.Random(5)
    for place in [0, 4, 8, 12, *rng.sample(range(HEADER_BYTES, len(whole)), 12)]:
        data = bytearray(whole)
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        updater = start(make_board, site)

        assert updater.run() == DONE, f"byte {place}"

        check_done(updater)
        asked = paths(updater)
        assert asked.count(f"/patches/{path.name}") == 1, "a patch of no use was asked for again"
        assert len(updater.written_blocks()) <= BLOCKS + 1, "more than the block that went wrong was erased"
        given_up = [code for code, _ in log(updater)]
        assert given_up == ([50] if asked[-1].startswith("/images/") else []), f"byte {place}"


@pytest.mark.parametrize(("begins", "right"), [(0, True), (4, False), (-4, False)])
def test_only_the_old_image_is_copied(board: DeviceBoard, vm: CPythonVM, begins: int, right: bool) -> None:
    """What lies before and behind it in the flash is not, though it may be what the block is to be."""
    copied = len(PATCHED_OLD)
    signed = 2 * begins if begins >= 0 else -2 * begins - 1
    made = PatchedBoard(board, vm, packed(bytes(
        [0, 0, copied & 127 | 128, copied >> 7, len(PATCHED_NEW) - copied, signed, 0, *PATCHED_NEW[copied:]])))
    board.flash.poke(RUNNING.image.start + begins, PATCHED_NEW[:copied])
    assert made.make() is right


@pytest.mark.parametrize(("padding", "right"), [(b"\x80\0", True), (b"\x80\x80\0", False)])
def test_a_number_has_four_bytes_at_most(board: DeviceBoard, vm: CPythonVM, padding: bytes, right: bool) -> None:
    length = bytes([len(PATCHED_NEW) & 127 | 128, len(PATCHED_NEW) >> 7 | 128]) + padding
    made = PatchedBoard(board, vm, packed(bytes(3) + length + PATCHED_NEW))
    assert made.make() is right


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES, HEADER_BYTES + 1, 200, -1])
def test_a_cut_patch_is_given_up(make_board: Callable[..., DeviceBoard], site: Site, length: int) -> None:
    path = patch_path(site)
    path.write_bytes(path.read_bytes()[:length])
    updater = start(make_board, site)

    assert updater.run() == DONE

    check_done(updater)
    assert len(updater.written_blocks()) <= BLOCKS + 1
