"""How many bytes each way takes for a pair of images. Other people's compressors are optional."""

from __future__ import annotations

import importlib
import io
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from slotbench.benchmark.work import PatchWork, changed_blocks, count_work
from slotbench.errors import BenchError
from slotbench.patch import make_patch, pack_image

__all__ = ["OTHERS", "WAYS", "PairSizes", "compare", "median_ratios"]

WAYS: Final = (
    "raw", "deflate", "detools_heatshrink", "bsdiff_bz2", "xdelta3", "zstd", "ours_without_prediction",
    "ours")
"""The columns of the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSizes:
    """Bytes for one pair; None where the compressor is not installed.

    `raw` is the new image, `deflate` that image packed for boards, `ours` the patch that boards take, which
    this computer made in `host_seconds` of its processor's time. `work` is what a board does to apply it, and
    `changed` are the blocks that differ from those at the same place of the old image.
    """

    name: str
    raw: int
    deflate: int
    bsdiff_bz2: int | None
    detools_heatshrink: int | None
    xdelta3: int | None
    zstd: int | None
    ours_without_prediction: int
    ours: int
    host_seconds: float
    work: PatchWork
    changed: Sequence[int]


def _bsdiff(module: Any, old: bytes, new: bytes) -> int:
    return len(module.diff(old, new))


def _detools(module: Any, old: bytes, new: bytes) -> int:
    patch = io.BytesIO()
    module.create_patch(io.BytesIO(old), io.BytesIO(new), patch, compression="heatshrink")
    return len(patch.getvalue())


def _zstd(module: Any, old: bytes, new: bytes) -> int:
    """As `zstd --patch-from` does: the old image is the dictionary."""
    known = module.ZstdCompressionDict(old, dict_type=module.DICT_TYPE_RAWCONTENT)
    parameters = module.ZstdCompressionParameters.from_level(
        19, window_log=21, enable_ldm=True, dict_size=len(old), source_size=len(new))
    return len(module.ZstdCompressor(dict_data=known, compression_params=parameters).compress(new))


OTHERS: Final[Mapping[str, tuple[str, Callable[[Any, bytes, bytes], int]]]] = {
    "bsdiff_bz2": ("bsdiff4", _bsdiff), "detools_heatshrink": ("detools", _detools),
    "zstd": ("zstandard", _zstd),
}
"""Ways by Python modules: the module of each, and what counts its bytes."""


def compare(name: str, old: bytes, new: bytes) -> PairSizes:
    """The bytes of every way from `old` to `new`. Takes seconds. Raises BenchError: a compressor fails."""
    others = {key: _size(key, old, new) for key in OTHERS}
    start = time.process_time()
    ours = make_patch(old, new)
    host_seconds = round(time.process_time() - start, 3)
    return PairSizes(
        name=name, raw=len(new), deflate=len(pack_image(new)), ours=len(ours), host_seconds=host_seconds,
        ours_without_prediction=len(make_patch(old, new, predict=False)), xdelta3=_xdelta3(old, new),
        work=count_work(old, ours), changed=changed_blocks(old, new), **others)


def median_ratios(pairs: Sequence[PairSizes], to: str) -> dict[str, float]:
    """Each way's bytes in relation to those of the way `to`: the median. Ways that are not installed are left
    out, so there is none at all if `to` is not.
    """
    there = [way for way in WAYS if all(getattr(pair, way) is not None for pair in pairs)]
    if to not in there:
        return {}
    return {way: median(getattr(pair, way) / getattr(pair, to) for pair in pairs) for way in there}


def _xdelta3(old: bytes, new: bytes) -> int | None:
    """By the command of that name, if there is one."""
    command = shutil.which("xdelta3")
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        paths = [Path(folder) / name for name in ("old", "new", "patch")]
        paths[0].write_bytes(old)
        paths[1].write_bytes(new)
        ran = subprocess.run(
            [command, "-e", "-9", "-s", *map(str, paths)], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchError(f"{command} fails: {ran.stderr.strip()}", cure="install another version of it")
        return paths[2].stat().st_size


def _size(key: str, old: bytes, new: bytes) -> int | None:
    module, count = OTHERS[key]
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return None
    try:
        return count(loaded, old, new)
    except Exception as error:
        reason = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise BenchError(
            f"{module} fails: {reason}", cure=f"install another version of {module}, or remove it") from None
