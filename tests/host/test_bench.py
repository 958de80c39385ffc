"""`slotbench bench`: what an update costs, beside other ways."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from slotbench.benchmark import compare, median_ratios, modelled_seconds
from slotbench.benchmark.built import has_compiler
from slotbench.benchmark.drawing import Drawing
from slotbench.benchmark.model import time_ratios
from slotbench.benchmark.work import PatchWork, changed_blocks, count_work
from slotbench.image_packages import OFFICIAL, is_complete
from slotbench.patch import make_patch, pack_image
from support.commands import RunCommand
from support.relinked import relinked


def write_pair(folder: Path) -> list[str]:
    paths = [folder / "old.bin", folder / "new.bin"]
    for path, image in zip(paths, (relinked(), relinked(20))):
        path.write_bytes(image)
    return [str(path) for path in paths]


def test_json_has_the_bytes_and_the_seconds_of_each_pair(slotbench: RunCommand, tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    result = json.loads(slotbench("bench", *pair, "--json").out)["result"]

    (found,) = result["pairs"]
    assert found["name"] == "old -> new" and found["raw"] == len(relinked(20))
    assert found["ours"] == len(make_patch(relinked(), relinked(20))) < found["deflate"] / 10
    assert {"bsdiff_bz2", "detools_heatshrink", "xdelta3", "zstd"} < found.keys()
    seconds = result["modelled_seconds"]["old -> new"]
    assert seconds["limit"]["total"] < seconds["ours_160"]["total"] < seconds["ours_80"]["total"] < seconds["raw"]["total"]
    assert found["work"]["edits"] > 0 < found["changed"]
    assert result["sums"] == {
        "updates": 1, "raw": found["raw"], "ours": found["ours"],
        "share": round(found["ours"] / found["raw"], 5)}
    assert found["ours"] < found["ours_without_prediction"] and found["host_seconds"] > 0
    ratios = result["time_ratios"]["old -> new"]
    ours, limit = seconds["ours_160"]["total"], seconds["limit"]["total"]
    assert ratios["to_limit"] == pytest.approx(ours / limit, abs=0.006)
    restart = seconds["ours_160"]["loader"] + seconds["ours_160"]["restart"]
    assert ratios["to_limit_with_restart"] == pytest.approx(ours / (limit + restart), abs=0.006)
    assert ratios["to_raw"] == pytest.approx(ours / seconds["raw"]["total"], abs=0.006)
    assert {"esptool_115200", "esptool_460800"} < seconds.keys() and seconds["esphome_published"] == 5.84


def test_the_parts_of_the_model_make_the_whole() -> None:
    old, new = relinked(), relinked(20)
    patch = make_patch(old, new)
    changed, work = changed_blocks(old, new), count_work(old, patch)
    for parts in modelled_seconds(len(new), len(patch), changed, work).values():
        assert abs(sum(parts.values()) - 2 * parts["total"]) < 0.05
    fast = modelled_seconds(len(new), len(patch), [], work)
    assert fast["limit"]["window"] == 0 and fast["ours_80"]["cpu"] == pytest.approx(2 * fast["ours_160"]["cpu"], abs=0.02)


SECTOR_S, PROGRAM_S, BLOCK_S = 0.045, 16 * 0.0007, 0.15


@pytest.mark.parametrize(("length", "fetched", "changed", "work"), [
    (640_348, 46_557, range(52, 157), (934, 7545, 12213, 24373, 58680)),
    (242_240, 49, range(30, 32), (1, 2, 2, 0, 30)),
    (244_240, 2368, range(7, 60), (5, 1253, 1294, 5788, 3841)),
], ids=["1.24-to-1.26", "a-line", "a-constant-that-moves-code"])
def test_a_typical_change_takes_at_most_1_5_times_the_limit(
    length: int, fetched: int, changed: Sequence[int], work: tuple[int, int, int, int, int],
) -> None:
    """What `bench` counted: its real pair, and of its 24 builds the first line and the median."""
    names = ("operations", "edits", "edited_bytes", "predictions", "inflated")
    rows = modelled_seconds(length, fetched, changed, PatchWork(**dict(zip(names, work))))
    assert time_ratios(rows)["to_limit_with_restart"] <= 1.5, "the restart and the loader are in both"


@pytest.mark.parametrize(("changed", "length", "loader", "limit"), [
    ([3], 0x30000, 0, 0),
    ([9, 10, 11, 12, 13, 14, 15], 0x30000, 7 * (SECTOR_S + PROGRAM_S), 7 * (SECTOR_S + PROGRAM_S)),
    ([19, 33], 0x30000, 2 * (SECTOR_S + PROGRAM_S), 2 * (SECTOR_S + PROGRAM_S)),
    (range(16, 23), 0x30000, 7 * (SECTOR_S + PROGRAM_S), BLOCK_S + 16 * PROGRAM_S),
    (range(16, 24), 0x30000, BLOCK_S + 16 * PROGRAM_S, BLOCK_S + 16 * PROGRAM_S),
    (range(32, 42), 0x2A000, 10 * (SECTOR_S + PROGRAM_S), BLOCK_S + 10 * PROGRAM_S)],
    ids=["not in the window", "before the first block", "two alone", "seven", "eight", "up to the image's end"])
def test_the_window_is_erased_as_the_loader_does_it(
    changed: Sequence[int], length: int, loader: float, limit: float,
) -> None:
    rows = modelled_seconds(length, 0, changed, count_work(b"", pack_image(b"new")))
    assert rows["raw"]["window"] == rows["ours_160"]["window"] == pytest.approx(loader, abs=0.006)
    assert rows["limit"]["window"] == pytest.approx(limit, abs=0.006)


def test_the_work_of_a_patch_is_what_it_says() -> None:
    old, new = relinked(), bytearray(relinked())
    new[20_000] ^= 1
    new[24_000:24_003] = b"abc"
    work = count_work(old, make_patch(old, bytes(new), predict=False))
    assert (work.operations, work.edits, work.edited_bytes, work.predictions) == (1, 2, 4, 0)
    assert changed_blocks(old, bytes(new)) == [4, 5] and changed_blocks(old, old) == []
    assert count_work(old, make_patch(old, relinked(20))).predictions > 100


def test_words_and_plots(slotbench: RunCommand, tmp_path: Path) -> None:
    pair, plots = write_pair(tmp_path), [tmp_path / "bench.svg", tmp_path / "bench.png"]
    said = slotbench("bench", *pair, *pair, *(word for plot in plots for word in ("--plot", str(plot))))

    assert "times the limit" in said.out and "with the restart that none can do without" in said.out
    assert said.code == 0 and "median, times ours" in said.out and "seconds by a model" in said.out
    bars = ElementTree.parse(plots[0]).getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) >= 20
    pixels = pixels_of(plots[1].read_bytes())
    assert bytes.fromhex("1a73e8") in pixels and bytes.fromhex("d93025") in pixels


def pixels_of(png: bytes) -> bytes:
    """The pixels of a PNG, three bytes each, with a 0 before each row."""
    chunks, at = {}, 8
    while at < len(png):
        length = int.from_bytes(png[at:at + 4], "big")
        name, data = png[at + 4:at + 8], png[at + 8:at + 8 + length]
        assert png[at + 8 + length:at + 12 + length] == struct.pack(">I", zlib.crc32(name + data))
        chunks[name], at = data, at + 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == height * (1 + 3 * width)
    return pixels


def test_a_picture_has_what_was_drawn_where_it_was_drawn() -> None:
    drawing = Drawing(20, 10)
    drawing.bar(5, 2, 1, 1, "#0a0b0c")
    drawing.write(30, 5, "outside")
    rows = [pixels_of(drawing.png())[121 * y + 1:121 * (y + 1)] for y in range(20)]

    assert [(x, y) for y in range(20) for x in range(40) if rows[y][3 * x:3 * x + 3] == b"\x0a\x0b\x0c"] == [
        (10, 4), (11, 4), (10, 5), (11, 5)]


@pytest.mark.parametrize(("arguments", "words"), [
    (("--inputs", "built", "OLD", "NEW"), "not both"), (("OLD", "NEW", "--plot", "bytes.pdf"), "a .png or a .svg"),
])
def test_what_does_not_go_together_is_refused(
    arguments: tuple[str, ...], words: str, slotbench: RunCommand, tmp_path: Path,
) -> None:
    pair = dict(zip(("OLD", "NEW"), write_pair(tmp_path)))
    ran = slotbench("bench", *(pair.get(word, word) for word in arguments))
    assert ran.code == 2 and words in ran.err


def test_builds_are_made_and_compared(slotbench: RunCommand) -> None:
    if not has_compiler():
        pytest.skip("no compiler for the chip: Debian's gcc-xtensa-lx106 and binutils-xtensa-lx106 are not installed")
    ran = slotbench("bench", "--inputs", "built", "--builds", "2", "--modules", "3", "--json")

    pairs = json.loads(ran.out)["result"]["pairs"]
    assert [pair["name"] for pair in pairs] == ["build 1 -> 2: a constant", "build 2 -> 3: a line"]
    assert all(0 < pair["ours"] < pair["raw"] / 10 for pair in pairs)


def test_without_network_official_images_are_asked_for_in_vain(
    slotbench: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pip has nothing to look in: a file of this machine, which is not there."""
    monkeypatch.setenv("TWOSLOT_IMAGES", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert not is_complete(OFFICIAL, tmp_path)
    ran = slotbench("bench", "--inputs", "official")

    assert ran.code == 2 and "pip download failed" in ran.err and not list(tmp_path.iterdir())


def test_ratios_leave_out_what_is_not_installed() -> None:
    pairs = [compare("pair", relinked(), relinked(20))]
    ratios = median_ratios(pairs, "ours")
    assert ratios["ours"] == 1 < ratios["deflate"] < ratios["raw"]
    if pairs[0].bsdiff_bz2 is None:
        assert "bsdiff_bz2" not in ratios and not median_ratios(pairs, "bsdiff_bz2")


def test_an_image_without_a_partner_is_refused(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("bench", write_pair(tmp_path)[0])
    assert ran.code == 2 and "pairs" in ran.err


def test_a_compressor_that_is_not_there_is_none() -> None:
    sizes = compare("pair", relinked(), relinked(20))
    assert all(size is None or size > 0 for size in (sizes.bsdiff_bz2, sizes.detools_heatshrink, sizes.zstd))
