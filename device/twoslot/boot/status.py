# What twoslot.status() and the push port show of this board.
import twoslot

from twoslot.boot import decision


def status(control):
    """Return the status of an open BootControl as a dict."""
    cell, d, spare = control.cell, control.running, control.spare
    after = decision.next_boot(cell, control.descriptors)
    return {
        "slot": "AB"[control.slot], "version": d.version, "counter": d.counter, "why": control.reason,
        "confirmed": control.confirmed, "spare": spare.version if spare else None, "floor": cell.floor,
        "bad": cell.bad_counter, "head": cell.head_seq, "report": cell.report,
        "next": "AB"[after[0]] if after else None, "hook": twoslot.deadline is not None,
    }  # fmt: skip
