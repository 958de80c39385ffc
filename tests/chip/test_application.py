"""An application on the emulated chip, under a real firmware: taken, confirmed, then one changed file of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slotbench import boards, data_path
from slotbench.application.bundle import Bundle, build_bundle
from slotbench.formats.application_record import FILES, FOLDERS, WHY, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.prove.chip.bed import NOW, PHY_BLOCK, PRODUCT, ChipBed, RunningChip
from slotbench.release.applications import build_application
from slotbench.release.publish import publish_offer
from slotbench.repl.package import package_files
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from support.chip.bench import any_micropython, need_slirp

MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(500)\n"
PROGRAM = "import lamp\nprint('@slotbench shade', lamp.SHADE)\n" + MAIN
PAGE = "<p>A page of the lamp.</p>\n" * 200
HALF_AN_HOUR_S = 1800


def program(folder: Path, shade: int) -> Bundle:
    """Three files: a module that changes, and two that do not."""
    for path, text in {"main.py": PROGRAM, "lamp.py": f"SHADE = {shade}\n", "www/index.html": PAGE}.items():
        (folder / "app" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "app" / path).write_text(text)
    return build_bundle(folder / "app")


def offer(bed: ChipBed, folder: Path, counter: int) -> Bundle:
    """Publish the program with this shade and counter."""
    publisher, bundle = bed.publisher, program(folder, counter)
    made = build_application(
        bundle, product=PRODUCT, boards=[bed.profile], version=f"app-{counter}", counter=counter, created=NOW)
    path = folder / f"app-{counter}.application"
    path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
    publish_offer(
        publisher.site, publisher.keys_path, publisher.online, NOW + 10 * counter, application=(path, bundle))
    return bundle


def files_of(bed: ChipBed, flash: NorFlash) -> dict[str, bytes]:
    """The files in the board's LittleFS."""
    found = FlashFiles(flash.clone(), bed.profile.filesystem)
    found.start({})
    found.mount()
    return found.files


def confirmed(bed: ChipBed, flash: NorFlash, counter: int) -> Callable[[], bool]:
    """Whether this application is the confirmed one; the filesystem is read every ten seconds of the board's time.
    """
    last = -1

    def is_confirmed() -> bool:
        nonlocal last
        if flash.clock.us // 10_000_000 == last:
            return False
        last = flash.clock.us // 10_000_000
        files = files_of(bed, flash)
        record = newest_record(files[f"/{name}"] for name in FILES if f"/{name}" in files)
        if record is None or record.active > 1:
            return False
        folder = record.folders[record.active]
        return (folder.counter, folder.state) == (counter, FolderState.CONFIRMED)

    return is_confirmed


def check_at_once(running: RunningChip) -> None:
    """A restart by its pin: the board checks soon after it starts."""
    running.board.power_off()
    running.board.power_on()


def test_a_program_travels_to_a_chip_and_then_one_file_of_it(core: Path, tmp_path: Path) -> None:
    image = any_micropython()
    need_slirp()
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=3) as bed:
        bed.publish(image, 1, bed.facts.version[:16])
        first = offer(bed, tmp_path, 2)
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(confirmed(bed, flash, 2), HALF_AN_HOUR_S), running.console.last_lines(5)
            received = running.wire.received
            second = offer(bed, tmp_path, 3)
            check_at_once(running)
            assert running.run_until(confirmed(bed, flash, 3), HALF_AN_HOUR_S), running.console.last_lines(5)
            assert running.wire.received - received < len(PAGE) + 4000, "the page was copied on the board"
            assert running.console.marks("shade")[-1] == 3
        files = files_of(bed, flash)
    for folder, bundle in zip(FOLDERS, (first, second)):
        assert {path: data for path, data in files.items() if path.startswith(f"/{folder}/") and "twoslot." not in path} \
            == {f"/{folder}/{path}": data for path, data in bundle.files.items()}


RAISES = """\
def shine(n):
    print("lamp", n)
    return n if n else [][n]
shine(3)
shine(0)
"""
CAUGHT = "import sys\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    sys.print_exception(e)\nprint('goes on')\n"


def test_a_traceback_ends_an_attempt_on_a_chip(core: Path, tmp_path: Path) -> None:
    """The port prints to os.dupterm() in pieces, and from below the program."""
    image = any_micropython()
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=3) as bed:
        flash = bed.flash()
        record = ApplicationRecord(sequence=4, active=1, attempts=2, folders=(
            Folder(state=FolderState.CONFIRMED, counter=1), Folder(state=FolderState.READY, counter=2)))
        bed.put_files(flash, {
            **bed.files(MAIN), "/app_a/main.py": b"print('@slotbench shade 1')\n" + MAIN.encode(),
            "/app_b/main.py": (CAUGHT + RAISES).encode(), f"/{FILES[0]}": record.pack()})
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(lambda: bool(running.console.marks("shade")), HALF_AN_HOUR_S), running.console.last_lines(24)
        files = files_of(bed, flash)
    head, _, text = files[f"/{WHY}"].partition(b"\n")
    assert head == b"2 0 10"
    assert text.splitlines()[-3:] == [
        b'  File "main.py", line 11, in <module>', b'  File "main.py", line 9, in shine', b"IndexError: list index out of range"]
    found = newest_record(files[f"/{name}"] for name in FILES)
    assert found is not None and (found.active, found.bad_counter) == (0, 2)
    assert running.console.text.count("restarting") == 2


def test_without_a_loader_a_program_travels_too(core: Path, tmp_path: Path) -> None:
    """Stock firmware at offset 0, and the package for it: no slots, no journal."""
    image = any_micropython()
    need_slirp()
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=3) as bed:
        bundle = offer(bed, tmp_path, 2)
        flash = NorFlash(bed.profile.chip_bytes, clock=Clock(), log=False)
        flash.poke(0, image[:3] + bytes([bed.profile.size_nibble << 4]) + image[4:])
        flash.poke(bed.profile.visible_bytes - 4 * SECTOR, PHY_BLOCK)
        record = ApplicationRecord(
            sequence=2, active=0, folders=(Folder(state=FolderState.CONFIRMED, counter=1), Folder()))
        own = {path: data for path, data in bed.files(MAIN).items() if not path.startswith("/twoslot/")}
        bed.put_files(flash, {
            **own, **{f"/{path}": data for path, data in package_files(has_loader=False).items()},
            "/twoslot_record.py": data_path("device", "twoslot_record.py").read_bytes(),
            "/app_a/main.py": MAIN.encode(), f"/{FILES[0]}": record.pack()})
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(confirmed(bed, flash, 2), HALF_AN_HOUR_S), running.console.last_lines(9)
            assert running.console.marks("shade")[-1] == 2
        files = files_of(bed, flash)
    assert {path: data for path, data in files.items() if path.startswith("/app_b/") and "twoslot." not in path} \
        == {f"/app_b/{path}": data for path, data in bundle.files.items()}
