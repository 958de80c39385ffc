"""The chip as software sees it: bounds, memory words, what survives, the SDK's parameter save."""

from __future__ import annotations

import random

import pytest

from slotbench.vboard.buffers import offset_in_object
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation, ChipReset, DeviceOSError, PowerCut
from slotbench.vboard.soc import CHIP_SIZE_WORD, RTC_BASE, Soc
from support.vboard.flash import bare_flash

MB4, MB2 = 0x400000, 0x200000


def soc(**options: int) -> Soc:
    return Soc(bare_flash(), **({"sdk_save_every": 0} | options))


def test_identity() -> None:
    assert soc().flash_id == 0x1640EF
    assert Soc(NorFlash(MB2)).flash_id == 0x1540EF
    assert len(soc().unique_id) == 4


def test_chip_size_bounds_every_rom_call_and_nothing_else_does() -> None:
    c = soc()
    c.chip_size = MB2
    for call in (
        lambda: c.flash_read(MB2 - 4, bytearray(8)),
        lambda: c.flash_write(MB2, bytes(4)),
        lambda: c.flash_erase(MB2 // SECTOR),
        lambda: c.flash_read(-4, 4),
    ):
        with pytest.raises(DeviceOSError) as caught:
            call()
        assert caught.value.errno == 5 and caught.value.args == (5,)
    c.flash_erase(MB2 // SECTOR - 1)
    c.write_word(CHIP_SIZE_WORD, MB4)
    c.flash_erase(MB2 // SECTOR)
    c.flash_write(MB2, b"slot")
    assert c.flash_read(MB2, 4) == b"slot"


def test_a_start_puts_back_what_the_rom_puts_back() -> None:
    c = soc()
    c.write_word(CHIP_SIZE_WORD, MB2)
    c.start(4)
    assert c.read_word(CHIP_SIZE_WORD) == MB4 and c.reset_reason == 4


def test_words_with_bit_31_read_negative_as_in_micropython() -> None:
    c = soc()
    c.write_word(0x600013F8, 0x80000001)
    assert c.read_word(0x600013F8) == 0x80000001 - (1 << 32)
    c.write_word(0x600013F8, -1)
    assert c.read_word(0x600013F8) == -1


def test_only_modelled_words_can_be_written() -> None:
    c = soc()
    assert c.read_word(0x60000900) == 0
    for addr in (0x60000900, 0x60001400, RTC_BASE - 4, 0x3FFFC720):
        with pytest.raises(BenchViolation, match="nothing is modelled there"):
            c.write_word(addr, 1)


@pytest.mark.parametrize("reason", [1, 2, 3, 4, 5, 6])
def test_rtc_memory_survives_every_reset(reason: int) -> None:
    c = soc()
    c.write_word(0x600013FC, 0x1234)
    c.start(reason)
    assert c.read_word(0x600013FC) == 0x1234


def test_rtc_memory_is_noise_after_power_loss_and_noise_is_seeded() -> None:
    c, twin = soc(seed=7), soc(seed=7)
    first = bytes(c.rtc)
    c.power_off()
    c.power_on()
    assert bytes(c.rtc[4:]) != first[4:] and c.reset_reason == 0
    twin.power_off()
    twin.power_on()
    assert twin.rtc == c.rtc != soc(seed=8).rtc


def test_without_power_everything_raises_power_cut() -> None:
    c = soc()
    c.power_off()
    for call in (
        lambda: c.flash_read(0, 4),
        lambda: c.flash_write(0, b"1234"),
        lambda: c.flash_erase(0),
        lambda: c.flash_erase(10**6),
        lambda: c.read_word(CHIP_SIZE_WORD),
        lambda: c.write_word(CHIP_SIZE_WORD, MB2),
        lambda: c.start(4),
    ):
        with pytest.raises(PowerCut):
            call()
    assert c.chip_size == MB4, "no finally changes anything on a dead chip"


def test_a_length_that_is_no_multiple_of_4_is_refused_as_on_the_port() -> None:
    with pytest.raises(ValueError, match="len must be multiple of 4"):
        soc().flash_write(0, b"12345")


def test_reads_that_would_overrun_the_buffer_are_violations() -> None:
    with pytest.raises(BenchViolation, match="past the buffer"):
        soc().flash_read(0, bytearray(6))
    with pytest.raises(BenchViolation, match="past the buffer"):
        soc().flash_read(0, 6)


def test_pointers_must_be_aligned_within_their_object() -> None:
    c = soc()
    buffer = bytearray(b"0123456789abcdef")
    view = memoryview(buffer)
    c.flash_write(0x10000, view[4:12])
    c.flash_read(0x10000, view[8:16])
    assert buffer == b"01234567456789ab"
    for odd in (view[2:6], view[4:][1:5]):
        with pytest.raises(BenchViolation, match="exception 9"):
            c.flash_write(0x10000, odd)
        with pytest.raises(BenchViolation, match="exception 9"):
            c.flash_read(0x10000, odd)


def test_where_a_view_lies_in_its_object() -> None:
    data = bytearray(64)
    view = memoryview(data)
    assert [offset_in_object(view[n:]) for n in (0, 1, 5, 63)] == [0, 1, 5, 63]
    assert offset_in_object(view[8:][3:7]) == 11
    assert offset_in_object(memoryview(bytes(8))[6:]) == 6
    assert offset_in_object(view[64:]) == 0


def saves(c: Soc) -> list[tuple[str, int]]:
    return [(op.kind, op.addr) for op in c.flash.log or [] if op.actor == "sdk"]


def test_the_sdk_saves_parameters_at_the_end_of_what_chip_size_says() -> None:
    c = soc(sdk_save_every=1)
    c.chip_size = MB2
    c.flash_erase(0x100)
    assert saves(c) == [(kind, addr) for addr in (0x1FD000, 0x1FF000) for kind in ("erase", "program")]
    c.flash_erase(0x100)
    assert saves(c)[4:6] == [("erase", 0x1FE000), ("program", 0x1FE000)], "the two copies take turns"
    c.chip_size = MB4
    c.flash_erase(0x100)
    assert saves(c)[8] == ("erase", 0x3FD000), "with chip_size raised it lands at the end of the real chip"


@pytest.mark.parametrize("seed", range(4))
def test_a_save_happens_in_every_nth_call_before_or_after_the_operation(seed: int) -> None:
    c = Soc(bare_flash(), sdk_save_every=5, seed=seed)
    for _ in range(50):
        c.flash_erase(0x100)
    assert c.saves == 10
    log = c.flash.log or []
    places = {
        log[i - 1].actor == "python" and log[i + 4].actor == "python"
        for i in range(1, len(log) - 4)
        if log[i].actor == "sdk" and log[i - 1].actor != "sdk"
    }
    assert places == {True}
    calls = 0
    seen = []
    for op in log:
        calls += op.actor == "python"
        if op.actor == "sdk":
            seen.append(calls)
    steps = {b - a for a, b in zip(seen[::4], seen[4::4])}
    assert steps == {4, 6}, "once behind the operation of its call, once before it"


def test_a_save_can_be_cut_and_the_next_one_still_follows_the_rules() -> None:
    def saving() -> Soc:
        c = soc(sdk_save_every=1, seed=2)
        c.chip_size = MB2
        return c

    dry = saving()
    dry.flash_erase(0x100)
    operations = [op.index for op in dry.flash.log or [] if op.actor == "sdk"]
    assert len(operations) == 4
    for cut in (Cut(index, mode, seed) for index in operations for mode in EVERY_MODE for seed in range(5)):
        c = saving()
        c.flash.arm(cut)
        with pytest.raises(PowerCut):
            c.flash_erase(0x100)
        c.power_on()
        for _ in range(3):
            c.flash_erase(0x100)
        assert c.saves == 4, str(cut)


def test_the_sdk_takes_chip_size_from_the_header_of_sector_0() -> None:
    c = soc()
    c.chip_size = MB2
    c.start_sdk()
    assert c.chip_size == MB2


def test_an_sdk_without_phy_data_restarts() -> None:
    c = Soc(NorFlash(MB4, image=b"\xe9\x01\x02\x30"), sdk_save_every=0)
    with pytest.raises(ChipReset) as caught:
        c.start_sdk()
    assert caught.value.reason == 4
    assert c.flash.peek(0x3FC000, 1) == b"\x05", "firmware_start wrote where the ROM's chip_size points"


def test_a_loader_that_sets_chip_size_lets_the_firmware_write_its_phy_data_where_the_sdk_looks() -> None:
    c = Soc(NorFlash(MB4, image=b"\xe9\x01\x02\x30"), sdk_save_every=0)
    c.chip_size = MB2
    c.start_sdk()
    assert c.flash.peek(0x1FC000, 1) == b"\x05" and c.flash.peek(0x3FC000, 1) == b"\xff"


def test_operations_of_a_seed_are_the_same_every_time() -> None:
    def run(seed: int) -> list[object]:
        c = Soc(bare_flash(), seed=seed)
        for n in range(100):
            c.flash_erase(0x100 + random.Random(n).randrange(8))
        return [*(c.flash.log or []), c.flash.peek(0x3FD000, 0x3000)]

    assert run(1) == run(1) != run(2)
