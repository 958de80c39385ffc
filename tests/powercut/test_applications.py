"""Power cuts at every flash operation of an application's update, on a real littlefs: `--whole` runs them all."""

from __future__ import annotations

import json

import pytest

from slotbench import cli
from slotbench.prove.applications.board import Mutation
from slotbench.prove.applications.proof import ApplicationCut, Ending, find_failure, operations, run_cut
from slotbench.prove.applications.sweep import application_cuts
from slotbench.vboard.flash.cuts import Cut, CutMode
from support.sampling import Sampler

DEFECTS = {
    "an attempt costs nothing": Mutation("startup", "record[APP_ATTEMPTS] -= 1", "record[APP_ATTEMPTS] -= 0"),
    "no attempt ends": Mutation("startup", "decision.end_attempt(record, traceback.load(record)[0] or end)", "record[APP_UNDER_WAY] = 0"),
    "any record will do": Mutation(
        "record", "if newest is None or record[APP_SEQUENCE] > newest[APP_SEQUENCE]:", "if newest is None:"),
    "what failed is not bad": Mutation("decision", "record[APP_STATE + active] = SLOT_BAD", "pass"),
    "what is there is right": Mutation(
        "unpacking", "same = p[P_DIGEST].digest() == unhexlify(p[P_ENTRY][0])", "same = True"),
    "the wrong folder starts": Mutation("trial", "n = decision.unpacked(record)", "n = 0"),
}


@pytest.mark.parametrize("ending", Ending)
def test_a_cut_at_each_operation(ending: Ending, sampler: Sampler) -> None:
    """Unpack, switch, confirm and fall back: a whole program runs, and no file of the user is lost."""
    drawn = sampler.draw(
        f"cuts of an application, {ending.value}", list(application_cuts(ending)), 8,
        kind=lambda run: run.cuts[0].mode)
    boots = sum(map(run_cut, drawn))
    print(f"{ending.value}: {operations(ending)} operations, {len(drawn)} cuts, {boots} boots")


@pytest.mark.parametrize("ending", Ending)
def test_pairs_of_cuts(ending: Ending, sampler: Sampler) -> None:
    """A second cut in the recovery from the first; where the recovery is shorter, the second one is not reached."""
    count = operations(ending)
    every = [
        ApplicationCut(ending, (Cut(first, mode, first), Cut(second, again, second)))
        for first in range(0, count, 3) for mode in (CutMode.BEFORE, CutMode.TORN)
        for second in range(0, count, 5) for again in (CutMode.BEFORE, CutMode.TORN)]
    drawn = sampler.draw(f"pairs of cuts of an application, {ending.value}", every, 4)
    boots = sum(map(run_cut, drawn))
    print(f"{ending.value}: {len(drawn)} pairs, {boots} boots")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_mutation_is_found(name: str) -> None:
    count = operations(Ending.FALLBACK)
    for nth in range(count - 1, 0, -max(count // 24, 1)):
        for ending in Ending:
            if find_failure(ApplicationCut(ending, (Cut(nth, CutMode.TORN, nth),)), DEFECTS[name])[1] is not None:
                return
    raise AssertionError("no cut found it")


def test_a_mutation_of_what_is_not_there_is_no_finding() -> None:
    with pytest.raises(LookupError, match="has changed"):
        Mutation("record", "nothing of the kind", "").edit({"/twoslot/application/record.py": b"import os\n"})


def test_the_verb_counts_and_repeats_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["prove", "powercut", "--scenario", "application-confirm", "--sampled", "--torn", "0", "--json",
                    "--processes", "1"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    found, (row,) = result["applications"], result["applications"]["scenarios"]
    assert result["cuts"] == 0 and not found["failures"]
    assert row["cuts"] == found["cuts"] > 20 and row["whole"] > 4 * row["operations"] - 1 and found["boots"] > row["cuts"]
    assert cli.run(["prove", "powercut", "--replay", "application-fallback/17:torn:3+2:before:0"]) == 0
    assert capsys.readouterr().out.startswith("application-fallback/17:torn:3+2:before:0: ")
    assert cli.run(["prove", "powercut", "--replay", "application-sideways/1:torn:0"]) == 2
    assert "give one that a failure printed" in capsys.readouterr().err
