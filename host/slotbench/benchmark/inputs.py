"""Pairs of images to compare: official releases of MicroPython, and builds that are made on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from slotbench.benchmark.built import MODULES, builds
from slotbench.image_packages import OFFICIAL, fetch, image_folder

__all__ = ["ImagePair", "built_pairs", "official_pairs"]


@dataclass(frozen=True, slots=True)
class ImagePair:
    """An image that boards run, and the one that follows."""

    name: str
    old: bytes
    new: bytes


def official_pairs() -> Iterator[ImagePair]:
    """MicroPython 1.9.3, 1.9.4 and 1.10, from the image cache, where pip puts them once.

    Raises BenchError (usage): pip cannot get them.
    """
    folder = image_folder()
    fetch(OFFICIAL, folder)
    names = [name for _, name in OFFICIAL.images.values()]
    for old, new in pairwise(names):
        yield ImagePair(
            f"{old.removesuffix('.bin')} -> {new.removeprefix('micropython-').removesuffix('.bin')}",
            (folder / old).read_bytes(), (folder / new).read_bytes())


def built_pairs(count: int, modules: int = MODULES) -> Iterator[ImagePair]:
    """`count` successive updates of a program of so many modules, which is compiled here.

    Raises BenchError without a compiler.
    """
    for number, ((_, old), (what, new)) in enumerate(pairwise(builds(count + 1, modules=modules)), 1):
        yield ImagePair(f"build {number} -> {number + 1}: {what}", old, new)
