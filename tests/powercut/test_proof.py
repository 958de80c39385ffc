"""Power is cut at every flash operation of every part of an update, and again while the board recovers."""

from __future__ import annotations

import dataclasses

import pytest

from slotbench.prove.powercut.runner import BOARDS, CutId, PowerCutProof, RunResult, are_alike
from slotbench.prove.powercut.sample import block_of, kind_of
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.prove.powercut.sweep import SweepPart, SweepPlan, sweep_cuts
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR
from support.sampling import Sampler

MODEL = SweepPlan()


def require_whole(parts: list[SweepPart]) -> None:
    """Assert that no run failed; print the ids of those that did."""
    total = RunResult()
    for part in parts:
        total.add(part.run)
    seconds = sum(part.seconds for part in parts)
    print(f"\n{total.cuts} cuts, {total.boots} boots, {total.merged} ended in a known state, {total.bricks} bricks,"
          f" {total.unverified_boots} unverified boots; {seconds:.0f} s")
    told = [f"{failure.id}: {failure.text}\n    tools/test tests/powercut --replay {failure.id}"
            for failure in total.failures[:5]]
    assert not total.failures, f"{len(total.failures)} failed:\n" + "\n".join(told)


def test_every_operation_in_every_mode(proof: PowerCutProof, sampler: Sampler) -> None:
    # One process for a sample: what one has seen, another one would run again.
    plan = MODEL if sampler.whole else dataclasses.replace(MODEL, sampled=True, processes=1)
    parts = sweep_cuts(proof, plan, lambda part: print(part.name, part.operations, part.run.cuts, part.run.boots))
    require_whole(parts)
    assert {part.scenario for part in parts} == set(SCENARIOS)
    cuts, whole = (sum(counts) for counts in zip(*((part.run.cuts, part.whole) for part in parts)))
    contents = set[int]().union(*(part.run.contents for part in parts))
    sampler.say(
        "power cuts, by the loader's model", cuts, whole,
        "every operation; those that are not alike in every mode, torn with one seed that is drawn")
    sampler.say("  distinct flash contents they left", len(contents), len(contents), "")
    assert cuts > (20_000 if sampler.whole else 1_100)
    assert len(contents) > cuts // 2, "most cuts leave a content of their own"
    if sampler.whole:
        assert all(part.run.cuts >= 4 * part.operations for part in parts), "each operation is cut in every mode"
    started = [part.run.boots + part.run.merged >= part.run.cuts for part in parts]
    assert all(started), "after each cut the board was started, or an equal one was"


@pytest.mark.parametrize("board", BOARDS)
def test_the_sample_has_every_operation_and_of_each_kind_every_mode(proof: PowerCutProof, board: str) -> None:
    """Left out are writes within a block, and modes of operations that are alike."""
    for name in SCENARIOS:
        moments = proof.recorded_scenario(board, name).moments
        drawn = [id.cuts[0] for id in proof.sampled_cuts(board, "model", name, 3, 3)]

        def kind(index: int) -> object:
            return kind_of(moments[index], are_alike(board, name)) or index

        every = {(kind(index), mode) for index in range(len(moments)) for mode in CutMode}
        missing = every - {(kind(cut.index), cut.mode) for cut in drawn}
        assert not missing
        left_out = set(range(len(moments))) - {cut.index for cut in drawn}
        assert all(
            block_of(moments[index - 1]) == block_of(moments[index]) or block_of(moments[index + 1]) == block_of(moments[index])
            for index in left_out)


def test_the_loaders_machine_code(proof: PowerCutProof, sampler: Sampler) -> None:
    def kind(id: CutId) -> tuple[object, ...]:
        op = proof.recorded_scenario(id.board, id.scenario).moments[id.cuts[0].index][1].op
        return id.board, id.scenario, op.kind, op.length, id.cuts[0].mode

    every = [id for board in BOARDS for name in ("first-boot", "copy") for id in proof.single_cuts(board, "machine", name, 1, 1)]
    drawn = sampler.draw("power cuts, by the loader's machine code", every, 20, kind=kind)
    total = RunResult()
    for id in drawn:
        total.add(proof.run(id))
    assert not total.failures, "\n".join(f"{failure.id}: {failure.text}" for failure in total.failures)
    assert total.boots + total.merged >= len(drawn)


def test_pairs(proof: PowerCutProof) -> None:
    parts = sweep_cuts(proof, dataclasses.replace(MODEL, torn=0, singles=False, pairs=1, processes=1))
    require_whole(parts)
    assert {part.scenario for part in parts} == set(SCENARIOS) and all(part.pairs for part in parts)


@pytest.mark.parametrize("board", BOARDS)
def test_all_writers_are_among_what_is_cut(proof: PowerCutProof, board: str) -> None:
    """Cuts must hit device modules, loader and SDK; journal, slots, window and log; erases, programs, files."""
    ops = [moment.op for name in SCENARIOS for _, moment in proof.recorded_scenario(board, name).moments]
    assert {op.actor for op in ops} == {"python", "loader", "sdk"}
    assert {op.kind for op in ops} == {"erase", "program", "commit"}
    place = proof.recorded_scenario(board, "download").moments[0][0].testbed.profile
    regions = [place.journal, *(part for slot in place.slots for part in (slot.table, slot.descriptor, slot.image))]
    regions += [] if place.in_place else [place.window, place.window_log]
    for region in regions:
        assert any(op.addr in region for op in ops), region


@pytest.mark.parametrize("mode", CutMode)
def test_the_record_gives_what_a_cut_leaves(proof: PowerCutProof, mode: CutMode) -> None:
    """The same cut of a board that runs leaves the same flash, byte for byte."""
    moments = proof.recorded_scenario("generic_4m", "download").moments
    for course, moment in moments[5::40]:
        cut = Cut(moment.op.index, mode, 7)
        live = course.testbed.board(course.network(), flash=course.start.clone())
        live.flash.arm(cut)
        live.power_on()
        live.run(3_600_000)
        made = moment.after(cut)
        assert str(live.cut) == str(cut)
        assert made.peek(0, made.size) == live.flash.peek(0, made.size)
        assert made.weak == live.flash.weak


@pytest.mark.parametrize("mode", CutMode)
def test_a_second_cut_is_made_from_the_record_of_the_recovery(proof: PowerCutProof, mode: CutMode) -> None:
    """The same two cuts of a board that runs leave the same flash, byte for byte."""
    first = CutId("generic_4m", "model", "download", (Cut(20, CutMode.TORN, 1),))
    course, moment = proof.recorded_scenario("generic_4m", "download").moments[20]
    for index in (0, 3, 17, 70):
        cut = Cut(index, mode, 5)
        live = course.testbed.board(
            course.network(), flash=moment.after(Cut(moment.op.index, CutMode.TORN, 1)), past=moment.past, seed=1)
        live.flash.arm(cut)
        live.power_on()
        live.run(3_600_000)
        assert str(live.cut) == str(cut)
        second = dataclasses.replace(first, cuts=(*first.cuts, cut))
        made = proof.flash_after(second)
        assert made.peek(0, made.size) == live.flash.peek(0, made.size)
        assert made.weak == live.flash.weak


def test_a_known_state_is_one_that_came_to_rest(proof: PowerCutProof, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without merging the same cuts end the same way, with more boots."""
    ids = [id for board in BOARDS for id in proof.single_cuts(board, "model", "resume", 1, 1)][::24]
    settled, plain = RunResult(), RunResult()
    for id in ids:
        settled.add(proof.run(id))
    monkeypatch.setattr(proof, "settled", None)
    for id in ids:
        plain.add(proof.run(id))
    assert not settled.failures and not plain.failures
    assert settled.merged > 0 and plain.merged == 0 and plain.boots >= settled.boots


def test_what_follows_a_known_state_counts(proof: PowerCutProof, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends in a known state is charged with the boots and the bytes that come after it."""
    monkeypatch.setattr(proof, "settled", {})
    same = [CutId("generic_4m", "model", "download", (cut,)) for cut in
            (Cut(40, CutMode.AFTER), Cut(41, CutMode.BEFORE))]
    first, again = (proof.run(id) for id in same)
    assert not first.failures + again.failures and first.boots > 0
    assert again.merged and again.boots == 0, "the same flash, and the same luck"
    assert proof.settled
    dear = {state: left._replace(received=left.received + 20_000) for state, left in proof.settled.items()}
    monkeypatch.setattr(proof, "settled", dear)
    assert [failure.promise for failure in proof.run(same[1]).failures] == [8]


def test_an_id_is_read_as_it_is_printed() -> None:
    id = CutId("generic_4m", "machine", "copy", (Cut(17, CutMode.TORN, 3), Cut(5, CutMode.BEFORE)))
    assert str(id) == "generic_4m/machine/copy/17:torn:3+5:before:0"
    assert CutId.parse(str(id)) == id


def test_a_replay_is_the_same_run(proof: PowerCutProof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "settled", None)
    id = CutId.parse("generic_4m/model/download/40:torn:2+9:weak:1")
    ends: list[bytes] = []
    for _ in range(2):
        run = proof.run(id, lambda board: ends.append(board.flash.peek(0, 0x200000 + 16 * SECTOR)))
        assert not run.failures and run.boots > 1
    assert ends[0] == ends[1]


def test_replay(proof: PowerCutProof, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the run that `--replay ID` names."""
    text = pytestconfig.getoption("--replay")
    if text is None:
        pytest.skip("no --replay")
    monkeypatch.setattr(proof, "settled", None)
    run = proof.run(CutId.parse(text))
    assert not run.failures, "\n".join(failure.text for failure in run.failures)
