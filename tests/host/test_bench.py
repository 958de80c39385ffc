"""`slotbench bench`: what an update costs, beside other ways."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from slotbench.benchmark import compare, modelled_seconds
from slotbench.patch import make_patch
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
    assert seconds["limit"]["total"] < seconds["ours"]["total"] < seconds["raw"]["total"]
    assert {"esptool_115200", "esptool_460800"} < seconds.keys() and seconds["esphome_published"] == 5.84


def test_the_parts_of_the_model_make_the_whole() -> None:
    for parts in modelled_seconds(640_000, 4_000).values():
        assert abs(sum(parts.values()) - 2 * parts["total"]) < 0.05


def test_words_and_a_plot(slotbench: RunCommand, tmp_path: Path) -> None:
    pair, plot = write_pair(tmp_path), tmp_path / "bytes.svg"
    said = slotbench("bench", *pair, "--plot", str(plot))

    assert said.code == 0 and "ours" in said.out and "modelled" in said.out
    bars = ElementTree.parse(plot).getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) >= 2


def test_an_image_without_a_partner_is_refused(slotbench: RunCommand, tmp_path: Path) -> None:
    ran = slotbench("bench", write_pair(tmp_path)[0])
    assert ran.code == 2 and "pairs" in ran.err


def test_a_compressor_that_is_not_there_is_none() -> None:
    sizes = compare("pair", relinked(), relinked(20))
    assert all(size is None or size > 0 for size in (sizes.bsdiff_bz2, sizes.detools_heatshrink, sizes.zstd))
