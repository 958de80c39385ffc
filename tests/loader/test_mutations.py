"""Each rule of the loader taken out of its C source: the differential test must notice, or it proves nothing."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.boards import BoardProfile
from slotbench.formats import FormatError
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.lx106.loader import loader_image, loader_sector
from slotbench.vboard.signals import BenchViolation
from support.loader.bench import WINDOW, same_as_model
from support.loader.cuts import falling_back, first_boot, next_attempt
from support.loader.decision_rows import rows
from support.loader.hostile import NAMED, flash_with, image_with, ram_part
from support.loader.on_core import core_as_model
from support.loader.states import flash_of_row, rot


def _rotten(flash: NorFlash) -> NorFlash:
    rot(WINDOW, flash, 1, 0x9100)
    return flash


def _log_blank() -> NorFlash:
    flash = next_attempt(WINDOW)
    flash.poke(WINDOW.window_log.start, b"\xff" * WINDOW.window_log.size)
    return flash


def _below_the_floor() -> NorFlash:
    row = next(it for it in rows() if it.text == "A / confirmed 3 rots / confirmed 2 / floor 3")
    return flash_of_row(WINDOW, row)


def _never_reached() -> NorFlash:
    row = next(it for it in rows() if it.text == "B / confirmed 3 / ready 4 / spent 1")
    return flash_of_row(WINDOW, row)


def _weak_slot() -> NorFlash:
    """A bit of the irom that reads right when it is hashed and wrong when it is copied, by the flash's seed."""
    flash = first_boot(WINDOW)
    flash.seed = 1
    flash.set_weak(WINDOW.slots[1].image.start + 0x9100, 4, 1)
    return flash


STATES: dict[str, Callable[[], NorFlash]] = {
    "first boot": lambda: first_boot(WINDOW),
    "falling back": lambda: falling_back(WINDOW),
    "an image that rots": lambda: _rotten(next_attempt(WINDOW)),
    "below the floor": _below_the_floor,
    "window right, log blank": _log_blank,
    "never reached the hook": _never_reached,
    "a bit that reads both ways": _weak_slot,
    "hostile": lambda: flash_with(WINDOW, image_with(WINDOW, ram_part(*NAMED["up to the ROM's data and over it"]))),
}

_FILLED_AND_SAID = """\
        if (fill_window(it))
            return WINDOW_NOT_WRITTEN;
        /* What runs is what is hashed: the RAM segments once more, and the irom as the window has it. */
        lacks = 0;
        check = BY_DIGEST;
        board->irom_base = board->map.window - board->map.irom_offset;
    }
    if (board->entry == 0) {
        if (board->irom_base != it->image_at)
            return WINDOW_NOT_WRITTEN;
        if (check != BY_MD5)
            mark_bad(it);
        return IMAGE_NOT_VALID;
    }
    if (board->irom_base != it->image_at)
        say_held();
"""
_SAY_HELD = """\
    if (board->irom_base != it->image_at)
        say_held();
"""

MUTATIONS = {
    "no digest check": (
        "image.c", "return differs(it->sha256, board->digest, sizeof it->sha256) ? 0 : entry;", "return entry;",
        "an image that rots"),
    "trusted without the tail": ("main.c", "!lacks && booted_last(it)", "!lacks", "an image that rots"),
    "a bad image is not marked": ("main.c", "mark_bad(it);", "{}", "an image that rots"),
    "attempt not spent": ("main.c", "if (spend(board->cell.spent))", "if (0)", "first boot"),
    "copy not counted": ("window.c", "&& spend(board->cell.copied)", "&& 0", "first boot"),
    "HELD not zeroed": ("window.c", "failed |= flash_program(at, entry, ENTRY);", "", "first boot"),
    "HELD written too early": (
        "main.c", _FILLED_AND_SAID, "        say_held();\n" + _FILLED_AND_SAID.removesuffix(_SAY_HELD), "first boot"),
    "HELD not written": ("main.c", _SAY_HELD, "", "first boot"),
    "what was copied is not hashed": (
        "main.c", "        check = BY_DIGEST;\n        board->irom_base = board->map.window - board->map.irom_offset;",
        "        check = NO_CHECK;\n        board->irom_base = board->map.window;", "a bit that reads both ways"),
    "a second attempt without the hook": (
        "decide.c", " || (spent > 0 && cell->reached == BLANK)", "", "never reached the hook"),
    "nothing compared before an erase": (
        "window.c", "u32 differs = flash_differs(to, sector, SECTOR);", "u32 differs = 1;", "window right, log blank"),
    "chip_size left as it was": (
        "main.c", "flashchip->size = board->map.visible_bytes;", ";", "first boot"),
    "the attempt's end not written": ("main.c", "write_end_of_attempt();", "", "falling back"),
    "below the floor": ("decide.c", "|| it->counter < floor", "", "below the floor"),
    "segments of any length": ("image.c", "if (size > room || ", "if (", "hostile"),
}  # fmt: skip


def build(folder: Path, file: str = "", old: str = "", new: str = "") -> bytes:
    """The loader, with this text of one file exchanged."""
    source = folder / "slotboot"
    shutil.copytree(data_path("device", "slotboot"), source, ignore=shutil.ignore_patterns("build", "*.bin"))
    if file:
        text = (source / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} has changed: write this mutation anew"
        (source / file).write_text(text.replace(old, new), encoding="utf-8")
    makefile = source / "Makefile"
    makefile.write_text(makefile.read_text(encoding="utf-8").replace(" -Werror", ""), encoding="utf-8")
    run = subprocess.run(
        ["make", "-C", source, "BUILD=made", "slotboot.bin"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return (source / "slotboot.bin").read_bytes()


Bench = Callable[[BoardProfile, NorFlash], object]
BENCHES: dict[str, Bench] = {"Python": same_as_model, "core": core_as_model}
READS_BOTH_WAYS = "a bit that reads both ways"
"""A weak word reads differently each time, and the ROM of the core reads in pieces of another size: no two runs to compare."""


def _on_both(names: dict[str, str]) -> list[tuple[str, str]]:
    return [(bench, name) for name, state in names.items() for bench in BENCHES
            if bench == "Python" or state != READS_BOTH_WAYS]


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """What boots a loader and holds it against the model; the core needs a C compiler."""
    if request.param == "core":
        request.getfixturevalue("core")
    return BENCHES[request.param]


@pytest.fixture(scope="module")
def mutated(cross_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """The loader with a mutation, built once for both benches."""
    @functools.cache
    def built(name: str) -> bytes:
        *change, _ = MUTATIONS[name]
        return build(tmp_path_factory.mktemp("mutation"), *change)

    return built


def differs(bench: Bench, loader: bytes, state: str) -> bool:
    """Whether this loader does anything else there than the model."""
    flash = STATES[state]()
    flash.poke(0, loader_sector(WINDOW, loader))
    try:
        bench(WINDOW, flash)
    except (AssertionError, BenchViolation, FormatError):
        return True
    return False


@pytest.mark.parametrize(
    ("bench", "name"), _on_both({name: it[-1] for name, it in MUTATIONS.items()}), indirect=["bench"])
def test_mutation_is_caught(mutated: Callable[[str], bytes], bench: Bench, name: str) -> None:
    assert differs(bench, mutated(name), MUTATIONS[name][-1])


@pytest.mark.parametrize(("bench", "state"), _on_both({it: it for it in STATES}), indirect=["bench"])
def test_nothing_is_caught_without_one(bench: Bench, state: str) -> None:
    assert not differs(bench, loader_image(), state)
