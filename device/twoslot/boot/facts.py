# The facts that an update needs to know of the two slots. A stage of an update.
import os
import sys

import twoslot

from twoslot import drop
from twoslot.constants import STAGE_DOCUMENTS, STAGE_REPORT, STAGE_VERIFY, STATE_DONE, TELEMETRY


def step(agent):
    """Read the facts; it ends there when an update is verified already, and waits for the restart."""
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control

    opened = control.BootControl(flash.Flash(), agent.attempts).open()
    agent.facts = facts(opened)
    agent.stage = STAGE_VERIFY
    if agent.pushed is None:
        agent.stage = STAGE_DOCUMENTS
        if TELEMETRY in sys.modules:
            agent.stage = STAGE_REPORT
            agent.facts["spare"] = opened.cell.counters[1 - opened.slot]
        if opened.waiting:
            agent.state, agent.stage = STATE_DONE, None
    if agent.stage and "twoslot.app0" in os.listdir("/"):
        opened = control = None
        drop("boot.control", "boot.journal", "boot.slots", "boot.page", "boot.decision", "flash")
        from twoslot.application import record, decision, port, status

        agent.facts["app"] = status.facts()
        if status.waiting():
            agent.facts["waiting"] = "the application"
            agent.state, agent.stage = STATE_DONE, None
        drop("application")
    drop("flash")


def facts(control):
    """Return what the rest of an update needs to know of all this, as plain values."""
    cell, slot, d, m = control.cell, control.slot, control.running, control.slots
    # While an application is on trial, alone or with its firmware (twoslot_boot.py), nothing is installed.
    confirmed = control.confirmed and len(twoslot.deadline or ()) < 4
    return {
        "slot": slot, "confirmed": confirmed, "counter": d.counter,
        "fs_version": d.fs_version,
        "floor": cell.floor, "bad": cell.bad_counter, "unproven": cell.unproven_counter,
        "rounds": cell.rounds, "waiting": control.waiting,
        "app": None,
        "seq": cell.head_seq, "time": cell.head_time, "epoch": cell.key_epoch, "tag": cell.channel_tag,
        "keys": cell.keys, "others": cell.others,
        "size": m.size, "fs_start": m.fs_start, "report": (cell.report, cell.report_counter),
    }  # fmt: skip
