"""What a recovery depends on: the blocks of the filesystem that it reads. Two flashes that agree in them
are one class, and one run of it is enough.

A board without power keeps its flash and nothing else, and what it does next is a function of what it reads.
A run notes each block that is read, or programmed, before it is erased. Another flash with the same content
in these blocks leads to the same run, whatever the others hold. Nothing is known here of littlefs: it reads
some free blocks as well (the revision of a new folder's pair), and then they count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from slotbench.boards import Region
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = ["FlashContent", "KnownRecoveries", "TouchedBlocks"]


class TouchedBlocks:
    """The blocks that a board uses, in the order of the first use: `used` are those whose content counts."""

    def __init__(self) -> None:
        self.used: list[int] = []
        self._seen: set[int] = set()

    def use(self, block: int) -> None:
        """It is read, or programmed."""
        if block not in self._seen:
            self._seen.add(block)
            self.used.append(block)

    def erase(self, block: int) -> None:
        """It is erased: what it held does not count, unless it was used before."""
        self._seen.add(block)


class FlashContent:
    """The content of a filesystem without power, by blocks, as 64-bit hashes. Words that read differently
    each time are part of it, with the seed of what they read.
    """

    def __init__(self, flash: NorFlash, region: Region) -> None:
        self._flash = flash
        self._start = region.start
        self._weak: dict[int, list[tuple[int, int]]] = {}
        for word, mask in sorted(flash.weak.items()):
            self._weak.setdefault((word - region.start) // SECTOR, []).append((word, mask))
        self._known: dict[int, int] = {}

    def __getitem__(self, block: int) -> int:
        found = self._known.get(block)
        if found is None:
            content = self._flash.peek(self._start + block * SECTOR, SECTOR)
            weak = self._weak.get(block)
            found = hash(content) if weak is None else hash((content, tuple(weak), self._flash.seed))
            self._known[block] = found
        return found


@dataclass(slots=True)
class _Node:
    """Blocks that are read one after another with this content; then the recovery ends, or `then` is read."""

    path: list[tuple[int, int]]
    starts: int = 0
    then: int | None = None
    children: dict[int, _Node] = field(default_factory=dict)


class KnownRecoveries:
    """How often the board started in each recovery that came to rest, by what it read.

    A tree: which block is read next follows from the content of those that were read before.
    """

    def __init__(self) -> None:
        self._root: _Node | None = None
        self.count = 0

    def find(self, content: FlashContent) -> int | None:
        """The starts of the recovery from this content; None: it is not known yet."""
        node = self._root
        while node is not None:
            if any(content[block] != value for block, value in node.path):
                return None
            if node.then is None:
                return node.starts
            node = node.children.get(content[node.then])
        return None

    def add(self, used: Sequence[int], content: FlashContent, starts: int) -> None:
        """Note a recovery that read these blocks, in this order, before it erased them.

        Raises BenchViolation: one that had read the same until then went on differently, and a recovery
        depends on more than the flash.
        """
        path = [(block, content[block]) for block in used]
        self.count += 1
        if self._root is None:
            self._root = _Node(path, starts)
            return
        node, at = self._root, 0
        while True:
            for index, (block, value) in enumerate(node.path):
                if at == len(path) or path[at][0] != block:
                    raise _not_determined(block)
                if path[at][1] != value:
                    rest = _Node(node.path[index + 1 :], node.starts, node.then, node.children)
                    node.path, node.then = node.path[:index], block
                    node.children = {value: rest, path[at][1]: _Node(path[at + 1 :], starts)}
                    return
                at += 1
            if node.then is None or at == len(path) or path[at][0] != node.then:
                raise _not_determined(node.then)
            child = node.children.get(path[at][1])
            if child is None:
                node.children[path[at][1]] = _Node(path[at + 1 :], starts)
                return
            node, at = child, at + 1


def _not_determined(block: int | None) -> BenchViolation:
    return BenchViolation(f"a recovery is not determined by what it reads: at block {block}")
