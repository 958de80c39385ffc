"""Golden files of applications: file lists, right and wrong, and the record of a board."""

from __future__ import annotations

from dataclasses import asdict, replace

from golden.common import Files, stream, text_of
from golden.served import application_list
from slotbench.formats.application_record import ApplicationRecord, Folder, FolderState
from slotbench.formats.file_list import COMPONENT_CHARS_MAX, FILE_BYTES_MAX, PATH_CHARS_MAX, parse_list

DIGEST = "ab" * 32


def line(path: str, length: object = 1, digest: str = DIGEST) -> bytes:
    """A line of a list, right or wrong."""
    return f"{digest} {length} {path}\n".encode()


def lists() -> dict[str, tuple[bytes, int]]:
    """Name -> a list and the number of its first wrong line; 0: it is right, -1: wrong as a whole."""
    main = line("main.py")
    longest = "/".join(("d" * (PATH_CHARS_MAX - COMPONENT_CHARS_MAX - 1), "f" * COMPONENT_CHARS_MAX))
    return {
        "usual": (application_list(), 0),
        "one": (main, 0),
        "empty_file": (line("a b.txt", 0) + main, 0),
        "longest": (line(longest, FILE_BYTES_MAX) + main, 0),
        "folder_of_the_same_start": (line("a/b") + line("a-b") + line("a.b") + main, 0),
        "twoslot_inside": (main + line("twoslot/agent.mpy"), 0),
        "nothing": (b"", -1),
        "no_main": (line("a.py"), -1),
        "main_below": (line("a/main.py"), -1),
        "no_last_line_break": (main[:-1], -1),
        "empty_line": (b"\n" + main, 1),
        "carriage_return": (line("a.py\r") + main, 1),
        "twice": (main + main, 2),
        "not_sorted": (main + line("a.py"), 2),
        "sorted_by_bytes": (line("a-b") + line("a/b") + main, 2),
        "file_and_folder": (line("a") + line("a/b") + main, 2),
        "file_and_folder_deep": (line("a/b") + line("a/b/c/d") + main, 2),
        "absolute": (line("/a.py") + main, 1),
        "up": (line("../boot.py") + main, 1),
        "up_inside": (line("a/../../boot.py") + main, 1),
        "dot": (line("./a.py") + main, 1),
        "empty_component": (line("a//b") + main, 1),
        "folder": (line("a/") + main, 1),
        "backslash": (line("a\\b") + main, 1),
        "control": (line("a\tb") + main, 1),
        "zero": (line("a\0b") + main, 1),
        "not_ascii": (line("caf\u00e9.py") + main, 1),
        "no_path": (line("") + main, 1),
        "path_too_long": (line(longest + "f") + main, 1),
        "component_too_long": (line("f" * (COMPONENT_CHARS_MAX + 1)) + main, 1),
        "boot": (line("boot.py") + main, 1),
        "reserved": (main + line("twoslot.list"), 2),
        "twoslot_pack": (main + line("twoslot.pack", 88_000), 0),
        "twoslot_pack2": (main + line("twoslot.pack2"), 2),
        "pack_in_a_folder": (main + line("twoslot.pack/a"), 2),
        "file_too_long": (line("a.bin", FILE_BYTES_MAX + 1) + main, 1),
        "length_negative": (line("a.bin", -1) + main, 1),
        "length_padded": (line("a.bin", "01") + main, 1),
        "length_of_words": (line("a.bin", "1_0") + main, 1),
        "length_endless": (line("a.bin", "9" * 40) + main, 1),
        "digest_upper": (line("a.bin", digest=DIGEST.upper()) + main, 1),
        "digest_short": (line("a.bin", digest=DIGEST[1:]) + main, 1),
        "two_spaces": (line(" a.bin") + main, 1),
    }


def list_files() -> Files:
    """lists/: the file list of an application."""
    files: Files = {}
    for name, (text, wrong) in lists().items():
        files[f"lists/{name}.list"] = text
        entries = [] if wrong else [asdict(entry) for entry in parse_list(text)]
        files[f"lists/{name}.json"] = text_of({"wrong_line": wrong, "files": entries})
    return files


def records() -> dict[str, ApplicationRecord]:
    """Name -> a record whose fields are told apart, and the first one of a board."""
    a = Folder(
        state=FolderState.CONFIRMED, counter=0x01020304, firmware_low=0x11121314, firmware_high=0x21222324,
        mpy_abi=6, data=0x3132, list_digest=stream("list a", 7))
    b = Folder(
        state=FolderState.READY, counter=0x41424344, firmware_low=0x51525354, firmware_high=0x61626364,
        mpy_abi=5, data=0x7172, list_digest=stream("list b", 7))
    distinct = ApplicationRecord(
        sequence=0x0A0B0C0D, active=1, folders=(a, b), attempts=3, report=2, rounds=9, under_way=True,
        ended=7,
        floor=0x14131211, bad_counter=0x24232221, unproven_counter=0x34333231, report_counter=0x44434241,
        data=0x5152, twoslot_pack=1, twoslot_starts=4, head_seq=0x54535251, head_time=0xF4636261,
        key_epoch=0x74737271, channel_tag=0xF4838281,
        keys_digest=stream("keys", 16), with_firmware=0x15141312, next_floor=0x25242322)
    return {
        "first": ApplicationRecord(sequence=1), "distinct": distinct,
        "swapped": replace(distinct, active=0, folders=(b, a), under_way=False),
        "limits": ApplicationRecord(
            sequence=2**32 - 1, active=2, attempts=8, rounds=255, data=65535, floor=2**31 - 1,
            head_time=2**32 - 1),
    }


def record_files() -> Files:
    """applications/: the record of a board."""
    files: Files = {}
    for name, record in records().items():
        files[f"applications/{name}.bin"] = record.pack()
        files[f"applications/{name}.json"] = text_of(asdict(record))
    distinct = records()["distinct"].pack()
    for name, wrong in {
        "torn": distinct[:64] + b"\xff" * 64, "flipped": distinct[:77] + b"\0" + distinct[78:],
        "short": distinct[:127], "empty": b"", "another_magic": b"2SB1" + distinct[4:],
    }.items():
        files[f"applications/{name}.bin"], files[f"applications/{name}.json"] = wrong, text_of(None)
    return files
