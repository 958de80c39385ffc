# The newest head, and the keys: what a check brought is written down. A stage of an update.
import struct

import twoslot

from twoslot import drop
from twoslot.constants import PHASE_COPY, PHASE_GET, STAGE_DOCUMENTS, STAGE_FACTS, STAGE_KNOWN_HEAD


def step(agent):
    """Write down the agent's news: a new head, or new keys.

    In a trial the head, fetched whole and signed, is the proof that this board can update itself again.
    """
    # All from this frame: it is high up on the stack.
    if agent.keys:
        from twoslot.trust import rotation
    if agent.keys and not agent.phase:
        agent.phase = PHASE_COPY  # each of these steps takes some tenths of a second
        return
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control

    opened = control.BootControl(flash.Flash(), agent.attempts).open()
    was_confirmed = opened.confirmed
    fetched = agent.news is not None
    if not was_confirmed:
        from twoslot.boot import trial
    newest, more = agent.news, False
    try:
        if newest is True:
            # A signed head of the past, from a cache: the proof, and nothing to remember.
            newest = None
            if agent.auto and not was_confirmed:
                trial.confirm(opened)
        if agent.keys:
            more = rotation.commit(agent, opened, newest)
        elif newest is None:
            pass
        elif was_confirmed:
            remember(opened, newest)
        elif agent.auto:
            trial.confirm(opened, newest)
    finally:
        if opened.confirmed and not was_confirmed:
            # Loaded now: what was written needed the memory.
            from twoslot import retained
            from twoslot.boot import window_log

            trial.note_confirmed(opened)
    if more:
        return
    agent.news, agent.phase = None, PHASE_GET
    if fetched and opened.confirmed and len(twoslot.deadline or ()) > 3:
        twoslot.deadline = twoslot.deadline[:3] + (True,)  # this twoslot reaches its server
        opened = None
        if agent.auto:
            from twoslot.application import trial as application_trial

            application_trial.confirm()
    agent.stage = STAGE_DOCUMENTS if agent.state else None
    if agent.facts is None:
        agent.stage = STAGE_FACTS if agent.state else None
    drop("flash", "retained", "trust", "application")
    if agent.refusal:
        if not agent.accepted:
            raise agent.refusal
        agent.stage = STAGE_KNOWN_HEAD


def remember(control, newest):
    """Remember a newer head. Not in a trial: its cell counts the attempts."""
    put_head(control.cell, newest)
    control.journal.append(control.cell)


def put_head(cell, newest):
    """Have the cell hold a newer head. Its epoch counts anew; each channel has a seq of its own."""
    tag, time, others = cell.channel_tag, newest["issued"], cell.others
    if (newest["seq"], newest["tag"], newest["epoch"]) != (cell.head_seq, tag, cell.key_epoch):
        cell.rounds = 0  # "unproven" fades with a newer head
    if newest["epoch"] != cell.key_epoch or cell.keys not in (None, newest["keys"]):
        others = b""
    else:
        time = max(time, cell.head_time)
        if newest["tag"] != tag:
            kept = struct.pack("<II", tag, cell.head_seq)
            for i in range(0, len(others), 8):
                if others[i : i + 4] != newest["tag"].to_bytes(4, "little"):
                    kept += others[i : i + 8]
            others = kept
    cell.others = others[:24]
    cell.head_seq, cell.head_time = newest["seq"], time
    cell.key_epoch, cell.channel_tag, cell.keys = newest["epoch"], newest["tag"], newest["keys"]
