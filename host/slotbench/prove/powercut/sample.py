"""A sample of the cuts of a scenario: each operation of it, and those that are not alike in every mode."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from slotbench.boards import BoardProfile, Region
from slotbench.prove.powercut.bench import ScenarioRun
from slotbench.prove.powercut.recording import RecordedOperation
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR

__all__ = ["Moment", "block_of", "draw_cuts", "kind_of"]

Moment = tuple[ScenarioRun, RecordedOperation]
"""An operation, and the run that it is one of."""


def draw_cuts(
    moments: Sequence[Moment], torn: int, weak: int, seed: str, *, are_alike: bool
) -> list[Cut]:
    """Every operation in every mode, but operations that are alike: each of those in a mode that is
    drawn, and together in all of them.

    Alike are operations of one run on images, tables and the exec window, of one kind, length and
    region, and those of the SDK; with `are_alike` those on the journal, too. `torn` and `weak` are with
    how many seeds the whole proof tears an operation in each of the two ways: one of them is drawn. The
    writes of one block count as one operation, which is cut before its first write, after its last, or
    inside of one that is drawn.
    """
    rng = random.Random(seed)
    by_kind: dict[tuple[object, ...], list[list[int]]] = {}
    for _, group in groupby(range(len(moments)), lambda index: block_of(moments[index]) or index):
        writes = list(group)
        by_kind.setdefault(kind_of(moments[writes[0]], are_alike) or tuple(writes), []).append(writes)
    cuts: list[Cut] = []
    for operations in by_kind.values():
        rng.shuffle(operations)
        for number, writes in enumerate(operations):
            modes = _modes_of(rng, number, len(operations))
            cuts += [_cut_in(rng, mode, writes, torn, weak) for mode in modes]
    return sorted(cuts, key=lambda cut: cut.index)


def block_of(moment: Moment) -> tuple[int, int] | None:
    """What a write of a piece has in common with the others that write the same block of an image."""
    course, recorded = moment
    op = recorded.op
    images = (slot.image for slot in course.testbed.profile.slots)
    is_piece = op.kind == "program" and op.actor == "python" and any(op.addr in image for image in images)
    return (id(course), op.addr // SECTOR) if is_piece else None


def kind_of(moment: Moment, are_alike: bool) -> tuple[object, ...] | None:
    """What the operation has in common with others of its run: who makes it, which one, and where."""
    course, recorded = moment
    op, profile = recorded.op, course.testbed.profile
    if op.actor == "sdk":
        return id(course), op.actor, op.kind, op.length
    regions = _regions_of_data(profile) + [profile.journal] * are_alike
    place = next((number for number, region in enumerate(regions) if op.addr in region), None)
    length = SECTOR if block_of(moment) else op.length
    return None if place is None else (id(course), op.actor, op.kind, length, place)


def _regions_of_data(profile: BoardProfile) -> list[Region]:
    """Where an update makes the same operation again and again."""
    window = [] if profile.in_place else [profile.window, profile.window_log]
    return [*window, *(part for slot in profile.slots for part in (slot.table, slot.image))]


def _modes_of(rng: random.Random, number: int, count: int) -> list[CutMode]:
    """In which modes operation `number` of `count` of a kind is cut: together they are cut in all of them."""
    modes = list(CutMode)
    return modes[number :: min(count, len(modes))] or [rng.choice(modes)]


def _cut_in(rng: random.Random, mode: CutMode, writes: Sequence[int], torn: int, weak: int) -> Cut:
    if mode is CutMode.BEFORE:
        return Cut(writes[0], mode)
    if mode is CutMode.AFTER:
        return Cut(writes[-1], mode)
    return Cut(rng.choice(writes), mode, rng.randrange(torn if mode is CutMode.TORN else weak))
