"""What must hold for any bytes: the device refuses by number or reads what the bench reads. Used with bytes that
hypothesis makes (tests/fuzz) and with those of a fuzzer that follows the coverage (support.fuzz.targets).
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats import FormatError, blocks, document, journal, maptable, rtc, windowlog
from slotbench.formats.descriptor import MAGIC as DESCRIPTOR_MAGIC
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.head import Head
from slotbench.formats.image import parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import KEYS_DIGEST_BYTES, OTHER_CHANNELS_MAX, JournalCell
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.formats.rtc import Tail
from slotbench.formats.seal import PageState, classify_page
from slotbench.vboard.loader.image import Loadable, load
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, PRODUCT, DeviceBoard, keys_document, read_document, signing_key, trusted_keys
from support.device.control import loaders_word
from support.device.network import DeviceHttpClient, Item
from support.device.policy import PolicyBench
from support.device.release import offer, release_fields

BUFFER = 4096
DOCUMENT_MS = 10_000 + 10_000 + BUFFER * 1000 // 512 + 10_000 + 500
"""Head, body at the floor rate, the one byte too many; and what the network itself takes."""
MODULI = {"head": signing_key("online").modulus, "release": signing_key("offline").modulus}
FORMATS = {"head": Head.from_payload, "release": Release.from_payload}
RIGHT = {"head": offer().head, "release": offer().release}
UNREADABLE = {20, 23, 24}
"""What only a document that is not well made may be refused with."""
SLOT = BOARD.slots[1]
PARSE: dict[ImageForm, Any] = {ImageForm.E9: parse_e9, ImageForm.EA: parse_ea}


# Flash and RTC memory.


def fields_of(cell: Any) -> dict[str, Any]:
    """The device's cell in the words of the bench's."""
    names = (
        "sequence", "active", "attempts", "copies", "report", "rounds", "floor", "bad_counter", "unproven_counter",
        "head_seq", "head_time", "key_epoch", "channel_tag", "report_counter", "confirmed", "reached",
        "spent", "copied", "ended")
    lists = {"states": list(cell.states), "counters": list(cell.counters), "bad": list(cell.bad)}
    fields = {name: getattr(cell, name) for name in names} | lists
    keys, others = cell.keys or bytes(KEYS_DIGEST_BYTES), cell.others or bytes(8 * OTHER_CHANNELS_MAX)
    return fields | {
        "rounds": cell.rounds % 256, "never_reached": cell.rounds >= 256, "keys_digest": bytes(keys),
        "other_channels": tuple(struct.iter_unpack("<2I", others))}


def expected_fields(cell: JournalCell) -> dict[str, Any]:
    """The same of the bench's cell. The device counts spent words, and takes a torn word for a lost attempt."""
    fields = {name: getattr(cell, name) for name in JournalCell.__slots__}
    for name in ("state_a", "state_b", "counter_a", "counter_b", "bad_a", "bad_b"):
        del fields[name]
    fields |= {"states": list(cell.states), "counters": list(cell.counters), "bad": list(cell.bad)}
    ended = [word if word < 256 else 1 for word in cell.ended if word is not None]
    return fields | {"spent": sum(cell.spent), "copied": sum(cell.copied), "ended": ended}


def newest_cell(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    """Device and bench find the same cell, with the same content.

    A seal that is right over a field that no writer writes is a defect for the bench; the device reads on.
    """
    device.flash.poke(BOARD.journal.start, region)
    found = vm.import_("twoslot.boot.journal").Journal(vm.import_("twoslot.flash").Flash(), BOARD.journal.start)
    found.load()
    placed = journal.newest_cell(region)
    if placed is None:
        assert found.cell is None
    else:
        index, cell = placed
        assert found.at == index and fields_of(found.cell) == expected_fields(cell)


def next_cell(device: DeviceBoard, vm: CPythonVM, region: bytes) -> None:
    """Where the bench says it belongs; and afterwards it is the newest for both."""
    device.flash.poke(BOARD.journal.start, region)
    module = vm.import_("twoslot.boot.journal")
    found = module.Journal(vm.import_("twoslot.flash").Flash(), BOARD.journal.start)
    found.load()
    place = journal.next_place(region)
    if place is not None and place.sequence > 0xFFFFFFFF:
        return  # four thousand million cells later
    found.append(found.cell or module.Cell())
    placed = journal.newest_cell(device.region())
    assert placed is not None
    expected = (0, 1) if place is None else (place.index, place.sequence)
    assert (placed[0], placed[1].sequence) == expected == (found.at, found.cell.sequence)


def descriptor(device: DeviceBoard, vm: CPythonVM, page: bytes, slot: int) -> None:
    """Valid for this slot and of a length that fits it, with the same content; or none for both.

    A seal that is right over a field that no writer writes is a defect for the bench; the device reads on.
    """
    device.flash.poke(BOARD.slots[slot].descriptor.start, page)
    found = vm.import_("twoslot.boot.slots").Slots(vm.import_("twoslot.flash").Flash()).read(slot)
    try:
        expected: SlotDescriptor | None = SlotDescriptor.unpack(page)
    except FormatError:
        if classify_page(page, DESCRIPTOR_MAGIC) is PageState.VALID:
            return
        expected = None
    if expected is not None and (expected.slot != slot or not 0 < expected.length <= BOARD.slot_bytes):
        expected = None
    assert (found is None) == (expected is None)
    if expected is not None:
        assert vars(found) == {name: getattr(expected, name) for name in SlotDescriptor.__slots__}


def map_table(device: DeviceBoard, vm: CPythonVM, table: bytes) -> None:
    """Believed when the bench believes it, with the same numbers, if the chip is as large as it says."""
    before = device.flash.peek(maptable.OFFSET, maptable.TABLE_BYTES)
    device.flash.poke(maptable.OFFSET, table)
    try:
        expected: list[int] | None = maptable.unpack_table(table)
    except FormatError:
        expected = None
    try:
        found = vm.import_("twoslot.boot.slots").Slots(vm.import_("twoslot.flash").Flash())
    except vm.import_("twoslot.errors").FlashError as error:
        assert error.args == ((73, maptable.OFFSET) if expected is None else (66, BOARD.chip_bytes))
        assert expected is None or expected[12] > BOARD.chip_bytes
        return
    finally:
        device.flash.poke(maptable.OFFSET, before)
    assert expected is not None and expected[12] <= BOARD.chip_bytes
    assert [
        found.journal, found.log, found.tables[0], found.descriptors[0], found.tables[1], found.descriptors[1],
        *found.images, found.size] == expected[:9]
    assert found.fs_start == expected[11]


def rtc_tail(device: DeviceBoard, vm: CPythonVM, tail: bytes) -> None:
    """The loader's word as the bench reads it, or none for both.

    What is sealed and says a trial or a reason that no loader knows is read by the device as it is.
    """
    device.leave_tail(tail)
    found = loaders_word(vm)
    try:
        expected: Tail | None = rtc.Tail.unpack(tail)
    except FormatError as error:
        if error.offset in (5, 7):
            return
        expected = None
    assert (found is None) == (expected is None)
    if expected is not None and found is not None:
        assert tuple(found[4:8]) == (expected.slot, expected.trial, expected.attempts_left, expected.why)
        assert (found[12], found[24]) == (expected.reset_reason & 0xFF, expected.note & 0xFF)


def window_log(device: DeviceBoard, vm: CPythonVM, sector: bytes) -> None:
    """Erased when the bench says so; and what the window holds is either still known or unknown, never another."""
    device.flash.poke(BOARD.window_log.start, sector)
    device.flash.reset_counters()
    slots = vm.import_("twoslot.boot.slots").Slots(vm.import_("twoslot.flash").Flash())
    vm.import_("twoslot.boot.window_log").tidy(slots)
    erased = device.erased()
    assert erased == ([BOARD.window_log.start] if windowlog.needs_erase(sector) else [])
    after = device.flash.peek(BOARD.window_log.start, 4096)
    assert windowlog.held_digest(after) in (windowlog.held_digest(sector), None)
    assert windowlog.next_free_entry(after) is not None


# Documents.


def take_apart(text: bytes, kind: str, *, signed: bool = False) -> bytes | None:
    """The payload when the bench accepts the document as one of this kind, signed by the right key; `signed`: as
    if it were.
    """
    try:
        made = document.split_document(text)
        FORMATS[kind](made.payload)
    except FormatError:
        return None
    return made.payload if signed or document.verify_signature(made, MODULI[kind]) else None


def document_text(vm: CPythonVM, text: bytes, kind: str) -> None:
    """Both refuse or both accept; and nothing but a refusal by number leaves the device."""
    policy_bench = PolicyBench(vm)
    accepted = take_apart(text, kind)
    try:
        fields, digest, _ = policy_bench.read_payload(text, kind)
    except vm.import_("twoslot.errors").ReleaseError:
        assert accepted is None, "the bench takes it, the device does not"
        return
    assert accepted is not None, "the device takes it, the bench does not"
    assert digest == bytes.fromhex(document.payload_digest(accepted)) and fields == json.loads(accepted)


def head_of_the_online_key(vm: CPythonVM, text: bytes, *, signed: bool = False) -> None:
    """Refused by number, or what the journal can hold; what the bench would have signed is never unreadable."""
    policy_bench = PolicyBench(vm)
    refusal = vm.import_("twoslot.errors").ReleaseError
    try:
        head = policy_bench.check_head(text)
    except refusal as error:
        assert take_apart(text, "head", signed=signed) is None or error.args[0] not in UNREADABLE, error.args
        return
    JournalCell(
        sequence=1, head_seq=head["seq"], head_time=head["issued"], key_epoch=head["epoch"],
        channel_tag=head["tag"]).pack()
    try:
        policy_bench.check_rollout(head)
    except refusal as error:
        assert error.args[0] in range(28, 43)


def release_of_the_offline_key(
    device: DeviceBoard, vm: CPythonVM, text: bytes, head: bytes, *, signed: bool = False
) -> None:
    """Refused by number, or what a descriptor can hold and gives back; `head` names it."""
    policy_bench = PolicyBench(vm)
    named = policy_bench.check_head(head)
    try:
        plan = policy_bench.check_release(text, named)
    except vm.import_("twoslot.errors").ReleaseError as error:
        assert take_apart(text, "release", signed=signed) is None or error.args[0] not in UNREADABLE, error.args
        return
    assert len(plan["sha256"]) == len(plan["blocks"]) == 32
    said = {name: plan[name] for name in (
        "counter", "length", "sha256", "fs_start", "version", "floor", "fs_version", "mpy_abi", "twoslot")}
    assert describe(device, vm, plan) == SlotDescriptor(slot=1, product=PRODUCT, form=ImageForm(plan["form"]), **said)


def is_counter(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def describe(device: DeviceBoard, vm: CPythonVM, plan: Any) -> SlotDescriptor:
    """What the device writes for the slot, read by the device and by the bench."""
    device.flash.poke(SLOT.descriptor.start, b"\xff" * 4096)
    slots = vm.import_("twoslot.boot.slots").Slots(vm.import_("twoslot.flash").Flash())
    vm.import_("twoslot.boot.spare").write_descriptor(slots, 1, PRODUCT, plan)
    assert slots.read(1) is not None
    described = device.descriptor(1)
    assert described is not None
    return described


def keys_file(device: DeviceBoard, vm: CPythonVM, text: bytes) -> None:
    """Refused with the one code there is, or the moduli the bench reads; what is no modulus verifies nothing."""
    device.files["/twoslot.keys"] = text
    try:
        keys: Keys | None = Keys.from_payload(document.split_document(text).payload)
    except FormatError:
        keys = None
    found = {}
    try:
        for role in ("offline", "online"):
            found[role] = trusted_keys(vm, role, product=keys.product if keys else PRODUCT)[:2]
    except vm.import_("twoslot.errors").FlashError as error:
        assert error.args == (71, 0) and keys is None, "the bench takes it, the device does not"
        return
    finally:
        device.files["/twoslot.keys"] = keys_document()
    if keys is not None:
        assert found == {"offline": (keys.epoch, list(keys.offline)), "online": (keys.epoch, [keys.online])}
    if keys is not None and keys.product != PRODUCT:
        return
    device.files["/twoslot.keys"] = text
    refusal = vm.import_("twoslot.errors").ReleaseError
    try:
        read_document(vm, RIGHT["head"], "head")
    except refusal as error:
        assert error.args[0] in (21, 22) and found["online"][1] != [MODULI["head"]]
    else:
        assert found["online"][1] == [MODULI["head"]]
    finally:
        device.files["/twoslot.keys"] = keys_document()


# Block tables and blocks.


def fill_buffer(views: list[memoryview], data: bytes) -> None:
    """Fill the buffer."""
    for piece in views:
        piece[:], data = data[: len(piece)], data[len(piece) :]


class Writing:
    """A writer of an image of this length into slot B of the board, as the agent makes one."""

    def __init__(self, device: DeviceBoard, vm: CPythonVM, length: int) -> None:
        self.device = device
        self.image = random.Random(length).randbytes(length)
        self.table = blocks.block_table(self.image)
        fields = release_fields(self.image)
        self.plan = vm.import_("twoslot.trust.policy").parse_plan(fields, fields["images"]["any"])
        self.writer: Any = vm.import_("twoslot.image.writer")
        self.scan: Any = vm.import_("twoslot.image.scan")
        self.table_step: Any = vm.import_("twoslot.image.table")
        self.slot = self.scan.start((SLOT.image.start, SLOT.table.start), self.plan)
        self.lost = vm.import_("twoslot.errors").LinkError
        device.flash.poke(SLOT.table.start, b"\xff" * 4096)
        device.flash.poke(SLOT.image.start, b"\xff" * 4096 * 6)

    def put_table(self, table: bytes) -> None:
        def fill(views: list[memoryview]) -> bool:
            fill_buffer(views, table)
            return True

        response = SimpleNamespace(fill=fill, wait_ms=lambda size: None, got=len(table))
        self.slot["pieces"] = None
        self.table_step.step(SimpleNamespace(progress=self.slot, plan=self.plan, response=response, views=None))

    def put(self, number: int, content: bytes) -> None:
        """As image/download does, over what the block before left in the buffer."""
        if self.slot["pieces"] and len(self.slot["pieces"]) < 8:
            self.slot["pieces"] = None  # the table's
        self.writer.allocate(self.slot, 4096)
        fill_buffer(self.writer.views(self.slot, len(content)), content)
        self.writer.write_block(self.slot, number)

    def any_table(self, table: bytes) -> None:
        """Written when it is the release's, refused with 13 and not written otherwise.

        image/download refuses what is shorter; what is longer is not read to its end.
        """
        flash = self.device.flash
        table = table[: len(self.table)].ljust(len(self.table), b"\0")
        before = flash.peek(SLOT.table.start, 4096)
        try:
            self.put_table(table)
        except self.lost as error:
            assert error.args == (13, 0) and table != self.table
            assert flash.peek(SLOT.table.start, 4096) == before
            return
        assert table == self.table
        blocks.check_table(table, len(self.image))
        assert flash.peek(SLOT.table.start, 4096) == blocks.table_sector(table)

    def any_block(self, number: int, content: bytes) -> None:
        """Written when it is the table's, padded as erased flash; refused with 12 and not written otherwise."""
        flash = self.device.flash
        right = self.image[number * 4096 : (number + 1) * 4096]
        start = SLOT.image.start + number * 4096
        before = flash.peek(start, 4096)
        try:
            self.put(number, content)
        except self.lost as error:
            assert error.args == (12, number) and content != right
            assert flash.peek(start, 4096) == before
            return
        assert content == right and flash.peek(start, 4096) == right.ljust(4096, b"\xff")

    def any_slot(self, found: bytes) -> None:
        """The scan counts exactly the blocks that differ as missing, and what was filled up is the image."""
        flash = self.device.flash
        flash.poke(SLOT.image.start, found)
        numbers = range(blocks.block_count(len(self.image)))
        for number in numbers:
            self.scan.check_block(self.slot, number)
        places = [slice(number * 4096, (number + 1) * 4096) for number in numbers]
        missing = [number for number in numbers if self.writer.is_missing(self.slot, number)]
        assert missing == [number for number in numbers if found[places[number]] != self.image[places[number]]]
        assert self.slot["left"] == len(missing)
        for number in missing:
            assert self.writer.next_missing_run(self.slot)[0] == number
            self.put(number, self.image[places[number]])
        assert flash.peek(SLOT.image.start, len(self.image)) == self.image
        read = hashlib.sha256()
        for number in numbers:
            self.scan.hash_block(self.slot, number, read)
        assert self.slot["left"] == 0 and read.digest() == self.plan["sha256"]


# Answers of a server.


def client_of(items: list[Item]) -> DeviceHttpClient:
    """Its server plays the same answer on any connection."""
    return DeviceHttpClient([items], [items])


def answer_as_document(items: list[Item], etag: str | None) -> None:
    """A refusal of the link within its time, or a text that fits; and the connection is closed."""
    client = client_of(items)
    with client.within(DOCUMENT_MS):
        try:
            status = client.get("heads/x", etag)
            size = len(client.read(BUFFER + 1)) if status == 200 else 0
        except client.vm.import_("twoslot.errors").LinkError as error:
            assert error.args[0] in range(1, 12) and all(isinstance(each, int) for each in error.args)
        else:
            assert size <= BUFFER + 1 and (status == 200 or status == 304 and etag)
    if client.response:
        client.response.close()
    assert client.network.open_connections == 0 and client.network.connections == 1


def answer_as_blocks(items: list[Item], answer: bytes) -> None:
    """Three blocks asked for by a range, read one by one: what was in the answer, or a refusal of the link."""
    client = client_of(items)
    got = b""
    with client.within(10_500 + 3 * (10_000 + BUFFER * 1000 // 512)):
        try:
            status = client.get("images/x", None, 0, 3 * BUFFER)
            for _ in range(3):
                got += client.read(BUFFER)
        except client.vm.import_("twoslot.errors").LinkError as error:
            assert error.args[0] in range(3, 12)
        else:
            assert status in (200, 206)
    if len(got) > 64:
        assert b"transfer-encoding" in answer.lower() or got in answer


# Images and board files.


def taken_by_the_bench(form: ImageForm, data: bytes) -> Loadable | None:
    """What the bench says is to be loaded; None for an image it refuses, with an offset when it has one."""
    try:
        found = PARSE[form](data)
    except FormatError as error:
        assert error.offset is None or 0 <= error.offset <= max(len(data), 0x100000)
        return None
    segments = tuple((segment.address, segment.data) for segment in found.segments)
    return Loadable(found.entry, segments, found.irom_offset, found.irom_bytes)


def taken_by_the_loader(form: ImageForm, data: bytes) -> Loadable | None:
    return load(form, lambda offset, size: data[offset : offset + size], len(data))


def image(data: bytes, form: ImageForm) -> None:
    """What the bench takes the loader takes too: the same entry, RAM and irom."""
    taken = taken_by_the_bench(form, data)
    if taken is not None:
        assert taken_by_the_loader(form, data) == taken


def load_board(path: Path, text: bytes) -> BoardProfile | BenchError:
    """The board in the file, or its refusal: one line that names the file."""
    path.write_bytes(text)
    try:
        return boards.load(path)
    except BenchError as error:
        assert error.exit_code == 2 and "\n" not in str(error) and str(path) in error.where
        return error


def board_file(path: Path, text: bytes) -> BoardProfile | BenchError:
    """Refused, or a map that can work: aligned, inside the chip, nothing shared."""
    board = load_board(path, text)
    if isinstance(board, BenchError):
        return board
    for key, region in board.regions().items():
        step = 256 if board.in_place and key.endswith(("table", "descriptor")) else 4096
        assert region.start % step == region.size % step == 0 < region.size, key
    regions = sorted(board.regions().values(), key=lambda region: region.start)
    assert all(one.end <= other.start for one, other in zip(regions, regions[1:]))
    assert regions[-1].end <= board.chip_bytes
    assert len(board.device_map()) == 15
    return board
