"""Power cuts at every flash operation of an application's update, on a real littlefs: `--whole` runs them all."""

from __future__ import annotations

import json
import random

import pytest

from slotbench import cli
from slotbench.prove.applications.board import ApplicationBed, Mutation
from slotbench.prove.applications.classes import FlashContent, KnownRecoveries
from slotbench.prove.applications.proof import (
    ApplicationCut,
    Ending,
    find_failure,
    operations,
    recorded_update,
    recover,
)
from slotbench.prove.applications.sweep import application_cuts, second_cuts
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
    "a patch goes into the program that runs": Mutation(
        "patch", 'name = p[P_FOLDER] + "/" + name', 'name = p[P_RUNNING] + "/" + name'),
    "the wrong folder starts": Mutation("trial", "n = decision.unpacked(record)", "n = 0"),
}


@pytest.mark.parametrize("bed", ApplicationBed)
@pytest.mark.parametrize("ending", Ending)
def test_a_cut_at_each_operation(bed: ApplicationBed, ending: Ending, sampler: Sampler) -> None:
    """Unpack, switch, confirm and fall back: a whole program runs, and no file of the user is lost."""
    drawn = sampler.draw(
        f"cuts of an application, {bed.value}, {ending.value}", list(application_cuts(bed, ending)), 8,
        kind=lambda run: run.cuts[0].mode)
    failures = {run: text for run in drawn if (text := find_failure(run)[1]) is not None}
    assert not failures


@pytest.mark.parametrize("bed", ApplicationBed)
@pytest.mark.parametrize("ending", Ending)
def test_pairs_of_cuts(bed: ApplicationBed, ending: Ending, sampler: Sampler) -> None:
    """A second cut in the recovery from the first one, which is counted from its own start."""
    index = random.Random(f"{sampler.seed} {bed} {ending}").randrange(operations(bed, ending))
    first = ApplicationCut(bed, ending, (Cut(index, CutMode.TORN),))
    pairs = dict(second_cuts(first))
    assert len(pairs) % len(CutMode) == 0 and all(pair.cuts[0] == first.cuts[0] for pair in pairs)
    drawn = sampler.draw(f"second cuts in the recovery from {first}", pairs, 4)
    failures = {pair: text for pair in drawn if (text := find_failure(pair)[1]) is not None}
    assert not failures


def test_one_recovery_stands_for_its_class() -> None:
    """What is known of a flash from the blocks that another recovery read is what happens on this one, too."""
    bed, ending = ApplicationBed.LOADER, Ending.CONFIRM
    known, region, checked = KnownRecoveries(), bed.profile.filesystem, 0
    recording = recorded_update(bed, ending)
    for index in range(20, 60):
        for mode in (CutMode.TORN, CutMode.WEAK):
            flash = recording.after(Cut(index, mode, 1))
            content = FlashContent(flash, region)
            starts = known.find(content)
            if starts is not None and checked == 6:
                continue
            found = recover(bed, ending, flash)
            if starts is None:
                known.add(found.used, content, found.starts)
            else:
                checked += 1
                assert found.starts == starts
                assert known.find(FlashContent(found.recording.before, region)) == starts
    assert checked == 6 and known.count < 70


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_mutation_is_found(name: str) -> None:
    bed = ApplicationBed.LOADER
    count = operations(bed, Ending.FALLBACK)
    for nth in range(count - 1, 0, -max(count // 24, 1)):
        for ending in Ending:
            run = ApplicationCut(bed, ending, (Cut(min(nth, operations(bed, ending) - 1), CutMode.TORN, nth),))
            if find_failure(run, DEFECTS[name])[1] is not None:
                return
    raise AssertionError("no cut found it")


def test_a_mutation_of_what_is_not_there_is_no_finding() -> None:
    with pytest.raises(LookupError, match="has changed"):
        Mutation("record", "nothing of the kind", "").edit({"/twoslot/application/record.py": b"import os\n"})


def test_the_verb_counts_and_repeats_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["prove", "powercut", "--scenario", "application-confirm", "--board", "generic_4m", "--sampled",
                    "--torn", "0", "--json", "--processes", "1"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    found, (row,) = result["applications"], result["applications"]["scenarios"]
    assert result["cuts"] == 0 and not found["failures"]
    assert row["cuts"] == found["cuts"] > 20 and row["whole"] > 4 * row["operations"] - 1 and found["boots"] > 20
    assert cli.run(["prove", "powercut", "--replay", "generic_4m/application-fallback/17:torn:3+2:before:0"]) == 0
    assert capsys.readouterr().out.startswith("generic_4m/application-fallback/17:torn:3+2:before:0: ")
    for wrong in ("generic_4m/application-sideways/1:torn:0", "d1_mini/application-confirm/1:torn:0"):
        assert cli.run(["prove", "powercut", "--replay", wrong]) == 2
        assert "give one that a failure printed" in capsys.readouterr().err
    assert cli.run(["prove", "powercut", "--replay", "esp01s_1m/application-confirm/999:torn:0"]) == 2
    assert "no operation 999" in capsys.readouterr().err
