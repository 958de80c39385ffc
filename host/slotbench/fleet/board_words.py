"""A board's life in words, for the command line and for pages."""

from __future__ import annotations

from typing import Final

from slotbench.fleet.board_list import TROUBLE, BoardEntry, BoardHealth, BoardView
from slotbench.formats.codes import CODES
from slotbench.formats.journal import Report
from slotbench.formats.rtc import ResetReason

__all__ = [
    "STATE_WORDS", "duration_words", "entry_words", "error_words", "is_trouble", "release_words",
    "report_words", "reset_words", "view_words",
]

STATE_WORDS: Final = {
    BoardHealth.WELL: "is well", BoardHealth.UPDATING: "is updating", BoardHealth.LATE: "is late",
    BoardHealth.TROUBLE: "needs a look"}
_REPORTS: Final = {
    Report.NOTHING: "reports nothing", Report.CONFIRMED: "confirmed {0}",
    Report.BAD: "gave {0} up: it crashed, or its image is invalid",
    Report.UNPROVEN: "gave {0} up: its trials ended without power or network",
    Report.LAST_RESORT: "found nothing healthy to start, and started what was left",
    Report.JOURNAL_LOST: "lost its boot journal, and began a new one",
    Report.SAFE_MODE: "left main.py out: {0} crashed or restarted again and again",
    Report.LOW_MEMORY: "updates before main.py, which leaves no memory for it"}
_RESETS: Final = {
    ResetReason.POWER: "power", ResetReason.HARDWARE_WATCHDOG: "the hardware watchdog",
    ResetReason.EXCEPTION: "an exception", ResetReason.SOFTWARE_WATCHDOG: "the software watchdog",
    ResetReason.RESTART: "a restart by the program", ResetReason.DEEP_SLEEP: "deep sleep",
    ResetReason.RESET_PIN: "the reset pin"}
_TROUBLE: Final = frozenset(str(report) for report in TROUBLE)
_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60))


def release_words(counter: int, version: str) -> str:
    """A release in words."""
    if not counter:
        return "no release"
    return f"{version} (counter {counter})" if version else f"counter {counter}"


def report_words(report: str, release: str) -> str:
    """What a report says, by its word in FORMATS. `release` is what it is about."""
    try:
        return _REPORTS[Report[report.upper()]].format(release)
    except KeyError:
        return "sent a report that this slotbench does not know"


def error_words(code: int, where: int) -> str:
    """An error of a board (FORMATS, error codes) in words: number, word, place, meaning."""
    if not code:
        return "no memory"
    known = next((each for each in CODES if each.code == code), None)
    place = f" ({where})" if where else ""
    return f"{code} {known.word}{place}: {known.meaning}" if known else f"{code}{place}"


def reset_words(cause: int) -> str:
    """What started a board, by the number of machine.reset_cause()."""
    return _RESETS[ResetReason(cause)] if cause in {int(each) for each in ResetReason} else "something"


def program_words(report: str, counter: int) -> str:
    """What a report says about a program, by its word in FORMATS."""
    program = f"its program, counter {counter}"
    words = {
        Report.NOTHING: "says nothing of its program any more", Report.CONFIRMED: f"confirmed {program}",
        Report.BAD: f"gave {program}, up: it raised an exception, or its files are invalid",
        Report.UNPROVEN: f"gave {program}, up: it was not proved in time"}
    try:
        return words[Report[report.upper()]]
    except KeyError:
        return f"sent a report about {program}, that this slotbench does not know"


def entry_words(entry: BoardEntry) -> str:
    """One entry of a history as a sentence without its full stop."""
    release = release_words(entry.counter, entry.version)
    if entry.kind in ("report", "app-report"):
        number = int(entry.detail)
        known = Report(number).name if number in {int(report) for report in Report} else ""
        is_program = entry.kind == "app-report"
        return program_words(known, entry.counter) if is_program else report_words(known, release)
    if entry.kind == "app-runs":
        return f"runs its program, counter {entry.counter}" if entry.counter else "runs no program"
    if entry.kind == "returned":
        return f"is back after {duration_words(int(entry.detail))} of silence"
    if entry.kind == "start":
        return f"was started by {reset_words(int(entry.detail))}"
    if entry.kind == "error":
        code, where = entry.detail.split()
        return f"reported the error {error_words(int(code), int(where))}"
    if entry.kind == "trace":
        return f"reported a traceback of its application: {' | '.join(entry.detail.splitlines())}"
    if entry.kind == "named":
        return f"was named: {entry.detail}"
    if entry.kind == "said":
        return f"said of {release}: {entry.detail}"
    words = {
        "first-seen": "proved for the first time who it is, with", "runs": "runs",
        "download": "began to fetch", "offered": "was offered", "withdrawn": "is not offered any more",
        "called-off": "was asked to give up", "goes-on": "goes on with", "stopped": "did not install",
        "install": "is to have, whatever the percentage,"}
    return f"{words.get(entry.kind, entry.kind)} {release}"


def is_trouble(entry: BoardEntry) -> bool:
    """Whether an entry says that something went wrong on the board."""
    return entry.kind in ("report", "app-report") and entry.detail in _TROUBLE


def view_words(board: BoardView, now: int) -> list[str]:
    """A board as sentences."""
    runs = f"It runs {release_words(board.running, board.version)}"
    on_what = f" on {board.board}" if board.board else ""
    where = f" of {board.product}/{board.channel}" if board.product else ""
    said = [
        f"{board.title} {STATE_WORDS[board.state]}.", f"{runs}{where}{on_what}{_slot_words(board)}.",
        f"It was heard {ago_words(now - board.last_seen)}, from {board.address or 'somewhere'}."]
    if board.report != "nothing":
        known = board.version if board.report_counter == board.running else ""
        said.append(f"It {report_words(board.report, release_words(board.report_counter, known))}.")
    if board.app_running:
        said.append(f"Its program is counter {board.app_running}.")
    if board.app_report != "nothing" and board.app_report_counter:
        said.append(f"It {program_words(board.app_report, board.app_report_counter)}.")
    if board.state is BoardHealth.UPDATING:
        said.append(f"It has {board.progress} % of counter {board.target}.")
    if board.told_at:
        said.append(
            f"It reported {ago_words(now - board.told_at)}: {board.free_heap} bytes of heap are free, the "
            f"signal has {board.rssi} dBm, it was started by {reset_words(board.reset_cause)}.")
    if board.error_code >= 0:
        words = error_words(board.error_code, board.error_where)
        said.append(f"Its last error, {ago_words(now - board.error_at)}: {words}.")
    return said


def _slot_words(board: BoardView) -> str:
    """Where a board has its releases; empty where it did not tell."""
    if not board.slot or board.spare is None:
        return ""
    other = f"has {release_words(board.spare, board.spare_version)}" if board.spare else "is empty"
    return f", in slot {board.slot}; the other slot {other}"


def duration_words(seconds: int) -> str:
    """A length of time in its largest unit: "3 days"."""
    for unit, size in _UNITS:
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    return "less than a minute"


def ago_words(seconds: int) -> str:
    """How long ago something was."""
    return "just now" if seconds < 60 else f"{duration_words(seconds)} ago"
