"""Deliberate defects in the device modules: each is found by a proof, and without it the same proof finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slotbench.prove.powercut.runner import PowerCutProof
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.prove.testbed import Edit
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation
from support.testbed import HOURS_MS, make_testbed, put_keys, runs_confirmed


@dataclass(frozen=True)
class Defect:
    """`old` becomes `new` in a device module; the scenario in which power cuts find it."""

    name: str
    module: str
    old: str
    new: str
    scenario: str
    board: str = "generic_4m"

    def edit(self, files: dict[str, bytes]) -> None:
        path = f"/twoslot/{self.module}.py"
        text = files[path].decode()
        if text.count(self.old) != 1:  # no AssertionError: that would count as found
            raise LookupError(f"{self.module} has changed: {self.old!r}")
        files[path] = text.replace(self.old, self.new).encode()


DEFECTS = [
    Defect("named-before-verified", "image/scan", '    if progress["sha"].digest() == agent.plan["sha256"]:', "    if True:",
           "verify"),
    Defect("not-verified-at-all", "image/download", "        agent.next, agent.state, agent.stage = 0, STATE_VERIFY, STAGE_SCAN",
           "        agent.progress = agent.source = None\n        agent.state, agent.stage = 7, 'twoslot.boot.spare'", "verify"),
    Defect("erased-before-declared", "boot/spare", "    control.journal.append(cell)\n    erase_descriptor(control.slots, spare)\n",
           "    erase_descriptor(control.slots, spare)\n    control.journal.append(cell)\n", "download"),
    Defect("never-declared", "boot/spare", "    control.journal.append(cell)\n    erase_descriptor(control.slots, spare)\n",
           "    erase_descriptor(control.slots, spare)\n", "download"),
    Defect("update-while-unconfirmed", "trust/policy", '    if not facts["confirmed"]:', "    if False:", "confirm"),
    Defect("resume-trusts-a-block", "image/scan", "    _flash.read(progress[\"table\"] + block * TABLE_ENTRY,",
           "    if bytes(_piece[:4]) != b'\\xff' * 4:\n        return\n    _flash.read(progress[\"table\"] + block * TABLE_ENTRY,", "resume"),
    Defect("resume-trusts-the-table", "image/scan", "    return sha.digest() == digest",
           "    return bytes(_piece[:2]) != b'\\xff\\xff'", "download"),
    Defect("written-without-erase", "image/writer", 'if i or not progress["blank"] or not _flash.is_blank(addr, BLOCK, _back):',
           "if False:", "download"),
    Defect("cell-named-without-descriptor", "boot/spare", "    write_descriptor(control.slots, spare, product, plan)\n", "", "swap"),
    Defect("one-attempt-too-many", "boot/spare", "cell.attempts, cell.copies = control.attempts, COPIES",
           "cell.attempts, cell.copies = control.attempts + 1, COPIES", "fallback"),
    Defect("the-wrong-slot-is-bad", "boot/trial", "BAD_WORD + 4 * control.slot", "BAD_WORD + 4 * (1 - control.slot)", "rollback"),
    Defect("a-trial-forgets-its-attempts", "boot/head", "        elif was_confirmed:\n            remember(opened, newest)",
           "        elif True:\n            remember(opened, newest)", "confirm"),
    Defect("keys-pinned-in-a-trial", "trust/rotation", "            if trial.confirm(control):\n",
           "            store(text, 2)\n            if trial.confirm(control):\n", "keys"),
    Defect("epoch-named-before-its-keys", "trust/rotation", "    if agent.phase == PHASE_JOURNAL:\n",
           "    if agent.phase == PHASE_COPY:\n", "keys"),
    Defect("both-copies-at-once", "trust/rotation", "        # At any time the copy that the journal means is whole.\n",
           "        if agent.phase == PHASE_COPY:\n            os.remove(\"twoslot.keys2\")\n"
           "            os.remove(\"twoslot.keys\")\n", "keys"),
    Defect("the-copy-that-counts-goes-first", "trust/rotation", "        store(text, 2 if agent.phase == PHASE_COPY else 1)\n",
           "        store(text, 2 if agent.phase == PHASE_COPY else 1)\n        store(text, 1)\n", "keys"),
    Defect("confirmed-without-the-word", "boot/trial",
           "    if control.cell.active == control.slot:\n        control.journal.mark(CONFIRMED_WORD)\n", "", "confirm"),
    Defect("a-crash-is-not-held-against-it", "boot/decision", "        cell.bad_counter = max(cell.bad_counter, counter)",
           "        pass", "fallback"),
    Defect("compaction-erases-the-newest", "boot/journal", "else self._other(free), self", "else self.at // _CELLS * _CELLS, self",
           "compaction"),
    Defect("a-torn-cell-is-written-over", "boot/journal", "            if not is_blank(page):\n                used += 1",
           "            if False:\n                used += 1", "cells"),
]


def found(folder: Path, scenario: str, board: str, edit: Edit | None) -> str:
    """The first failure of the proof, "" without one. It cuts the sample of tools/test."""
    put_keys(folder / "keys")
    proof = PowerCutProof(folder, edit=edit, by_content=True)
    part = SCENARIOS[scenario]
    try:
        ids = proof.sampled_cuts(board, "model", scenario, part.torn, part.weak)
    except (AssertionError, BenchViolation) as error:
        return f"without a cut: {error}"
    for id in ids:
        if failures := proof.run(id).failures:
            return f"{id}: {failures[0].text}"
    return ""


CONFIRMED_ON_A_304 = (
    Defect("asked-or-not", "http/request", "status == 304 and etag", "status == 304", ""),
    Defect("of-no-head", "http/documents", "agent.etag[2]", "None", ""),
    Defect("any-look-will-do", "boot/trial", "    if control.confirmed and len(twoslot.deadline or ()) < 4:",
           "    confirm(control)\n    if control.confirmed and len(twoslot.deadline or ()) < 4:", ""),
)


@pytest.mark.parametrize("defects", [(), CONFIRMED_ON_A_304], ids=["as-it-is", "confirmed-on-a-304"])
def test_a_304_proves_nothing(tmp_path: Path, defects: tuple[Defect, ...]) -> None:
    """In a trial the server answers 304: the defect accepts it as a proof, the modules do not."""
    testbed = make_testbed(tmp_path, edit=lambda files: [defect.edit(files) for defect in defects])
    testbed.publish(2)
    board = testbed.board()

    def unchanged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if len(board.boots) < 2 or not environ["PATH_INFO"].startswith("/heads/"):
            return testbed.app(environ, start_response)
        start_response("304 NOT MODIFIED", [])
        return []

    board.network = WsgiNetwork(unchanged)
    board.power_on()
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2) == bool(defects)


@pytest.mark.sampled(10)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found(tmp_path: Path, defect: Defect) -> None:
    said = found(tmp_path, defect.scenario, defect.board, defect.edit)
    print(f"\n{defect.name}: {said[:300]}")
    assert said, f"{defect.name} is not found by cutting {defect.scenario}"
