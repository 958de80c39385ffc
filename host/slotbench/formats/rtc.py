"""RTC tail (FORMATS): the loader's decision, in the last 32 bytes of RTC memory (0x600013E0)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from slotbench.formats import FormatError
from slotbench.formats.seal import digest8

ADDRESS = 0x600013E0
TAIL_BYTES = 32
RETAINED_ADDRESS = 0x600013D8
RETAINED_BYTES = 8
"""Two words before the record: kept from start to start, 0 after a loss of power."""
RESTART_INFO = 0x60001100
"""Seven words of the SDK: why it restarts (the first), written just before, and 0 while it runs."""
SEEN_MARK = 0x60001118
"""The last of them: `MAGIC` when the loader has read them and no SDK was up since."""
MAGIC = b"2SR2"

_SEALED = struct.Struct("<4sBBBBIBBH")
_SEAL_END = 24


class BootReason(IntEnum):
    """The row of the decision table that the loader took."""

    ORDINARY = 1
    TRIAL = 2
    FALLBACK = 3
    NO_JOURNAL_CONFIRMED = 4
    NO_JOURNAL_UNCONFIRMED = 5
    LAST_RESORT = 6
    NO_DESCRIPTOR = 7


class ResetReason(IntEnum):
    """Why the chip restarted, in the SDK's numbers (`rst_info.reason`, `machine.reset_cause()`)."""

    POWER = 0
    HARDWARE_WATCHDOG = 1
    EXCEPTION = 2
    SOFTWARE_WATCHDOG = 3
    RESTART = 4
    DEEP_SLEEP = 5
    RESET_PIN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The RTC tail.

    `reset_reason` is the number that the loader saw, usually a ResetReason. `reached_at` is the flash
    offset of the flag that the boot hook sets in a trial, else 0. `note` is one of FORMATS, or 0.
    `timer` is where the hook's timer lies: the low 24 bits of an address, or 0.
    """

    slot: int
    trial: bool
    attempts_left: int
    why: BootReason
    counter: int
    reset_reason: int
    reached_at: int = 0
    note: int = 0
    schedule: int = 0
    timer: int = 0

    def pack(self) -> bytes:
        """32 bytes. Raises FormatError when a field is out of its range."""
        if self.slot not in (0, 1):
            raise FormatError(f"slot is {self.slot}, not 0 or 1", 4)
        try:
            sealed = _SEALED.pack(
                MAGIC, self.slot, self.trial, self.attempts_left, self.why,
                self.counter, self.reset_reason, self.reached_at & 0xFF, self.reached_at >> 8,
            )
            return sealed + digest8(sealed) + struct.pack(
                "<II", self.note | self.timer << 8, self.schedule)
        except struct.error as error:
            raise FormatError(f"RTC tail field out of range ({error})") from None

    @classmethod
    def unpack(cls, data: bytes) -> Tail:
        """The tail in 32 bytes. Raises FormatError for noise, which RTC memory holds after power on."""
        if len(data) != TAIL_BYTES:
            raise FormatError(f"the RTC tail has {TAIL_BYTES} bytes, not {len(data)}")
        magic, slot, trial, attempts_left, why, counter, reason, *reached_at = _SEALED.unpack_from(data)
        if magic != MAGIC:
            raise FormatError(f"magic is {magic!r}, not {MAGIC!r}", 0)
        if digest8(data[:_SEALED.size]) != data[_SEALED.size:_SEAL_END]:
            raise FormatError("seal does not match", _SEALED.size)
        for name, value, allowed, offset in (
            ("slot", slot, (0, 1), 4), ("trial", trial, (0, 1), 5), ("why", why, tuple(BootReason), 7),
        ):
            if value not in allowed:
                raise FormatError(f"{name} is {value}", offset)
        note, schedule = struct.unpack_from("<II", data, _SEAL_END)
        return cls(
            slot=slot, trial=bool(trial), attempts_left=attempts_left, why=BootReason(why), counter=counter,
            reset_reason=reason, reached_at=reached_at[0] | reached_at[1] << 8, note=note & 0xFF,
            schedule=schedule, timer=note >> 8,
        )
