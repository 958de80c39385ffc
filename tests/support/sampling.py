"""Heavy proofs: a part of each is run, drawn by a seed; all of it with `tools/test --whole`.

Each one says at the end of the run how much of the whole it was, and by which rule. What draws nothing fails.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")

# Derandomized: the same examples in every run, so that a red test is red again.
_FIXED = settings(derandomize=True, deadline=None, database=None, print_blob=True)
_ALL_EXAMPLES = 100
SAMPLE, WHOLE = "twoslot", "whole"
"""Names of hypothesis's profiles."""
settings.register_profile(SAMPLE, _FIXED, max_examples=16)
settings.register_profile(WHOLE, _FIXED, max_examples=_ALL_EXAMPLES)
# For `slotbench prove fuzz`, which gives the seed.
settings.register_profile("long", _FIXED, derandomize=False, max_examples=_ALL_EXAMPLES)
settings.load_profile(SAMPLE)

_PROPERTY = "sampled"
_SEED = "--sample-seed"


class Sampler:
    """Draws the part of a proof that is run, and says what it drew.

    `whole`: everything is run. `seed` draws; `said` takes a line for the end of the run.
    """

    def __init__(self, whole: bool, seed: int, said: Callable[[str], object]) -> None:
        self.whole = whole
        self.seed = seed
        self._said = said

    def draw(
        self, what: str, items: Iterable[T], count: int, *, kind: Callable[[T], Hashable] = lambda item: 0
    ) -> list[T]:
        """About `count` of the items, in their order: at least one of every kind, the rest at random."""
        every = list(items)
        drawn = every if self.whole else draw(f"{what} {self.seed}", every, count, kind)
        kinds = len({kind(item) for item in every})
        self.say(what, len(drawn), len(every), f"of each of {kinds} kinds" if kinds > 1 else "at random")
        return drawn

    def first(self, what: str, items: Iterable[T], count: int) -> list[T]:
        """The first `count` of items that build on one another."""
        every = list(items)
        done = every if self.whole else every[:count]
        self.say(what, len(done), len(every), "the first ones")
        return done

    def say(self, what: str, done: int, whole: int, rule: str) -> None:
        """Note that `done` of the `whole` were run. Raises AssertionError when that proves nothing."""
        assert done > 0, f"{what}: nothing was drawn of {whole}"
        part = f"all {whole:,}" if done == whole else f"{done:,} of {whole:,}, {rule}"
        self._said(f"{what}: {part}")


def draw(seed: str, items: Sequence[T], count: int, kind: Callable[[T], Hashable]) -> list[T]:
    """`Sampler.draw` without a word about it."""
    rng = random.Random(seed)
    kinds: dict[Hashable, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        kinds[kind(item)].append(index)
    chosen = {rng.choice(indexes) for indexes in kinds.values()}
    others = [index for index in range(len(items)) if index not in chosen]
    chosen.update(rng.sample(others, min(len(others), max(0, count - len(chosen)))))
    return [items[index] for index in sorted(chosen)]


def examples(count: int, parent: settings | None = None) -> settings:
    """Hypothesis's settings for a test of `count` examples; the profile says how many in a hundred are run."""
    profile = settings.default
    assert profile is not None
    return settings(parent, max_examples=max(1, count * profile.max_examples // _ALL_EXAMPLES))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flags of `tools/test`."""
    parser.addoption("--whole", action="store_true", help="Run heavy proofs whole, and not a sample of each.")
    parser.addoption(
        _SEED, type=int, default=0, metavar="N", help="Draw other samples of the heavy proofs.  [default: 0]")


@pytest.fixture
def sampler(request: pytest.FixtureRequest) -> Sampler:
    """Draws what this test runs."""
    config = request.config
    return Sampler(
        config.getoption("--whole"), config.getoption(_SEED),
        lambda line: request.node.user_properties.append((_PROPERTY, line)))


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark."""
    config.addinivalue_line(
        "markers", "sampled(count, kind): run about so many of this test's parameters, at least one of every "
        "kind (a function of the parameters by name); all with --whole, or when the test is named; with "
        "whole_file=True the tests of a file are told as one, and count is of them all, and kind=None makes "
        "them one kind; what is added to their name")
    if config.getoption("--whole"):
        settings.load_profile(WHOLE)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the parameters that are not drawn."""
    named = config.getoption("keyword") or any("::" in arg for arg in config.args)
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            groups[_group(item)].append(item)
    kept: set[pytest.Item] = set()
    for name, group in groups.items():
        mark = group[0].get_closest_marker("sampled")
        assert mark is not None
        said: list[str] = []
        sampler = Sampler(config.getoption("--whole") or bool(named), config.getoption(_SEED), said.append)
        drawn = sampler.draw(name, group, mark.args[0], kind=_kind(mark))
        drawn[0].user_properties += [(_PROPERTY, line) for line in said]
        kept.update(drawn)
    others = [item for item in items if item not in kept and item.get_closest_marker("sampled")]
    if others:
        items[:] = [item for item in items if item in kept or not item.get_closest_marker("sampled")]
        config.hook.pytest_deselected(items=others)


def _group(item: pytest.Item) -> str:
    """What a line at the end of the run is about: a test, or a file."""
    mark = item.get_closest_marker("sampled")
    whole_file = mark is not None and mark.kwargs.get("whole_file", False)
    what = mark.kwargs.get("what", "") if mark is not None else ""
    return " ".join(filter(None, (item.nodeid.partition("::" if whole_file else "[")[0], what)))


def _kind(mark: pytest.Mark) -> Callable[[pytest.Item], Hashable]:
    of = mark.kwargs.get("kind", lambda **_: 0)
    if of is None:
        return lambda item: 0

    def kind(item: pytest.Item) -> Hashable:
        assert isinstance(item, pytest.Function)
        return item.originalname, of(**item.callspec.params)

    return kind


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was sampled."""
    reports = [
        report for kind in terminalreporter.stats.values() for report in kind if isinstance(report, pytest.TestReport)]
    lines = sorted({str(line) for report in reports for name, line in report.user_properties if name == _PROPERTY})
    profile = settings.default
    assert profile is not None
    if any("hypothesis" in report.keywords for report in reports) and profile.max_examples < _ALL_EXAMPLES:
        lines.append(
            f"examples of each property: {profile.max_examples} of {_ALL_EXAMPLES}, the same ones in every run")
    if lines:
        terminalreporter.section("heavy proofs" if config.getoption("--whole") else "sampled; --whole runs all")
        for line in lines:
            terminalreporter.line(line)
