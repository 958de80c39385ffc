"""Hostile images with a right digest: refused before a byte is written where it must not be, on both benches."""

from __future__ import annotations

import pytest

from slotbench.boards import BoardProfile
from slotbench.formats.segments import IRAM
from support.loader.bench import ENTRY_OFFSET, IN_PLACE, WINDOW, chip_with, same_as_model
from support.loader.hostile import NAMED, flash_with, image_with, ram_part, random_image
from support.loader.qemu import Qemu, What
from support.sampling import Sampler

BOARDS = {board.name: board for board in (WINDOW, IN_PLACE)}
ENTRY = IRAM.start + ENTRY_OFFSET
RANDOM, RANDOM_QEMU, QEMU_DRAWN = 300, 40, 12
DRAWN = {WINDOW.name: 24, IN_PLACE.name: 120}
"""In place hardly any image is right, and a boot costs a fifth."""


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_hostile_image_is_refused_and_the_honest_one_starts(board: BoardProfile, name: str) -> None:
    booted = same_as_model(board, flash_with(board, image_with(board, ram_part(*NAMED[name]))))
    assert booted.choice is not None and booted.choice[0] == 0


@pytest.mark.parametrize("name", NAMED)
def test_under_qemu_too(qemu: Qemu, name: str) -> None:
    soc = chip_with(flash_with(WINDOW, image_with(WINDOW, ram_part(*NAMED[name]))))
    run = qemu.boot(soc, ENTRY)
    assert (run.what, run.pc, run.tail.slot) == (What.JUMPED, ENTRY, 0)


def run_random(batch: list[tuple[str, int]]) -> int:
    """Machine and model agree on what to refuse; returns how many were refused."""
    refused = 0
    for name, seed in batch:
        board = BOARDS[name]
        try:
            booted = same_as_model(board, flash_with(board, random_image(board, seed)), log_lies=True)
        except BaseException as error:
            raise AssertionError(f"{name}, seed {seed}: {type(error).__name__}: {error}") from error
        refused += booted.choice is not None and booted.choice[0] == 0
    return refused


@pytest.mark.parametrize("name", BOARDS)
def test_random_ones(name: str, sampler: Sampler) -> None:
    seeds = sampler.draw(f"random hostile images, {name}", range(RANDOM), DRAWN[name])
    refused = run_random([(name, seed) for seed in seeds])
    print(f"\n{name}: {len(seeds)} random images of seeds below {RANDOM}, {refused} refused, the others were right")
    assert len(seeds) // 2 < refused < len(seeds)


def test_random_ones_under_qemu(qemu: Qemu, sampler: Sampler) -> None:
    for seed in sampler.draw("random hostile images under QEMU", range(RANDOM_QEMU), QEMU_DRAWN):
        image = random_image(WINDOW, seed)
        ours = same_as_model(WINDOW, flash_with(WINDOW, image), log_lies=True).result
        soc = chip_with(flash_with(WINDOW, image))
        run = qemu.boot(soc, ours.entry)  # type: ignore[union-attr]
        assert run.what is What.JUMPED, f"seed {seed}: {run.what}"
        assert run.tail.slot == ours.slot, f"seed {seed}"  # type: ignore[union-attr]
