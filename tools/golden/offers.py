"""Golden files of line 1 of releases and applications, field by field, right and wrong: who takes it."""

from __future__ import annotations

import json
from typing import Any

from golden.common import Files, text_of
from golden.heads import GONE
from golden.served import application_payloads, payloads

_NAMES = ("boards", "channels")
_UNREAD = {"release": ("notes", "fs_upgrade"), "application": ("notes", "created")}
"""What a board does not read, or only beside something else."""
_UNREAD_OF_IMAGES = ("encodings",)
_REFUSED = {"product": 25}


def wrong_fields(kind: str, usual: dict[str, Any]) -> dict[str, tuple[dict[str, Any], int, bool]]:
    """Name -> fields, the code with which a board refuses them (0: it takes them), and whether the bench
    reads them.
    """
    found: dict[str, tuple[dict[str, Any], int, bool]] = {"usual": (usual, 0, True)}
    unread = _UNREAD[kind]

    def add(name: str, changes: dict[str, Any], code: int, is_read: bool = False) -> None:
        fields = {key: value for key, value in {**usual, **changes}.items() if value is not GONE}
        found[name] = fields, code, is_read

    for field, value in usual.items():
        if field in ("kind", "format"):
            continue
        code = 0 if field in unread else _REFUSED.get(field, 20)
        add(f"no_{field}", {field: GONE}, code)
        if isinstance(value, bool) or field in _NAMES:
            continue
        if isinstance(value, int):
            for name, wrong in {"as_text": "7", "negative": -1, "too_large": 1 << 32, "null": None}.items():
                add(f"{field}_{name}", {field: wrong}, code)
        elif isinstance(value, str):
            add(f"{field}_as_number", {field: 7}, code)
            add(f"{field}_as_list", {field: [value]}, code)
    add("boards_of_others", {"boards": ["another"]}, 26, True)
    add("channels_of_others", {"channels": ["another"]}, 27, True)
    add("another_product", {"product": "cellar"}, 25, True)
    add("another_format", {"format": 2}, 24)
    add("another_kind", {"kind": "keys"}, 23)
    add("unknown_field", {"shop": "here"}, 0)
    add("floor_above_counter", {"floor": usual["counter"] + 1}, 20 if kind == "release" else 0)
    return found


def releases() -> dict[str, tuple[dict[str, Any], int, bool]]:
    """Releases, and images in them."""
    usual = json.loads(payloads()["release"])
    found = wrong_fields("release", usual)
    image = usual["images"]["any"]
    for field, value in image.items():
        code = 0 if field in _UNREAD_OF_IMAGES else 20
        without = {key: each for key, each in image.items() if key != field}
        found[f"image_no_{field}"] = usual | {"images": {"any": without}}, code, False
        wrong = "7" if isinstance(value, int) else 7
        images = {"any": image | {field: wrong}}
        found[f"image_{field}_of_another_type"] = usual | {"images": images}, code or 20, False
    found["images_none"] = usual | {"images": {}}, 38, False
    found["image_too_long"] = usual | {"images": {"any": image | {"length": 251 * 4096 + 1}}}, 36, False
    found["version_too_long"] = usual | {"version": "v" * 17}, 20, False
    found["version_not_printable"] = usual | {"version": "1\n"}, 20, False
    found["preflight"] = usual | {"preflight": "passed"}, 0, True
    found["twoslot"] = usual | {"twoslot": 256}, 0, True
    found["twoslot_as_text"] = usual | {"twoslot": "0.1.0"}, 20, False
    found["frozen_main"] = usual | {"frozen_main": True}, 0, True
    return found


def programs() -> dict[str, tuple[dict[str, Any], int, bool]]:
    """Applications."""
    usual = json.loads(application_payloads()["application"][1])
    found = wrong_fields("application", usual)
    found["preflight"] = usual | {"preflight": "skipped"}, 0, True
    found["twoslot"] = usual | {"twoslot": 256}, 0, True
    found["twoslot_as_text"] = usual | {"twoslot": "0.1.0"}, 0, False
    found["firmware_range_reversed"] = usual | {"firmware_low": 9, "firmware_high": 7}, 80, False
    found["firmware_of_a_later_one"] = usual | {"firmware_low": 8}, 80, True
    found["firmware_of_an_older_one"] = usual | {"firmware_low": 1, "firmware_high": 6}, 80, True
    found["firmware_without_limit"] = usual | {"firmware_high": 0}, 0, True
    found["another_mpy_abi"] = usual | {"mpy_abi": 5}, 80, True
    found["without_mpy"] = usual | {"mpy_abi": 0}, 0, True
    found["patches_from"] = usual | {"patches_from": ["0" * 14, "0123456789abcd"]}, 0, True
    found["patches_from_number"] = usual | {"patches_from": 7}, 20, False
    found["patches_from_text"] = usual | {"patches_from": "0" * 14}, 0, False
    found["patches_from_none"] = usual | {"patches_from": []}, 0, False
    found["patches_from_twice"] = usual | {"patches_from": ["0" * 14] * 2}, 0, False
    found["patches_from_numbers"] = usual | {"patches_from": [0]}, 0, False
    found["patches_from_digest"] = usual | {"patches_from": ["0" * 64]}, 0, False
    found["patches_from_too_many"] = usual | {"patches_from": [f"{n:014x}" for n in range(17)]}, 0, False
    found["older_data"] = usual | {"data": 1}, 81, True
    return found


def offer_files() -> Files:
    """releases/ and programs/: line 1, and who takes it."""
    files: Files = {}
    for folder, cases in (("releases", releases()), ("programs", programs())):
        for name, (fields, code, is_read) in cases.items():
            files[f"{folder}/{name}.line"] = json.dumps(fields, separators=(",", ":")).encode("ascii")
            files[f"{folder}/{name}.json"] = text_of({"board": code, "bench": is_read})
    return files
