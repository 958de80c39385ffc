"""Board report (FORMATS): what a board tells its server beside its requests.

That a release is healthy is said by the boot journal's report alone, which the MAC of each request covers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.fields import Fields, check_int, dump_json, load_object

__all__ = [
    "BOARD_CHARS_MAX", "BoardReport", "REPORT_BYTES_MAX", "REPORT_PATH", "ReportEvent",
    "TRACE_CHARS_MAX",
]

REPORT_PATH: Final = "report"
"""Where boards send it, below the server of their settings."""
REPORT_BYTES_MAX: Final = 1024
"""The longest report in bytes."""
TRACE_CHARS_MAX: Final = 240
BOARD_CHARS_MAX: Final = 32
_OPTIONAL: Final = frozenset({"board", "slot", "spare", "trace"})
_COUNTER_MAX: Final = 2**32 - 1
_PLACE_MAX: Final = 2**31 - 1
_BLOCKS_MAX: Final = 4096


class ReportEvent(IntEnum):
    """What made a board send a report."""

    START = 1
    """It started: not from deep sleep."""
    DOWNLOAD = 2
    """A quarter, a half, three quarters of an image are in place."""
    ERROR = 3
    """An update was refused, or failed, in another way than the last time."""
    CONFIRMED = 4
    """A trial ended well. It counts only beside a boot journal that reports so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardReport:
    """A report.

    `start` is a number that the board drew when it started, and `number` counts its reports since then.
    `code` and `where` are the last error that it did not tell before; 0 and 0: none, or no memory for an
    ERROR. `done` of `blocks` are in place of the image with `counter`. `free` is in bytes, `rssi` in dBm,
    `reset` a number of machine.reset_cause(). `board` is that of its settings; "": it did not say. `slot` is
    the one that runs, 0 is A, and `spare` the counter of the release in the other one, 0: none; both are None
    in a download, of a board without a loader and of an older twoslot. `trace` is the file with an
    application's traceback; "": there is none.
    """

    start: int
    number: int
    event: ReportEvent
    code: int = 0
    where: int = 0
    counter: int = 0
    done: int = 0
    blocks: int = 0
    free: int = 0
    rssi: int = 0
    reset: int = 0
    board: str = ""
    slot: int | None = None
    spare: int | None = None
    trace: str = ""

    def to_payload(self) -> bytes:
        """The body of the request. Raises FormatError with the name of a field that is not allowed."""
        payload = dump_json({
            name: value for name, value in asdict(self).items()
            if name not in _OPTIONAL or value not in ("", None)})
        self.from_payload(payload)
        return payload

    @classmethod
    def from_payload(cls, payload: bytes) -> BoardReport:
        """The report in the body of a request. Fields that are not known are left out: boards may be newer.

        Raises FormatError.
        """
        if len(payload) > REPORT_BYTES_MAX:
            raise FormatError(f"report has {len(payload)} bytes, at most {REPORT_BYTES_MAX} are allowed")
        fields = Fields(load_object(payload))
        event = fields.integer("event", 1, max(ReportEvent))
        report = cls(
            start=fields.integer("start", high=2**30 - 1),
            number=fields.integer("number", 1),
            event=ReportEvent(event),
            code=fields.integer("code", high=255),
            where=fields.integer("where", -_PLACE_MAX, _COUNTER_MAX),
            counter=fields.integer("counter", high=_COUNTER_MAX),
            done=fields.integer("done", high=_BLOCKS_MAX),
            blocks=fields.integer("blocks", high=_BLOCKS_MAX),
            free=fields.integer("free"),
            rssi=fields.integer("rssi", -1000, 1000),
            reset=fields.integer("reset", high=255),
            board=_optional_text(fields, "board", BOARD_CHARS_MAX),
            slot=fields.integer("slot", high=1) if fields.has("slot") else None,
            spare=fields.integer("spare", high=_COUNTER_MAX) if fields.has("spare") else None,
            trace=_optional_text(fields, "trace", TRACE_CHARS_MAX, "\n"),
        )
        check_int(report.done, "done", 0, report.blocks)
        return report


def _optional_text(fields: Fields, name: str, longest: int, also: str = "") -> str:
    """A text of printable ASCII, and of the characters in `also`; "" where it is not there."""
    text = fields.pop_field(name) if fields.has(name) else ""
    if not isinstance(text, str) or len(text) > longest:
        raise FormatError(f"{name} is no text of at most {longest} characters", field=name)
    if not all(character in also or " " <= character <= "~" for character in text):
        raise FormatError(f"{name} is not printable ASCII", field=name)
    return text
