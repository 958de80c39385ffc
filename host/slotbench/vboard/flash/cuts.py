"""Power cuts: which flash operation is hit and how, its printable id, and what a torn one leaves
behind.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from slotbench.errors import USAGE, BenchError

__all__ = ["EVERY_MODE", "Cut", "CutMode", "all_cuts", "commit_happens", "torn_erase", "torn_program"]

_PAGE = 256
_SECTOR = 4096
_EDGES = (0, 1, 1, 2, 5)


class CutMode(enum.Enum):
    """When the power goes, seen from the operation.

    `weak` is `torn`, and the touched words read differently each time until they are erased.
    """

    BEFORE = "before"
    TORN = "torn"
    AFTER = "after"
    WEAK = "weak"


EVERY_MODE = (CutMode.BEFORE, CutMode.TORN, CutMode.AFTER)


@dataclass(frozen=True, slots=True)
class Cut:
    """Power is lost at flash operation `index` (erases and programs, counted from 0); `str()` is
    its id.
    """

    index: int
    mode: CutMode
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.index}:{self.mode.value}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Cut:
        """Read an id such as `17:torn:3`; the seed may be left out. Raises BenchError (exit code
        2).
        """
        try:
            index, mode, *seed = text.strip().split(":")
            if len(seed) > 1 or not index.isdecimal():
                raise ValueError
            return cls(int(index), CutMode(mode), int(seed[0]) if seed else 0)
        except ValueError:
            modes = ", ".join(mode.value for mode in CutMode)
            raise BenchError(
                f"not a cut: {text!r}",
                cure=f"write OPERATION:MODE:SEED, e.g. 17:torn:3; modes are {modes}",
                exit_code=USAGE,
            ) from None

    @classmethod
    def parse_from(cls, text: str, operations: int) -> Cut:
        """As `parse`, for a flash that has done so many operations: `next` is the one that comes
        next.

        Raises BenchError (exit code 2), also when it is over already.
        """
        operation, colon, rest = text.partition(":")
        cut = cls.parse(f"{operations}{colon}{rest}" if operation == "next" else text)
        if cut.index < operations:
            raise BenchError(
                f"flash operation {cut.index} is over", where=str(cut), cure=f"the next one is {operations}",
                exit_code=USAGE)
        return cut


def all_cuts(operations: int, modes: Iterable[CutMode] = EVERY_MODE, *, seed: int = 0) -> Iterator[Cut]:
    """Every operation of a run times every mode: the linear strategy."""
    chosen = tuple(modes)
    for index in range(operations):
        for mode in chosen:
            yield Cut(index, mode, seed)


def torn_program(addr: int, old: bytes, new: bytes, rng: random.Random) -> tuple[bytes, slice]:
    """What `old` at `addr` holds after programming `new` (same length) was torn, and which part was
    hit.

    Pages are programmed in order: those before the torn one are done, those after it untouched. In
    the torn page either a prefix of the bytes is there or an arbitrary subset of the bits to be
    cleared: nearly none, half, nearly all.
    """
    done = int.from_bytes(old, "little") & int.from_bytes(new, "little")
    whole = done.to_bytes(len(old), "little")
    pages = [start for start in range(-(addr % _PAGE), len(old), _PAGE)]
    first = rng.choice(pages)
    start, end = max(0, first), min(len(old), first + _PAGE)
    if rng.random() < 0.5:
        middle_at = rng.randint(start, end)
        return whole[:middle_at] + old[middle_at:], slice(start, end)
    torn = _some_bits(old[start:end], whole[start:end], rng)
    return whole[:start] + torn + old[end:], slice(start, end)


def commit_happens(cut: Cut) -> bool:
    """Whether an interrupted change of the filesystem took place: littlefs makes it whole or not at
    all.
    """
    return cut.mode is CutMode.AFTER or cut.mode is not CutMode.BEFORE and cut.seed % 2 == 1


def _some_bits(old: bytes, whole: bytes, rng: random.Random) -> bytes:
    """`old` with a random subset of the bits cleared in `whole` cleared."""
    before, after = int.from_bytes(old, "little"), int.from_bytes(whole, "little")
    falling = [place for place, bit in enumerate(reversed(f"{before & ~after:b}")) if bit == "1"]
    count = rng.choice((min(1, len(falling)), len(falling) // 2, max(0, len(falling) - 1)))
    for bit in rng.sample(falling, count):
        before &= ~(1 << bit)
    return before.to_bytes(len(old), "little")


def torn_erase(old: bytes, rng: random.Random) -> bytes:
    """What a sector or a block holds after its erase was torn: stretches old, erased, zero, rising or noise.

    The part first programs all bits to 0 and then raises them to 1, in no promised order. Every
    stretch, from a word to the whole, may therefore be in any of these states. A block of sectors is
    torn as a whole, or each of them by itself.
    """
    if len(old) > _SECTOR and rng.random() < 0.5:
        return b"".join(torn_erase(old[at : at + _SECTOR], rng) for at in range(0, len(old), _SECTOR))
    size = len(old)
    edges = sorted({0, size, *(rng.randrange(0, size, 4) for _ in range(rng.choice(_EDGES)))})
    torn = bytearray()
    for start, end in zip(edges, edges[1:]):
        length = end - start
        state = rng.choice(("old", "erased", "zero", "rising", "noise"))
        if state == "old":
            torn += old[start:end]
        elif state == "erased":
            torn += b"\xff" * length
        elif state == "zero":
            torn += bytes(length)
        elif state == "rising":
            bits = int.from_bytes(old[start:end], "little") | rng.getrandbits(length * 8)
            torn += bits.to_bytes(length, "little")
        else:
            torn += rng.randbytes(length)
    return bytes(torn)
