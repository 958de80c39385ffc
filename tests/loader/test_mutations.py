"""Each rule of the loader taken out of its C source: the differential test must notice, or it proves nothing."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.boards import BoardProfile
from slotbench.formats import FormatError
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.lx106 import machine
from slotbench.vboard.lx106.loader import loader_image, loader_sector, loader_symbols
from slotbench.vboard.signals import BenchViolation
from support.loader.bench import WINDOW, same_as_model
from support.loader.cuts import falling_back, first_boot, next_attempt, whole_block
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


def _weak_window() -> NorFlash:
    """The window is right but for a bit that reads right first and wrong then, by the flash's seed."""
    flash = _log_blank()
    flash.seed = 7
    flash.set_weak(WINDOW.window.start + 0x100, 4, 1)
    return flash


def _torn_entry() -> NorFlash:
    flash = first_boot(WINDOW)
    flash.poke(WINDOW.window_log.start + 16, b"H" + bytes(range(15)))
    return flash


STATES: dict[str, Callable[[], NorFlash]] = {
    "first boot": lambda: first_boot(WINDOW),
    "falling back": lambda: falling_back(WINDOW),
    "an image that rots": lambda: _rotten(next_attempt(WINDOW)),
    "below the floor": _below_the_floor,
    "window right, log blank": _log_blank,
    "never reached the hook": _never_reached,
    "a bit of the slot that reads both ways": _weak_slot,
    "a bit of the window that reads both ways": _weak_window,
    "a block of 64 KB": whole_block,
    "a block of which nine sectors are right": lambda: whole_block(equal=range(9)),
    "less than a block": lambda: whole_block(missing=16),
    "an entry of the log whose seal is wrong": _torn_entry,
    "hostile": lambda: flash_with(WINDOW, image_with(WINDOW, ram_part(*NAMED["up to the ROM's data and over it"]))),
}

_SAY_HELD = "        say_held();\n"
_HASHED_AND_SAID = """\
            board->entry = load_once(it, BY_DIGEST);
        } while (board->entry == 0);
""" + _SAY_HELD
_FILLED_AND_SAID = """\
        do {
            if (copies-- == 0 || fill_window(it))
                return WINDOW_NOT_WRITTEN;
            /* What runs is what is hashed: the RAM segments once more, and the irom as the window has it. */
""" + _HASHED_AND_SAID

MUTATIONS = {
    "no digest check": (
        "image.c", "return differs(it->sha256, board->digest, sizeof it->sha256) ? 0 : entry;", "return entry;",
        "an image that rots"),
    "trusted without the tail": ("main.c", "(lacks | booted_another(it)) == 0", "lacks == 0", "an image that rots"),
    "a bad image is not marked": ("main.c", "mark_bad(it);", "{}", "an image that rots"),
    "attempt not spent": ("main.c", "if (spend(board->cell.spent))", "if (0)", "first boot"),
    "copy not counted": ("window.c", "&& spend(board->cell.copied)", "&& 0", "first boot"),
    "HELD not zeroed": ("window.c", "if (flash_program(at, entry, ENTRY))\n                return 1;", "", "first boot"),
    "HELD written too early": (
        "main.c", _FILLED_AND_SAID, "        say_held();\n" + _FILLED_AND_SAID.removesuffix(_SAY_HELD), "first boot"),
    "HELD written before the hash": (
        "main.c", _HASHED_AND_SAID, _SAY_HELD + _HASHED_AND_SAID.removesuffix(_SAY_HELD),
        "a bit of the slot that reads both ways"),
    "HELD not written": ("main.c", _SAY_HELD, "", "first boot"),
    "what was copied is not hashed": (
        "main.c", "load_once(it, BY_DIGEST)", "load_once(it, NO_CHECK)", "a bit of the slot that reads both ways"),
    "copied once": ("main.c", "u32 copies = TRIES;", "u32 copies = 1;", "a bit of the slot that reads both ways"),
    "one read is believed": (
        "window.c", "} while (!differs && --tries);", "} while (0);", "a bit of the window that reads both ways"),
    "a second attempt without the hook": (
        "decide.c", " || (spent > 0 && cell->reached == BLANK)", "", "never reached the hook"),
    "nothing compared before an erase": (
        "window.c", "differs = flash_differs(to, sector, SECTOR);\n    } while", "differs = 1;\n    } while",
        "window right, log blank"),
    "no block at once": ("window.c", "erase_block(from, to);", "0;", "a block of 64 KB"),
    "a block erased and erased again": ("window.c", "if (!erased)", "", "a block of 64 KB"),
    "a block that is not worth it": (
        "window.c", "WORTH = 8", "WORTH = 7", "a block of which nine sectors are right"),
    "a block beyond the image": ("window.c", "opaque((end - from) / BLOCK) && ", "", "less than a block"),
    "chip_size left as it was": (
        "main.c", "flashchip->size = board->map.visible_bytes;", ";", "first boot"),
    "the attempt's end not written": ("main.c", "write_end_of_attempt();", "", "falling back"),
    "below the floor": ("decide.c", "|| it->counter < floor", "", "below the floor"),
    "segments of any length": ("image.c", "if (size > room || ", "if (", "hostile"),
}  # fmt: skip


@dataclass(frozen=True)
class Loader:
    """A build of the loader, and where its functions are."""

    image: bytes
    symbols: dict[str, int]


def build(folder: Path, file: str = "", old: str = "", new: str = "") -> Loader:
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
        ["make", "-C", source, "BUILD=made", f"PYTHON={sys.executable} -I -S", "slotboot.bin"],
        capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    names = [line.split() for line in (source / "slotboot.sym").read_text(encoding="ascii").splitlines()]
    symbols = {name.partition(".")[0]: int(address, 16) for name, address in names}
    return Loader((source / "slotboot.bin").read_bytes(), symbols)


Bench = Callable[[BoardProfile, NorFlash], object]
BENCHES: dict[str, Bench] = {"Python": same_as_model, "core": core_as_model}
READS_BOTH_WAYS = frozenset(name for name in STATES if name.startswith("a bit of "))
"""A weak word reads differently each time, and the ROM of the core reads in pieces of another size: no two runs to compare."""


def _on_both(names: dict[str, str]) -> list[tuple[str, str]]:
    return [(bench, name) for name, state in names.items() for bench in BENCHES
            if bench == "Python" or state not in READS_BOTH_WAYS]


def where_it_is_found(bench: str, name: str) -> tuple[str, str]:
    """Each mutation on the core, and by the machine in Python where the core is no judge. Of the others some are drawn there."""
    return (bench, name) if bench == "core" or MUTATIONS[name][-1] in READS_BOTH_WAYS else (bench, "")


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """What boots a loader and holds it against the model; the core needs a C compiler."""
    if request.param == "core":
        request.getfixturevalue("core")
    return BENCHES[request.param]


@pytest.fixture(scope="module")
def mutated(cross_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Loader]:
    """The loader with a mutation, built once for both benches."""
    @functools.cache
    def built(name: str) -> Loader:
        *change, _ = MUTATIONS[name]
        return build(tmp_path_factory.mktemp("mutation"), *change)

    return built


def differs(bench: Bench, loader: Loader, state: str) -> bool:
    """Whether this loader does anything else there than the model. No mutation is in what computes SHA-256."""
    flash = STATES[state]()
    flash.poke(0, loader_sector(WINDOW, loader.image))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(machine, "loader_image", lambda: loader.image)
        patched.setattr(machine, "loader_symbols", lambda: loader.symbols)
        try:
            bench(WINDOW, flash)
        except (AssertionError, BenchViolation, FormatError):
            return True
    return False


@pytest.mark.sampled(len(MUTATIONS) + 3, kind=where_it_is_found)
@pytest.mark.parametrize(
    ("bench", "name"), _on_both({name: it[-1] for name, it in MUTATIONS.items()}), indirect=["bench"])
def test_mutation_is_caught(mutated: Callable[[str], Loader], bench: Bench, name: str) -> None:
    assert differs(bench, mutated(name), MUTATIONS[name][-1])


@pytest.mark.parametrize(("bench", "state"), _on_both({it: it for it in STATES}), indirect=["bench"])
def test_nothing_is_caught_without_one(bench: Bench, state: str) -> None:
    assert not differs(bench, Loader(loader_image(), loader_symbols()), state)
