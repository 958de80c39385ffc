"""Markdown: links and anchors lead somewhere, lines are short, what is named exists, each word stands once."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from checks.report import project_files

from support.guides.page import ROOT, anchors, prose

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in project_files(ROOT) if path.suffix == ".md")
TERMS = (
    "release", "product", "channel", "channel head", "counter", "floor", "slot", "active", "spare",
    "exec window", "boot journal", "cell", "flag", "trial", "confirm", "fallback", "rollback", "bad",
    "unproven", "block", "block table", "epoch", "rollout", "cohort", "boot reason", "safe mode",
)
"""What the glossary must have."""
README_LINES_MAX = 120
COLUMNS_MAX = 100


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text(page))):
        if re.match(r"\w+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page}: no {target}"
        if fragment:
            assert fragment in anchors(path.read_text(encoding="utf-8")), f"{page}: no heading for {target}"


@pytest.mark.parametrize("page", PAGES)
def test_headings_are_different(page: str) -> None:
    """Two headings of one name have anchors by number, which change when one is put between."""
    found = anchors(text(page))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page: str) -> None:
    long = [f"{page}:{number}" for number, line in enumerate(text(page).splitlines(), 1) if len(line) > COLUMNS_MAX]
    assert not long


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_named_by_the_number_of_its_section(page: str) -> None:
    found = re.findall(r"(?:FORMATS|DESIGN)(?:\.md)?,? (?:section )?\d[\d.]*|\bsections? \d[\d.]*", text(page))
    assert [name for name in found if name != "section 4.3"] == [], "Uptane's own section alone has a number"


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    for path in re.findall(r"`((?:device|host|tests|tools|boards)/[\w./]+)`", text(page)):
        assert (ROOT / path).exists(), f"{page}: no {path}"


@pytest.mark.parametrize("page", PAGES)
def test_calls_exist(page: str) -> None:
    package = (ROOT / "device" / "twoslot" / "__init__.py").read_text(encoding="utf-8")
    for call in re.findall(r"\btwoslot\.(\w+)\(", text(page)):
        assert re.search(rf"^(?:async )?def {call}\(", package, re.M), f"{page}: no twoslot.{call}()"


def test_code_names_sections_of_formats_by_name() -> None:
    """A number would be another section's after the next edit."""
    numbered = re.compile(r"(?<!\w)(?:FORMATS|DESIGN)(?:\.md)?,? (?:section )?\d")
    found = []
    for path in project_files(ROOT):
        if path.suffix in (".py", ".c", ".h", ".S", ".toml", ".cfg", ".md", "") and path != Path(__file__):
            with contextlib.suppress(UnicodeDecodeError):
                found += [f"{path.relative_to(ROOT)}: {name}" for name in numbered.findall(path.read_text(encoding="utf-8"))]
    assert not found


def test_every_guide_is_in_the_readmes_table() -> None:
    guides = {page for page in PAGES if re.match(r"(?:host|device)/docs/", page)}
    assert guides <= set(re.findall(r"\]\(([^)#]+)\)", text("README.md")))


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) <= README_LINES_MAX


def test_the_readme_says_at_once_that_no_board_has_run_it() -> None:
    first = " ".join(text("README.md").split("\n\n")[1].split())
    assert "No real board has run this yet" in first and "what was run instead" in first


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\* \*\*(.+?)\*\*: ", text("device/docs/glossary.md"), re.M)
    assert len(words) == len(set(words))
    assert set(words) >= set(TERMS)


def test_each_attacker_has_tests_that_exist() -> None:
    rows = text("device/docs/security.md").partition("\n## Attackers\n")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(rows) > 15
    for row in rows:
        for word in ("Reaches: ", "Stopped by: ", "Not stopped", "Tests: "):
            assert f"\n* {word}" in row, f"{row.splitlines()[0]}: {word}?"
        source = ""
        for name in re.findall(r"`(\w[\w/.]+)`", row.partition("\n* Tests: ")[2]):
            if name.startswith("tests/"):
                source = (ROOT / name).read_text(encoding="utf-8")
            else:
                assert f"\ndef {name}(" in source, name


def test_the_figures_of_memory_are_the_budgets() -> None:
    budget = json.loads((ROOT / "tools/memory_budget.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| .+? \| ([\d,]+)(?:-([\d,]+))? \| .+ \|$", text("device/docs/memory.md"), re.M)
    ranges = [[int(figure.replace(",", "")) for figure in row if figure] for row in rows]
    names = ("boot", "idle", "update_peak", "rsa_peak", "push_peak", "per_block")
    for name, found in zip(names, ranges, strict=True):
        assert found[0] <= budget[f"{name}_bytes"] <= found[-1], f"{name}: {budget[f'{name}_bytes']} is not in the table"
    loaded = sum(json.loads((ROOT / "tools/mpy_budget.json").read_text(encoding="utf-8")).values())
    assert f"all of twoslot is {round(loaded / 1000)} KB" in text("device/docs/memory.md")


def test_the_budgets_of_the_chip_stand_in_the_page() -> None:
    budgets = json.loads((ROOT / "tools/chip_budget.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| .+? \| ([\d,]+) (?:bytes|ms) \| ([\d,]+) (?:bytes|ms) \|$", text("device/docs/memory.md"), re.M)
    found = [[int(figure.replace(",", "")) for figure in row] for row in rows]
    assert found == [list(pair) for pair in zip(budgets["files"].values(), budgets["frozen"].values(), strict=True)]


def test_the_picture_is_the_demos_screen() -> None:
    import draw_demo

    assert draw_demo.PICTURE == Path(ROOT, "host/docs/demo.svg")
    assert draw_demo.PICTURE.read_text(encoding="utf-8") == draw_demo.svg(draw_demo.excerpt(draw_demo.play())), \
        "run tools/draw_demo.py"
