"""An application on the emulated chip, under a real firmware: taken, confirmed, then one changed file of it; with
the loader, and on a board of 1 MB without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slotbench import boards
from slotbench.application.bundle import Bundle, build_bundle
from slotbench.formats.application_record import FILES, FOLDERS, WHY, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.mpy import inlined, sources
from slotbench.mpy.pack import PACK, SECOND_PACK, packed_files
from slotbench.prove.chip.bed import NOW, PRODUCT, ChipBed, RunningChip
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import build_application
from slotbench.release.publish import publish_offer
from slotbench.vboard.chip.stack import StackGauge
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from support.chip.bench import any_micropython, flash_1m_micropython, need_slirp
from support.chip.stack import FREE_APPLICATION, nested, watched_ticks
from support.device.stock import pack_with

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
    made = with_patches(made, bundle, 3, (publisher.site, publisher.keys))
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
            assert received < len(PAGE), "the page came deflated, in the patch from nothing"
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
    """Stock firmware at offset 0, and the package for it as one file: no slots, no journal. The program has used
    so many bytes of the stack when it calls tick().
    """
    image = any_micropython()
    need_slirp()
    with ChipBed(tmp_path, boards.load("generic_4m_stock"), image, seed=3) as bed:
        bundle = offer(bed, tmp_path, 2)
        flash = bed.flash()
        bed.put_files(flash, bed.files(nested(FREE_APPLICATION, watched_ticks())))
        with bed.running(flash) as running:
            running.board.power_on()
            running.run_until(lambda: "used" in running.console.text, HALF_AN_HOUR_S)
            gauge, deepest = StackGauge(running.board.machine), 0
            gauge.start()

            def is_restarted() -> bool:
                nonlocal deepest
                if running.board.starts == 1:
                    deepest = gauge.used_bytes()
                return running.board.starts > 1

            assert running.run_until(is_restarted, HALF_AN_HOUR_S) and 7000 < deepest <= 8192
            assert running.run_until(confirmed(bed, flash, 2), HALF_AN_HOUR_S), running.console.last_lines(9)
            assert running.console.marks("shade")[-1] == 2
            assert "@log" not in running.console.text
        files = files_of(bed, flash)
    folder = f"/{FOLDERS[0]}/"
    assert {path: data for path, data in files.items() if path.startswith(folder) and "twoslot." not in path} \
        == {f"{folder}{path}": data for path, data in bundle.files.items()}


COUNT = 20
SMALL_MAIN = """\
import gc, time, twoslot
import module_00
gc.collect()
print("@slotbench shade", module_00.SHADE)
print("@slotbench free", gc.mem_free())
while True:
    twoslot.tick()
    time.sleep_ms(50)
"""


def program_of_20_files(shade: int) -> Bundle:
    """20 files of a kilobyte; one line of one of them changes."""
    text = "".join(f"line_{n:02d} = 'what a program says, number {n:02d}'\n" for n in range(22))
    files = {f"module_{n:02d}.py": f"{text}SHADE = {shade if n == 0 else 0}\n" for n in range(COUNT - 1)}
    return Bundle({"main.py": SMALL_MAIN.encode(), **{path: data.encode() for path, data in files.items()}}, 0)


def offer_small(bed: ChipBed, folder: Path, shade: int) -> Bundle:
    publisher, bundle = bed.publisher, program_of_20_files(shade)
    made = build_application(
        bundle, product=PRODUCT, boards=[bed.profile], version=f"app-{shade}", counter=shade, created=NOW)
    made = with_patches(made, bundle, 3, (publisher.site, publisher.keys))
    path = folder / f"app-{shade}.application"
    path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
    publish_offer(
        publisher.site, publisher.keys_path, publisher.online, NOW + 10 * shade, application=(path, bundle))
    return bundle


def test_a_program_of_20_files_on_a_board_of_1_mb(core: Path, tmp_path: Path) -> None:
    image = flash_1m_micropython()
    need_slirp()
    with ChipBed(tmp_path, boards.load("esp01s_1m"), image, seed=3) as bed:
        first = offer_small(bed, tmp_path, 2)
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(confirmed(bed, flash, 2), HALF_AN_HOUR_S), running.console.last_lines(12)
            whole, begun_us = running.wire.received, running.board.us
            second = offer_small(bed, tmp_path, 3)
            check_at_once(running)
            assert running.run_until(confirmed(bed, flash, 3), HALF_AN_HOUR_S), running.console.last_lines(12)
            one_line, seconds = running.wire.received - whole, (running.board.us - begun_us) / 1e6
            assert running.console.marks("shade")[-1] == 3
            free = min(running.console.marks("free"))
        files = files_of(bed, flash)
    print(f"\n20 files: {whole} bytes on the wire; one line: {one_line} bytes, {seconds:.0f} s; {free} bytes of heap free")
    for folder, bundle in zip(FOLDERS, (first, second)):
        inside = {path: data for path, data in files.items() if path.startswith(f"/{folder}/") and "twoslot." not in path}
        assert inside == {f"/{folder}/{path}": data for path, data in bundle.files.items()}
    assert whole < 7000 < first.size, "it came as one patch, from nothing"
    assert one_line < 7500, "what did not change was copied on the board, and the rest came as a patch"
    assert free > 20_000


FINDS = """\
import finder, sys
found = [finder.is_frozen(name) for name in ("ntptime", "_boot", "main", "machine", "nothing")]
print("@slotbench frozen", sum(is_there << place for place, is_there in enumerate(found)))
print("@slotbench loaded", ("ntptime" in sys.modules) + 2 * ("nothing" in sys.modules))
import ntptime
print("@slotbench shadow", ntptime.shadow)
"""


def test_a_frozen_module_is_found_and_not_run(core: Path, tmp_path: Path) -> None:
    """Official firmware has `ntptime` and `_boot` frozen, and no `main`. Files of these names are something else, and so
    is what the C code has. `_boot` would mount the filesystem anew.
    """
    source = inlined(sources())["application/port.py"]
    with ChipBed(tmp_path, boards.load("d1_mini"), any_micropython(), seed=3) as bed:
        flash = bed.flash()
        shadow = b"shadow = 1\n"
        bed.put_files(flash, {
            "/finder.py": source, "/main.py": FINDS.encode(), "/ntptime.py": shadow, "/nothing.py": shadow})
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(lambda: bool(running.console.marks("shadow")), 30), running.console.last_lines(9)
            found = [running.console.marks(name) for name in ("frozen", "loaded", "shadow")]
    assert found == [[0b00011], [0], [1]]


def offer_twoslot(bed: ChipBed, folder: Path, counter: int, pack: bytes) -> None:
    publisher = bed.publisher
    bundle = Bundle({"main.py": PROGRAM.encode(), "lamp.py": f"SHADE = {counter}\n".encode(), PACK: pack}, 6)
    made = build_application(
        bundle, product=PRODUCT, boards=[bed.profile], version=f"app-{counter}", counter=counter, created=NOW)
    path = folder / f"app-{counter}.application"
    path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
    publish_offer(
        publisher.site, publisher.keys_path, publisher.online, NOW + 10 * counter, application=(path, bundle))


def test_a_new_twoslot_on_a_board_of_1_mb(core: Path, tmp_path: Path) -> None:
    """It proves itself. The next one cannot be imported: the one before runs again, and takes the one after that."""
    image = flash_1m_micropython()
    need_slirp()
    with ChipBed(tmp_path, boards.load("esp01s_1m"), image, seed=3) as bed:
        new = packed_files()[PACK] + b"newer"
        offer_twoslot(bed, tmp_path, 2, new)
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        with bed.running(flash) as running:
            running.board.power_on()
            assert running.run_until(confirmed(bed, flash, 2), HALF_AN_HOUR_S), running.console.last_lines(12)
            assert files_of(bed, flash)[f"/{SECOND_PACK}"] == new
            offer_twoslot(bed, tmp_path, 3, pack_with("__init__.py", "raise ValueError\n"))
            check_at_once(running)
            gone = running.console.text.count("shade 2")
            assert running.run_until(lambda: running.console.text.count("shade 2") > gone + 1, HALF_AN_HOUR_S), \
                running.console.last_lines(12)
            found = newest_record(files_of(bed, flash)[f"/{name}"] for name in FILES)
            assert found is not None and found.folders[1 - found.active].state is FolderState.BAD
            assert (found.twoslot_pack, found.twoslot_starts, found.report, found.report_counter) == (1, 0, 3, 3)
            offer_twoslot(bed, tmp_path, 4, packed_files()[PACK] + b"newest")
            check_at_once(running)
            assert running.run_until(confirmed(bed, flash, 4), HALF_AN_HOUR_S), running.console.last_lines(12)
        found = newest_record(files_of(bed, flash)[f"/{name}"] for name in FILES)
        assert found is not None and (found.twoslot_pack, found.twoslot_starts) == (0, 0)
