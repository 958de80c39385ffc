"""twoslot.agent, the download: a fault costs at most one block, and no right block is written again."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from slotbench.formats import blocks, document
from slotbench.formats.journal import SlotState
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset, PowerCut
from support.device.board import BOARD, DeviceBoard, refusal, trial_cell
from support.device.release import image_changes, offer, payload, release_fields
from support.device.site import (
    ACTIVATE,
    BLOCKS,
    DONE,
    DOWNLOAD,
    IDLE,
    IMAGE,
    SCAN,
    TABLE,
    VERIFY,
    SEQ,
    Site,
    Updater,
    files_app,
    offer_files,
    without_ranges,
)
from support.sampling import Sampler

SLOT = BOARD.slots[1]
HEADERS = 400
"""More bytes than the head of one response."""
BLOCK_OPERATIONS = 1 + 8
"""What a block costs the flash: its sector's erase, and a program for each piece of the buffer."""


@pytest.fixture
def updater(make_board: Callable[..., DeviceBoard], site: Site) -> Updater:
    """A board that is offered release 6."""
    board = make_board(FaultyNetwork(WsgiNetwork(site.app())))
    vm = board.start()
    board.flash.reset_counters()
    return Updater(board, vm)


def check_done(updater: Updater) -> None:
    """The image is in slot B, described and activated."""
    board = updater.board
    assert updater.slot() == IMAGE
    descriptor, cell = board.descriptor(1), board.newest()
    assert descriptor is not None and (descriptor.counter, descriptor.length) == (6, len(IMAGE))
    assert (cell.active, cell.state_b, cell.counter_b) == (1, SlotState.READY, 6)
    assert (cell.state_a, cell.head_seq) == (SlotState.CONFIRMED, SEQ)


def test_a_whole_update(updater: Updater) -> None:
    assert updater.run() == DONE

    check_done(updater)
    kinds = [request.path.split("/")[1] for request in updater.network.requests]
    assert kinds == ["heads", "releases", "blocks", "images"]
    assert updater.network.connections <= 3, "connections are not kept"
    assert updater.agent.written == BLOCKS and updater.image_bytes() <= len(IMAGE) + HEADERS
    assert updater.written_blocks() == list(range(BLOCKS)), "a sector was erased twice"


def test_progress_counts_blocks_once_they_are_in_place(updater: Updater) -> None:
    seen = []
    updater.agent.begin()
    while updater.step():
        seen.append(updater.agent.blocks_in_place)

    counted = [done for done, total in seen if total]
    assert counted == sorted(counted) and counted[-1] == BLOCKS
    assert {total for _, total in seen} == {0, BLOCKS}
    first = next(index for index, (_, total) in enumerate(seen) if total)
    assert all(item == (0, 0) for item in seen[:first])


def test_blocks_that_are_in_place_are_neither_fetched_nor_erased(updater: Updater) -> None:
    updater.board.flash.poke(SLOT.image.start, IMAGE)
    for number in (2, 3, 9):
        updater.board.flash.poke(SLOT.image.start + number * SECTOR + 7, bytes(4))

    assert updater.run() == DONE

    check_done(updater)
    assert updater.written_blocks() == [2, 3, 9]
    assert [request.range for request in updater.images()] == ["bytes=8192-16383", "bytes=36864-40959"]
    assert updater.image_bytes() <= 3 * SECTOR + 2 * HEADERS


def test_an_image_that_is_there_already_is_not_fetched(updater: Updater) -> None:
    updater.board.flash.poke(SLOT.image.start, IMAGE)

    assert updater.run() == DONE
    check_done(updater)
    assert updater.images() == [] and updater.written_blocks() == []


# Lost connections.


@pytest.mark.parametrize("errno", [104, None], ids=["reset", "closed"])
@pytest.mark.parametrize("kind", ["ranges", "no ranges"])
def test_a_lost_connection_costs_at_most_one_block(
    make_board: Callable[..., DeviceBoard], site: Site, errno: int | None, kind: str, sampler: Sampler,
) -> None:
    app = site.app()
    rng = random.Random(kind)
    places = sorted(rng.sample(range(1, len(IMAGE) + 200), 15))
    for lost_after in sampler.draw(f"places in an image where its connection is lost, {kind}, {errno}", places, 6):
        board = make_board(FaultyNetwork(WsgiNetwork(app if kind == "ranges" else without_ranges(app))))
        updater = Updater(board, board.start())
        assert updater.run(until=DOWNLOAD) == DOWNLOAD
        board.flash.reset_counters()
        board.network.inject(drop_after=lost_after, drop_errno=errno)

        assert updater.go_on() == DONE, f"lost after {lost_after} bytes"

        check_done(updater)
        assert board.network.connections == 4, "the connection was not lost, or too many were made"
        assert updater.written_blocks() == list(range(BLOCKS)), "a right block was written again"
        assert updater.agent.written == BLOCKS
        if kind == "ranges":
            fetched = updater.image_bytes()
            assert fetched <= len(IMAGE) + SECTOR + 2 * HEADERS, f"lost after {lost_after} bytes"


def test_one_block_a_connection_is_enough(updater: Updater) -> None:
    """Each connection brings a little more than one block, and no block is lost."""
    assert updater.run(until=DOWNLOAD) == DOWNLOAD
    lost = updater.vm.import_("twoslot.errors").LinkError
    losses = 0
    loss = updater.network.inject(drop_after=SECTOR + HEADERS)
    while updater.agent.state != DONE:
        if loss.used:
            loss = updater.network.inject(drop_after=SECTOR + HEADERS)
        try:
            updater.step()
        except lost:
            losses += 1
        assert updater.agent.state != IDLE, "gained blocks must begin the count of losses anew"
    assert losses > 8, "the connection was not lost often enough for this test"
    check_done(updater)
    assert updater.agent.written == BLOCKS


def test_after_eight_losses_without_a_block_the_ninth_ends_the_attempt(updater: Updater) -> None:
    """The blocks stay: the next attempt continues there."""
    updater.run(until=DOWNLOAD)
    while updater.agent.written < 5:
        updater.step()
    updater.network.inject(errno=ECONNRESET)
    updater.network.inject(drop_after=0)
    for number in range(1, 10):
        with refusal(updater.vm, "LinkError", 3, 104):
            for _ in range(100):  # the request, then its response
                updater.step()
        assert updater.agent.state == (DOWNLOAD if number < 9 else IDLE), f"after {number} losses"
    updater.network.clear_faults()
    updater.board.flash.reset_counters()

    assert updater.run() == DONE
    assert updater.written_blocks() == list(range(5, BLOCKS))


@pytest.mark.parametrize("lost_after", [0, 10, 500, 985 + 10, 985 + 1200])
def test_a_loss_before_anything_was_written_ends_the_attempt(updater: Updater, lost_after: int) -> None:
    updater.network.inject(drop_after=lost_after)
    with pytest.raises(updater.vm.import_("twoslot.errors").LinkError):
        updater.run()

    assert updater.agent.state == IDLE
    assert updater.run() == DONE, "the next attempt is not hindered"


def test_a_lost_table_is_fetched_again(updater: Updater) -> None:
    updater.run(until=TABLE)
    updater.board.flash.reset_counters()
    updater.network.inject(drop_after=100)

    assert updater.go_on() == DONE
    assert updater.losses == 1
    journal = [op for op in updater.board.operations() if op.addr in BOARD.journal]
    assert len(journal) == 2, "the slot was emptied again for a lost connection"


def test_blocks_from_before_a_power_cut_are_found_and_kept(updater: Updater) -> None:
    updater.run(until=DOWNLOAD)
    updater.board.flash.reset_counters()
    updater.board.flash.arm(Cut(2 * BLOCK_OPERATIONS + 1, CutMode.TORN, 3))
    with pytest.raises(PowerCut):
        updater.go_on()
    updater.board.soc.power_on()
    updater.board.flash.reset_counters()

    again = Updater(updater.board, updater.board.start())
    assert again.run() == DONE
    check_done(again)
    assert again.written_blocks() == list(range(2, BLOCKS)), "at most the block that was cut is written again"


# A server or an image that is wrong.


def test_a_server_without_ranges_is_good_enough(updater: Updater, site: Site) -> None:
    updater.network.inner.app = without_ranges(site.app())  # type: ignore[attr-defined]
    updater.board.flash.poke(SLOT.image.start, IMAGE)
    for number in (1, 2, 12):
        updater.board.flash.poke(SLOT.image.start + number * SECTOR, bytes(4))

    assert updater.run() == DONE
    check_done(updater)
    assert updater.written_blocks() == [1, 2, 12]
    assert len(updater.images()) == 1


def hostile(updater: Updater, image: bytes, table: bytes, **changes: object) -> None:
    """Serve these bytes under a right head and a release with these changes of its image."""
    fields = release_fields(images=image_changes(**changes))
    offered = offer({"images": fields["images"]})
    files = offer_files(offered, fields, document.payload_digest(payload(fields)), image, table)
    updater.network.inner.app = files_app(files)  # type: ignore[attr-defined]


def test_an_image_with_another_digest_is_never_activated(updater: Updater) -> None:
    """Every block is right but the digest differs: an error of the publisher, which must not repeat for ever."""
    hostile(updater, IMAGE, blocks.block_table(IMAGE), sha256="00" * 32)

    rounds = 0
    updater.run(until=VERIFY)
    with refusal(updater.vm, "ReleaseError", 43, 0):
        for _ in range(10):
            rounds += 1
            updater.go_on(until=SCAN)
            updater.go_on(until=VERIFY)
    assert rounds == 3, "the image is read and scanned three times"
    assert updater.agent.state == IDLE
    assert updater.board.newest().active == 0 and updater.board.descriptor(1) is None
    assert len(updater.images()) == 1


def test_a_table_that_is_not_the_releases_never_reaches_the_flash(updater: Updater) -> None:
    hostile(updater, IMAGE, blocks.block_table(bytes(len(IMAGE))))

    with refusal(updater.vm, "LinkError", 13, 0):
        updater.run()
    assert updater.board.flash.peek(SLOT.table.start, SECTOR) == b"\xff" * SECTOR
    assert updater.losses == 9 and updater.agent.state == IDLE
    assert updater.network.connections >= 2 + 9, "a connection that brought a wrong table was used again"


def test_a_table_that_ends_early_never_reaches_the_flash(updater: Updater) -> None:
    hostile(updater, IMAGE, blocks.block_table(IMAGE)[:-1])

    with refusal(updater.vm, "LinkError", 13, 0):
        updater.run()
    assert updater.board.flash.peek(SLOT.table.start, SECTOR) == b"\xff" * SECTOR


def test_a_block_that_is_always_wrong_ends_the_attempt(updater: Updater) -> None:
    bad = IMAGE[: 3 * SECTOR] + bytes(SECTOR) + IMAGE[4 * SECTOR :]
    hostile(updater, bad, blocks.block_table(IMAGE))

    with refusal(updater.vm, "LinkError", 12, 3):
        updater.run()
    assert updater.losses == 9 and updater.agent.state == IDLE
    assert updater.slot(3 * SECTOR) == IMAGE[: 3 * SECTOR], "the blocks before stay"


@pytest.mark.parametrize("size", [0, 100, len(IMAGE) - 1])
def test_an_image_that_ends_early_ends_the_attempt(updater: Updater, size: int) -> None:
    hostile(updater, IMAGE[:size], blocks.block_table(IMAGE))

    with refusal(updater.vm, "LinkError", 5):
        updater.run()
    assert updater.board.descriptor(1) is None


@pytest.mark.parametrize("running", [0, 1])
def test_of_two_images_the_one_for_the_spare_slot_is_taken(updater: Updater, running: int) -> None:
    image = release_fields()["images"]["any"]
    images = {letter: {**image, "url": f"images/{letter}.bin"} for letter in "ab"}
    fields = release_fields(images=images)
    offered = offer({"images": images})
    digest = document.payload_digest(payload(fields))
    files = offer_files(offered, release_fields(), digest, IMAGE, blocks.block_table(IMAGE))
    files |= {"/images/a.bin": IMAGE, "/images/b.bin": IMAGE}
    updater.network.inner.app = files_app(files)  # type: ignore[attr-defined]
    if running:
        updater.board.put_slot(1, bytes(4096), counter=5, confirmed=True, fs_version=0x00020001)
        updater.board.put_cell(1, trial_cell(state_b=SlotState.CONFIRMED, counter_b=5))
        updater = Updater(updater.board, updater.board.start(1))

    assert updater.run() == DONE
    assert [request.path for request in updater.images()] == [f"/images/{'ba'[running]}.bin"]
    assert updater.board.newest().active == 1 - running


# Flash that decays or wears.


@pytest.mark.parametrize("place", [0, 6 * SECTOR + 5, len(IMAGE) - 1])
def test_a_bit_that_fell_after_writing_is_fetched_again(updater: Updater, place: int) -> None:
    updater.run(until=VERIFY)
    updater.board.flash.poke(SLOT.image.start + place, bytes([updater.slot()[place] ^ 0x10]))
    updater.board.flash.reset_counters()

    assert updater.go_on() == DONE
    check_done(updater)
    assert updater.written_blocks() == [place // SECTOR]
    assert updater.image_bytes() <= len(IMAGE) + SECTOR + 2 * HEADERS


def test_a_bit_that_falls_each_time_is_given_up(updater: Updater) -> None:
    updater.run(until=VERIFY)
    with refusal(updater.vm, "ReleaseError", 43, 0):
        for _ in range(10):
            updater.board.flash.poke(SLOT.image.start + 5, bytes([updater.slot()[5] ^ 1]))
            updater.go_on(until=SCAN)
            updater.go_on(until=VERIFY)
    assert updater.board.newest().active == 0


@pytest.mark.parametrize(
    ("address", "code"),
    [(SLOT.table.start, 60), (SLOT.image.start + 4 * SECTOR, 60), (SLOT.descriptor.start, 60)],
    ids=["table", "image", "descriptor"])
def test_a_worn_sector_ends_the_attempt(updater: Updater, address: int, code: int) -> None:
    updater.board.flash.set_stuck(address // SECTOR, 0.3)

    with refusal(updater.vm, "FlashError", code, address):
        updater.run()
    assert updater.agent.state == IDLE
    assert updater.board.newest().active == 0, "a slot with a worn sector was activated"


# Ctrl-C.


@pytest.mark.parametrize("same_agent", [True, False])
@pytest.mark.parametrize("ms", [15, 200, 777])
def test_ctrl_c_in_the_middle_of_a_block_costs_that_block(
    updater: Updater, ms: int, same_agent: bool,
) -> None:
    updater.run(until=DOWNLOAD)
    updater.vm.interrupt_at(updater.board.soc.clock.ms + ms)
    with pytest.raises(KeyboardInterrupt):
        updater.go_on()
    updater.vm.interrupt_at(None)
    assert updater.agent.response is None, "a stream that stopped inside a block cannot be continued"

    if same_agent:
        assert updater.go_on() == DONE
    else:
        updater.agent = updater.vm.import_("twoslot.agent").Agent()
        assert updater.run() == DONE
    check_done(updater)
    assert updater.image_bytes() <= len(IMAGE) + SECTOR + 2 * HEADERS


def test_the_end_of_an_attempt_closes_the_connection(updater: Updater) -> None:
    updater.run(until=SCAN)
    assert updater.agent.response.idle and updater.vm.runtime.streams, "the connection is kept for the image"

    updater.vm.import_("twoslot").unload()
    assert updater.vm.runtime.streams == []


def test_activation_comes_after_the_image_was_read_back(updater: Updater) -> None:
    assert updater.run(until=ACTIVATE) == ACTIVATE

    assert updater.agent.progress is None and updater.slot() == IMAGE, "nothing of the download is left"
    assert updater.board.newest().state_b == SlotState.EMPTY and updater.board.descriptor(1) is None


def test_ctrl_c_while_boot_is_looked_at_does_not_leave_that_out(updater: Updater) -> None:
    assert updater.run(until=TABLE) == TABLE
    updater.vm.exec("import twoslot\ntwoslot.deadline = None")
    updater.board.files["/boot.py"] = b"import gc\n"
    updater.agent.stage = "twoslot.resume"  # what Ctrl-C leaves
    before = updater.board.newest()
    with pytest.raises(ChipReset):
        updater.go_on()

    assert updater.board.newest() == before, "the spare slot was touched without a hook"
    assert b"twoslot_boot" in updater.board.files["/boot.py"]
