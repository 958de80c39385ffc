"""The ROM's protocol and the stub's, byte by byte: what esptool provokes only when something goes wrong."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from functools import reduce
from operator import xor

import pytest

from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.serial.rom import DownloadMode, RomCommand, RomFault
from slotbench.vboard.serial.slip import SlipReader, pack
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.soc import Soc

SIZE = 0x100000
SYNC = b"\x07\x07\x12\x20" + b"\x55" * 32


class Host:
    """Speaks to a ROM, and reads what it says."""

    def __init__(self) -> None:
        self.flash = NorFlash(SIZE)
        self.said = b""
        self.rom = DownloadMode(Soc(self.flash, sdk_save_every=0), self._hear)

    def _hear(self, data: bytes) -> None:
        self.said += data

    def frames(self) -> list[bytes]:
        said, self.said = self.said, b""
        return SlipReader(1 << 20).feed(said)

    def ask(self, op: int, body: bytes = b"", checksum: int = 0) -> tuple[int, bytes]:
        """Value and data (status at its end) of the only answer."""
        self.rom.receive(pack(struct.pack("<BBHI", 0, op, len(body), checksum) + body))
        (frame,) = self.frames()
        direction, answered, length, value = struct.unpack_from("<BBHI", frame)
        assert (direction, answered, length) == (1, op, len(frame) - 8)
        return value, frame[8:]

    def data(self, op: int, data: bytes, *, checksum: int | None = None) -> bytes:
        body = struct.pack("<IIII", len(data), 0, 0, 0) + data
        return self.ask(op, body, reduce(xor, data, 0xEF) if checksum is None else checksum)[1]

    def run_stub(self) -> None:
        self.rom.receive(pack(struct.pack("<BBHIII", 0, RomCommand.MEM_END, 8, 0, 0, 0x4010E004)))
        answer, hello = self.frames()
        assert (answer[8:], hello) == (b"\0\0", b"OHAI")

    def begin(self, op: int, start: int, size: int) -> None:
        assert self.ask(op, struct.pack("<IIII", size, 1, 0x4000, start))[1] == b"\0\0"


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def stub(host: Host) -> Host:
    host.run_stub()
    return host


def test_sync_is_answered_eight_times_and_says_who_answers(host: Host) -> None:
    frame = pack(struct.pack("<BBHI", 0, RomCommand.SYNC, len(SYNC), 0) + SYNC)
    host.rom.receive(frame)
    values = {struct.unpack_from("<I", answer, 4)[0] for answer in host.frames()}
    assert 0 not in values
    host.run_stub()
    host.rom.receive(frame)
    answers = host.frames()
    assert len(answers) == 8
    assert all(answer[4:] == b"\0" * 6 for answer in answers)


@pytest.mark.parametrize("seed", range(3))
def test_frames_arrive_in_any_pieces(host: Host, seed: int) -> None:
    rng = random.Random(seed)
    payloads = [rng.choice((b"\xc0", b"\xdb", b"\xdb\xdd")) + rng.randbytes(60) + b"\xc0\xdb" for _ in range(20)]
    stream = b"".join(pack(payload) for payload in payloads)
    reader, found = SlipReader(1 << 10), []
    while stream:
        cut = rng.randrange(1, 40)
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == payloads
    assert reader.take_junk() == b""


def test_bytes_between_frames_are_noise_and_long_frames_are_dropped() -> None:
    reader = SlipReader(64)
    assert reader.feed(b"\r\x03" + pack(b"ab") + b"\x01") == [b"ab"]
    assert reader.take_junk() == b"\r\x03\x01"
    assert reader.feed(b"\xc0" + bytes(200)) == []
    assert reader.feed(pack(b"cd")) == [b"cd"]


def test_the_rom_knows_no_command_of_the_stub(host: Host) -> None:
    for op in (0x14, RomCommand.SPI_FLASH_MD5, RomCommand.ERASE_FLASH, RomCommand.READ_FLASH):
        assert host.ask(op)[1] == bytes([1, RomFault.ROM_INVALID])
    host.run_stub()
    assert host.ask(0x14)[1] == bytes([1, RomFault.NOT_IMPLEMENTED])


def test_the_flash_answers_once_it_is_attached(host: Host) -> None:
    def flash_id() -> int:
        for register, value in ((0x60000224, 7 << 28 | 0x9F), (0x60000200, 1 << 18)):
            host.ask(RomCommand.WRITE_REG, struct.pack("<IIII", register, value, 0xFFFFFFFF, 0))
        assert host.ask(RomCommand.READ_REG, struct.pack("<I", 0x60000200))[0] == 0
        return host.ask(RomCommand.READ_REG, struct.pack("<I", 0x60000240))[0]

    assert flash_id() == 0xFFFFFF
    host.begin(RomCommand.FLASH_BEGIN, 0, 0)
    assert flash_id() == 0x1440EF


def test_a_block_with_a_wrong_checksum_is_refused_and_not_written(host: Host) -> None:
    host.begin(RomCommand.FLASH_BEGIN, 0x1000, 0x1000)
    assert host.data(RomCommand.FLASH_DATA, b"abcd", checksum=1) == bytes([1, RomFault.ROM_CHECKSUM])
    assert host.flash.peek(0x1000, 4) == b"\xff" * 4
    # Only the low byte counts, as in the ROM.
    checksum = 0xABCDEF00 | reduce(xor, b"abcd", 0xEF)
    assert host.data(RomCommand.FLASH_DATA, b"abcd", checksum=checksum) == b"\0\0"
    assert host.flash.peek(0x1000, 4) == b"abcd"


def test_data_before_a_begin_is_refused(host: Host) -> None:
    assert host.data(RomCommand.FLASH_DATA, b"abcd") == bytes([1, RomFault.ROM_FAILED])
    host.run_stub()
    assert host.data(RomCommand.FLASH_DEFL_DATA, zlib.compress(b"abcd")) == bytes([1, RomFault.NOT_IN_FLASH_MODE])


@pytest.mark.parametrize(("start", "size", "erased"), [
    (0, 16, 32), (0, 20, 36), (4, 12, 24), (12, 20, 24), (12, 3, 6), (15, 1, 2),
])
def test_the_rom_erases_more_than_it_is_told(host: Host, start: int, size: int, erased: int) -> None:
    host.begin(RomCommand.FLASH_BEGIN, start * 4096, size * 4096)
    assert [index for index, wear in enumerate(host.flash.wear) if wear] == list(range(start, start + erased))


def test_the_stub_erases_what_is_announced_as_it_arrives(stub: Host) -> None:
    stub.flash.poke(0, bytes(SIZE))
    stub.begin(RomCommand.FLASH_BEGIN, 0x1800, 0x1000)
    assert not any(stub.flash.wear)
    assert stub.data(RomCommand.FLASH_DATA, b"a" * 0x100) == b"\0\0"
    assert [index for index, wear in enumerate(stub.flash.wear) if wear] == [1]
    assert stub.data(RomCommand.FLASH_DATA, b"b" * 0x1000) == b"\0\0"
    assert stub.flash.peek(0x1800, 0x1000) == b"a" * 0x100 + b"b" * 0xF00
    assert [index for index, wear in enumerate(stub.flash.wear) if wear] == [1, 2]


def test_bits_only_fall_where_nothing_was_erased(host: Host) -> None:
    host.flash.poke(0x2000, b"\x0f" * 8)
    host.begin(RomCommand.FLASH_BEGIN, 0x2000, 0)
    assert host.data(RomCommand.FLASH_DATA, b"\xf1\xff\x00\x3c") == b"\0\0"
    assert host.flash.peek(0x2000, 8) == b"\x01\x0f\x00\x0c" + b"\x0f" * 4


def test_deflated_data_that_is_damaged_too_long_or_too_short(stub: Host) -> None:
    stub.begin(RomCommand.FLASH_DEFL_BEGIN, 0, 100)
    assert stub.data(RomCommand.FLASH_DEFL_DATA, b"no zlib stream") == bytes([1, RomFault.INFLATE])
    stub.begin(RomCommand.FLASH_DEFL_BEGIN, 0, 100)
    assert stub.data(RomCommand.FLASH_DEFL_DATA, zlib.compress(bytes(104))) == bytes([1, RomFault.TOO_MUCH_DATA])
    stub.begin(RomCommand.FLASH_DEFL_BEGIN, 0, 100)
    assert stub.data(RomCommand.FLASH_DEFL_DATA, zlib.compress(bytes(96))) == b"\0\0"
    assert stub.ask(RomCommand.FLASH_DEFL_END, struct.pack("<I", 1))[1] == bytes([1, RomFault.NOT_ENOUGH_DATA])


def test_reading_waits_for_acknowledgements(stub: Host) -> None:
    stub.flash.poke(0, random.Random(1).randbytes(0x9100))
    body = struct.pack("<IIII", 0x100, 0x9000, 0x1000, 4)
    stub.rom.receive(pack(struct.pack("<BBHI", 0, RomCommand.READ_FLASH, len(body), 0) + body))
    answer, *blocks = stub.frames()
    assert (answer[8:], len(blocks)) == (b"\0\0", 4)
    for got in range(0x1000, 0x9001, 0x1000):
        stub.rom.receive(pack(got.to_bytes(4, "little")))
        blocks += stub.frames()
    data, digest = b"".join(blocks[:-1]), blocks[-1]
    assert data == stub.flash.peek(0x100, 0x9000)
    assert digest == hashlib.md5(data, usedforsecurity=False).digest()


def test_regions_outside_of_the_chip_are_refused(stub: Host) -> None:
    outside = bytes([1, RomFault.FAILED_SPI])
    assert stub.ask(RomCommand.SPI_FLASH_MD5, struct.pack("<IIII", SIZE - 4, 8, 0, 0))[1] == outside
    assert stub.ask(RomCommand.ERASE_REGION, struct.pack("<II", SIZE, 0x1000))[1] == outside
    assert stub.ask(RomCommand.ERASE_REGION, struct.pack("<II", 0x800, 0x1000))[1] == bytes([1, RomFault.BAD_LENGTH])
    assert stub.ask(RomCommand.FLASH_BEGIN, struct.pack("<IIII", 0x2000, 1, 0x4000, SIZE - 0x1000))[1] == outside
    assert stub.flash.operations == 0


def test_a_command_that_is_too_short_is_refused(stub: Host) -> None:
    for op in (RomCommand.READ_REG, RomCommand.ERASE_REGION, RomCommand.FLASH_DEFL_BEGIN, RomCommand.FLASH_DATA):
        assert stub.ask(op, b"\1")[1][0] == 1


def test_time_passes_by_the_flash_and_power_goes_in_the_middle(stub: Host) -> None:
    before = stub.flash.clock.us
    stub.begin(RomCommand.FLASH_BEGIN, 0, 0x2000)
    stub.flash.arm(Cut(2, CutMode.TORN, 1))
    stub.data(RomCommand.FLASH_DATA, bytes(0x1000))
    assert stub.flash.clock.us - before == 45_000 + 16 * 700
    with pytest.raises(PowerCut):
        stub.data(RomCommand.FLASH_DATA, bytes(0x1000))


def test_leaving(host: Host) -> None:
    assert host.ask(RomCommand.FLASH_END, struct.pack("<I", 1))[1] == b"\0\0"
    assert host.rom.left
    other = Host()
    other.run_stub()
    other.ask(RomCommand.FLASH_END, struct.pack("<I", 0))
    assert not other.rom.stub and not other.rom.left, "the stub falls back to the ROM"
    other.run_stub()
    other.rom.receive(pack(struct.pack("<BBHI", 0, RomCommand.RUN_USER_CODE, 0, 0)))
    assert other.rom.left
