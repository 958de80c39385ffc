#!/usr/bin/env python3
"""Draw host/docs/demo.svg, the screen of `tools/demo`, or with --check say whether it is up to date.

The demo is played for the picture, with small images and without pauses. Its board, its clock and its network
are virtual, so each run prints the same lines; only the port of its server differs, and is drawn as 8266.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "host"))

from slotbench.cli.published_head import now  # noqa: E402
from slotbench.demo.screen import DemoScreen  # noqa: E402
from slotbench.demo.update import UpdateDemo  # noqa: E402

PICTURE = ROOT / "host" / "docs" / "demo.svg"
IMAGE_BYTES = 96 * 1024
SCENES = 3
"""So many scenes are drawn, and the table behind the last one."""
_LETTER_WIDTH, _LINE_HEIGHT, _MARGIN = 7.2, 17, 16
_COLOURS = (
    (re.compile(r"^\$ "), "#8ae234"),
    (re.compile(r"^\d\. "), "#ffffff"),
    (re.compile(r"^   \["), "#729fcf"),
    (re.compile(r"POWER LOST|refused"), "#ef6b6b"),
    (re.compile(r"confirmed|all of it happened"), "#8ae234"),
    (re.compile(r"\((trial|fallback)\)"), "#fce94f"),
)
"""The colour of a line is that of the first pattern found in it."""
_PLAIN = "#c5c8c6"


def play() -> str:
    """What a terminal shows at the end of the demo: a progress bar is drawn over the one before."""
    out = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        screen = DemoScreen(out, live=True, pause=lambda seconds: None)
        UpdateDemo(screen, Path(folder), now(), size=IMAGE_BYTES).play()
    lines = [line.rpartition("\x1b[K")[2] for line in out.getvalue().split("\n")]
    return re.sub(r"(http://127\.0\.0\.1):\d+", r"\1:8266", "\n".join(lines))


def excerpt(said: str) -> list[str]:
    """The lines that are drawn: the first scenes, and the table."""
    story, _, table = said.partition(f"\n{SCENES + 1}. ")
    end = table.index("\n   what happened")
    return ["$ tools/demo --fast", *story.rstrip().splitlines(), "   ...", *table[end:].rstrip().splitlines()]


def svg(lines: list[str]) -> str:
    """A terminal with these lines."""
    width = round(max(len(line) for line in lines) * _LETTER_WIDTH) + 2 * _MARGIN
    height = len(lines) * _LINE_HEIGHT + 2 * _MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">',
        "<title>The demo: a board updates, loses power, resumes, and comes back from a bad release</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#1d1f21"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        if not line:
            continue
        y = _MARGIN + (number + 1) * _LINE_HEIGHT - 4
        length = round(len(line) * _LETTER_WIDTH, 1)
        drawn.append(
            f'<text x="{_MARGIN}" y="{y}" fill="{_colour(line)}" textLength="{length}">{escape(line)}</text>')
    return "\n".join([*drawn, "</g>", "</svg>", ""])


def _colour(line: str) -> str:
    return next((colour for pattern, colour in _COLOURS if pattern.search(line)), _PLAIN)


def main() -> int:
    """Write the picture, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when it would change")
    only_check = parser.parse_args().check
    # The demo's keys have no passphrase; what SigningKey says of that is right and of no use here.
    logging.getLogger("slotbench").setLevel(logging.ERROR)
    made = svg(excerpt(play()))
    name = PICTURE.relative_to(ROOT)
    if only_check:
        same = PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == made
        print(f"{name} is up to date" if same else f"{name} is not the demo's screen: run tools/draw_demo.py")
        return 0 if same else 1
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(made, encoding="utf-8")
    print(f"{name}: {len(made)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
