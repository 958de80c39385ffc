"""The blocks that files take, counted, beside the blocks that LittleFS itself uses for them."""

from __future__ import annotations

import random

import pytest

from slotbench.application.room import bundle_blocks, file_blocks
from slotbench.inspection.mounting import mount_littlefs

BYTES = 0xFB000
NAMES = "abcdefghijklmnopqrstuvwxyz_0123456789"


def used_blocks(files: dict[str, int]) -> int:
    """The blocks that a folder with these files takes in a LittleFS as MicroPython makes it."""
    filesystem = mount_littlefs(0x00020001, None, BYTES)
    before = filesystem.used_block_count
    filesystem.mkdir("/a")
    for path, size in files.items():
        filesystem.makedirs(f"/a/{path}".rpartition("/")[0], exist_ok=True)
        with filesystem.open(f"/a/{path}", "wb") as file:
            file.write(bytes(size))
        filesystem.setattr(f"/a/{path}", "\x01", bytes(8))
    return filesystem.used_block_count - before


@pytest.mark.parametrize(("size", "blocks"), [
    (0, 0), (128, 0), (129, 1), (4096, 1), (4097, 2), (8188, 2), (8189, 3), (12276, 3), (12277, 4), (65000, 16)])
def test_a_file_has_as_many_blocks_as_littlefs_gives_it(size: int, blocks: int) -> None:
    assert file_blocks(size) == blocks == used_blocks({"x": size}) - 2
    assert bundle_blocks({"x": size}) == blocks + 2


@pytest.mark.parametrize("seed", range(12))
def test_a_program_never_takes_more_than_was_counted(seed: int) -> None:
    print(f"seed {seed}")
    source = random.Random(seed)
    folders = ["", "lib/", "lib/drivers/", "www/"][: 1 + seed % 4]
    files = {
        source.choice(folders) + "".join(source.choices(NAMES, k=source.randint(2, 30))) + str(number):
        source.choice([0, 90, 128, 129, 700, 4097, source.randrange(2500), source.randrange(12000)])
        for number in range(source.choice([1, 5, 20, 60]))}
    used, counted = used_blocks(files), bundle_blocks(files)
    assert used <= counted <= used * 1.15 + 2, (used, counted)
