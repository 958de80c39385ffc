"""What is drawn of a heavy proof, and what the run says of it (`support.sampling`)."""

from __future__ import annotations

import pytest
from hypothesis import settings

from support.sampling import SAMPLE, WHOLE, Sampler, draw

ITEMS = range(1000)


def sampler(said: list[str], *, whole: bool = False, seed: int = 0) -> Sampler:
    return Sampler(whole, seed, said.append)


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order() -> None:
    one, again, other = (sampler([], seed=seed).draw("it", ITEMS, 50) for seed in (1, 1, 2))
    assert one == again != other
    assert one == sorted(set(one)) and len(one) == 50


def test_two_proofs_of_one_seed_draw_differently() -> None:
    assert draw("one 0", ITEMS, 50, lambda item: 0) != draw("two 0", ITEMS, 50, lambda item: 0)


def test_every_kind_is_in_it_even_a_rare_one() -> None:
    for seed in range(20):
        drawn = sampler([], seed=seed).draw("it", ITEMS, 5, kind=lambda item: item if item > 995 else 0)
        assert {996, 997, 998, 999} < set(drawn) and len(drawn) == 5
    assert len(sampler([]).draw("it", ITEMS, 2, kind=lambda item: item % 7)) == 7, "kinds come before the count"


def test_any_item_may_be_drawn() -> None:
    seen = {item for seed in range(200) for item in sampler([], seed=seed).draw("it", range(20), 2)}
    assert seen == set(range(20))


def test_whole_is_all_of_it() -> None:
    said: list[str] = []
    assert sampler(said, whole=True).draw("it", ITEMS, 5) == list(ITEMS)
    assert said == ["it: all 1,000"]


def test_it_says_how_much_and_by_which_rule() -> None:
    said: list[str] = []
    sampler(said).draw("cuts", ITEMS, 40)
    sampler(said).draw("states", ITEMS, 40, kind=lambda item: item % 3)
    assert said == ["cuts: 40 of 1,000, at random", "states: 40 of 1,000, of each of 3 kinds"]


def test_of_what_builds_on_itself_the_first_are_run() -> None:
    said: list[str] = []
    assert sampler(said).first("updates", ITEMS, 3) == [0, 1, 2]
    assert sampler(said, whole=True).first("updates", ITEMS, 3) == list(ITEMS)
    assert said == ["updates: 3 of 1,000, the first ones", "updates: all 1,000"]


def test_what_draws_nothing_fails() -> None:
    with pytest.raises(AssertionError, match="nothing was drawn of 0"):
        sampler([]).draw("it", [], 5)


MARKED = """\
import pytest
@pytest.mark.sampled(3, kind=lambda number: number % 2)
@pytest.mark.parametrize("number", range(40))
def test_numbers(number):
    pass
@pytest.mark.sampled(0, kind=lambda vm: 0, whole_file=True)
@pytest.mark.parametrize("vm", ["a", "b"])
def test_on_a_vm(vm):
    pass
@pytest.mark.sampled(2, kind=None, whole_file=True, what="told twice")
@pytest.mark.parametrize("number", range(4))
def test_a_story(number):
    pass
@pytest.mark.sampled(2, kind=None, whole_file=True, what="told twice")
@pytest.mark.parametrize("number", range(4))
def test_another(number):
    pass
"""


@pytest.mark.parametrize(("flags", "counts", "line"), [
    ((), (6, 44), "test_marked.py::test_numbers: 3 of 40, of each of 2 kinds"),
    ((), (6, 44), "test_marked.py told twice: 2 of 8, at random"),
    (("--whole",), (50, 0), "test_marked.py::test_numbers: all 40"),
    (("-k", "numbers"), (40, 10), "test_marked.py::test_numbers: all 40"),
])
def test_marked_parameters_are_drawn_and_told(
    pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...], counts: tuple[int, int], line: str,
) -> None:
    pytester.makepyfile(test_marked=MARKED)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading all that are installed takes most of the time
    try:
        run = pytester.runpytest_inprocess("-p", "support.sampling", "-p", "no:cacheprovider", *flags)
    finally:
        settings.load_profile(WHOLE if pytestconfig.getoption("--whole") else SAMPLE)
    passed, deselected = counts
    run.assert_outcomes(passed=passed, deselected=deselected)
    run.stdout.fnmatch_lines([line])
