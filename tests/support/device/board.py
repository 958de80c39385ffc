"""A virtual board with the device package on it, for unit tests; `start` plays the loader's part."""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from slotbench import boards, data_path
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats import FormatError, image, journal, maptable, rtc
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.keys import Keys
from slotbench.formats.rtc import BootReason, ResetReason, Tail
from slotbench.release.keys import SigningKey
from slotbench.vboard.flash.nor import PAGE, SECTOR, FlashOperation, NorFlash
from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM

VECTORS = Path(__file__).parents[2] / "vectors"
BOARD = boards.load("generic_4m")
PRODUCT, CHANNEL, SERVER = "lamp", "stable", "http://updates.test:8080"
NOW = 1_790_000_000
RUNNING = 5
"""Counter of the release that a new board runs."""


@functools.cache
def signing_key(name: str) -> SigningKey:
    """One of the committed test keys: offline, online or stranger."""
    return SigningKey.load(VECTORS / "keys" / f"test-only-{name}.pem")


@functools.cache
def firmware(seed: int, irom_bytes: int = 6 * SECTOR + 1237) -> bytes:
    """A small image of the bench, of 16 blocks, none of them blank and the last one not whole."""
    rng = random.Random(seed)
    segments = [(0x40100000, rng.randbytes(0x7000)), (0x3FFE8000, rng.randbytes(0x1E00))]
    facts = b"slotbench firmware \0v1.28.0 on 2025-12-16\0\0\0" + (0x100000).to_bytes(4, "little")
    return image.build_e9(segments, 0x40100420, facts + rng.randbytes(irom_bytes - len(facts)))


@functools.cache
def keys_document(epoch: int = 1) -> bytes:
    """twoslot.keys with the test keys pinned."""
    keys = Keys(
        product=PRODUCT, epoch=epoch, issued=NOW,
        offline=(signing_key("offline").modulus,), online=signing_key("online").modulus)
    return signing_key("offline").sign(keys.to_payload()).pack()


@functools.cache
def _installed() -> dict[str, bytes]:
    folder = data_path("device")
    sources = [*sorted((folder / "twoslot").rglob("*.py")), folder / "twoslot_boot.py"]
    return {"/" + path.relative_to(folder).as_posix(): path.read_bytes() for path in sources}


@functools.cache
def _factory_flash() -> NorFlash:
    flash = NorFlash(BOARD.chip_bytes)
    flash.poke(0, bytes([0xE9, 1, 2, BOARD.size_nibble << 4]))
    flash.poke(maptable.OFFSET, maptable.pack_table(BOARD.device_map()))
    flash.poke(BOARD.sdk.start + SECTOR, b"\x05" + bytes(127))
    running = Firmware(data=firmware(1), product=PRODUCT, version="1.0.0", counter=RUNNING, floor=2)
    for write in factory_writes(BOARD, running):
        flash.poke(write.offset, write.data)
    return flash


def trusted_keys(
    vm: CPythonVM, role: str, *, epoch: int = 0, keys: bytes | None = None, product: str = PRODUCT,
) -> Any:
    """What keyring.py makes of the files of a board whose journal names `epoch` and the digest `keys`."""
    return vm.import_("twoslot.trust.keyring").trusted_keys(role, product, {"epoch": epoch, "keys": keys})


def read_document(vm: CPythonVM, text: bytes, kind: str, product: str = PRODUCT) -> Any:
    """(payload, digest, epoch) of a document, as a board reads it with the keys in its files."""
    trusted = trusted_keys(vm, "online" if kind == "head" else "offline", product=product)
    return vm.import_("twoslot.trust.document").read_signed(memoryview(bytearray(text)), kind, trusted)


class DeviceBoard:
    """A board as it leaves the bench: slot A runs release 5, confirmed; slot B was never written.

    `settings` are laid over the usual twoslot.json.
    """

    def __init__(self, network: Network | None = None, *, chip_seed: int = 0, **settings: object) -> None:
        self.flash = _factory_flash().clone()
        self.soc = Soc(self.flash, seed=chip_seed)
        self.clear_retained()
        self.soc.write_word(rtc.ADDRESS + 28, 0)
        self.network = network if network is not None else NoNetwork()
        self.files = dict(_installed())
        self.files["/boot.py"] = b"__import__(\"twoslot_boot\")\n"
        self.files["/twoslot.keys"] = keys_document()
        self.settings: dict[str, Any] = {
            "product": PRODUCT, "board": BOARD.name, "channel": CHANNEL, "server": SERVER, **settings}
        self.save_settings()
        self._vms: list[CPythonVM] = []

    def save_settings(self, **changes: object) -> None:
        """Write twoslot.json; a key changed to None is left out."""
        self.settings.update(changes)
        present = {key: value for key, value in self.settings.items() if value is not None}
        self.files["/twoslot.json"] = json.dumps(present).encode()

    def start(
        self, slot: int = 0, why: BootReason = BootReason.ORDINARY, *, trial: bool = False, left: int = 0,
        counter: int = RUNNING, reason: int = 0, note: int = 0, up_ms: int = 5000, **vm: Any,
    ) -> CPythonVM:
        """Reset, leave the loader's word, start the firmware; after `up_ms` the network is up."""
        self.soc.start(reason)
        kept = self.soc.read_word(rtc.ADDRESS + 28) if reason else 0
        if reason == ResetReason.POWER:
            self.clear_retained()
        self.leave_tail(Tail(
            slot=slot, trial=trial, attempts_left=left, why=why, counter=counter, reset_reason=reason,
            note=note, schedule=kept & 0xFFFFFFFF).pack())
        self.soc.start_sdk()
        started = HookedVM(self.soc, self.files, self.network, **vm)
        self._vms.append(started)
        self.soc.clock.advance_ms(up_ms)
        return started

    def clear_retained(self) -> None:
        """Do what the loader does when there was no power: the two words before its tail hold noise."""
        for at in range(rtc.RETAINED_ADDRESS, rtc.RETAINED_ADDRESS + rtc.RETAINED_BYTES, 4):
            self.soc.write_word(at, 0)

    def leave_tail(self, tail: bytes) -> None:
        """Put 32 bytes where the loader leaves its word."""
        for at in range(0, len(tail), 4):
            self.soc.write_word(rtc.ADDRESS + at, int.from_bytes(tail[at : at + 4], "little"))

    def tail(self) -> Tail:
        """The loader's word and the note in it, as they are now."""
        words = [self.soc.read_word(rtc.ADDRESS + at) & 0xFFFFFFFF for at in range(0, 32, 4)]
        return Tail.unpack(b"".join(word.to_bytes(4, "little") for word in words))

    def close(self) -> None:
        for vm in self._vms:
            vm.close()

    # The flash, read and written as with a clip.

    def region(self) -> bytes:
        """Both sectors of the boot journal."""
        return self.flash.peek(BOARD.journal.start, BOARD.journal.size)

    def newest(self) -> JournalCell:
        """The journal's newest cell, read by the bench's codec."""
        placed = journal.newest_cell(self.region())
        assert placed is not None, "the journal has no valid cell"
        return placed[1]

    def put_cell(self, index: int, page: JournalCell | bytes) -> None:
        """Put a page at place 0-31 of the journal."""
        data = page.pack() if isinstance(page, JournalCell) else page
        self.flash.poke(BOARD.journal.start + index * PAGE, data)

    def clear_journal(self) -> None:
        self.flash.poke(BOARD.journal.start, b"\xff" * BOARD.journal.size)

    def descriptor(self, slot: int) -> SlotDescriptor | None:
        """The slot's descriptor, read by the bench's codec; None when it is not valid."""
        try:
            return SlotDescriptor.unpack(self.flash.peek(BOARD.slots[slot].descriptor.start, PAGE))
        except FormatError:
            return None

    def put_slot(self, slot: int, data: bytes, **fields: Any) -> None:
        """Put an image and a descriptor of it into a slot."""
        values: dict[str, Any] = {
            "slot": slot, "length": len(data), "sha256": hashlib.sha256(data).digest(),
            "fs_start": BOARD.fs_start, "fs_version": 0x00020001, "mpy_abi": 6, "product": PRODUCT,
            "version": "x", **fields,
        }
        self.flash.poke(BOARD.slots[slot].image.start, data)
        self.flash.poke(BOARD.slots[slot].descriptor.start, SlotDescriptor(**values).pack())

    def put_trial(self, **cell: Any) -> None:
        """Slot B holds release 6, ready and active, as activate_spare() leaves it."""
        self.put_slot(1, firmware(2), counter=6, version="2.0.0", floor=3)
        self.clear_journal()
        self.put_cell(0, trial_cell(**cell))

    def operations(self) -> list[FlashOperation]:
        """Erases and programs that the device package did since flash.reset_counters()."""
        assert self.flash.log is not None
        return [op for op in self.flash.log if op.actor == "python"]

    def erased(self) -> list[int]:
        """Addresses of the sectors it erased, in order."""
        return [op.addr for op in self.operations() if op.kind == "erase"]


class HookedVM(CPythonVM):
    """A VM in which the boot hook counts as run, also in tests that do not run boot.py."""

    def _load_file(self, name: str, parent: ModuleType | None) -> ModuleType:
        module = super()._load_file(name, parent)
        if name == "twoslot" and vars(module)["deadline"] is None:
            vars(module)["deadline"] = False
        return module


def trial_cell(**fields: Any) -> JournalCell:
    """The cell of a board whose slot B is on trial with release 6."""
    values: dict[str, Any] = {
        "sequence": 9, "active": 1, "state_a": SlotState.CONFIRMED, "state_b": SlotState.READY,
        "counter_a": RUNNING, "counter_b": 6, "attempts": 3, "copies": 8, "floor": 2,
        "reached": any(fields.get("spent", ())), **fields,
    }
    return JournalCell(**values)


@contextmanager
def refusal(vm: CPythonVM, kind: str, code: int, where: int | None = None) -> Iterator[None]:
    """Expect `kind` (LinkError, ReleaseError, FlashError) with this code and, unless None, this place."""
    expected = getattr(vm.import_("twoslot.errors"), kind)
    with pytest.raises(expected) as caught:
        yield
    assert caught.value.args[0] == code, f"refused with code {caught.value.args}, not {code}"
    if where is not None:
        assert caught.value.args[:2] == (code, where), f"code {code} names the wrong place"
