"""Whole updates on the in-place maps of the native SDK, with the unmodified device modules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import boards, cli
from slotbench.formats.descriptor import BAD_OFFSET
from slotbench.formats.head import Head
from slotbench.formats.image_ea import build_ea, parse_ea
from slotbench.formats.journal import Report, SlotState
from slotbench.formats.release import Release
from slotbench.formats.rtc import ADDRESS, BootReason
from slotbench.formats.seal import digest8
from slotbench.release import store
from slotbench.server import BackgroundServer
from slotbench.vboard import firmware
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.soc import RTC_BASE
from slotbench.vboard.vm import DeviceVM
from support.invariants import Invariants
from support.testbed import BUSY_MAIN, HOURS_MS, MINUTES_MS, PRODUCT, TestBed, make_testbed, runs_confirmed, update_to


@pytest.fixture(params=["native_512k", "native_1m"])
def testbed(tmp_path: Path, request: pytest.FixtureRequest, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, board=request.param, vm=vm, main=BUSY_MAIN)


@pytest.fixture
def small_world(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, board="native_512k", vm=vm, main=BUSY_MAIN)


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def images_asked(board: VirtualBoard) -> set[str]:
    return {request.path for request in board.network.requests if request.path.startswith("/images/")}


def url(image: bytes) -> str:
    return f"/{store.image_name(hashlib.sha256(image).hexdigest())}"


def test_the_board_takes_the_image_for_its_spare_slot_and_never_the_other(testbed: TestBed) -> None:
    board = testbed.board()
    board.power_on()
    for counter in range(2, 6):
        slot = (counter - 1) % 2
        testbed.publish(counter)
        board.network.requests.clear()
        update_to(board, counter)
        assert board.result is not None and board.result.slot == slot
        assert images_asked(board) == {url(testbed.image(counter, slot))}
        assert board.result.irom_address == testbed.profile.irom_address(slot)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, *[BootReason.TRIAL] * 4]
    cell = board.cell
    assert cell is not None and cell.states == (SlotState.CONFIRMED, SlotState.CONFIRMED)


def test_whole_slots_over_real_sockets(tmp_path: Path) -> None:
    """Images of 236 KB, the article's limit."""
    testbed = make_testbed(tmp_path, board="native_512k", size=236 * 1024)
    testbed.publish(2)
    with BackgroundServer(testbed.app) as server:
        board = testbed.board(LoopbackNetwork(), server=server.url)
        update_to(board, 2)
    assert len(testbed.image(2, 1)) > 236 * 1024 - 16
    assert board.boots[-1].marker.version == "2.0.0"


def test_an_update_writes_only_its_regions(small_world: TestBed) -> None:
    """Slots, journal, the sector of table and descriptor, the SDK's parameters; nothing else."""
    small_world.publish(2)
    board = small_world.board()
    board.power_on()
    board.flash.reset_counters()
    update_to(board, 2)
    spare, sdk = small_world.profile.slots[1], small_world.profile.sdk
    allowed = (small_world.profile.journal, spare.table, spare.descriptor, spare.image, sdk)
    log = board.flash.log or []
    assert [op for op in log if not any(op.addr in region for region in allowed)] == []
    assert {op.actor for op in log if op.addr in sdk} == {"sdk"}


@pytest.mark.parametrize(("does", "attempts"), [(Behaviour.CRASH, 1), (Behaviour.NOIMPORT, 3)])
def test_a_release_that_crashes_falls_back(small_world: TestBed, does: Behaviour, attempts: int) -> None:
    small_world.publish(2, does)
    board = small_world.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, *[BootReason.TRIAL] * attempts, BootReason.FALLBACK]
    assert runs_confirmed(board, 1)
    cell = board.cell
    assert cell is not None and (cell.bad_counter, cell.report) == (2, Report.BAD)
    small_world.publish(3)
    update_to(board, 3)


def test_a_release_that_proves_nothing_is_given_up(small_world: TestBed) -> None:
    small_world.publish(2, Behaviour.OFFLINE)
    board = small_world.board()
    board.power_on()
    board.run(8 * HOURS_MS)
    assert sum(boot.why is BootReason.TRIAL for boot in board.boots) == 12
    assert runs_confirmed(board, 1) and codes(board)[-1] == 41


def test_the_same_release_again_gets_a_new_descriptor(small_world: TestBed) -> None:
    """The table is right, so the sector is erased only for the descriptor."""
    small_world.publish(2, Behaviour.CRASH)
    board = small_world.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    board.flash.poke(small_world.profile.slots[1].descriptor.start + BAD_OFFSET, bytes(4))
    assert isinstance(board.on_boot, Invariants)
    board.on_boot.trials.clear()  # by hand, with force
    before = len(board.boots)
    board.run_line("twoslot.update(force=True)")
    board.run(MINUTES_MS)
    whys = [boot.why for boot in board.boots[before:]]
    assert whys == [BootReason.TRIAL, BootReason.FALLBACK]


def test_rollback_by_hand(small_world: TestBed) -> None:
    small_world.publish(2)
    board = small_world.board()
    update_to(board, 2)
    board.network.online = False
    board.run_line("twoslot.rollback()")
    board.run(MINUTES_MS)
    assert runs_confirmed(board, 1)
    assert board.result is not None and board.result.slot == 0


def test_a_download_that_was_cut_short_is_resumed(small_world: TestBed) -> None:
    small_world.publish(2)
    network = FaultyNetwork(WsgiNetwork(small_world.app))
    network.inject(drop_after=30_000)
    board = small_world.board(network)
    update_to(board, 2)
    received = [r.received for r in board.network.requests if r.path.startswith("/images/")]
    assert len(received) == 2
    assert sum(received) < len(small_world.image(2, 1)) + 4096 + 3 * 512


# Releases that `slotbench release build` refuses, signed by hand.


def published(testbed: TestBed) -> tuple[Head, bytes]:
    """The head of the channel, and line 1 of the release it points at."""
    site = testbed.publisher.site
    head = Head.from_payload((site.read(store.head_name(PRODUCT, "stable")) or b"").split(b"\n")[0])
    return head, (site.read(store.release_name(head.release)) or b"").split(b"\n")[0]


def point_at(testbed: TestBed, payload: bytes) -> None:
    """Sign a release and a head that points at it."""
    site, head = testbed.publisher.site, published(testbed)[0]
    signed = testbed.publisher.offline.sign(payload)
    site.write(store.release_name(signed.digest), signed.pack())
    changed = replace(head, seq=head.seq + 1, release=signed.digest)
    site.write(store.head_name(PRODUCT, "stable"), testbed.publisher.online.sign(changed.to_payload()).pack())


def test_a_release_without_the_spare_slots_image_is_refused(small_world: TestBed) -> None:
    small_world.publish(2)
    point_at(small_world, published(small_world)[1].replace(b'"b":{', b'"c":{'))
    board = small_world.board()
    board.power_on()
    board.run(HOURS_MS)
    assert board.evaluate("twoslot._log")[-1][1:] == (38, 1)
    assert images_asked(board) == set()
    assert runs_confirmed(board, 1)


def test_an_image_longer_than_the_slot_is_refused(small_world: TestBed) -> None:
    small_world.publish(2)
    release = Release.from_payload(published(small_world)[1])
    longer = {key: replace(image, length=236 * 1024 + 4) for key, image in release.images.items()}
    point_at(small_world, replace(release, images=longer).to_payload())
    board = small_world.board()
    board.power_on()
    board.run(HOURS_MS)
    assert board.evaluate("twoslot._log")[-1][1:] == (36, 236 * 1024 + 4)
    assert images_asked(board) == set()


def test_an_image_linked_for_the_other_slot_crashes_and_the_board_comes_back(small_world: TestBed) -> None:
    board = small_world.board()
    update_to(board, 1)
    small_world.publish(2)
    release = Release.from_payload(published(small_world)[1])
    swapped = {"a": release.images["b"], "b": release.images["a"]}
    point_at(small_world, replace(release, images=swapped).to_payload())
    board.on_boot = None  # without invariant 2: the image is not linked for its slot
    board.run(2 * HOURS_MS)
    trials = [boot for boot in board.boots if boot.why is BootReason.TRIAL]
    assert [(boot.slot, boot.marker.does) for boot in trials] == [(1, Behaviour.CRASH)]
    assert board.boots[-1].why is BootReason.FALLBACK and runs_confirmed(board, 1)
    cell = board.cell
    assert cell is not None and cell.bad_counter == 2


@pytest.mark.parametrize("number", [2, 255])
def test_a_slot_number_that_is_neither_is_refused(small_world: TestBed, number: int) -> None:
    """As the SDK's userbin check did: "Invalid userbin number"."""
    small_world.publish(2)
    board = small_world.board()
    board.power_on()
    at = ADDRESS - RTC_BASE
    tail = bytearray(board.soc.rtc[at : at + 32])
    tail[4] = number
    tail[16:24] = digest8(bytes(tail[:16]))
    board.soc.rtc[at : at + 32] = tail

    assert "64 no-boot-record" in board.run_line("twoslot.update()")
    board.run(HOURS_MS)

    assert images_asked(board) == set()
    assert len(board.boots) == 1 and board.state is BoardState.RUNNING


# The demo.


def test_the_demo_plays_on_the_articles_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--board", "native_512k"]) == 0
    told = capsys.readouterr().out
    for sentence in (
        "native_512k is bench only: no on-device updater exists for this map.", "241,652 + 241,652 bytes",
        "user2.bin was fetched, for slot B; its irom runs at 0x40241010", "POWER LOST inside a write",
        "it is marked bad (30)", "its signature is wrong (22)", "all of it happened as told",
    ):
        assert sentence in told


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """user1.bin and user2.bin without slotbench's marker."""
    def unmarked(data: bytes) -> bytes:
        return data.replace(b"slotbench firmware ", b"somebody firmware! ")

    paths = []
    images = firmware.for_board(boards.load("native_512k"), "9.9.9", size=96 * 1024)
    for number, data in enumerate(images, 1):
        parsed = parse_ea(data)
        segments = [(segment.address, unmarked(segment.data)) for segment in parsed.segments]
        path = tmp_path / f"user{number}.bin"
        path.write_bytes(build_ea(segments, parsed.entry, unmarked(data[16 : 16 + parsed.irom_bytes])))
        paths.append(str(path))
    return paths


def test_the_demo_takes_two_images(pair: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    images = ["--image", pair[0], "--image", pair[1]]
    assert cli.run(["demo", "--fast", "--board", "native_512k", *images]) == 0
    assert "all of it happened as told" in capsys.readouterr().out


@pytest.mark.parametrize(("chosen", "board", "what", "code"), [
    ([0], "native_512k", "one image given; native_512k runs images in place and needs one linked for", 2),
    ([1, 0], "native_512k", "the images are in the wrong order: the first is", 1),
    ([0], "d1_mini", "the image is an EA user image (", 1),
    ([0, 1], "d1_mini", "d1_mini runs the same image from both slots", 2),
])
def test_the_demo_says_which_images_it_needs(
    pair: list[str], capsys: pytest.CaptureFixture[str], chosen: list[int], board: str, what: str, code: int
) -> None:
    flags = [flag for index in chosen for flag in ("--image", pair[index])]
    assert cli.run(["demo", "--fast", "--board", board, *flags]) == code
    err = capsys.readouterr().err
    assert what in err and err.count("\n") == 1
