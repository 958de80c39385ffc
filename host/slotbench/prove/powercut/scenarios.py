"""The parts of an update that power is cut in: where each begins, and which operations belong to
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.formats import journal, windowlog
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import PAGE_BYTES
from slotbench.prove.invariants import require
from slotbench.prove.powercut.bench import OfferTestBed, PowerCutBench, Scenario, ScenarioRun
from slotbench.prove.testbed import HOURS_MS, runs_confirmed, update_to
from slotbench.release.heads import last_head
from slotbench.release.store import head_name
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import FlashOperation, NorFlash
from slotbench.vboard.network.wsgi import WsgiNetwork

__all__ = ["SCENARIOS"]

_NEW, _USED = 1, 2
_LATEST: Final = 3


def _slot(board: BoardProfile, flash: NorFlash) -> int:
    """The spare slot of a board with this flash."""
    newest = journal.newest_cell(flash.peek(board.journal.start, board.journal.size))
    return 1 - newest[1].active if newest is not None else 1


def _latest(board: VirtualBoard) -> bool:
    return runs_confirmed(board, _LATEST) or _waits_for_a_newer_head(board)


def _waits_for_a_newer_head(board: VirtualBoard) -> bool:
    """A cut between the jump and the boot hook ended the trial: the release before runs, and is right.
    """
    cell = board.cell
    never_reached = cell is not None and cell.never_reached and cell.unproven_counter == _LATEST
    return never_reached and (runs_confirmed(board, _USED) or runs_confirmed(board, _NEW))


def _update(board: VirtualBoard) -> None:
    update_to(board, _LATEST)


def _whole(
    bench: PowerCutBench, hit: Callable[[BoardProfile, int], Callable[[FlashOperation], bool]]
) -> list[ScenarioRun]:
    """Whole updates of a new board and of one with a past; of the operations those that `hit`
    picks.
    """
    offered = bench.testbed()
    starts = (offered.factory, offered.used)
    return [
        ScenarioRun(offered, start, _update, hit(bench.profile, _slot(bench.profile, start)), _latest)
        for start in starts
    ]


# What belongs to which part. The journal's operations come in order: declare, arm, (loader),
# confirm.


def _transfer(board: BoardProfile, slot: int) -> Callable[[FlashOperation], bool]:
    place = board.slots[slot]

    def hit(op: FlashOperation) -> bool:
        written = op.addr in place.image or op.addr in place.table and op.addr != place.descriptor.start
        return op.actor != "loader" and (written or op.actor == "sdk" or op.addr in board.sdk)

    return hit


def _python_in(*regions: Region) -> Callable[[FlashOperation], bool]:
    return lambda op: op.actor == "python" and any(op.addr in region for region in regions)


def _loader_in(*regions: Region) -> Callable[[FlashOperation], bool]:
    return lambda op: op.actor == "loader" and any(op.addr in region for region in regions)


def download(bench: PowerCutBench) -> list[ScenarioRun]:
    """Block table and blocks, and what the SDK saves meanwhile."""
    return _whole(bench, _transfer)


def resume(bench: PowerCutBench) -> list[ScenarioRun]:
    """The session after a download that lost power in a block."""
    courses = []
    for course in download(bench):
        cut = course.testbed.board(course.network(), flash=course.start.clone())
        cut.flash.arm(Cut(_half_way(course), CutMode.TORN, bench.seed))
        cut.power_on()
        cut.run(HOURS_MS)
        hit = _python_in(*(region for slot in bench.profile.slots for region in (slot.image, slot.table)))
        courses.append(replace(course, start=cut.flash.clone(), hit=hit))
    return courses


def _half_way(course: ScenarioRun) -> int:
    """An operation in the middle of the download."""
    board = course.testbed.board(course.network(), flash=course.start.clone())
    _update(board)
    ops = [op.index for op in board.flash.log or () if course.hit(op) and op.actor == "python"]
    return ops[len(ops) // 2]


def patch(bench: PowerCutBench) -> list[ScenarioRun]:
    """Blocks that a patch makes from the running image, and what the SDK saves meanwhile."""
    if bench.profile.in_place:
        return []
    testbed = bench.testbed("patched")

    def act(board: VirtualBoard) -> None:
        _update(board)
        asked = {request.path.split("/")[1] for request in board.network.requests}
        require("patches" in asked and "images" not in asked, 6, "a patch makes all blocks")

    hit = _transfer(bench.profile, _slot(bench.profile, testbed.used))
    patches = (testbed.publisher.site.root / "patches").glob("*-*.patch")
    whole = max(path.stat().st_size for path in patches)  # it comes once more from its start
    return [ScenarioRun(testbed, testbed.used, act, hit, _latest, again=whole)]


def verify(bench: PowerCutBench) -> list[ScenarioRun]:
    """A block decays after it was checked; the read-back of the whole finds it, and it is fetched
    again.
    """
    testbed = bench.testbed()
    slot = bench.profile.slots[1]
    decayed: list[int] = []

    def act(board: VirtualBoard) -> None:
        decayed.clear()

        def decay(waiting: VirtualBoard) -> None:
            if not decayed and waiting.activity()[0] == "verify":
                waiting.flash.poke(slot.image.start + 0x3000, bytes(64))
                decayed.append(waiting.flash.operations)

        board.on_wait = decay
        _update(board)
        board.on_wait = None
        require(decayed, 6, "the whole was read back")

    in_slot = _python_in(slot.image, slot.table)

    def hit(op: FlashOperation) -> bool:
        return bool(decayed) and op.index >= decayed[0] and in_slot(op)

    return [ScenarioRun(testbed, testbed.factory, act, hit, _latest)]


def cells(bench: PowerCutBench) -> list[ScenarioRun]:
    """Journal cells behind one another."""
    return _whole(bench, lambda board, slot: _python_in(board.journal))


def compaction(bench: PowerCutBench) -> list[ScenarioRun]:
    """Each cell of an update, when it is the one for which the other sector has to be erased."""
    testbed = bench.testbed()
    hit = _python_in(bench.profile.journal)
    return [
        ScenarioRun(testbed, _with_full_journal(bench.profile, start, free), _update, hit, _latest)
        for start in (testbed.factory, testbed.used) for free in range(4)]


def _with_full_journal(board: BoardProfile, flash: NorFlash, free: int) -> NorFlash:
    """The same board after so many cells that `free` pages of the newest one's sector are left."""
    flash = flash.clone()
    region = board.journal
    half = journal.CELLS_PER_SECTOR
    newest = journal.newest_cell(flash.peek(region.start, region.size))
    assert newest is not None
    index, cell = newest
    for at in range(index + 1, (index // half + 1) * half - free):
        cell = replace(cell, sequence=cell.sequence + 1)
        flash.poke(region.start + at * PAGE_BYTES, cell.pack())
    return flash


def swap(bench: PowerCutBench) -> list[ScenarioRun]:
    """The descriptor of what was verified, and the cell that tells the loader to try it."""
    def hit(board: BoardProfile, slot: int) -> Callable[[FlashOperation], bool]:
        described = _python_in(board.slots[slot].descriptor)
        return lambda op: described(op) and (op.kind == "program" or not board.in_place)

    return _whole(bench, hit)


def first_boot(bench: PowerCutBench) -> list[ScenarioRun]:
    """What the loader spends and notes when it starts a trial."""
    return _whole(bench, lambda board, slot: _loader_in(board.journal))


def copy(bench: PowerCutBench) -> list[ScenarioRun]:
    """The exec window and its log, filled for a trial and again for the fallback from it."""
    if bench.profile.in_place:
        return []
    hit = _loader_in(bench.profile.window, bench.profile.window_log)
    crash = bench.testbed("crash")
    return [*_whole(bench, lambda board, slot: hit), _crashing(crash, crash.used, hit)]


def confirm(bench: PowerCutBench) -> list[ScenarioRun]:
    """The cell's word and the descriptor's word that end a trial."""
    def hit(board: BoardProfile, slot: int) -> Callable[[FlashOperation], bool]:
        of_active = _python_in(board.slots[slot].descriptor, board.journal)
        return lambda op: of_active(op) and op.length < PAGE_BYTES

    first = _whole(bench, hit)
    return [*first, *(_last_attempt(course) for course in first)]


def _last_attempt(course: ScenarioRun) -> ScenarioRun:
    """The same trial after two attempts of it that lost power: the word has to say it at once."""
    board = course.testbed.board(course.network(), flash=course.start.clone())
    board.power_on()
    board.run(HOURS_MS, until=lambda: board.boots[-1].why is BootReason.TRIAL)
    board.power_off()
    board.power_on()
    board.power_off()
    return replace(course, start=board.flash.clone())


def rollback(bench: PowerCutBench) -> list[ScenarioRun]:
    """By hand, at the REPL of a board without a network."""
    testbed = bench.testbed()

    def act(board: VirtualBoard) -> None:
        board.power_on()
        board.run_line("twoslot.rollback()")
        board.run(HOURS_MS // 6)
        require(runs_confirmed(board, _NEW), 6, "it went back")

    return [ScenarioRun(
        testbed, testbed.used, act, lambda op: True,
        lambda board: runs_confirmed(board, _NEW) or runs_confirmed(board, _USED), online=False)]


def fallback(bench: PowerCutBench) -> list[ScenarioRun]:
    """A release that crashes before the boot hook, one whose hook cannot import twoslot, and the verdicts."""
    testbed, behind = bench.testbed("crash"), bench.testbed("no-import")
    hit = _python_in(bench.profile.journal)
    by_loader = _loader_in(bench.profile.journal)
    return [
        _crashing(bed, start, lambda op: hit(op) or by_loader(op))
        for bed, start in ((testbed, testbed.factory), (testbed, testbed.used), (behind, behind.factory))]


def _crashing(testbed: OfferTestBed, start: NorFlash, hit: Callable[[FlashOperation], bool]) -> ScenarioRun:
    def ends(board: VirtualBoard) -> bool:
        cell = board.cell
        banned = cell is not None and cell.bad_counter == _LATEST
        back = runs_confirmed(board, _USED) or runs_confirmed(board, _NEW)
        return banned and back or _waits_for_a_newer_head(board)

    def act(board: VirtualBoard) -> None:
        board.power_on()
        board.run(HOURS_MS, until=lambda: ends(board))

    return ScenarioRun(testbed, start, act, hit, ends)


def window_log(bench: PowerCutBench) -> list[ScenarioRun]:
    """The log of the exec window is half full: it is erased, and the loader writes into what is
    left.
    """
    if bench.profile.in_place:
        return []
    testbed = bench.testbed()
    log = bench.profile.window_log
    courses = []
    for start in (testbed.factory, testbed.used):
        flash = start.clone()
        held = windowlog.held_digest(flash.peek(log.start, log.size))
        full = windowlog.DIRTY_ENTRY * (windowlog.ERASE_FROM_ENTRY + 4)
        full += windowlog.held_entry(held) if held is not None else b""
        flash.poke(log.start, full.ljust(log.size, b"\xff"))
        courses.append(ScenarioRun(testbed, flash, _update, lambda op: op.addr in log, _latest))
    return courses


def poll(bench: PowerCutBench) -> list[ScenarioRun]:
    """A scheduled check finds a newer head that is not for this board: it is remembered, and known by its
    ETag.
    """
    testbed = bench.testbed("withheld")
    in_journal = _python_in(bench.profile.journal)
    courses = []
    publisher = testbed.publisher
    head = last_head(publisher.site, publisher.keys, "stable")
    document = publisher.site.read(head_name(publisher.keys.product, "stable"))
    assert head is not None and document is not None
    etag = f'"{hashlib.sha256(document).hexdigest()}"'.encode()

    def hit(op: FlashOperation) -> bool:
        return op.kind == "commit" or in_journal(op)
    for start, counter in ((testbed.factory, _NEW), (testbed.used, _USED)):

        def ends(board: VirtualBoard, counter: int = counter, newest: int = head.seq) -> bool:
            cell = board.cell
            known = board.files.get("/twoslot.etag", b"").endswith(etag)
            return known and runs_confirmed(board, counter) and cell is not None and cell.head_seq == newest

        def act(board: VirtualBoard, ends: Callable[[VirtualBoard], bool] = ends) -> None:
            board.power_on()
            board.run(HOURS_MS, until=lambda: ends(board))

        full = _with_full_journal(bench.profile, start, 0)
        courses += [ScenarioRun(testbed, flash, act, hit, ends) for flash in (start, full)]
    return courses


def keys(bench: PowerCutBench) -> list[ScenarioRun]:
    """New keys: followed by boards that run a confirmed release, and in a trial, which they prove.
    """
    testbed, before = bench.testbed("keys"), bench.testbed()
    trial = before.board(WsgiNetwork(before.answers), flash=before.used.clone())
    trial.power_on()
    trial.run(HOURS_MS, until=lambda: len(trial.boots) == 2)
    trial.power_off()
    in_journal = _python_in(bench.profile.journal)

    def ends(board: VirtualBoard) -> bool:
        cell = board.cell
        return _latest(board) and cell is not None and cell.key_epoch == 2

    def act(board: VirtualBoard) -> None:
        _update(board)
        # A trial is confirmed in one call of tick(), its keys are pinned in those behind it.
        board.run(HOURS_MS, until=lambda: ends(board))

    return [
        ScenarioRun(testbed, start.clone(), act, lambda op: op.kind == "commit" or in_journal(op), ends)
        for start in (testbed.factory, testbed.used, trial.flash)]


SCENARIOS: Final = {scenario.name: scenario for scenario in (
    Scenario("download", "block table, blocks, and what the SDK saves meanwhile", download, torn=16, weak=5),
    Scenario("resume", "the session after a download that lost power", resume, torn=16, weak=5),
    Scenario("patch", "blocks that a patch makes from the running image", patch, torn=4, weak=2),
    Scenario("verify", "a block decays and is found by the read-back of the whole", verify, torn=24, weak=12),
    Scenario("cells", "journal cells behind one another", cells),
    Scenario("compaction", "journal cells that begin a new sector", compaction, repeats=True),
    Scenario("swap", "the descriptor of what was verified", swap),
    Scenario("first-boot", "attempts that are spent and noted", first_boot, by_loader=True),
    Scenario("copy", "exec window and window log", copy, by_loader=True),
    Scenario("confirm", "the words that end a trial", confirm),
    Scenario("rollback", "back by hand", rollback, by_loader=True),
    Scenario("fallback", "a crash and the verdict", fallback, by_loader=True),
    Scenario("window-log", "the window log turned over", window_log, by_loader=True),
    Scenario("poll", "a newer head is remembered, and known by its ETag", poll),
    Scenario("keys", "keys of the next epoch are pinned", keys),
)}
"""By name, in the order of an update."""
