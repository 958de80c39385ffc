"""Golden files of what a board says of itself: the header that proves who it is, and its reports."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from golden.common import Files, text_of
from slotbench.formats import identity
from slotbench.formats.board_report import (
    BOARD_CHARS_MAX,
    REPORT_BYTES_MAX,
    TRACE_CHARS_MAX,
    BoardReport,
    ReportEvent,
)
from slotbench.formats.identity import IdentityProof

SECRET = bytes(range(32))
NONCE = "00112233445566778899aabbccddeeff0011223344556677"
TRACE = '4 1 10\nTraceback (most recent call last):\n  File "main.py", line 3\nValueError: "no" \\ yes\n'


def reports() -> dict[str, BoardReport]:
    """Reports as boards write them, by name. Those that say nothing of `board` are of an older twoslot."""
    start = BoardReport(start=123456789, number=1, event=ReportEvent.START, free=21344, rssi=-61, reset=4)
    two_slots = replace(start, board="d1_mini", slot=1, spare=6)
    return {
        "two_slots": two_slots,
        "two_slots_error": replace(two_slots, number=3, event=ReportEvent.ERROR, code=12, where=7),
        "two_slots_confirmed": replace(two_slots, number=5, event=ReportEvent.CONFIRMED),
        "two_slots_longest": replace(
            two_slots, start=2**30 - 1, number=2**31 - 1, code=255, where=2**32 - 1, free=65535, rssi=-100,
            board='"' * BOARD_CHARS_MAX, spare=2**32 - 1, trace="\n" * TRACE_CHARS_MAX),
        "empty_spare": replace(two_slots, slot=0, spare=0),
        "no_loader": replace(start, board="esp01s_1m"),
        "odd_board": replace(two_slots, board='"\\ D1?'),
        "start": start,
        "start_with_error": replace(start, code=84, where=3),
        "traceback": replace(start, trace=TRACE),
        "longest": replace(
            start, start=2**30 - 1, number=2**31 - 1, code=255, where=2**32 - 1, free=65535, rssi=-100,
            trace="\n" * TRACE_CHARS_MAX),
        "download": replace(start, number=2, event=ReportEvent.DOWNLOAD, counter=7, done=40, blocks=157),
        "error": replace(start, number=3, event=ReportEvent.ERROR, code=12, where=7),
        "negative_place": replace(start, number=3, event=ReportEvent.ERROR, code=2, where=-2),
        "no_memory": replace(start, number=4, event=ReportEvent.ERROR),
        "confirmed": replace(start, number=5, event=ReportEvent.CONFIRMED),
    }


def wrong_reports() -> dict[str, bytes]:
    """Bodies that a server must refuse, by name."""
    usual = json.loads(reports()["error"].to_payload())
    changed: dict[str, bytes] = {
        "not_json": b"{", "a_list": b"[]", "nothing": b"{}", "not_ascii": b'{"trace":"\xc3\xa9"}',
        "twice": b'{"event":1,"event":1}',
        "too_long": json.dumps(usual).encode() + b" " * REPORT_BYTES_MAX,
    }
    for name in usual:
        changed[f"no_{name}"] = _line({key: value for key, value in usual.items() if key != name})
        changed[f"{name}_as_text"] = _line(usual | {name: "1"})
        changed[f"{name}_fraction"] = _line(usual | {name: 1.5})
        changed[f"{name}_too_large"] = _line(usual | {name: 1 << 33})
    for name, trace in {"long": "x" * (TRACE_CHARS_MAX + 1), "escape": "\x1b[2J", "number": 7}.items():
        changed[f"trace_{name}"] = _line(usual | {"trace": trace})
    changed["more_than_all_blocks"] = _line(usual | {"done": 3, "blocks": 2})
    for name, board in {
        "long": "x" * (BOARD_CHARS_MAX + 1), "escape": "\x1b[2J", "lines": "a\nb", "number": 7,
    }.items():
        changed[f"board_{name}"] = _line(usual | {"board": board})
    for name, slot in {"third": 2, "text": "A", "true": True}.items():
        changed[f"slot_{name}"] = _line(usual | {"slot": slot})
    for name, spare in {"below": -1, "large": 1 << 32, "text": "6", "null": None}.items():
        changed[f"spare_{name}"] = _line(usual | {"spare": spare})
    return changed


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def report_files() -> Files:
    """reports/: bodies, and what they say; null for those that are refused."""
    files: Files = {}
    for name, report in reports().items():
        files[f"reports/{name}.body"] = report.to_payload()
        files[f"reports/{name}.json"] = text_of({
            key: value for key, value in asdict(report).items()
            if report.board or key not in ("board", "slot", "spare")})
    for name, body in wrong_reports().items():
        files[f"reports/wrong_{name}.body"] = body
        files[f"reports/wrong_{name}.json"] = text_of(None)
    return files


def identity_files() -> Files:
    """identity/: the header of a request, and what it is made of."""
    files: Files = {}
    body = reports()["error"].to_payload()
    for name, method, app, sent in (
        ("get", "GET", None, b""), ("get_with_app", "GET", (3, 1, 3), b""),
        ("post", "POST", None, body), ("post_with_app", "POST", (0, 0, 0), body),
    ):
        path = "/fleet/report" if sent else "/fleet/heads/greenhouse/stable.head"
        proof = IdentityProof(nonce=NONCE, nc=3, report=1, about=5, running=7, mac="", app=app)
        mac = identity.compute_mac(SECRET, proof.message(method, "updates.lan:8266", path, sent))
        app_words = "" if app is None else ', app="{}/{}/{}"'.format(*app)
        files[f"identity/{name}.json"] = text_of({
            "secret": SECRET, "id": "lamp-7", "method": method, "host": "updates.lan:8266", "path": path,
            "nonce": NONCE, "nc": 3, "report": [1, 5], "running": 7, "app": app, "body": sent.decode(),
            "header": f'Twoslot id="lamp-7", nonce="{NONCE}", nc=3, report="1/5", running="7"{app_words}, '
                      f'mac="{mac}"',
            "first_header": 'Twoslot id="lamp-7"'})
    return files
