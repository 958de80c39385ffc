"""A guide as its reader meets it: sections, and in them the blocks of code with what they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
_FENCE = re.compile(r"^```(\w*)$")
_COMMENT = re.compile(r"(?:^|\s+)#\s.*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where it is."""

    page: str
    section: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """As a failure prints it."""
        return f"{self.page}:{self.line} ({self.section})"

    def commands(self) -> list[str]:
        """The lines of an `sh` block, continued lines joined, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [line for line in (_COMMENT.sub("", line).strip() for line in lines) if line]


def pages() -> list[str]:
    """README and all guides, from the root of the project."""
    found = [ROOT / "README.md", *sorted(ROOT.glob("host/docs/*.md")), *sorted(ROOT.glob("device/docs/*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    section, language, begun = "", None, 0
    lines: list[str] = []
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        if match := _FENCE.match(line):
            if language is None:
                language, begun, lines = match[1], number, []
            else:
                found.append(Block(page, section, begun, language, "".join(f"{text}\n" for text in lines)))
                language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            section = line.lstrip("# ")
    assert language is None, f"{page}:{begun}: a block without an end"
    return found


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(text: str) -> list[str]:
    """What links to the headings of a page end with."""
    return [anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose(text), re.M)]


def section(path: Path, heading: str) -> str:
    """What stands under a heading of a page, up to the next one of any level."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"{path}: no heading {heading!r}"
    return found[1]


def prerequisites(page: str) -> list[Block]:
    """The blocks of the sections that its paragraph "Before you start: ..." links to."""
    text = (ROOT / page).read_text(encoding="utf-8")
    paragraph = re.search(r"^Before you start: (?:.+\n)+", text, re.M)
    found: list[Block] = []
    for target, name in re.findall(r"\]\(([\w./-]+)#([\w-]+)\)", paragraph[0] if paragraph else ""):
        path = (ROOT / page).parent.joinpath(target).resolve().relative_to(ROOT).as_posix()
        chosen = [block for block in blocks(path) if anchor(block.section) == name]
        assert chosen, f"{page}: no commands at {target}#{name}"
        found += [*prerequisites(path), *chosen]
    return list(dict.fromkeys(found))


def anchor(heading: str) -> str:
    """What a link to a heading ends with."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
