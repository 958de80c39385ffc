"""SHA-256 in Python for the loader's own functions: a loader hashes the same few images thousands
of times.

FIPS 180-4, 6.2.2, with everything remembered. The hooks do to the loader's memory what functions of
device/slotboot/sha256.c do; a test boots with and without them.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Mapping
from typing import Final

from slotbench.vboard.flash.nor import SECTOR
from slotbench.vboard.lx106.cpu import Cpu
from slotbench.vboard.lx106.memory import DRAM, IRAM

__all__ = ["INITIAL", "DigestHooks", "advance"]

_M: Final = 0xFFFFFFFF
_TWICE: Final = 0x1_0000_0001
_State = tuple[int, ...]
_BLOCK_BYTES: Final = 64
_BY_MD5: Final = 2
"""In `reader_hashes`: a stock image, whose words go to the ROM's MD5 too."""


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _cube_root_bits(number: int) -> int:
    """The first 32 bits of the fractional part of the cube root."""
    low, high = 0, 1 << 36
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= number << 96 else (low, middle)
    return low & _M


_K: Final = tuple(_cube_root_bits(prime) for prime in _primes(64))
INITIAL: Final[_State] = tuple(math.isqrt(prime << 64) & _M for prime in _primes(8))


@functools.lru_cache(maxsize=1 << 16)
def advance(state: _State, message: bytes) -> _State:
    """The state after whole blocks of 64 bytes."""
    for block in struct.iter_unpack(">16I", message):
        state = _compress(state, block)
    return state


def _compress(state: _State, block: tuple[int, ...]) -> _State:
    """`w * _TWICE` is a word twice: a shift turns it, and what is above 32 bits falls away with the sum."""
    words = list(block)
    for i in range(16, 64):
        w15, w2 = words[i - 15], words[i - 2]
        t15, t2 = w15 * _TWICE, w2 * _TWICE
        s0 = t15 >> 7 ^ t15 >> 18 ^ w15 >> 3
        s1 = t2 >> 17 ^ t2 >> 19 ^ w2 >> 10
        words.append(words[i - 16] + s0 + words[i - 7] + s1 & _M)
    a, b, c, d, e, f, g, h = state
    for k, word in zip(_K, words, strict=True):
        ee, aa = e * _TWICE, a * _TWICE
        t1 = h + (ee >> 6 ^ ee >> 11 ^ ee >> 25) + (g ^ e & (f ^ g)) + k + word
        t2 = (aa >> 2 ^ aa >> 13 ^ aa >> 22) + (a & b | c & (a | b))
        a, b, c, d, e, f, g, h = t1 + t2 & _M, a, b, c, d + t1 & _M, e, f, g
    return tuple(x + y & _M for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True))


class DigestHooks:
    """`compress`, `sha256_add` and `skip` of a loader with these symbols, and what they work on."""

    def __init__(self, symbols: Mapping[str, int]) -> None:
        self._digest, self._schedule = symbols["digest"], symbols["schedule"]
        self._hashed, self._rest = symbols["hashed"], symbols["rest"]
        self._reader_at, self._hashes = symbols["reader_at"], symbols["reader_hashes"]
        self._next = symbols["next"]
        self.hooks: dict[int, Callable[[Cpu], None]] = {
            symbols["compress"]: self._compress, symbols["sha256_add"]: self._add,
            symbols["skip"]: self._skip,
        }

    def _compress(self, cpu: Cpu) -> None:
        """`void compress(void)`: one block, in `schedule`."""
        self._write_state(cpu, advance(self._state(cpu), self._block(cpu)))

    def _add(self, cpu: Cpu) -> None:
        """`void sha256_add(const word *data, u32 bytes)`: only the last piece may end within a
        word.
        """
        source, length = cpu.registers[2:4]
        memory, pc = cpu.memory, cpu.registers[0]
        hashed = memory.load32(self._hashed, pc)
        data = _words(cpu, source, length)
        block = self._block(cpu)
        message = block[: hashed % _BLOCK_BYTES] + data[: length & ~3]
        whole = len(message) & -_BLOCK_BYTES
        if whole:
            self._write_state(cpu, advance(self._state(cpu), message[:whole]))
            block = message[whole - _BLOCK_BYTES : whole]
        memory.write(self._schedule, _swapped(message[whole:] + block[len(message) - whole :]), pc)
        memory.store32(self._hashed, hashed + length & _M, pc)
        if length % 4:
            memory.write(self._rest, data[-4:], pc)

    def _skip(self, cpu: Cpu) -> None:
        """`void skip(u32 to)`: `next()` of each sector on the way, and of each word where MD5 needs
        them.
        """
        to, memory, pc = cpu.registers[2], cpu.memory, cpu.registers[0]
        if not memory.load32(self._hashes, pc):
            memory.store32(self._reader_at, to, pc)
        while (at := memory.load32(self._reader_at, pc)) < to:
            cpu.call(self._next)
            if memory.load32(self._hashes, pc) != _BY_MD5:
                memory.store32(self._reader_at, min(to, (at | SECTOR - 1) + 1), pc)

    def _state(self, cpu: Cpu) -> _State:
        return struct.unpack("<8I", cpu.memory.read(self._digest, 32, cpu.registers[0]))

    def _write_state(self, cpu: Cpu, state: _State) -> None:
        cpu.memory.write(self._digest, struct.pack("<8I", *state), cpu.registers[0])

    def _block(self, cpu: Cpu) -> bytes:
        return _swapped(cpu.memory.read(self._schedule, _BLOCK_BYTES, cpu.registers[0]))


def _words(cpu: Cpu, source: int, length: int) -> bytes:
    """RAM or RTC memory, by words as the loader reads it."""
    if source in IRAM or source in DRAM:
        return cpu.memory.read(source, length + 3 & ~3, cpu.registers[0])
    words = (cpu.memory.load32(at, cpu.registers[0]) for at in range(source, source + length, 4))
    return b"".join(word.to_bytes(4, "little") for word in words)


def _swapped(words: bytes) -> bytes:
    """Words of the other order of bytes."""
    return struct.pack("<16I", *struct.unpack(">16I", words))
