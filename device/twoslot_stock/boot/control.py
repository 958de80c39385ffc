# Boot control of a board with stock firmware: no loader, no slots, no boot journal. What the journal holds
# elsewhere lies in the application record (FORMATS.md).
import machine
import sys

# Which is application/record.py (without_loader.py): the stack has no room for another import.
from twoslot.boot.journal import load, save
from twoslot.constants import (
    APP_HEAD_SEQ, APP_HEAD_TIME, APP_KEYS, APP_KEY_EPOCH, APP_TAG, BOOT_ORDINARY, RTC_TAIL,
)  # fmt: skip


class Cell:
    """What the record holds of heads and keys, by the names that it has in a journal's cell."""

    floor = bad_counter = unproven_counter = rounds = report = report_counter = active = 0
    counters = 0, 0
    others = b""  # heads of other channels: there is no room for them
    copies = attempts = 0

    def __init__(self, record):
        self.head_seq, self.head_time = record[APP_HEAD_SEQ], record[APP_HEAD_TIME]
        self.key_epoch, self.channel_tag = record[APP_KEY_EPOCH], record[APP_TAG]
        self.keys = record[APP_KEYS] if any(record[APP_KEYS]) else None


class BootControl:
    """What the rest of twoslot asks: here it is always a confirmed firmware without a counter.

    It is its own journal, its own flash map and its own descriptor.
    """

    slot = counter = size = fs_start = fs_version = 0
    reason, confirmed, unsettled, waiting, spare = BOOT_ORDINARY, True, False, None, None

    def __init__(self, flash, attempts):
        self.attempts = attempts
        self.slots = self.journal = self.running = self
        self.version = "%d.%d.%d" % sys.implementation.version[:3]
        self.listen_minutes = machine.mem32[RTC_TAIL + 28] >> 16 & 0xFF
        self.cell = Cell(load())

    def open(self):
        """Nothing is left to be written down of the last boot. Returns self."""
        return self

    def append(self, cell):
        """Write down the newest head and the keys."""
        record = load()
        record[APP_HEAD_SEQ], record[APP_HEAD_TIME] = cell.head_seq, cell.head_time
        record[APP_KEY_EPOCH], record[APP_TAG] = cell.key_epoch, cell.channel_tag
        record[APP_KEYS] = cell.keys or b""
        save(record)
