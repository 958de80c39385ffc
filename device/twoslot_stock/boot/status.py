# What twoslot.status() and the push port show of a board with stock firmware.
import twoslot


def status(control):
    """Return the status of an open BootControl as a dict: without slots, what is of them is None or 0."""
    return {
        "slot": None, "version": control.version, "counter": 0, "why": control.reason, "confirmed": True,
        "spare": None, "floor": 0, "bad": 0, "head": control.cell.head_seq, "report": 0, "next": None,
        "hook": twoslot.deadline is not None,
    }  # fmt: skip
